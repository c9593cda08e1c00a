"""Exact ranks of the relevant products in the gallery, without a query x gallery matrix in memory.

Vectors lie in a temporary file and are scored block by block. The score of a product is that of its best crop, so
crops are collapsed to products before anything is counted or cut. Ties are ordered by key, lowest first.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from osoroi.errors import BadEncoder

CELLS = 4_000_000
"""Scores in memory at a time; a block takes some 100 MB with its intermediate arrays."""

_LOW = np.int64(2**32 - 1)

_OTHER_GROUP = -2
"""Key of a relevant product outside the query's group; no gallery has it."""

EXCLUDED = np.iinfo(np.int64).min
"""Sort key of a product that is outside the query's group or not in the gallery."""


class Ranking(NamedTuple):
    """For each query: ranks of its relevant products, and the best k keys with their scores, best first.

    A rank is ``inf`` where the gallery lacks the product, and ``nan`` in the filler. Where a query can return fewer
    than k products, keys end with -1 and scores with nan.
    """

    ranks: Float64[np.ndarray, "q r"]
    keys: Int64[np.ndarray, "q k"]
    scores: Float32[np.ndarray, "q k"]


class GalleryWriter:
    """Writes product vectors to a temporary file, and gives them back as a gallery.

    A product's key is a number from 0; its crops may come in any order. The file is removed at the end of the ``with``
    block.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="osoroi-")  # noqa: SIM115  closed by __exit__
        self._keys: list[Int64[np.ndarray, "n"]] = []

    def __enter__(self) -> "GalleryWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, keys: Sequence[int], vectors: Float32[np.ndarray, "n d"]) -> None:
        """Append crops of these products; raises BadEncoder where a vector is not finite."""
        if not np.isfinite(vectors).all():
            raise BadEncoder("the encoder gave a vector that is not finite", hint="export the encoder again")
        self._keys.append(np.array(keys, dtype=np.int64))
        self._file.write(np.ascontiguousarray(vectors).data)

    def gallery(self) -> "Gallery":
        """Everything that was appended, memory-mapped and grouped by product."""
        self._file.flush()
        owners = np.concatenate([np.empty(0, np.int64), *self._keys])
        if len(owners) == 0:
            vectors = np.empty((0, self.dim), np.float32)
        else:
            vectors = np.memmap(self._file, np.float32, mode="r+", shape=(len(owners), self.dim))
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
        """Vectors of one product's crops; empty where the gallery lacks it."""
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            return np.empty((0, self.vectors.shape[1]), np.float32)
        return np.asarray(self.vectors[self.order[self.starts[at] : self.starts[at + 1]]])

    def blocks(self, crops: int) -> Iterator["Block"]:
        """Whole products in blocks of about ``crops`` crops (more where one product alone has more)."""
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
    """A run of products: their keys, the index of each one's first crop, and the crops' vectors."""

    keys: Int64[np.ndarray, "p"]
    starts: Int64[np.ndarray, "p"]
    vectors: Float32[np.ndarray, "n d"]


