"""Compares with everything: the oracle of every other index, and the index of small catalogs.

Blocks of vectors go through one matrix product; whatever may be among the best is then scored again by ``inner``, whose
result depends on the two vectors alone and not on their place in a block. So equal vectors get equal scores, and their
order is that of their keys.
"""

import io
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from osoroi import files
from osoroi.errors import BadIndex
from osoroi.index import AllowedKeys, Neighbors

BLOCK = 16_384
EPS = float(np.finfo(np.float32).eps)
MAGIC = b"osoroi exact 1\n"


def inner(vectors: Float32[np.ndarray, "n d"], query: Float32[np.ndarray, "d"]) -> Float32[np.ndarray, "n"]:
    r"""Inner products :math:`\sum_i v_i q_i`, each added up in the same order, wherever its row stands.

    >>> inner(np.array([[1, 2], [0.5, 0]], np.float32), np.array([2, 1], np.float32)).tolist()
    [4.0, 1.0]
    """
    return np.einsum("nd,d->n", vectors, query, dtype=np.float32)


def best(keys: Int64[np.ndarray, "n"], scores: Float32[np.ndarray, "n"], k: int) -> Int64[np.ndarray, "m"]:
    """Places of the k highest scores, best first, equal scores in the order of their keys.

    >>> best(np.array([7, 3, 5]), np.array([1, 1, 2], np.float32), 2).tolist()
    [2, 1]
    """
    near = np.arange(len(keys))
    if k < len(keys):
        near = np.flatnonzero(scores >= np.partition(scores, -k)[-k])  # to sort the others would take longer
    return near[np.lexsort((keys[near], -scores[near]))[:k]]


def require_finite(vectors: Float32[np.ndarray, "n d"], name: str) -> None:
    """Raises BadIndex for a number that is not finite, a block of vectors at a time."""
    for start in range(0, len(vectors), BLOCK):
        if not np.isfinite(vectors[start : start + BLOCK]).all():
            raise BadIndex(f"a {name} holds numbers that are not finite")


def marked(keys: Int64[np.ndarray, "n"], marks: Bool[np.ndarray, "m"]) -> Bool[np.ndarray, "n"]:
    """Whether each key is marked, as NumPy indexes; a key below 0 or behind the last mark is not.

    >>> marked(np.array([-1, 0, 2, 9]), np.array([False, True, True])).tolist()
    [False, False, True, False]
    """
    inside = (keys >= 0) & (keys < len(marks))
    if inside.all():
        return marks[keys]
    chosen = np.zeros(len(keys), bool)
    chosen[inside] = marks[keys[inside]]
    return chosen


