"""Datasets become training pairs: the products of a split that have street and shop photos, in views of their crops.

Several datasets are one: their products stand one dataset behind the other, and a product id means another product in
another dataset, and so does a design or a category.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import nn

from osoroi.data.readers import Reader
from osoroi.errors import BadDataset
from osoroi.recipe import Recipe
from osoroi.records import Crop, Product, Row
from osoroi.training import feature_cache, heldout
from osoroi.training.feature_cache import fit_of
from osoroi.training.sampling import Images, Pairs, TeacherVectors
from osoroi.training.view_loader import View, ViewLoader


@dataclass(frozen=True)
class Selection:
    """The products of one split that have photos of both domains.

    ``crops`` has each crop with the number of its product, ``dataset`` the number of each product's dataset, and
    ``dropped`` counts the products that have photos of one domain alone. ``origins`` says of each dataset where its
    validation split comes from. Of the datasets in ``unpaired`` every photo is a product of its own.
    """

    products: list[Product]
    crops: list[tuple[int, Crop]]
    dataset: list[int]
    dropped: int
    origins: tuple[str, ...] = ()
    unpaired: frozenset[int] = frozenset()


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
            hint="give every product one photo of each domain, and each crop a split: train or val",
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


def load_pairs(  # noqa: PLR0913  two callbacks are among them
    selection: Selection,
    network: nn.Module,
    recipe: Recipe,
    folder: Path,
    *,
    augmented: bool,
    teachers: Sequence[Any] = (),
    shared: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_unreadable: Callable[[list[str]], None] = lambda problems: None,
) -> Pairs:
    """The training pairs of a selection; ``augmented`` adds the recipe's augmented views of each crop.

    What the frozen part of the network gives of each view is computed on its device and cached in ``folder``, see
    ``feature_cache``; ``shared`` says that the folder is one for many runs. A photo that cannot be read is left out,
    with its product where no photo of one domain is left; ``on_unreadable`` gets the reasons, and BadDataset is raised
    where fewer than two products are left. The vectors of ``teachers`` are kept in the same folder.
    """
    views = _views(selection, recipe) if augmented else _plain_views(selection)
    run = feature_cache.runner(network, recipe, len(views))
    fit = fit_of(network)
    loader = ViewLoader(views, recipe, seed=recipe.seed if run is None else 0, fit=fit)
    cached = feature_cache.load(loader, network, recipe, folder, run, shared=shared, on_progress=on_progress)
    if cached.unreadable:
        on_unreadable(cached.unreadable)
    taught = _taught(teachers, views, folder, on_progress)
    rows = np.flatnonzero(np.logical_and.reduce([cached.readable, *(readable for _, readable in taught)]))
    rows = rows[_have_both_domains(views, rows)]
    if len({views[row].product for row in rows}) < 2:
        raise BadDataset(
            f"of {len(selection.crops)} photos {len(cached.unreadable)} cannot be read; "
            f"the first: {cached.unreadable[0]}"
        )

    def images(some: Int64[np.ndarray, "r"], epoch: int) -> Images:
        if cached.arrays:
            return tuple(torch.from_numpy(array[rows[some]]) for array in cached.arrays)
        return (torch.from_numpy(np.stack([loader.load(row, epoch) for row in rows[some].tolist()])),)

    own = tuple(TeacherVectors(each.parts, each.vectors[rows]) for each, _ in taught)
    return replace(_pairs(selection, [views[row] for row in rows], images, augmented=augmented), teachers=own)


def _taught(
    teachers: Sequence[Any], views: Sequence[View], folder: Path, on_progress: Callable[[int, int], None]
) -> list[tuple[TeacherVectors, Bool[np.ndarray, "v"]]]:
    """Each teacher's vectors of the views, and which could be read."""
    if not teachers:
        return []
    from osoroi.training import teacher

    return [teacher.embed(encoder, views, folder, on_progress) for encoder in teachers]


def _views(selection: Selection, recipe: Recipe) -> list[View]:
    """The recipe's views of each crop."""
    counts = {"street": recipe.views, "shop": recipe.shop_views}
    return [View(crop, product, number) for product, crop in selection.crops for number in range(counts[crop.domain])]


def _plain_views(selection: Selection) -> list[View]:
    """One view of each crop, plain; of photos without pairs one is augmented, so that they are not just the same."""
    return [
        View(crop, product, int(crop.domain == "street" and selection.dataset[product] in selection.unpaired))
        for product, crop in selection.crops
    ]


def _have_both_domains(views: Sequence[View], rows: Int64[np.ndarray, "v"]) -> Bool[np.ndarray, "v"]:
    """Which of the readable views show products that have readable photos of both domains."""
    domains: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        domains[views[row].product].add(views[row].crop.domain)
    return np.array([len(domains[views[row].product]) == 2 for row in rows], bool)


def _pairs(
    selection: Selection,
    views: Sequence[View],
    images: Callable[[Int64[np.ndarray, "r"], int], Images],
    *,
    augmented: bool,
) -> Pairs:
    """Products numbered anew, because some may be gone."""
    left, product = np.unique([view.product for view in views], return_inverse=True)
    products = [selection.products[number] for number in left]
    dataset = [selection.dataset[number] for number in left]
    return Pairs(
        images,
        product.astype(np.int64),
        np.array([view.crop.domain == "street" for view in views], bool),
        np.array([view.number if augmented else 0 for view in views], np.int64),
        _numbers([(number, one.design_id) for number, one in zip(dataset, products, strict=True)]),
        _numbers([(number, one.category) for number, one in zip(dataset, products, strict=True)]),
        np.array(dataset, np.int64),
        selection.unpaired,
    )


def _numbers(names: Sequence[tuple[int, str | None]]) -> Int64[np.ndarray, "p"]:
    """A number for each pair of dataset and name, -1 where there is no name."""
    known = {name: number for number, name in enumerate(name for name in dict.fromkeys(names) if name[1] is not None)}
    return np.array([known.get(name, -1) for name in names], np.int64)
