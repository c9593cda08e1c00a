"""GoogLeNet: normalisation, pooling and an inception against plain loops; the real weights on real photos."""

import numpy as np
import pytest
import torch

import loops
from osoroi import image
from osoroi.model import backbones
from osoroi.model.backbones import googlenet
from osoroi.model.backbones.googlenet import INCEPTIONS, GoogLeNet, Inception, Widths
from osoroi.records import Preprocessing

FILE = "bvlc_googlenet.safetensors"

GARMENTS = {
    "abaya": 399, "apron": 411, "bikini": 445, "brassiere": 459, "bulletproof vest": 465, "cardigan": 474,
    "cloak": 501, "fur coat": 568, "gown": 578, "jersey": 610, "kimono": 614, "lab coat": 617, "maillot": 638,
    "one-piece maillot": 639, "miniskirt": 655, "overskirt": 689, "pajama": 697, "poncho": 735, "sarong": 775,
    "stole": 824, "suit": 834, "sweatshirt": 841, "trench coat": 869, "vestment": 887, "velvet": 885, "wool": 911,
}  # fmt: skip
"""Classes of ImageNet that a top may be taken for, with their numbers among the 1,000."""


@pytest.fixture(scope="module")
def net() -> GoogLeNet:
    torch.manual_seed(4)
    network = backbones.build("googlenet")
    assert isinstance(network, GoogLeNet)
    return network


@pytest.fixture(scope="module")
def real(weights) -> GoogLeNet:
    network = backbones.build("googlenet", weights / FILE)
    assert isinstance(network, GoogLeNet)
    return network


def test_response_normalisation_is_the_formula_of_caffe():
    maps = torch.randn(1, 7, 2, 3) * 200
    maps[:, 3] *= 10
    values = loops.numbers(maps[0])
    expected = np.empty_like(values)
    for c, y, x in np.ndindex(values.shape):
        near = values[max(c - 2, 0) : c + 3, y, x]
        expected[c, y, x] = values[c, y, x] / (1 + 1e-4 / 5 * (near**2).sum()) ** 0.75
    found = googlenet.among_neighbours(maps)[0].numpy()
    assert found == pytest.approx(expected, rel=1e-5)
    assert np.abs(found / values).min() < 0.5, "large enough to matter"
    torchs = torch.nn.functional.local_response_norm(maps, 5, 1e-4, 0.75, 1.0)[0].numpy()
    assert found == pytest.approx(torchs, rel=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "tall", "wide"), [(112, 5, 56, 2), (6, 9, 3, 4), (7, 8, 3, 4), (4, 3, 2, 1)]
)
def test_pooling_keeps_the_last_window_though_it_hangs_over_the_edge(height, width, tall, wide):
    maps = torch.randn(1, 2, height, width) - 5  # below zero, so that zeros around would show
    expected = loops.max_pool(loops.numbers(maps[0]), 3, 2, ceil=True)
    assert expected.shape == (2, tall, wide)
    assert googlenet.shrink(maps)[0].numpy() == pytest.approx(expected)


def slow_inception(maps: np.ndarray, block: Inception) -> np.ndarray:
    def convolved(entering, name, padding=0):
        layer = getattr(block, name)
        return loops.relu(loops.convolve(entering, loops.numbers(layer.weight), loops.numbers(layer.bias), 1, padding))

    pooled = loops.max_pool(maps, 3, 1, 1)
    three = convolved(convolved(maps, "b2r"), "b2", 1)
    five = convolved(convolved(maps, "b3r"), "b3", 2)
    return np.concatenate([convolved(maps, "b1"), three, five, convolved(pooled, "b4")])


def test_an_inception_is_what_plain_loops_give():
    torch.manual_seed(1)
    block = Inception(4, Widths(2, 3, 5, 2, 3, 4))
    maps = torch.randn(1, 4, 5, 7)
    with torch.no_grad():
        found = block(maps)[0].numpy()
    assert found.shape == (2 + 5 + 3 + 4, 5, 7)
    assert found == pytest.approx(slow_inception(loops.numbers(maps[0]), block), abs=1e-5)


