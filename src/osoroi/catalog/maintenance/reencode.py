"""A catalog moves to another encoder: new vectors beside the old ones, searches going on, and one switch at the end.

Stopped at any point, the catalog is still the old encoder's, and the next run goes on where this one was. The switch is
one commit that finds every crop with a new vector, or does not happen.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from osoroi import image
from osoroi.catalog.local import LocalCatalog, described
from osoroi.catalog.store import writer
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import slot, vector_row
from osoroi.encoder import Encoder
from osoroi.encoder.loader import Input
from osoroi.errors import BadCatalog, BadPhoto, Busy
from osoroi.image import Limits
from osoroi.records import Clues, Crop

CHUNK = 64
"""Crops in one commit: about a second of work to lose at most."""

NAMED = 5
"""Photos that an error names."""


class Unread(NamedTuple):
    """A crop whose photo gives no vector, and why."""

    product_id: str
    crop_id: str
    reason: str


@dataclass(frozen=True)
class Moved:
    """What a run did. Where nothing was switched, the catalog was that encoder's already."""

    embedded: int
    dropped: tuple[Unread, ...]
    switched: bool


def reencode(
    folder: Path,
    encoder: Encoder,
    *,
    threads: int = 2,
    limits: Limits | None = None,
    drop: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Moved:
    """Give every crop of a catalog a vector of this encoder, then switch. ``on_progress`` gets crops embedded so far.

    A photo that cannot be read, or is no longer the one that was added, keeps the catalog with the old encoder: raises
    BadCatalog naming it. With ``drop`` its crops are removed instead, and products that have no other.
    """
    embedded, dropped = 0, []
    with LocalCatalog.open(folder) as catalog, ThreadPoolExecutor(threads) as pool:
        if catalog.fingerprint == encoder.fingerprint:
            return Moved(0, (), switched=False)
        number = _begin(catalog, encoder)
        look = partial(_look, encoder=encoder, limits=limits or Limits())
        while True:
            unread: list[tuple[int, Crop, Unread]] = []
            for crops in _pending(catalog, encoder, number):
                looks = list(pool.map(look, crops))
                unread += [
                    (key, crop, one)
                    for (key, crop, _), one in zip(crops, looks, strict=True)
                    if isinstance(one, Unread)
                ]
                embedded += _store(catalog, encoder, number, crops, looks)
                on_progress(embedded)
            if unread and not drop:
                problem = _refusal(folder, [one for _, _, one in unread])
                raise BadCatalog(problem, hint="put the photos back, or drop their crops with --drop")
            dropped += _drop(catalog, unread)
            if _switch(catalog, number):
                break
    with LocalCatalog.open(folder) as catalog:
        catalog.compact()
    return Moved(embedded, tuple(dropped), switched=True)


def _begin(catalog: LocalCatalog, encoder: Encoder) -> int:
    """The new encoder's number: a new one, or that of a move which was stopped. A move to yet another is given up."""
    with catalog._pool.commit() as transaction:
        catalog.demand_same(transaction)
        statement = "DELETE FROM encoders WHERE encoder != ? AND fingerprint != ?"
        transaction.connection.execute(statement, (catalog.encoder.encoder, encoder.fingerprint))
        row = transaction.one("SELECT encoder FROM encoders WHERE fingerprint = ?", encoder.fingerprint)
        if row is not None:
            return int(row[0])
        return writer.put_encoder(transaction.connection, described(encoder))


class Pending(NamedTuple):
    """A crop that has no vector of the new encoder: its key, and what its product's category says of its kind."""

    key: int
    crop: Crop
    clues: Clues


def _pending(catalog: LocalCatalog, encoder: Encoder, number: int) -> Iterator[list[Pending]]:
    """Crops that have no vector of the new encoder, by rising key."""
    last = 0
    while True:
        with catalog._pool.view() as transaction:
            rows = transaction.all(
                "SELECT crops.*, product_id FROM crops JOIN products USING (product) WHERE crop > ?"
                " AND NOT EXISTS (SELECT 1 FROM vectors WHERE slot = ? + crop) ORDER BY crop LIMIT ?",
                *(last, slot(number, 0), CHUNK),
            )
            crops = [
                Pending(
                    int(row[0]),
                    transaction.crop_of(row[:-1], row[-1]),
                    encoder.clues_of(transaction.product(row[-1])),
                )
                for row in rows
            ]
        if not crops:
            return
        yield crops
        last = crops[-1].key


def _look(pending: Pending, encoder: Encoder, limits: Limits) -> Input | Unread:
    """What the encoder takes of a crop, if its photo is still the one that was added."""
    crop = pending.crop
    try:
        data = image.load(crop.photo, limits=limits)
        if hashlib.sha256(data).hexdigest() != crop.sha256:
            reason = f"{image.name_of(crop.photo)} is no longer the photo that was added; add it again"
            return Unread(crop.product_id, crop.crop_id, reason)
        return Input(image.crop(data, crop.box, encoder.preprocessing["shop"], limits=limits), pending.clues)
    except BadPhoto as error:
        return Unread(crop.product_id, crop.crop_id, str(error))


def _store(
    catalog: LocalCatalog, encoder: Encoder, number: int, crops: Sequence[Pending], looks: Sequence[Input | Unread]
) -> int:
    """Store the new vectors of those crops that nobody changed or removed meanwhile; what the shop says of their kind
    must be the same, too."""
    read = [(each, look) for each, look in zip(crops, looks, strict=True) if not isinstance(look, Unread)]
    vectors = encoder.encode_inputs([look for _, look in read])
    with catalog._pool.commit() as transaction:
        _demand_move(catalog, transaction, number)
        for (pending, _), vector in zip(read, vectors, strict=True):
            row = transaction.one("SELECT * FROM crops WHERE crop = ?", pending.key)
            if row is None or transaction.crop_of(row, pending.crop.product_id) != pending.crop:
                continue
            if encoder.clues_of(transaction.product(pending.crop.product_id)) == pending.clues:
                statement = "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)"
                transaction.connection.execute(statement, vector_row(slot(number, pending.key), vector))
    return len(read)


def _drop(catalog: LocalCatalog, unread: Sequence[tuple[int, Crop, Unread]]) -> list[Unread]:
    """Remove crops without a photo that can be read, and products that have no other; which they were.

    Crops that somebody has put anew since their photo was looked at stay: the next round looks at them.
    """
    if not unread:
        return []
    dropped = []
    with catalog._commit("drop") as (transaction, touched):
        for key, crop, why in unread:
            row = transaction.one("SELECT * FROM crops WHERE crop = ?", key)
            if row is None or transaction.crop_of(row, crop.product_id) != crop:
                continue
            writer.remove_crops(transaction.connection, [key], touched)
            if not transaction.one("SELECT 1 FROM crops WHERE product = ?", row[2]):
                writer.remove(transaction.connection, crop.product_id, touched)
            dropped.append(why)
    return dropped


def _switch(catalog: LocalCatalog, number: int) -> bool:
    """Make the new encoder the catalog's, unless a crop came in meanwhile that has no vector of it."""
    with catalog._pool.commit() as transaction:
        _demand_move(catalog, transaction, number)
        if _missing(transaction, number):
            return False
        writer.use_encoder(transaction.connection, number)
        transaction.connection.execute("DELETE FROM encoders WHERE encoder != ?", (number,))
        writer.record(transaction.connection, "switch", writer.Touched(), always=True)
    return True


def _demand_move(catalog: LocalCatalog, transaction: ReadTransaction, number: int) -> None:
    """Raise where the catalog has moved already, or is moving to yet another encoder."""
    catalog.demand_same(transaction)
    if transaction.one("SELECT 1 FROM encoders WHERE encoder = ?", number) is None:
        raise Busy(f"the catalog {catalog.folder} began to move to another encoder", hint="begin one move at a time")


def _missing(transaction: ReadTransaction, number: int) -> bool:
    statement = "SELECT 1 FROM crops WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE slot = ? + crop) LIMIT 1"
    return transaction.one(statement, slot(number, 0)) is not None


def _refusal(folder: Path, unread: Sequence[Unread]) -> str:
    named = "; ".join(f"crop {one.crop_id!r}: {one.reason}" for one in unread[:NAMED])
    more = f"; and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
    return f"{len(unread)} crops of {folder} have no photo to embed anew, so it stays as it is: {named}{more}"
