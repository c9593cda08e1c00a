"""Short codes of vectors, and the scan over all of them.

Each part of a vector is turned to its principal axes, and the axes are dealt to codes of 4 bits so that all of them err
alike: one strong axis has a code to itself, up to ``SLOTS`` weak ones share one. A vector is assigned to the nearest of
some centroids, and what is left is coded (``IndexIVFPQFastScan`` of faiss). The lists of the centroids make the codes
better and let the best come first; whoever leaves the farthest out has to look whether that was right. Measured in
docs/decisions/0002-scan.md.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import faiss as typed_faiss
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from osoroi.index.exact import BLOCK

faiss: Any = typed_faiss
"""Its type stubs know the C++ arguments, and not those of its Python wrappers."""

LISTS = 255
"""Centroids of a large catalog, 255 at most; fewer vectors have one for every ``PER_LIST``."""

PER_LIST = 512

CODES_PER_NUMBER = 7 / 16
"""Codes of 4 bits: 56 bytes for 256 numbers."""

SLOTS = 4
"""Axes that share a code, at most."""

AT_ONCE = 64
"""Codes that are compared at once; 32 are slower where a processor has AVX-512, and no faster elsewhere."""

SAMPLE = 50_000
"""Vectors that the quantiser learns from."""

FEW = 4
"""Vectors of a list that tell as much of its variances as all vectors do."""

Take = Callable[[Int64[np.ndarray, "m"]], Float32[np.ndarray, "m d"]]
"""Vectors at these places."""


class Candidates(NamedTuple):
    """Places and the scores of their codes."""

    places: Int64[np.ndarray, "m"]
    scores: Float32[np.ndarray, "m"]

    @classmethod
    def none(cls) -> "Candidates":
        return cls(np.empty(0, np.int64), np.empty(0, np.float32))


class TurnedQuery(NamedTuple):
    """A query on the codes' axes. ``lists`` are in order, the nearest first; ``share_up_to`` is the share of vectors
    that lie in the lists up to each. ``deviations`` are those of the scores of a list's vectors."""

    vector: Float32[np.ndarray, "r"]
    centroid_scores: Float32[np.ndarray, "l"]
    deviations: Float32[np.ndarray, "l"]
    lists: Int64[np.ndarray, "l"]
    share_up_to: Float64[np.ndarray, "l"]

    def nearest_lists(self, share: float) -> int:
        """How many lists hold this share of the vectors."""
        return min(int(np.searchsorted(self.share_up_to, share)) + 1, len(self.lists))

    def may_reach(self, least: float, *, beyond: float, deviations: float) -> bool:
        """Whether a list behind the nearest with this share has scores above ``least`` within so many deviations."""
        farther = self.lists[self.nearest_lists(beyond) :]
        return bool((self.centroid_scores[farther] + deviations * self.deviations[farther] > least).any())


