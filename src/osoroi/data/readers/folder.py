"""A folder of photos, one product a file; or of folders, one product a folder, in folders of categories or not."""

import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from osoroi import files
from osoroi.errors import BadDataset, BadPhoto
from osoroi.image.truncation import kind_of
from osoroi.records import Crop, Product, Row, Source

SUFFIXES: Final = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo", ".png", ".webp", ".avif"),
        *(".heic", ".heif", ".hif", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    )
)
"""What names of photos end in, whatever the case. Files with other names are photos where they begin like one."""

DEPTH: Final = 32
"""Folders inside folders beyond which a folder is refused: it may hold itself."""


class NotUnicode(NamedTuple):
    """A photo whose name is no Unicode text: a catalog cannot store it, so reading it says what to do."""

    name: str

    def read(self) -> bytes:
        """Raises BadPhoto."""
        raise BadPhoto(f"the file name {self.name} is not UTF-8", hint="rename the file, for instance with convmv")


def storable(path: Path) -> Source:
    """The path, or where it is no Unicode text a source that says so when it is read.

    >>> storable(Path("a.jpg"))
    PosixPath('a.jpg')
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return NotUnicode(normal(str(path)))
    return path


def normal(text: str) -> str:
    """Text in composed Unicode (NFC), the form that keyboards type; bytes that are no UTF-8 as ``\\\\xe9``.

    >>> normal("cafe\\u0301") == "caf\\xe9"
    True
    """
    return unicodedata.normalize("NFC", os.fsencode(text).decode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class Folder:
    """A folder of photos, one product a file; or of folders, one product a folder. All are shop photos.

    A folder that holds photos is a product, with all that lies deeper in it. A folder that holds folders alone is a
    category, and its products are called ``category/product``. Hidden files and folders and catalogs are passed over,
    and so are files that are no photos by their name nor by their first bytes.
    """

    path: Path
    assign: Callable[[Product], str] | None = None

    def rows(self) -> Iterator[Row]:
        """Every photo with its product; raises BadDataset where two files would be the same product."""
        photos, folders = contents(self.path)
        if not photos:
            empty = True
            for row in self.products("", folders):
                empty = False
                yield row
            if empty:
                from osoroi import path_types

                path_types.require(self.path, path_types.FOLDER, "a folder of photos", BadDataset)
                hint = f"photos end in {', '.join(sorted(SUFFIXES))}"
                raise BadDataset(f"{self.path} holds no photos, nor folders of photos", hint=hint)
            return
        filled = next((name for name in folders if next(photos_below(self.path, name), None)), None)
        if filled is not None:
            hint = "keep either one photo a product, or one folder a product"
            raise BadDataset(
                f"{self.path} holds both photos ({normal(photos[0])}) and folders of photos ({normal(filled)})",
                hint=hint,
            )
        yield from self.files(photos)

    def files(self, photos: list[str]) -> Iterator[Row]:
        """One product a file, called as the file without its suffix."""
        files: dict[str, str] = {}
        for name in photos:
            first = files.setdefault(normal(Path(name).stem), name)
            if first != name:
                problem = f"{self.path}: {normal(first)} and {normal(name)} would be one product"
                raise BadDataset(problem, hint="rename one, or put both in a folder of their own beside other folders")
        for stem, name in files.items():
            yield self.row(Product(stem), name)

    def products(self, category: str, folders: list[str], depth: int = 0) -> Iterator[Row]:
        """The products among the folders of ``category``, a path below ours that ends in a slash, or empty."""
        if depth > DEPTH:
            raise BadDataset(f"{self.path / category} lies more than {DEPTH} folders deep", hint="does it hold itself?")
        for name in folders:
            below = category + name
            photos, deeper = contents(self.path / below)
            if photos:
                product = Product(normal(below), category=normal(category.rstrip("/")) or None)
                for photo in photos_below(self.path, below):
                    yield self.row(product, photo)
            else:
                yield from self.products(f"{below}/", deeper, depth + 1)

    def row(self, product: Product, photo: str) -> Row:
        """One shop photo without a box; its crop is called as the file."""
        split = self.assign(product) if self.assign else None
        crop = Crop(normal(photo), product.product_id, "shop", storable(self.path / photo), None, split)
        return Row(product, crop)


def contents(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the photos and of the folders directly in a folder, each in order. Hidden ones are left out."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        problem = f"the folder {normal(str(folder))} cannot be read ({error.strerror})"
        raise BadDataset(problem, hint="give yourself permission to read it") from error
    shown = [entry for entry in entries if not entry.name.startswith(".")]
    photos = [entry.name for entry in shown if not entry.is_dir() and is_photo(Path(entry.path))]
    return photos, [entry.name for entry in shown if entry.is_dir() and not is_catalog(entry)]


def is_catalog(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is a catalog, whose files are its own."""
    return Path(entry.path, files.CATALOG).is_file()


def photos_below(root: Path, folder: str, depth: int = 0) -> Iterator[str]:
    """Paths from ``root`` of the photos in a folder below it and in the folders of that."""
    if depth > DEPTH:
        raise BadDataset(f"{root / folder} lies more than {DEPTH} folders deep", hint="does it hold itself?")
    photos, folders = contents(root / folder)
    yield from (f"{folder}/{name}" for name in photos)
    for name in folders:
        yield from photos_below(root, f"{folder}/{name}", depth + 1)


def is_photo(path: Path) -> bool:
    """Whether a file is a photo by its name, or else by its first bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        if not path.is_file():
            return False
        with files.open_foreign(path) as file:
            kind_of(file.read(512), path.name)
    except (BadPhoto, OSError):
        return False
    return True
