"""What a catalog says about itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from osoroi.catalog.memory import snapshots
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.errors import BadIndex
from osoroi.index import IndexHealth


@dataclass(frozen=True)
class Info:
    """What a catalog holds, from what, and since when. Times are seconds since 1970.

    ``index`` says how well a scan finds, on a sample, what comparing with everything finds, and how much more its codes
    err than when they were learned (``drift``); None where everything is compared anyway.
    """

    folder: str
    fingerprint: str
    parts: Mapping[str, int]
    about: Mapping[str, str]
    products: int
    crops: int
    seq: int
    created_s: float
    changed_s: float | None
    snapshot: str
    index: Mapping[str, int | float] | None
    bytes: int


def info(transaction: ReadTransaction, encoder: StoredEncoder, health: IndexHealth | None) -> Info:
    """What a view shows, and how large the folder is."""
    products, crops = transaction.count()
    seq, changed_s = transaction.one("SELECT seq, at_s FROM changes ORDER BY seq DESC LIMIT 1") or (0, None)
    return Info(
        folder=transaction.location,
        fingerprint=encoder.fingerprint,
        parts={part.name: part.size for part in encoder.parts},
        about=encoder.about,
        products=products,
        crops=crops,
        seq=seq,
        created_s=float(transaction.meta("created_s")),
        changed_s=changed_s,
        snapshot=_snapshot(transaction),
        index=None if health is None else {name: round(value, 4) for name, value in health._asdict().items()},
        bytes=transaction.size_bytes(),
    )


def _snapshot(transaction: ReadTransaction) -> str:
    """One line about the snapshot of the index."""
    path = snapshots.current(transaction.folder)
    if path is None:
        return "none"
    try:
        manifest = snapshots.manifest_of(path)
    except BadIndex as error:
        return f"damaged: {error}"
    return f"{manifest.kind}, {manifest.count} vectors, as of commit {manifest.seq}"
