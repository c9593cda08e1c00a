"""Photos of crops: those on disk stay where they are, those that came as bytes are kept under their hash."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from osoroi import files
from osoroi.errors import BadPhoto
from osoroi.records import Crop, Source

FOLDER = "photos"


class StoredPhoto(NamedTuple):
    """Where the photo of a crop is: at ``path``, or kept in the catalog's folder; ``data`` where it came as bytes."""

    sha256: str
    path: str | None
    data: bytes | None = None


@dataclass(frozen=True)
class BucketPhoto:
    """A photo that the catalog keeps outside of its folder: fetched when it is read, and cached at ``path``."""

    path: Path
    sha256: str
    fetch: Callable[[str], bytes] = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    def read(self) -> bytes:
        """The bytes; raises what ``fetch`` does."""
        with contextlib.suppress(OSError):  # it was not read yet, or the cache is gone
            return files.content(self.path)
        data = self.fetch(self.sha256)
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time alone
            files.write_atomically(self.path, data, durable=False)
        return data


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
    return StoredPhoto(sha256, None if is_own_copy(folder, photo, sha256) else str(photo.absolute()))


def is_own_copy(folder: Path, photo: Source, sha256: str | None) -> bool:
    """Whether a photo of a stored crop is one that the catalog keeps itself, and not a file that it reads by its
    path."""
    if isinstance(photo, BucketPhoto):
        photo = photo.path
    if sha256 is None or not isinstance(photo, Path):
        return False
    return photo.name == sha256 and photo.absolute() == place(folder, sha256).absolute()


def restorable(folder: Path, crops: Sequence[Crop], brought: Mapping[tuple[str, str], Source]) -> list[Crop] | None:
    """Stored crops of a product, those that the catalog keeps with the photos that were brought, by product and crop.

    Photos that it reads by a path stay so. None where no kept one was brought, or another one is lost, too: the
    catalog takes no product without all that it keeps.
    """
    again = list(crops)
    for at, crop in enumerate(crops):
        if not is_own_copy(folder, crop.photo, crop.sha256):
            continue
        if (photo := brought.get((crop.product_id, crop.crop_id))) is not None:
            again[at] = replace(crop, photo=photo)
        elif isinstance(crop.photo, Path) and not crop.photo.exists():
            return None
    return again if any(new is not old for new, old in zip(again, crops, strict=True)) else None


def are_same(crops: Sequence[Crop], before: Sequence[Crop]) -> bool:
    """Whether the catalog has just these crops. A file that was moved is a change; bytes that it has, kept or by a
    path, are none."""
    return len(crops) == len(before) and all(
        (crop.crop_id, crop.sha256, crop.box) == (old.crop_id, old.sha256, old.box)
        and (not isinstance(crop.photo, Path) or crop.photo.absolute() == old.photo)
        for crop, old in zip(crops, before, strict=True)
    )


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
