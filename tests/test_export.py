"""Exports agree with their network, are the same again, and leave nothing behind where they fail."""

import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import osoroi.model.export
from osoroi import image
from osoroi.encoder import Encoder
from osoroi.errors import BadRequest, Mismatch
from osoroi.model.export import check, export
from osoroi.model.heads import Head
from osoroi.model.network import FeatureExtractor, Network
from osoroi.records import Domain, Part, Preprocessing
from pairs import linear_of
from test_network import Little

SIDE = 48
TOOL = Path(__file__).parents[1] / "tools" / "make_faster_graph.py"
VIEWS: dict[Domain, Preprocessing] = {
    "street": Preprocessing(SIDE, SIDE, margin=0.05),
    "shop": Preprocessing(SIDE, SIDE, trim=True),
}
PARTS = (Part("deep", 3, 0.25), Part("detail", 5, 0.75))


def little_network() -> Network:
    torch.manual_seed(7)
    extractor = FeatureExtractor(Little(), blocks=(0, 1))
    sizes = {name: sum(n for _, n in sources) for name, sources in extractor.sizes.items()}
    return Network(extractor, {"deep": Head(sizes["deep"], 3), "detail": Head(sizes["detail"], 5)}).eval()


def some_crops(count=6) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    blocks = random.integers(0, 256, (count, 6, 6, 3))
    return list(np.kron(blocks, np.ones((1, 8, 8, 1))).astype(np.uint8))


def write(path: Path, network, crops=None) -> Encoder:
    crops = some_crops() if crops is None else crops
    said = {"recipe": "little", "training": "nothing", "licence": "CC0-1.0"}
    return export(network, path, parts=PARTS, preprocessing=VIEWS, crops=crops, **said)


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
    assert (encoder.parts, dict(encoder.preprocessing), encoder.recipe) == (PARTS, VIEWS, "little")


def test_the_same_network_makes_the_same_file(little, tmp_path):
    write(tmp_path / "again.onnx", little_network())
    assert (tmp_path / "again.onnx").read_bytes() == little.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["again.onnx"]


def test_the_file_names_no_path_of_this_machine(little):
    model = little.read_bytes()
    for path in (str(Path.cwd()), sys.prefix, "network.py", "site-packages"):
        assert path.encode() not in model


def test_a_file_that_disagrees_is_refused_and_the_old_one_stays(little, tmp_path):
    model = onnx.load(little)
    del model.metadata_props[:]
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"the old one")
    other = little_network()
    with torch.no_grad():
        linear_of(other, "detail").weight[0] *= 1.2  # the rest stays; cosines fall to about .99
    with pytest.raises(Mismatch, match=r"differ: the lowest cosine of 6 crops is 0\.\d+, and 0\.9999 is needed"):
        osoroi.model.export.write(other, model, Encoder.open(little).metadata, path, some_crops())
    assert path.read_bytes() == b"the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.onnx"]


def test_nothing_to_compare_on_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="without crops to compare on"):
        write(tmp_path / "encoder.onnx", little_network(), crops=[])


class WrongOnOne(torch.nn.Module):
    """A network that turns one part of one crop's vector a little: its cosine is .9996, all others are 1."""

    def __init__(self, network: Network, crop: np.ndarray) -> None:
        super().__init__()
        self.network, self.crop = network, torch.from_numpy(crop)

    def forward(self, crops):
        vectors = self.network(crops).clone()
        if torch.equal(crops[0], self.crop):
            detail = vectors[0, 3:]
            across = torch.nn.functional.normalize(torch.eye(5)[0] - detail * detail[0], dim=0)
            vectors[0, 3:] = 0.9996 * detail + (1 - 0.9996**2) ** 0.5 * across
        return vectors


def test_one_part_of_one_crop_that_differs_is_enough_for_a_refusal(little):
    """The mean over 6 crops and 2 parts would be .99997, and agree."""
    crops, encoder = some_crops(), Encoder.open(little)
    assert check(little_network(), encoder, crops) > 0.99999
    with pytest.raises(Mismatch, match=r"lowest cosine of 6 crops is 0\.9996"):
        check(WrongOnOne(little_network(), crops[4]), encoder, crops)


def test_not_a_number_is_no_agreement(little):
    network = little_network()
    with torch.no_grad():
        linear_of(network, "deep").bias.fill_(float("nan"))
    with pytest.raises(Mismatch):
        check(network, Encoder.open(little), some_crops())


# The encoder that ships


shipped_network = runpy.run_path(str(TOOL))["network_of"]
"""Makes the torch original of the encoder that ships, with the weights that the file holds."""


def test_the_shipped_file_agrees_with_torch_on_crops_of_any_kind():
    random = np.random.default_rng(5)
    blocks = [random.integers(0, 256, (n, n, 3)) for n in (1, 2, 6, 24, 64, 192)]
    crops = [np.kron(block, np.ones((192 // len(block),) * 2 + (1,))).astype(np.uint8) for block in blocks]
    assert check(shipped_network(), Encoder.open(), crops) >= 0.9999


@pytest.mark.slow
def test_the_shipped_file_agrees_with_torch_on_200_real_crops(data):
    encoder, network = Encoder.open(), shipped_network()
    street = sorted((data / "viton" / "street").glob("*.jpg"))[:100]
    shop = sorted((data / "hm" / "images").glob("*.jpg"))[:100]
    crops = [image.crop(path, None, encoder.preprocessing["street"]) for path in street]
    crops += [image.crop(path, None, encoder.preprocessing["shop"]) for path in shop]
    assert len(crops) == 200
    assert check(network, encoder, crops) >= 0.9999
