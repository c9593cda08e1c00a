"""Fitting: heads judged where they have not been, weights of the parts, and a probe that finds cloth."""

import numpy as np
import pytest
import torch

from osoroi import fitting
from osoroi.network import Features
from osoroi.sampling import Pairs
from pairs import TINY, tiny_network

PRODUCTS = 60


def pairs_where(deep_noise, detail_noise, design=None):
    """Features of 60 products on two sides; each part knows the product as well as its noise lets it."""
    random = np.random.default_rng(2)
    sizes = [sum(size for _, size in sources) for sources in tiny_network().backbone.sizes.values()]
    raw = []
    for size, noise in zip(sizes, (deep_noise, detail_noise), strict=True):
        product = random.normal(size=(PRODUCTS, size))
        both = np.repeat(product, 2, axis=0) + noise * random.normal(size=(2 * PRODUCTS, size))
        raw.append(both.astype(np.float32))
    return Pairs(
        lambda rows, epoch: Features(*(torch.from_numpy(one[rows]) for one in raw)),
        np.repeat(np.arange(PRODUCTS), 2),
        np.tile([True, False], PRODUCTS),
        np.zeros(2 * PRODUCTS, np.int64),
        np.full(PRODUCTS, -1) if design is None else design,
        np.full(PRODUCTS, -1),
    )


def test_the_part_that_knows_more_of_unseen_products_gets_the_greater_weight():
    weights = []
    for noises in ((0.2, 8.0), (8.0, 0.2)):
        network = tiny_network()
        fitting.fit(network, pairs_where(*noises), TINY)
        weights.append(network.parts[0].weight)
        assert sum(part.weight for part in network.parts) == pytest.approx(1)
    assert weights[0] > 0.5 > weights[1]


def test_the_heads_that_are_kept_are_those_of_all_pairs():
    network, pairs = tiny_network(), pairs_where(0.5, 0.5)
    fitting.fit(network, pairs, TINY)
    again = fitting.heads_of(network, fitting.gather(network, pairs), TINY)
    for name, head in again.items():
        assert torch.equal(head.linear.weight, network.heads[name].linear.weight)


def test_products_of_one_design_lie_in_one_fold_and_folds_are_of_nearly_one_size():
    design = np.where(np.arange(PRODUCTS) < 30, np.arange(PRODUCTS) // 3, -1)
    fold = fitting.folds(pairs_where(1.0, 1.0, design), TINY)
    assert all(len(set(fold[design == one])) == 1 for one in range(10))
    assert set(fold.tolist()) == {0, 1}
    assert 15 <= np.sum(fold == 0) <= 45


def test_a_probe_learns_where_the_cloth_is():
    random = np.random.default_rng(1)
    masks = np.zeros((1500, 12, 12), np.float32)
    for mask in masks:
        top, left = random.integers(0, 6, 2)
        mask[top : top + 6, left : left + 5] = 1
    network = tiny_network(probe=(0, 1))
    maps = random.normal(size=(1500, 14, 12, 12)).astype(np.float32)
    maps[:, 3] += 3 * masks  # one map of fourteen tells cloth from wall
    before = torch.random.get_rng_state()
    error = fitting.fit_probe(network.backbone, maps, masks)
    assert error < 0.7 * np.abs(masks - masks.mean()).mean()
    assert torch.equal(before, torch.random.get_rng_state())
    assert not network.backbone.probe.conv.weight.requires_grad
