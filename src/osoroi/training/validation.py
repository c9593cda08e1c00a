"""How well a network ranks products it has not learned from: every held-out street view asks for its product."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from osoroi.errors import BadRun
from osoroi.evaluation.metrics import by_name
from osoroi.recipe import WATCHED
from osoroi.records import Part
from osoroi.training.sampling import Pairs

METRICS = WATCHED
BATCH = 64
STEPS = 40
"""Weights of two parts are tried in steps of 1/40."""


class Sides(NamedTuple):
    """Vectors of both sides, and the number of the product that each row shows."""

    street: Float32[np.ndarray, "s d"]
    street_product: Int64[np.ndarray, "s"]
    shop: Float32[np.ndarray, "t d"]
    shop_product: Int64[np.ndarray, "t"]


def metrics(network: Any, held: Pairs, device: torch.device) -> dict[str, float]:
    """Means over the street rows, with the network's weights of the parts."""
    found = embed(network, held, device)
    return means(mixed(found, network.parts), found)


def embed(network: Any, pairs: Pairs, device: torch.device) -> Sides:
    """Vectors of all crops as they are, parts of unit length, unweighed; the network is moved to the device.

    Raises BadRun where they are no numbers.
    """
    network.to(device)
    rows = np.flatnonzero(pairs.view == 0)
    vectors = []
    with torch.inference_mode():
        for some in np.array_split(rows, -(-len(rows) // BATCH)):
            images = [one.to(device) for one in pairs.look(some, 0)]
            vectors.append(network.above(*images).float().cpu())
    every = torch.cat(vectors).numpy()
    if not np.isfinite(every).all():
        raise BadRun("the network gives vectors that are no numbers", hint="lower lr and trunk_lr")
    street, product = pairs.is_street[rows], pairs.product[rows]
    return Sides(every[street], product[street], every[~street], product[~street])


def mixed(found: Sides, parts: Sequence[Part]) -> Float32[np.ndarray, "s t"]:
    """Scores of all street rows against all shop rows, with the weights of the parts."""
    weights = np.concatenate([np.full(part.size, part.weight, np.float32) for part in parts])
    return (found.street * weights) @ found.shop.T


def means(scores: Float32[np.ndarray, "s t"], found: Sides, names: Sequence[str] = METRICS) -> dict[str, float]:
    """Mean of each metric; a product's best row counts, and equal scores count against us."""
    ranks = ranks_of_partners(scores, found.street_product, found.shop_product)
    return {name: float(by_name(name, ranks[:, None]).mean()) for name in names}


def ranks_of_partners(
    scores: Float32[np.ndarray, "s t"], asks: Int64[np.ndarray, "s"], shows: Int64[np.ndarray, "t"]
) -> Float64[np.ndarray, "s"]:
    """Rank of each street row's product among all products: 1 + how many others have a row that scores as well, or
    no score that is a number.

    >>> scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.4]], np.float32)
    >>> ranks_of_partners(scores, np.array([0, 1]), np.array([0, 0, 1]))
    array([1., 1.])
    """
    products, where = np.unique(shows, return_inverse=True)
    best = np.full((len(scores), len(products)), -np.inf, np.float32)
    for column, product in enumerate(where):
        best[:, product] = np.maximum(best[:, product], scores[:, column])
    own = best[np.arange(len(scores)), np.searchsorted(products, asks)]
    return np.sum(~(best < own[:, None]), axis=1).astype(np.float64)


def weigh(found: Sequence[Sides], parts: Sequence[Part], metric: str) -> dict[str, float]:
    """The weights of two parts with the best mean of a metric, on a grid; of ties the one nearest to one half.

    Each of ``found`` is ranked for itself. The means are smoothed over neighbours on the grid, so that a lucky point
    does not win. Where nothing was found, and of other than two parts, they stay as they are.
    """
    if len(parts) != 2 or not found:
        return {part.name: part.weight for part in parts}
    grid = np.arange(STEPS + 1) / STEPS
    scored = np.mean([_along(sides, parts[0].size, grid, metric) for sides in found], axis=0)
    smooth = np.convolve(np.pad(scored, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    best = max(range(len(grid)), key=lambda place: (round(float(smooth[place]), 6), -abs(grid[place] - 0.5)))
    return {parts[0].name: float(grid[best]), parts[1].name: float(1 - grid[best])}


def _along(found: Sides, size: int, grid: Float64[np.ndarray, "g"], metric: str) -> Float64[np.ndarray, "g"]:
    """Means of a metric with each weight of the first part, which has ``size`` columns."""
    first = found.street[:, :size] @ found.shop[:, :size].T
    second = found.street[:, size:] @ found.shop[:, size:].T
    scored = []
    for weight in grid.astype(np.float32):
        scored.append(means(weight * first + (1 - weight) * second, found, [metric])[metric])
    return np.array(scored)
