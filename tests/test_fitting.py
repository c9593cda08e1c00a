"""Fitting: heads judged where they have not been, weights of the parts, and a probe that finds cloth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.model import build as building
from osoroi.model.backbones import build
from osoroi.model.foreground import BLOCKS
from osoroi.model.heads import Source, discriminant
from osoroi.model.network import Backbone, Features, to_images
from osoroi.records import Part
from osoroi.training import closed_form, dataset, validation
from osoroi.training.sampling import Pairs
from pairs import TINY, Drawn, tiny_network

PRODUCTS = 60
RECIPE = replace(TINY, shrink=0.0)


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
        closed_form.fit(network, pairs_where(*noises), TINY)
        weights.append(network.parts[0].weight)
        assert sum(part.weight for part in network.parts) == pytest.approx(1)
    assert weights[0] > 0.5 > weights[1]


def test_the_heads_that_are_kept_are_those_of_all_pairs():
    network, pairs = tiny_network(), pairs_where(0.5, 0.5)
    closed_form.fit(network, pairs, TINY)
    again = closed_form.heads_of(network, closed_form.gather(network, pairs), TINY)
    for name, head in again.items():
        assert torch.equal(head.linear.weight, network.heads[name].linear.weight)


def test_products_of_one_design_lie_in_one_fold_and_folds_are_of_nearly_one_size():
    design = np.where(np.arange(PRODUCTS) < 30, np.arange(PRODUCTS) // 3, -1)
    fold = closed_form.folds(pairs_where(1.0, 1.0, design), TINY)
    assert all(len(set(fold[design == one])) == 1 for one in range(10))
    assert set(fold.tolist()) == {0, 1}
    assert 15 <= np.sum(fold == 0) <= 45


@pytest.mark.parametrize("designs", [1, 2, 3])
def test_fewer_designs_than_folds_still_give_weights(designs):
    design = np.arange(PRODUCTS) % designs
    network = tiny_network(TINY)
    closed_form.fit(network, pairs_where(1.0, 1.0, design), replace(TINY, folds=4))
    weights = [part.weight for part in network.parts]
    assert sum(weights) == pytest.approx(1)
    assert min(weights) > 0.1
    assert set(closed_form.folds(pairs_where(1.0, 1.0, design), replace(TINY, folds=4)).tolist()) == set(range(designs))


def test_a_part_that_only_remembers_the_pairs_it_learned_from_gets_little_weight():
    """Of noise in 473 directions, many more than there are products, a head ranks its own pairs perfectly."""
    network, pairs = tiny_network(RECIPE), pairs_where(1.0, 40.0)
    raw = closed_form.gather(network, pairs)
    remembered = closed_form.embed(closed_form.heads_of(network, raw, RECIPE), raw)
    assert raw.street["detail"].shape == (PRODUCTS, 473)
    assert validation.weigh([remembered], network.parts, "nDCG@5")["detail"] > 0.65
    closed_form.fit(network, pairs, RECIPE)
    assert network.parts[1].weight < 0.35


@pytest.fixture(scope="module")
def drawn_pairs(tmp_path_factory):
    """Pairs of drawn garments and, of other designs, pairs that nothing is learned from."""
    folder = tmp_path_factory.mktemp("fitting")
    return [
        dataset.prepare(dataset.choose(Drawn(54), split), tiny_network(), TINY, folder / split, worse=False)
        for split in ("train", "val")
    ]


def rank_of_unseen(network, held):
    sides = validation.embed(network, held, torch.device("cpu"))
    scores = validation.mixed(sides, network.parts)
    return validation.ranks_of_partners(scores, sides.street_product, sides.shop_product).mean()


@pytest.mark.parametrize("recipe", [TINY, replace(TINY, network="joined", size=16)], ids=["parts", "joined"])
def test_heads_in_closed_form_rank_unseen_products_better_than_heads_at_random(drawn_pairs, recipe):
    pairs, held = drawn_pairs
    at_random = [rank_of_unseen(tiny_network(replace(recipe, seed=seed)), held) for seed in range(5)]
    network = tiny_network(recipe)
    closed_form.fit(network, pairs, recipe)
    assert rank_of_unseen(network, held) < 0.75 * np.mean(at_random)
    again = tiny_network(replace(recipe, seed=3))
    closed_form.fit(again, pairs, recipe)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), f"{name} follows from the pairs, whatever was there before"
    assert again.parts == network.parts


def test_joined_features_have_the_head_of_their_concatenation():
    recipe = replace(TINY, network="joined")
    network, pairs = tiny_network(recipe), pairs_where(0.5, 0.5)
    closed_form.fit(network, pairs, recipe)
    rows = np.arange(2 * PRODUCTS)
    together = np.concatenate([one.double().numpy() for one in pairs.look(rows, 0)], 1)
    sources = [
        Source(n, size, closed_form.SHARED.get(n, closed_form.OTHERS)) for n, size in network.backbone.sources("both")
    ]
    expected = discriminant(together[::2], together[1::2], recipe.size, sources=sources, shrink=recipe.shrink)
    assert torch.equal(network.heads["both"].linear.weight, expected.linear.weight)
    assert network.parts == (Part("both", recipe.size, 1.0),)


def test_a_probe_learns_what_tells_cloth_from_wall():
    random = np.random.default_rng(1)
    masks = np.zeros((300, 12, 12), np.float32)
    for mask in masks:
        top, left = random.integers(0, 6, 2)
        mask[top : top + 6, left : left + 5] = 1
    network = tiny_network(probe=(0, 1))
    maps = random.normal(size=(300, 14, 12, 12)).astype(np.float32)
    maps[:, 3] += 3 * masks  # one map of fourteen tells cloth from wall
    chance = 1 - masks[270:].mean()  # .79 of the positions are right if nothing is called cloth
    closed_form.fit_probe(network.backbone, maps, masks)
    with torch.inference_mode():
        attention = network.backbone.probe.attend(torch.from_numpy(maps[270:])).numpy()
    assert 0.75 < chance < 0.85
    assert np.mean((attention > 0.5) == (masks[270:] == 1)) > 0.92
    assert not any(one.requires_grad for one in network.backbone.probe.parameters())


def test_the_same_maps_give_the_same_probe():
    random = np.random.default_rng(4)
    maps = random.normal(size=(40, 14, 6, 6)).astype(np.float32)
    masks = (maps[:, 2] > 0).astype(np.float32)
    probes = [tiny_network(probe=(0, 1)).backbone for _ in range(2)]
    errors = [closed_form.fit_probe(each, maps, masks) for each in probes]
    assert errors[0] == errors[1]
    assert torch.equal(probes[0].probe.first.weight, probes[1].probe.first.weight)


@pytest.mark.slow
def test_a_probe_on_the_real_trunk_finds_the_cloth_in_composed_photos_of_garments_it_has_not_seen(tmp_path):
    """About half of a composed photo is cloth, so that the best constant is off by nearly one half."""
    crops, masks = composed_photos(tmp_path)
    backbone = Backbone(build("efficientnet_lite0", building.packaged("efficientnet_lite0")), probe=BLOCKS).eval()
    with torch.inference_mode():
        maps = [
            backbone.probe.look(backbone.trunk(to_images(torch.from_numpy(some))).blocks)
            for some in np.array_split(crops, 8)
        ]
    error = closed_form.fit_probe(backbone, torch.cat(maps).numpy(), masks)
    held = masks[-max(1, len(masks) // 10) :]
    chance = min(np.abs(held - guess).mean() for guess in np.linspace(0, 1, 21))
    assert chance > 0.35
    assert error < 0.6 * chance
    with torch.inference_mode():
        attention = backbone.attended(torch.from_numpy(crops[-len(held) :]))[1].numpy()
    cloth = held > 0.5
    assert np.mean((attention > 0.5) == cloth) > 0.8
    assert attention[cloth].mean() > 2 * attention[~cloth].mean()


def composed_photos(folder, products=60):
    """Street photos composed of drawn garments, in the order of garments, and where in them cloth is, 12 x 12."""
    lines = ["photo,product_id,category"]
    for product, crop in open_dataset(f"drawn:{products}:2").rows():
        if crop.domain == "shop":
            name = crop.crop_id.replace("/", "-")
            (folder / f"{name}.jpg").write_bytes(image.load(crop.photo))
            lines.append(f"{name}.jpg,{name},{product.category}")
    (folder / "shop.csv").write_text("\n".join(lines))
    crops, masks = [], []
    for _, crop in open_dataset(f"composed:{folder}/shop.csv?views=3&cache={folder}/cache").rows():
        if crop.domain == "street":
            view = crop.photo.composed()
            crops.append(np.asarray(view.picture.resize((192, 192))))
            masks.append(np.asarray(view.mask.resize((12, 12), Image.Resampling.BOX)) / np.float32(255))
    return np.stack(crops), np.stack(masks)