def test_the_first_blocks_are_what_plain_loops_give(net):
    """Blue, green, red less their mean_metrics; convolved, pooled, normalised, convolved twice, normalised."""
    picture = torch.rand(1, 3, 14, 22, generator=torch.Generator().manual_seed(1))

    def convolved(maps, layer, stride=1, padding=0):
        return loops.relu(loops.convolve(maps, loops.numbers(layer.weight), loops.numbers(layer.bias), stride, padding))

    def normal(maps):
        spread = np.pad(maps**2, ((2, 2), (0, 0), (0, 0)))
        return maps / (1 + 2e-5 * sum(spread[s : s + len(maps)] for s in range(5))) ** 0.75

    entering = loops.numbers(picture[0])[::-1] * 255 - np.array([104, 117, 123.0])[:, None, None]
    first = convolved(entering, net.conv1, 2, 3)
    second = normal(convolved(convolved(normal(loops.max_pool(first, 3, 2, ceil=True)), net.conv2r), net.conv2, 1, 1))
    with torch.no_grad():
        found = net.below(picture, 2)
    assert found[0][0].numpy() == pytest.approx(first, rel=1e-4, abs=1e-4)
    assert found[1][0].numpy() == pytest.approx(second, rel=1e-4, abs=1e-4)


def test_blocks_have_the_widths_and_sides_of_the_paper(net):
    with torch.inference_mode():
        maps = net(torch.rand(1, 3, 224, 224))
    assert isinstance(net, backbones.SplitBackbone)
    assert net.widths == (64, 192, 256, 480, 512, 512, 512, 528, 832, 832, 1024)
    assert [tuple(block.shape[1:]) for block in maps.blocks] == [
        (width, side, side) for width, side in zip(net.widths, [112, 56, 28, 28, 14, 14, 14, 14, 14, 7, 7], strict=True)
    ]
    assert maps.last is maps.blocks[-1]
    assert net.width == 1024


def test_the_parameters_are_as_many_as_published(net):
    """6,998,552 with the classifier of 1,025,000 (auxiliary classifiers apart)."""
    assert sum(weight.numel() for weight in net.parameters()) == 6_998_552 - 1_025_000


@pytest.mark.parametrize("cut", [1, 2, 4, 10, 11])
def test_both_halves_together_are_the_whole(net, cut):
    picture = torch.rand(1, 3, 48, 40)
    with torch.inference_mode():
        whole, below = net(picture), net.below(picture, cut)
        above = net.above(below[-1], cut)
    assert len(below) == cut
    for one, other in zip([*below, *above.blocks, above.last], [*whole.blocks, whole.last], strict=True):
        assert torch.equal(one, other)
    upper = {id(weight) for module in net.upper(cut) for weight in module.parameters()}
    lower = [name for name, weight in net.named_parameters() if id(weight) not in upper]
    blocks = [("conv1",), ("conv2r", "conv2"), *((name,) for name in INCEPTIONS)]
    assert {name.split(".")[0] for name in lower} == {name for block in blocks[:cut] for name in block}


def test_the_real_weights_fill_an_inception_that_loops_agree_with(real):
    picture = torch.rand(1, 3, 40, 33, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        maps = real(picture)
    entering = loops.max_pool(loops.numbers(maps.blocks[8][0]), 3, 2, ceil=True)
    expected = slow_inception(entering, real.inception5a)
    assert maps.blocks[9][0].numpy() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_real_weights_see_garments_in_photos_of_tops(real, data, weights):
    photos = sorted((data / "viton" / "shop").glob("*.jpg"))[:8]
    assert len(photos) == 8
    crops = np.stack([image.crop(photo, None, Preprocessing(224, 224, trim=True)) for photo in photos])
    shown = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
    state = backbones.read_weights(weights / FILE)

    def garments(pictures: torch.Tensor) -> float:
        """Mean probability that a photo shows one."""
        with torch.inference_mode():
            logits = real(pictures).last.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
        return float(logits.softmax(1)[:, list(GARMENTS.values())].sum(1).mean())

    right, wrong = garments(shown), garments(shown / 255)  # as if it took colours up to 1
    assert right > 0.6
    assert right > wrong + 0.3
