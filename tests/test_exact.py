"""The oracle against plain loops: scores, order, ties, what is held, and snapshots that are whole or refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osoroi.errors import BadIndex
from osoroi.index import Index
from osoroi.index.exact import ExactIndex


def rows(*numbers) -> np.ndarray:
    return np.array(numbers, np.float32)


def keys(*numbers) -> np.ndarray:
    return np.array(numbers, np.int64)


def by_loops(held: dict[int, np.ndarray], query: np.ndarray, k: int, among=None) -> list[int]:
    """Sorted by hand: best score first, then lowest key."""
    allowed = [key for key in held if among is None or key in among]
    score = {key: sum(float(a) * float(b) for a, b in zip(held[key], query, strict=True)) for key in allowed}
    return sorted(allowed, key=lambda key: (-score[key], key))[:k]


def test_it_is_an_index():
    assert isinstance(ExactIndex(3), Index)


def test_the_nearest_come_best_first_and_equal_ones_by_key():
    index = ExactIndex(2)
    index.add(keys(30, 10, 20, 5), rows([1, 0], [0, 2], [1, 0], [-1, -1]))
    found = index.nearest(rows([3, 1], [0, -1]), 3)
    assert found.keys.tolist() == [[20, 30, 10], [5, 20, 30]]  # 3, 3, 2 and 1, 0, 0
    assert found.scores.tolist() == [[3, 3, 2], [1, 0, 0]]


def test_equal_vectors_score_equally_wherever_they_stand():
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((40_001, 50)).astype(np.float32)
    twins = [0, 1, 16_383, 16_384, 20_000, 39_999, 40_000]  # at the edges of blocks and in odd remainders
    vectors[twins] = vectors[7]
    index = ExactIndex(50)
    index.add(np.arange(40_001), vectors)
    found = index.nearest(vectors[[7]], 8)
    assert found.keys[0].tolist() == sorted([*twins, 7])
    assert len(set(found.scores[0].tolist())) == 1
    alone = index.nearest(vectors[[7]], 1, among=keys(39_999))
    assert alone.scores[0, 0] == found.scores[0, 0], "nor does a score depend on what else is compared"


def test_fewer_than_asked_come_where_fewer_are_held_or_allowed():
    index = ExactIndex(2)
    assert index.nearest(rows([1, 0]), 3).keys.shape == (1, 0)
    index.add(keys(1, 2), rows([1, 0], [0, 1]))
    assert index.nearest(rows([1, 0]), 3).keys.tolist() == [[1, 2]]
    assert index.nearest(rows([1, 0]), 3, among=keys(2, 2, 99)).keys.tolist() == [[2]]
    assert index.nearest(rows([1, 0]), 3, among=keys()).scores.shape == (1, 0)
    assert index.nearest(np.empty((0, 2), np.float32), 3).keys.shape == (0, 2)


def test_a_key_put_again_gets_the_new_vector_and_a_key_removed_is_gone():
    index = ExactIndex(1)
    index.add(keys(4, 2, 4), rows([1], [2], [3]))  # of a key named twice the last stays
    assert (len(index), index.vectors(keys(2, 4)).tolist()) == (2, [[2], [3]])
    index.add(keys(4), rows([5]))
    assert index.remove(keys(2, 9, 2)) == 1
    assert index.nearest(rows([1]), 9).keys.tolist() == [[4]]
    with pytest.raises(BadIndex, match="no vector under key 2"):
        index.vectors(keys(2))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_history_ends_where_a_dictionary_ends(data):
    index = ExactIndex(3)
    held: dict[int, np.ndarray] = {}
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for _ in range(data.draw(st.integers(0, 8))):
        some = np.array(data.draw(st.lists(st.integers(-5, 40), max_size=12)), np.int64)
        if data.draw(st.booleans()):
            vectors = rng.integers(-2, 3, (len(some), 3)).astype(np.float32)  # whole numbers: many ties, exact sums
            index.add(some, vectors)
            held |= dict(zip(some.tolist(), vectors, strict=True))
        else:
            assert index.remove(some) == len(held.keys() & set(some.tolist()))
            held = {key: vector for key, vector in held.items() if key not in some}
    assert index.keys.tolist() == sorted(held)
    query, k = rng.integers(-2, 3, 3).astype(np.float32), data.draw(st.integers(1, 9))
    among = data.draw(st.none() | st.lists(st.integers(-5, 40), max_size=9))
    found = index.nearest(query[None], k, among=None if among is None else np.array(among, np.int64))
    assert found.keys[0].tolist() == by_loops(held, query, k, among)


def test_random_vectors_are_ordered_as_in_double_precision():
    rng = np.random.default_rng(5)
    vectors, queries = rng.standard_normal((3000, 64)).astype("f4"), rng.standard_normal((20, 64)).astype("f4")
    index = ExactIndex(64)
    index.add(np.arange(3000), vectors)
    found = index.nearest(queries, 10)
    scores = queries.astype(float) @ vectors.astype(float).T
    assert found.keys.tolist() == np.argsort(-scores, axis=1)[:, :10].tolist()
    assert np.abs(found.scores - np.take_along_axis(scores, found.keys, 1)).max() < 1e-4


def test_a_snapshot_holds_all_and_a_damaged_one_is_refused(tmp_path):
    index = ExactIndex(2)
    index.add(keys(3, 1), rows([1, 2], [3, 4]))
    index.save(tmp_path / "a")
    again = ExactIndex.open(tmp_path / "a")
    assert again.nearest(rows([1, 0]), 2).keys.tolist() == [[1, 3]]
    whole = (tmp_path / "a").read_bytes()
    for at in range(0, len(whole), 7):
        (tmp_path / "b").write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(BadIndex, match="damaged"):
            ExactIndex.open(tmp_path / "b")
        (tmp_path / "b").write_bytes(whole[:at])
        with pytest.raises(BadIndex, match="damaged"):
            ExactIndex.open(tmp_path / "b")
    with pytest.raises(BadIndex, match="cannot be read"):
        ExactIndex.open(tmp_path / "none")


def test_what_does_not_fit_is_refused():
    index = ExactIndex(2)
    with pytest.raises(BadIndex, match="vectors of 2 numbers, and these vectors have 3"):
        index.add(keys(1), rows([1, 2, 3]))
    with pytest.raises(BadIndex, match="these queries have 1"):
        index.nearest(rows([1]), 1)
    with pytest.raises(BadIndex, match="not finite"):
        index.add(keys(1), rows([1, np.nan]))
    with pytest.raises(BadIndex, match="k=0"):
        index.nearest(rows([1, 2]), 0)
    assert len(index) == 0