def rank(
    gallery: Gallery,
    arms: Mapping[str, Float32[np.ndarray, "q d"]],
    relevant: Int64[np.ndarray, "q r"],
    *,
    top_k: int,
    cells: int = CELLS,
    groups: tuple[Int64[np.ndarray, "q"], Int64[np.ndarray, "all"]] | None = None,
) -> dict[str, Ranking]:
    """Rank the gallery for each arm, that is, for the same queries under different weights.

    ``relevant`` has the keys of each query's relevant products, filled with -1. ``groups`` gives the group of each
    query, and of each product by key; a query then ranks products of its own group only. Scores are summed in double
    precision and rounded once, so equal vectors have equal scores wherever they stand.
    ``cells`` bounds the scores in memory.
    """
    top_k = max(1, min(top_k, len(gallery.keys)))
    if groups is not None:
        relevant = np.where((relevant >= 0) & (groups[0][:, None] != groups[1][relevant]), _OTHER_GROUP, relevant)
    known = {name: _relevant_sort_keys(gallery, queries, relevant) for name, queries in arms.items()}
    better = {name: np.zeros(sort_keys.shape, np.int64) for name, sort_keys in known.items()}
    best = {name: np.full((len(relevant), top_k), EXCLUDED) for name in arms}
    for block in gallery.blocks(max(1, cells // max(len(relevant), gallery.vectors.shape[1]))):
        allowed = None if groups is None else groups[0][:, None] == groups[1][block.keys]
        doubles = block.vectors.astype(np.float64)
        for name, queries in arms.items():
            sort_keys = _sort_keys_of_block(block, doubles, queries, allowed)
            align_relevant(sort_keys, block.keys, known[name], relevant)
            for column in range(relevant.shape[1]):
                better[name][:, column] += np.sum(sort_keys > known[name][:, column, None], axis=1)
            best[name] = _merge(best[name], sort_keys)
    return {name: _ranking(known[name], better[name], best[name], relevant) for name in arms}


def _relevant_sort_keys(
    gallery: Gallery, queries: Float32[np.ndarray, "q d"], relevant: Int64[np.ndarray, "q r"]
) -> Int64[np.ndarray, "q r"]:
    """Sort key of each relevant product; EXCLUDED where the gallery lacks it, and in the filler."""
    sort_keys = np.full(relevant.shape, EXCLUDED)
    for row, column in zip(*np.nonzero(np.isin(relevant, gallery.keys)), strict=True):
        key = int(relevant[row, column])
        scores = gallery.of(key).astype(np.float64) @ queries[row].astype(np.float64)
        sort_keys[row, column] = _sort_keys(scores.max(keepdims=True), np.array([key]))[0]
    return sort_keys


def _sort_keys_of_block(
    block: Block,
    doubles: Float64[np.ndarray, "n d"],
    queries: Float32[np.ndarray, "q d"],
    allowed: Bool[np.ndarray, "q p"] | None,
) -> Int64[np.ndarray, "q p"]:
    scores = np.maximum.reduceat(queries.astype(np.float64) @ doubles.T, block.starts, axis=1)
    sort_keys = _sort_keys(scores, block.keys)
    return sort_keys if allowed is None else np.where(allowed, sort_keys, EXCLUDED)


def _sort_keys(scores: Float64[np.ndarray, "... p"], keys: Int64[np.ndarray, "p"]) -> Int64[np.ndarray, "... p"]:
    """Sort keys: integers that order products by their score in 32 bits, then by key. No two are equal.

    The bits of a float grow with it, once the lower bits of negative floats are inverted; + 0 turns -0 into 0.
    """
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return ordered * 2**32 + (_LOW - keys)


def align_relevant(
    sort_keys: Int64[np.ndarray, "q p"],
    keys: Int64[np.ndarray, "p"],
    known: Int64[np.ndarray, "q r"],
    relevant: Int64[np.ndarray, "q r"],
) -> None:
    """Give relevant products the very sort key they are compared with: a sum in another order may differ."""
    at = np.minimum(np.searchsorted(keys, relevant), len(keys) - 1)
    here = keys[at] == relevant
    sort_keys[np.nonzero(here)[0], at[here]] = known[here]


def _merge(best: Int64[np.ndarray, "q k"], sort_keys: Int64[np.ndarray, "q p"]) -> Int64[np.ndarray, "q k"]:
    top_k = best.shape[1]
    both = np.concatenate([best, sort_keys], axis=1)
    return np.partition(both, -top_k, axis=1)[:, -top_k:]


def _ranking(
    known: Int64[np.ndarray, "q r"],
    better: Int64[np.ndarray, "q r"],
    best: Int64[np.ndarray, "q k"],
    relevant: Int64[np.ndarray, "q r"],
) -> Ranking:
    ranks = np.where(relevant == -1, np.nan, np.where(known == EXCLUDED, np.inf, better + 1.0))
    best = np.sort(best, axis=1)[:, ::-1]
    nothing = best == EXCLUDED
    bits = best >> 32
    scores = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int32).view(np.float32)
    keys = _LOW - (best & _LOW)
    return Ranking(ranks, np.where(nothing, -1, keys), np.where(nothing, np.float32(np.nan), scores))
