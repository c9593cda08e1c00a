"""Heads in LDA against the equation they solve."""

import numpy as np
import pytest
import torch

from osoroi.model.heads import FeatureSource, Head, Nuisance, fit_lda, spreads


@pytest.fixture(scope="module")
def raw():
    """200 crops of 9 features that depend on each other, each of its own scale and place."""
    random = np.random.default_rng(4)
    return (
        random.normal(size=(200, 4)) @ random.normal(size=(4, 9)) * np.arange(1, 10) + random.normal(size=(200, 9)) + 50
    )


def test_features_of_one_source_may_share_a_spread_and_count_more(raw):
    sources = [
        FeatureSource("own", 2),
        FeatureSource("between", 4, shared=0.3, counts=2.0),
        FeatureSource("one", 3, shared=1.0),
    ]
    variances = raw.var(0)
    between = (0.7 * variances[2:6] + 0.3 * variances[2:6].mean()) ** 0.5 / 2
    expected = [*variances[:2] ** 0.5, *between, *[variances[6:].mean() ** 0.5] * 3]
    assert spreads(raw, sources) == pytest.approx(np.array(expected), rel=1e-5)
    same = np.ones((4, 2))
    assert (spreads(same, [FeatureSource("own", 2)]) > 0).all(), "what never changes is not divided by nothing"


def test_the_closed_form_solves_its_equation_and_shrinking_is_towards_the_mean_diagonal():
    random = np.random.default_rng(8)
    product = random.normal(size=(300, 3)) * [3.0, 1.0, 0.0]
    street, shop = (product + random.normal(size=(300, 3)) * [0.5, 0.5, 4.0] + 20 for _ in range(2))
    head = fit_lda(street, shop, 3, sources=[FeatureSource("own", 3)], shrinkage=0.3)
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


def colourful(random):
    """Pairs of 12 features, six of which are colours of the product mixed with something else of it."""
    colour, shape = random.normal(size=(400, 3)), random.normal(size=(400, 9))
    mixing = random.normal(size=(3, 6))

    def side():
        features = np.concatenate([shape[:, :6] + colour @ mixing, shape[:, 3:]], 1)
        return features + random.normal(scale=0.3, size=features.shape)

    return side(), side(), colour


def told(head, raw, colour):
    """Share of the colours' variance that a linear regression finds in a head's vectors, before unit length."""
    with torch.no_grad():
        found = head.linear((torch.tensor(raw).float() - head.centre) / head.spread).double().numpy()
    guess = found @ np.linalg.lstsq(found, colour, rcond=None)[0]
    return 1 - (colour - guess).var() / colour.var()


def test_a_head_told_that_colours_are_noise_tells_less_of_them_and_still_finds_partners():
    street, shop, colour = colourful(np.random.default_rng(3))
    sources = [FeatureSource("all", 12)]
    plain = fit_lda(street, shop, 6, sources=sources, shrinkage=0.1)
    none = fit_lda(street, shop, 6, sources=sources, shrinkage=0.1, nuisance=Nuisance(colour, colour, 0.0))
    blind = fit_lda(street, shop, 6, sources=sources, shrinkage=0.1, nuisance=Nuisance(colour, colour, 100.0))
    assert torch.equal(plain.linear.weight, none.linear.weight)
    assert told(plain, street, colour) > 0.7
    assert told(blind, street, colour) < 0.1
    with torch.no_grad():
        scores = blind(torch.tensor(street).float()) @ blind(torch.tensor(shop).float()).T
    assert (scores.argmax(1) == torch.arange(400)).float().mean() > 0.5


def test_dropout_acts_while_learning_and_never_after():
    head, raw = Head(50, 4, dropout=0.5), torch.ones(1, 50)
    assert not torch.allclose(head(raw), head(raw))
    head.eval()
    assert torch.equal(head(raw), head(raw))


def test_weights_of_new_features_have_a_gradient_with_and_without_dropout():
    """They start at 0, which a head that serves takes for nothing."""
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    for dropout in (0.0, 0.3):
        head = Head(6, 3, dropout=dropout)
        head.init_from(Head(4, 3))
        head.train()(features)[:, 0].sum().backward()
        gradient = head.linear.weight.grad
        assert gradient is not None
        assert (gradient[:, 4:].abs() > 0).all()


def test_a_head_learns_in_half_precision_though_features_lie_far_from_zero():
    raw = 20 + 0.5 * torch.randn(32, 64, generator=torch.Generator().manual_seed(4))
    torch.manual_seed(5)
    head = Head(64, 8).train()
    head.centre.fill_(20.0)
    head.spread.fill_(0.5)
    with torch.autocast("cpu", torch.bfloat16):
        half = head(raw).float()
    assert (head(raw) * half).sum(1).min() > 0.99
