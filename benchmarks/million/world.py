"""The vectors, who asks, and what is right; everything dear is kept in a folder and made once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.million.multiply import Maker, Real, calibrated
from benchmarks.million.questions import Columns, Queries, arms, columns_of, least_scores

REPLACED = 0.5

Truth = dict[tuple[str, float], np.ndarray]
"""Filter -> the score that each query's K-th best reaches."""


class World:
    """The first ``count`` rows are there at first; half as many more come later."""

    def __init__(self, real: Real, count: int, asked: int, cache: Path) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        self.real, self.count = real, count
        self.queries = Queries.drawn(real, asked)
        self._stem = cache / f"{real.fingerprint[:8]}_{count}"
        self.kept = _calibration(real, cache / f"{real.fingerprint[:8]}.json")
        path = self._stem.with_suffix(".npy")
        if not path.with_suffix(".seeds.npy").exists():
            self._make(path)
        self.vectors = np.load(path, mmap_mode="r")
        self.columns: Columns = columns_of(np.load(path.with_suffix(".seeds.npy")), real, self.queries, seed=1)
        self.alive = np.arange(len(self.vectors)) < count

    def _make(self, path: Path) -> None:
        """The seeds are written last: they say that all is there."""
        maker = Maker.like(self.real, self.kept["reach"], self.kept["swing"])
        total, start = self.count + round(REPLACED * self.count), 0
        vectors = np.lib.format.open_memmap(path, "w+", np.float32, (total, self.real.shop.shape[1]))
        seeds = np.empty(total, np.int64)
        for block, some in maker.make(total, seed=0):
            vectors[start : start + len(block)], seeds[start : start + len(block)] = block, some
            start += len(block)
        del vectors
        np.save(path.with_suffix(".seeds.npy"), seeds)

    def replace(self) -> tuple[np.ndarray, np.ndarray]:
        """Half of the rows go, as many others come: keys gone, keys new."""
        rng = np.random.default_rng(2)
        gone = np.sort(rng.choice(self.count, round(REPLACED * self.count), replace=False))
        new = np.arange(self.count, len(self.vectors))
        self.alive[new], self.alive[gone] = True, False
        return gone, new

    def weighed(self, slider: float | None) -> np.ndarray:
        return self.real.weigh(self.queries.vectors, slider)

    def least(self, slider: float | None, *, replaced: bool) -> Truth:
        """What is right, by comparing with everything; minutes at a million, so it is kept."""
        path = self._stem.with_suffix(f".least.{len(self.queries.vectors)}.{slider}.{replaced}.npy")
        if not path.exists():
            found = least_scores(self.vectors, self.alive, self.columns, self.queries, self.weighed(slider))
            np.save(path, np.stack([found[arm] for arm in arms()]))
        return dict(zip(arms(), np.load(path), strict=True))


def _calibration(real: Real, path: Path) -> dict[str, Any]:
    if not path.exists():
        path.write_text(json.dumps(calibrated(real)))
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept
