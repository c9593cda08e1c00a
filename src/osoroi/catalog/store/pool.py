"""Connections to one catalog, lent to threads: read transactions, and commits one after another."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from osoroi.catalog.store import database, forks, identity
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import meta_row
from osoroi.errors import BadCatalog, CatalogReplaced


class Pool:
    """Opens connections as threads need them, and keeps those that are idle.

    Every transaction begins by comparing the files with those of the opening; a commit ends so, too. Raises
    CatalogReplaced where they are others.
    """

    def __init__(
        self,
        folder: Path,
        *,
        readonly: bool,
        wait_s: float,
        frozen: Callable[[Path], tuple[int, int] | None] = database.frozen,
    ) -> None:
        self._frozen_state = frozen
        self.folder = folder
        self.readonly = readonly
        self.identity = ""
        self._files = str(folder / database.FILE), str(folder / identity.FILE)
        self._wait_s = wait_s
        self._idle: list[sqlite3.Connection] = []
        self._frozen: tuple[int, int] | None = None
        self._generation = 0
        self._lent = 0
        self._in_use: list[sqlite3.Connection] = []
        self._closed = False
        self._mutex = threading.RLock()
        self._changed = threading.Condition(self._mutex)
        self._writing = threading.Lock()
        self._stamp = identity.stamp(*self._files)
        forks.demand_usable(self._stamp and self._stamp.database, folder)
        forks.track(self)
        try:
            with self.view() as transaction:
                self.identity = transaction.identity()
        except BaseException:
            self.close()
            raise

    def check_identity(self) -> None:
        """Raise CatalogReplaced where other files stand in the folder than when it was opened. Takes microseconds."""
        try:
            now = identity.stamp(*self._files)
        except OSError:
            with database.explained(self.folder):
                raise
        if now == self._stamp:
            return
        if now and self._stamp and self._stamp.marker is None and now.database == self._stamp.database:
            self._stamp = now  # the first writer of a catalog that had no marker has just made one
            return
        what = "is gone" if now is None else "was replaced by another one"
        raise CatalogReplaced(
            f"the catalog {self.folder} {what} since it was opened; nothing was read or written",
            hint="open it again",
        )

    def connected(self) -> "Lent":
        """A connection of this thread's own until it gives it back.

        The files are compared before a new one is opened. An idle one is of the catalog that was opened: whoever reads
        or writes with it compares the files inside the transaction.
        """
        return Lent(self)

    def lend(self, lent: "Lent") -> sqlite3.Connection:
        """A connection, until ``take_back``."""
        if self._closed:
            raise BadCatalog(f"the catalog {self.folder} is closed", hint="open it again")
        if self.readonly:
            self.check_identity()
        self._demand_usable()
        try:
            with self._mutex:
                if self.readonly and (frozen := self._frozen_state(self.folder)) != self._frozen:
                    self._frozen = frozen
                    self._generation += 1  # what is lent just now is of the file before
                    self._close_idle()
                lent.generation = self._generation
                lent.connection = self._idle.pop() if self._idle else None
                self._lent += 1
                lent.is_out = True
            if lent.connection is None:
                self.check_identity()
                lent.connection = self._connect()
            self._in_use.append(lent.connection)
        except BaseException:
            self.take_back(lent)
            raise
        return lent.connection

    def take_back(self, lent: "Lent") -> None:
        """Keep a connection for the next thread, or close it where it is of no more use. Acts once."""
        with self._mutex:
            if not lent.is_out:
                return
            connection = lent.connection
            if connection is not None and connection in self._in_use:  # a child has given it up
                self._in_use.remove(connection)
                is_open = connection.in_transaction  # an interrupt came before its end, and the next BEGIN would fail
                if self._closed or lent.generation != self._generation or is_open:
                    self._close(connection)
                else:
                    self._idle.append(connection)
            if self._closed:  # and ``close`` waits
                self._changed.notify_all()
            left = max(0, self._lent - 1)  # none is lent in a child
            self._lent = left
            lent.is_out = False

    def _connect(self) -> sqlite3.Connection:
        """A new connection, to the same catalog as the others."""
        connection = database.connect(self.folder, readonly=self.readonly, wait_s=self._wait_s)
        try:
            if self.identity and ReadTransaction(self.folder, connection).identity() not in {self.identity, ""}:
                raise CatalogReplaced(f"another catalog stands at {self.folder} now", hint="open it again")
        except BaseException:
            self._close(connection)
            raise
        return connection

    @contextlib.contextmanager
    def view(self) -> Iterator[ReadTransaction]:
        """One state of the database."""
        with database.explained(self.folder), self.connected() as connection, database.transaction(connection):
            self.check_identity()
            yield ReadTransaction(self.folder, connection)

    @contextlib.contextmanager
    def commit(self) -> Iterator[ReadTransaction]:
        """One commit, or none where something is raised. Writers of this process wait here, others at the file.

        Raises CatalogReplaced where the files changed before its end: what was written then is in the catalog that
        stood here before, or lost.
        """
        self.check_writable()
        self.check_identity()
        with database.explained(self.folder), self._writing, self.connected() as connection:
            with database.transaction(connection, write=True):
                self.check_identity()
                transaction = ReadTransaction(self.folder, connection)
                self._give_identity(transaction)
                yield transaction
            self.check_identity()

    def _give_identity(self, transaction: ReadTransaction) -> None:
        """Give a catalog that was made without an identity one with its first commit."""
        if not self.identity:
            self.identity = transaction.identity() or identity.new()
            row = meta_row(transaction.IDENTITY, self.identity)
            transaction.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", row)
        if self._stamp is not None and self._stamp.marker is None:
            identity.mark(self.folder)
            self.check_identity()

    def __del__(self) -> None:
        """Close what a caller forgot to close, as ``close`` does: by Python's own way it would delete by path."""
        self._close_idle()

    def before_fork(self) -> None:
        """Close what is idle: a child would inherit connections without the locks that they rely on."""
        self._changed.acquire()
        self._close_idle()

    def after_fork(self, *, is_child: bool) -> None:
        """Go on; in the child without the database, where a thread of the parent uses it."""
        if is_child:
            self._writing = threading.Lock()  # no thread of the parent is here to release it
        if is_child and self._lent:
            if self._stamp is not None:
                forks.give_up(self._stamp.database)
            for connection in self._in_use:
                database.leave_open(connection)
            self._in_use.clear()
            self._lent = 0
        self._changed.release()

    def _demand_usable(self) -> None:
        """Raise BadCatalog in a child that was forked while a thread of its parent used the database."""
        forks.demand_usable(self._stamp and self._stamp.database, self.folder)

    def check_writable(self) -> None:
        """Raise BadCatalog where the catalog was opened for reading."""
        if self.readonly:
            raise BadCatalog(f"the catalog {self.folder} was opened for reading", hint="open it for writing")

    def close(self, *, wait_s: float = 5.0) -> None:
        """Close what is idle now, wait for what is lent, and close the rest when it comes back."""
        with self._changed:
            self._closed = True
            self._close_idle()
            self._changed.wait_for(lambda: not self._lent, wait_s)

    def _close_idle(self) -> None:
        while self._idle:
            self._close(self._idle.pop())

    def _close(self, connection: sqlite3.Connection) -> None:
        """Close a connection; leave the files of another catalog alone, and of one that cannot be looked at."""
        try:
            now = identity.stamp(*self._files)
        except OSError:
            now = None
        if self._stamp is None or now is None or now.database != self._stamp.database:
            database.abandon(connection)
        else:
            connection.close()


class Lent:
    """A connection of a pool inside a block. A class, as every search opens one: see ``database.explained``."""

    connection: sqlite3.Connection | None = None
    generation = 0
    is_out = False

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __enter__(self) -> sqlite3.Connection:
        return self._pool.lend(self)

    def __exit__(self, *_: object) -> None:
        self._pool.take_back(self)

    def __del__(self) -> None:
        """Give back where an interrupt came between the block and its end."""
        if self.is_out:
            self._pool.take_back(self)
