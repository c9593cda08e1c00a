"""Sizes at which a catalog stores and searches in another way, and which products it searches. All have defaults."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int64

from osoroi.index import SCAN_FROM, ScanSettings

WAIT_S = 5.0
"""How long a writer waits for another one."""


@dataclass(frozen=True)
class Shard:
    """The products whose key leaves ``number`` when it is divided by ``of``.

    A product has its key from the commit that puts it to the one that removes it, and keys are given in turn, so shards
    are of one size. The log of commits names products by their keys, also those that are gone.

    >>> Shard(1, 4).holds(np.array([1, 2, 5])).tolist(), Shard().holds(np.array([1, 2, 5])).tolist()
    ([True, False, True], [True, True, True])
    >>> Shard(1, 4).condition("product"), Shard().condition("product")
    ('product % 4 = 1', '1 = 1')
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ValueError(f"there is no shard {self.number} of {self.of}")

    def holds(self, products: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        """Whether each of these products, by key, is of this shard."""
        return products % self.of == self.number

    def condition(self, column: str) -> str:
        """The same as SQL over a column of keys."""
        return f"{column} % {self.of} = {self.number}" if self.of > 1 else "1 = 1"

    @property
    def folder(self) -> str:
        """The folder of its snapshots, inside that of the catalog."""
        return f"shard-{self.number}-of-{self.of}" if self.of > 1 else ""


WHOLE = Shard()
"""All products."""


@dataclass(frozen=True)
class CatalogSettings:
    """Numbers of crops, from which on or up to which something is done.

    The index is saved as a snapshot from ``snapshot_from`` crops on; fewer are read from the database in no time. From
    ``scan_from`` on it is a scan, which searches as ``scan`` says. A database of up to
    ``verify_up_to`` crops is verified completely whenever it is opened, which takes a fraction of a second. An
    attribute with more than ``words`` different texts has no array in memory. With ``compacts``, a writer compacts in
    the background where that is due. The index holds the products of ``shard``, and remembers which of them each of the
    last ``history`` commits changed.
    """

    snapshot_from: int = 5_000
    scan_from: int = SCAN_FROM
    scan: ScanSettings = field(default_factory=ScanSettings)
    verify_up_to: int = 20_000
    words: int = 65_536
    compacts: bool = True
    shard: Shard = WHOLE
    history: int = 0
