"""A catalog in PostgreSQL: opened, created, and searched as every other."""

import contextlib
import functools
import logging
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg

from osoroi import files
from osoroi.catalog.address import Address, folder_of
from osoroi.catalog.memory import snapshots
from osoroi.catalog.memory.compaction import Compactor, sweep_rows
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.postgres import schema
from osoroi.catalog.postgres.bucket import Bucket
from osoroi.catalog.postgres.connection import Native, PostgresConnection, explained
from osoroi.catalog.postgres.follower import Follower
from osoroi.catalog.postgres.pool import PostgresPool
from osoroi.catalog.postgres.transaction import PostgresTransaction
from osoroi.catalog.postgres.writer import PostgresWriter, put_encoder
from osoroi.catalog.protocol import EncoderFacts
from osoroi.catalog.store import identity
from osoroi.catalog.store.photos import hash_of
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder, described
from osoroi.catalog.store.settings import WAIT_S, CatalogSettings
from osoroi.catalog.store.writer import put_meta, use_encoder
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import BadCatalog, BadRequest, CatalogUnavailable
from osoroi.records import Part

log = logging.getLogger(__name__)

DEFAULTS = CatalogSettings()

CHANGES_RETAINED = 100_000
"""Lines of ``changes`` that stay for searchers that come late; one that comes later reads the catalog anew."""


UNSWEPT = "unswept"
"""In ``meta`` from when photos go until the bucket is swept: a sweep that failed is repeated by the next compaction."""


