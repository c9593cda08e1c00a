"""What a sync has worked out so far, in one file: vectors before their commit, and hashes of files by their stamps.

Derived, never the catalog: a sync that was stopped goes on with it, and without it everything is computed again.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from osoroi import files
from osoroi.errors import STAYS, Busy, CatalogUnavailable
from osoroi.file_hashes import DAMAGED, FileHashes, made_anew
from osoroi.records import Box

FILE = "staging.sqlite"
"""In the catalog's folder."""

TABLE = "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID"


class Staging:
    """Vectors that wait for their commit, by photo, box and encoder; and the hash of each file by its stamp.

    One that is damaged is made anew. Every method raises CatalogUnavailable where the file cannot be read or written.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._path = path
        with self._explained():
            self._connection, self.hashes = made_anew(path, _opened)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            what = f"the file {self._path}, in which a sync keeps its vectors, cannot be written: {error}"
            hint = "delete it, and sync again" if code in DAMAGED else f"{STAYS}; check the disk, and sync again"
            raise CatalogUnavailable(what, hint=hint) from error

    def key(self, sha256: str, box: Box | None) -> str:
        """What a vector is of."""
        return f"{self.fingerprint} {sha256} {'' if box is None else ','.join(map(str, box))}"

    def put(self, vectors: Iterable[tuple[str, Float32[np.ndarray, "d"]]]) -> None:
        """Keep vectors and the new hashes."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors]
        with self._explained():
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            self.hashes.save()
            self._connection.execute("COMMIT")

    def vector(self, key: str) -> Float32[np.ndarray, "d"] | None:
        """A vector that waits, or None."""
        with self._explained():
            row = self._connection.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], "<f4").astype(np.float32)

    def committed(self) -> None:
        """Forget vectors that the catalog has now."""
        with self._explained():
            self._connection.execute("DELETE FROM vectors")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _opened(path: Path) -> tuple[sqlite3.Connection, FileHashes]:
    """The file, and the hashes in it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", TABLE):
            connection.execute(statement)
        return connection, FileHashes(connection)
    except BaseException:
        connection.close()
        raise


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
