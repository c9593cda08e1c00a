"""Transactions of a catalog in PostgreSQL, on pooled connections: views, and commits of many writers at once.

**Locks.** A commit holds the catalog's advisory lock shared, and one lock for each product that it writes, so that
writers of other products go on beside it; a sync, a move to another encoder and a sweep hold the catalog's lock alone.
All locks end with their transaction, whatever becomes of the process.

**``seq``** has no gap that a reader could miss. A commit takes one more lock as the last thing it does (``seal``),
reads the highest ``seq`` in a statement after that, and adds its line. PostgreSQL lets go of a lock after the commit
can be seen, so whoever sees a line sees every line before it.
"""

import contextlib
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from osoroi.catalog.address import Address
from osoroi.catalog.postgres.bucket import Bucket
from osoroi.catalog.postgres.connection import READ_ONLY, Native, PostgresConnection, explained, prepare_where_it_lasts
from osoroi.catalog.postgres.schema import quoted
from osoroi.catalog.postgres.transaction import PostgresTransaction, halfvecs_of
from osoroi.catalog.store.rows import MetaRow, StoredEncoder, is_whole, meta_row
from osoroi.errors import BadCatalog, BadRequest, CatalogReplaced, CatalogUnavailable

CONNECTIONS = 16
"""Connections of one catalog at most."""

PRODUCTS_LOCKED = 500
"""Products that a commit locks one by one at most; a larger one holds the whole catalog."""

CATALOG, SEQ = 0, 1
"""Numbers of the locks of a catalog."""