class PostgresCatalog(StoredCatalog):
    """See ``osoroi.catalog.Storage``, and ``StoredCatalog`` for what it does like every other."""

    def __init__(self, address: Address, *, readonly: bool, wait_s: float, settings: CatalogSettings) -> None:
        self.address = address
        self._pool = _pool(address, readonly=readonly, wait_s=wait_s)
        try:
            with self._pool.view() as transaction:
                encoder = transaction.encoder()
        except BaseException:
            self._pool.close()
            raise
        super().__init__(self._pool, str(address), encoder, settings, readonly=readonly)
        with explained(address):
            _claim(self.folder, self._pool.identity)
        self._follower: Follower | None = None
        self._starting = threading.Lock()

    @classmethod
    def create(
        cls,
        address: Address,
        *,
        fingerprint: str,
        dim: int,
        parts: Sequence[Part] = (),
        about: Mapping[str, str] | None = None,
        settings: CatalogSettings = DEFAULTS,
    ) -> "PostgresCatalog":
        """A new, empty catalog for one encoder's vectors, opened for writing; its schema is made where it is missing.

        Raises BadCatalog where there is a catalog already, and where the schema holds something else.
        """
        if dim < 1 or (parts and sum(part.size for part in parts) != dim):
            raise BadRequest(f"parts {[(part.name, part.size) for part in parts]} do not make vectors of {dim} numbers")
        encoder = StoredEncoder(0, fingerprint, dim, tuple(parts), about or {}, 0.0)
        with explained(address), contextlib.closing(_connect(address, WAIT_S)) as native:
            _make(native, address, encoder)
        return cls.open(address, settings=settings)

    @classmethod
    def open(
        cls, address: Address, *, readonly: bool = False, wait_s: float = WAIT_S, settings: CatalogSettings = DEFAULTS
    ) -> "PostgresCatalog":
        """A catalog that is there; a writer waits ``wait_s`` seconds for others and then raises Busy.

        Raises BadCatalog where there is none, or one of a newer version; CatalogUnavailable where no server answers.
        """
        return cls(address, readonly=readonly, wait_s=wait_s, settings=settings)

    @classmethod
    def open_or_create(
        cls, address: Address, encoder: EncoderFacts, *, settings: CatalogSettings = DEFAULTS
    ) -> "PostgresCatalog":
        """The catalog at an address, opened for writing; a new one for this encoder where there is none."""
        if is_catalog(address):
            return cls.open(address, settings=settings)
        facts = described(encoder)
        return cls.create(
            address,
            fingerprint=facts.fingerprint,
            dim=facts.dim,
            parts=facts.parts,
            about=facts.about,
            settings=settings,
        )

    @functools.cached_property
    def writer(self) -> PostgresWriter:
        """The writing half; raises BadCatalog where the catalog was opened for reading."""
        self._pool.check_writable()
        return PostgresWriter(self._pool, self.encoder, self._committed)

    def _committed(self) -> None:
        """After each commit of this handle: a snapshot, where one is due."""
        self.compactor.consider()

    @functools.cached_property
    def compactor(self) -> Compactor:
        """What writes snapshots of the index into the cache of this machine."""
        return Compactor(self._pool, self.encoder, self._settings, self.swap, self._sweep)

    @property
    def bucket(self) -> Bucket | None:
        """Where the catalog keeps photos; None where that is the database."""
        return self._pool.bucket

    def _sweep(self, seq: int) -> None:
        """Throw out what nobody needs, where this handle may write."""
        if self.readonly:
            return
        sweep_rows(self._pool, seq - CHANGES_RETAINED)
        bucket, mark = self.bucket, None
        with self._pool.commit() as transaction:
            deleted = transaction.connection.execute(
                "DELETE FROM photos WHERE sha256 NOT IN (SELECT sha256 FROM crops WHERE path IS NULL)"
            ).rowcount
            if bucket is not None:
                if deleted:
                    put_meta(transaction.connection, UNSWEPT, repr(time.time()))
                mark = transaction.one("SELECT value FROM meta WHERE name = ?", UNSWEPT)
        if bucket is not None and mark:
            try:
                self._sweep_bucket(bucket)
            except CatalogUnavailable as error:
                log.warning("%s: photos that nobody needs stay for now: %s", self.location, error)
                return
            with self._pool.commit() as transaction:  # unless more photos have gone since
                transaction.connection.execute("DELETE FROM meta WHERE name = ? AND value = ?", (UNSWEPT, mark[0]))

    def _sweep_bucket(self, bucket: Bucket) -> None:
        """Remove photos that the database does not name: looked for while all goes on, and once more while no writer
        can name one."""
        for hashes in bucket.hashes():
            with self._pool.view() as transaction:
                gone = _unnamed(transaction, hashes)
            if gone:
                with self._pool.commit() as transaction:
                    bucket.delete(_unnamed(transaction, gone))

    @contextlib.contextmanager
    def current(self) -> Iterator[tuple[ReadTransaction, MemoryIndex]]:
        """See ``StoredCatalog``. From the second search on, a thread brings the index up to date before searches come.

        The snapshot in the cache is this machine's own, so readers, too, write a new one where that is due.
        """
        is_first = self._memory is None
        if is_first and self._lacks_snapshot():  # built once, and saved, rather than built for this search alone
            self.compactor.run()
        before = self._memory and self._memory.seq
        with super().current() as both:
            yield both
        if not is_first and self._follower is None:
            with self._starting:
                if self._follower is None:
                    self._follower = Follower(self._pool, self._catch_up)
        if before != both[1].seq:
            self.compactor.consider()

    def _lacks_snapshot(self) -> bool:
        """Whether this machine should have a snapshot and has none, or one that is old."""
        if not self._settings.compacts:
            return False
        shard = self._settings.shard
        if snapshots.current(self.folder / shard.folder) is not None:
            return self.compactor.is_due()
        with self.view() as transaction:
            return transaction.crop_count(shard) >= self._settings.snapshot_from

    def _catch_up(self) -> None:
        """Bring the index up to what is committed."""
        with super().current():
            pass

    def settle(self) -> None:
        """Wait until a compaction that this handle began in the background has ended."""
        self.compactor.wait()

    def close(self) -> None:
        """Close the connections, once a compaction that is under way has ended. What was committed stays."""
        with self._starting:
            if self._follower is not None:
                self._follower.stop()
        self.settle()
        self._pool.close()

    def remove_empty(self) -> bool:
        """Remove the catalog's tables where it holds no product, and its schema where nothing else is in it; whether
        they are gone."""
        with self._pool.commit() as transaction:
            if transaction.count()[0]:
                return False
            _drop(transaction.connection, self.address)
        return True

    # files of the catalog, such as its encoder

    def store_file(self, name: str, source: Path | None) -> None:
        """Keep a copy of a file in the database; None removes the one that is there."""
        with explained(self.address):
            data = None if source is None else files.content(source)
        with self._pool.commit() as transaction:
            transaction.connection.execute("DELETE FROM files WHERE name = ?", (name,))
            if data is not None:
                statement = "INSERT INTO files VALUES (?, ?, ?)"
                transaction.connection.execute(statement, (name, hash_of(data), data))

    def fetch_file(self, name: str) -> Path | None:
        """The file of this name as a file in the cache; None where there is none."""
        path = self.folder / name
        with self._pool.view() as transaction:
            stored = transaction.one("SELECT sha256 FROM files WHERE name = ?", name)
            if stored is None:
                path.unlink(missing_ok=True)
                return None
            if not (path.is_file() and files.sha256(path) == stored[0]):
                (data,) = transaction.one("SELECT data FROM files WHERE name = ?", name)
                if hash_of(data) != stored[0]:
                    raise transaction.damaged(f"its file {name!r} is not what was written")
                files.write_atomically(path, data)
        return path


