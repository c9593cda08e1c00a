"""Connections to one catalog, lent to the threads that ask: views of the truth, and commits one after another."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from osoroi.catalog.store import database
from osoroi.catalog.store.reader import Truth
from osoroi.errors import BadCatalog


class Pool:
    """Opens connections as threads need them, and keeps those that are idle."""

    def __init__(self, folder: Path, *, readonly: bool, wait_s: float) -> None:
        self.folder = folder
        self.readonly = readonly
        self._wait_s = wait_s
        self._idle: list[sqlite3.Connection] = []
        self._frozen: tuple[int, int] | None = None
        self._generation = 0
        self._closed = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """A connection of this thread's own until it gives it back."""
        with self._lock:
            if self._closed:
                raise BadCatalog(f"the catalog {self.folder} is closed", hint="open it again")
            if self.readonly and (frozen := database.frozen(self.folder)) != self._frozen:
                self._frozen = frozen
                self._generation += 1  # what is lent just now is of the file before
                self._close_idle()
            generation = self._generation
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = database.connect(self.folder, readonly=self.readonly, wait_s=self._wait_s)
        try:
            yield connection
        finally:
            with self._lock:
                if self._closed or generation != self._generation:
                    connection.close()
                else:
                    self._idle.append(connection)

    @contextlib.contextmanager
    def view(self) -> Iterator[Truth]:
        """One state of the truth."""
        explained = database.explained(self.folder)
        with explained, self.connected() as connection, database.transaction(connection, write=False):
            yield Truth(self.folder, connection)

    @contextlib.contextmanager
    def commit(self) -> Iterator[Truth]:
        """One commit, or none where something is raised. Writers of this process wait here, others at the file."""
        self.demand_writable()
        explained = database.explained(self.folder)
        with (
            explained,
            self._writing,
            self.connected() as connection,
            database.transaction(connection, write=True),
        ):
            yield Truth(self.folder, connection)

    def demand_writable(self) -> None:
        """Raise BadCatalog where the catalog was opened for reading."""
        if self.readonly:
            raise BadCatalog(f"the catalog {self.folder} was opened for reading", hint="open it for writing")

    def close(self) -> None:
        """Close what is idle now, and the others when they come back."""
        with self._lock:
            self._closed = True
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
