"""Vectors that came after a snapshot: few, compared exactly. A change gives a new tail and leaves the old one."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from osoroi.index import AllowedKeys
from osoroi.index.exact import inner, marked

ROOM = 256


class Tail(NamedTuple):
    """Rows in the order they came; ``alive`` says which of them count, and how many rows there are.

    The arrays have room for more. Only the youngest tail may be added to: it writes behind what older ones see.
    """

    keys: Int64[np.ndarray, "c"]
    vectors: Float32[np.ndarray, "c d"]
    alive: Bool[np.ndarray, "t"]

    @classmethod
    def empty(cls, dim: int) -> "Tail":
        return cls(np.empty(0, np.int64), np.empty((0, dim), np.float32), np.empty(0, bool))

    def rows(self, among: AllowedKeys = None) -> Int64[np.ndarray, "r"]:
        """Rows that count, of all keys or of these."""
        if among is None or not len(self.alive):
            return np.flatnonzero(self.alive)
        keys = self.keys[: len(self.alive)]
        return np.flatnonzero(self.alive & (marked(keys, among) if among.dtype == bool else np.isin(keys, among)))

    def scores(self, rows: Int64[np.ndarray, "r"], query: Float32[np.ndarray, "d"]) -> Float32[np.ndarray, "r"]:
        """Inner products of these rows."""
        if 2 * len(rows) < len(self.alive):
            return inner(self.vectors[rows], query)
        return inner(self.vectors[: len(self.alive)], query)[rows]  # reading all costs less than copying most

    def without(self, keys: Int64[np.ndarray, "m"]) -> "Tail":
        """A tail where these keys no longer count."""
        gone = self.rows(keys)
        if not len(gone):
            return self
        alive = self.alive.copy()
        alive[gone] = False
        return self._replace(alive=alive)

    def plus(self, keys: Int64[np.ndarray, "m"], vectors: Float32[np.ndarray, "m d"]) -> "Tail":
        """A tail with these vectors; keys that it held count with the new ones alone."""
        rest = self.without(keys)
        start = len(rest.alive)
        total = start + len(keys)
        whole = rest if total <= len(rest.keys) else rest._with_room(max(ROOM, 2 * total))
        whole.keys[start:total] = keys
        whole.vectors[start:total] = vectors
        return whole._replace(alive=np.concatenate([rest.alive, np.ones(len(keys), bool)]))

    def _with_room(self, room: int) -> "Tail":
        keys = np.empty(room, np.int64)
        vectors = np.empty((room, self.vectors.shape[1]), np.float32)
        keys[: len(self.keys)], vectors[: len(self.keys)] = self.keys, self.vectors
        return self._replace(keys=keys, vectors=vectors)
