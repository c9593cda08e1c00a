"""P products x K crops -> Batch: the rows of each step, drawn from seed and epoch alone, so that a run can resume."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from osoroi.errors import BadRun
from osoroi.recipe import Recipe
from osoroi.records import Part
from osoroi.training.distributed import ALONE, World

AHEAD = 2
"""Batches that are loaded while one is trained on."""

Images = tuple[Tensor, ...]
"""What a network takes: crops, or cached features of them; one row a view."""


class TeacherVectors(NamedTuple):
    """What a teacher gives of every view: its parts side by side, each of unit length, and their weights."""

    parts: tuple[Part, ...]
    vectors: Float32[np.ndarray, "v d"]


class Batch(NamedTuple):
    """Rows of one step; ``product`` is the number of the product that a row shows, and ``design`` that of its design, a
    number of its own where the product has none. Where several processes share a batch, ``images`` are those of one.
    ``teachers`` has the vectors of all rows by each teacher, and ``is_paired`` says whether street and shop rows are
    photos that belong together, or views of one photo."""

    images: Images
    product: Int64[Tensor, "b"]
    design: Int64[Tensor, "b"]
    is_street: Bool[Tensor, "b"]
    teachers: Images = ()
    is_paired: bool = True


@dataclass(frozen=True)
class Pairs:
    """Training pairs. Row v is one view of one crop of product number ``product[v]``; several views show one crop.

    ``load(rows, epoch)`` gives the images of rows. View number 0 is the plain one. ``design`` and ``category`` are
    numbers for each product, -1 where it has none, and ``dataset`` is the number of its dataset. Of the datasets in
    ``unpaired`` both rows of a product are views of one photo. ``teachers`` has vectors of all rows.
    """

    load: Callable[[Int64[np.ndarray, "r"], int], Images]
    product: Int64[np.ndarray, "v"]
    is_street: Bool[np.ndarray, "v"]
    view: Int64[np.ndarray, "v"]
    design: Int64[np.ndarray, "p"]
    category: Int64[np.ndarray, "p"]
    dataset: Int64[np.ndarray, "p"]
    unpaired: frozenset[int] = frozenset()
    teachers: tuple[TeacherVectors, ...] = ()

    def __len__(self) -> int:
        """Products."""
        return len(self.design)

    def of_first_datasets(self, count: int) -> "Pairs":
        """The pairs of the first datasets alone; products keep their numbers, because datasets follow each other."""
        products = int(np.searchsorted(self.dataset, count))
        rows = np.flatnonzero(self.product < products)

        def load(some: Int64[np.ndarray, "r"], epoch: int) -> Images:
            return self.load(rows[some], epoch)

        own = (self.product[rows], self.is_street[rows], self.view[rows])
        return Pairs(load, *own, self.design[:products], self.category[:products], self.dataset[:products])

    def rows(self, *, is_street: bool) -> list[Int64[np.ndarray, "_"]]:
        """For each product its rows of one domain; raises BadRun where a product has none."""
        mine = np.flatnonzero(self.is_street == is_street)
        mine = mine[np.argsort(self.product[mine], kind="stable")]
        counts = np.bincount(self.product[mine], minlength=len(self))
        if not counts.all():
            side = "street" if is_street else "shop"
            raise BadRun(
                f"{int(np.sum(counts == 0))} of {len(self)} products have no {side} photo",
                hint="leave them out: a product needs photos of both domains",
            )
        return np.split(mine, np.cumsum(counts)[:-1])


Order = Int64[np.ndarray, "p"] | None
"""An order of the products that batches are cut from; None for one at random."""


def batches(
    pairs: Pairs,
    recipe: Recipe,
    epoch: int,
    *,
    skip: int = 0,
    workers: int = 1,
    world: World = ALONE,
    order: Order = None,
) -> Iterator[Batch]:
    """The batches of an epoch from number ``skip`` on; the next ones are loaded while one is used.

    Of each batch the images of this process' slice are loaded.
    """
    rest = iter(plan(pairs, recipe, epoch, order)[skip:])
    with ThreadPoolExecutor(workers) as pool:
        pending = [pool.submit(load, pairs, rows, epoch, world) for rows in islice(rest, AHEAD * workers)]
        while pending:
            ready = pending.pop(0).result()
            pending += [pool.submit(load, pairs, rows, epoch, world) for rows in islice(rest, 1)]
            yield ready


def load(pairs: Pairs, rows: Int64[np.ndarray, "b"], epoch: int, world: World = ALONE) -> Batch:
    """The batch of some rows, with the images of this process' slice."""
    product = pairs.product[rows]
    design = np.where(pairs.design[product] < 0, -1 - product, pairs.design[product])
    return Batch(
        pairs.load(rows[world.own(len(rows))], epoch),
        torch.from_numpy(product),
        torch.from_numpy(design),
        torch.from_numpy(pairs.is_street[rows]),
        tuple(torch.from_numpy(teacher.vectors[rows]) for teacher in pairs.teachers),
        int(pairs.dataset[pairs.product[rows[0]]]) not in pairs.unpaired,
    )


