"""Nearest neighbours by inner product, one kind of index per file.

``exact`` compares with everything and is the oracle; ``scan`` compares with short codes first. Scores never become
distances outside this folder.
"""

from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64


class Neighbors(NamedTuple):
    """What is nearest to each query, best first; equal scores in the order of their keys.

    ``k`` is the number asked, or the number of candidates there are when that is smaller.
    """

    keys: Int64[np.ndarray, "q k"]
    scores: Float32[np.ndarray, "q k"]


@runtime_checkable
class Index(Protocol):
    """Vectors under keys, all of one size ``d``."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        ...

    def __len__(self) -> int:
        """Vectors held."""
        ...

    def add(self, keys: Int64[np.ndarray, "n"], vectors: Float32[np.ndarray, "n d"]) -> None:
        """Put vectors under keys; a key that is held already gets the new vector."""
        ...

    def remove(self, keys: Int64[np.ndarray, "n"]) -> int:
        """Forget these keys; returns how many of them were held."""
        ...

    def nearest(
        self, queries: Float32[np.ndarray, "q d"], k: int, *, among: Int64[np.ndarray, "m"] | None = None
    ) -> Neighbors:
        """The k best for each query; ``among`` names the keys allowed (those not held are passed over)."""
        ...

    def save(self, path: Path) -> None:
        """Write a snapshot in one atomic step."""
        ...

    @classmethod
    def open(cls, path: Path) -> "Index":
        """Read a snapshot; raises BadIndex where it is damaged."""
        ...
