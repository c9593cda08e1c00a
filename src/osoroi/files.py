"""Files: written in one step, hashed, and locked between processes. The one place for each.

Works on every file system and platform that Python and ``filelock`` know; what a platform lacks (locks of POSIX,
``fsync`` of a folder) is replaced or skipped here, never by the caller.
"""

import contextlib
import errno
import hashlib
import io
import json
import lzma
import os
import re
import secrets
import stat
import time
import tokenize
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from filelock import FileLock, Timeout

PART: Final = ".part"
"""Suffix of a file that is still being written. Such a file is never read."""

STALE_S: Final = 3600.0
"""Age in seconds from which a part of the same file is taken for the rest of a process that was killed."""

BLOCK: Final = 1 << 20

CATALOG: Final = "catalog.sqlite"
"""The database of a catalog. A folder with this file is a catalog."""

DATABASE: Final = (CATALOG, f"{CATALOG}-wal", f"{CATALOG}-shm")
JOURNAL: Final = f"{CATALOG}-journal"

WEB: Final = re.compile(r"(https?|ftp):/+", re.IGNORECASE)
"""How an address of the web begins; as a path it has lost a slash."""


def from_json(text: str | bytes) -> Any:
    """What JSON says. Raises ValueError for anything else, nesting too deep for Python among it.

    >>> from_json('{"epochs": 3}')
    {'epochs': 3}
    >>> from_json("[" * 100_000)
    Traceback (most recent call last):
    ...
    ValueError: nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def from_toml(content: bytes) -> dict[str, Any]:
    """What TOML says. Raises ValueError for anything else: no UTF-8, too many digits and too deep nesting among it.

    >>> from_toml(b"epochs = 3")
    {'epochs': 3}
    """
    try:
        return tomllib.loads(content.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextlib.contextmanager
def archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose path somebody gave us, for reading.

    Raises OSError as ``open_foreign`` does, and ValueError where it, or what the block reads of it, is not sound.
    """
    with open_foreign(path) as file:
        try:
            with zipfile.ZipFile(file) as content_:
                yield content_
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, MemoryError) as error:
            raise ValueError(f"it is no sound archive: {error}") from error


def arrays(path: Path) -> dict[str, Any]:
    """Name -> array of an archive of NumPy (npz). Raises OSError, and ValueError for what is none."""
    from numpy.lib import format as numpy_format

    with archive(path) as members:
        names = [name for name in members.namelist() if name.endswith(".npy")]
        try:
            read = [numpy_format.read_array(io.BytesIO(members.read(name)), allow_pickle=False) for name in names]
            for text in (array for array in read if array.dtype.kind == "U"):
                text.tolist()  # numbers that are no characters are seen only when they are made text
        except (SyntaxError, SystemError, tokenize.TokenError, TypeError, OverflowError, MemoryError) as error:
            raise ValueError(f"an array is not what its header says: {error}") from error
    return dict(zip((name.removesuffix(".npy") for name in names), read, strict=True))


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a whole file in one step: a reader finds the old content or the new one, never half of it.

    See ``replacing`` for ``durable``, the mode of the file and errors.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a" / "run.json", b"{}")
    ...     [path.name for path in (Path(folder) / "a").iterdir()]
    ['run.json']
    """
    with replacing(path, durable=durable) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``path`` where the block ends without an error, and vanishes otherwise.

    Missing folders are made. With ``durable`` the content and the name are on the disk when the block has ended.
    The file gets the permissions of the one it replaces, and its owner and group as far as this user may give it away;
    or those of a new file under the process's umask. What a
    process that was killed left of the same file is removed once it is an hour old. Raises OSError, for a device or a
    pipe too, which would be lost.
    """
    with contextlib.suppress(FileNotFoundError):
        require_ordinary(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}{PART}")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            _like(part, path.stat())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def _like(part: Path, state: os.stat_result) -> None:
    """Give a file the owner, the group and the permissions of another. Who is not root may not give it to anybody."""
    if hasattr(os, "chown"):
        own = part.stat()
        for owner, group in ((state.st_uid, -1), (-1, state.st_gid)):
            if owner not in (-1, own.st_uid) or group not in (-1, own.st_gid):
                with contextlib.suppress(PermissionError):
                    os.chown(part, owner, group)
    part.chmod(state.st_mode & 0o7777)


