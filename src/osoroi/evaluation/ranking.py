"""Exact ranks of the right products among all products, without a query x gallery matrix in memory.

Vectors are kept in a temporary file and scored block by block. The score of a product is that of its best crop, so
crops are collapsed to products before anything is counted or cut. Equal scores stand in the order of keys.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from osoroi.errors import BadEncoder

_CELLS = 4_000_000
"""Scores held at once; a block takes some 100 MB with all that is made of them."""

_LOW = np.int64(2**32 - 1)

_ELSEWHERE = -2
"""Stands for a right product of another group, which no gallery holds."""

NEVER = np.iinfo(np.int64).min
"""The place of a product that a query does not ask for."""


class Ranking(NamedTuple):
    """For each query: ranks of its right products (``inf``: not held; ``nan``: filler), and the best keys, best first.

    Where fewer than k products are asked for, keys end with -1 and scores with nan.
    """

    ranks: Float64[np.ndarray, "q r"]
    keys: Int64[np.ndarray, "q k"]
    scores: Float32[np.ndarray, "q k"]


class Shelf:
    """Vectors of products on disk; more may be put until they are read.

    A product's key is a number from 0; its crops may come at any time. Use it in a ``with`` block: the file goes
    with it.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="osoroi-")  # noqa: SIM115  closed by __exit__
        self._keys: list[Int64[np.ndarray, "n"]] = []

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, keys: Sequence[int], vectors: Float32[np.ndarray, "n d"]) -> None:
        """Put crops of these products; raises BadEncoder where a vector is not finite."""
        if not np.isfinite(vectors).all():
            raise BadEncoder("the encoder gave a vector that is not finite", hint="export the encoder again")
        self._keys.append(np.array(keys, dtype=np.int64))
        self._file.write(np.ascontiguousarray(vectors).data)

    def read(self) -> "Gallery":
        """All that was put, as it can be searched."""
        self._file.flush()
        owners = np.concatenate([np.empty(0, np.int64), *self._keys])
        if len(owners) == 0:
            vectors = np.empty((0, self.dim), np.float32)
        else:
            vectors = np.memmap(self._file, np.float32, mode="r", shape=(len(owners), self.dim))
        order = np.argsort(owners, kind="stable")
        keys, starts = np.unique(owners[order], return_index=True)
        return Gallery(vectors, order, keys, np.append(starts, len(owners)))


class Gallery(NamedTuple):
    """Crops in the order of their products: those of ``keys[i]`` stand at ``order[starts[i]:starts[i + 1]]``."""

    vectors: Float32[np.ndarray, "n d"]
    order: Int64[np.ndarray, "n"]
    keys: Int64[np.ndarray, "p"]
    starts: Int64[np.ndarray, "p1"]

    def of(self, key: int) -> Float32[np.ndarray, "c d"]:
        """The vectors of one product's crops; none where it is not held."""
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            return np.empty((0, self.vectors.shape[1]), np.float32)
        return np.asarray(self.vectors[self.order[self.starts[at] : self.starts[at + 1]]])

    def blocks(self, crops: int) -> Iterator["Block"]:
        """Whole products, together some ``crops`` crops (more where one product alone has more)."""
        first = 0
        while first < len(self.keys):
            last = int(np.searchsorted(self.starts, self.starts[first] + crops, side="right")) - 1
            last = min(max(last, first + 1), len(self.keys))
            rows = self.order[self.starts[first] : self.starts[last]]
            yield Block(
                self.keys[first:last], self.starts[first:last] - self.starts[first], np.asarray(self.vectors[rows])
            )
            first = last


class Block(NamedTuple):
    """Some products: their keys, where each begins among the crops, and the crops' vectors."""

    keys: Int64[np.ndarray, "p"]
    starts: Int64[np.ndarray, "p"]
    vectors: Float32[np.ndarray, "n d"]


