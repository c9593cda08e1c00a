"""The products that a run learns from, and those that it is validated on: of a split, with street and shop photos.

Several datasets are one: their products stand one dataset behind the other, and a product id means another product in
another dataset, and so does a design or a category.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from osoroi.data.readers import Reader, open_dataset
from osoroi.errors import BadDataset
from osoroi.records import Crop, Product, Row
from osoroi.training import heldout
from osoroi.training.dataset import Selection

if TYPE_CHECKING:
    from osoroi.training.run import RunConfig


class Datasets:
    """The datasets that a run names, opened when the first split is selected."""

    def __init__(self, config: "RunConfig") -> None:
        self.config = config

    @cached_property
    def readers(self) -> list[Reader]:
        """The datasets of pairs."""
        return [open_dataset(name) for name in self.config.datasets]

    @cached_property
    def photos(self) -> list[Reader]:
        """The datasets whose photos are used without pairs."""
        return [open_dataset(name) for name in self.config.photos]

    def select(self, split: str) -> Selection:
        """The products of a split, ``train`` or ``val``, of the category of the run; see ``select``."""
        return select(
            self.readers,
            split,
            photos=self.photos,
            category=self.config.recipe.category,
            validation_share=self.config.validation_share,
        )


@dataclass(frozen=True)
class SinglePhotos:
    """The photos of a dataset without pairs: every crop is a product, and its street and its shop photo.

    ``split`` is that of all of them, or None to have some held out.
    """

    reader: Reader
    split: str | None = None

    def rows(self) -> Iterator[Row]:
        for number, (_, crop) in enumerate(self.reader.rows()):
            product = Product(f"photo {number}")
            for domain in ("street", "shop"):
                crop_id = f"{crop.crop_id} as {domain}"
                own = replace(crop, crop_id=crop_id, product_id=product.product_id, domain=domain, split=self.split)
                yield Row(product, own)


def sources(pairs: Sequence[Reader], photos: Sequence[Reader], split: str) -> tuple[list[Reader], frozenset[int]]:
    """The readers of a split, and the numbers of those without pairs: photos are validated on where nothing else is."""
    if pairs and split == "val":
        return list(pairs), frozenset()
    single = [SinglePhotos(reader, split if pairs else None) for reader in photos]
    return [*pairs, *single], frozenset(range(len(pairs), len(pairs) + len(single)))


def select(
    readers: Sequence[Reader],
    split: str,
    *,
    photos: Sequence[Reader] = (),
    category: str = "",
    validation_share: float | None = None,
) -> Selection:
    """The products of a split, ``train`` or ``val``, that have a street and a shop photo; of one category, or all.

    Where a dataset has no val, or ``validation_share`` is given, val is held out of train (``heldout``). ``photos``
    need no pairs (``SinglePhotos``). Raises BadDataset where fewer than two products are left, and says what was there.
    """
    products: list[Product] = []
    crops: list[tuple[int, Crop]] = []
    dataset: list[int] = []
    total = 0
    origins = []
    every, unpaired = sources(readers, photos, split)
    for number, reader in enumerate(every):
        single = number in unpaired and bool(readers)
        rows, origin = (list(reader.rows()), "photos alone") if single else heldout.split_rows(reader, validation_share)
        origins.append(origin)
        by_product = _products_of(rows, split, category)
        total += len(by_product)
        for product, own in by_product:
            if {crop.domain for crop in own} == {"street", "shop"}:
                crops += [(len(products), crop) for crop in own]
                products.append(product)
                dataset.append(number)
    if len(products) < 2:
        there = f"{total} products, {len(products)} of them with a street and a shop photo"
        of_category = f" of category {category!r}" if category else ""
        raise BadDataset(
            f"split {split!r}{of_category} has {there}, and at least 2 such pairs are needed",
            hint="add products; each needs a photo of each domain, and each crop a split: train or val",
        )
    return Selection(products, crops, dataset, total - len(products), tuple(origins), unpaired)


def _products_of(rows: Sequence[Row], split: str, category: str) -> list[tuple[Product, list[Crop]]]:
    """The products of a split of one dataset, with their crops, in the order of the dataset."""
    crops: dict[str, list[Crop]] = defaultdict(list)
    products: dict[str, Product] = {}
    for row in rows:
        if row.crop.split == split and category in ("", row.product.category):
            products.setdefault(row.product.product_id, row.product)
            crops[row.product.product_id].append(row.crop)
    return [(product, crops[name]) for name, product in products.items()]
