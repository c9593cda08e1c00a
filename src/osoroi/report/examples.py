"""Which queries of an evaluation to look at, their photos and those of their answers, and the picture of the field."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from osoroi.data.readers import Reader
from osoroi.evaluation import metrics
from osoroi.evaluation.results import Arm, Evaluation, Query
from osoroi.records import Crop
from osoroi.report import grid
from osoroi.report.grid import Cell

Kind = Literal["best", "worst", "random", "disagreement"]


class Exhibits(NamedTuple):
    """Photos by id: the crops that asked, and one shop crop of each product."""

    asked: Mapping[str, Crop]
    products: Mapping[str, Crop]


def choose(arms: Sequence[Arm], kind: Kind, count: int, *, seed: int = 0) -> list[int]:
    """The numbers of some queries, the same each time.

    ``best``: the last arm finds a right product first, by the greatest lead in score. ``worst``: it finds the first
    right product last; among equals, the surest wrong answer first. ``disagreement``: where the best and the worst arm
    differ most in nDCG@5, then in reciprocal rank. ``random``: a fixed draw.
    """
    found = np.stack([metrics.reciprocal_rank(arm.ranks) for arm in arms])
    if kind == "random":
        return sorted(int(i) for i in np.random.default_rng(seed).permutation(found.shape[1])[:count])
    if kind == "disagreement":
        gains = np.stack([metrics.ndcg(arm.ranks, 5) for arm in arms])
        return _first(np.lexsort((-np.ptp(found, axis=0), -np.ptp(gains, axis=0))), np.ptp(found, axis=0) > 0, count)
    if kind == "best":
        lead = np.array([row[0] - row[1] if len(row) > 1 else 0.0 for row in arms[-1].scores])
        return _first(np.lexsort((-lead, -found[-1])), found[-1] == 1, count)
    sure = np.array([row[0] if row else -1.0 for row in arms[-1].scores])
    return _first(np.lexsort((-sure, found[-1])), found[-1] < 1, count)


def _first(order: Int64[np.ndarray, "q"], allowed: Bool[np.ndarray, "q"], count: int) -> list[int]:
    return [int(i) for i in order if allowed[i]][:count]


def fetch(readers: Iterable[Reader], queries: Iterable[Query], product_ids: Iterable[str]) -> Exhibits:
    """The crops of these queries, and the first shop crop of each of these products; stops once it has all."""
    wanted = {query.crop_id for query in queries}
    missing = set(product_ids)
    asked: dict[str, Crop] = {}
    products: dict[str, Crop] = {}
    for reader in readers:
        for product, crop in reader.rows():
            if crop.domain == "street" and crop.crop_id in wanted:
                asked.setdefault(crop.crop_id, crop)
            elif crop.domain == "shop" and product.product_id in missing:
                missing.discard(product.product_id)
                products[product.product_id] = crop
            if not missing and len(asked) == len(wanted):
                return Exhibits(asked, products)
    return Exhibits(asked, products)


def field(
    evaluation: Evaluation, readers: Iterable[Reader], *, count: int = 10, seed: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    """The result picture of the field: one query a column, under it the first answer of each arm, right ones framed.

    The queries are a fixed random draw. Under a wrong answer stands the rank of the first right one.
    """
    arms = evaluation.plain_arms
    chosen = choose(arms, "random", count, seed=seed)
    queries = [evaluation.queries[i] for i in chosen]
    photos = fetch(readers, queries, {product for arm in arms for i in chosen for product in arm.top[i][:1]})
    rows = [[grid.label("asked"), *(_cell(photos.asked.get(query.crop_id), query.category or "") for query in queries)]]
    for arm in arms:
        title = f"{arm.name} only" if len(arm.weights) > 1 and arm.name in arm.weights else arm.name
        rows.append([grid.label(title), *(_answer(arm, i, evaluation.queries[i], photos) for i in chosen)])
    return grid.sheet(rows)


def found_at(arm: Arm, number: int) -> int | None:
    """The rank of a query's first right product; None where none was found."""
    rank = float(np.fmin.reduce(arm.ranks[number], initial=np.inf))
    return None if np.isinf(rank) else int(rank)


def _answer(arm: Arm, number: int, query: Query, photos: Exhibits) -> Cell:
    rank, top = found_at(arm, number), arm.top[number]
    caption = "right" if rank == 1 else "right one not found" if rank is None else f"right one at {rank}"
    if not top:
        return Cell(None, caption)
    return _cell(photos.products.get(top[0]), caption, right=top[0] in query.product_ids)


def _cell(crop: Crop | None, caption: str, *, right: bool = False) -> Cell:
    picture = None if crop is None else grid.picture_of(crop)
    return Cell(picture, caption, grid.GREEN if right else None)
