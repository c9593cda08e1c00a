"""osoroi's scan, from its snapshot; and its exact index, as the price of comparing with everything."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.million.questions import Columns, Filter, K

from osoroi.index.exact import ExactIndex
from osoroi.index.scan import ScanIndex


class OsoroiScan:
    name = "osoroi scan"
    asked = 1_000
    threads = True

    def __init__(self, folder: Path, parts: tuple[int, ...]) -> None:
        self.folder, self.parts = folder, parts
        self.facts: dict[str, float] = {}

    def build(self, vectors: np.ndarray, columns: Columns) -> None:
        self.path = self.folder / f"{len(vectors)}.scan"
        start = time.perf_counter()
        index = ScanIndex.build(np.arange(len(vectors)), vectors, parts=self.parts)
        self.facts["learn_s"] = time.perf_counter() - start
        index.save(self.path)
        self.facts["learn_and_write_s"] = time.perf_counter() - start
        del index
        start = time.perf_counter()
        self.index = ScanIndex.open(self.path)
        self.facts["open_s"] = time.perf_counter() - start
        self.facts["file_bytes"] = self.path.stat().st_size

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        return None if filter_ is None else mask.copy()  # marks, as a catalog gives them

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        return self.index.nearest(query[None], K, among=ready).keys[0]

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        self.index.remove(gone)
        self.index.add(keys, vectors)
        start = time.perf_counter()
        self.index = self.index.compacted(self.path)
        self.facts["compaction_s"] = time.perf_counter() - start

    def close(self) -> None:
        self.path.unlink()


class OsoroiExact:
    name = "osoroi exact"
    asked = 30
    threads = False

    def build(self, vectors: np.ndarray, columns: Columns) -> None:
        self.index = ExactIndex(vectors.shape[1])
        self.index.add(np.arange(len(vectors)), vectors)

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        return None if filter_ is None else mask.copy()  # marks, as a catalog gives them

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        return self.index.nearest(query[None], K, among=ready).keys[0]

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        self.index.remove(gone)
        self.index.add(keys, vectors)

    def close(self) -> None:
        del self.index
