"""Which queries of an evaluation to look at, their photos and those of their answers, and the picture of the field."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from osoroi import grids, metrics
from osoroi.grids import Cell
from osoroi.readers import Reader
from osoroi.records import Crop
from osoroi.results import Evaluation, Query

Kind = Literal["best", "worst", "random", "disagreement"]


class Exhibits(NamedTuple):
    """Photos by id: the crops that asked, and one shop crop of each product."""

    asked: Mapping[str, Crop]
    products: Mapping[str, Crop]


def choose(evaluation: Evaluation, kind: Kind, count: int, *, arms: Sequence[str], seed: int = 0) -> list[int]:
    """The numbers of some queries, the same each time.

    ``best``: the last arm finds a right product first, by the greatest lead in score. ``worst``: it finds the first
    right product last; among equals, the surest wrong answer first. ``disagreement``: where the best and the worst arm
    differ most in nDCG@5, then in reciprocal rank. ``random``: a fixed draw.
    """
    if kind == "random":
        draw = np.random.default_rng(seed).permutation(len(evaluation.queries))
        return sorted(int(i) for i in draw[:count])
    found = np.stack([metrics.reciprocal_rank(evaluation.arm(name).ranks) for name in arms])
    if kind == "disagreement":
        gains = np.stack([metrics.ndcg(evaluation.arm(name).ranks, 5) for name in arms])
        order = np.lexsort((-np.ptp(found, axis=0), -np.ptp(gains, axis=0)))
        return [int(i) for i in order[:count] if np.ptp(found, axis=0)[i] > 0]
    scores = evaluation.arm(arms[-1]).scores
    if kind == "best":
        lead = np.array([row[0] - row[1] if len(row) > 1 else 0.0 for row in scores])
        return _first(np.lexsort((-lead, -found[-1])), found[-1] == 1, count)
    sure = np.array([row[0] if row else -1.0 for row in scores])
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
    evaluation: Evaluation, readers: Iterable[Reader], *, arms: Sequence[str], count: int = 10, seed: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    """The result picture of the field: one query a column, under it the first answer of each arm, right ones framed.

    The queries are a fixed random draw. Under a wrong answer stands the rank of the first right one.
    """
    chosen = choose(evaluation, "random", count, arms=arms, seed=seed)
    queries = [evaluation.queries[i] for i in chosen]
    answers = {name: [evaluation.arm(name).top[i][:1] for i in chosen] for name in arms}
    shown = {product for rows in answers.values() for row in rows for product in row}
    photos = fetch(readers, queries, shown)
    rows = [
        [grids.label("asked"), *(_cell(photos.asked.get(query.crop_id), query.category or "") for query in queries)]
    ]
    for name in arms:
        firsts = metrics.by_name("RR", evaluation.arm(name).ranks)[chosen]
        cells = [_answer(top, query, rr, photos) for top, query, rr in zip(answers[name], queries, firsts, strict=True)]
        rows.append([grids.label(name if name == evaluation.main else f"{name} only"), *cells])
    return grids.sheet(rows)


def _answer(top: Sequence[str], query: Query, rr: float, photos: Exhibits) -> Cell:
    caption = "right" if rr == 1 else "right one not found" if rr == 0 else f"right one at {round(1 / rr)}"
    if not top:
        return Cell(None, caption)
    return _cell(photos.products.get(top[0]), caption, right=top[0] in query.product_ids)


def _cell(crop: Crop | None, caption: str, *, right: bool = False) -> Cell:
    picture = None if crop is None else grids.picture_of(crop)
    return Cell(picture, caption, grids.GREEN if right else None)