def _unnamed(transaction: PostgresTransaction, hashes: Sequence[str]) -> list[str]:
    """Those of these photos that the catalog does not keep."""
    named = {name for (name,) in transaction.all("SELECT sha256 FROM photos WHERE sha256 = ANY(?)", list(hashes))}
    return [one for one in hashes if one not in named]


def _claim(cache: Path, identity_: str) -> None:
    """Make a cache this catalog's; what another one at the same address left of its index goes."""
    owner = cache / "identity"
    if not owner.is_file() or files.content(owner).decode() != identity_:
        for index in [cache / snapshots.FOLDER, *cache.glob(f"shard-*/{snapshots.FOLDER}")]:
            shutil.rmtree(index, ignore_errors=True)
        files.write_atomically(owner, identity_.encode(), durable=False)


def is_catalog(address: Address) -> bool:
    """Whether a catalog stands at an address, of whatever version; raises CatalogUnavailable where none answers."""
    with explained(address), contextlib.closing(_connect(address, WAIT_S)) as native:
        return bool(schema.version_of(PostgresConnection(native), address.schema))


def reading_pool(address: Address) -> PostgresPool:
    """Views of a catalog that need not be sound; raises BadCatalog where there is none."""
    return _pool(address, readonly=True, wait_s=WAIT_S)


def _pool(address: Address, *, readonly: bool, wait_s: float) -> PostgresPool:
    """The connections of a catalog that is there, its tables up to date, and its cache a folder."""
    with explained(address), contextlib.closing(_connect(address, wait_s)) as native:
        bring_up_to_date(native, address, readonly=readonly)
        folder_of(address).mkdir(parents=True, exist_ok=True)
    return PostgresPool(address, folder_of(address), readonly=readonly, wait_s=wait_s)


def _connect(address: Address, wait_s: float) -> Native:
    timeout = max(2, int(wait_s))
    return psycopg.connect(address.conninfo, autocommit=True, connect_timeout=timeout, prepare_threshold=None)


def bring_up_to_date(native: Native, address: Address, *, readonly: bool, steps: Sequence[str] = schema.STEPS) -> None:
    """Bring the tables of an older version up to date; raises BadCatalog where there are none that this one reads."""
    connection = PostgresConnection(native)
    version = schema.version_of(connection, address.schema)
    schema.demand(address, version, steps)
    if version == len(steps):
        return
    if readonly:
        raise BadCatalog(
            f"the catalog {address} has version {version} of its tables",
            hint="open it for writing once, with 'osoroi check' for instance, to bring it up to date",
        )
    with _alone(native, address):
        schema.upgrade(connection, schema.version_of(connection, address.schema), steps)


@contextlib.contextmanager
def _alone(native: Native, address: Address) -> Iterator[None]:
    """A transaction in a schema that nobody else makes or brings up to date meanwhile."""
    connection = PostgresConnection(native)
    with native.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"osoroi {address.schema}",))
        connection.together(f"SET LOCAL search_path TO {schema.quoted(address.schema)}")
        yield


def _make(native: Native, address: Address, encoder: StoredEncoder) -> None:
    """The tables and the first rows of a new catalog, all or nothing."""
    connection = PostgresConnection(native)
    with _alone(native, address):
        connection.together(f"CREATE SCHEMA IF NOT EXISTS {schema.quoted(address.schema)}")
        if schema.version_of(connection, address.schema):
            raise BadCatalog(f"there is a catalog at {address} already", hint="open it, or name another schema")
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = ?", (address.schema,))
        if schema.TABLES & {name for (name,) in tables.fetchall()}:
            raise BadCatalog(f"the schema of {address} holds tables of the same names", hint="name another schema")
        schema.upgrade(connection, 0)
        transaction = PostgresTransaction(folder_of(address), connection, address)
        use_encoder(connection, put_encoder(transaction, encoder))
        put_meta(connection, "created_s", repr(time.time()))
        name = identity.new()
        put_meta(connection, "identity", name)
        if address.photos is not None:
            Bucket(address.photos, name, "").demand()
            put_meta(connection, transaction.PHOTOS, address.photos)


def _drop(connection: PostgresConnection, address: Address) -> None:
    """Remove the tables of a catalog, and its schema where nothing else is in it."""
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = ?", (address.schema,)).fetchall()
    derived = [name for (name,) in found if name.startswith("halfvecs_")]
    connection.together(f"DROP TABLE {', '.join([*derived, *sorted(schema.TABLES)])}")
    connection.together("DROP SEQUENCE encoder_keys, product_keys, crop_keys")
    others = connection.execute(
        "SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace(?)::oid LIMIT 1", (schema.quoted(address.schema),)
    )
    if others.fetchone() is None:
        connection.together(f"DROP SCHEMA {schema.quoted(address.schema)}")
