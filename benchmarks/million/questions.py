"""What is asked: street queries at three weightings, under filters that do not care, that help and that hinder.

Every vector has the columns ``u`` (random in [0, 1)) and ``c0`` … (its rank by nearness to the centre of one group of
queries, as a share). A filter of share s is

- independent: ``u < s``
- along: ``c_g < s`` for the query's group g, as a buyer asks within the query's own category
- against: ``c_g >= 1 - s``, anything but what is like the query: a scan that filters afterwards finds nothing
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from benchmarks.million.multiply import Real

K = 10
GROUPS = 4
SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
KINDS = ("independent", "along", "against")
SLIDERS = (0.0, None, 1.0)
BLOCK = 20_000

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Filter:
    """``least <= column < below``."""

    kind: str
    share: float
    column: str
    least: float
    below: float

    def mask(self, columns: Columns) -> np.ndarray:
        values = columns[self.column]
        return (values >= self.least) & (values < self.below)


@dataclass(frozen=True)
class Queries:
    """Vectors not yet weighed, and the group of each."""

    vectors: np.ndarray
    groups: np.ndarray
    centres: np.ndarray

    @classmethod
    def drawn(cls, real: Real, count: int, seed: int = 0) -> "Queries":
        """Street photos, in groups by a few rounds of k-means."""
        rng = np.random.default_rng(seed)
        vectors = real.street[rng.choice(len(real.street), count, replace=False)]
        centres = vectors[:GROUPS]
        for _ in range(10):
            groups = np.argmax(vectors @ centres.T, axis=1)
            centres = np.stack([vectors[groups == group].mean(0) for group in range(GROUPS)])
        return cls(vectors, groups, centres)

    def filters(self, kind: str, share: float) -> list[Filter]:
        """The filter of each group."""
        if kind == "independent":
            return [Filter(kind, share, "u", 0.0, share)] * GROUPS
        along = kind == "along"
        span = (-1.0, share) if along else (1 - share, 2.0)
        return [Filter(kind, share, f"c{group}", *span) for group in range(GROUPS)]


def columns_of(seeds: np.ndarray, real: Real, queries: Queries, *, seed: int) -> Columns:
    """The columns of vectors made from these seeds; ranks are broken at random."""
    rng = np.random.default_rng(seed)
    columns = {"u": rng.random(len(seeds))}
    for group, centre in enumerate(queries.centres):
        order = np.lexsort((rng.random(len(seeds)), -(real.shop @ centre)[seeds]))
        ranks = np.empty(len(seeds))
        ranks[order] = np.arange(len(seeds)) / len(seeds)
        columns[f"c{group}"] = ranks
    return columns


def arms() -> Iterator[tuple[str, float]]:
    """Kind and share of every filter; the first is none."""
    yield "none", 1.0
    for kind in KINDS:
        for share in SHARES:
            yield kind, share


def least_scores(
    vectors: np.ndarray, alive: np.ndarray, columns: Columns, queries: Queries, weighed: np.ndarray
) -> dict[tuple[str, float], np.ndarray]:
    """For every filter the score that the K-th best reaches, by comparing with everything."""
    least = {arm: np.full((len(weighed), K), -np.inf, np.float32) for arm in arms()}
    masks = {
        (kind, share): [alive & one.mask(columns) for one in queries.filters(kind, share)]
        for kind, share in arms()
        if kind != "none"
    }
    members = [np.flatnonzero(queries.groups == group) for group in range(GROUPS)]
    for start, stop in pairwise([*range(0, len(vectors), BLOCK), len(vectors)]):
        scores = weighed @ vectors[start:stop].T
        for arm, best in least.items():
            for group, rows in enumerate(members):
                allowed = alive[start:stop] if arm[0] == "none" else masks[arm][group][start:stop]
                some = scores[np.ix_(rows, np.flatnonzero(allowed))]
                if some.shape[1] > K:
                    some = np.partition(some, -K, axis=1)[:, -K:]
                best[rows] = np.sort(np.concatenate([best[rows], some], axis=1), axis=1)[:, -K:]
    return {arm: best[:, 0] for arm, best in least.items()}
