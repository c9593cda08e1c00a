"""The database's side of a move to another encoder: which crops have no new vector yet, new vectors, and the switch.

Tables of an older version of the schema are another matter: ``postgres.schema`` brings them up to date, and
``store.database`` refuses a file of another format.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi.catalog.protocol import EncoderFacts
from osoroi.catalog.store import writer
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import CropRow, described, slot, vector_row
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import Busy
from osoroi.records import Crop, Product


class Pending(NamedTuple):
    """A crop that has no vector of the new encoder, its key, and its product: what the shop says of the product's kind
    is in vectors."""

    key: int
    crop: Crop
    product: Product


class Migration:
    """A move of one catalog to one encoder. Each method is one commit, and raises Busy where another move began."""

    def __init__(self, catalog: StoredCatalog, number: int) -> None:
        self._catalog = catalog
        self._number = number

    @classmethod
    def begin(cls, catalog: StoredCatalog, encoder: EncoderFacts) -> "Migration":
        """Begin to move, or go on with a move to the same encoder that was stopped; one to another is given up."""
        with catalog.commit("begin") as (transaction, _):
            statement = "DELETE FROM encoders WHERE encoder != ? AND fingerprint != ?"
            transaction.connection.execute(statement, (catalog.encoder.encoder, encoder.fingerprint))
            begun = transaction.one("SELECT encoder FROM encoders WHERE fingerprint = ?", encoder.fingerprint)
            if begun is not None:
                (number,) = begun
            else:
                number = catalog.writer.put_encoder(transaction, described(encoder))
            return cls(catalog, number)

    def pending(self, *, limit: int) -> Iterator[list[Pending]]:
        """The crops that have no vector of the new encoder, by rising key, at most ``limit`` at a time."""
        last = 0
        while True:
            with self._catalog.view() as transaction:
                rows = transaction.rows(
                    CropRow,
                    "SELECT * FROM crops WHERE crop > ?"
                    " AND NOT EXISTS (SELECT 1 FROM vectors WHERE slot = ? + crop) ORDER BY crop LIMIT ?",
                    *(last, slot(self._number, 0), limit),
                )
                owners = [transaction.owner_of(row) for row in rows]
                crops = [
                    Pending(row.crop, transaction.crop_of(row, owner), transaction.product(owner))
                    for row, owner in zip(rows, owners, strict=True)
                ]
            if not crops:
                return
            yield crops
            last = crops[-1].key

    def store(self, crops: Sequence[Pending], vectors: Float32[np.ndarray, "n d"]) -> None:
        """Store the vectors of those crops that nobody changed or removed meanwhile."""
        with self._catalog.commit("store") as (transaction, _):
            self._demand_begun(transaction)
            for one, vector in zip(crops, vectors, strict=True):
                if _unchanged(transaction, one):
                    row = vector_row(slot(self._number, one.key), vector)
                    writer.put_vector(transaction.connection, row)

    def drop(self, crops: Sequence[Pending]) -> list[Pending]:
        """Remove crops, and products that have no other; which they were.

        Crops that somebody has put anew meanwhile stay: they are pending again.
        """
        dropped = []
        with self._catalog.commit("drop") as (transaction, touched):
            for one in crops:
                if not _unchanged(transaction, one):
                    continue
                (product,) = transaction.one("SELECT product FROM crops WHERE crop = ?", one.key)
                writer.remove_crops(transaction.connection, [one.key], touched)
                if not transaction.one("SELECT 1 FROM crops WHERE product = ?", product):
                    self._catalog.writer.remove_product(transaction, one.crop.product_id, touched)
                dropped.append(one)
        return dropped

    def switch(self) -> bool:
        """Make the new encoder the catalog's; False where a crop came in meanwhile that has no vector of it."""
        with self._catalog.commit("switch") as (transaction, _):
            self._demand_begun(transaction)
            statement = "SELECT 1 FROM crops WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE slot = ? + crop) LIMIT 1"
            if transaction.one(statement, slot(self._number, 0)) is not None:
                return False
            writer.use_encoder(transaction.connection, self._number)
            transaction.connection.execute("DELETE FROM encoders WHERE encoder != ?", (self._number,))
            writer.record(transaction.connection, "switch", writer.Touched(), always=True)
        return True

    def _demand_begun(self, transaction: ReadTransaction) -> None:
        """Raise Busy where the catalog is moving to yet another encoder."""
        if transaction.one("SELECT 1 FROM encoders WHERE encoder = ?", self._number) is None:
            raise Busy(
                f"the catalog {self._catalog.location} began to move to another encoder",
                hint="begin one move at a time",
            )


def _unchanged(transaction: ReadTransaction, one: Pending) -> bool:
    """Whether a crop, and what the shop says of its kind, are still what they were when they were read."""
    row = transaction.first(CropRow, "SELECT * FROM crops WHERE crop = ?", one.key)
    if row is None or transaction.crop_of(row, one.crop.product_id) != one.crop:
        return False
    product = transaction.product(one.crop.product_id)
    return (product.category, product.attributes) == (one.product.category, one.product.attributes)
