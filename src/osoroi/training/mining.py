"""Miners: which negative a triplet has; pure functions of the squared distances between street and shop rows.

Every positive pair (i, j) of the batch gives at most one triplet (street i, shop j, a negative shop row). Products of
the same design in another colour are negatives like any other, and the hardest; ``sampling`` adds them to the batch.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

Triplets = tuple[Int64[Tensor, "n"], Int64[Tensor, "n"], Int64[Tensor, "n"]]
"""Rows of anchors (street), positives (shop) and negatives (shop)."""

Miner = Callable[[Float[Tensor, "s t"], Bool[Tensor, "s t"], torch.Generator], Triplets]


def squared_distances(street: Float[Tensor, "s d"], shop: Float[Tensor, "t d"]) -> Float[Tensor, "s t"]:
    """Squared distances of all pairs of rows, in [0, 4] for unit rows; no gradient, as mining only chooses.

    >>> squared_distances(torch.eye(2), 2 * torch.eye(2)).tolist()
    [[1.0, 5.0], [5.0, 1.0]]
    """
    street, shop = street.detach(), shop.detach()
    lengths = street.square().sum(1)[:, None] + shop.square().sum(1)
    return (lengths - 2 * street @ shop.T).clamp(min=0)


def random(distances: Float[Tensor, "s t"], same: Bool[Tensor, "s t"], generator: torch.Generator) -> Triplets:
    """For each positive pair a random negative; a pair whose anchor has no negative gives no triplet."""
    anchors, positives = (same & (~same).any(1, keepdim=True)).nonzero(as_tuple=True)
    if not len(anchors):
        return anchors, positives, anchors
    chances = (~same)[anchors].float().cpu()
    negatives = torch.multinomial(chances, 1, generator=generator)[:, 0].to(anchors.device)
    return anchors, positives, negatives


def batch_hard(distances: Float[Tensor, "s t"], same: Bool[Tensor, "s t"], generator: torch.Generator) -> Triplets:
    """For each positive pair the nearest negative. Hermans et al. 2017, arXiv:1703.07737, between two domains."""
    anchors, positives = (same & (~same).any(1, keepdim=True)).nonzero(as_tuple=True)
    nearest = distances.masked_fill(same, torch.inf).argmin(1)
    return anchors, positives, nearest[anchors]


def semi_hard(distances: Float[Tensor, "s t"], same: Bool[Tensor, "s t"], generator: torch.Generator) -> Triplets:
    """For each positive pair the nearest negative that is farther than the positive; where there is none, the farthest
    negative. Schroff et al. 2015, arXiv:1503.03832, the fallback as in TensorFlow's implementation."""
    anchors, positives = (same & (~same).any(1, keepdim=True)).nonzero(as_tuple=True)
    if not len(anchors):
        return anchors, positives, anchors
    wrong = distances.masked_fill(same, torch.inf)[anchors]  # [n t]
    farther = wrong > distances[anchors, positives][:, None]
    nearest = wrong.masked_fill(~farther, torch.inf)
    farthest = distances.masked_fill(same, -torch.inf)[anchors].argmax(1)
    there = nearest.isfinite().any(1)
    return anchors, positives, torch.where(there, nearest.argmin(1), farthest)


def near_order(vectors: Float32[np.ndarray, "p d"], together: int, rng: np.random.Generator) -> Int64[np.ndarray, "p"]:
    """An order of products in which blocks of ``together`` are near each other, and the blocks are at random.

    A block is a product drawn at random and the nearest ones, by inner product, that are in no block yet; the last one
    may be smaller. Batches that are cut from this order bring hard negatives from the whole training set.

    >>> line = np.array([[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.9, 0.1]], np.float32)
    >>> sorted(sorted(block) for block in near_order(line, 2, np.random.default_rng(0)).reshape(2, 2).tolist())
    [[0, 2], [1, 3]]
    """
    free = np.ones(len(vectors), bool)
    blocks = []
    for product in rng.permutation(len(vectors)):
        if free[product]:
            scores = np.where(free, vectors @ vectors[product], -np.inf)
            scores[product] = np.inf
            block = np.argsort(-scores, kind="stable")[: min(together, int(free.sum()))]
            free[block] = False
            blocks.append(block)
    return np.concatenate([blocks[place] for place in rng.permutation(len(blocks))]).astype(np.int64)


MINERS: dict[str, Miner] = {"random": random, "semi_hard": semi_hard, "batch_hard": batch_hard}
"""Name in a recipe -> miner."""