def open_foreign(path: Path) -> io.BufferedReader:
    """Open a file whose path somebody gave us, for reading.

    Raises PermissionError for the database of a catalog, under whatever name a link gives it: to close any descriptor
    of such a file drops the locks by which this process's SQLite keeps others from writing over it. Raises OSError at
    once for what is no ordinary file: a pipe would be waited for, and a device may never end.
    """
    if is_database(path):
        raise PermissionError(errno.EACCES, "it is the database of a catalog", str(path))
    require_ordinary(path)  # before it is opened, since to open a device may do something
    return open(path, "rb", opener=_opener)


def content(path: Path) -> bytes:
    """The bytes of a file whose path somebody gave us; raises OSError as ``open_foreign`` does."""
    with open_foreign(path) as file:
        return file.read()


def require_ordinary(path: Path) -> None:
    """Raise OSError where a path leads to a pipe, a device, a socket or a folder, or to nothing."""
    _require_ordinary(os.stat(path).st_mode, path)


def _require_ordinary(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe, a device or a socket, not an ordinary file", str(path))


def _opener(path: str, flags: int) -> int:
    """Open a path without waiting for the other end of a pipe that has taken the file's place meanwhile."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _require_ordinary(os.fstat(descriptor).st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_database(path: Path) -> bool:
    """Whether a path leads to the database of a catalog, its log or its shared memory."""
    place = Path(os.path.realpath(path))
    if place.name in DATABASE:
        return True
    try:
        state = os.stat(place)
    except OSError:
        return False
    return state.st_nlink > 1 and any(_is_same(state, place.with_name(name)) for name in (*DATABASE, JOURNAL))


def _is_same(state: os.stat_result, path: Path) -> bool:
    """Whether a path is there and leads to the file of this state."""
    try:
        return os.path.samestat(state, os.stat(path))
    except OSError:
        return False


def catalog_around(path: Path) -> Path | None:
    """The catalog's folder that a path lies in, or is; None where it lies in none. Links are followed."""
    place = Path(os.path.realpath(path))
    return next((folder for folder in (place, *place.parents) if (folder / CATALOG).is_file()), None)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the platform can (Windows cannot open a folder)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal, read in blocks. Raises OSError."""
    digest = hashlib.sha256()
    with open_foreign(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def lock(path: Path, *, wait_s: float | None = 0.0) -> Iterator[bool]:
    """Hold a lock between processes and threads while the block runs; gives False where another one holds it.

    ``path`` is a file that serves as the lock alone; it is made where it is missing and may stay behind. A process
    that dies lets go. ``wait_s`` is how long to wait for it in seconds; None waits for ever. Raises OSError where the
    folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with lock(Path(folder) / "lock") as first, lock(Path(folder) / "lock") as second:
    ...         first, second
    (True, False)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(path, timeout=-1 if wait_s is None else wait_s, thread_local=False)
    try:
        file_lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        file_lock.release()


def allocate(file: IO[bytes], start: int, size: int) -> None:
    """Give a new file all blocks of so many bytes from ``start`` on, so that it can be mapped into memory: to write to
    a page for which a full disk has no block kills the process.

    Zeros are written where the system has no call for that. Raises OSError where there is no room, and for no bytes.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
        return
    file.seek(start)
    for done in range(0, size, BLOCK):
        file.write(bytes(min(BLOCK, size - done)))
    file.flush()


def _remove_stale(path: Path) -> None:
    """Remove parts of this file that a killed process left."""
    for part in path.parent.glob(f".{_escaped(path.name[:200])}.*{PART}"):
        with contextlib.suppress(FileNotFoundError):  # another process may remove it, or give it its name
            if time.time() - part.stat().st_mtime > STALE_S:
                part.unlink()


def _escaped(name: str) -> str:
    """A name that glob takes letter by letter."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def size_of(path: Path) -> int:
    """Bytes of a file; none where it is a folder, or gone since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
