"""Nearest neighbours by inner product, one kind of index per file.

``exact`` compares with everything and is the oracle; ``scan`` compares with short codes first. Scores never become
distances outside this folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

SCAN_FROM = 10_000
"""From so many vectors on, a scan is faster than comparing with everything."""

DRIFT = 1.25
"""The growth of the codes' error from which on they should be learned again."""


@dataclass(frozen=True)
class ScanSettings:
    """How a scan searches. The defaults are measured; results are exact to within ``deviations``.

    A snapshot of at least ``coded_from`` vectors has codes. Where a filter allows at most ``exact_up_to`` vectors,
    all of them are scored exactly: a million codes take longer. Otherwise the lists that hold the first of ``shares``
    of the vectors are scanned, the nearest lists first: the best ``candidates`` codes are read (where they are not
    enough, the lists are scanned once more), and ``first`` of them are scored exactly at once; their errors tell how
    far down the others have to be. A vector is left out where its code falls short by ``deviations`` standard
    deviations of a code's error. The scan goes on to the next of ``shares``, the last of which is 1, where more than
    the share ``edge`` of the candidates comes from the farther half of what was scanned, or where a list behind it has
    good enough scores within ``reach`` standard deviations of its centroid. A snapshot of less than ``many`` vectors
    has ``shares_of_few``: there a pass costs more than the codes that it reads.
    """

    coded_from: int = 2_001
    exact_up_to: int = 12_000
    candidates: int = 2_048
    first: int = 256
    deviations: float = 6.0
    shares: tuple[float, ...] = (0.2, 0.4, 0.7, 1.0)
    shares_of_few: tuple[float, ...] = (0.4, 1.0)
    many: int = 300_000
    edge: float = 0.01
    reach: float = 4.0

    def shares_of(self, count: int) -> tuple[float, ...]:
        """The shares at which a scan of so many vectors stops, rising to 1."""
        return self.shares if count >= self.many else self.shares_of_few


AllowedKeys = Int64[np.ndarray, "m"] | Bool[np.ndarray, "m"] | None
"""Keys allowed in a search: listed, or marked as NumPy indexes (key 3 by the fourth mark; a key without a mark is not
allowed); None where all are. Marks cost a tenth of what a list of half a million keys costs."""


class IndexHealth(NamedTuple):
    """What an index is made of, and how well its codes fit what it holds."""

    vectors: int
    tail: int
    gone: int
    recall: float
    drift: float

    @property
    def stale(self) -> bool:
        """Whether a new snapshot would help."""
        return self.recall < 0.99 or self.drift > DRIFT


class Neighbors(NamedTuple):
    """What is nearest to each query, best first; equal scores in the order of their keys.

    ``k`` is the number requested, or the number of candidates there are when that is smaller.
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

    def nearest(self, queries: Float32[np.ndarray, "q d"], k: int, *, among: AllowedKeys = None) -> Neighbors:
        """The k best for each query; ``among`` names or marks the keys allowed (those not held are passed over)."""
        ...

    def health(self) -> IndexHealth | None:
        """Recall on a sample, and how well the codes fit; None where every vector is compared."""
        ...

    def verify(self) -> None:
        """Read every vector; raises BadIndex for one that is not what was written."""
        ...

    def save(self, path: Path) -> None:
        """Write a snapshot in one atomic step."""
        ...

    @classmethod
    def open(cls, path: Path) -> "Index":
        """Read a snapshot; raises BadIndex where it is damaged."""
        ...
