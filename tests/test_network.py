"""The network: what its features are, what its vectors promise, and that gradients reach what may learn."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

import loops
from osoroi.errors import BadRun
from osoroi.model import build as building
from osoroi.model import pooling, shallow
from osoroi.model.backbones import Maps, build
from osoroi.model.color import lab, lab_coordinates
from osoroi.model.foreground import ForegroundHead
from osoroi.model.heads import Head, TwoLayers
from osoroi.model.network import COLOUR_SIDE, REACH, FeatureExtractor, Features, Network, unfreeze
from osoroi.recipe import Recipe
from pairs import TINY, tiny_network


class Little(nn.Module):
    """A backbone of three strided convolutions, for tests that mean any backbone."""

    widths = (4, 5, 6)
    width = 7

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        sizes = (3, *self.widths)
        self.steps = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(sizes))
        self.end = nn.Conv2d(6, 7, 1)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        seen, maps = [], images - 0.5
        for step in self.steps:
            maps = torch.tanh(step(maps))
            seen.append(maps)
        return Maps(seen, self.end(maps))


@pytest.fixture(scope="module")
def network() -> Network:
    extractor = FeatureExtractor(Little(), blocks=(0, 2))
    heads = {
        name: Head(sum(n for _, n in sources), size)
        for (name, sources), size in zip(extractor.sizes.items(), (3, 5), strict=True)
    }
    return Network(extractor, heads, unfreeze_blocks=3).eval()  # all of it


@pytest.fixture(scope="module")
def crops() -> Tensor:
    return torch.randint(0, 256, (4, 96, 96, 3), generator=torch.Generator().manual_seed(2)).to(torch.uint8)


def test_features_stand_in_the_order_that_sizes_tells(network, crops):
    extractor = network.extractor
    names = [name for name, _ in extractor.sizes["detail"]]
    assert names == [
        "mean of block 0",
        "mean of block 2",
        "deviation of block 0",
        "deviation of block 2",
        "histogram",
        "grid",
    ]
    raw = extractor(crops)
    images = crops.permute(0, 3, 1, 2) / 255
    maps = extractor.backbone(images)
    small = images.reshape(4, 3, COLOUR_SIDE, 2, COLOUR_SIDE, 2).mean((3, 5))
    bell = pooling.shares(pooling.centred(COLOUR_SIDE, COLOUR_SIDE, REACH))
    axes = pooling.axes()
    places = lab_coordinates(small.flatten(2).unsqueeze(1), torch.ones(1, 1), axes.origin, axes.unit)
    expected = {
        "mean of block 0": maps.blocks[0].mean((2, 3)),
        "mean of block 2": maps.blocks[2].mean((2, 3)),
        "deviation of block 0": maps.blocks[0].std((2, 3), correction=0),
        "deviation of block 2": maps.blocks[2].std((2, 3), correction=0),
        "histogram": pooling.soft_histogram(places, bell)[:, 0].sqrt(),
        "grid": lab(small).reshape(4, 3, 4, 12, 3, 16).mean((3, 5)).permute(0, 2, 3, 1).flatten(1),
    }
    runs = raw.detail.split([size for _, size in extractor.sizes["detail"]], 1)
    for run, (name, values) in zip(runs, expected.items(), strict=True):
        assert (run - values).abs().max() <= 2e-3, name  # the floor of square roots
    assert torch.allclose(raw.deep, maps.last.mean((2, 3)), atol=1e-5)


def test_constancy_adds_a_histogram_behind_the_others_that_a_cast_leaves_alone(network, crops):
    extractor = FeatureExtractor(network.extractor.backbone, blocks=(0, 2), color_constancy=True)
    assert extractor.sizes["detail"] == [*network.extractor.sizes["detail"], ("color-constant histogram", 405)]
    cast = (crops * torch.tensor([0.6, 0.8, 0.7])).to(torch.uint8)
    raw, changed = extractor(crops).detail, extractor(cast).detail
    assert torch.equal(raw[:, :-405], network.extractor(crops).detail)
    moved = (raw - changed).abs()
    assert 10 * moved[:, -405:].sum() < moved[:, 20 : 20 + 405].sum()


def test_the_baseline_has_as_many_features_as_the_design_counts():
    sizes = FeatureExtractor(build("efficientnet_lite0")).sizes
    assert sum(size for _, size in sizes["deep"]) == 1280
    assert sum(size for _, size in sizes["detail"]) == 2 * (24 + 40 + 112) + 5 * 9 * 9 + 4 * 3 * 3  # 793


def test_each_part_has_unit_length_and_comes_in_the_order_of_the_heads(network, crops):
    vectors = network(crops)
    assert vectors.shape == (4, 8)
    raw = network.extractor(crops)
    for part, name in ((vectors[:, :3], "deep"), (vectors[:, 3:], "detail")):
        assert part.norm(dim=1).tolist() == pytest.approx([1] * 4, abs=1e-5)
        assert torch.allclose(part, network.heads[name](getattr(raw, name)))


def test_features_computed_before_give_the_same_vectors(network, crops):
    raw = network.extractor(crops)
    kept = Features(*(run.detach().clone() for run in raw))
    assert torch.equal(network.embed(kept), network(crops))


def test_a_crop_has_the_same_vector_whatever_is_beside_it(network, crops):
    alone = torch.cat([network(crop[None]) for crop in crops])
    assert (network(crops) - alone).abs().max() <= 1e-5


def test_colour_changes_detail_and_a_flip_leaves_it_nearly_alone(network, crops):
    stripes = crops.clone()
    stripes[:, ::8] = torch.tensor([200, 30, 30], dtype=torch.uint8)
    raw, flipped, other = (network.extractor(each).detail for each in (stripes, stripes.flip(2), 255 - stripes))
    histogram = slice(20, 20 + 405)
    assert (raw - flipped)[:, histogram].abs().max() < 0.02
    assert (raw - other)[:, histogram].abs().max() > 0.1


def test_gradients_reach_every_weight_of_trunk_and_heads(network, crops):
    network.zero_grad()
    network(crops)[0].sum().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_crops_of_one_plain_colour_are_finite_and_have_gradients(network):
    for value in (0, 128, 255):
        network.zero_grad()
        vectors = network(torch.full((1, 96, 96, 3), value, dtype=torch.uint8))
        vectors.sum().backward()
        assert torch.isfinite(vectors).all()
        assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())


JOINED = replace(TINY, network="joined", dim=7)
CONVOLVED = replace(TINY, shallow=True)


def test_joined_features_go_through_one_head(crops):
    network = tiny_network(JOINED)
    assert [(part.name, part.size, part.weight) for part in network.parts] == [("both", 7, 1.0)]
    raw, head = network.extractor(crops), network.heads["both"]
    assert isinstance(head, Head)
    together = torch.cat([raw.deep, raw.detail], 1)
    assert network.extractor.sources("both") == [*network.extractor.sizes["deep"], *network.extractor.sizes["detail"]]
    expected = nn.functional.normalize(together @ head.linear.weight.T + head.linear.bias)
    assert torch.allclose(network(crops), expected, atol=1e-5)


@pytest.mark.parametrize("recipe", [JOINED, CONVOLVED, replace(JOINED, shallow=True), replace(TINY, head_layers=2)])
@pytest.mark.parametrize("unfreeze_blocks", [0, 2, 3])
def test_both_halves_together_are_the_network(crops, recipe, unfreeze_blocks):
    network = tiny_network(replace(recipe, unfreeze_blocks=unfreeze_blocks), foreground=(0,))
    with torch.inference_mode():
        halves, whole = network.above(*network.below(crops)), network(crops)
    assert torch.allclose(halves, whole, atol=2e-3)
    assert whole.shape == (4, sum(part.size for part in network.parts))


def test_the_shallow_paths_see_lab_colours_and_grey_beyond_the_edge(crops):
    network = tiny_network(CONVOLVED)
    colours = lab(crops.permute(0, 3, 1, 2) / 255).numpy().astype(float) - np.array([50.0, 0, 0])[:, None, None]
    pixels = network.pixels(crops)
    for found, side in zip(pixels, (4, 8), strict=True):
        expected = loops.mean_pool(colours[2], side, side, side // 2)
        assert found[2].numpy() == pytest.approx(expected, abs=1e-3)
    raw = network.extractor(crops)
    with torch.inference_mode():
        assert network.shallow is not None
        seen = torch.cat([path(one) for path, one in zip(network.shallow, pixels, strict=True)], 1)
        together = torch.cat([raw.detail, seen], 1)
        assert seen.shape[1] == shallow.size_of(96)
        assert torch.allclose(network(crops)[:, 8:], network.heads["detail"](together), atol=1e-5)


def test_the_published_sizes_of_the_shallow_paths():
    for side in (96, 192, 224):
        seen = [
            path(one) for path, one in zip(shallow.paths(), shallow.averaged(torch.rand(2, 3, side, side)), strict=True)
        ]
        assert sum(one.shape[1] for one in seen) == shallow.size_of(side)


def test_features_that_come_later_count_nothing_at_first(crops):
    plain, convolved = tiny_network(), tiny_network(CONVOLVED)
    for name, head in plain.heads.items():
        later = convolved.heads[name]
        assert isinstance(head, Head)
        assert isinstance(later, Head)
        head.centre.uniform_(-1, 1)
        head.spread.uniform_(0.5, 2)
        later.init_from(head)
    with torch.inference_mode():
        assert torch.allclose(plain(crops), convolved(crops), atol=1e-5)


def test_two_layers_are_the_formula_and_begin_with_the_spreads_alone():
    torch.manual_seed(0)
    head, started = TwoLayers(5, 3), Head(4, 3)
    started.centre.uniform_(-1, 1)
    started.spread.uniform_(0.5, 2)
    head.init_from(started)
    raw = torch.randn(2, 5)
    centre, spread = (np.append(one.numpy(), last) for one, last in ((started.centre, 0), (started.spread, 1)))
    numbers = {name: one.detach().numpy() for name, one in head.named_parameters()}
    hidden = np.maximum(0, (raw.numpy() - centre) / spread @ numbers["hidden.weight"].T + numbers["hidden.bias"])
    hidden /= np.linalg.norm(hidden, axis=1, keepdims=True)
    assert hidden.shape == (2, 4096)
    last = hidden @ numbers["linear.weight"].T + numbers["linear.bias"]
    with torch.inference_mode():
        assert head(raw).numpy() == pytest.approx(last / np.linalg.norm(last, axis=1, keepdims=True), abs=1e-5)


def test_heads_at_random_are_those_of_the_seed():
    def weights(seed: int) -> Tensor:
        head = tiny_network(replace(TINY, seed=seed)).heads["deep"]
        assert isinstance(head, Head)
        return head.linear.weight

    one, same, other = weights(1), weights(1), weights(2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_probe_that_ships_fits_its_trunk_and_is_kept_from_learning():
    network = building.build(Recipe(unfreeze_blocks=8), None, None)
    assert isinstance(network, Network)
    assert isinstance(network.extractor.foreground, ForegroundHead)
    assert network.extractor.foreground.first.weight.abs().sum() > 1
    with pytest.raises(
        BadRun,
        match=r"unfreeze_blocks=9 would train blocks that the foreground head .*; set unfreeze_blocks=8 or less",
    ):
        building.build(Recipe(unfreeze_blocks=9))
    without = building.build(Recipe(unfreeze_blocks=9, pool="crop"))
    assert isinstance(without, Network)
    assert without.extractor.foreground is None
    with pytest.raises(BadRun, match=r"a foreground head, .*, and pool=crop"):
        building.build(Recipe(pool="crop"), None, building.FOREGROUND_HEADS["efficientnet_lite0"])


def test_depthwise_convolutions_stay_frozen_where_their_block_is_trained():
    block = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, 1), torch.nn.Conv2d(8, 8, 3, groups=8), torch.nn.Conv2d(8, 8, 3, groups=2)
    ).requires_grad_(False)
    unfreeze(block)
    assert [layer.weight.requires_grad for layer in block] == [True, False, True]
    network = building.build(Recipe(unfreeze_blocks=8), empty=True)
    assert isinstance(network, Network)
    convolutions = [layer for layer in network.extractor.backbone.modules() if isinstance(layer, torch.nn.Conv2d)]
    depthwise = [layer for layer in convolutions if layer.groups > 1]
    assert len(depthwise) == 16
    assert not any(layer.weight.requires_grad for layer in depthwise)
    assert sum(layer.weight.requires_grad for layer in convolutions) == 17, "two of each of eight blocks, and the head"
