"""``scan`` is judged by ``exact``, which is judged by loops in test_exact.py."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osoroi.errors import BadIndex
from osoroi.index import Index, Neighbors, ScanSettings, codes, scan, scan_search
from osoroi.index.exact import BLOCK, ExactIndex
from osoroi.index.scan import ScanIndex
from osoroi.index.scan_search import State

PARTS = (24, 8)
DIM = sum(PARTS)
COUNT = 20_000


def garments(count: int, *, seed: int) -> np.ndarray:
    """Vectors in two lopsided parts of unit length, in 40 clusters of very different width."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 40, count)
    centres = np.random.default_rng(99).standard_normal((40, DIM))
    widths = np.linspace(0.05, 1.2, 40)[kind, None]
    vectors = centres[kind] + widths * rng.standard_normal((count, DIM))
    deep, detail = vectors[:, : PARTS[0]], vectors[:, PARTS[0] :]
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (deep, detail)]
    return np.concatenate(units, axis=1).astype(np.float32)


def weighed(vectors: np.ndarray, detail: float) -> np.ndarray:
    return np.concatenate([vectors[:, : PARTS[0]] * (1 - detail), vectors[:, PARTS[0] :] * detail], 1).astype("f4")


def exact(keys: np.ndarray, vectors: np.ndarray) -> ExactIndex:
    index = ExactIndex(vectors.shape[1])
    index.add(keys, vectors)
    return index


def recall(found: Neighbors, truth: Neighbors) -> float:
    hits = [np.isin(right, row).mean() for row, right in zip(found.keys, truth.keys, strict=True)]
    return float(np.mean(hits))


SCAN = ScanSettings(exact_up_to=2_000, many=0)
"""Filters of some thousand products scan, in as many steps as those of a million do."""


@pytest.fixture(scope="module")
def keys() -> np.ndarray:
    """Rising, with gaps; some are negative."""
    return np.cumsum(np.random.default_rng(5).integers(1, 4, COUNT)) - 1_000


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return garments(COUNT, seed=1)


@pytest.fixture(scope="module")
def index(keys: np.ndarray, vectors: np.ndarray) -> ScanIndex:
    """Nobody changes it."""
    return ScanIndex.build(keys, vectors, parts=PARTS, settings=SCAN)


@pytest.fixture(scope="module")
def oracle(keys: np.ndarray, vectors: np.ndarray) -> ExactIndex:
    return exact(keys, vectors)


@pytest.fixture
def file(index: ScanIndex, tmp_path: Path) -> Path:
    path = tmp_path / "vectors.scan"
    index.save(path)
    return path


def test_it_is_an_index(index: ScanIndex) -> None:
    assert isinstance(index, Index)
    assert (len(index), index.dim) == (COUNT, DIM)


@pytest.mark.parametrize("detail", [0.0, 0.35, 1.0])
def test_recall_holds_at_every_weighting(index: ScanIndex, oracle: ExactIndex, detail: float) -> None:
    queries = weighed(garments(300, seed=2), detail)
    assert recall(index.nearest(queries, 10), oracle.nearest(queries, 10)) >= 0.998


@pytest.mark.parametrize("share", [0.5, 0.15, 0.01, 0.0005])
@pytest.mark.parametrize("kind", ["independent", "along", "against"])
def test_no_filter_costs_recall(
    index: ScanIndex, oracle: ExactIndex, keys: np.ndarray, vectors: np.ndarray, share: float, kind: str
) -> None:
    query = weighed(garments(1, seed=3), 0.35)
    order = {
        "independent": np.random.default_rng(0).permutation(COUNT),
        "along": np.argsort(-(vectors @ query[0])),
        "against": np.argsort(vectors @ query[0]),
    }[kind]
    among = keys[order[: round(share * COUNT)]]
    found, truth = index.nearest(query, 10, among=among), oracle.nearest(query, 10, among=among)
    assert np.isin(found.keys, among).all()
    assert recall(found, truth) >= 0.99
    assert np.array_equal(found.scores, truth.scores)


