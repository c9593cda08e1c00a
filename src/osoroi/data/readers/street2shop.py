"""Exact Street2Shop: people's photos with boxes, and the photos of 25 shops, in eleven categories.

``meta/json/{train,test}_pairs_<category>.json`` and ``retrieval_<category>.json``; photos in ``images``, each named by
its number of nine digits, whatever the suffix. Product ids are unique only within a category: ours are
``bags/8193``. Photos whose link was dead are left out. See docs/datasets/street2shop.md.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from osoroi import files
from osoroi.data import splits
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row

CATEGORIES = (
    *("bags", "belts", "dresses", "eyewear", "footwear", "hats"),
    *("leggings", "outerwear", "pants", "skirts", "tops"),
)
PROTOCOLS = ("kiapour", "vasily")
VASILY_TEST_SHARE = 0.1
"""Share of the products that the protocol ``vasily`` tests."""


class Pair(NamedTuple):
    """A photo that shows a product; street photos have a box."""

    photo: int
    product: int
    box: Box | None = None


@dataclass(frozen=True)
class Street2Shop:
    """The folder of the data set under one protocol."""

    path: Path
    protocol: str = "kiapour"
    categories: tuple[str, ...] = CATEGORIES
    seed: str = "0"

    def rows(self) -> Iterator[Row]:
        """Every crop whose photo is there."""
        photos = present(self.path / "images")
        tested = self.tested()
        for category in self.categories:
            yield from (row for row in self.category(category, photos, tested) if number_of(row.crop) in photos)

    def listed(self) -> Iterator[Row]:
        """Every crop of the lists, whether or not its photo is there."""
        photos = present(self.path / "images")
        tested = self.tested()
        for category in self.categories:
            yield from self.category(category, photos, tested)

    def category(self, category: str, photos: dict[int, str], tested: set[str]) -> Iterator[Row]:
        """Street crops, then shop photos. Boxes without an area show nothing, and are left out."""
        queried = {split: self.pairs(f"{split}_pairs_{category}.json") for split in ("train", "test")}
        split_of = self.split_of(category, queried["train"], queried["test"], tested)
        for pair in (*queried["train"], *queried["test"]):
            if pair.box is not None and pair.box.left < pair.box.right and pair.box.top < pair.box.bottom:
                yield self.row(category, pair, split_of(pair.product), photos)
        for pair in self.pairs(f"retrieval_{category}.json"):
            split = split_of(pair.product)
            if split is not None:
                yield self.row(category, pair, split, photos)

    def split_of(
        self, category: str, train: list[Pair], test: list[Pair], tested: set[str]
    ) -> Callable[[int], str | None]:
        """What says the split of a product.

        ``kiapour``: as in the lists; products without queries are in the gallery. ``vasily``: products of all
        pairs are split anew; products without queries are left out.
        """
        learned, queried = {pair.product for pair in train}, {pair.product for pair in test}
        if self.protocol == "kiapour":
            return partial(_kiapour, frozenset(learned))
        split = {product: "test" if f"{category}/{product}" in tested else "train" for product in learned | queried}
        return split.get

    def tested(self) -> set[str]:
        """Products that ``vasily`` tests: a tenth, over all categories of the folder, so that no street photo that
        shows one of them shows a product of train."""
        if self.protocol == "kiapour":
            return set()
        links = (
            (f"{category}/{pair.product}", str(pair.photo))
            for category in categories_of("", self.path)
            for split in ("train", "test")
            if category in self.categories or (self.path / "meta/json" / f"{split}_pairs_{category}.json").is_file()
            for pair in self.pairs(f"{split}_pairs_{category}.json")
        )
        return splits.hold_out(links, VASILY_TEST_SHARE, self.seed)

    def row(self, category: str, pair: Pair, split: str | None, photos: dict[int, str]) -> Row:
        """A pair as a product and a crop."""
        product_id = f"{category}/{pair.product}"
        crop_id = f"{product_id}/{pair.photo:09d}" if pair.box is None else _street_id(category, pair.photo, pair.box)
        photo = self.path / "images" / photos.get(pair.photo, f"{pair.photo:09d}.jpg")
        domain: Domain = "shop" if pair.box is None else "street"
        return Row(Product(product_id, category=category), Crop(crop_id, product_id, domain, photo, pair.box, split))

    def pairs(self, name: str) -> list[Pair]:
        """The pairs of one file of ``meta/json``; raises BadDataset naming the file and the place."""
        path = self.path / "meta" / "json" / name
        if not path.is_file():
            hint = "docs/datasets/street2shop.md shows the folder that street2shop: wants"
            raise BadDataset(f"{self.path} lacks meta/json/{name}", hint=hint)
        try:
            written = files.from_json(files.content(path))
        except ValueError as error:
            raise BadDataset(f"{path} is no JSON: {error}", hint="unpack meta.zip again") from error
        if not isinstance(written, list):
            raise BadDataset(f"{path} is no array of pairs", hint="unpack meta.zip again")
        return list(_pairs(written, path, boxed=not name.startswith("retrieval")))


def _kiapour(learned: frozenset[int], product: int) -> str:
    return "train" if product in learned else "test"


def _street_id(category: str, photo: int, box: Box) -> str:
    return f"{category}/{photo:09d}/{','.join(map(str, box))}"


def _pairs(written: Iterable[Any], path: Path, *, boxed: bool) -> Iterator[Pair]:
    for place, pair in enumerate(written, start=1):
        try:
            photo, product = int(pair["photo"]), int(pair["product"])
            box = None
            if boxed:
                left, top, width, height = (int(pair["bbox"][side]) for side in ("left", "top", "width", "height"))
                box = Box(left, top, left + width, top + height)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"{path}, pair {place}: {error!r:.80} in {str(pair)[:80]}"
            raise BadDataset(problem, hint="a pair has photo and product, on street photos also bbox") from error
        yield Pair(photo, product, box)


def present(images: Path) -> dict[int, str]:
    """Number -> name of every photo there is: ``000000023.jpg``, another suffix, or none."""
    if not images.is_dir():
        hint = "get the photos with: osoroi download street2shop FOLDER"
        raise BadDataset(f"there is no folder {images} with the photos", hint=hint)
    with os.scandir(images) as entries:
        names = (entry.name for entry in entries)
        return {int(stem): name for name in names if (stem := name.partition(".")[0]).isdecimal() and len(stem) == 9}


def number_of(crop: Crop) -> int:
    """The number of a crop's photo.

    >>> number_of(Crop("bags/1/000000023", "bags/1", "shop", Path("images/000000023.png")))
    23
    """
    assert isinstance(crop.photo, Path)
    return int(crop.photo.name.partition(".")[0])


def open_reader(path: str, *, protocol: str = "kiapour", category: str = "", seed: str = "") -> Reader:
    """The reader of a folder.

    ``protocol`` is ``kiapour`` (the lists' own split) or ``vasily`` (products of all pairs split 9:1 by ``seed``, no
    street photo on both sides); ``category`` is one of the eleven or several joined by commas, without it all that are
    there.
    """
    if protocol not in PROTOCOLS:
        raise BadDataset(f"protocol={protocol}", hint=f"protocol is one of {', '.join(PROTOCOLS)}")
    if seed and protocol == "kiapour":
        raise BadDataset("kiapour deals nothing, so it takes no seed", hint="leave seed away, or add protocol=vasily")
    if not Path(path).is_dir():
        raise BadDataset(f"there is no folder {path}", hint="street2shop: wants the folder that holds meta/")
    return Street2Shop(Path(path), protocol, categories_of(category, Path(path)), seed or "0")


def categories_of(names: str, folder: Path) -> tuple[str, ...]:
    """Categories by name, joined by commas; without a name those of which the folder has any list.

    >>> categories_of("bags,tops", Path("s2s"))
    ('bags', 'tops')
    >>> categories_of("socks", Path("s2s"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    osoroi.errors.BadDataset: there is no category 'socks'; the categories are bags, belts, dresses, ...
    """
    for name in filter(None, names.split(",")):
        if name not in CATEGORIES:
            raise BadDataset(f"there is no category {name!r}", hint=f"the categories are {', '.join(CATEGORIES)}")
    meta = folder / "meta" / "json"
    held = tuple(name for name in CATEGORIES if any(meta.glob(f"*_{name}.json")))
    if not names.strip(",") and not held:
        hint = "docs/datasets/street2shop.md shows the folder that street2shop: wants"
        raise BadDataset(f"{folder} lacks meta/json/train_pairs_bags.json and all its like", hint=hint)
    return tuple(dict.fromkeys(filter(None, names.split(",")))) or held
