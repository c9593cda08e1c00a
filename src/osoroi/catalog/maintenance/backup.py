"""A live catalog as one file: the database as of one commit and every photo that is kept, in a tar archive.

``tar -xf FILE -C FOLDER`` brings it back into a new folder. Photos that lie elsewhere stay there.
"""

import io
import os
import secrets
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from osoroi.catalog.memory import snapshots
from osoroi.catalog.store import database, verify
from osoroi.catalog.store import photos as _photos
from osoroi.catalog.store.pool import Pool
from osoroi.catalog.store.reader import Truth
from osoroi.errors import BadCatalog, Busy


class Copied(NamedTuple):
    """What a backup holds."""

    products: int
    photos: int
    seq: int
    bytes: int


def backup(folder: Path, file: Path) -> Copied:
    """Copy a catalog, while others search it and write to it, into one file that is whole or not there.

    What is copied is checked first, so that no damage is kept as a backup: raises BadCatalog.
    """
    database.inspect(folder)
    pool = Pool(folder, readonly=True, wait_s=database.WAIT_S)
    beside = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    try:
        if not file.parent.is_dir():
            raise BadCatalog(f"there is no folder {file.parent} for the backup", hint="make it, or name another file")
        with (
            database.explained(folder),
            tempfile.TemporaryDirectory(dir=file.parent, prefix=".osoroi-") as place,
            snapshots.alone(folder) as only,
        ):
            if not only:  # a compaction might throw out a photo that the copy still refers to
                raise Busy(f"the catalog {folder} is being compacted", hint="try again in a minute")
            copy = Path(place) / database.FILE
            with pool.connected() as connection, closing(sqlite3.connect(copy)) as target:
                connection.backup(target)
            copied = _write(folder, copy, beside)
            os.replace(beside, file)
        database.sync(file.parent)
    finally:
        beside.unlink(missing_ok=True)
        pool.close()
    return copied._replace(bytes=file.stat().st_size)


def _write(folder: Path, copy: Path, beside: Path) -> Copied:
    """The archive, of a copy of the database that was found sound."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # so that the file alone is everything
        truth = Truth(folder, connection)
        for text in verify.contradictions(truth):
            raise database.damaged(folder, text)
        kept = truth.all("SELECT DISTINCT sha256 FROM crops WHERE path IS NULL ORDER BY sha256")
        copied = Copied(truth.count()[0], len(kept), truth.seq(), 0)
        connection.execute("PRAGMA journal_mode = WAL")
    with beside.open("wb") as target, tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(copy, database.FILE)
        for (sha256,) in kept:
            _add(archive, folder, sha256)
        archive.close()
        target.flush()
        os.fsync(target.fileno())
    return copied


def _add(archive: tarfile.TarFile, folder: Path, sha256: str) -> None:
    """A kept photo, if it is what its name says."""
    path = _photos.place(folder, sha256)
    data = path.read_bytes()
    if _photos.hash_of(data) != sha256:
        raise database.damaged(folder, f"the kept photo {path} is not what was written")
    entry = tarfile.TarInfo(str(path.relative_to(folder)))
    entry.size = len(data)
    entry.mode = 0o644
    archive.addfile(entry, io.BytesIO(data))
