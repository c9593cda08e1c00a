"""The picture of results in the form of the source: for each query one row for each arm, its first results across.

The query stands at the left of its first row; deep above, shallow below it, both last. Relevant products are framed.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8

from osoroi.data.readers import Reader
from osoroi.evaluation.compare import System
from osoroi.records import Crop
from osoroi.report import examples, grid
from osoroi.report.examples import ExampleCrops
from osoroi.report.grid import GridCell

ACROSS = 8
"""Results in a row."""


def results_picture(
    systems: Sequence[System], readers: Iterable[Reader], *, count: int = 6, seed: int = 0, across: int = ACROSS
) -> UInt8[np.ndarray, "h w 3"]:
    """A random sample of queries, which depends on ``seed`` alone; of each system the first seed's results."""
    evaluation = systems[0].evaluations[0]
    arms = [one.evaluations[0].arm(one.arm) for one in systems]
    chosen = examples.select(arms, "random", count, seed=seed)
    products = {product for arm in arms for number in chosen for product in arm.top[number][:across]}
    crops = examples.load_crops(readers, [evaluation.queries[number] for number in chosen], products)
    return grid.sheet([row for number in chosen for row in query_rows(systems, number, crops, across)])


def query_rows(
    systems: Sequence[System], number: int, crops: ExampleCrops, across: int = ACROSS
) -> list[list[GridCell]]:
    """The rows of one query: the query or nothing, the name of the arm, its results with rank and score."""
    query = systems[0].evaluations[0].queries[number]
    rows = []
    for place, system in enumerate(systems):
        arm = system.evaluations[0].arm(system.arm)
        rank = examples.first_relevant_rank(arm, number)
        first = _cell(crops.queries.get(query.crop_id), query.category or "query") if place == 0 else grid.label("")
        cells = [first, grid.label(system.name)._replace(caption=f"first relevant: {'none' if rank is None else rank}")]
        for product, score in zip(arm.top[number][:across], arm.scores[number][:across], strict=True):
            relevant = product in query.product_ids
            cells.append(_cell(crops.products.get(product), f"{score:.3f}", relevant=relevant))
        rows.append(cells)
    return rows


def _cell(crop: Crop | None, caption: str, *, relevant: bool = False) -> GridCell:
    picture = None if crop is None else grid.picture_of(crop)
    return GridCell(picture, caption, grid.GREEN if relevant else None)
