"""A training can begin with the backbone of the encoder that ships."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from osoroi.encoder import DEFAULT, open_session
from osoroi.errors import BadRun
from osoroi.model import build as building
from osoroi.recipe import Recipe


@pytest.fixture(scope="module")
def begun():
    return building.build(Recipe(color_constancy=True, unfreeze_blocks=8), Path("default"))


def test_with_the_heads_of_the_file_it_gives_the_vectors_of_the_file(begun):
    held = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(DEFAULT).graph.initializer}
    for name, head in begun.heads.items():
        for key, value in head.state_dict().items():
            zeros = np.zeros(value.shape, np.float32)  # the file leaves out an offset of 0
            value.copy_(torch.from_numpy(held.get(f"network.heads.{name}.{key}", zeros).copy()))
    crops = np.random.default_rng(4).integers(0, 256, (3, 192, 192, 3), np.uint8)
    crops[1] //= 3
    with torch.inference_mode():
        vectors = begun(torch.from_numpy(crops)).numpy()
    expected = open_session(DEFAULT.read_bytes(), threads=1).run(["vectors"], {"crops": crops})[0]
    assert np.abs(vectors - expected).max() < 1e-4
    assert np.abs(expected[0] - expected[1]).max() > 0.05  # photos that differ


def test_what_is_frozen_is_that_of_the_public_checkpoint(begun):
    """So the numbers that are scaled in training are as large as where training begins with the checkpoint."""

    def of_backbone(network: torch.nn.Module) -> dict[str, torch.Tensor]:
        return network.get_submodule("extractor.backbone").state_dict()

    public, state = of_backbone(building.build(Recipe())), of_backbone(begun)
    for name, one in public.items():
        if "depthwise" in name or "running" in name:
            assert torch.equal(state[name], one), name
        elif name.endswith("weight") and one.ndim == 4 and one.norm() > 0:
            assert (state[name] - one).norm() < 0.15 * one.norm(), name
    moved = "_blocks.12._expand_conv.weight"
    assert (state[moved] - public[moved]).norm() > 0.02 * public[moved].norm()


@pytest.mark.parametrize(
    "changes", [{"backbone": "efficientnet_lite1", "pool": "crop"}, {"network": "both", "loss": "triplet"}]
)
def test_another_network_cannot_begin_with_it(changes):
    with pytest.raises(BadRun, match="the encoder that ships has efficientnet_lite0"):
        building.build(Recipe(**changes), Path("default"))
