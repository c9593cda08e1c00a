"""A live catalog as one file: the database as of one commit, its encoder file and every photo in its folder, as a tar
archive.

``tar -xf FILE -C FOLDER`` restores it. The archive is complete in itself, whatever lies in the folder: a new
``catalog.id`` tells processes that still have the folder open. An empty ``catalog.sqlite-wal`` takes the place of the
log of a killed writer, which SQLite would replay into the restored database, and an empty ``index/current`` that of
the pointer to a snapshot of the index.

Photos that a table names lie outside the catalog's folder. ``photos=True`` packs them too, as photos of the catalog's
own, so that what is restored needs nothing else.
"""

import contextlib
import io
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator, Set
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

from osoroi import files
from osoroi.catalog.memory import snapshots
from osoroi.catalog.store import database, identity, verify
from osoroi.catalog.store import photos as _photos
from osoroi.catalog.store.pool import Pool
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import CropRow, checksum
from osoroi.catalog.store.settings import WAIT_S
from osoroi.encoder import beside
from osoroi.errors import BadCatalog, BadRequest, Busy, CatalogUnavailable

BESIDE = ".osoroi-backup-"
"""Beginning of the name of the folder, beside the backup, where the database is copied to first."""

LOCK = "lock"
"""File in that folder that is locked while the backup is under way."""

BEGINNING_S = 60.0
"""Seconds within which a backup locks its folder."""


class BackupContents(NamedTuple):
    """What a backup holds; ``missing`` are photos of a table that were to be packed, and are gone or changed."""

    products: int
    photos: int
    seq: int
    bytes: int
    encoder: bool
    missing: int


def backup(folder: Path, file: Path, *, photos: bool = False) -> BackupContents:
    """Copy a catalog, while others search it and write to it, into one file that is whole or not there.

    With ``photos``, those that a table names are packed too, and belong to the catalog where it is restored.
    What is copied is checked first, so that no damage is kept as a backup: raises BadCatalog.
    """
    folder, file = folder.absolute(), file.absolute()
    database.inspect(folder)
    if catalog := files.catalog_around(file):
        raise BadRequest(f"{file} lies inside the catalog {catalog}", hint="name a file outside of it")
    if not file.parent.is_dir():
        raise BadCatalog(f"there is no folder {file.parent} for the backup", hint="make it, or name another file")
    _remove_abandoned(file.parent)
    pool = Pool(folder, readonly=True, wait_s=WAIT_S)
    try:
        with (
            database.explained(folder),
            tempfile.TemporaryDirectory(dir=file.parent, prefix=BESIDE) as place,
            files.lock(Path(place) / LOCK),
            snapshots.exclusive(folder) as only,
        ):
            if not only:  # a compaction might throw out a photo that the copy still refers to
                raise Busy(f"the catalog {folder} is being compacted", hint="try again in a minute")
            with _written(file):
                copy = Path(place) / database.FILE
                with pool.connected() as connection, closing(sqlite3.connect(copy)) as target:
                    connection.backup(target)
                with files.replacing(file) as target_file:
                    copied, fingerprint = _write(folder, copy, target_file, photos=photos)
                    _demand_encoder(pool, fingerprint)
            pool.check_identity()
    finally:
        pool.close()
    return copied._replace(bytes=file.stat().st_size)


