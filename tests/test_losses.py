"""Losses against loops over the formulas, on lopsided rows."""

import math

import pytest
import torch
import torch.nn.functional as F

from osoroi.records import Part
from osoroi.training import losses

DRAW = torch.Generator().manual_seed(3)


def rows(count, size=5):
    return F.normalize(torch.randn(count, size, generator=DRAW), dim=1)


def same_of(one, other):
    return torch.tensor(one)[:, None] == torch.tensor(other)


def test_the_triplet_hinge_is_the_mean_over_triplets_and_cuts_at_zero():
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    p = torch.tensor([[0.6, 0.8], [1.0, 0.0]])
    n = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    # .2 + .8 - 2 < 0 and .2 + 0 - 4 < 0; with margin 1.5: .3 and 0
    assert losses.triplet(a, p, n, margin=0.2).item() == 0
    assert losses.triplet(a, p, n, margin=1.5).item() == pytest.approx(0.3 / 2)


def test_without_triplets_the_hinge_is_zero_and_has_a_gradient():
    none = torch.zeros(0, 4, requires_grad=True)
    loss = losses.triplet(none, none, none, margin=0.2)
    loss.backward()
    assert loss.item() == 0


def loops(street, shop, same, scale):
    """Symmetric InfoNCE one pair at a time."""
    scores = scale * street @ shop.T

    def side(scores, same):
        terms = []
        for i in range(len(scores)):
            wrong = sum(math.exp(scores[i, k]) for k in range(scores.shape[1]) if not same[i, k])
            for j in range(scores.shape[1]):
                if same[i, j]:
                    right = math.exp(scores[i, j])
                    terms.append(-math.log(right / (right + wrong)))
        return sum(terms) / len(terms)

    return (side(scores, same) + side(scores.T, same.T)) / 2


@pytest.mark.parametrize("ids", [([0, 1, 2, 3], [0, 1, 2, 3]), ([0, 0, 1, 2], [2, 0, 1, 1, 0])])
def test_info_nce_is_what_loops_over_pairs_give(ids):
    street, shop, same = rows(len(ids[0])), rows(len(ids[1])), same_of(*ids)
    found = losses.info_nce(street, shop, same, torch.tensor(7.0))
    assert found.item() == pytest.approx(loops(street, shop, same, 7.0), rel=1e-5)


def test_info_nce_of_one_pair_a_row_is_cross_entropy_both_ways():
    street, shop = rows(6), rows(6)
    logits = 9.0 * street @ shop.T
    ours = losses.info_nce(street, shop, torch.eye(6, dtype=torch.bool), torch.tensor(9.0))
    theirs = (F.cross_entropy(logits, torch.arange(6)) + F.cross_entropy(logits.T, torch.arange(6))) / 2
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_info_nce_has_finite_gradients_without_a_wrong_row_and_without_a_right_one():
    for same in (torch.ones(3, 3, dtype=torch.bool), torch.zeros(3, 3, dtype=torch.bool)):
        street = rows(3).requires_grad_()
        loss = losses.info_nce(street, rows(3), same, torch.tensor(50.0))
        loss.backward()
        assert loss.item() == 0
        assert torch.isfinite(street.grad).all()


def test_multi_similarity_is_what_loops_give():
    street, shop, same = rows(4), rows(5), same_of([0, 0, 1, 2], [2, 0, 1, 1, 0])
    scores = street @ shop.T
    expected = 0.0
    for i in range(4):
        near = sum(math.exp(-2 * (scores[i, j] - 0.5)) for j in range(5) if same[i, j])
        far = sum(math.exp(50 * (scores[i, j] - 0.5)) for j in range(5) if not same[i, j])
        expected += math.log(1 + near) / 2 + math.log(1 + far) / 50
    assert losses.multi_similarity(street, shop, same).item() == pytest.approx(expected / 4, rel=1e-4)


def test_by_part_asks_for_the_mix_whose_inner_product_is_the_score_and_for_each_part():
    parts = (Part("deep", 2, 0.3), Part("detail", 3, 0.7))
    street = torch.cat([rows(4, 2), rows(4, 3)], 1)
    shop = torch.cat([rows(4, 2), rows(4, 3)], 1)
    asked = {}

    def loss(one, other, term):
        asked[term] = (one * other).sum(1)
        return one.new_tensor(10.0**term)

    total = losses.by_part(loss, street, shop, parts, part_loss_weight=0.5)
    assert total.item() == 1 + 0.5 * (10 + 100)
    deep, detail = (street[:, :2] * shop[:, :2]).sum(1), (street[:, 2:] * shop[:, 2:]).sum(1)
    assert torch.allclose(asked[0], 0.3 * deep + 0.7 * detail, atol=1e-6)
    assert torch.allclose(asked[1], deep)
    assert torch.allclose(asked[2], detail)


def test_one_part_has_one_loss():
    assert losses.by_part(lambda *_: torch.tensor(3.0), rows(2), rows(2), (Part("both", 5, 1.0),), 0.5).item() == 3
