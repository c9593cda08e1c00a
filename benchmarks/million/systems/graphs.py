"""Graphs in memory: faiss HNSW with a selector, hnswlib with a filter function, usearch filtered afterwards."""

import importlib
from typing import Any

import numpy as np
from benchmarks.million.questions import Columns, Filter, K

LINKS = 32
EFFORT_BUILD = 100
EFFORT = 128
AFTERWARDS = 1_000


class FaissHnsw:
    """Deletes nothing: what is gone is left out by the selector."""

    name = "faiss HNSW, selector"
    asked = 200
    threads = True

    def build(self, vectors: np.ndarray, columns: Columns) -> None:
        self.faiss: Any = importlib.import_module("faiss")
        self.index = self.faiss.IndexHNSWFlat(vectors.shape[1], LINKS, self.faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = EFFORT_BUILD
        self.index.add(vectors)
        self.gone = np.zeros(len(vectors), bool)

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        if filter_ is None and not self.gone.any():
            return self.faiss.SearchParametersHNSW(efSearch=EFFORT)
        selector = self.faiss.IDSelectorBitmap(np.packbits(mask[: len(self.gone)] & ~self.gone, bitorder="little"))
        return self.faiss.SearchParametersHNSW(efSearch=EFFORT, sel=selector)

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        keys = self.index.search(query[None], K, params=ready)[1][0]
        return keys[keys >= 0]

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        self.index.add(vectors)
        self.gone = np.concatenate([self.gone, np.zeros(len(vectors), bool)])
        self.gone[gone] = True

    def close(self) -> None:
        del self.index


class Hnswlib:
    """Its filter is a Python function, called for every vector that is met."""

    name = "hnswlib, filter function"
    asked = 50
    threads = False

    def build(self, vectors: np.ndarray, columns: Columns) -> None:
        library = importlib.import_module("hnswlib")
        self.index = library.Index("ip", vectors.shape[1])
        self.index.init_index(len(vectors), M=LINKS // 2, ef_construction=EFFORT_BUILD, allow_replace_deleted=True)
        self.index.add_items(vectors, np.arange(len(vectors)))
        self.index.set_ef(EFFORT)
        self.index.set_num_threads(1)

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        return None if filter_ is None else mask.tolist().__getitem__

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        try:
            return self.index.knn_query(query[None], k=K, filter=ready)[0][0]
        except RuntimeError:  # it found fewer than K, and gives none of them
            return np.empty(0, np.int64)

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        for key in gone:
            self.index.mark_deleted(int(key))
        self.index.add_items(vectors, keys, replace_deleted=True)

    def close(self) -> None:
        del self.index


class Usearch:
    """No filter from Python: ``AFTERWARDS`` are asked for, and those that match are kept."""

    name = "usearch, filtered afterwards"
    asked = 200
    threads = True

    def build(self, vectors: np.ndarray, columns: Columns) -> None:
        library = importlib.import_module("usearch.index")
        self.index = library.Index(
            ndim=vectors.shape[1],
            metric="ip",
            connectivity=LINKS // 2,
            expansion_add=EFFORT_BUILD,
            expansion_search=EFFORT,
        )
        self.index.add(np.arange(len(vectors)), vectors)

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        return None if filter_ is None else mask

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        keys = self.index.search(query, K if ready is None else AFTERWARDS, threads=1).keys.astype(np.int64)
        return keys if ready is None else keys[ready[keys]][:K]

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        self.index.remove(gone)
        self.index.add(keys, vectors)

    def close(self) -> None:
        del self.index
