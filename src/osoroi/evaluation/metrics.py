"""Retrieval metrics: pure functions of the ranks of the relevant products, one row per query.

Ranks are a float array ``[q r]``. Each row has the ranks (from 1) of the query's relevant products; ``inf`` stands for
a relevant product that the gallery lacks, ``nan`` fills the rows of queries with fewer relevant products. So every
metric knows the number of relevant products, retrieved or not, and never takes the ideal from what was retrieved.

All metrics lie in [0, 1], higher is better, and are 0 for a query without relevant products. ``docs/protocol.md`` gives
each definition beside the other meanings its name has elsewhere.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64

from osoroi.errors import BadRequest

Ranks = Float64[np.ndarray, "q r"]
Values = Float64[np.ndarray, "q"]


def relevant_count(ranks: Ranks) -> Values:
    """Number of relevant products of each query, retrieved or not.

    >>> relevant_count(np.array([[3.0, np.inf], [1.0, np.nan], [np.nan, np.nan]]))
    array([2., 1., 0.])
    """
    return np.sum(~np.isnan(ranks), axis=1).astype(np.float64)


def hit(ranks: Ranks, k: int) -> Values:
    """1 where a relevant product is among the first k, else 0. The literature often prints it as "Recall@k".

    >>> hit(np.array([[3.0, 1.0], [6.0, np.nan]]), 5)
    array([1., 0.])
    """
    return (_retrieved(ranks, k) > 0).astype(np.float64)


def recall(ranks: Ranks, k: int) -> Values:
    """Share of the relevant products that are among the first k. With more than k of them it cannot reach 1.

    >>> recall(np.array([[1.0, 9.0], [2.0, np.nan]]), 5)
    array([0.5, 1. ])
    """
    return _retrieved(ranks, k) / np.maximum(relevant_count(ranks), 1)


def capped_recall(ranks: Ranks, k: int) -> Values:
    """Relevant products among the first k, divided by the most possible: min(k, relevant products). Thakur et al.
    2021, arXiv:2104.08663.

    >>> capped_recall(np.array([[1.0, 2.0, 9.0]]), 2)
    array([1.])
    """
    return _retrieved(ranks, k) / np.maximum(np.minimum(relevant_count(ranks), k), 1)


def ndcg(ranks: Ranks, k: int) -> Values:
    r"""Discounted cumulative gain of the first k over that of an ideal ranking of *all* relevant products.

    .. math:: \sum_{\text{rank} \le k} \frac1{\log_2(1+\text{rank})} \Big/
              \sum_{i=1}^{\min(k,\text{relevant})} \frac1{\log_2(1+i)}

    A relevant product that the gallery lacks still counts in the ideal. Järvelin and Kekäläinen 2002,
    doi:10.1145/582415.582418.

    >>> ndcg(np.array([[2.0, np.inf]]), 5).round(4)      # 1/log2(3) over 1 + 1/log2(3)
    array([0.3869])
    """
    _check(k)
    gains = np.cumsum(1 / np.log2(np.arange(2, max(1, min(k, ranks.shape[1])) + 2)))
    most = np.minimum(relevant_count(ranks), k).astype(np.int64)
    return _gain(ranks, k) / gains[np.maximum(most, 1) - 1]


def average_precision(ranks: Ranks) -> Values:
    """Mean over the relevant products of the precision at each one's rank; 0 for one that was not retrieved.

    >>> average_precision(np.array([[1.0, 4.0], [np.inf, 2.0]]))     # (1/1 + 2/4) / 2 and (1/2 + 0) / 2
    array([0.75, 0.25])
    """
    ordered = np.sort(ranks, axis=1)  # inf and then nan at the end
    precisions = np.arange(1, ranks.shape[1] + 1) / ordered
    return np.nansum(precisions, axis=1) / np.maximum(relevant_count(ranks), 1)


def reciprocal_rank(ranks: Ranks) -> Values:
    """1 / rank of the first relevant product.

    >>> reciprocal_rank(np.array([[4.0, 2.0], [np.inf, np.nan]]))
    array([0.5, 0. ])
    """
    return 1 / _first(ranks)


_AT_K: dict[str, Callable[[Ranks, int], Values]] = {
    "hit": hit,
    "recall": recall,
    "capped_recall": capped_recall,
    "nDCG": ndcg,
}
_WHOLE: dict[str, Callable[[Ranks], Values]] = {"AP": average_precision, "RR": reciprocal_rank}

STANDARD = ("hit@1", "hit@5", "hit@20", "recall@5", "capped_recall@5", "nDCG@5", "AP", "RR")
"""The metrics that an evaluation prints."""


def by_name(name: str, ranks: Ranks) -> Values:
    """Values per query of the metric with a name such as ``hit@5``, ``nDCG@10`` or ``AP``.

    >>> by_name("hit@2", np.array([[2.0], [3.0]]))
    array([1., 0.])
    """
    kind, at, k = name.partition("@")
    if not at and kind in _WHOLE:
        return _WHOLE[kind](ranks)
    if kind in _AT_K and k.isdigit() and int(k) > 0:
        return _AT_K[kind](ranks, int(k))
    raise BadRequest(
        f"unknown metric {name!r}", hint=f"metrics are {', '.join(f'{each}@k' for each in _AT_K)}, AP and RR"
    )


def ranks_of(scores: Float[np.ndarray, "n"], is_relevant: Bool[np.ndarray, "n"]) -> Float64[np.ndarray, "r"]:
    """Ranks of the relevant items when all are sorted by falling score; ties keep their order.

    >>> ranks_of(np.array([0.5, 0.9, 0.5]), np.array([False, False, True]))
    array([3.])
    """
    order = np.argsort(-scores, kind="stable")
    return np.flatnonzero(is_relevant[order]).astype(np.float64) + 1


def table(rows: Sequence[Sequence[float]]) -> Ranks:
    """Rows of unequal length as one array, filled with ``nan``.

    >>> table([[1.0], [2.0, 5.0], []])
    array([[ 1., nan],
           [ 2.,  5.],
           [nan, nan]])
    """
    filled = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
    for filled_row, row in zip(filled, rows, strict=True):
        filled_row[: len(row)] = row
    return filled


def _first(ranks: Ranks) -> Values:
    return np.fmin.reduce(ranks, axis=1, initial=np.inf)


def _retrieved(ranks: Ranks, k: int) -> Values:
    _check(k)
    return np.sum(ranks <= k, axis=1).astype(np.float64)


def _gain(ranks: Ranks, k: int) -> Values:
    return np.sum(1 / np.log2(1 + ranks), axis=1, where=ranks <= k)


def _check(k: int) -> None:
    if k < 1:
        raise BadRequest(f"k is {k}", hint="k is 1 or more")
