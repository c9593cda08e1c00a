"""Heads of principal components against a plain singular value decomposition."""

import numpy as np
import pytest
import torch

from osoroi.heads import Head, Source, discriminant, principal, spreads

ALL = [Source("all", 9)]


@pytest.fixture(scope="module")
def raw():
    """200 crops of 9 features that depend on each other, each of its own scale and place."""
    random = np.random.default_rng(4)
    return (
        random.normal(size=(200, 4)) @ random.normal(size=(4, 9)) * np.arange(1, 10) + random.normal(size=(200, 9)) + 50
    )


def rows_before_unit_length(head, raw):
    with torch.no_grad():
        return head.linear((torch.tensor(raw).float() - head.centre) / head.spread).double().numpy()


def test_full_whitening_leaves_directions_of_variance_one_that_do_not_depend_on_each_other(raw):
    found = rows_before_unit_length(principal(raw, 5, sources=ALL, power=1.0), raw)
    assert np.cov(found.T, bias=True) == pytest.approx(np.eye(5), abs=1e-4)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_less_whitening_leaves_each_direction_more_of_its_own_variance(raw, power):
    standard = (raw - raw.mean(0)) / raw.std(0)
    values = np.linalg.svd(standard, compute_uv=False)[:5] ** 2 / len(raw)
    found = rows_before_unit_length(principal(raw, 5, sources=ALL, power=power), raw)
    assert found.var(0) == pytest.approx(values ** (1 - power), rel=1e-3)


def test_vectors_have_unit_length_and_the_same_features_give_the_same_head(raw):
    one, two = (
        principal(raw, 3, sources=ALL, power=0.5),
        principal(raw.copy(), 3, sources=ALL, power=0.5),
    )
    assert one(torch.tensor(raw).float()).norm(dim=1).tolist() == pytest.approx([1.0] * 200)
    assert torch.equal(one.linear.weight, two.linear.weight)
    assert (one.linear.weight.abs().amax(1) == one.linear.weight.amax(1)).all()


def test_a_feature_that_never_changes_does_no_harm(raw):
    still = np.concatenate([raw, np.full((200, 1), 7.0)], 1)
    assert torch.isfinite(
        principal(still, 4, sources=[Source("all", 10)], power=1.0)(torch.tensor(still).float())
    ).all()


def test_features_of_one_source_may_share_a_spread_and_count_more(raw):
    sources = [Source("own", 2), Source("between", 4, shared=0.3, counts=2.0), Source("one", 3, shared=1.0)]
    variances = raw.var(0)
    between = (0.7 * variances[2:6] + 0.3 * variances[2:6].mean()) ** 0.5 / 2
    expected = [*variances[:2] ** 0.5, *between, *[variances[6:].mean() ** 0.5] * 3]
    assert spreads(raw, sources) == pytest.approx(np.array(expected), rel=1e-5)


def test_the_closed_form_solves_its_equation_and_shrinking_is_towards_the_mean_diagonal():
    random = np.random.default_rng(8)
    product = random.normal(size=(300, 3)) * [3.0, 1.0, 0.0]
    street, shop = (product + random.normal(size=(300, 3)) * [0.5, 0.5, 4.0] + 20 for _ in range(2))
    head = discriminant(street, shop, 3, sources=[Source("own", 3)], shrink=0.3)
    every = np.concatenate([street, shop])
    one, other = ((side - every.mean(0)) / every.std(0) for side in (street, shop))
    within, between = np.zeros((3, 3)), np.zeros((3, 3))
    for a, b in zip(one, other, strict=True):
        middle = (a + b) / 2
        within += (np.outer(a - middle, a - middle) + np.outer(b - middle, b - middle)) / 2 / len(one)
        between += np.outer(middle, middle) / len(one)
    shrunk = 0.7 * within + 0.3 * np.trace(within) / 3 * np.eye(3)
    values = np.sort(np.linalg.eigvals(np.linalg.solve(shrunk, between)).real)[::-1]
    for row, ratio in zip(head.linear.weight.detach().double().numpy(), values, strict=True):
        v = row / np.sqrt(ratio / (1 + ratio))
        assert between @ v == pytest.approx(ratio * shrunk @ v, abs=2e-3 * ratio)
        assert v @ shrunk @ v == pytest.approx(1, abs=1e-3)


def test_dropout_acts_while_learning_and_never_after():
    head, raw = Head(50, 4, dropout=0.5), torch.ones(1, 50)
    assert not torch.allclose(head(raw), head(raw))
    head.eval()
    assert torch.equal(head(raw), head(raw))
