"""What is wrong with the photos of a table before they are embedded: unreadable, tiny, or one for many products.

A shop system shows one picture ("no image") for every product without a photo. All of them would then be found for
each other.
"""

import contextlib
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from osoroi import files, image
from osoroi.data.links import Fetched, NotFetched, path_of
from osoroi.errors import BadPhoto
from osoroi.image import LIMITS, Limits
from osoroi.image.cropping import existing
from osoroi.records import Problem, Row, Source

MANY = 5
"""Products from which on one photo of theirs may be a placeholder."""

NAMED = 3
"""Products that are named as examples of those that share a photo."""

SMALL = 96
"""Pixels on the shorter side below which a photo says little of cut and pattern."""

TAIL = 4096
"""Bytes at the end of a file by which files of the same size are told apart before they are read."""


BLOCK = 1024
"""Photos that are compressed together."""

STATED = 1024
"""Files of which what was read last is held, as those of which many products have one are asked for again."""


class SharedPhoto(NamedTuple):
    """One photo of several products: a path or link of it, how many products, and the ids of some."""

    photo: str
    products: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        """One line for people.

        >>> print(SharedPhoto("none.jpg", 312, ("p1", "p2", "p3")))
        one photo stands at 312 products (none.jpg at p1, p2, p3, …): a placeholder?
        """
        more = ", …" if self.products > len(self.examples) else ""
        question = ": a placeholder?" if self.products >= MANY else ""
        names = ", ".join(self.examples)
        return f"one photo stands at {self.products:,} products ({self.photo} at {names}{more}){question}"


ADVICE = "products that share a photo are found for each other; leave the cell of a placeholder empty"


class Noted(NamedTuple):
    """A photo of a product: its name, the product's id, and its file, which is empty where it has none."""

    photo: str
    product_id: str
    path: str


@dataclass
class SharedPhotos:
    """Which shop photos stand at which products, noted as rows go by. Photos are the same by path, link or content.

    Names are kept compressed, 10 to 30 bytes a photo, so that any number of rows may go by.
    """

    blocks: list[bytes] = field(default_factory=list)
    last: list[Noted] = field(default_factory=list)

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, noted."""
        for row in rows:
            self.note(row)
            yield row

    def note(self, row: Row) -> None:
        """Note a row. Street photos and photos without a name are passed over."""
        if row.crop.domain == "street" or (name := name_of(row.crop.photo)) is None:
            return
        path = path_of(row.crop)
        noted = Noted(name, row.product.product_id, "" if path is None else str(path))
        if self.last[-1:] == [noted]:  # another box of it
            return
        self.last.append(noted)
        if len(self.last) > BLOCK:
            self.blocks.append(zlib.compress(json.dumps(self.last[:-1]).encode()))
            del self.last[:-1]

    def noted(self) -> Iterator[Noted]:
        """Everything that was noted, in its order; a photo of a product may come several times."""
        for block in self.blocks:
            yield from (Noted(*one) for one in json.loads(zlib.decompress(block)))
        yield from self.last

    def shared(self, least: int = MANY) -> list[SharedPhoto]:
        """Photos of at least so many products, that of most products first; each product counts once.

        Of all photos hashes are held meanwhile, some 70 bytes a photo, and names of those alone that are shared.
        """
        photos = np.fromiter((hash(one.photo) for one in self.noted()), np.int64)
        products = np.fromiter((hash(one.product_id) for one in self.noted()), np.int64)
        same = self._same(photos, products, least)
        counts = distinct(same, products)
        first: dict[int, tuple[str, int]] = {}
        examples: dict[int, dict[str, None]] = {}
        for at, one in enumerate(self.noted()):
            if counts[at] < least:
                continue
            key = int(same[at])
            first.setdefault(key, (one.photo, int(counts[at])))
            if len(named := examples.setdefault(key, {})) < NAMED:
                named[one.product_id] = None
        found = [SharedPhoto(name, count, tuple(examples[key])) for key, (name, count) in first.items()]
        return sorted(found, key=lambda one: (-one.products, one.photo))

    def _same(
        self, photos: Int64[np.ndarray, " n"], products: Int64[np.ndarray, " n"], least: int
    ) -> Int64[np.ndarray, " n"]:
        """Of each photo a number that is the same for the same photo: of its content, where other names may have it
        and all of them at least so many products; else of its name.

        Files are compared by size, then by how they end, then by all of them.
        """
        contents, doubtful = np.zeros_like(photos), np.ones(len(photos), bool)
        for step in (_size, _ending, _content):
            if not doubtful.any():
                break
            known = lru_cache(maxsize=STATED)(step)
            for at, one in enumerate(self.noted()):
                if doubtful[at]:
                    content = known(one.path)
                    doubtful[at] = content is not None
                    contents[at] = hash((int(contents[at]), content))
            contents[~doubtful] = 0
            doubtful &= (distinct(contents, photos) > 1) & (distinct(contents, products) >= least)
        return np.where(doubtful, contents, photos)


def distinct(groups: Int64[np.ndarray, " n"], values: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Of each row, how many different values the rows of its group have.

    >>> distinct(np.array([7, 3, 7, 7]), np.array([1, 1, 2, 1])).tolist()
    [2, 1, 2, 2]
    """
    order = np.lexsort((values, groups))
    is_first = np.ones(len(order), bool)  # of its group
    is_first[1:] = groups[order][1:] != groups[order][:-1]
    is_new = is_first.copy()
    is_new[1:] |= values[order][1:] != values[order][:-1]
    of_group = np.cumsum(is_first) - 1
    counts = np.empty(len(order), np.int64)
    counts[order] = np.bincount(of_group[is_new])[of_group]
    return counts


