"""The file that holds the truth: its tables, how it is opened, and what its errors mean to a person."""

import contextlib
import functools
import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from osoroi.errors import BadCatalog, BadRequest, Busy, OsoroiError

FILE = "catalog.sqlite"
FORMAT = 1
APPLICATION = int.from_bytes(b"OSOR")
WAIT_S = 5.0
"""How long a writer waits for another one."""

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE encoders (
    encoder INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL UNIQUE, dim INTEGER NOT NULL,
    parts TEXT NOT NULL, about TEXT NOT NULL, since_s REAL NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE products (
    product INTEGER PRIMARY KEY AUTOINCREMENT, product_id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, category TEXT,
    brand TEXT, price REAL, currency TEXT, url TEXT, design_id TEXT, attributes TEXT NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE crops (
    crop INTEGER PRIMARY KEY AUTOINCREMENT, crop_id TEXT NOT NULL UNIQUE, product INTEGER NOT NULL,
    place INTEGER NOT NULL, sha256 TEXT NOT NULL, path TEXT, box TEXT, split TEXT, checksum INTEGER NOT NULL
);
CREATE INDEX crops_of_product ON crops (product, place);
-- slot = encoder * 2^40 + crop: the vectors of one encoder stand together, and a new encoder's beside the old one's
CREATE TABLE vectors (slot INTEGER PRIMARY KEY, vector BLOB NOT NULL, checksum INTEGER NOT NULL);
-- attributes once more, for filters; text is TEXT, a number REAL, a flag INTEGER
CREATE TABLE names (name_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kinds TEXT NOT NULL);
CREATE TABLE facts (name_id INTEGER, value, product INTEGER, PRIMARY KEY (name_id, value, product)) WITHOUT ROWID;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY, at_s REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, checksum INTEGER NOT NULL
);
"""

FULL = {sqlite3.SQLITE_FULL}
LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
READONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into errors of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(folder, error) from error
    except UnicodeEncodeError as error:
        raise BadRequest(f"text that is no Unicode: {error.object!r:.60}") from error
    except OSError as error:
        raise BadCatalog(f"the catalog {folder} cannot be used: {error.strerror} ({error.filename})") from error


def _meaning(folder: Path, error: sqlite3.Error) -> OsoroiError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # the low byte is the kind
    if code in LOCKED:
        return Busy(f"another writer holds the catalog {folder}", hint="try again when it has finished")
    if code in FULL:
        return BadCatalog(f"there is no room left for the catalog {folder}", hint="nothing was changed; free some room")
    if code in READONLY:
        return BadCatalog(f"the catalog {folder} cannot be written or opened here: {error}", hint="check permissions")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError):
        return damaged(folder, str(error))
    return BadCatalog(f"the catalog {folder} cannot be used: {error}")


def damaged(folder: Path, what: str) -> BadCatalog:
    """The error for a truth that contradicts itself."""
    return BadCatalog(
        f"the catalog {folder} is damaged: {what}",
        hint="osoroi check CATALOG says what is wrong; go back to a backup, or add the products to a new catalog",
    )


def inspect(folder: Path) -> None:
    """Raise BadCatalog unless this is a catalog of a format that can be read; touches nothing.

    Reads the file's first bytes alone: SQLite keeps ``user_version`` at 60 and ``application_id`` at 68.
    """
    path = folder / FILE
    if not folder.is_dir():
        raise BadCatalog(f"there is no catalog at {folder}", hint="osoroi add CATALOG DATASET makes one")
    if not path.is_file():
        raise BadCatalog(f"the folder {folder} is no catalog: it holds no {FILE}", hint="name another folder")
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise BadCatalog(f"the catalog {folder} cannot be read: {error.strerror}", hint="check permissions") from error
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise damaged(folder, f"{FILE} does not begin like one")
    version, application = struct.unpack(">I4xI", head[60:72])
    if application != APPLICATION:
        raise BadCatalog(f"{path} is an SQLite file, and no catalog of osoroi", hint="name another folder")
    if version != FORMAT:
        raise BadCatalog(
            f"the catalog {folder} has format {version}, and this osoroi reads format {FORMAT}",
            hint="use the version of osoroi that made it, or a newer one",
        )


def connect(folder: Path, *, readonly: bool, wait_s: float = WAIT_S) -> sqlite3.Connection:
    """A connection in which every transaction is begun by hand.

    A folder that nobody can write to needs ``immutable``: SQLite would want to put its shared memory there.
    """
    uri = (folder / FILE).absolute().as_uri()
    mode = "rw" if not readonly else "ro" if frozen(folder) is None else "ro&immutable=1"
    connection = sqlite3.connect(
        f"{uri}?mode={mode}", uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA secure_delete = OFF")
    return connection


def frozen(folder: Path) -> tuple[int, int] | None:
    """Time and size of a file that is read without any lock, since we cannot write beside it and nobody else does now.

    None where readers and writers can see each other, and where commits wait in the log beside the file: without a lock
    SQLite would not see them, so it has to open them or to say that it cannot. A connection lasts as long as this
    stays the same.
    """
    log, shared = folder / (FILE + "-wal"), folder / (FILE + "-shm")
    waiting = log.exists() and log.stat().st_size > 0
    if os.access(folder, os.W_OK) or waiting or (log.exists() and shared.exists()):
        return None
    state = (folder / FILE).stat()
    return state.st_mtime_ns, state.st_size


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, *, write: bool) -> Iterator[sqlite3.Connection]:
    """One view of the truth; where it writes, one commit, or none if anything is raised."""
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield connection
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def make(folder: Path, first: Callable[[sqlite3.Connection], None]) -> None:
    """A new, empty catalog, in one step: the folder is made complete beside its place, and renamed into it.

    ``first`` puts the catalog's encoder in. In a folder that is there already, be it a link, a mounted volume or where
    one stands, the file alone is.
    """
    there = folder.is_dir()
    home = folder if there else folder.parent
    home.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".new", dir=home))
    try:
        connection = sqlite3.connect(beside / FILE, isolation_level=None)
        try:
            _fill(connection, first)
        finally:
            connection.close()
        sync(beside / FILE)
        beside.chmod(0o777 & ~_umask())
        sync(beside)
        if there:
            os.rename(beside / FILE, folder / FILE)
            beside.rmdir()
        else:
            os.rename(beside, folder)
        sync(home)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _fill(connection: sqlite3.Connection, first: Callable[[sqlite3.Connection], None]) -> None:
    connection.executescript(f"PRAGMA page_size = 8192; PRAGMA application_id = {APPLICATION};")
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection, write=True):
        lay(connection)
        first(connection)
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def lay(connection: sqlite3.Connection) -> None:
    """The tables, empty."""
    for statement in SCHEMA.split(";\n"):
        connection.execute(statement)


@functools.cache
def tables() -> frozenset[str]:
    """The text of every table and index, as SQLite keeps it."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        lay(connection)
        return frozenset(text for (text,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))


def sync(path: Path) -> None:
    """Wait until a file or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
