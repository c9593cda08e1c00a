"""Photos of crops: those on disk stay where they are, those that came as bytes are kept under their hash."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from osoroi import files
from osoroi.errors import BadPhoto
from osoroi.records import Source

FOLDER = "photos"


class StoredPhoto(NamedTuple):
    """Where the photo of a crop is: at ``path``, or kept in the catalog's folder; ``data`` where it came as bytes."""

    sha256: str
    path: str | None
    data: bytes | None = None


def keep(folder: Path, photo: Source, known: str | None = None) -> StoredPhoto:
    """Remember a photo on disk, or write its bytes into the catalog's folder.

    ``known`` is the hash of a photo on disk where somebody has read it already; bytes are always hashed here.
    """
    if not isinstance(photo, Path):
        data = photo if isinstance(photo, bytes) else photo.read()
        sha256 = hash_of(data)
        _write(place(folder, sha256), data)
        return StoredPhoto(sha256, None, data)
    return remembered(folder, photo, known)


def remembered(folder: Path, photo: Path, known: str | None = None) -> StoredPhoto:
    """A photo on disk by its path; one that the catalog keeps already stays kept."""
    sha256 = known or _hash(photo)
    is_stored = photo.name == sha256 and photo.absolute() == place(folder, sha256).absolute()
    return StoredPhoto(sha256, None if is_stored else str(photo.absolute()))


def ensure(folder: Path, stored: Sequence[StoredPhoto]) -> None:
    """Write once more what a compaction threw out between ``keep`` and the commit; no sweep can come in between now."""
    for one in stored:
        if one.path is None and not (path := place(folder, one.sha256)).exists():
            if one.data is None:
                raise BadPhoto(f"the kept photo {path} is gone", hint="put the product with its photos")
            _write(path, one.data)


def hash_of(data: bytes) -> str:
    """The name of a kept photo."""
    return hashlib.sha256(data).hexdigest()


def _hash(photo: Path) -> str:
    try:
        with files.open_foreign(photo) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadPhoto(f"{photo} cannot be read: {error.strerror}", hint="check the path") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file whose name says what is in it; it stands there whole, or not at all."""
    if path.exists():
        return
    files.write_atomically(path, data)
    for folder in path.parents[1:3]:  # photos, and the catalog's folder
        files.sync_folder(folder)


def place(folder: Path, sha256: str) -> Path:
    """Where a kept photo stands."""
    return folder / FOLDER / sha256[:2] / sha256
