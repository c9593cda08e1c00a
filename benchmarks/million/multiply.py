"""Real vectors -> as many as wanted, like them.

A made vector lies between a real one and one of its ``NEAR`` nearest, moved along the differences of other pairs of
those: it stays inside the cloud that it came from, with its directions and its size. ``reach`` and ``swing`` (how far)
are chosen so that a sample as large as the real set has the real set's distances to the nearest and tenth nearest, and
the same distances from the street photos; the results say how well that holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from osoroi.encoder.slider import shifted

NEAR = 20
BLOCK = 20_000
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Real:
    """Vectors of real photos: products, and street photos that ask."""

    shop: np.ndarray
    street: np.ndarray
    parts: tuple[int, ...]
    weights: tuple[float, ...]
    fingerprint: str

    @classmethod
    def read(cls, path: str) -> "Real":
        with np.load(path) as file:
            shop = np.unique(file["shop"], axis=0)
            parts, weights = tuple(file["parts"].tolist()), tuple(file["weights"].tolist())
            return cls(shop, file["street"], parts, weights, str(file["fingerprint"]))

    def weigh(self, vectors: np.ndarray, detail: float | None) -> np.ndarray:
        """Queries, by the encoder's weights or the slider's."""
        weights = self.weights if detail is None else tuple(self._shifted(detail))
        return np.ascontiguousarray(vectors * np.repeat(weights, self.parts), np.float32)

    def _shifted(self, detail: float) -> Iterator[float]:
        named = dict(zip(("deep", "detail", "kind"), self.weights, strict=False))
        return iter(shifted(named, detail).values())


def nearest(queries: np.ndarray, vectors: np.ndarray, k: int, *, itself: bool) -> tuple[np.ndarray, np.ndarray]:
    """Places and inner products of the k nearest, best first."""
    found = []
    for start in range(0, len(queries), 2_000):
        scores = queries[start : start + 2_000] @ vectors.T
        if itself:
            rows = np.arange(len(scores))
            scores[rows, start + rows] = -np.inf
        places = np.argpartition(-scores, k, axis=1)[:, :k]
        near = np.take_along_axis(scores, places, axis=1)
        order = np.argsort(-near, axis=1)
        found.append((np.take_along_axis(places, order, axis=1), np.take_along_axis(near, order, axis=1)))
    return np.concatenate([places for places, _ in found]), np.concatenate([scores for _, scores in found])


@dataclass(frozen=True)
class Maker:
    """Makes vectors; ``seeds`` says from which real one each came."""

    real: Real
    near: np.ndarray
    reach: float
    swing: float

    @classmethod
    def like(cls, real: Real, reach: float, swing: float) -> "Maker":
        return cls(real, nearest(real.shop, real.shop, NEAR, itself=True)[0], reach, swing)

    def block(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shop = self.real.shop
        seeds = rng.integers(0, len(shop), count)
        friend, up, down, left, right = (self.near[seeds, rng.integers(0, NEAR, count)] for _ in range(5))
        between, first, second = (
            rng.random((count, 1)),
            rng.standard_normal((count, 1)),
            rng.standard_normal((count, 1)),
        )
        vectors = shop[seeds] + self.reach * between * (shop[friend] - shop[seeds])
        vectors += self.swing * (first * (shop[up] - shop[down]) + second * (shop[left] - shop[right]))
        ends = np.cumsum(self.real.parts)
        units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in np.split(vectors, ends[:-1], axis=1)]
        return np.concatenate(units, axis=1).astype(np.float32), seeds

    def make(self, count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of vectors and their seeds."""
        rng = np.random.default_rng(seed)
        for start in range(0, count, BLOCK):
            yield self.block(min(BLOCK, count - start), rng)


def distances(vectors: np.ndarray, real: Real) -> np.ndarray:
    """Quantiles of distances, parts at equal weight: to the 1st and 10th nearest of a sample of products, then from the
    street photos to the 1st and 10th nearest product."""
    size = len(real.parts)
    rng = np.random.default_rng(0)
    asked = np.sort(rng.choice(len(vectors), min(3_000, len(vectors)), replace=False))
    scores = vectors[asked] @ vectors.T
    scores[np.arange(len(asked)), asked] = -np.inf
    inside = -np.sort(-np.partition(scores, -10, axis=1)[:, -10:], axis=1)
    _, street = nearest(real.street[:2_000], vectors, 10, itself=False)
    columns = (inside[:, 0], inside[:, 9], street[:, 0], street[:, 9])
    return np.array([np.quantile(np.sqrt(np.maximum(2 - 2 * one / size, 0)), SHARES) for one in columns])


def calibrated(real: Real) -> dict[str, Any]:
    """Reach and swing of the maker whose sample has distances most like the real ones, and how like they are."""
    truth = distances(real.shop, real)
    tried = []
    like = Maker.like(real, 0, 0)
    for reach, swing in product((0.3, 0.6), (0.3, 0.4, 0.5, 0.6, 0.7)):
        maker = replace(like, reach=reach, swing=swing)
        sample = distances(maker.block(len(real.shop), np.random.default_rng(1))[0], real)
        tried.append((float(np.abs(sample - truth).mean()), maker, sample))
    gap, maker, sample = min(tried, key=lambda one: one[0])
    rows = ("shop to 1st shop", "shop to 10th shop", "street to 1st shop", "street to 10th shop")
    return {
        "real_vectors": len(real.shop),
        "reach": maker.reach,
        "swing": maker.swing,
        "mean_gap": round(gap, 4),
        "shares": SHARES,
        "distances": {
            name: {"real": one.round(3).tolist(), "made": other.round(3).tolist()}
            for name, one, other in zip(rows, truth, sample, strict=True)
        },
    }
