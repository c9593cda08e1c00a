"""Edges across a body: where a garment ends and the next one, or skin, begins.

A hem or a waist crosses most of the body; a bag, a strap, a fold or a print crosses little of it. So the colours above
and below a place are compared in each of some columns, at four scales, and the median column counts. Where a certain
edge lies is then where that is largest, weighted by where such an edge usually is.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

STEP: Final = 0.05
ROWS: Final = np.arange(-0.4, 3.7, STEP)
"""Places along the body where rows of colours are taken."""

COLUMNS: Final = np.arange(-0.3, 0.301, 0.06)
"""Columns beside the middle of the body, in torsos."""

SCALES: Final = (2, 3, 5, 8)
"""How many rows above and below an edge are compared."""

MIN_COLUMNS: Final = 2
"""An edge needs so many columns that show the person on both sides of it."""


@dataclass(frozen=True)
class Prior:
    """Where an edge can be along the body, and where it usually is."""

    low: float
    high: float
    mean: float
    deviation: float


WAIST: Final = Prior(0.4, 1.25, 0.85, 0.25)
"""Where a skirt or shorts begin."""

TROUSERS_START: Final = Prior(0.4, 1.8, 0.95, 0.35)
"""Where trousers begin to be seen, which may be below a coat."""

TOP_END: Final = Prior(0.5, 1.5, 0.95, 0.2)
HEM: Final = Prior(1.25, 3.2, 1.9, 0.6)
"""The hem of a skirt or of shorts."""

DRESS_HEM: Final = Prior(1.4, 3.2, 2.05, 0.8)

LONG_HEM: Final = Prior(2.5, 3.6, 3.3, 0.3)
"""The hem of a skirt or a dress that covers the calves."""


def strengths(values: Float[np.ndarray, "n m c"], valid: Bool[np.ndarray, "n m"]) -> Float[np.ndarray, "n"]:
    """How strong an edge just above each row is: the distance of colour between the rows above and below it.

    It is the median over columns with valid entries on both sides, and the mean over ``SCALES``; 0 at a scale where
    the rows end, or where fewer than ``MIN_COLUMNS`` columns can be compared.

    >>> rows = np.array([0, 0, 0, 8, 8, 8.0])
    >>> values = np.repeat(rows[:, None], 3, axis=1)[..., None]
    >>> strengths(values, np.ones((6, 3), bool)).tolist()  # of four scales only 2 and 3 fit in six rows
    [0.0, 0.0, 1.0, 4.0, 1.0, 0.0]
    """
    size, columns, channels = values.shape
    sums = np.concatenate(
        [np.zeros((1, columns, channels)), np.cumsum(np.where(valid[..., None], values, 0.0), axis=0)]
    )
    counts = np.concatenate([np.zeros((1, columns), int), np.cumsum(valid, axis=0)])
    found = np.zeros((len(SCALES), size))
    for scale, width in enumerate(SCALES):
        at = np.arange(width, size - width + 1)
        if not len(at):
            continue
        above, below = counts[at] - counts[at - width], counts[at + width] - counts[at]
        mean_above = (sums[at] - sums[at - width]) / np.maximum(above, 1)[..., None]
        mean_below = (sums[at + width] - sums[at]) / np.maximum(below, 1)[..., None]
        distances = np.sqrt(((mean_above - mean_below) ** 2).sum(axis=2))
        found[scale, at[at < size]] = _median(distances, (above > 0) & (below > 0))[at < size]
    return found.mean(axis=0)


def _median(distances: Float[np.ndarray, "n m"], valid: Bool[np.ndarray, "n m"]) -> Float[np.ndarray, "n"]:
    """The median of the valid entries of each row; 0 with fewer than ``MIN_COLUMNS`` of them."""
    counts = valid.sum(axis=1)
    ordered = np.sort(np.where(valid, distances, np.inf), axis=1)
    rows = np.arange(len(ordered))
    low, high = np.maximum(counts - 1, 0) // 2, np.minimum(counts // 2, distances.shape[1] - 1)
    enough = counts >= MIN_COLUMNS
    return np.where(enough, (ordered[rows, np.where(enough, low, 0)] + ordered[rows, np.where(enough, high, 0)]) / 2, 0)


def place(edges: Float[np.ndarray, "n"], prior: Prior) -> float:
    """Where along the body the edge lies that a prior expects, from what ``strengths`` says of each of ``ROWS``.

    The prior's mean where no edge is seen at all.

    >>> edges = np.zeros(len(ROWS))
    >>> place(edges, WAIST)
    0.85
    >>> edges[[24, 26]] = 10, 12  # just above .80 and .90
    >>> round(place(edges, WAIST), 3)
    0.875
    """
    likely = np.exp(-0.5 * ((ROWS - prior.mean) / prior.deviation) ** 2)
    weighted = edges * likely * ((prior.low - 1e-9 <= ROWS) & (prior.high + 1e-9 >= ROWS))
    best = int(np.argmax(weighted))
    return float(ROWS[best] - STEP / 2) if weighted[best] > 0 else prior.mean
