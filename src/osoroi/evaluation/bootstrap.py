"""Confidence intervals and tests of means over queries: pure functions of one value per query and its cluster.

Queries that share a product or a design are not independent, so the bootstrap draws whole clusters of queries, and the
sign-flip test flips whole clusters.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

LEVEL = 0.95
"""Confidence level of intervals."""

ROUNDS = 2000
"""Bootstrap samples."""

SIGN_FLIPS = 10_000
"""Random sign patterns of the sign-flip test."""

_CELLS = 4_000_000
"""Random numbers in memory at a time: 32 MB."""


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval; the ends are nan where there is a single cluster."""

    mean: float
    low: float
    high: float


def cluster_ids(groups: Sequence[Collection[str]]) -> Int64[np.ndarray, "q"]:
    """A cluster number for each query, the same for queries that share a name (of a product, of a design), directly or
    through others.

    >>> cluster_ids([{"a"}, {"b", "c"}, {"a", "d"}, {"c"}])
    array([0, 1, 0, 1])
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for group in groups:
        first, *others = sorted(group)
        for other in others:
            parent[root(other)] = root(first)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(root(min(group)), len(numbers)) for group in groups], dtype=np.int64)


def bootstrap_means(
    values: Float[np.ndarray, "q m"],
    cluster: Int64[np.ndarray, "q"],
    *,
    span: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    rounds: int = ROUNDS,
) -> list[Interval]:
    r"""Mean over queries of each column, with its 95% interval from clusters drawn with replacement.

    The ends are quantiles of the means of ``rounds`` draws, taken a little further out than 2.5% and 97.5% for few
    clusters, as a t-distribution is wider than a normal one ("expanded percentile", Hesterberg 2015,
    arXiv:1411.5279). With one cluster the ends are nan.

    Values that are all the same would give an interval without width. But if a share s of clusters had other values,
    n clusters would show none of them with probability (1 - s)^n; so at 97.5% s is at most 1 - .025^(1/n), and the
    ends lie as far towards those of ``span``, the values there can be: 10 hits of 10 give [.69, 1], not [1, 1].

    >>> hits = np.array([[1.0], [0.0], [1.0], [1.0]])
    >>> [round(float(end), 2) for end in bootstrap_means(hits, np.array([0, 1, 2, 3]))[0]]
    [0.75, 0.0, 1.0]
    >>> round(bootstrap_means(np.ones((10, 1)), np.arange(10))[0].low, 2)
    0.69
    """
    means = values.mean(axis=0)
    sums, counts = _by_cluster(values, cluster)
    if len(counts) < 2:
        return [Interval(float(mean), math.nan, math.nan) for mean in means]
    rng = np.random.default_rng(seed)
    even = np.full(len(counts), 1 / len(counts))
    drawn = []
    for size in _chunks(rounds, len(counts)):
        times = rng.multinomial(len(counts), even, size=size).astype(np.float64)
        drawn.append(times @ sums / (times @ counts)[:, None])
    tail = _tail(len(counts))
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
    reach = 1 - ((1 - LEVEL) / 2) ** (1 / len(counts))
    flat = np.ptp(values, axis=0) == 0
    low = np.where(flat, means - reach * (means - span[0]), low)
    high = np.where(flat, means + reach * (span[1] - means), high)
    return [Interval(*map(float, sides)) for sides in zip(means, low, high, strict=True)]


def sign_flip_test(
    differences: Float64[np.ndarray, "q"], cluster: Int64[np.ndarray, "q"], *, seed: int = 0, rounds: int = SIGN_FLIPS
) -> float:
    """p-value of the paired sign-flip test: how often random signs of whole clusters give a mean as far from 0.

    The null hypothesis is that both systems are the same. Two-sided: (1 + as far) / (1 + rounds), so never 0, and 1
    where all differences are 0.

    >>> sign_flip_test(np.zeros(10), np.arange(10))
    1.0
    >>> sign_flip_test(np.ones(40), np.arange(40)) < 0.001
    True
    """
    sums, _ = _by_cluster(differences[:, None], cluster)
    observed = abs(sums.sum())
    rng = np.random.default_rng(seed)
    far = 0
    for size in _chunks(rounds, len(sums)):
        signs = rng.integers(0, 2, size=(size, len(sums)), dtype=np.int8) * 2.0 - 1
        far += int(np.sum(abs(signs @ sums[:, 0]) >= observed - 1e-12))
    return (1 + far) / (1 + rounds)


def holm(ps: Sequence[float]) -> list[float]:
    """p-values corrected for multiple tests: keeps the chance of even one false rejection below the level. Holm 1979.

    >>> holm([0.01, 0.04, 0.03])       # 3 x .01; then 2 x .03; then 1 x .04, but not below the one before
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, most = [0.0] * len(ps), 0.0
    for place, i in enumerate(order):
        most = max(most, min(1.0, (len(ps) - place) * ps[i]))
        corrected[i] = most
    return corrected


def _by_cluster(
    values: Float[np.ndarray, "q m"], cluster: Int64[np.ndarray, "q"]
) -> tuple[Float64[np.ndarray, "c m"], Float64[np.ndarray, "c"]]:
    _, number = np.unique(cluster, return_inverse=True)
    counts = np.bincount(number).astype(np.float64)
    sums = np.stack([np.bincount(number, weights=column) for column in values.T], axis=1)
    return sums, counts


def _chunks(rounds: int, width: int) -> Iterator[int]:
    size = max(1, _CELLS // width)
    for start in range(0, rounds, size):
        yield min(size, rounds - start)


def _tail(count: int) -> float:
    """Share of samples beyond each end, for ``count`` clusters."""
    normal = NormalDist()
    z, free = normal.inv_cdf((1 + LEVEL) / 2), count - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)  # Cornish and Fisher
    return normal.cdf(-t * math.sqrt(count / free))
