"""Validation: every street row of the held-out products is a query, and its rank among all products is measured."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from osoroi.errors import BadRun
from osoroi.evaluation.metrics import by_name
from osoroi.recipe import MONITORED
from osoroi.records import Part
from osoroi.training.sampling import Pairs

BATCH = 64
STEPS = 40
"""Weights of two parts are tried in steps of 1/40."""


class Embeddings(NamedTuple):
    """Vectors of queries and of the gallery, and the number of the product that each row shows."""

    street: Float32[np.ndarray, "s d"]
    street_product: Int64[np.ndarray, "s"]
    shop: Float32[np.ndarray, "t d"]
    shop_product: Int64[np.ndarray, "t"]


def metrics(network: Any, held_out: Pairs, device: torch.device) -> dict[str, float]:
    """Means of the monitored metrics over the street rows, with the network's weights of the parts."""
    embeddings = embed(network, held_out, device)
    return mean_metrics(score_all(embeddings, network.parts), embeddings)


def embed(network: Any, pairs: Pairs, device: torch.device) -> Embeddings:
    """Vectors of all plain views, parts of unit length, without weights; the network is moved to the device.

    Raises BadRun where they are no numbers.
    """
    network.to(device)
    rows = np.flatnonzero(pairs.view == 0)
    batches = []
    with torch.inference_mode():
        for some in np.array_split(rows, -(-len(rows) // BATCH)):
            images = [one.to(device) for one in pairs.load(some, 0)]
            batches.append(network.above(*images).float().cpu())
    vectors = torch.cat(batches).numpy()
    if not np.isfinite(vectors).all():
        raise BadRun("the network gives vectors that are no numbers", hint="lower lr and backbone_lr")
    street, product = pairs.is_street[rows], pairs.product[rows]
    return Embeddings(vectors[street], product[street], vectors[~street], product[~street])


def score_all(embeddings: Embeddings, parts: Sequence[Part]) -> Float32[np.ndarray, "s t"]:
    """Scores of all street rows against all shop rows, with the weights of the parts."""
    weights = np.concatenate([np.full(part.size, part.weight, np.float32) for part in parts])
    return (embeddings.street * weights) @ embeddings.shop.T


def mean_metrics(
    scores: Float32[np.ndarray, "s t"], embeddings: Embeddings, names: Sequence[str] = MONITORED
) -> dict[str, float]:
    """Mean of each metric. The best row of a product counts, and ties are ranked last."""
    ranks = ranks_of_products(scores, embeddings.street_product, embeddings.shop_product)
    return {name: float(by_name(name, ranks[:, None]).mean()) for name in names}


def ranks_of_products(
    scores: Float32[np.ndarray, "s t"], query_product: Int64[np.ndarray, "s"], shop_product: Int64[np.ndarray, "t"]
) -> Float64[np.ndarray, "s"]:
    """Rank of each query's product among all products: 1 + how many others have a row that scores as well, or no
    score that is a number.

    >>> scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.4]], np.float32)
    >>> ranks_of_products(scores, np.array([0, 1]), np.array([0, 0, 1]))
    array([1., 1.])
    """
    products, where = np.unique(shop_product, return_inverse=True)
    best = np.full((len(scores), len(products)), -np.inf, np.float32)
    for column, product in enumerate(where):
        best[:, product] = np.maximum(best[:, product], scores[:, column])
    own = best[np.arange(len(scores)), np.searchsorted(products, query_product)]
    return np.sum(~(best < own[:, None]), axis=1).astype(np.float64)


def fit_weights(held_out: Sequence[Embeddings], parts: Sequence[Part], metric: str) -> dict[str, float]:
    """The weights of two parts with the best mean of a metric, on a grid; of ties the one nearest to one half.

    Each of ``held_out`` is ranked on its own. The means are smoothed over neighbours on the grid, so that a lucky point
    does not win. Without embeddings, and for one part or more than two, the weights stay as they are.
    """
    if len(parts) != 2 or not held_out:
        return {part.name: part.weight for part in parts}
    grid = np.arange(STEPS + 1) / STEPS
    means = np.mean([_along(embeddings, parts[0].size, grid, metric) for embeddings in held_out], axis=0)
    smooth = np.convolve(np.pad(means, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    best = max(range(len(grid)), key=lambda place: (round(float(smooth[place]), 6), -abs(grid[place] - 0.5)))
    return {parts[0].name: float(grid[best]), parts[1].name: float(1 - grid[best])}


def _along(embeddings: Embeddings, size: int, grid: Float64[np.ndarray, "g"], metric: str) -> Float64[np.ndarray, "g"]:
    """Means of a metric with each weight of the first part, which has ``size`` columns."""
    first = embeddings.street[:, :size] @ embeddings.shop[:, :size].T
    second = embeddings.street[:, size:] @ embeddings.shop[:, size:].T
    means = []
    for weight in grid.astype(np.float32):
        means.append(mean_metrics(weight * first + (1 - weight) * second, embeddings, [metric])[metric])
    return np.array(means)
