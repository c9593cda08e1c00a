"""What a sync has worked out so far, in one file: vectors before their commit, and hashes of files by size and time.

Derived, never the catalog: a sync that was stopped goes on with it, and without it everything is computed again.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi import files
from osoroi.errors import Busy
from osoroi.records import Box

FILE = "staging.sqlite"
"""In the catalog's folder."""

SETTLED_NS = 2_000_000_000
"""A file that was written less than this before it was hashed may have changed since, in the same tick of its clock."""

TABLES = (
    "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID",
)


class Stamp(NamedTuple):
    """Size and time of a file."""

    size: int
    mtime_ns: int


class Staging:
    """Vectors that wait for their commit, by photo, box and encoder; and the hash of each file by its size and time."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        for statement in TABLES:
            self._connection.execute(statement)
        rows = self._connection.execute("SELECT path, size, mtime_ns, sha256 FROM files")
        self._hashes = {path: (Stamp(size, mtime_ns), sha256) for path, size, mtime_ns, sha256 in rows}
        self._new: dict[str, tuple[Stamp, str]] = {}

    def hash_of(self, path: Path) -> str | None:
        """The hash of a file that has not changed since it was read; None where it must be read."""
        held = self._hashes.get(str(path))
        return held[1] if held is not None and held[0] == stamp_of(path) else None

    def remember(self, path: Path, stamp: Stamp | None, sha256: str) -> None:
        """Keep the hash of a file whose stamp was taken before it was read."""
        if stamp is not None and time.time_ns() - stamp.mtime_ns > SETTLED_NS:
            self._new[str(path)] = stamp, sha256

    def key(self, sha256: str, box: Box | None) -> str:
        """What a vector is of."""
        return f"{self.fingerprint} {sha256} {'' if box is None else ','.join(map(str, box))}"

    def put(self, vectors: Iterable[tuple[str, Float32[np.ndarray, "d"]]]) -> None:
        """Keep vectors and the new hashes."""
        self._connection.execute("BEGIN")
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors]
        self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        files = [(path, *stamp, sha256) for path, (stamp, sha256) in self._new.items()]
        self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", files)
        self._connection.execute("COMMIT")
        self._hashes |= self._new
        self._new = {}

    def vector(self, key: str) -> Float32[np.ndarray, "d"] | None:
        """A vector that waits, or None."""
        row = self._connection.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], "<f4").astype(np.float32)

    def committed(self) -> None:
        """Forget vectors that the catalog has now."""
        self._connection.execute("DELETE FROM vectors")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def lock_of(staging: Path) -> Path:
    """The lock of the one sync that may use a staging file.

    >>> lock_of(Path("shop/staging.sqlite")).name
    'staging.sqlite.lock'
    """
    return staging.with_name(f"{staging.name}.lock")


@contextlib.contextmanager
def only_sync(staging: Path, location: str) -> Iterator[None]:
    """Hold the lock of a staging file; raises Busy where another sync of the catalog at ``location`` holds it."""
    with files.lock(lock_of(staging)) as is_alone:
        if not is_alone:
            raise Busy(
                f"another sync of the catalog {location} is under way",
                hint="nothing was changed; try again when it has finished",
            )
        yield


def stamp_of(path: Path) -> Stamp | None:
    """Size and time of a file; None where there is none."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return Stamp(state.st_size, state.st_mtime_ns)