@dataclass
class PhotoCheck:
    """Photos of a table that were opened: how many of how many, and those that are ``unreadable`` or ``small``."""

    photos: int = 0
    opened: int = 0
    unreadable: list[Problem] = field(default_factory=list)
    small: list[Problem] = field(default_factory=list)


def check(rows: Iterable[Row], *, most: int | None, limits: Limits = LIMITS) -> PhotoCheck:
    """Open the photos of rows: all of them, or at most so many spread evenly; each file once.

    Photos behind links and files that are not there are passed over: nothing is fetched, and what is missing is named
    elsewhere.
    """
    crops = {str(path): row.crop for row in rows if (path := path_of(row.crop)) is not None}
    names = [name for name, crop in crops.items() if existing(Path(name)).is_file()]
    count = len(names) if most is None else min(most, len(names))
    found = PhotoCheck(photos=len(names), opened=count)
    for name in (names[at * len(names) // count] for at in range(count)):
        crop = crops[name]
        try:
            height, width, _ = image.read(crop.photo, limits=limits).shape
        except BadPhoto as error:
            found.unreadable.append(Problem(crop.product_id, crop.crop_id, name, str(error)))
            continue
        if min(width, height) < SMALL:
            found.small.append(Problem(crop.product_id, crop.crop_id, name, f"{width} x {height} pixels"))
    return found


def _size(name: str) -> int | None:
    """The size of a file; None where there is none, or nothing in it, or it cannot be asked for."""
    with contextlib.suppress(OSError):  # others say so
        return (files.size_of(existing(Path(name))) or None) if name else None
    return None


def _ending(name: str) -> str | None:
    """A hash of the last bytes of a file; None where it cannot be read, which others say."""
    path = existing(Path(name))
    with contextlib.suppress(OSError), files.open_foreign(path) as file:
        file.seek(max(0, files.size_of(path) - TAIL))
        return hashlib.sha256(file.read(TAIL)).hexdigest()
    return None


def _content(name: str) -> str | None:
    """A hash of a file; None where it cannot be read."""
    with contextlib.suppress(OSError):
        return files.sha256(existing(Path(name)))
    return None


def name_of(photo: Source) -> str | None:
    """What is the same wherever one photo stands: its path, or its link; None for bytes."""
    if isinstance(photo, Fetched | NotFetched):
        return photo.name
    return str(photo) if isinstance(photo, Path) else None
