"""Sizes at which a local catalog stores and searches in another way. All have defaults; tests set small ones."""

from dataclasses import dataclass, field

from osoroi.index import SCAN_FROM, ScanSettings

WAIT_S = 5.0
"""How long a writer waits for another one."""


@dataclass(frozen=True)
class Settings:
    """Numbers of crops, from which on or up to which something is done.

    The index is saved as a snapshot from ``snapshot_from`` crops on; fewer are read from the database in no time. From
    ``scan_from`` on it is a scan, which searches as ``scan`` says. A database of up to
    ``verify_up_to`` crops is verified completely whenever it is opened, which takes a fraction of a second. An
    attribute with more than ``words`` different texts has no array in memory. With ``compacts``, a writer compacts in
    the background where that is due.
    """

    snapshot_from: int = 5_000
    scan_from: int = SCAN_FROM
    scan: ScanSettings = field(default_factory=ScanSettings)
    verify_up_to: int = 20_000
    words: int = 65_536
    compacts: bool = True
