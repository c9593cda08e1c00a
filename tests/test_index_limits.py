"""An index at the edges of its settings."""

import math
from pathlib import Path

import numpy as np
import pytest

from osoroi.errors import BadIndex
from osoroi.index import IndexHealth, ScanSettings
from osoroi.index.codes import SLOTS, TurnedQuery, balanced_slots
from osoroi.index.exact import ExactIndex
from osoroi.index.scan import ScanIndex
from osoroi.index.snapshot import Snapshot


@pytest.mark.parametrize(
    ("recall", "drift", "stale"), [(1.0, 1.0, False), (0.99, 1.25, False), (0.989, 1.0, True), (1.0, 1.26, True)]
)
def test_an_index_is_stale_below_99_of_100_or_with_codes_that_err_a_quarter_more(
    recall: float, drift: float, stale: bool
) -> None:
    assert IndexHealth(10, 0, 0, recall, drift).stale is stale


def test_scans_of_many_vectors_stop_at_shares_of_their_own_and_every_scan_can_reach_all() -> None:
    settings = ScanSettings(shares=(0.1, 0.3, 1.0), shares_of_few=(0.5, 1.0), many=30)
    assert settings.shares_of(30) == (0.1, 0.3, 1.0)
    assert settings.shares_of(29) == settings.shares_of(0) == (0.5, 1.0)
    for shares in (ScanSettings().shares, ScanSettings().shares_of_few):
        assert list(shares) == sorted(set(shares))
        assert shares[-1] == 1


@pytest.mark.parametrize(("count", "has_codes"), [(59, False), (60, True)])
def test_a_snapshot_has_codes_from_so_many_vectors_on(count: int, has_codes: bool, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32)
    index = ScanIndex.build(np.arange(count), vectors, settings=ScanSettings(coded_from=60))
    index.save(tmp_path / "first")
    assert (Snapshot.open(tmp_path / "first").codes is not None) is has_codes
    index.add(np.array([count]), vectors[:1])
    index.remove(np.array([0]))
    index.save(tmp_path / "changed")
    assert (Snapshot.open(tmp_path / "changed").codes is not None) is has_codes
    index.remove(np.arange(1, count))
    index.save(tmp_path / "less")
    less = ScanIndex.open(tmp_path / "less")
    assert (len(less), less.nearest(vectors[:1], 2).keys.tolist()) == (1, [[count]])


def test_vectors_have_one_number_at_least() -> None:
    index = ExactIndex(1)
    index.add(np.array([3, 1]), np.array([[1.0], [2.0]], np.float32))
    assert index.nearest(np.ones((1, 1), np.float32), 2).keys.tolist() == [[1, 3]]
    with pytest.raises(BadIndex, match="at least one number, not 0"):
        ExactIndex(0)


def test_the_nearest_lists_are_as_many_as_hold_the_share() -> None:
    lists, scores = np.array([2, 0, 1]), np.array([5.0, 1.0, 9.0], np.float32)
    deviations = np.array([1.0, 0.5, 1.0], np.float32)
    query = TurnedQuery(np.zeros(1, np.float32), scores, deviations, lists, np.array([0.25, 0.5, 1.0]))
    assert [query.nearest_lists(share) for share in (0.2, 0.25, 0.26, 0.5, 0.51, 1.0, 1.1)] == [1, 1, 2, 2, 3, 3, 3]
    assert query.may_reach(2.9, beyond=0.5, deviations=4.0), "the last list reaches 1 + 4 x .5"
    assert not query.may_reach(3.0, beyond=0.5, deviations=4.0)
    assert query.may_reach(8.9, beyond=0.2, deviations=4.0)
    assert not query.may_reach(-9.0, beyond=1.0, deviations=4.0), "no list is behind all of them"


def slots_by_loops(variances: list[float], codes: int) -> list[int]:
    """Each axis where the codes' errors grow least, an empty code first; errors by their definition."""
    held: list[list[float]] = [[] for _ in range(codes)]

    def error(axes: list[float]) -> float:
        told: list[float] = []
        for variance in axes:
            if (math.prod(told) * variance / 2**8) ** (1 / (len(told) + 1)) <= variance:
                told.append(variance)
        level = (math.prod(told) / 2**8) ** (1 / len(told)) if told else 0.0
        return len(told) * level + sum(axes) - sum(told)

    slots: list[int] = []
    for variance in variances:
        free = [code for code in range(codes) if len(held[code]) < SLOTS]
        empty = [code for code in free if not held[code]]
        grown = {one: round((error([*held[one], variance]) - error(held[one])) / variance, 9) for one in free}
        code = empty[0] if empty else min(grown, key=grown.__getitem__)  # of equal ones the first
        slots.append(SLOTS * code + len(held[code]))
        held[code].append(variance)
    return slots


@pytest.mark.parametrize("seed", range(4))
def test_axes_share_codes_where_the_error_grows_least(seed: int) -> None:
    variances = np.sort(10 ** np.random.default_rng(seed).uniform(-2, 3, 22))[::-1]
    assert balanced_slots(variances, 6).tolist() == slots_by_loops(variances.tolist(), 6)


def test_keys_below_and_above_those_of_a_snapshot_are_nowhere_in_it() -> None:
    snapshot = Snapshot(np.array([5, 6, 8]), np.zeros((3, 2), np.float32), (2,), None)
    assert snapshot.places(np.array([6, 2, 8, 7, 4, 9, 11])).tolist() == [1, 2]
    assert snapshot.places(np.array([2, 6])).tolist() == [1], "a key below the first is not counted from the end"
    assert snapshot.places(np.array([1, 2])).tolist() == snapshot.places(np.empty(0, np.int64)).tolist() == []
    far = Snapshot(np.array([5, 10**12]), np.zeros((2, 2), np.float32), (2,), None)  # too far apart for a table
    assert far.places(np.array([10**12, 7, 5, 1, 10**13])).tolist() == [1, 0]


def test_no_part_is_empty() -> None:
    with pytest.raises(BadIndex, match=r"parts of \(8, 0\) numbers"):
        ScanIndex.build(np.arange(2), np.zeros((2, 8), np.float32), parts=(8, 0))
