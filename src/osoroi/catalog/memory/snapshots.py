"""Snapshots of the memory index on disk, so that a large catalog opens without reading every vector.

A snapshot is a folder ``index/<name>`` with the index, the owners of its crops, the columns that filters ask about, and
a manifest that says which commit it stands at. ``index/current`` names the one that holds; writing that file is the
swap. Whoever opens a snapshot that is damaged builds from the database instead, and says so in the log.
"""

import contextlib
import json
import logging
import os
import secrets
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from osoroi import files
from osoroi.catalog.memory.columns import Columns
from osoroi.catalog.store.database import damaged, sync
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.errors import BadIndex
from osoroi.index import Index
from osoroi.index.exact import ExactIndex

log = logging.getLogger(__name__)

FOLDER = "index"
CURRENT = "current"
LOCK = "lock"
FORMAT = 3
TRIES = 5
KINDS = ("exact", "scan")


@dataclass(frozen=True)
class Manifest:
    """What a snapshot is of. ``owners`` and ``columns`` are the CRC-32 of their files; the index checks itself.

    ``commit`` is the checksum of the line that ``changes`` had at ``seq``: a database with another past, restored
    from a backup for instance, is not what this is a snapshot of. ``pending`` are crops that it does not hold, since
    they had no vector of an encoder that the catalog was still to move to.
    """

    encoder: int
    seq: int
    commit: int
    kind: str
    count: int
    owners: int
    columns: int
    format: int = FORMAT
    pending: Sequence[int] = ()


@dataclass(frozen=True)
class OpenedSnapshot:
    """A snapshot that was read: the index, the product of each crop (0 where there is none), and the columns."""

    manifest: Manifest
    index: Index
    owners: Int64[np.ndarray, "c"]
    columns: Columns


def built(
    folder: Path,
    count: int,
    encoder: StoredEncoder,
    vectors: Iterable[tuple[list[int], Float32[np.ndarray, "n d"]]],
    settings: CatalogSettings,
) -> Index:
    """A new index of so many vectors, given by rising keys. Which kind it is, is decided here and nowhere else."""
    if count < settings.scan_from:
        index = ExactIndex(encoder.dim)
        for keys, rows in vectors:
            index.add(np.array(keys, np.int64), rows)
        return index
    every_key = np.empty(count, np.int64)
    every = _room(folder, count, encoder.dim)
    done = 0
    for keys, rows in vectors:
        here = slice(done, min(done + len(keys), count))
        every_key[here], every[here] = keys[: here.stop - done], rows[: here.stop - done]
        done += len(keys)
    if done != count:
        raise damaged(folder, f"{count} crops have {done} vectors")
    from osoroi.index.scan import ScanIndex

    sizes = [part.size for part in encoder.parts]
    return ScanIndex.build(every_key, every, parts=sizes, settings=settings.scan)


