"""What a path or an address is, so that a command that wants something else can say so, and what to do instead."""

import os
from pathlib import Path
from typing import NamedTuple

from osoroi import files
from osoroi.errors import NO_PATH, UNSET, BadPhoto, OsoroiError
from osoroi.image.truncation import kind_of

HEAD = 512
"""Bytes of a file that are looked at."""


class PathType(NamedTuple):
    """What a path is, in words, and what one does with such a thing."""

    name: str
    advice: str


PHOTO = PathType("a photo", "'osoroi search CATALOG PHOTO' searches with one; a folder of photos is added as it is")
TABLE = PathType("a table", "'osoroi add CATALOG TABLE' embeds and stores its products")
CATALOG = PathType("a catalog", "'osoroi info CATALOG' describes it, 'osoroi search CATALOG PHOTO' searches it")
ENCODER = PathType("an encoder file", "it goes where `encoder` is asked for")
VECTORS = PathType("an archive of NumPy", "'osoroi load CATALOG FILE' stores ready-made vectors")
PDF = PathType("a PDF document", "export the products as CSV or Excel")
WEB_PAGE = PathType("a web page", "export the products as CSV or Excel, or save the photo itself")
ARCHIVE = PathType("an archive", "unpack it, and name what is in it")
DOCUMENT = PathType("a document of an office program", "save its table as .xlsx or CSV")
DATABASE = PathType("a database", "export its products as CSV; a catalog is named by its folder")
ADDRESS = PathType("an address of the web", "download it, and name the file")
EMPTY_FILE = PathType("an empty file", "export, copy or download it again")
EMPTY_FOLDER = PathType("an empty folder", "put something into it, or check the path")
FOLDER = PathType("a folder", "name a file in it")

TABLES = (".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".jsonl", ".ndjson", ".rss", ".parquet")
DOCUMENTS = (".xls", ".ods", ".numbers", ".docx", ".doc", ".odt", ".pptx")

SUFFIXES = {
    **dict.fromkeys(TABLES, TABLE),
    **dict.fromkeys(DOCUMENTS, DOCUMENT),
    ".npz": VECTORS,
    ".onnx": ENCODER,
}

STARTS = (
    (b"%PDF", PDF),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", DOCUMENT),
    (b"PK\x03\x04", ARCHIVE),
    (b"\x1f\x8b", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"Rar!", ARCHIVE),
    (b"SQLite format 3\0", DATABASE),
)
"""How files begin that are neither photos nor tables."""


def path_type(path: str | os.PathLike[str]) -> PathType | None:
    """What a path is; None where nothing is there, and for a file that nothing here knows.

    >>> path_type("https://shop.example/products.csv").name, path_type(Path("https:/shop.example/p.csv")).name
    ('an address of the web', 'an address of the web')
    """
    if files.WEB.match(os.fspath(path)):
        return ADDRESS
    path = Path(path)
    try:
        if path.is_dir():
            return _of_folder(path)
        return _of_file(path) if path.is_file() else None
    except OSError:  # who may not read it learns that from what opens it
        return None


def _of_folder(path: Path) -> PathType:
    if (path / files.CATALOG).is_file():
        return CATALOG
    return FOLDER if any(path.iterdir()) else EMPTY_FOLDER


def _of_file(path: Path) -> PathType | None:
    if files.is_database(path):  # its opener says so
        return None
    with files.open_foreign(path) as file:
        head = file.read(HEAD)
    if not head:
        return EMPTY_FILE
    known = next((one for start, one in STARTS if head.startswith(start)), None)
    return SUFFIXES.get(path.suffix.lower()) or known or _of_content(head)


def _of_content(head: bytes) -> PathType | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return WEB_PAGE
    try:
        kind_of(head, "it")
    except BadPhoto:
        return None
    return PHOTO


def require(path: str | os.PathLike[str], wanted: PathType | None, name: str, error: type[OsoroiError]) -> None:
    """Raise an ``error`` for a path that is known to be something else than the ``wanted`` thing, which the message
    calls by its ``name``; None is none of those here; and for an empty text. What is not there, or not known, passes.

    >>> from osoroi.errors import BadDataset
    >>> require("http://a.jp/p.csv", TABLE, "a table", BadDataset)
    Traceback (most recent call last):
    osoroi.errors.BadDataset: http://a.jp/p.csv is an address of the web, not a table; download it, and name the file
    """
    if not os.fspath(path):
        raise error(NO_PATH, hint=UNSET)
    other = path_type(path)
    if other is not None and other != wanted:
        raise error(f"{os.fspath(path)} is {other.name}, not {name}", hint=other.advice)
