"""The published figures, to stand beside ours: facts about the source, never results of ours.

Street2Shop, products split 9:1, all categories mixed in training, approximate search, GoogLeNet. "Recall@5" there is
``hit@5`` here. How triplets were drawn, the optimiser, epochs and whether GoogLeNet learned are not said.
"""

from collections.abc import Mapping
from typing import NamedTuple


class PublishedRow(NamedTuple):
    """One arm of the source: its name there, and a figure by metric and category."""

    name: str
    figures: Mapping[str, Mapping[str, float]]


CATEGORIES = ("bags", "tops", "dresses", "skirts")
"""Columns of the source's table, in its order."""


def _row(name: str, recall: tuple[float, ...], ndcg: tuple[float, ...]) -> PublishedRow:
    columns = {"hit@5": recall, "nDCG@5": ndcg}
    return PublishedRow(
        name, {metric: dict(zip(CATEGORIES, values, strict=True)) for metric, values in columns.items()}
    )


ROWS = (
    _row("deep", (0.35, 0.38, 0.26, 0.79), (0.26, 0.28, 0.18, 0.60)),
    _row("shallow", (0.50, 0.33, 0.29, 0.83), (0.36, 0.27, 0.20, 0.66)),
    _row("deep+shallow", (0.52, 0.35, 0.30, 0.81), (0.42, 0.27, 0.22, 0.68)),
)
"""Rows of the source's table."""
