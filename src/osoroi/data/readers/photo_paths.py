"""Where the photos of a table are: paths as other systems and other people's machines write them."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from osoroi.data.cells import PHOTO
from osoroi.image.cropping import existing

DRIVE = re.compile(r"/?[A-Za-z]:/")
"""The start of a path from another machine."""

MOST_NAMES = 200_000
"""Names of a folder that are compared without regard to capitals, at most."""


@dataclass
class PhotoPaths:
    """The photos in a folder. ``names`` has the folders that were listed since a photo was missing there.

    ``bare`` has the files that a path with a drive was found at by its name alone, and the folder that it named.
    """

    folder: Path
    names: dict[Path, dict[str, str]] = field(default_factory=dict, repr=False)
    bare: dict[str, str] = field(default_factory=dict, repr=False)

    def place(self, photo: str) -> Path:
        """The file of a photo, or where it should be if there is none.

        A path from the root may be one from the folder, as stores write them; one of Windows is read elsewhere, and of
        one with a drive the end counts. Names may differ in capitals, and lack their suffix where one photo alone has
        that name.
        """
        candidates = list(candidates_of(photo))
        for candidate in candidates:
            path = self.folder / candidate
            if existing(path).exists():
                return path
        for candidate in candidates:
            path = self.folder / candidate
            name = self._names_in(path.parent).get(path.name.casefold())
            if name:
                return path.with_name(name)
        return self.folder / candidates[min(1, len(candidates) - 1) if "\\" in photo else 0]

    def taken(self, photo: str) -> str | None:
        """Another path with a drive that was found at the same file, both by their names alone; None without one.

        >>> paths = PhotoPaths(Path("/nowhere"))
        >>> paths.taken("coat/1.jpg"), paths.taken("C:\\\\1.jpg"), paths.taken("D:\\\\1.jpg")
        (None, None, 'c:/1.jpg')
        """
        plain = photo.replace("\\", "/")
        if not DRIVE.match(plain):
            return None
        path = self.place(photo)
        if path.parent != self.folder:
            return None
        folder, _, name = plain.casefold().rpartition("/")
        first = self.bare.setdefault(path.name, sys.intern(folder))
        return None if first == folder else f"{first}/{name}"

    def _names_in(self, folder: Path) -> dict[str, str]:
        """Names of the files of a folder, and those of photos without their suffix, in lower case -> name."""
        if folder in self.names:
            return self.names[folder]
        try:
            files = os.listdir(folder)
        except OSError:
            files = []
        files = files if len(files) <= MOST_NAMES else []
        names = _unambiguous((file.casefold(), file) for file in files)
        photos = ((os.path.splitext(file)[0].casefold(), file) for file in files if PHOTO.search(file))
        self.names[folder] = {**_unambiguous(photos), **names}
        return self.names[folder]


def _unambiguous(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Name -> file, where one file alone has the name."""
    names: dict[str, str] = {}
    for name, file in pairs:
        names[name] = "" if name in names else file
    return names


def candidates_of(photo: str) -> Iterator[str]:
    """What a path may mean below a folder, the likeliest first.

    >>> list(candidates_of(r"C:\\shop\\a.jpg"))
    ['C:\\\\shop\\\\a.jpg', 'shop/a.jpg', 'a.jpg']
    >>> list(candidates_of("/shop/a%20b.jpg")), list(candidates_of("file:///shop/a.jpg"))
    (['/shop/a%20b.jpg', 'shop/a%20b.jpg', 'shop/a b.jpg'], ['/shop/a.jpg', 'shop/a.jpg'])
    """
    if photo.startswith("file://"):
        photo = unquote(photo.removeprefix("file://"))
    yield photo
    plain = str(PurePosixPath(photo.replace("\\", "/")))
    drive = DRIVE.match(plain)
    if drive:
        parts = plain[drive.end() :].split("/")
        yield from ("/".join(parts[start:]) for start in range(len(parts)))
        return
    below = plain.lstrip("/")
    if below not in ("", photo):
        yield below
    if "%" in below:
        yield unquote(below)
