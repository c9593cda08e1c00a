"""Hashes of files, kept in SQLite by size, times and inode, so that a file that has not changed is not read again."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from osoroi.errors import BadRequest

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
"""What SQLite says of a file that is not what was written; the last of tables that are others."""

SETTLED_NS = 2_000_000_000
"""A file that was written less than this before it was hashed may have changed since, in the same tick of its clock."""

LARGEST = 2**63 - 1
"""The largest integer of SQLite; some file systems have larger inodes."""


class Stamp(NamedTuple):
    """What tells that a file is another: a tool may set ``mtime_ns`` of a changed file back, but not ``ctime_ns``."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


TABLE = (
    f"CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, {' INTEGER, '.join(Stamp._fields)} INTEGER, sha256 TEXT)"
    " WITHOUT ROWID"
)


def stamp_of(path: Path) -> Stamp | None:
    """Size, times and inode of a file; None where there is none."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return Stamp(state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino & LARGEST)


class FileHashes:
    """The hash of each file by its path, as far as its stamp is the one that it had.

    ``settled_ns`` is how old a change has to be, in nanoseconds, before a hash is kept.
    """

    def __init__(self, connection: sqlite3.Connection, *, settled_ns: int = SETTLED_NS) -> None:
        self._settled_ns = settled_ns
        columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(files)")}
        if not columns.issuperset(Stamp._fields):
            connection.execute("DROP TABLE IF EXISTS files")  # of an older version
        connection.execute(TABLE)
        self._connection = connection
        rows = connection.execute("SELECT * FROM files")
        self._known = {path: (Stamp(*stamp), sha256) for path, *stamp, sha256 in rows}
        self._new: dict[str, tuple[Stamp, str]] = {}

    def of(self, path: Path) -> str | None:
        """The hash of a file that has not changed since it was read; None where it must be read."""
        held = self._known.get(str(path))
        return held[1] if held is not None and held[0] == stamp_of(path) else None

    def remember(self, path: Path, stamp: Stamp | None, sha256: str) -> None:
        """Keep the hash of a file whose stamp was taken before it was read."""
        if stamp is not None and time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) > self._settled_ns:
            self._new[str(path)] = stamp, sha256

    def save(self) -> None:
        """Write the new hashes."""
        rows = [(path, *stamp, sha256) for path, (stamp, sha256) in self._new.items()]
        self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._known |= self._new
        self._new = {}


def made_anew(path: Path, opened: Callable[[Path], T]) -> T:
    """A file of SQLite that holds nothing but what can be derived again: opened, and made anew where it is damaged."""
    try:
        return opened(path)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB) & 0xFF not in DAMAGED:
            raise
        for name in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        return opened(path)


@contextmanager
def hashes_in(file: Path, *, settled_ns: int = SETTLED_NS) -> Iterator[FileHashes]:
    """The hashes in a file of their own, which is made where it is missing or damaged; new ones are saved at the end.

    Raises BadRequest where it cannot be opened. One that cannot be saved is a warning: all was done, and is only read
    again the next time.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        connection, hashes = made_anew(file, lambda path: _opened(path, settled_ns))
    except (OSError, sqlite3.Error) as error:
        problem = f"the hashes of photos in {file} cannot be written: {error}"
        raise BadRequest(problem, hint="delete the file, or set OSOROI_CACHE to another folder") from error
    try:
        yield hashes
    finally:
        try:
            hashes.save()
            connection.commit()
        except sqlite3.Error as error:
            _LOG.warning("the hashes of photos in %s were not saved (%s); the photos are read again", file, error)
        finally:
            connection.close()


def _opened(file: Path, settled_ns: int) -> tuple[sqlite3.Connection, FileHashes]:
    connection = sqlite3.connect(file)
    try:
        hashes = FileHashes(connection, settled_ns=settled_ns)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection, hashes
