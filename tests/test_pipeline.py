"""The recipe of the encoder that ships, from photos to a search by the commands that a user has; on tiny data."""

import colorsys
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from osoroi import image
from osoroi.cli import main
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.model import backbones, build
from osoroi.recipes import named
from osoroi.training import checkpoint
from test_composed import photo

PRODUCTS = 30


def osoroi(*words: object) -> str:
    """What a command prints."""
    result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def composed(tmp_path_factory) -> str:
    """Shirts of thirty colours on white, and street photos composed of them; a fifth of them each for val and test."""
    folder = tmp_path_factory.mktemp("pipeline")
    lines = ["photo,product_id,category"]
    for number in range(PRODUCTS):
        colour = colorsys.hsv_to_rgb(number * 7 % PRODUCTS / PRODUCTS, 0.9, (0.45, 0.7, 0.95)[number % 3])
        red, green, blue = (round(255 * one) for one in colour)
        pixels = photo((red, green, blue), np.full((200, 150, 3), 250.0))
        Image.fromarray(pixels).save(folder / f"p{number}.png")
        lines.append(f"p{number}.png,p{number},tops")
    (folder / "shop.csv").write_text("\n".join(lines) + "\n")
    return f"composed:{folder}/shop.csv?views=1&split=3:1:1&cache={folder}/cut"


@pytest.fixture(scope="module")
def run(composed: str, tmp_path_factory) -> Path:
    """A run of the recipe with a foreground head of its own; one epoch of small batches."""
    folder = tmp_path_factory.mktemp("run")
    fit = json.loads(osoroi("train-foreground", composed, "--out", folder / "head.safetensors", "--json"))
    assert fit["unreadable"] == 0
    assert fit["error"] < 0.2, "a mask of 0 everywhere errs by about a third"
    few = [word for one in ("epochs=1", "products=6", "views=1", "shop_views=1") for word in ("--set", one)]
    words = ("--recipe", "default", *few, "--foreground", folder / "head.safetensors", "--out", folder / "run")
    osoroi("train", composed, *words)
    return folder / "run"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_recipe_trains_the_last_blocks_and_fits_the_heads_again(run: Path) -> None:
    after = checkpoint.read(run / "best.safetensors").tensors
    before = checkpoint.read(run / "last.safetensors").tensors  # the network of the last step
    heads = [name for name in after if name.startswith(f"{checkpoint.MODEL}heads.") and name.endswith("weight")]
    assert len(heads) == 2
    trained = {name.partition("network.")[2] or name: one for name, one in before.items()}
    for name in heads:
        assert not torch.equal(after[name], trained[name.removeprefix(checkpoint.MODEL)]), "LDA once more"
    packaged = backbones.build("efficientnet_lite0", build.packaged("efficientnet_lite0")).state_dict()
    prefix = f"{checkpoint.MODEL}extractor.backbone."
    own = {name.removeprefix(prefix): one for name, one in after.items() if name.startswith(prefix)}
    changed = [not torch.equal(own[name], packaged[name]) for name in packaged if name.endswith("weight")]
    assert changed[0] is False, "the first block is frozen"
    assert changed[-1] is True, "the last one is not"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_its_encoder_finds_products_that_it_was_not_trained_on(run: Path, composed: str, tmp_path: Path) -> None:
    osoroi("export", run, tmp_path / "mine.onnx", "--licence", "CC0-1.0")
    encoder = Encoder.open(tmp_path / "mine.onnx")
    assert encoder.recipe.startswith("default epochs=1")
    recipe = named("default")
    served = {name: weight * (1 - recipe.kind_weight) for name, weight in dict(recipe.served_weights).items()}
    weights = {part.name: part.weight for part in encoder.parts}
    assert weights == pytest.approx(served | {"kind": recipe.kind_weight})
    osoroi("add", tmp_path / "shop", composed, "--encoder", tmp_path / "mine.onnx")
    unseen = [row for row in open_dataset(composed).rows() if row.crop.domain == "street" and row.crop.split == "test"]
    assert unseen
    ranks = []
    for product, crop in unseen:
        snap = tmp_path / "snap.jpg"
        snap.write_bytes(image.load(crop.photo))
        where = () if crop.box is None else ("--box", ",".join(map(str, crop.box)))
        words = (tmp_path / "shop", snap, *where, "-k", PRODUCTS, "--encoder", tmp_path / "mine.onnx", "--json")
        hits = json.loads(osoroi("search", *words))["hits"]
        ranks.append([hit["product_id"] for hit in hits].index(product.product_id) + 1)
    assert np.median(ranks) <= 3, "by chance it is 15"
