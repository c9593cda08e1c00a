"""Selected queries of an evaluation with their photos, and the overview picture of a random sample."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from osoroi.data.readers import Reader
from osoroi.evaluation import metrics
from osoroi.evaluation.results import Arm, Evaluation, Query
from osoroi.records import Crop
from osoroi.report import grid
from osoroi.report.grid import GridCell

ExampleKind = Literal["best", "worst", "random", "disagreement"]


class ExampleCrops(NamedTuple):
    """Crops by id: the queries, and one shop crop of each product."""

    queries: Mapping[str, Crop]
    products: Mapping[str, Crop]


def select(arms: Sequence[Arm], kind: ExampleKind, count: int, *, seed: int = 0) -> list[int]:
    """Numbers of ``count`` queries at most; deterministic.

    ``best``: the last arm ranks a relevant product first, ordered by the lead in score. ``worst``: its first relevant
    product has the highest rank; ties by the most confident wrong product. ``disagreement``: the best and the worst arm
    differ most in nDCG@5, then in reciprocal rank. ``random``: a sample that depends on ``seed`` alone.
    """
    reciprocal = np.stack([metrics.reciprocal_rank(arm.ranks) for arm in arms])
    if kind == "random":
        return sorted(int(i) for i in np.random.default_rng(seed).permutation(reciprocal.shape[1])[:count])
    if kind == "disagreement":
        gains = np.stack([metrics.ndcg(arm.ranks, 5) for arm in arms])
        return _first(
            np.lexsort((-np.ptp(reciprocal, axis=0), -np.ptp(gains, axis=0))), np.ptp(reciprocal, axis=0) > 0, count
        )
    if kind == "best":
        lead = np.array([row[0] - row[1] if len(row) > 1 else 0.0 for row in arms[-1].scores])
        return _first(np.lexsort((-lead, -reciprocal[-1])), reciprocal[-1] == 1, count)
    confidence = np.array([row[0] if row else -1.0 for row in arms[-1].scores])
    return _first(np.lexsort((-confidence, reciprocal[-1])), reciprocal[-1] < 1, count)


def _first(order: Int64[np.ndarray, "q"], allowed: Bool[np.ndarray, "q"], count: int) -> list[int]:
    return [int(i) for i in order if allowed[i]][:count]


def load_crops(readers: Iterable[Reader], queries: Iterable[Query], product_ids: Iterable[str]) -> ExampleCrops:
    """The crops of these queries, and the first shop crop of each of these products; stops once it has all."""
    wanted = {query.crop_id for query in queries}
    missing = set(product_ids)
    street: dict[str, Crop] = {}
    products: dict[str, Crop] = {}
    for reader in readers:
        for product, crop in reader.rows():
            if crop.domain == "street" and crop.crop_id in wanted:
                street.setdefault(crop.crop_id, crop)
            elif crop.domain == "shop" and product.product_id in missing:
                missing.discard(product.product_id)
                products[product.product_id] = crop
            if not missing and len(street) == len(wanted):
                return ExampleCrops(street, products)
    return ExampleCrops(street, products)


def overview(
    evaluation: Evaluation, readers: Iterable[Reader], *, count: int = 10, seed: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    """Picture of a random sample: a query per column, below it the first product of each arm; relevant ones are framed.

    The sample depends on ``seed`` alone. Below a wrong product stands the rank of the first relevant one.
    """
    arms = evaluation.plain_arms
    chosen = select(arms, "random", count, seed=seed)
    queries = [evaluation.queries[i] for i in chosen]
    photos = load_crops(readers, queries, {product for arm in arms for i in chosen for product in arm.top[i][:1]})
    rows = [
        [grid.label("query"), *(_cell(photos.queries.get(query.crop_id), query.category or "") for query in queries)]
    ]
    for arm in arms:
        title = f"{arm.name} only" if len(arm.weights) > 1 and arm.name in arm.weights else arm.name
        rows.append([grid.label(title), *(_top_cell(arm, i, evaluation.queries[i], photos) for i in chosen)])
    return grid.sheet(rows)


def first_relevant_rank(arm: Arm, number: int) -> int | None:
    """Rank of a query's first relevant product; None where the gallery has none."""
    rank = float(np.fmin.reduce(arm.ranks[number], initial=np.inf))
    return None if np.isinf(rank) else int(rank)


def _top_cell(arm: Arm, number: int, query: Query, photos: ExampleCrops) -> GridCell:
    rank, top = first_relevant_rank(arm, number), arm.top[number]
    caption = "relevant" if rank == 1 else "not in the gallery" if rank is None else f"relevant at rank {rank}"
    if not top:
        return GridCell(None, caption)
    return _cell(photos.products.get(top[0]), caption, relevant=top[0] in query.product_ids)


def _cell(crop: Crop | None, caption: str, *, relevant: bool = False) -> GridCell:
    picture = None if crop is None else grid.picture_of(crop)
    return GridCell(picture, caption, grid.GREEN if relevant else None)
