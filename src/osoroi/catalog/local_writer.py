"""The writing half of a local catalog: each method is one commit, and a compaction follows where it is due."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from osoroi.catalog.memory.compaction import Compactor, sweep
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.protocol import Entry
from osoroi.catalog.store import database, photos, validation, writer
from osoroi.catalog.store.pool import Pool
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.records import Product, Value


class LocalWriter:
    """Commits to one open catalog. ``swap`` gets the memory index that a compaction has made."""

    def __init__(
        self, pool: Pool, encoder: StoredEncoder, settings: CatalogSettings, swap: Callable[[MemoryIndex], None]
    ) -> None:
        self.encoder = encoder
        self.compactor = Compactor(pool, encoder, settings, swap, functools.partial(sweep, pool))
        self._pool = pool

    @contextlib.contextmanager
    def commit(
        self, kind: str, products: Sequence[str] | None = None
    ) -> Iterator[tuple[ReadTransaction, writer.Touched]]:
        """One commit, alone whatever ``products`` it writes; no line of it where nothing was touched."""
        touched = writer.Touched()
        with self._pool.commit() as transaction:
            transaction.demand_encoder(self.encoder)
            yield transaction, touched
            touched.seq = writer.record(transaction.connection, kind, touched)
        if touched:
            self.compactor.consider()

    def put(self, entries: Iterable[Entry], *, fingerprint: str) -> int:
        """Put products with exactly these crops, see ``Storage.put``."""
        prepared = self._prepared(entries, fingerprint)
        with self.commit("put") as (transaction, touched):
            self._write(prepared, transaction, touched)
        return touched.seq

    def put_if_unchanged(self, changes: Sequence[tuple[Entry, Entry]], *, fingerprint: str) -> list[str]:
        """Put entries of products that stand as they were read, see ``Storage.put_if_unchanged``."""
        prepared = self._prepared((after for _, after in changes), fingerprint)
        with self.commit("put") as (transaction, touched):
            as_read, stale = writer.parted([before for before, _ in changes], prepared, transaction)
            self._write(as_read, transaction, touched)
        return stale

    def _prepared(self, entries: Iterable[Entry], fingerprint: str) -> list[writer.Prepared]:
        """Entries with their photos read, before a commit begins."""
        folder = self._pool.folder
        writer.demand_encoder_of(folder, self.encoder, fingerprint)
        with database.explained(folder):
            self._pool.check_identity()
            return [writer.prepared(folder, self.encoder.dim, entry) for entry in entries]

    def _write(
        self, prepared: Iterable[writer.Prepared], transaction: ReadTransaction, touched: writer.Touched
    ) -> None:
        for one in prepared:
            writer.put(transaction.connection, self.encoder.encoder, one, touched)
            photos.ensure(self._pool.folder, one.photos)

    def apply(
        self, entries: Iterable[Entry], products: Iterable[Product], remove: Iterable[str], *, fingerprint: str
    ) -> int:
        """Put entries, change metadata and remove products in one commit, see ``Storage.apply``."""
        writer.demand_encoder_of(self._pool.folder, self.encoder, fingerprint)
        with self.commit("sync") as (transaction, touched):
            writer.apply(transaction, self.encoder, entries, products, remove, touched)
        return touched.seq

    def patch(self, product_id: str, changes: Mapping[str, Value]) -> int:
        """Change metadata alone, see ``Storage.patch``."""
        with self.commit("patch") as (transaction, touched):
            product = writer.patched(transaction.product(product_id), changes)
            validation.demand_product(product)
            writer.put_product(transaction.connection, product, touched)
        return touched.seq

    def remove(self, product_ids: Iterable[str]) -> list[str]:
        """Remove products with their crops; returns the ids that were there, in the order given."""
        with self.commit("remove") as (transaction, touched):
            return [one for one in product_ids if writer.remove(transaction.connection, one, touched)]

    def drop(self, product_id: str, crop_ids: Iterable[str]) -> int:
        """Remove these crops of a product, unless no other would be left; returns how many went."""
        gone = set(crop_ids)
        with self.commit("drop") as (transaction, touched):
            rows = transaction.all(
                "SELECT crop, crop_id FROM crops JOIN products USING (product) WHERE product_id = ?", product_id
            )
            keys = [crop for crop, crop_id in rows if crop_id in gone]
            if len(keys) == len(rows):
                return 0
            writer.remove_crops(transaction.connection, keys, touched)
        return len(keys)

    def put_encoder(self, transaction: ReadTransaction, encoder: StoredEncoder) -> int:
        """Inside a commit: an encoder whose vectors are going to come; returns its number."""
        return writer.put_encoder(transaction.connection, encoder)

    def remove_product(self, transaction: ReadTransaction, product_id: str, touched: writer.Touched) -> None:
        """Inside a commit: remove a product with its crops."""
        writer.remove(transaction.connection, product_id, touched)
