"""Fit and judge the probabilities of hits on pairs: half of the products are taken out of the gallery, so that a list
without its product is as frequent as one with it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from osoroi import files
from osoroi.encoder import Encoder
from osoroi.encoder.calibration import DEPTH, Calibration, fit, padded
from osoroi.encoder.metadata import with_entry
from osoroi.errors import BadRequest
from osoroi.evaluation.results import Evaluation

RETRIEVED: Final = 80
"""Products of each query that an evaluation has to store. Half of the products go, so some 40 are left."""

SEEDS: Final = 4
"""How often half of the products are drawn, other ones each time."""

BINS: Final = 10

APPEARANCE_ARMS: Final = ("both", "looks")
"""The arms that are without the part ``kind``, in encoders that have it."""


class Lists(NamedTuple):
    """The best products of each query, best first: their scores by looks, and which of them is right."""

    scores: Float64[np.ndarray, "q 16"]
    right: Bool[np.ndarray, "q 16"]
    answerable: Bool[np.ndarray, "q"]
    """Whether the gallery has a right product at all."""


@dataclass(frozen=True)
class Quality:
    """How good probabilities are: of the first hit to be right, and of any hit to be.

    ``auroc`` is the chance that a right first hit has a higher probability than a wrong one; ``error`` the expected
    calibration error over ten bins of as many queries each (Naeini et al. 2015); ``in_shop`` the AUROC of the sum over
    the hits for the product being in the gallery.
    """

    queries: int
    right: float
    auroc: float
    error: float
    in_shop: float


def lists_of(evaluation: Evaluation, *, seeds: int = SEEDS) -> Lists:
    """The lists of an evaluation that stored 80 products of each query, each time without half of the products."""
    names = [arm.name for arm in evaluation.arms]
    arm = evaluation.arm(next((name for name in APPEARANCE_ARMS if name in names), evaluation.main))
    products = sorted({one for query in evaluation.queries for one in query.product_ids})
    if len(products) < 2:
        raise BadRequest(f"{len(products)} products with queries", hint="calibration needs at least some hundred pairs")
    scores, right, answerable = [], [], []
    for seed in range(seeds):
        gone = set(np.random.default_rng(seed).permutation(products)[: len(products) // 2].tolist())
        for query, top, values in zip(evaluation.queries, arm.top, arm.scores, strict=True):
            left = [(one, value) for one, value in zip(top, values, strict=True) if one not in gone][:DEPTH]
            if not left:  # a photo that could not be read
                continue
            relevant = set(query.product_ids) - gone
            scores.append(padded(np.array([value for _, value in left])))
            right.append(np.array([one in relevant for one, _ in left] + [False] * (DEPTH - len(left))))
            answerable.append(bool(relevant))
    return Lists(np.array(scores), _first(np.array(right)), np.array(answerable))


def _first(right: Bool[np.ndarray, "q 16"]) -> Bool[np.ndarray, "q 16"]:
    """The first right product of each list alone: a query may have several."""
    return right & (np.cumsum(right, axis=1) == 1)


def calibrate(lists: Lists, *, dataset: str) -> Calibration:
    """The calibration of greatest likelihood; raises BadRequest where the lists cannot tell."""
    try:
        return fit(lists.scores, lists.right, dataset=dataset)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise BadRequest(f"no calibration can be fitted: {error}", hint="give a data set with more pairs") from error


def quality(calibration: Calibration, lists: Lists) -> Quality:
    """What the probabilities of a calibration are worth on lists that it was not fitted on."""
    chances = np.array([calibration.probabilities(row) for row in lists.scores])
    right = lists.right[:, 0]
    first = chances[:, 0]
    return Quality(
        queries=len(first),
        right=float(right.mean()),
        auroc=auroc(first, right),
        error=calibration_error(first, right),
        in_shop=auroc(chances.sum(1), lists.answerable),
    )


def auroc(scores: Float64[np.ndarray, "n"], positive: Bool[np.ndarray, "n"]) -> float:
    """The chance that a positive has a higher score than a negative, ties half; nan where one of them is missing.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    values, places = np.unique(scores, return_inverse=True)
    positives, negatives = (np.bincount(places[mask], minlength=len(values)) for mask in (positive, ~positive))
    pairs = positives.sum() * negatives.sum()
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else float("nan")


def calibration_error(chances: Float64[np.ndarray, "n"], outcomes: Bool[np.ndarray, "n"], *, bins: int = BINS) -> float:
    """Mean difference between stated chance and share of positives, over bins of as many cases each.

    >>> calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([False, False, True, True]), bins=2)
    0.15
    """
    parts = [part for part in np.array_split(np.argsort(chances, kind="stable"), bins) if len(part)]
    off = sum(abs(chances[part].mean() - outcomes[part].mean()) * len(part) for part in parts)
    return round(float(off / len(chances)), 12)


def write(encoder: Encoder, source: Path, calibration: Calibration, target: Path) -> None:
    """The encoder file ``source`` with this calibration, as ``target``: same vectors, same fingerprint."""
    metadata = replace(encoder.metadata, calibration=calibration)
    files.write_atomically(target, with_entry(files.content(source), metadata.to_json()))
