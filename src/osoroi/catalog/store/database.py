"""The file that holds the database: its tables, how it is opened, and what its errors mean to a person."""

import contextlib
import ctypes
import errno
import functools
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from osoroi import files
from osoroi.catalog.filters import fold
from osoroi.catalog.store import identity
from osoroi.catalog.store.settings import WAIT_S
from osoroi.errors import STAYS, BadCatalog, BadRequest, Busy, CatalogDamaged, CatalogUnavailable, OsoroiError

FILE = files.CATALOG
FORMAT = 1
APPLICATION = int.from_bytes(b"OSOR")

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

DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
"""Results that say the content is wrong. ``SQLITE_ERROR`` is a table or a column that is missing."""
LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
FORBIDDEN = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
READING = ("READ", "SHORT_READ", "FSTAT", "ACCESS", "SEEK", "CORRUPTFS", "DATA")
"""Endings of ``SQLITE_IOERR_…`` that come from reading; all others come from writing or locking."""


class explained:  # noqa: N801  a context manager, named as those of contextlib are
    """Turn what SQLite, the file system and the allocator raise into errors of this package.

    This and ``transaction`` are classes, as every search passes them: ``contextmanager`` takes three times as long.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        meaning = None if error is None else _meaning(self._folder, error)
        if meaning is not None:
            raise meaning from error


def _meaning(folder: Path, error: BaseException) -> OsoroiError | None:
    """The error of this package for one of theirs; None for any other."""
    match error:
        case sqlite3.Error():
            return _meaning_of_sqlite(folder, error)
        case UnicodeEncodeError():
            return BadRequest(f"text that is no Unicode: {error.object!r:.60}")
        case MemoryError():
            return CatalogUnavailable(
                f"the catalog {folder} needs more memory than there is", hint=f"{STAYS}; raise the limit"
            )
        case OSError():
            cause = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
            how = "read" if error.errno in UNREADABLE else "written"
            return CatalogUnavailable(f"the catalog {folder} cannot be {how}: {cause}", hint=REMEDY)
    return None


UNREADABLE = {errno.ENOENT, errno.EIO, errno.ESTALE, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}
REMEDY = f"{STAYS}; check the disk, its quota, limits of file size, and permissions"


def _meaning_of_sqlite(folder: Path, error: sqlite3.Error) -> OsoroiError:
    """The error of this package for one of SQLite. Only what is damaged is called so."""
    result = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # the low byte is the kind
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if result in LOCKED:
        return Busy(f"another writer holds the catalog {folder}", hint="try again when it has finished")
    if result == sqlite3.SQLITE_TOOBIG:
        return BadRequest(f"a value is larger than the catalog {folder} can store: {error}")
    if str(error).startswith("Could not decode to UTF-8"):  # says Python of a text, without a code of SQLite
        return damaged(folder, str(error))
    if result in DAMAGE and not isinstance(error, sqlite3.ProgrammingError):
        return damaged(folder, str(error))
    if result == sqlite3.SQLITE_NOMEM or name == "SQLITE_IOERR_NOMEM":
        return CatalogUnavailable(
            f"the catalog {folder} needs more memory than there is", hint=f"{STAYS}; raise the limit"
        )
    cause, hint, how = f"{error} ({name})", REMEDY, "written"
    if result == sqlite3.SQLITE_FULL:
        cause, hint = "there is no room left", f"{STAYS}; free some room, and do the same again"
    elif result in FORBIDDEN:
        how, hint = "written or opened here", "check permissions"
    elif name.removeprefix("SQLITE_IOERR_") in READING:
        how = "read"
    return CatalogUnavailable(f"the catalog {folder} cannot be {how}: {cause}", hint=hint)


def damaged(folder: Path | str, what: str) -> CatalogDamaged:
    """The error for a database that contradicts itself."""
    return CatalogDamaged(
        f"the catalog {folder} is damaged: {what}",
        hint="osoroi check CATALOG says what is wrong; go back to a backup, or add the products to a new catalog",
    )


def inspect(folder: Path) -> None:
    """Raise BadCatalog unless this is a catalog of a format that this version reads; changes nothing.

    SQLite reads the header, as ``immutable``: without locks and without files beside the database. The file is opened
    by nobody else, since closing a descriptor of it would drop every lock that this process holds on it. Where a
    process ended while it folded the log into the database, the database alone is not whole: it is read with the log.
    """
    path = folder / FILE
    if not folder.is_dir():
        from osoroi import path_types

        path_types.require(folder, path_types.CATALOG, "a catalog", BadCatalog)
        if folder.exists():
            raise BadCatalog(f"{folder} is a file, not a catalog", hint="a catalog is a folder that osoroi add made")
        raise BadCatalog(f"there is no catalog at {folder}", hint="osoroi add CATALOG DATASET makes one")
    if not path.is_file():
        raise BadCatalog(
            f"the folder {folder} is no catalog: it holds no {FILE}",
            hint="name another folder; osoroi add CATALOG DATASET makes one",
        )
    with explained(folder):
        if path.stat().st_size < 100:
            raise damaged(folder, f"{FILE} does not begin like one")
        try:
            application, version = _header(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise damaged(folder, f"{FILE} does not begin like one") from error
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
                raise
            application, version = _header(f"{path.absolute().as_uri()}?mode=ro")
    if application != APPLICATION:
        raise BadCatalog(f"{path} is an SQLite file, and no catalog of osoroi", hint="name another folder")
    if version != FORMAT:
        raise BadCatalog(
            f"the catalog {folder} has format {version}, and this osoroi reads format {FORMAT}",
            hint="use the version of osoroi that made it, or a newer one",
        )


def _header(uri: str) -> tuple[int, int]:
    """Application and version of the file at an SQLite URI."""
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(application), int(version)


def connect(folder: Path, *, readonly: bool, wait_s: float = WAIT_S) -> sqlite3.Connection:
    """A connection in which every transaction is begun by hand.

    A folder that nobody can write to needs ``immutable``: SQLite would want to put its shared memory there.
    """
    uri = (folder / FILE).absolute().as_uri()
    mode = "rw" if not readonly else "ro" if frozen(folder) is None else "ro&immutable=1"
    connection = sqlite3.connect(
        f"{uri}?mode={mode}", uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False
    )
    connection.create_function("fold", 1, folded, deterministic=True)
    connection.create_function("is_list", 2, is_list, deterministic=True)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA secure_delete = OFF")
    return connection


def folded(value: str | float | bytes | None) -> str | None:
    """Text as filters compare it, and nothing of any other value: SQLite evaluates both sides of an ``AND`` where the
    result is counted, so a check before this one does not spare it.

    >>> folded("Aoi"), folded(None), folded(3.0)
    ('aoi', None, None)
    """
    return fold(value) if isinstance(value, str) else None


def is_list(attributes: str, name: str) -> bool:
    """Whether an attribute is a list, by the attributes of a product as they are stored.

    >>> is_list('{"sizes": ["S", "M"], "note": "S"}', "sizes")
    True
    """
    return isinstance(json.loads(attributes).get(name), list)


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


def abandon(connection: sqlite3.Connection) -> None:
    """Give up a connection to a catalog that another one has replaced, without writing or deleting anything.

    The last connection that is closed writes the log back and deletes it by its path, where by now the log of the other
    catalog stands. Python 3.11 cannot tell SQLite not to, so there the connection stays open as long as the process.
    """
    if sys.version_info >= (3, 12):
        with contextlib.suppress(sqlite3.Error):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
            connection.close()
            return
    leave_open(connection)


def leave_open(connection: sqlite3.Connection) -> None:
    """Keep a connection open as long as the process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


