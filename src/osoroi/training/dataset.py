"""The products of a split, as ``selection`` chooses them, become training pairs: views of their crops."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import nn

from osoroi.errors import BadDataset
from osoroi.recipe import Recipe
from osoroi.records import Crop, Product
from osoroi.training import feature_cache
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