def _room(folder: Path, count: int, dim: int) -> Float32[np.ndarray, "n d"]:
    """Room for many vectors: a file without a name in the folder, or memory where none can be had.

    The file has all its blocks before it is mapped: to write where a full disk has none kills the process.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            files.allocate(file, 0, 4 * count * dim)
            return np.memmap(file, np.float32, "r+", shape=(count, dim))
    except OSError as error:
        log.info("%s: no room for vectors beside it, so they are held in memory: %s", folder, error)
        return np.empty((count, dim), np.float32)


def _open(kind: str, path: Path, settings: CatalogSettings) -> Index:
    if kind == "exact":
        return ExactIndex.open(path)
    from osoroi.index.scan import ScanIndex

    return ScanIndex.open(path, settings=settings.scan)


def kind_of(index: Index) -> str:
    """``exact`` or ``scan``."""
    return type(index).__module__.rpartition(".")[2]


def write(
    folder: Path,
    index: Index,
    owners: Int64[np.ndarray, "c"],
    columns: Columns,
    *,
    encoder: int,
    seq: int,
    commit: int,
    pending: Collection[int] = (),
) -> None:
    """Write a snapshot and make it the current one; the one before goes."""
    home = folder / FOLDER
    home.mkdir(exist_ok=True)
    name = f"{encoder}-{seq}-{secrets.token_hex(4)}"
    beside = home / f"{name}.new"
    beside.mkdir()
    try:
        index.save(beside / "vectors")
        (beside / "owners").write_bytes(owners.astype("<i8").tobytes())
        columns.save(beside / "columns")
        sums = (_crc(beside / "owners"), _crc(beside / "columns"))
        manifest = Manifest(encoder, seq, commit, kind_of(index), len(index), *sums, pending=sorted(pending))
        text = json.dumps(asdict(manifest))
        (beside / "manifest.json").write_text(f"{text}\n{zlib.crc32(text.encode())}\n")
        for path in beside.iterdir():
            sync(path)
        files.sync_folder(beside)
        os.rename(beside, home / name)
        files.write_atomically(home / CURRENT, name.encode())
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if current(folder) != home / name:
            shutil.rmtree(home / name, ignore_errors=True)
        raise
    files.sync_folder(folder)
    clean(folder)


def current(folder: Path) -> Path | None:
    """The folder of the current snapshot, or None where there is none."""
    try:
        name = files.content(folder / FOLDER / CURRENT).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        log.warning("%s: the pointer to the snapshot of the index cannot be read (%s)", folder, error)
        return None
    return folder / FOLDER / Path(name).name if name.strip() else None


def manifest_of(path: Path) -> Manifest:
    """What a snapshot is of; raises BadIndex."""
    try:
        text, check = files.content(path / "manifest.json").decode().splitlines()
        if zlib.crc32(text.encode()) != int(check):
            raise ValueError("its checksum is another")
        manifest = Manifest(**files.from_json(text))
    except (OSError, ValueError, TypeError) as error:
        raise BadIndex(f"the snapshot {path} has no manifest that can be read: {error}") from error
    if manifest.format != FORMAT or manifest.kind not in KINDS:
        raise BadIndex(f"the snapshot {path} is of another format")
    return manifest


def read(folder: Path, encoder: int, settings: CatalogSettings) -> OpenedSnapshot | None:
    """The current snapshot, or None where there is none of this encoder or none that is whole."""
    for _ in range(TRIES):
        path = current(folder)
        if path is None:
            return None
        try:
            manifest = manifest_of(path)
            return opened(path, manifest, settings) if manifest.encoder == encoder else None
        except BadIndex as error:
            if current(folder) == path:  # otherwise it was swapped while we looked
                log.warning(
                    "%s: the snapshot of the index is not used, and built anew from the database: %s", folder, error
                )
                return None
    return None


def opened(path: Path, manifest: Manifest, settings: CatalogSettings) -> OpenedSnapshot:
    """All of a snapshot; raises BadIndex where it is not what was written."""
    try:
        index = _open(manifest.kind, path / "vectors", settings)
        whole = (_crc(path / "owners"), _crc(path / "columns")) == (manifest.owners, manifest.columns)
        owners = np.fromfile(path / "owners", "<i8").astype(np.int64)
        if not whole or len(index) != manifest.count:
            raise BadIndex(f"the snapshot {path} is not what was written")
        return OpenedSnapshot(manifest, index, owners, Columns.open(path / "columns"))
    except OSError as error:
        raise BadIndex(f"the snapshot {path} cannot be read: {error}") from error


def clean(folder: Path) -> None:
    """Delete every snapshot but the current one, and what a killed writer left half done."""
    keep = {CURRENT, path.name} if (path := current(folder)) else {CURRENT}
    for other in (folder / FOLDER).iterdir():
        if other.name in keep or other.name == LOCK:
            continue
        shutil.rmtree(other, ignore_errors=True) if other.is_dir() else other.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[bool]:
    """Whether this process is the only one that writes snapshots just now; a process that dies lets go."""
    if not os.access(folder, os.W_OK):  # nobody does
        yield True
        return
    with files.lock(folder / FOLDER / LOCK) as only:
        yield only


def _crc(path: Path) -> int:
    crc = 0
    with files.open_foreign(path) as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
