"""Short codes of vectors, and the scan over all of them.

A vector is turned by one fixed rotation, assigned to the nearest of some centroids, and what is left is coded with 4
bits for every two numbers (``IndexIVFPQFastScan`` of faiss; *every* list is scanned, so the lists are no filter: they
make the codes better, and let the best come first). Measured in docs/benchmarks/million.md.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import faiss as typed_faiss
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from osoroi.index.exact import BLOCK

faiss: Any = typed_faiss
"""Its type stubs know the C++ arguments, and not those of its Python wrappers."""

LISTS = 256
"""Centroids of a million vectors; fewer vectors have one for every ``PER_LIST``."""

PER_LIST = 512

PER_CODE = 2
"""Numbers that share four bits."""

SAMPLE = 50_000
"""Vectors that the quantiser learns from."""

Take = Callable[[Int64[np.ndarray, "m"]], Float32[np.ndarray, "m d"]]
"""Vectors at these places."""


class Codes:
    """The codes of a run of vectors, by place; they do not change."""

    def __init__(self, scan: Any, rotation: Float32[np.ndarray, "d r"], error: float) -> None:
        self._scan = scan
        self._rotation = rotation
        self.error = error
        self._search = faiss.SearchParametersIVF(nprobe=scan.nlist)

    @classmethod
    def learn(cls, count: int, dim: int, take: Take, *, seed: int = 0) -> "Codes":
        """Train on a sample, then code all ``count`` vectors, a block at a time."""
        rng = np.random.default_rng(seed)
        width = -(-dim // PER_CODE) * PER_CODE
        rotation = np.linalg.qr(rng.standard_normal((width, width)))[0][:dim].astype(np.float32)
        places = np.arange(count) if count <= SAMPLE else np.sort(rng.choice(count, SAMPLE, replace=False))
        sample = take(places) @ rotation
        with _one_thread():
            scan = _trained(sample, min(LISTS, max(1, count // PER_LIST)))
            for start in range(0, count, BLOCK):
                scan.add(take(np.arange(start, min(start + BLOCK, count))) @ rotation)
        codes = cls(scan, rotation, 0.0)
        codes.error = codes.distortion(take(places[:: max(1, len(places) // 2048)]))
        _ask_by_inner_product(scan)
        return codes

    def near(
        self, query: Float32[np.ndarray, "d"], count: int, allowed: UInt8[np.ndarray, "b"] | None
    ) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
        """Places of the ``count`` best codes and their scores, best first; of the allowed bits alone, where given."""
        search = self._search
        if allowed is not None:
            selector = faiss.IDSelectorBitmap(allowed)
            search = faiss.SearchParametersIVF(nprobe=self._scan.nlist, sel=selector)
        scores, places = self._scan.search((query @ self._rotation)[None], count, params=search)
        found = places[0] >= 0
        return places[0][found], scores[0][found]

    def distortion(self, vectors: Float32[np.ndarray, "n d"]) -> float:
        """Mean squared error of one number of these vectors, if they were coded: what drift raises."""
        turned = vectors @ self._rotation
        centroids = self._scan.quantizer.reconstruct_n(0, self._scan.nlist)
        near = np.argmin((centroids**2).sum(1) - 2 * turned @ centroids.T, axis=1)
        rest = (turned - centroids[near]).reshape(len(turned), -1, PER_CODE)
        words = faiss.vector_to_array(self._scan.pq.centroids).reshape(-1, 16, PER_CODE)
        total = 0.0
        for at, book in enumerate(words):
            apart = rest[:, at, None, :] - book[None]
            total += float((apart**2).sum(2).min(1).sum())
        return total / max(1, vectors.size)

    def to_bytes(self) -> tuple[bytes, bytes]:
        """Rotation and codes, as ``from_bytes`` reads them."""
        return self._rotation.astype("<f4").tobytes(), faiss.serialize_index(self._scan).tobytes()

    @classmethod
    def from_bytes(cls, rotation: memoryview, scan: memoryview, *, dim: int, error: float) -> "Codes":
        """Codes whose checksum has been verified: faiss trusts what it reads."""
        turn = np.frombuffer(rotation, "<f4").astype(np.float32).reshape(dim, -1)
        return cls(faiss.deserialize_index(np.frombuffer(scan, np.uint8)), turn, error)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let faiss learn on the calling thread alone; OpenMP keeps this setting per thread, so no other one is touched.

    The rest of the machine goes on searching; and where it is busy, threads that wait for each other took 20 times as
    long as one.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _trained(sample: Float32[np.ndarray, "n r"], lists: int) -> Any:
    """An empty scan that assigns by distance."""
    width = sample.shape[1]
    coarse = faiss.IndexFlatL2(width)
    scan = faiss.IndexIVFPQFastScan(coarse, width, lists, width // PER_CODE, 4, faiss.METRIC_INNER_PRODUCT)
    scan.by_residual = True
    for clustering in (scan.cp, scan.pq.cp):
        clustering.min_points_per_centroid = 1
        clustering.niter = 10
    scan.train(sample)
    return scan


def _ask_by_inner_product(scan: Any) -> None:
    """Swap the coarse centroids' distance for the inner product: vectors were assigned by the one, queries ask by the
    other, and the score of a code is that of its centroid plus that of the rest."""
    by_distance = scan.quantizer
    coarse = faiss.IndexFlatIP(by_distance.d)
    coarse.add(by_distance.reconstruct_n(0, by_distance.ntotal))
    scan.quantizer = coarse
    scan.own_fields = True
    coarse.this.disown()