def plan(pairs: Pairs, recipe: Recipe, epoch: int, order: Order = None) -> list[Int64[np.ndarray, "_"]]:
    """The rows of every batch: all street rows of its products, then all shop rows, in the same order of products.

    Every product comes once an epoch, in batches of nearly equal size, but one that would be alone in its batch. Hard
    negatives are added to that. A batch holds products of one dataset, and neighbours in ``order`` where that is given.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    street, shop = pairs.rows(is_street=True), pairs.rows(is_street=False)
    planned = []
    for group in _groups(pairs, recipe, rng, order):
        products = _with_hard_negatives(group, pairs.design, recipe.hard_negatives, rng)
        planned.append(np.concatenate([_draw_rows(side, products, recipe.rows, rng) for side in (street, shop)]))
    return planned


def _groups(pairs: Pairs, recipe: Recipe, rng: np.random.Generator, order: Order) -> list[Int64[np.ndarray, "_"]]:
    """All products in batches of one dataset, and one category where the recipe says so; without hard negatives."""
    most = recipe.products - recipe.hard_negatives
    category = pairs.category if recipe.single_category_batches else np.zeros_like(pairs.category)
    _, kind = np.unique(np.stack([pairs.dataset, category], 1), axis=0, return_inverse=True)
    members = [np.flatnonzero(kind == number) for number in range(int(kind.max(initial=-1)) + 1)]
    ordered = [rng.permutation(own) if order is None else order[np.isin(order, own)] for own in members]
    parts = chain.from_iterable(np.array_split(own, -(-len(own) // most)) for own in ordered)
    groups = [part for part in parts if len(part) > 1]
    if not groups:
        raise BadRun(
            f"{len(pairs)} products give no batch of two",
            hint="train on more products, or without single_category_batches=yes",
        )
    return [groups[place] for place in rng.permutation(len(groups))]


def _with_hard_negatives(
    group: Int64[np.ndarray, "n"], design: Int64[np.ndarray, "p"], most: int, rng: np.random.Generator
) -> Int64[np.ndarray, "m"]:
    """The products, and for up to ``most`` of them another one of the same design that is not among them yet.

    A product without a design (-1) has no hard negatives.
    """
    inside = set(group.tolist())
    for product in rng.permutation(group):
        if len(inside) - len(group) == most:
            break
        same = np.flatnonzero((design == design[product]) & (design >= 0))
        others = [other for other in same.tolist() if other not in inside]
        if others:
            inside.add(int(rng.choice(others)))
    added = sorted(inside - set(group.tolist()))
    return np.concatenate([group, np.array(added, np.int64)])


def _draw_rows(
    side: list[Int64[np.ndarray, "_"]], products: Int64[np.ndarray, "n"], count: int, rng: np.random.Generator
) -> Int64[np.ndarray, "m"]:
    """So many rows of each product, each at most once where there are enough."""
    if count == 1:  # one draw for all: a draw each would take as long as a small network's step
        chances = rng.random(len(products)).tolist()
        return np.array([side[own][int(at * len(side[own]))] for own, at in zip(products, chances, strict=True)])
    return np.concatenate([rng.choice(side[own], count, replace=count > len(side[own])) for own in products])