def test_a_filter_that_hides_all_that_is_near_keeps_the_recall_of_what_is_far() -> None:
    """As of categories that a query is not of: half of the codes' usual error as a floor missed 8 of 300."""
    rng = np.random.default_rng(0)
    cluster = np.arange(COUNT) % 40
    vectors = rng.normal(size=(40, 96))[cluster] + 0.1 * rng.normal(size=(COUNT, 96))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = ScanIndex.build(np.arange(COUNT), vectors, parts=(72, 24), settings=SCAN)
    for query in vectors[np.random.default_rng(3).choice(COUNT, 30)]:
        scores = vectors @ query
        far = np.argsort([-scores[cluster == one].mean() for one in range(40)])[20:]
        among = np.flatnonzero(np.isin(cluster, far))
        best = np.sort(scores[among])[::-1][:10]
        assert np.allclose(index.nearest(query[None], 10, among=among).scores[0], best, atol=1e-4)


def test_marks_allow_what_a_list_of_keys_allows(vectors: np.ndarray) -> None:
    rng = np.random.default_rng(21)
    query = weighed(garments(1, seed=22), 0.35)
    for keys in (np.arange(3, COUNT + 3), np.cumsum(rng.integers(1, 4, COUNT)) - 5):  # one run; gaps, some below 0
        index, oracle = ScanIndex.build(keys, vectors, parts=PARTS, settings=SCAN), exact(keys, vectors)
        for held in (index, oracle):
            held.add(np.array([keys[50], 10**6]), garments(2, seed=23))
            held.remove(keys[100:200])
        for length in (COUNT // 2, 2 * 10**6):  # keys behind the last mark are not allowed
            marks = rng.random(length) < 0.5
            listed = index.nearest(query, 300, among=np.flatnonzero(marks))
            for held in (index, oracle):
                assert np.array_equal(held.nearest(query, 300, among=marks).keys, listed.keys)


def tight_clusters(seed: int) -> np.ndarray:
    """Vectors in as many clusters as there are lists, so that some lists share one and some clusters share a list."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(40, 96))[np.arange(COUNT) % 40] + 0.1 * rng.normal(size=(COUNT, 96))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The share of the vectors that each pass over codes brought a scan to."""
    shares: list[float] = []
    near = codes.Codes.near

    def noting(self: codes.Codes, *wishes: Any, share: float, **more: Any) -> codes.Candidates:
        shares.append(share)
        return near(self, *wishes, share=share, **more)

    monkeypatch.setattr(codes.Codes, "near", noting)
    return shares


@pytest.mark.parametrize("filtered", [False, True])
def test_the_nearest_lists_are_enough_for_what_lies_in_a_cluster(scanned: list[float], filtered: bool) -> None:
    vectors = tight_clusters(0)
    index = ScanIndex.build(np.arange(COUNT), vectors, parts=(72, 24), settings=SCAN)
    among = np.random.default_rng(25).random(COUNT) < 0.5 if filtered else None
    index.nearest(vectors[:50], 10, among=among)
    assert scanned == 50 * [SCAN.shares[0]]


def test_fewer_vectors_are_scanned_in_fewer_steps(scanned: list[float]) -> None:
    vectors = tight_clusters(0)
    index = ScanIndex.build(np.arange(COUNT), vectors, parts=(72, 24), settings=replace(SCAN, many=COUNT + 1))
    index.nearest(vectors[:50], 10)
    assert scanned == 50 * [SCAN.shares_of_few[0]]


@pytest.mark.parametrize("different", [1, 2])
def test_equal_scores_come_in_the_order_of_their_keys_where_codes_are_perfect(different: int) -> None:
    rng = np.random.default_rng(31)
    vectors = garments(different, seed=32)[rng.integers(0, different, COUNT)]
    index, queries = ScanIndex.build(np.arange(COUNT), vectors, parts=PARTS, settings=SCAN), garments(8, seed=33)
    assert np.array_equal(index.nearest(queries, 10).keys, exact(np.arange(COUNT), vectors).nearest(queries, 10).keys)


def test_few_vectors_are_missed_where_lengths_differ_much() -> None:
    """The well-coded among a farther step's best say nothing of the others; without its floor 5 of 100 are missed."""
    found = []
    for seed in (12, 13, 14):
        rng = np.random.default_rng(seed)
        vectors = rng.standard_t(2, size=(COUNT, 48)).astype(np.float32)
        queries = rng.standard_t(2, size=(60, 48)).astype(np.float32)
        index = ScanIndex.build(np.arange(COUNT), vectors, settings=SCAN)
        found.append(recall(index.nearest(queries, 10), exact(np.arange(COUNT), vectors).nearest(queries, 10)))
    assert np.mean(found) > 0.97, found


@pytest.mark.parametrize("build", [ScanIndex.build, exact])
def test_a_query_that_is_no_number_is_refused(build: Callable[..., Index]) -> None:
    index = build(np.arange(30), garments(30, seed=34))
    for number in (np.nan, np.inf):
        query = garments(2, seed=35)
        query[1, 3] = number
        with pytest.raises(BadIndex, match="a query holds numbers that are not finite"):
            index.nearest(query, 3)


@pytest.mark.parametrize("looking", [True, False])
def test_lists_whose_centroid_stands_between_two_clusters_are_not_left_out(looking: bool) -> None:
    settings = SCAN if looking else replace(SCAN, reach=-99.0)
    queries = np.random.default_rng(5).normal(size=(60, 96)).astype(np.float32)  # in no cluster
    lost = 0
    for seed in (0, 1):
        vectors = tight_clusters(seed)
        index = ScanIndex.build(np.arange(COUNT), vectors, parts=(72, 24), settings=settings)
        best = -np.sort(-queries @ vectors.T, axis=1)[:, :10]
        lost += int((index.nearest(queries, 10).scores < best[:, -1:] - 1e-4).sum())
    assert lost <= 6 if looking else lost > 12  # of 1,200


def test_scores_and_order_are_those_of_exact_bit_for_bit(index: ScanIndex, oracle: ExactIndex) -> None:
    queries = weighed(garments(20, seed=24), 0.5)
    found, truth = index.nearest(queries, 10), oracle.nearest(queries, 10)
    assert np.array_equal(found.keys, truth.keys)
    assert np.array_equal(found.scores, truth.scores)


def test_a_smaller_k_gives_a_prefix(index: ScanIndex) -> None:
    queries = weighed(garments(20, seed=5), 0.5)
    assert np.array_equal(index.nearest(queries, 15).keys[:, :5], index.nearest(queries, 5).keys)


@pytest.mark.parametrize("k", [300, 6_000, COUNT + 1])
def test_k_may_be_large_or_more_than_there_are(index: ScanIndex, oracle: ExactIndex, k: int) -> None:
    query = weighed(garments(1, seed=6), 0.5)
    found = index.nearest(query, k)
    assert found.keys.shape == (1, min(k, COUNT))
    assert recall(found, oracle.nearest(query, k)) >= 0.998


def test_equal_vectors_come_in_the_order_of_their_keys_however_many_they_are(vectors: np.ndarray) -> None:
    copies = vectors.copy()
    copies[3_000:9_000] = copies[3_000]  # more of them than candidates are looked at first
    index = ScanIndex.build(np.arange(COUNT)[::-1].copy(), copies, settings=SCAN)  # the last row has the lowest key
    found = index.nearest(copies[3_000:3_001], 5)
    assert found.keys[0].tolist() == [COUNT - 9_000 + at for at in range(5)]
    assert len(set(found.scores[0].tolist())) == 1


def test_vectors_whose_codes_say_nothing_are_still_told_apart() -> None:
    rng = np.random.default_rng(7)
    crowd = np.ones((COUNT, DIM), np.float32) + 1e-4 * rng.standard_normal((COUNT, DIM)).astype(np.float32)
    crowd[::4] = garments(COUNT // 4, seed=8)  # what the codes learn is how far the others are from the crowd
    index, oracle = ScanIndex.build(np.arange(COUNT), crowd, settings=SCAN), exact(np.arange(COUNT), crowd)
    query = np.ones((1, DIM), np.float32) + 1e-3 * garments(1, seed=9)
    assert np.array_equal(index.nearest(query, 10).keys, oracle.nearest(query, 10).keys)


@pytest.mark.parametrize("looking", [True, False])
def test_the_farthest_lists_are_left_out_only_where_they_hold_nothing(
    looking: bool,
) -> None:
    settings = SCAN if looking else replace(SCAN, edge=1.0, reach=-99.0)
    noise = np.random.default_rng(18).standard_normal((COUNT, DIM)).astype(np.float32)
    index, oracle = ScanIndex.build(np.arange(COUNT), noise, settings=settings), exact(np.arange(COUNT), noise)
    queries = np.random.default_rng(19).standard_normal((100, DIM)).astype(np.float32)
    found = recall(index.nearest(queries, 10), oracle.nearest(queries, 10))
    assert found == 1 if looking else found < 1  # of noise, the farthest quarter holds some of the best


def test_what_lives_far_away_alone_is_found(
    index: ScanIndex, file: Path, keys: np.ndarray, vectors: np.ndarray
) -> None:
    query = weighed(garments(1, seed=20), 0.5)
    far = np.argsort(vectors @ query[0])[:3_000]
    index = ScanIndex.open(file, settings=SCAN)
    index.remove(np.delete(keys, far))
    truth = exact(keys[far], vectors[far]).nearest(query, 10)
    assert np.array_equal(index.nearest(query, 10).keys, truth.keys)


def test_strong_axes_have_a_code_each_and_weak_ones_share() -> None:
    slots = codes.balanced_slots(np.array([900.0, 400.0, 1.0, 1.0, 1.0, 0.5, 0.5]), 4)
    first, second, *weak = (slots // codes.SLOTS).tolist()
    assert (first, second) == (0, 1)
    assert sorted(weak) == [2, 2, 3, 3, 3]
    assert len(set(slots.tolist())) == 7


def test_parts_that_do_not_make_the_vector_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(BadIndex, match=r"parts of \(24, 9\) numbers do not make vectors of 32"):
        ScanIndex.build(np.arange(3), vectors[:3], parts=(24, 9), settings=SCAN)


def test_what_is_added_replaced_and_removed_is_seen_at_once(vectors: np.ndarray) -> None:
    rng = np.random.default_rng(10)
    index = ScanIndex.build(np.arange(0, 2 * COUNT, 2), vectors, settings=SCAN)
    oracle = exact(np.arange(0, 2 * COUNT, 2), vectors)
    for step in range(30):
        some = rng.integers(-50, 2 * COUNT + 50, rng.integers(1, 400))
        fresh = garments(len(some), seed=100 + step)
        for held in (index, oracle):
            held.add(some, fresh)
        gone = rng.integers(-50, 2 * COUNT + 50, 300)
        assert index.remove(gone) == oracle.remove(gone)
        assert len(index) == len(oracle)
        query, among = weighed(fresh[:1], 0.5), rng.integers(0, 2 * COUNT, 15_000)
        assert np.array_equal(index.nearest(query, 10).keys, oracle.nearest(query, 10).keys)
        found, truth = index.nearest(query, 10, among=among), oracle.nearest(query, 10, among=among)
        assert np.array_equal(found.keys, truth.keys)


def test_of_a_key_added_twice_at_once_the_last_vector_stays(vectors: np.ndarray) -> None:
    index = ScanIndex.build(np.array([5]), vectors[:1], settings=SCAN)
    index.add(np.array([8, 8]), vectors[1:3])
    assert len(index) == 2
    assert index.nearest(vectors[2:3], 1).scores[0, 0] == pytest.approx(2.0)  # two parts of unit length


def test_keys_may_be_anywhere_among_64_bits(vectors: np.ndarray) -> None:
    ends = np.iinfo(np.int64)
    keys = np.concatenate([[ends.min, -1, 7], np.sort(np.random.default_rng(0).integers(8, ends.max, 4_997))])
    index = ScanIndex.build(keys, vectors[:5_000], settings=SCAN)
    found = index.nearest(vectors[[0, 2]], 1, among=np.array([ends.min, 7, 9, ends.max]))
    assert found.keys[:, 0].tolist() == [ends.min, 7]


@pytest.mark.parametrize("dim", [1, 3, 33])
def test_vectors_may_have_any_number_of_numbers(dim: int) -> None:
    vectors = np.random.default_rng(dim).standard_normal((6_000, dim)).astype(np.float32)
    index, oracle = ScanIndex.build(np.arange(6_000), vectors, settings=SCAN), exact(np.arange(6_000), vectors)
    assert recall(index.nearest(vectors[:20], 10), oracle.nearest(vectors[:20], 10)) >= 0.99


def test_an_empty_index_answers_with_nothing_and_can_be_kept(tmp_path: Path) -> None:
    index = ScanIndex.build(np.empty(0, np.int64), np.empty((0, DIM), np.float32), settings=SCAN)
    assert index.nearest(np.ones((2, DIM), np.float32), 3).keys.shape == (2, 0)
    assert index.health().recall == 1.0
    again = index.compacted(tmp_path / "empty.scan")
    again.add(np.array([4]), np.ones((1, DIM), np.float32))
    assert again.nearest(np.ones((1, DIM), np.float32), 3).keys.tolist() == [[4]]


def test_a_snapshot_answers_as_the_index_that_wrote_it(index: ScanIndex, file: Path) -> None:
    queries = weighed(garments(20, seed=11), 0.35)
    found, again = index.nearest(queries, 10), ScanIndex.open(file, settings=SCAN).nearest(queries, 10)
    assert np.array_equal(found.keys, again.keys)
    assert np.array_equal(found.scores, again.scores)


def test_a_compaction_folds_marks_and_tail_into_a_new_snapshot(file: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    index = ScanIndex.open(file, settings=SCAN)
    held = index.nearest(vectors[:1], COUNT).keys[0]
    index.remove(held[: COUNT // 2])
    index.add(np.arange(10**6, 10**6 + COUNT // 2), garments(COUNT // 2, seed=12))
    fresh = index.compacted(tmp_path / "next.scan")
    assert (fresh.health().tail, fresh.health().gone, len(fresh)) == (0, 0, len(index))
    queries = weighed(garments(20, seed=13), 0.5)
    assert np.array_equal(fresh.nearest(queries, 10).keys, index.nearest(queries, 10).keys)


def test_a_failed_write_leaves_the_old_snapshot_and_no_litter(
    file: Path, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = file.read_bytes()
    index = ScanIndex.open(file, settings=SCAN)
    index.add(np.array([1]), vectors[:1])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadIndex, match="cannot be written: No space left on device"):
        index.save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_every_flipped_bit_is_found_or_changes_no_answer(file: Path, index: ScanIndex) -> None:
    queries = weighed(garments(5, seed=14), 0.5)
    right = index.nearest(queries, 10)
    whole = file.read_bytes()
    rng = np.random.default_rng(15)
    places = np.concatenate([rng.integers(0, len(whole), 60), rng.integers(0, 400, 40)])
    found = 0
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(broken)
        try:
            opened = ScanIndex.open(file, settings=SCAN)
            answer = opened.nearest(queries, 10)
        except BadIndex:
            found += 1
            continue
        assert np.array_equal(answer.keys, right.keys)
        assert np.array_equal(answer.scores, right.scores)
    assert found > 30


def test_a_flipped_bit_in_a_vector_is_found_by_verify_and_by_the_search_that_meets_it(
    file: Path, vectors: np.ndarray, keys: np.ndarray
) -> None:
    row = 12_345
    broken = bytearray(file.read_bytes())
    broken[4096 + 4 * DIM * row + 5] ^= 4  # vectors begin behind the first page
    file.write_bytes(broken)
    index = ScanIndex.open(file, settings=SCAN)
    with pytest.raises(BadIndex, match=rf"vector under key {keys[row]} is not what was written"):
        index.verify()
    with pytest.raises(BadIndex, match=f"key {keys[row]}"):
        index.nearest(vectors[row : row + 1], 1)


@pytest.mark.parametrize("length", [0, 5, 4095, 4096, 100_000, -1])
def test_a_truncated_file_is_refused(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(BadIndex, match="damaged"):
        ScanIndex.open(file, settings=SCAN)


def test_what_is_no_snapshot_is_refused(file: Path, tmp_path: Path) -> None:
    ExactIndex(3).save(file)
    with pytest.raises(BadIndex, match="no index of this kind"):
        ScanIndex.open(file, settings=SCAN)
    with pytest.raises(BadIndex, match="cannot be read"):
        ScanIndex.open(tmp_path / "missing.scan", settings=SCAN)


def test_what_does_not_fit_is_refused(index: ScanIndex, vectors: np.ndarray) -> None:
    with pytest.raises(BadIndex, match="vectors of 32 numbers, and these queries have 2"):
        index.nearest(np.ones((1, 2), np.float32), 3)
    with pytest.raises(BadIndex, match="k=0"):
        index.nearest(vectors[:1], 0)
    with pytest.raises(BadIndex, match="not finite"):
        index.add(np.array([1]), np.full((1, DIM), np.nan, np.float32))
    one = np.ones((BLOCK + 2, DIM), np.float32)
    one[-1, 3] = np.inf
    with pytest.raises(BadIndex, match="not finite"):
        index.add(np.arange(len(one)), one)
    with pytest.raises(BadIndex, match="key 3 is given twice"):
        ScanIndex.build(np.array([3, 1, 3]), vectors[:3], settings=SCAN)


def test_health_notices_when_vectors_drift_from_what_the_codes_know(file: Path, tmp_path: Path) -> None:
    index = ScanIndex.open(file, settings=SCAN)
    assert index.health() == (COUNT, 0, 0, 1.0, pytest.approx(1.0, abs=0.1))
    assert not index.health().stale
    rng = np.random.default_rng(16)
    strange = rng.standard_normal((COUNT // 2, DIM)).astype(np.float32)  # longer, and in no cluster
    index.add(np.arange(10**6, 10**6 + COUNT // 2), strange)
    assert index.health().drift > 2
    assert index.health().stale
    assert index.compacted(tmp_path / "next.scan").health().drift == pytest.approx(1.0, abs=0.1)


def test_health_measures_recall(keys: np.ndarray, vectors: np.ndarray) -> None:
    trusting = replace(SCAN, deviations=-9.0, first=10)  # trusts the codes' order, and scores no more than the first
    index = ScanIndex.build(keys, vectors, parts=PARTS, settings=trusting)
    assert index.health().recall < 0.95


def test_health_measures_the_state_that_it_began_with(
    keys: np.ndarray, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = ScanIndex.build(keys, vectors, parts=PARTS, settings=SCAN)
    taken = scan_search.live

    def live(state: State) -> object:
        index.remove(keys[: len(keys) // 2])  # a commit that comes in after it began
        return taken(state)

    monkeypatch.setattr(scan, "live", live)
    health = index.health()
    assert (health.vectors, health.recall) == (len(keys), 1.0)


def test_threads_search_while_another_adds_and_removes(keys: np.ndarray, vectors: np.ndarray) -> None:
    index = ScanIndex.build(keys, vectors, settings=SCAN)
    away = garments(50, seed=17)
    stop = threading.Event()
    wrong: list[str] = []

    def search() -> None:
        while not stop.is_set():
            found = index.nearest(away[:2], 20)
            if found.keys.shape != (2, 20) or any(len(set(row)) < 20 for row in found.keys.tolist()):
                wrong.append(f"not twenty keys: {found.keys}")
            if not (np.diff(found.scores, axis=1) <= 0).all():
                wrong.append("scores rise")

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        index.add(np.arange(10**6, 10**6 + 50), away)
        index.add(keys[:30], away[:30])
        assert index.remove(np.arange(10**6, 10**6 + 50)) == 50
        index.add(keys[:30], vectors[:30])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == COUNT
