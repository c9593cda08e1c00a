"""Compares with short codes first, then exactly: the index of large catalogs.

A snapshot holds most vectors and does not change. Vectors that were added later form a small tail. A delete leaves a
tombstone in the snapshot, a mark that every query skips, until the next compaction writes a new one. A query reads the
codes, scores the best candidates exactly, and leaves out only what is so far below by its code
that it is not among the k best (as sure as six deviations are). It scans the lists nearest to the query, and goes on
to farther ones while they may hold anything that counts. A filter is a bitmap for the scan, or, where few are allowed,
exact scores of those. Where it hides all that is near, as a query's own tight cluster, codes err less evenly, and of a
hundred of the best one may be missed.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from osoroi.errors import BadIndex
from osoroi.index import AllowedKeys, IndexHealth, Neighbors, ScanSettings
from osoroi.index.codes import Codes, Take
from osoroi.index.exact import BLOCK, require_finite
from osoroi.index.scan_search import State, allowed, live, nearest
from osoroi.index.snapshot import Snapshot, write
from osoroi.index.tail import Tail

DEFAULTS = ScanSettings()


class ScanIndex:
    """Any number of threads may search while one adds and removes."""

    def __init__(self, base: Snapshot, *, settings: ScanSettings = DEFAULTS) -> None:
        self.settings = settings
        self._state = State(base, np.ones(len(base), bool), 0, Tail.empty(base.dim))
        self._writing = threading.Lock()

    @classmethod
    def build(
        cls,
        keys: Int64[np.ndarray, "n"],
        vectors: Float32[np.ndarray, "n d"],
        *,
        parts: Sequence[int] = (),
        settings: ScanSettings = DEFAULTS,
    ) -> "ScanIndex":
        """Learn codes for these vectors. Where keys rise they are used as they are, without a copy.

        ``parts`` are the sizes of the parts that queries may weigh; codes that know them serve every weighing well.
        """
        parts = parts or (vectors.shape[1],)
        if sum(parts) != vectors.shape[1] or min(parts) < 1:
            raise BadIndex(f"parts of {tuple(parts)} numbers do not make vectors of {vectors.shape[1]}")
        require_finite(vectors, "vector")
        if len(keys) and not (keys[1:] > keys[:-1]).all():
            order = np.argsort(keys, kind="stable")
            keys, vectors = keys[order], vectors[order]
            if (keys[1:] == keys[:-1]).any():
                raise BadIndex(f"key {int(keys[1:][keys[1:] == keys[:-1]][0])} is given twice")
        codes = Codes.learn(len(keys), parts, vectors.__getitem__) if len(keys) >= settings.coded_from else None
        return cls(Snapshot(keys, vectors, parts, codes), settings=settings)

    @property
    def dim(self) -> int:
        return self._state.base.dim

    def __len__(self) -> int:
        state = self._state
        return len(state.base) - state.gone + int(state.tail.alive.sum())

    def add(self, keys: Int64[np.ndarray, "n"], vectors: Float32[np.ndarray, "n d"]) -> None:
        """Put vectors under keys, replacing what stood there; of a key named twice the last one stays."""
        self._fit(vectors, "vectors")
        require_finite(vectors, "vector")
        keys, last = np.unique(keys[::-1], return_index=True)
        with self._writing:
            state = self._marked(keys)
            self._state = state._replace(tail=state.tail.plus(keys, vectors[::-1][last]))

    def remove(self, keys: Int64[np.ndarray, "n"]) -> int:
        """Delete vectors: those of the tail go, those of the snapshot get a tombstone. Returns how many there were."""
        keys = np.unique(keys)
        with self._writing:
            before, state = len(self), self._marked(keys)
            self._state = state._replace(tail=state.tail.without(keys))
            return before - len(self)

    def nearest(self, queries: Float32[np.ndarray, "q d"], k: int, *, among: AllowedKeys = None) -> Neighbors:
        """The k best of all, or of ``among``; scores are exact, and equal ones in the order of their keys."""
        self._fit(queries, "queries")
        require_finite(queries, "query")
        if k < 1:
            raise BadIndex(f"k={k} asks for nothing; k is at least 1")
        return self._nearest(self._state, queries, k, among)

    def _nearest(self, state: State, queries: Float32[np.ndarray, "q d"], k: int, among: AllowedKeys) -> Neighbors:
        where = allowed(state, among, self.settings)
        width = min(k, where.size + len(where.rows))
        keys = np.empty((len(queries), width), np.int64)
        scores = np.empty((len(queries), width), np.float32)
        for at, query in enumerate(queries):
            keys[at], scores[at] = nearest(state, query, width, where, self.settings)
        return Neighbors(keys, scores)

    def health(self, *, sample: int = 32, k: int = 10, seed: int = 0) -> IndexHealth:
        """Ask a sample of what is held, and compare with everything; reads all vectors once."""
        state = self._state
        keys, take = live(state)
        rng = np.random.default_rng(seed)
        queries = take(np.sort(rng.choice(len(keys), min(sample, len(keys)), replace=False)))
        found = self._nearest(state, queries, k, None).scores
        least = _kth(len(keys), take, queries, found.shape[1])
        recall = float((found >= least[:, None] - 1e-5).mean()) if found.size else 1.0
        codes, drift = state.base.codes, 1.0
        if codes and len(keys):
            wide = take(np.sort(rng.choice(len(keys), min(2048, len(keys)), replace=False)))
            drift = codes.distortion(wide) / max(codes.error, 1e-12)
        return IndexHealth(len(keys), len(state.tail.rows()), state.gone, recall, drift)

    def verify(self) -> None:
        """Read every vector; raises BadIndex for one that is not what was written."""
        base = self._state.base
        for places in base.blocks():
            base.take(places)

    def save(self, path: Path) -> None:
        """Write what is held now as one snapshot, in one atomic step; learns new codes where anything has changed.

        Searches and changes may go on: what changes meanwhile is not in the file.
        """
        state = self._state
        keys, take = live(state)
        codes = state.base.codes
        if state.gone or len(state.tail.alive):
            codes = Codes.learn(len(keys), state.base.parts, take) if len(keys) >= self.settings.coded_from else None
        write(path, keys, state.base.parts, take, codes)

    @classmethod
    def open(cls, path: Path, *, settings: ScanSettings = DEFAULTS) -> "ScanIndex":
        """Map a snapshot; its vectors are read, and verified, when they are needed."""
        return cls(Snapshot.open(path), settings=settings)

    def compacted(self, path: Path) -> "ScanIndex":
        """``save``, then ``open``: the same vectors with codes that fit them, without marks and tail."""
        self.save(path)
        return type(self).open(path, settings=self.settings)

    def _marked(self, keys: Int64[np.ndarray, "n"]) -> State:
        """The state where the snapshot's vectors under these keys count no longer."""
        state = self._state
        places = state.base.places(keys)
        places = places[places >= 0]
        places = places[state.alive[places]]
        if not len(places):
            return state
        alive = state.alive.copy()
        alive[places] = False
        return state._replace(alive=alive, gone=state.gone + len(places))

    def _fit(self, rows: Float32[np.ndarray, "n d"], what: str) -> None:
        if rows.shape[1] != self.dim:
            raise BadIndex(f"the index holds vectors of {self.dim} numbers, and these {what} have {rows.shape[1]}")


def _kth(count: int, take: Take, queries: Float32[np.ndarray, "q d"], k: int) -> Float32[np.ndarray, "q"]:
    """The k-th best score of each query among everything; 0 where k is 0."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    for start in range(0, count, BLOCK):
        block = take(np.arange(start, min(start + BLOCK, count)))
        best = np.sort(np.concatenate([best, queries @ block.T], axis=1), axis=1)[:, -k:]
    return best[:, 0] if k else np.zeros(len(queries), np.float32)
