"""The writing half of a catalog in PostgreSQL: each method is one commit, and other writers go on beside it."""

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from osoroi.catalog.postgres.connection import AGAIN, explained
from osoroi.catalog.postgres.pool import PostgresPool
from osoroi.catalog.postgres.rows import ChangedRows
from osoroi.catalog.postgres.transaction import PostgresTransaction
from osoroi.catalog.protocol import Entry
from osoroi.catalog.store import validation
from osoroi.catalog.store.photos import BucketPhoto, StoredPhoto, hash_of, place, remembered
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import EncoderRow, StoredEncoder, checksum
from osoroi.catalog.store.writer import Prepared, Touched, demand_encoder_of, parted, patched, record, taken
from osoroi.errors import BadRequest, Busy
from osoroi.records import Product, Source, Value

T = TypeVar("T")

ATTEMPTS = 5
"""How often a commit begins again that another writer got in the way of."""

CHUNK = 200
"""Products of a sync that are read and written together."""


class PostgresWriter:
    """Commits to one open catalog; ``committed`` is called after each."""

    def __init__(self, pool: PostgresPool, encoder: StoredEncoder, committed: Callable[[], None]) -> None:
        self.encoder = encoder
        self._pool = pool
        self._committed = committed

    @contextlib.contextmanager
    def commit(self, kind: str, products: Sequence[str] | None = None) -> Iterator[tuple[PostgresTransaction, Touched]]:
        """One commit; nothing at all is written where nothing was touched. Alone, or beside those that write other
        products."""
        touched = Touched()
        with self._pool.commit(products, encoder=self.encoder) as transaction:
            yield transaction, touched
            if touched:
                last = self._pool.seal(transaction.connection)
                touched.seq = record(transaction.connection, kind, touched, last=last)
                self._pool.notify(transaction.connection, touched.seq)
            else:
                touched.seq = transaction.seq()
        if touched:
            self._committed()

    def _again(self, work: Callable[[], T]) -> T:
        """Do one commit, once more where another writer got in its way."""
        for attempt in itertools.count(1):
            try:
                return work()
            except Busy as error:
                if attempt == ATTEMPTS or not isinstance(error.__cause__, AGAIN):
                    raise
        raise AssertionError("never reached")

    def put(self, entries: Iterable[Entry], *, fingerprint: str) -> int:
        """Put products with exactly these crops, see ``Storage.put``."""
        prepared = self._all_prepared(entries, fingerprint)
        return self._again(lambda: self._put(prepared))

    def _put(self, prepared: Sequence[Prepared]) -> int:
        with self.commit("put", ids_of(prepared)) as (transaction, touched):
            self._write(prepared, transaction, touched)
        return touched.seq

    def put_if_unchanged(self, changes: Sequence[tuple[Entry, Entry]], *, fingerprint: str) -> list[str]:
        """Put entries of products that stand as they were read, see ``Storage.put_if_unchanged``."""
        prepared = self._all_prepared((after for _, after in changes), fingerprint)
        return self._again(lambda: self._put_if_unchanged([before for before, _ in changes], prepared))

    def _put_if_unchanged(self, before: Sequence[Entry], prepared: Sequence[Prepared]) -> list[str]:
        with self.commit("put", ids_of(prepared)) as (transaction, touched):
            as_read, stale = parted(before, prepared, transaction)
            self._write(as_read, transaction, touched)
        return stale

    def _all_prepared(self, entries: Iterable[Entry], fingerprint: str) -> list[Prepared]:
        demand_encoder_of(self._pool.address, self.encoder, fingerprint)
        if self._pool.bucket is not None:
            self._pool.bucket.list_ahead()
        with explained(self._pool.address):
            return [self._prepared(entry) for entry in entries]

    def _write(self, prepared: Sequence[Prepared], transaction: PostgresTransaction, touched: Touched) -> None:
        rows = ChangedRows(transaction, self.encoder.encoder, touched)
        rows.load(ids_of(prepared), [crop.crop_id for one in prepared for crop in one.crops], names_of(prepared))
        for one in prepared:
            rows.put(one)
        rows.flush()

    def apply(
        self, entries: Iterable[Entry], products: Iterable[Product], remove: Iterable[str], *, fingerprint: str
    ) -> int:
        """Put entries, change metadata and remove products in one commit, see ``Storage.apply``. Other writers wait."""
        demand_encoder_of(self._pool.address, self.encoder, fingerprint)
        settled: set[str] = set()  # products that were put
        robbed: dict[str, str] = {}  # product -> a crop that another one has taken from it
        with self.commit("sync") as (transaction, touched):
            prepared = (self._prepared(entry) for entry in entries)
            while chunk := list(itertools.islice(prepared, CHUNK)):
                self._apply_chunk(chunk, settled, robbed, transaction, touched)
            changed = list(products)
            rows = ChangedRows(transaction, self.encoder.encoder, touched)
            rows.load([one.product_id for one in changed], names={name for one in changed for name in one.attributes})
            for product in changed:
                if product.product_id not in rows.products:
                    transaction.row(product.product_id)  # raises NotFound
                demand_storable(product)
                rows.put_product(product)
            rows.flush()
            gone = list(remove)
            self._remove(transaction, gone, touched)
            for product_id, crop_id in robbed.items():
                if product_id not in gone:
                    raise taken(crop_id, product_id)
        return touched.seq

    def _apply_chunk(
        self,
        chunk: Sequence[Prepared],
        settled: set[str],
        robbed: dict[str, str],
        transaction: PostgresTransaction,
        touched: Touched,
    ) -> None:
        """Put entries in their order; a crop may come from a product that is put later on, or removed."""
        rows = ChangedRows(transaction, self.encoder.encoder, touched)
        ids, crop_ids = [one.product.product_id for one in chunk], [crop.crop_id for one in chunk for crop in one.crops]
        rows.load(ids, crop_ids, names_of(chunk))
        for one in chunk:
            name = one.product.product_id
            for crop in one.crops:
                owner = rows.owner(crop.crop_id)
                if owner is not None and owner != name and owner not in settled:
                    robbed[owner] = crop.crop_id
                    rows.remove_crops([rows.crops[crop.crop_id]])
            rows.put(one)
            settled.add(name)
            robbed.pop(name, None)
        rows.flush()

    def patch(self, product_id: str, changes: Mapping[str, Value]) -> int:
        """Change metadata alone, see ``Storage.patch``."""
        return self._again(lambda: self._patch(product_id, changes))

    def _patch(self, product_id: str, changes: Mapping[str, Value]) -> int:
        with self.commit("patch", [product_id]) as (transaction, touched):
            product = patched(transaction.product(product_id), changes)
            demand_storable(product)
            rows = ChangedRows(transaction, self.encoder.encoder, touched)
            rows.load([product_id], names=product.attributes)
            rows.put_product(product)
            rows.flush()
        return touched.seq

    def remove(self, product_ids: Iterable[str]) -> list[str]:
        """Remove products with their crops; returns the ids that were there, in the order given."""
        wanted = list(product_ids)

        def work() -> list[str]:
            with self.commit("remove", wanted) as (transaction, touched):
                return self._remove(transaction, wanted, touched)

        return self._again(work)

    def _remove(self, transaction: PostgresTransaction, product_ids: Sequence[str], touched: Touched) -> list[str]:
        rows = ChangedRows(transaction, self.encoder.encoder, touched)
        rows.load(product_ids)
        removed = [one for one in product_ids if rows.remove(one)]
        rows.flush()
        rows.delete_products()
        return removed

    def drop(self, product_id: str, crop_ids: Iterable[str]) -> int:
        """Remove these crops of a product, unless no other would be left; returns how many went."""
        gone = set(crop_ids)

        def work() -> int:
            with self.commit("drop", [product_id]) as (transaction, touched):
                rows = ChangedRows(transaction, self.encoder.encoder, touched)
                rows.load([product_id])
                dropped = [row for row in rows.crops.values() if row.crop_id in gone]
                if len(dropped) == len(rows.crops):
                    return 0
                rows.remove_crops(dropped)
                rows.flush()
            return len(dropped)

        return self._again(work)

    def put_encoder(self, transaction: ReadTransaction, encoder: StoredEncoder) -> int:
        """Inside a commit: an encoder whose vectors are going to come; returns its number."""
        return put_encoder(transaction, encoder)

    def remove_product(self, transaction: ReadTransaction, product_id: str, touched: Touched) -> None:
        """Inside a commit: remove a product with its crops."""
        assert isinstance(transaction, PostgresTransaction)
        self._remove(transaction, [product_id], touched)

    def _prepared(self, entry: Entry) -> Prepared:
        """An entry after its checks; raises BadRequest and BadPhoto."""
        validation.demand(entry, self.encoder.dim)
        demand_storable(entry.product, [text for crop in entry.crops for text in (crop.crop_id, crop.split)])
        photos = [self._photo(crop.photo, crop.sha256) for crop in entry.crops]
        return Prepared(entry.product, entry.crops, photos, entry.vectors)

    def _photo(self, photo: Source, known: str | None) -> StoredPhoto:
        """A photo on disk by its path, bytes to be kept in the database."""
        if isinstance(photo, Path):
            return remembered(self._pool.folder, photo, known)
        if isinstance(photo, BucketPhoto) and photo.path == place(self._pool.folder, photo.sha256):
            return StoredPhoto(photo.sha256, None)
        data = photo if isinstance(photo, bytes) else photo.read()
        return StoredPhoto(hash_of(data), None, data)


