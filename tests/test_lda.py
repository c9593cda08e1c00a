"""Fitting: heads judged where they have not been, weights of the parts, and a foreground that finds cloth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from osoroi.model.heads import FeatureSource, fit_lda
from osoroi.model.network import Features
from osoroi.records import Part
from osoroi.training import dataset, lda, validation
from osoroi.training.sampling import Pairs
from osoroi.training.selection import select
from pairs import TINY, Drawn, linear_of, tiny_network

PRODUCTS = 60
RECIPE = replace(TINY, shrinkage=0.0)


def pairs_where(deep_noise, detail_noise, design=None):
    """Features of 60 products on two sides; each part knows the product as well as its noise lets it."""
    random = np.random.default_rng(2)
    sizes = [sum(size for _, size in sources) for sources in tiny_network().extractor.sizes.values()]
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
        np.zeros(PRODUCTS, np.int64),
    )


def test_the_part_that_knows_more_of_unseen_products_gets_the_greater_weight():
    weights = []
    for noises in ((0.2, 8.0), (8.0, 0.2)):
        network = tiny_network()
        lda.fit(network, pairs_where(*noises), TINY)
        weights.append(network.parts[0].weight)
        assert sum(part.weight for part in network.parts) == pytest.approx(1)
    assert weights[0] > 0.5 > weights[1]
    steps = [40 * weight for weight in weights]
    assert steps == pytest.approx([round(step) for step in steps]), "weights are tried in steps of 1/40"


def test_the_heads_that_are_kept_are_those_of_all_pairs():
    network, pairs = tiny_network(), pairs_where(0.5, 0.5)
    lda.fit(network, pairs, TINY)
    again = lda.fit_heads(network, lda.gather(network, pairs), TINY)
    for name, head in again.items():
        assert torch.equal(head.linear.weight, linear_of(network, name).weight)


def test_products_of_one_design_lie_in_one_fold_and_folds_are_of_nearly_one_size():
    design = np.where(np.arange(PRODUCTS) < 30, np.arange(PRODUCTS) // 3, -1)
    fold = lda.folds(pairs_where(1.0, 1.0, design), TINY)
    assert all(len(set(fold[design == one])) == 1 for one in range(10))
    assert set(fold.tolist()) == {0, 1}
    assert 15 <= np.sum(fold == 0) <= 45


@pytest.mark.parametrize("designs", [1, 2, 3])
def test_fewer_designs_than_folds_still_give_weights(designs):
    design = np.arange(PRODUCTS) % designs
    network = tiny_network(TINY)
    lda.fit(network, pairs_where(1.0, 1.0, design), replace(TINY, folds=4))
    weights = [part.weight for part in network.parts]
    assert sum(weights) == pytest.approx(1)
    assert min(weights) > 0.1
    assert set(lda.folds(pairs_where(1.0, 1.0, design), replace(TINY, folds=4)).tolist()) == set(range(designs))


def test_a_part_that_only_remembers_the_pairs_it_learned_from_gets_little_weight():
    """Of noise in 473 directions, many more than there are products, a head ranks its own pairs perfectly."""
    network, pairs = tiny_network(RECIPE), pairs_where(1.0, 40.0)
    raw = lda.gather(network, pairs)
    remembered = lda.embed(lda.fit_heads(network, raw, RECIPE), raw)
    assert raw.street["detail"].shape == (PRODUCTS, 473)
    assert validation.fit_weights([remembered], network.parts, "nDCG@5")["detail"] > 0.65
    lda.fit(network, pairs, RECIPE)
    assert network.parts[1].weight < 0.35


@pytest.fixture(scope="module")
def drawn_pairs(tmp_path_factory):
    """Pairs of drawn garments and, of other designs, pairs that nothing is learned from."""
    folder = tmp_path_factory.mktemp("fitting")
    return [
        dataset.load_pairs(select([Drawn(54)], split), tiny_network(), TINY, folder / split, augmented=False)
        for split in ("train", "val")
    ]


def rank_of_unseen(network, held):
    sides = validation.embed(network, held, torch.device("cpu"))
    scores = validation.score_all(sides, network.parts)
    return validation.ranks_of_products(scores, sides.street_product, sides.shop_product).mean()


@pytest.mark.parametrize("recipe", [TINY, replace(TINY, network="joined", dim=16)], ids=["parts", "joined"])
def test_heads_in_closed_form_rank_unseen_products_better_than_heads_at_random(drawn_pairs, recipe):
    pairs, held = drawn_pairs
    at_random = [rank_of_unseen(tiny_network(replace(recipe, seed=seed)), held) for seed in range(5)]
    network = tiny_network(recipe)
    lda.fit(network, pairs, recipe)
    assert rank_of_unseen(network, held) < 0.75 * np.mean(at_random)
    again = tiny_network(replace(recipe, seed=3))
    lda.fit(again, pairs, recipe)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), f"{name} follows from the pairs, whatever was there before"
    assert again.parts == network.parts


def test_joined_features_have_the_head_of_their_concatenation():
    recipe = replace(TINY, network="joined")
    network, pairs = tiny_network(recipe), pairs_where(0.5, 0.5)
    lda.fit(network, pairs, recipe)
    rows = np.arange(2 * PRODUCTS)
    together = np.concatenate([one.double().numpy() for one in pairs.load(rows, 0)], 1)
    sources = [
        FeatureSource(n, size, lda.SHARED_VARIANCE.get(n, lda.SHARED_VARIANCE_OF_BLOCKS))
        for n, size in network.extractor.sources("both")
    ]
    expected = fit_lda(together[::2], together[1::2], recipe.dim, sources=sources, shrinkage=recipe.shrinkage)
    assert torch.equal(linear_of(network, "both").weight, expected.linear.weight)
    assert network.parts == (Part("both", recipe.dim, 1.0),)


def test_shop_views_are_gathered_in_turn():
    """Two products of three street and two shop views each: both shop views stand beside street views."""
    features = torch.arange(10, dtype=torch.float32)[:, None]
    pairs = Pairs(
        lambda rows, epoch: Features(features[rows], 100 + features[rows]),
        np.repeat([0, 1], 5),
        np.tile([True, True, True, False, False], 2),
        np.tile([0, 1, 2, 0, 1], 2),
        np.array([-1, -1]),
        np.array([-1, -1]),
        np.array([0, 0]),
    )
    gathered = lda.gather(tiny_network(), pairs)
    assert gathered.street["deep"][:, 0].tolist() == [0, 1, 2, 5, 6, 7]
    assert gathered.shop["deep"][:, 0].tolist() == [3, 4, 3, 8, 9, 8]
    assert gathered.shop["detail"][:, 0].tolist() == [103, 104, 103, 108, 109, 108]
    assert gathered.product.tolist() == [0, 0, 0, 1, 1, 1]
