"""P products x K crops -> Batch: which rows a step sees, drawn from seed and epoch alone, so that a run can resume."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from osoroi.errors import BadRun
from osoroi.recipe import Recipe

AHEAD = 2
"""Batches that are loaded while one is learned from."""

Images = tuple[Tensor, ...]
"""What a network takes: crops, or what was made of them before; one row a view."""


class Batch(NamedTuple):
    """Rows of one step; ``product`` is the number of the product that a row shows."""

    images: Images
    product: Int64[Tensor, "b"]
    is_street: Bool[Tensor, "b"]


@dataclass(frozen=True)
class Pairs:
    """What a run may see. Row v is one view of one crop of product number ``product[v]``; several views show one crop.

    ``look(rows, epoch)`` gives the images of rows. View number 0 is the crop as it is. ``design`` and ``category`` are
    numbers for each product, -1 where it has none.
    """

    look: Callable[[Int64[np.ndarray, "r"], int], Images]
    product: Int64[np.ndarray, "v"]
    is_street: Bool[np.ndarray, "v"]
    view: Int64[np.ndarray, "v"]
    design: Int64[np.ndarray, "p"]
    category: Int64[np.ndarray, "p"]

    def __len__(self) -> int:
        """Products."""
        return len(self.design)

    def rows(self, *, is_street: bool) -> list[Int64[np.ndarray, "_"]]:
        """For each product its rows on one side; raises BadRun where a product has none."""
        mine = np.flatnonzero(self.is_street == is_street)
        mine = mine[np.argsort(self.product[mine], kind="stable")]
        counts = np.bincount(self.product[mine], minlength=len(self))
        if not counts.all():
            side = "street" if is_street else "shop"
            raise BadRun(
                f"{int(np.sum(counts == 0))} of {len(self)} products have no {side} photo",
                hint="leave them out: there is nothing to learn from one side alone",
            )
        return np.split(mine, np.cumsum(counts)[:-1])


def batches(pairs: Pairs, recipe: Recipe, epoch: int, *, skip: int = 0, workers: int = 1) -> Iterator[Batch]:
    """The batches of an epoch from number ``skip`` on; the next ones are loaded while one is used."""
    rest = iter(plan(pairs, recipe, epoch)[skip:])
    with ThreadPoolExecutor(workers) as pool:
        coming = [pool.submit(load, pairs, rows, epoch) for rows in islice(rest, AHEAD * workers)]
        while coming:
            ready = coming.pop(0).result()
            coming += [pool.submit(load, pairs, rows, epoch) for rows in islice(rest, 1)]
            yield ready


def load(pairs: Pairs, rows: Int64[np.ndarray, "b"], epoch: int) -> Batch:
    """The batch of some rows."""
    return Batch(
        pairs.look(rows, epoch),
        torch.from_numpy(pairs.product[rows]),
        torch.from_numpy(pairs.is_street[rows]),
    )


def plan(pairs: Pairs, recipe: Recipe, epoch: int) -> list[Int64[np.ndarray, "_"]]:
    """The rows of every batch: all street rows of its products, then all shop rows, in the same order of products.

    Every product comes at least once an epoch, in batches of nearly equal size, but one that would be alone in its
    batch; ``siblings`` come on top of that.
    """
    draw = np.random.default_rng([recipe.seed, epoch])
    street, shop = pairs.rows(is_street=True), pairs.rows(is_street=False)
    planned = []
    for chosen in _groups(pairs, recipe, draw):
        products = _with_siblings(chosen, pairs.design, recipe.siblings, draw)
        sides = (street, shop)
        planned.append(np.concatenate([_some(side, products, recipe.rows, draw) for side in sides]))
    return planned


def _groups(pairs: Pairs, recipe: Recipe, draw: np.random.Generator) -> list[Int64[np.ndarray, "_"]]:
    """All products in batches, without siblings; of one category each, where the recipe says so."""
    most = recipe.products - recipe.siblings
    kinds = np.unique(pairs.category) if recipe.pure else [None]
    members = [np.arange(len(pairs)) if kind is None else np.flatnonzero(pairs.category == kind) for kind in kinds]
    parts = chain.from_iterable(
        np.array_split(draw.permutation(each), -(-len(each) // most)) for each in members if len(each)
    )
    groups = [part for part in parts if len(part) > 1]
    if not groups:
        raise BadRun(f"{len(pairs)} products give no batch of two", hint="train on more products, or without pure=yes")
    return [groups[place] for place in draw.permutation(len(groups))]


def _with_siblings(
    chosen: Int64[np.ndarray, "n"], design: Int64[np.ndarray, "p"], most: int, draw: np.random.Generator
) -> Int64[np.ndarray, "m"]:
    """The products, and for up to ``most`` of them another one of the same design that is not among them yet."""
    inside = set(chosen.tolist())
    for one in draw.permutation(chosen):
        if len(inside) - len(chosen) == most:
            break
        same = np.flatnonzero((design == design[one]) & (design >= 0))
        others = [other for other in same.tolist() if other not in inside]
        if others:
            inside.add(int(draw.choice(others)))
    added = sorted(inside - set(chosen.tolist()))
    return np.concatenate([chosen, np.array(added, np.int64)])


def _some(
    side: list[Int64[np.ndarray, "_"]], products: Int64[np.ndarray, "n"], count: int, draw: np.random.Generator
) -> Int64[np.ndarray, "m"]:
    """So many rows of each product, each at most once where there are enough."""
    if count == 1:  # one draw for all: a draw each would take as long as a small network's step
        chances = draw.random(len(products)).tolist()
        return np.array([side[one][int(at * len(side[one]))] for one, at in zip(products, chances, strict=True)])
    return np.concatenate([draw.choice(side[one], count, replace=count > len(side[one])) for one in products])