def demand_storable(product: Product, of_crops: Sequence[str | None] = ()) -> None:
    """Raise BadRequest for a product whose values PostgreSQL cannot store: unlike SQLite it has no text with a NUL."""
    validation.demand_product(product)
    columns = {name: value for name, value in vars(product).items() if name != "attributes"}
    for name, value in [*columns.items(), *product.attributes.items(), *(("crop", one) for one in of_crops)]:
        texts = [name, *(value if isinstance(value, tuple) else [value])]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise BadRequest(
                f"product {product.product_id!r} has a NUL character in {name!r}",
                hint="PostgreSQL stores no NUL; remove it from the text",
            )


def ids_of(prepared: Iterable[Prepared]) -> list[str]:
    """The ids of products that are put, in their order."""
    return [one.product.product_id for one in prepared]


def names_of(entries: Iterable[Prepared]) -> set[str]:
    """The names of attributes of products."""
    return {name for one in entries for name in one.product.attributes}


def put_encoder(transaction: ReadTransaction, encoder: StoredEncoder) -> int:
    """Add an encoder; returns its number."""
    number = int(transaction.one("SELECT nextval('encoder_keys')")[0])
    parts, about = json.dumps([asdict(part) for part in encoder.parts]), json.dumps(dict(encoder.about))
    values = (number, encoder.fingerprint, encoder.dim, parts, about, time.time())
    row = EncoderRow(*values, checksum(*values))
    transaction.connection.execute("INSERT INTO encoders VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return number
