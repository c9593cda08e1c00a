"""Ranks in blocks against a full sort of everything."""

import math
from typing import Any

import numpy as np
import pytest

from osoroi.errors import BadEncoder
from osoroi.evaluation import ranking


def written(keys, vectors) -> ranking.GalleryWriter:
    writer = ranking.GalleryWriter(vectors.shape[1])
    for at in range(0, len(keys), 7):  # in several puts, as a data set comes
        writer.append(keys[at : at + 7].tolist(), vectors[at : at + 7])
    return writer


def by_sorting(vectors, keys, query, allowed) -> list[tuple[float, int]]:
    """Every allowed product's best score, best first, equal scores by key."""
    best: dict[int, float] = {}
    for key, vector in zip(keys.tolist(), vectors, strict=True):
        score = float(np.float32(vector.astype(np.float64) @ query.astype(np.float64)))
        if allowed is None or key in allowed:
            best[key] = max(best.get(key, -math.inf), score)
    return sorted(((score, key) for key, score in best.items()), key=lambda pair: (-pair[0], pair[1]))


def floats(rows: list[Any]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_a_gallery_has_the_crops_of_each_product_and_none_of_others():
    with written(np.array([5, 2, 5, 0]), floats([[1], [2], [3], [4]])) as writer:
        gallery = writer.gallery()
        assert [gallery.of(key)[:, 0].tolist() for key in range(7)] == [[4], [], [2], [], [], [1, 3], []]


@pytest.fixture(params=[40, 4_000_000], ids=["many small blocks", "one block"])
def cells(request) -> int:
    return request.param


@pytest.mark.parametrize("grouped", [False, True])
def test_ranks_and_best_are_those_of_a_full_sort(cells, grouped):
    draw = np.random.default_rng(3)
    keys = draw.permutation(np.repeat(np.arange(60), draw.integers(1, 5, 60)))  # 1 to 4 crops, not together
    vectors = draw.choice(floats([-1, 0, 0.5, 1]), (len(keys), 5))  # many ties, scores below zero
    queries = {"one": draw.choice(floats([-1, 0, 1]), (9, 5)), "two": draw.random((9, 5)).astype(np.float32)}
    wanted = [[3], [59, 0], [], [7, 8, 9], [77], [4, 77], [20], [21], [22]]  # 77 is not held
    right = np.full((9, 3), -1)
    for row, each in enumerate(wanted):
        right[row, : len(each)] = each
    groups = (np.arange(9) % 2, np.arange(78) % 2) if grouped else None
    with written(keys, vectors) as writer:
        found = ranking.rank(writer.gallery(), queries, right, top_k=20, cells=cells, groups=groups)
    for name, rows in queries.items():
        for row, query in enumerate(rows):
            allowed = {key for key in range(78) if key % 2 == row % 2} if grouped else None
            ordered = by_sorting(vectors, keys, query, allowed)
            place = {key: rank for rank, (_, key) in enumerate(ordered, start=1)}
            if not grouped:  # which right products a query asks for is decided before
                expected = [place.get(key, math.inf) for key in wanted[row]]
                assert found[name].ranks[row].tolist()[: len(expected)] == expected
                assert np.isnan(found[name].ranks[row][len(expected) :]).all()
            assert found[name].keys[row].tolist() == [key for _, key in ordered[:20]]
            assert found[name].scores[row].tolist() == [score for score, _ in ordered[:20]]


def test_a_right_product_of_another_group_is_not_found():
    with written(np.array([0, 1]), floats([[1, 0], [0, 1]])) as writer:
        groups = (np.array([0]), np.array([0, 1]))
        found = ranking.rank(writer.gallery(), {"a": floats([[1, 0]])}, np.array([[1]]), top_k=5, groups=groups)["a"]
    assert found.ranks.tolist() == [[math.inf]]
    assert found.keys.tolist() == [[0, -1]]
    assert found.scores[0, 0] == 1
    assert np.isnan(found.scores[0, 1])


def test_equal_vectors_tie_wherever_they_stand():
    # 1,000 copies of one vector of 64 awkward numbers: BLAS may sum the last columns of a block in another order.
    vector = np.random.default_rng(0).normal(size=64).astype(np.float32)
    with written(np.arange(1000), np.tile(vector, (1000, 1))) as writer:
        found = ranking.rank(
            writer.gallery(), {"a": vector[None] / 3}, np.array([[0, 500, 999]]), top_k=1000, cells=64 * 37
        )["a"]
    assert found.ranks.tolist() == [[1, 501, 1000]]
    assert found.keys[0].tolist() == list(range(1000))


def test_a_right_product_does_not_outrank_itself():
    # Its score, summed on its own, may come out one float lower than within its block: the block takes the former.
    block = np.array([[90, 51, 70], [10, 20, 31]])
    known, relevant = np.array([[50], [30]]), np.array([[5], [8]])
    ranking.align_relevant(block, np.array([3, 5, 8]), known, relevant)
    assert block.tolist() == [[90, 50, 70], [10, 20, 30]]
    ranking.align_relevant(block, np.array([3, 5, 8]), known, np.array([[4], [9]]))  # of another block
    assert block.tolist() == [[90, 50, 70], [10, 20, 30]]


def test_a_block_has_at_least_one_product():
    with written(np.arange(3), floats([[0.9, 0], [0.5, 0], [0.7, 0]])) as writer:
        found = ranking.rank(writer.gallery(), {"a": floats([[1, 0]])}, np.array([[2]]), top_k=3, cells=1)["a"]
    assert found.ranks.tolist() == [[2]]


def test_an_empty_writer_finds_nothing():
    with ranking.GalleryWriter(4) as writer:
        found = ranking.rank(writer.gallery(), {"a": np.ones((2, 4), np.float32)}, np.array([[0], [1]]), top_k=5)["a"]
    assert found.ranks.tolist() == [[math.inf], [math.inf]]
    assert found.keys.tolist() == [[-1], [-1]]


def test_a_vector_that_is_not_finite_is_refused():
    with ranking.GalleryWriter(2) as writer, pytest.raises(BadEncoder, match="not finite"):
        writer.append([0], floats([[1, np.nan]]))
