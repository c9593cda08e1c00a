"""Heads that are trained on a brought backbone, and a backbone that is fine-tuned, become encoder files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from brought import CLIP_MEAN, CLIP_STD, SIDE, Tokens, clip_config, save, siglip_config, values, write_json
from osoroi.encoder import Encoder
from osoroi.errors import BadRequest, BadRun
from osoroi.pretrained import check, library
from osoroi.recipe import Recipe
from osoroi.records import Fit
from osoroi.training import brought, run, train
from osoroi.training.view_loader import View, ViewLoader
from pairs import Drawn, selecting

RECIPE = Recipe("tiny", image_size=96, dim=8, products=12, folds=2, precision="float32", lr=3e-3)


def graph(folder):
    """A folder with a random graph and a squashed input of 64 pixels."""
    write_json(folder / "in" / "preprocessor_config.json", siglip_config())
    save(Tokens().model(), folder / "in" / "model.onnx")
    return folder / "in"


@pytest.fixture
def folder(tmp_path):
    return graph(tmp_path)


@pytest.fixture(scope="module")
def closed_form(tmp_path_factory):
    """A folder, and heads in closed form on it: the run that tests share."""
    folder = tmp_path_factory.mktemp("brought")
    return graph(folder), trained(folder / "in", folder / "run", replace(RECIPE, kind_weight=0.2))


def trained(folder, out, recipe):
    config = run.RunConfig(("drawn:30:3",), recipe, backbone=str(folder))
    metrics = run.run(config, out, select=selecting(Drawn(30)))
    return train.TrainedRun(out, recipe.name, metrics)


def test_weights_beside_a_graph_that_did_not_check_it_are_said_when_heads_are_trained_too(folder, caplog, monkeypatch):
    monkeypatch.setattr(library, "installed", lambda *_: False)
    brought.build(RECIPE, folder)
    assert caplog.messages == []
    save_file({"pooler.weight": torch.ones(2, 2)}, folder / "model.safetensors")
    brought.build(RECIPE, folder)
    assert [message.split(",")[1] for message in caplog.messages] == [" model.safetensors"]
    assert caplog.records[0].levelname == "WARNING"


@pytest.mark.slow
def test_closed_form_heads_on_a_graph_become_an_encoder(closed_form, tmp_path):
    _, done = closed_form
    made = done.export(tmp_path / "out.onnx", licence="CC0")
    assert [(part.name, part.size) for part in made.parts[:2]] == [("deep", 8), ("detail", 8)]
    assert made.parts[2].weight == pytest.approx(0.2)
    assert made.metadata.backbone["file"] == "model.onnx"
    assert made.licence == "unknown (backbone); CC0"
    network, _ = run.load(done.folder)
    photos = check.drawn_photos()
    own = np.stack([Tokens().vector(values(photo, (SIDE, SIDE), 0.5, 0.5)) for photo in photos])
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    head = network.heads["deep"]
    with torch.no_grad():
        expected = head(torch.from_numpy(own.astype(np.float32))).numpy()
    boxes = [(0, 0, photo.shape[1], photo.shape[0]) for photo in photos]
    given = made.encode_photos(photos, "street", boxes=boxes)[:, made.columns["deep"]]
    assert (given * expected).sum(1).min() > 0.999


@pytest.mark.slow
def test_heads_that_were_trained_in_epochs_keep_their_bias(folder, tmp_path):
    done = trained(folder, tmp_path / "run", replace(RECIPE, epochs=2, views=2, keep_epoch="last"))
    network, _ = run.load(tmp_path / "run")
    assert network.heads["deep"].linear.bias.abs().max() > 1e-4
    done.export(tmp_path / "out.onnx")  # refused unless it gives the network's vectors
    Encoder.open(tmp_path / "out.onnx")


@pytest.mark.slow
def test_a_folder_that_changed_is_refused(closed_form):
    folder, done = closed_form
    write_json(folder / "preprocessor_config.json", siglip_config(image_mean=[0.4] * 3))
    with pytest.raises(BadRun, match="another backbone"):
        run.load(done.folder)
    write_json(folder / "preprocessor_config.json", siglip_config())
    run.load(done.folder)


def test_a_graph_alone_is_not_fine_tuned(folder, tmp_path):
    with pytest.raises(BadRequest, match=r"model\.safetensors"):
        brought.build(replace(RECIPE, epochs=1, unfreeze_blocks=1), folder)


def test_other_networks_are_refused(folder):
    with pytest.raises(BadRun, match="network=parts"):
        brought.build(replace(RECIPE, network="joined"), folder)


def test_both_inputs_of_a_view_are_augmented_alike():
    """Two inputs of one size that are cut alike stay the same."""
    _, crop = next(iter(Drawn(30).rows()))
    fit = Fit(96, 96, "squash", (96, 96))
    loader = ViewLoader([View(crop, 0, 0), View(crop, 0, 1)], RECIPE, fit=fit)
    plain, augmented = loader.load(0, 0), loader.load(1, 0)
    assert plain.shape == augmented.shape == (192, 96, 3)
    both = augmented[:96].astype(float), augmented[96:].astype(float)
    assert not np.array_equal(plain, augmented)
    assert np.abs(both[0] - both[1]).mean() < np.abs(plain[:96].astype(float) - both[0]).mean() / 2


def clip(folder):
    """A small random CLIP with its weights, as `transformers` saves it."""
    transformers = pytest.importorskip("transformers")
    from test_pretrained_families import clip as clip_model

    torch.manual_seed(11)
    transformers.CLIPModel(clip_model()).eval().save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", clip_config(image_mean=CLIP_MEAN, image_std=CLIP_STD))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("changes", [{}, {"lora_rank": 2}, {"l2_sp": 5.0, "wise_ft": 0.2}], ids=["whole", "lora", "l2"])
def test_weights_of_transformers_are_fine_tuned_and_exported(tmp_path, changes):
    clip(tmp_path / "in")
    recipe = replace(RECIPE, epochs=1, unfreeze_blocks=1, backbone_lr=1e-3, keep_epoch="last", **changes)
    before = brought.build(recipe, tmp_path / "in").extractor.backbone.network.whole.visual_projection.weight
    done = trained(tmp_path / "in", tmp_path / "run", recipe)
    network, _ = run.load(tmp_path / "run")
    after = network.extractor.backbone.network.whole.visual_projection.weight
    assert after.shape == before.shape  # adapters are folded in
    assert not torch.equal(after, before)
    made = done.export(tmp_path / "out.onnx")  # refused unless it gives the network's vectors
    assert made.parts[0].size == 8
