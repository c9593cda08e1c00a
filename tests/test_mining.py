"""Miners against loops that look at every triplet."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from osoroi.training import mining

STREET = [0, 0, 1, 2, 3]
SHOP = [2, 0, 1, 1, 0, 3]
SAME = torch.tensor(STREET)[:, None] == torch.tensor(SHOP)


@pytest.fixture
def distances():
    return torch.rand(len(STREET), len(SHOP), generator=torch.Generator().manual_seed(11)) * 4


def pairs():
    return [(i, j) for i in range(len(STREET)) for j in range(len(SHOP)) if STREET[i] == SHOP[j]]


def wrong(i):
    return [k for k in range(len(SHOP)) if SHOP[k] != STREET[i]]


def mined(name, distances, same=SAME):
    return [tuple(int(one) for one in each) for each in zip(*mining.MINERS[name](distances, same, draw()), strict=True)]


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def test_batch_hard_takes_the_nearest_wrong_row(distances):
    expected = [(i, j, min(wrong(i), key=lambda k: float(distances[i, k]))) for i, j in pairs()]
    assert mined("batch_hard", distances) == expected


def test_semi_hard_takes_the_nearest_wrong_row_beyond_the_right_one_else_the_farthest(distances):
    distances[4, 5] = 4.5  # nothing lies beyond this right pair
    expected = []
    for i, j in pairs():
        beyond = [k for k in wrong(i) if distances[i, k] > distances[i, j]]
        nearest = min(beyond, key=lambda k: float(distances[i, k])) if beyond else None
        expected.append((i, j, max(wrong(i), key=lambda k: float(distances[i, k])) if nearest is None else nearest))
    assert mined("semi_hard", distances) == expected
    assert any(distances[i, n] < distances[i, p] for i, p, n in expected), "no pair fell back: a weak test"


def test_random_takes_only_wrong_rows_every_one_of_them_in_time_and_the_same_for_the_same_draw(distances):
    assert mined("random", distances) == mined("random", distances)
    seen = set()
    for seed in range(60):
        for i, j, k in zip(*mining.random(distances, SAME, draw(seed)), strict=True):
            assert (int(i), int(j)) in pairs()
            seen.add((int(i), int(k)))
    assert seen == {(i, k) for i in range(len(STREET)) for k in wrong(i)}


@pytest.mark.parametrize("name", sorted(mining.MINERS))
def test_rows_without_a_wrong_answer_or_without_a_right_one_give_no_triplet(name, distances):
    assert mined(name, distances, torch.ones_like(SAME)) == []
    assert mined(name, distances, torch.zeros_like(SAME)) == []


def test_the_order_of_neighbors_holds_every_product_once_in_blocks_of_those_left_that_are_nearest():
    random = np.random.default_rng(4)
    vectors = random.normal(size=(23, 3)).astype(np.float32)
    order = mining.near_order(vectors, 4, np.random.default_rng(1))
    assert sorted(order.tolist()) == list(range(23))
    free, blocks = set(range(23)), set()
    for product in np.random.default_rng(1).permutation(23).tolist():  # slowly: the same draw of first products
        if product in free:
            others = sorted(free - {product}, key=lambda other: (-float(vectors[other] @ vectors[product]), other))
            block = [product, *others[:3]]
            free -= set(block)
            blocks.add(frozenset(block))
    ends = [0]
    while ends[-1] < 23:
        size = next(len(block) for block in blocks if order[ends[-1]] in block)
        ends.append(ends[-1] + size)
    assert {frozenset(order[a:b].tolist()) for a, b in pairwise(ends)} == blocks


def test_squared_distances_are_those_of_the_rows():
    rows, others = torch.randn(4, 3, generator=draw()), 2 * torch.randn(5, 3, generator=draw(1))
    assert torch.allclose(mining.squared_distances(rows, others), torch.cdist(rows, others) ** 2, atol=1e-5)