@contextlib.contextmanager
def _written(file: Path) -> Iterator[None]:
    """Say of what goes wrong beside the catalog that the backup cannot be written: it may lie on another disk."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        named = getattr(error, "filename", None)  # where a file cannot be opened; of a write it is not known
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        if (isinstance(error, OSError) and named in (None, str(file))) or is_full:
            cause = "there is no room left" if is_full else getattr(error, "strerror", None) or error
            raise CatalogUnavailable(f"the backup {file} cannot be written: {cause}", hint=database.REMEDY) from error
        raise


def _remove_abandoned(folder: Path) -> None:
    """Remove the copies of backups that were killed: those that no process has locked."""
    for path in folder.glob(f"{BESIDE}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > BEGINNING_S:
                with files.lock(path / LOCK) as is_abandoned:
                    if is_abandoned:
                        shutil.rmtree(path)


def _demand_encoder(pool: Pool, fingerprint: str) -> None:
    """Raise Busy where the catalog has moved to another encoder, whose file may be in the archive."""
    with pool.view() as transaction:
        if transaction.encoder().fingerprint != fingerprint:
            raise Busy("the catalog moved to another encoder meanwhile", hint="try again")


def _write(folder: Path, copy: Path, file: IO[bytes], *, photos: bool) -> tuple[BackupContents, str]:
    """The archive, of a copy of the database that was found sound; and the fingerprint of its encoder."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, identity.FILE, identity.content())  # first, so that it is noticed first
        _add(archive, f"{database.FILE}-wal", b"")
        _add(archive, f"{snapshots.FOLDER}/{snapshots.CURRENT}", b"")  # points to no snapshot
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # so that the file alone is everything
            transaction = ReadTransaction(folder, connection)
            for text in verify.contradictions(transaction):
                raise database.damaged(folder, text)
            kept = {sha256 for (sha256,) in transaction.all("SELECT DISTINCT sha256 FROM crops WHERE path IS NULL")}
            missing = _pack_named(archive, transaction, kept) if photos else 0
            own = transaction.all("SELECT DISTINCT sha256 FROM crops WHERE path IS NULL ORDER BY sha256")
            fingerprint = transaction.encoder().fingerprint
            encoder = _encoder_files(folder, fingerprint)
            products, seq = transaction.count()[0], transaction.seq()
            copied = BackupContents(products, len(own), seq, 0, beside.FILE in encoder, missing)
            connection.execute("PRAGMA journal_mode = WAL")
        for sha256 in sorted(kept):
            _add_photo(archive, folder, sha256)
        for name, path in encoder.items():
            archive.add(path, name)
        archive.add(copy, database.FILE)
    return copied, fingerprint


def _encoder_files(folder: Path, fingerprint: str) -> dict[str, Path]:
    """The files of the catalog's encoder, by the names that they are to have; just after a move they have others."""
    coming = beside.coming(fingerprint)
    names = coming if (folder / coming[0]).is_file() else beside.NAMES
    return {final: folder / name for final, name in zip(beside.NAMES, names, strict=True) if (folder / name).is_file()}


def _pack_named(archive: tarfile.TarFile, transaction: ReadTransaction, packed: Set[str]) -> int:
    """Pack the photos that a table named, and make them the catalog's own; gives how many are gone or changed.

    Their content decides: a file that is no longer the photo that was added stays where it is.
    """
    packed, missing, moved = set(packed), 0, []
    for rows in transaction.batches_of(CropRow, "SELECT * FROM crops WHERE path IS NOT NULL"):
        for row in rows:
            if row.sha256 not in packed:
                data = _content(row)
                if data is None:
                    missing += 1
                    continue
                _add(archive, _photos.place(Path(), row.sha256).as_posix(), data)
                packed.add(row.sha256)
            moved.append((checksum(*row._replace(path=None)[:-1]), row.crop))
    transaction.connection.execute("BEGIN")
    for sums in moved:
        transaction.connection.execute("UPDATE crops SET path = NULL, checksum = ? WHERE crop = ?", sums)
    transaction.connection.execute("COMMIT")
    return missing


def _content(row: CropRow) -> bytes | None:
    """The photo that a table named, if it is still the one that was added."""
    try:
        with files.open_foreign(Path(row.path or "")) as file:
            data = file.read()
    except OSError:
        return None
    return data if _photos.hash_of(data) == row.sha256 else None


def _add_photo(archive: tarfile.TarFile, folder: Path, sha256: str) -> None:
    """A stored photo, if it is what its name says."""
    path = _photos.place(folder, sha256)
    data = files.content(path)
    if _photos.hash_of(data) != sha256:
        raise database.damaged(folder, f"the kept photo {path} is not what was written")
    _add(archive, path.relative_to(folder).as_posix(), data)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o644, time.time()
    archive.addfile(member, io.BytesIO(data))