class ExactIndex:
    """Vectors in memory, sorted by key."""

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise BadIndex(f"an index holds vectors of at least one number, not {dim}")
        self._keys = np.empty(0, np.int64)
        self._vectors = np.empty((0, dim), np.float32)
        self._longest = 0.0  # no vector is longer
        self._held = 0  # the arrays have room for more, so that adding one by one stays cheap

    @property
    def dim(self) -> int:
        return int(self._vectors.shape[1])

    def __len__(self) -> int:
        return self._held

    @property
    def keys(self) -> Int64[np.ndarray, "n"]:
        """The keys held, rising."""
        return self._keys[: self._held]

    def add(self, keys: Int64[np.ndarray, "n"], vectors: Float32[np.ndarray, "n d"]) -> None:
        """Put vectors under keys, replacing what stood there; of a key named twice the last one stays."""
        self._fit(vectors, "vectors")
        keys, last = np.unique(keys[::-1], return_index=True)
        vectors = vectors[::-1][last]
        require_finite(vectors, "vector")
        self._longest = max(self._longest, _longest(vectors))
        places, held = self._places(keys)
        self._vectors[places[held]] = vectors[held]
        self._insert(keys[~held], vectors[~held])

    def _insert(self, keys: Int64[np.ndarray, "n"], vectors: Float32[np.ndarray, "n d"]) -> None:
        total = self._held + len(keys)
        if total > len(self._keys):
            room = max(total, 2 * self._held)
            self._keys = np.concatenate([self.keys, np.empty(room - self._held, np.int64)])
            more = np.empty((room - self._held, self.dim), np.float32)
            self._vectors = np.concatenate([self._vectors[: self._held], more])
        in_order = not self._held or not len(keys) or keys[0] > self._keys[self._held - 1]
        self._keys[self._held : total] = keys
        self._vectors[self._held : total] = vectors
        self._held = total
        if not in_order:
            order = np.argsort(self.keys, kind="stable")
            self._keys, self._vectors = self.keys[order], self._vectors[:total][order]

    def remove(self, keys: Int64[np.ndarray, "n"]) -> int:
        places, held = self._places(np.unique(keys))
        if not held.any():
            return 0
        stays = np.ones(self._held, bool)
        stays[places[held]] = False
        self._keys, self._vectors = self.keys[stays], self._vectors[: self._held][stays]
        self._held = len(self._keys)
        return int(held.sum())

    def nearest(self, queries: Float32[np.ndarray, "q d"], k: int, *, among: AllowedKeys = None) -> Neighbors:
        """The k best of all, or of ``among``; scores are exact."""
        self._fit(queries, "queries")
        require_finite(queries, "query")
        if k < 1:
            raise BadIndex(f"k={k} asks for nothing; k is at least 1")
        keys, vectors = self.keys, self._vectors[: self._held]
        if among is not None and among.dtype == bool:
            chosen = marked(keys, among)
            keys, vectors = keys[chosen], vectors[chosen]
        elif among is not None:
            places, held = self._places(np.unique(among))
            keys, vectors = keys[places[held]], vectors[places[held]]
        slack = [2 * self.dim * EPS * self._longest * float(np.linalg.norm(query)) for query in queries]
        found = [_nearest(keys, vectors, query, k, room) for query, room in zip(queries, slack, strict=True)]
        width = min(k, len(keys))
        return Neighbors(
            np.array([keys[places] for places, _ in found], np.int64).reshape(len(queries), width),
            np.array([scores for _, scores in found], np.float32).reshape(len(queries), width),
        )

    def vectors(self, keys: Int64[np.ndarray, "n"]) -> Float32[np.ndarray, "n d"]:
        """The vectors under these keys; raises BadIndex for one that is not held."""
        places, held = self._places(keys)
        if not held.all():
            raise BadIndex(f"the index holds no vector under key {int(keys[~held][0])}")
        return self._vectors[places]

    def health(self) -> None:
        """None: every vector is compared."""

    def verify(self) -> None:
        """Nothing is left to verify: ``open`` reads and verifies every vector."""

    def save(self, path: Path) -> None:
        data = io.BytesIO()
        np.save(data, self.keys)
        np.save(data, self._vectors[: self._held])
        body = data.getvalue()
        files.write_atomically(path, MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)

    @classmethod
    def open(cls, path: Path) -> "ExactIndex":
        try:
            data = files.content(path)
        except OSError as error:
            raise BadIndex(f"the index {path} cannot be read: {error.strerror}") from error
        body = data[len(MAGIC) + 4 :]
        if not data.startswith(MAGIC) or data[len(MAGIC) : len(MAGIC) + 4] != zlib.crc32(body).to_bytes(4, "little"):
            raise BadIndex(f"the index {path} is damaged or of another kind", hint="build it again from the catalog")
        file = io.BytesIO(body)
        keys, vectors = np.load(file), np.load(file)
        index = cls(vectors.shape[1])
        index._keys, index._vectors, index._held = keys, vectors, len(keys)
        index._longest = _longest(vectors)
        return index

    def _places(self, keys: Int64[np.ndarray, "n"]) -> tuple[Int64[np.ndarray, "n"], np.ndarray]:
        """Where each key would stand, and whether it stands there."""
        places = np.searchsorted(self.keys, keys)
        held = np.zeros(len(keys), bool)
        inside = places < self._held
        held[inside] = self._keys[places[inside]] == keys[inside]
        return places, held

    def _fit(self, rows: Float32[np.ndarray, "n d"], what: str) -> None:
        if rows.shape[1] != self.dim:
            raise BadIndex(f"the index holds vectors of {self.dim} numbers, and these {what} have {rows.shape[1]}")


def _longest(vectors: Float32[np.ndarray, "n d"]) -> float:
    return float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max(initial=0.0)))


def _nearest(
    keys: Int64[np.ndarray, "n"],
    vectors: Float32[np.ndarray, "n d"],
    query: Float32[np.ndarray, "d"],
    k: int,
    slack: float,
) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
    """Places and scores of the k best: rough scores by blocks, then ``inner`` for all that may be among them.

    ``slack`` is how much two rough scores may swap order by.
    """
    rough = np.empty(len(keys), np.float32)
    for start in range(0, len(keys), BLOCK):
        np.matmul(vectors[start : start + BLOCK], query, out=rough[start : start + BLOCK])
    near = np.arange(len(keys))
    if k < len(keys):
        near = np.flatnonzero(rough >= np.partition(rough, -k)[-k] - slack)
    scores = inner(vectors[near], query)
    order = best(keys[near], scores, k)
    return near[order], scores[order]
