"""Which catalog stands in a folder, so that another one in its place is noticed before anything is acknowledged.

A catalog gets an identity when it is created: a random number in its database, which its backups and copies share. Its
folder holds a small file ``catalog.id`` with a second random number, which every backup makes anew. While a catalog is
open, a read or a commit first compares two calls of ``stat`` with those of the opening: the inode of the database (the
folder was deleted, renamed, or replaced) and inode, size and times of ``catalog.id`` (a backup was unpacked over the
files in place, which keeps the inode of the database). The database itself must not be opened for this: to close any
descriptor of a file drops every POSIX lock that the process holds on it, SQLite's included.
"""

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from osoroi import files

FILE = "catalog.id"

Times = tuple[int, int, int, int]


class CatalogStamp(NamedTuple):
    """What tells a catalog's files from any others: device and inode of the database; inode, size and times of
    ``catalog.id``, None where it is missing."""

    database: tuple[int, int]
    marker: Times | None


def stamp(database: str, marker: str) -> CatalogStamp | None:
    """The stamp of a catalog by the paths of its database and its ``catalog.id``; None where no database stands there.
    Opens no file."""
    try:
        state = os.stat(database)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        marked = os.stat(marker)
    except FileNotFoundError:
        return CatalogStamp((state.st_dev, state.st_ino), None)
    times = (marked.st_ino, marked.st_size, marked.st_mtime_ns, marked.st_ctime_ns)
    return CatalogStamp((state.st_dev, state.st_ino), times)


def new() -> str:
    """A new identity.

    >>> len(new()), new() == new()
    (32, False)
    """
    return secrets.token_hex(16)


def mark(folder: Path) -> None:
    """Write ``catalog.id`` with a new number."""
    files.write_atomically(folder / FILE, content())


def content() -> bytes:
    """What a new ``catalog.id`` holds."""
    return new().encode() + b"\n"