class Codes:
    """The codes of a run of vectors, by place; they do not change."""

    def __init__(
        self,
        scan: Any,
        turn: Float32[np.ndarray, "d r"],
        variances: Float32[np.ndarray, "l r"],
        error: float,
        memory: UInt8[np.ndarray, "b"] | None = None,
    ) -> None:
        self._scan = scan
        self._scan.nprobe = scan.nlist
        self._memory = memory  # that the scan points into, if it does
        self._turn = turn
        self._variances = variances
        self.error = error
        self._centroids = scan.quantizer.reconstruct_n(0, scan.nlist)
        self._sizes = np.array([scan.invlists.list_size(at) for at in range(scan.nlist)])
        self._list_of = np.empty(scan.ntotal, np.uint8)
        for at in np.flatnonzero(self._sizes).tolist():
            self._list_of[faiss.rev_swig_ptr(scan.invlists.get_ids(at), int(self._sizes[at]))] = at

    @classmethod
    def learn(cls, count: int, parts: Sequence[int], take: Take, *, seed: int = 0) -> "Codes":
        """Train on a sample, then code all ``count`` vectors, a block at a time; ``parts`` are the sizes of theirs."""
        rng = np.random.default_rng(seed)
        places = np.arange(count) if count <= SAMPLE else np.sort(rng.choice(count, SAMPLE, replace=False))
        sample = take(places)
        turn = _turn(sample, parts)
        with _one_thread():
            scan = _trained(sample @ turn, min(LISTS, max(1, count // PER_LIST)))
            for start in range(0, count, BLOCK):
                scan.add(take(np.arange(start, min(start + BLOCK, count))) @ turn)
            variances = _variances(scan, sample @ turn)
        codes = cls(scan, turn, variances, 0.0)
        codes.error = codes.distortion(take(places[:: max(1, len(places) // 2048)]))
        _ask_by_inner_product(scan)
        return codes

    def turned(self, query: Float32[np.ndarray, "d"]) -> TurnedQuery:
        """The query as every search of these codes takes it."""
        vector = query @ self._turn
        scores = self._centroids @ vector
        deviations = np.sqrt(self._variances @ vector**2)
        lists = np.argsort(-scores, kind="stable")
        return TurnedQuery(vector, scores, deviations, lists, np.cumsum(self._sizes[lists]) / max(1, self._scan.ntotal))

    def near(
        self,
        query: TurnedQuery,
        count: int,
        allowed: UInt8[np.ndarray, "b"] | None,
        *,
        beyond: float = 0.0,
        share: float = 1.0,
    ) -> Candidates:
        """The ``count`` best codes, best first, of the lists that hold this share of the vectors, the nearest first,
        without those that hold the share ``beyond``; of the allowed bits alone, where given."""
        start = query.nearest_lists(beyond) if beyond else 0
        lists = query.lists[start : query.nearest_lists(share)]
        if not len(lists):
            return Candidates.none()
        scores, places = np.empty(count, np.float32), np.empty(count, np.int64)
        parameters = _parameters(len(lists), allowed)
        coarse = query.centroid_scores[lists]
        arrays = (faiss.swig_ptr(array) for array in (lists, coarse, scores, places))
        self._scan.search_preassigned_c(1, faiss.swig_ptr(query.vector), count, *arrays, False, parameters)
        filled = places >= 0
        return Candidates(places[filled], scores[filled])

    def above(
        self,
        query: TurnedQuery,
        least: float,
        allowed: UInt8[np.ndarray, "b"] | None,
        *,
        beyond: float = 0.0,
        share: float = 1.0,
    ) -> Candidates:
        """Every code of the same lists whose score is above ``least``, in any order."""
        parameters = _parameters(query.nearest_lists(share), allowed)
        _, scores, places = self._scan.range_search(query.vector[None], least, params=parameters)
        if beyond:
            farther = self.between(query, places, beyond, share)
            places, scores = places[farther], scores[farther]
        return Candidates(places, scores)

    def between(
        self, query: TurnedQuery, places: Int64[np.ndarray, "m"], beyond: float, share: float
    ) -> Bool[np.ndarray, "m"]:
        """Which of these lie in the lists that hold ``share`` of the vectors, and not in those that hold ``beyond``."""
        chosen = np.zeros(len(query.lists), bool)
        chosen[query.lists[query.nearest_lists(beyond) : query.nearest_lists(share)]] = True
        return chosen[self._list_of[places]]

    def distortion(self, vectors: Float32[np.ndarray, "n d"]) -> float:
        """Mean squared error of one number of these vectors, if they were coded: what drift raises."""
        turned = vectors @ self._turn
        near = np.argmin((self._centroids**2).sum(1) - 2 * turned @ self._centroids.T, axis=1)
        rest = turned - self._centroids[near]
        with _one_thread():
            coded = self._scan.pq.decode(self._scan.pq.compute_codes(rest))
        return float(((rest - coded) ** 2).sum()) / max(1, vectors.size)

    def to_bytes(self) -> tuple[bytes, bytes, bytes]:
        """Rotation, variances and codes, as ``from_bytes`` reads them."""
        numbers = (array.astype("<f4").tobytes() for array in (self._turn, self._variances))
        return *numbers, faiss.serialize_index(self._scan).tobytes()

    @classmethod
    def from_bytes(
        cls, turn: memoryview, variances: memoryview, scan: memoryview, *, dim: int, error: float
    ) -> "Codes":
        """Codes whose checksum has been verified: faiss trusts what it reads."""
        memory = np.array(np.frombuffer(scan, np.uint8))  # NumPy asks for huge pages, faiss alone would not
        index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(memory), len(memory)))
        numbers = (np.frombuffer(data, "<f4").astype(np.float32) for data in (turn, variances))
        rotation, spread = (array.reshape(rows, -1) for array, rows in zip(numbers, (dim, index.nlist), strict=True))
        return cls(index, rotation, spread, error, memory)


def _parameters(lists: int, allowed: UInt8[np.ndarray, "b"] | None) -> Any:
    if allowed is None:
        return faiss.SearchParametersIVF(nprobe=lists)
    return faiss.SearchParametersIVF(nprobe=lists, sel=faiss.IDSelectorBitmap(allowed))


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


def _turn(sample: Float32[np.ndarray, "n d"], parts: Sequence[int]) -> Float32[np.ndarray, "d r"]:
    """The rotation of each part to its principal axes, each axis in its slot; slots without one stay 0."""
    ends = np.cumsum(parts)
    blocks = [_axes(rows) for rows in np.split(sample, ends[:-1], axis=1)]
    turn = np.zeros((int(ends[-1]), sum(block.shape[1] for block in blocks)), np.float32)
    row = column = 0
    for block in blocks:
        turn[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return turn


def _axes(rows: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "d r"]:
    size = rows.shape[1]
    spread, axes = np.linalg.eigh(np.atleast_2d(np.cov(rows.astype(np.float64), rowvar=False, ddof=0)))
    codes = max(-(-size // SLOTS), round(CODES_PER_NUMBER * size))
    turned = np.zeros((size, codes * SLOTS), np.float32)
    turned[:, balanced_slots(spread[::-1], codes)] = axes[:, ::-1]
    return turned


def balanced_slots(variances: Float64[np.ndarray, "d"], codes: int) -> Int64[np.ndarray, "d"]:
    r"""The slot of each axis, strongest first, so that the codes' errors add up to little.

    Of n Gaussian axes a code of b bits tells at best each to within :math:`D = (\prod_i v_i\,2^{-2b})^{1/n}`, and says
    nothing of an axis weaker than that, which adds all it has (Cover and Thomas 2006, theorem 10.3.3). So each axis
    goes where the error grows least; an empty code comes first.

    >>> (balanced_slots(np.array([900.0, 1.0, 1.0, 0.5]), 2) // SLOTS).tolist()
    [0, 1, 1, 1]
    """
    held, told, logs, error = np.zeros(codes, int), np.zeros(codes, int), np.zeros(codes), np.zeros(codes)
    slots = np.empty(len(variances), np.int64)
    for axis, variance in enumerate(np.maximum(variances, 1e-12)):
        level = np.exp((logs + np.log(variance) - 8 * np.log(2)) / (told + 1))
        grown = np.where(level <= variance, (told + 1) * level - error, variance)
        code = int(np.argmin(np.where(held < SLOTS, np.where(held, grown, -1.0), np.inf)))
        slots[axis] = SLOTS * code + held[code]
        held[code], error[code] = held[code] + 1, error[code] + grown[code]
        if level[code] <= variance:
            told[code], logs[code] = told[code] + 1, logs[code] + np.log(variance)
    return slots


def _trained(sample: Float32[np.ndarray, "n r"], lists: int) -> Any:
    """An empty scan that assigns by distance."""
    width = sample.shape[1]
    coarse = faiss.IndexFlatL2(width)
    kind = faiss.METRIC_INNER_PRODUCT
    scan = faiss.IndexIVFPQFastScan(coarse, width, lists, width // SLOTS, 4, kind, AT_ONCE)
    scan.by_residual = True
    for clustering in (scan.cp, scan.pq.cp):
        clustering.min_points_per_centroid = 1
        clustering.niter = 10
    scan.train(sample)
    return scan


def _variances(scan: Any, sample: Float32[np.ndarray, "n r"]) -> Float32[np.ndarray, "l r"]:
    """The variance of each number of the vectors around their centroid, list by list; lists of few are like all."""
    centroids = scan.quantizer.reconstruct_n(0, scan.nlist)
    near = scan.quantizer.assign(sample, 1)[:, 0]
    squares = (sample - centroids[near]) ** 2
    usual, order, counts = squares.mean(0), np.argsort(near, kind="stable"), np.bincount(near, minlength=scan.nlist)
    ends = np.cumsum(counts)
    sums = [squares[order[end - count : end]].sum(0) for end, count in zip(ends, counts, strict=True)]
    return ((np.stack(sums) + FEW * usual) / (counts[:, None] + FEW)).astype(np.float32)


def _ask_by_inner_product(scan: Any) -> None:
    """Swap the coarse centroids' distance for the inner product: vectors were assigned by the one, queries ask by the
    other, and the score of a code is that of its centroid plus that of the rest."""
    by_distance = scan.quantizer
    coarse = faiss.IndexFlatIP(by_distance.d)
    coarse.add(by_distance.reconstruct_n(0, by_distance.ntotal))
    scan.quantizer = coarse
    scan.own_fields = True
    coarse.this.disown()