def rank(
    gallery: Gallery,
    arms: Mapping[str, Float32[np.ndarray, "q d"]],
    right: Int64[np.ndarray, "q r"],
    *,
    depth: int,
    groups: tuple[Int64[np.ndarray, "q"], Int64[np.ndarray, "all"]] | None = None,
) -> dict[str, Ranking]:
    """Ranks for each arm, that is, for each set of the same queries under other weights.

    ``right`` holds the keys of each query's right products, and -1 as filler. ``groups`` gives the group of each
    query, and of each product by key: a query then asks for products of its own group alone. Scores are summed in
    double precision and rounded once, so equal vectors have equal scores wherever they stand.
    """
    depth = max(1, min(depth, len(gallery.keys)))
    if groups is not None:
        right = np.where((right >= 0) & (groups[0][:, None] != groups[1][right]), _ELSEWHERE, right)
    known = {name: _right_places(gallery, queries, right) for name, queries in arms.items()}
    better = {name: np.zeros(places.shape, np.int64) for name, places in known.items()}
    best = {name: np.full((len(right), depth), NEVER) for name in arms}
    for block in gallery.blocks(max(1, _CELLS // max(len(right), gallery.vectors.shape[1]))):
        allowed = None if groups is None else groups[0][:, None] == groups[1][block.keys]
        doubles = block.vectors.astype(np.float64)
        for name, queries in arms.items():
            places = _places(block, doubles, queries, allowed)
            _agree(places, block.keys, known[name], right)
            for column in range(right.shape[1]):
                better[name][:, column] += np.sum(places > known[name][:, column, None], axis=1)
            best[name] = _merge(best[name], places)
    return {name: _ranking(known[name], better[name], best[name], right) for name in arms}


def _right_places(
    gallery: Gallery, queries: Float32[np.ndarray, "q d"], right: Int64[np.ndarray, "q r"]
) -> Int64[np.ndarray, "q r"]:
    """The place of each right product; NEVER where it is not held, and in the filler."""
    places = np.full(right.shape, NEVER)
    for row, column in zip(*np.nonzero(np.isin(right, gallery.keys)), strict=True):
        key = int(right[row, column])
        scores = gallery.of(key).astype(np.float64) @ queries[row].astype(np.float64)
        places[row, column] = _place(scores.max(keepdims=True), np.array([key]))[0]
    return places


def _places(
    block: Block,
    doubles: Float64[np.ndarray, "n d"],
    queries: Float32[np.ndarray, "q d"],
    allowed: Bool[np.ndarray, "q p"] | None,
) -> Int64[np.ndarray, "q p"]:
    scores = np.maximum.reduceat(queries.astype(np.float64) @ doubles.T, block.starts, axis=1)
    places = _place(scores, block.keys)
    return places if allowed is None else np.where(allowed, places, NEVER)


def _place(scores: Float64[np.ndarray, "... p"], keys: Int64[np.ndarray, "p"]) -> Int64[np.ndarray, "... p"]:
    """One number that orders products as their score, rounded to 32 bits, and then their key does. No two are equal.

    The bits of a float, the lower ones of negative floats turned round, grow with it; + 0 makes one zero of two.
    """
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return ordered * 2**32 + (_LOW - keys)


def _agree(
    places: Int64[np.ndarray, "q p"],
    keys: Int64[np.ndarray, "p"],
    known: Int64[np.ndarray, "q r"],
    right: Int64[np.ndarray, "q r"],
) -> None:
    """Give right products the very place they are compared with: a sum taken in another order may differ."""
    at = np.minimum(np.searchsorted(keys, right), len(keys) - 1)
    here = keys[at] == right
    places[np.nonzero(here)[0], at[here]] = known[here]


def _merge(best: Int64[np.ndarray, "q k"], places: Int64[np.ndarray, "q p"]) -> Int64[np.ndarray, "q k"]:
    depth = best.shape[1]
    both = np.concatenate([best, places], axis=1)
    return np.partition(both, -depth, axis=1)[:, -depth:]


def _ranking(
    known: Int64[np.ndarray, "q r"],
    better: Int64[np.ndarray, "q r"],
    best: Int64[np.ndarray, "q k"],
    right: Int64[np.ndarray, "q r"],
) -> Ranking:
    ranks = np.where(right == -1, np.nan, np.where(known == NEVER, np.inf, better + 1.0))
    best = np.sort(best, axis=1)[:, ::-1]
    nothing = best == NEVER
    bits = best >> 32
    scores = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int32).view(np.float32)
    keys = _LOW - (best & _LOW)
    return Ranking(ranks, np.where(nothing, -1, keys), np.where(nothing, np.float32(np.nan), scores))