class PostgresPool:
    """Transactions of one catalog. Each begins by comparing the catalog's identity with that of the opening.

    ``folder`` is the cache of this machine. A connection that the server or the network has cut is replaced before
    anything was done with it.
    """

    def __init__(self, address: Address, folder: Path, *, readonly: bool, wait_s: float) -> None:
        self.address = address
        self.folder = folder
        self.readonly = readonly
        self.identity = ""
        self.bucket: Bucket | None = None
        self._wait_s = wait_s
        self._path = f"SET LOCAL search_path TO {quoted(address.schema)}"
        self._closed = False
        self._process = os.getpid()
        self._pool: ConnectionPool[Native] = ConnectionPool(
            address.conninfo,
            min_size=0,
            max_size=CONNECTIONS,
            timeout=wait_s,
            kwargs={"autocommit": True, "connect_timeout": max(2, int(wait_s))},
            configure=prepare_where_it_lasts,
            open=False,
        )
        with explained(address):
            self._pool.open()
        try:
            with self.view() as transaction:
                self.identity, photos = transaction.identity(), transaction.photos_in()
                self._demand_photos(photos)
                if photos is not None:
                    self.bucket = Bucket(photos, self.identity, transaction.database())
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _connected(self, begin: str) -> Iterator[tuple[PostgresConnection, list[Any]]]:
        """A connection whose transaction was begun by these statements, and the first row of each; ends as committed,
        or rolled back where something is raised."""
        if self._closed:
            raise BadCatalog(f"the catalog {self.address} is closed", hint="open it again")
        if self._process != os.getpid():
            raise BadCatalog(
                f"the catalog {self.address} was opened before this process was forked", hint="open it in this process"
            )
        native, rows = self._begun(begin)
        connection = PostgresConnection(native)
        try:
            yield connection, rows
            connection.together("; ".join([*connection.last, "COMMIT"]))
        except BaseException:
            with contextlib.suppress(psycopg.Error):  # the server rolls back what loses its connection
                native.execute("ROLLBACK")
            raise
        finally:
            self._pool.putconn(native)

    def _begun(self, begin: str) -> tuple[Native, list[Any]]:
        """A connection in a transaction. One that was cut while it lay idle is thrown away for another."""
        end = time.monotonic() + self._wait_s
        while True:
            try:
                native = self._pool.getconn(max(0.1, end - time.monotonic()))
            except PoolTimeout:
                raise CatalogUnavailable(
                    f"the catalog {self.address} cannot be reached, or its {CONNECTIONS} connections are all in use",
                    hint="see whether the server runs, and try again",
                ) from None
            try:
                return native, PostgresConnection(native).together(begin)
            except psycopg.OperationalError:
                is_cut = native.closed
                self._give_back(native)
                if not is_cut or time.monotonic() > end:
                    raise
            except BaseException:
                self._give_back(native)
                raise

    def _give_back(self, native: Native) -> None:
        with contextlib.suppress(psycopg.Error):
            native.execute("ROLLBACK")
        self._pool.putconn(native)

    @contextlib.contextmanager
    def view(self) -> Iterator[PostgresTransaction]:
        """One state of the database."""
        begin = "; ".join(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", self._path, IDENTITY])
        with explained(self.address), self._replaced(), self._connected(begin) as (connection, rows):
            self._demand_identity(rows[2])
            yield PostgresTransaction(self.folder, connection, self.address, self.bucket)

    @contextlib.contextmanager
    def commit(
        self, products: Sequence[str] | None = None, *, encoder: StoredEncoder | None = None
    ) -> Iterator[PostgresTransaction]:
        """One commit, or none where something is raised; alone, or beside those that write other products.

        Raises OtherEncoder where ``encoder`` is not the catalog's any more.

        Raises Busy where others hold what it needs for longer than the time to wait.
        """
        self.check_writable()
        number = self._number()
        alone = products is None or len(products) > PRODUCTS_LOCKED
        lock = f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}({number}, {CATALOG})"
        if products and not alone:
            hashes = {signed(zlib.crc32(one.encode("utf-8", "surrogatepass"))) for one in products}
            keys = ",".join(map(str, sorted(hashes)))
            other = signed(number + 1)
            lock += f"; SELECT pg_advisory_xact_lock({other}, key) FROM unnest('{{{keys}}}'::int[]) AS key"  # noqa: S608 (numbers)
        wait = f"SET LOCAL lock_timeout = {max(1, int(1000 * self._wait_s))}"
        halfvecs = f"SELECT to_regclass('{halfvecs_of(encoder)}')::text" if encoder else "SELECT NULL"
        begin = "; ".join(
            ["BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", self._path, IDENTITY, wait, lock, ENCODER, halfvecs]
        )
        with explained(self.address), self._replaced(), self._connected(begin) as (connection, rows):
            self._demand_identity(rows[2])
            transaction = PostgresTransaction(self.folder, connection, self.address, self.bucket)
            transaction.halfvecs = rows[-1][0]
            if encoder is not None and rows[-2] != meta_row("encoder", str(encoder.encoder)):
                transaction.demand_encoder(encoder)
            yield transaction

    def seal(self, connection: PostgresConnection) -> int:
        """The ``seq`` of the commit before this one, which ends now: nobody else adds a line until it has."""
        lock = f"SELECT pg_advisory_xact_lock({self._number()}, {SEQ})"
        last = "SELECT coalesce(max(seq), 0) FROM changes"
        return int(connection.together(f"{lock}; {last}")[1][0])

    def notify(self, connection: PostgresConnection, seq: int) -> None:
        """Notify listeners of a commit, once it is visible."""
        connection.last.append(f"SELECT pg_notify('{self.channel}', '{seq}')")

    @property
    def channel(self) -> str:
        """The channel of the catalog's notifications."""
        return f"osoroi_{self.identity}"

    @contextlib.contextmanager
    def listening(self) -> Iterator[Native | None]:
        """A connection of its own that gets the notifications; behind some poolers none arrive. None at a replica,
        which sends none."""
        with explained(self.address), psycopg.connect(self.address.conninfo, autocommit=True) as native:
            try:
                native.execute(f"LISTEN {quoted(self.channel)}")
                hears = True
            except READ_ONLY:
                hears = False
            yield native if hears else None

    def _number(self) -> int:
        return signed(int(self.identity[:8], 16))

    def _demand_identity(self, row: Sequence[Any] | None) -> None:
        """Raise CatalogReplaced where the catalog is not the one that was opened."""
        if row is None or not is_whole(found := MetaRow._make(row)) or found.value != (self.identity or found.value):
            raise CatalogReplaced(
                f"the catalog {self.address} was replaced by another one since it was opened", hint="open it again"
            )

    def _demand_photos(self, kept: str | None) -> None:
        """Raise BadRequest where the address names another place for photos than the catalog has."""
        if self.address.photos not in (None, kept):
            raise BadRequest(
                f"{self.address} keeps its photos in {kept or 'the database'}, not in {self.address.photos}",
                hint="the place is chosen when a catalog is made; 'osoroi copy' makes another one",
            )

    @contextlib.contextmanager
    def _replaced(self) -> Iterator[None]:
        """Say that the catalog is gone where its tables are."""
        try:
            yield
        except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
            raise CatalogReplaced(
                f"the catalog {self.address} is gone since it was opened; nothing was read or written",
                hint="open it again",
            ) from error

    def check_identity(self) -> None:
        """Raise CatalogReplaced where another catalog, or none, stands at the address now; one round trip."""
        with self.view():
            pass

    def check_writable(self) -> None:
        """Raise BadCatalog where the catalog was opened for reading."""
        if self.readonly:
            raise BadCatalog(f"the catalog {self.address} was opened for reading", hint="open it for writing")

    def close(self) -> None:
        """Close every connection; one that is lent is closed when it comes back. Those of a process that this one was
        forked from stay, as closing them here would end its sessions."""
        self._closed = True
        if self._process == os.getpid():
            self._pool.close()


ENCODER = "SELECT name, value, checksum FROM meta WHERE name = 'encoder'"
IDENTITY = "SELECT name, value, checksum FROM meta WHERE name = 'identity'"


def signed(number: int) -> int:
    """A number of 32 bits as PostgreSQL's ``int``.

    >>> signed(5), signed(2**32 - 1)
    (5, -1)
    """
    number &= 0xFFFFFFFF
    return number - 2**32 if number >= 2**31 else number