class transaction:  # noqa: N801  a context manager, as above
    """One view of the database; where it writes, one commit, or none if anything is raised."""

    def __init__(self, connection: sqlite3.Connection, *, write: bool = False) -> None:
        self._connection = connection
        self._write = write

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE" if self._write else "BEGIN")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def make(folder: Path, first: Callable[[sqlite3.Connection], None]) -> None:
    """A new, empty catalog, in one step: the folder is made complete beside its place, and renamed into it.

    ``first`` puts the catalog's encoder in. In a folder that is there already, be it a link, a mounted volume or where
    one stands, the files alone are, the database last. What a process that was killed left of an earlier attempt goes.
    Raises FileExistsError where another process made a catalog there meanwhile.
    """
    there = folder.is_dir()
    home = folder if there else folder.parent
    home.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(home, folder.name)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=NEW, dir=home))
    try:
        connection = sqlite3.connect(beside / FILE, isolation_level=None)
        try:
            _fill(connection, first)
        finally:
            connection.close()
        sync(beside / FILE)
        identity.mark(beside)
        beside.chmod(0o777 & ~_umask())
        files.sync_folder(beside)
        if there:
            _move_into(folder, beside)
        else:
            _rename(beside, folder)
        files.sync_folder(home)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _move_into(folder: Path, beside: Path) -> None:
    """Move a new catalog's files into a folder that was there, one process at a time."""
    with files.lock(folder / MAKING, wait_s=None):
        if (folder / FILE).exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
        os.rename(beside / identity.FILE, folder / identity.FILE)
        os.rename(beside / FILE, folder / FILE)
    beside.rmdir()


def _rename(beside: Path, folder: Path) -> None:
    try:
        os.rename(beside, folder)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder)) from error
        raise


MAKING = ".make.lock"
"""File that is locked while a catalog's files are moved into a folder that was there."""

NEW = ".new"
"""Suffix of a catalog that is being made."""


def is_left_over(path: Path) -> bool:
    """Whether a file in an otherwise empty folder is what making a catalog there left, when it was killed."""
    return path.name in (identity.FILE, MAKING) or (path.name.startswith(".") and path.suffix in {NEW, files.PART})


def _remove_abandoned(home: Path, name: str) -> None:
    """Remove what earlier attempts left, once nobody can still be at them."""
    for path in home.iterdir():
        if path.name.startswith(f".{name}-") and path.suffix == NEW:
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > files.STALE_S:
                    shutil.rmtree(path)


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
