"""VGG-16, ResNet-50 and the small vision transformer: names and sizes of the public checkpoints, and the arithmetic."""

from itertools import accumulate

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

import loops
from osoroi import image
from osoroi.model import backbones
from osoroi.model.backbones.resnet import Bottleneck
from osoroi.model.backbones.vit import Attention, ViT
from osoroi.records import Preprocessing

VIT = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def nets() -> dict:
    torch.manual_seed(6)
    return {name: backbones.build(name) for name in ("vgg16", "resnet50", VIT)}


def test_vgg_has_the_names_and_sizes_of_torchvision(nets):
    convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert list(nets["vgg16"].state_dict()) == [
        f"features.{n}.{kind}" for n in convolutions for kind in ("weight", "bias")
    ]
    assert sum(weight.numel() for weight in nets["vgg16"].parameters()) == 138_357_544 - 123_642_856  # the classifier
    assert nets["vgg16"].widths == (64, 64, 128, 128, 256, 256, 256, *[512] * 6)
    maps = nets["vgg16"](torch.rand(1, 3, 64, 96))
    assert [block.shape[2] for block in maps.blocks] == [64] * 2 + [32] * 2 + [16] * 3 + [8] * 3 + [4] * 3
    assert maps.last.shape == (1, 512, 2, 3)


def test_resnet_has_the_names_and_sizes_of_torchvision(nets):
    names = set(nets["resnet50"].state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.0.weight", "layer1.0.downsample.1.bias"} <= names
    assert {"layer3.5.conv3.weight", "layer4.2.bn3.bias"} <= names
    assert not [name for name in names if "downsample" in name and ".0.downsample" not in name]
    assert sum(weight.numel() for weight in nets["resnet50"].parameters()) == 25_557_032 - 2_049_000  # the classifier
    assert nets["resnet50"].conv1.weight.shape == (64, 3, 7, 7)
    with torch.inference_mode():
        maps = nets["resnet50"](torch.rand(1, 3, 64, 96))
    assert nets["resnet50"].widths == (*[256] * 3, *[512] * 4, *[1024] * 6, *[2048] * 3)
    assert [tuple(block.shape[1:3]) for block in maps.blocks] == [
        (width, side)
        for width, side, times in ((256, 16, 3), (512, 8, 4), (1024, 4, 6), (2048, 2, 3))
        for _ in range(times)
    ]
    assert maps.last.shape == (1, 2048, 2, 3)


def test_a_bottleneck_is_what_plain_loops_give():
    torch.manual_seed(2)
    block = Bottleneck(5, 3, 2)
    norms = [block.bn1, block.bn2, block.bn3, block.downsample[1]]
    for norm in norms:
        assert isinstance(norm, torch.nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
    maps = torch.randn(1, 5, 5, 7)

    def through(entering, layer, norm, stride=1, padding=0):
        found = loops.convolve(entering, loops.numbers(layer.weight), None, stride, padding)
        values = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return loops.batch_norm(found, *map(loops.numbers, values))

    entering = loops.numbers(maps[0])
    inner = loops.relu(through(entering, block.conv1, block.bn1))
    inner = loops.relu(through(inner, block.conv2, block.bn2, 2, 1))  # the stride lies here
    beside = through(entering, block.downsample[0], block.downsample[1], 2)
    expected = loops.relu(through(inner, block.conv3, block.bn3) + beside)
    with torch.no_grad():
        found = block.eval()(maps)[0].numpy()
    assert found.shape == (12, 3, 4)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("name", "cuts"), [("vgg16", (1, 5, 13)), ("resnet50", (1, 4, 16))])
def test_both_halves_together_are_the_whole(nets, name, cuts):
    net, picture = nets[name], torch.rand(1, 3, 32, 48)
    assert isinstance(net, backbones.SplitBackbone)
    with torch.inference_mode():
        whole = net(picture)
        for cut in cuts:
            below = net.below(picture, cut)
            above = net.above(below[-1], cut)
            assert len(below) == cut
            for one, other in zip([*below, *above.blocks, above.last], [*whole.blocks, whole.last], strict=True):
                assert torch.equal(one, other)


@pytest.mark.parametrize(("name", "cut"), [("vgg16", 11), ("resnet50", 13)])
def test_what_lies_above_a_cut_is_all_that_learns_there(nets, name, cut):
    net = nets[name]
    net.requires_grad_(False)
    for module in net.upper(cut):
        module.requires_grad_(True)
    learning = {".".join(key.split(".")[:2]) for key, weight in net.named_parameters() if weight.requires_grad}
    net.requires_grad_(True)
    assert learning == ({"features.26", "features.28"} if name == "vgg16" else {"layer4.0", "layer4.1", "layer4.2"})


def test_old_checkpoints_without_counters_load(tmp_path, nets):
    state = {key: one for key, one in nets["resnet50"].state_dict().items() if not key.endswith(backbones.COUNTER)}
    save_file(state, tmp_path / "old.safetensors")
    loaded = backbones.build("resnet50", tmp_path / "old.safetensors")
    assert all(torch.equal(one, loaded.state_dict()[key]) for key, one in state.items())


def test_attention_is_the_formula():
    torch.manual_seed(3)
    mask, tokens = Attention(), torch.randn(1, 4, 192)
    values = loops.numbers(tokens[0])
    three = values @ loops.numbers(mask.qkv.weight).T + loops.numbers(mask.qkv.bias)
    looked = np.zeros((4, 192))
    for head in range(3):
        columns = slice(64 * head, 64 * head + 64)
        query, key, value = (part[:, columns] for part in np.split(three, 3, 1))
        for row in range(4):
            chances = np.exp([query[row] @ other / 8 for other in key])
            looked[row, columns] = sum(
                chance * seen for chance, seen in zip(chances / chances.sum(), value, strict=True)
            )
    expected = looked @ loops.numbers(mask.proj.weight).T + loops.numbers(mask.proj.bias)
    with torch.no_grad():
        assert mask(tokens)[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_patches_stay_in_their_places(nets):
    """A change of one corner changes the first map there most."""
    net, picture = nets[VIT], torch.full((1, 3, 96, 160), 0.5)
    changed = picture.clone()
    changed[..., 48:64, 128:144] = 1.0  # patch (3, 8)
    with torch.inference_mode():
        apart = (net(changed).blocks[0] - net(picture).blocks[0]).norm(dim=1)[0]
    assert apart.shape == (6, 10)
    assert np.unravel_index(int(apart.argmax()), (6, 10)) == (3, 8)


def test_the_transformers_real_weights_see_garments(data, weights):
    path = weights / f"{VIT}.safetensors"
    net, state = backbones.build(VIT, path), load_file(path)
    assert isinstance(net, ViT)
    photos = sorted((data / "viton" / "shop").glob("*.jpg"))[:8]
    shown = np.stack([image.crop(photo, None, Preprocessing(224, 224, trim=True)) for photo in photos])
    pictures = torch.from_numpy(shown).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        tokens, _ = net.entering(pictures)
        tokens = net.norm(list(accumulate(net.blocks, lambda seen, block: block(seen), initial=tokens))[-1])
        logits = functional.linear(tokens[:, 0], state["head.weight"], state["head.bias"])
        last = net(pictures).last
    from test_googlenet import GARMENTS

    assert float(logits.softmax(1)[:, list(GARMENTS.values())].sum(1).mean()) > 0.6
    assert torch.allclose(last.flatten(2).transpose(1, 2), tokens[:, 1:], atol=1e-4)
