"""Weights of transformers: exactly the named file, its projection or its tokens; what does not fit is said."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from brought import SIDE, Tokens, save, siglip_config, write_json
from foreign_weights import save_weights
from osoroi.errors import BadEncoder, BadRequest, MissingExtra
from osoroi.pretrained import library, model
from osoroi.pretrained.check import Reference, drawn_photos
from osoroi.pretrained.folder import open_folder
from osoroi.pretrained.make import Options, settings_of
from osoroi.pretrained.translation import network, own_names

torch = pytest.importorskip("torch")

VIT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE,
    "patch_size": 16,
}  # fmt: skip


def opened(folder: Path, file: str | None = None, **stated):
    if not (folder / "preprocessor_config.json").exists():
        write_json(folder / "preprocessor_config.json", siglip_config(image_processor_type="ViTImageProcessor"))
    found = open_folder(folder, file)
    return found, settings_of(found, Options(stated=stated))


def outcome(**keys):
    return {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []} | keys


@pytest.fixture
def vit(tmp_path):
    """A folder that says it is a ViT; its weights are one number each."""
    write_json(tmp_path / "config.json", {"model_type": "vit"})
    save_weights(tmp_path / "model.safetensors", {"layernorm.weight": torch.tensor([1.0])})
    save_weights(tmp_path / "ema.safetensors", {"layernorm.weight": torch.tensor([7.0])})
    return tmp_path


def test_the_named_file_is_what_is_loaded(vit, monkeypatch):
    """The folder's own weights were loaded, and the named file's checksum recorded."""
    given: dict[str, Any] = {}

    class Model:
        @classmethod
        def from_pretrained(cls, path, state_dict, **_more):
            given.update(state_dict, path=path)
            return torch.nn.Identity(), outcome()

    log = SimpleNamespace(get_verbosity=lambda: 1, set_verbosity=id, set_verbosity_error=lambda: 0,
                          disable_progress_bar=lambda: 0)  # fmt: skip
    package = SimpleNamespace(
        CONFIG_MAPPING={"vit": dict}, AutoConfig=SimpleNamespace(from_pretrained=lambda *_a, **_k: 1),
        MODEL_MAPPING={int: Model}, utils=SimpleNamespace(logging=log),
    )  # fmt: skip
    monkeypatch.setattr(own_names, "extra", lambda *_: package)
    monkeypatch.setattr(network, "extra", lambda *_: package)
    own_names.load(*opened(vit, "ema.safetensors"))
    assert given["layernorm.weight"].tolist() == [7.0]
    assert given["path"] is None


def test_the_class_is_that_which_architectures_names(vit):
    """A projection was lost: the family's own model has no place for it."""
    package = SimpleNamespace(MODEL_MAPPING={int: "plain"}, CLIPVisionModelWithProjection="projected", CLIPModel="both")
    for name, expected in (
        ("CLIPVisionModelWithProjection", "projected"), ("CLIPModel", "plain"), (7, "plain"),
        ("BadVisionModelWithProjection", "plain"),
    ):  # fmt: skip
        write_json(vit / "config.json", {"model_type": "vit", "architectures": [name]})
        assert own_names._class(package, 1, open_folder(vit)) == expected
    assert own_names._class(SimpleNamespace(MODEL_MAPPING={int: ("base", "decoder")}), 1, open_folder(vit)) == "base"


def test_what_the_vector_does_not_depend_on_may_be_left_over_or_missing(vit):
    beside = outcome(
        unexpected_keys=["classifier.weight", "text_model.embeddings.weight", "decoder.0.bias", "logit_scale"],
        missing_keys=["text_projection.weight", "stem.bn.num_batches_tracked"],
    )
    own_names._require_whole(beside, "ViTModel", open_folder(vit), pooled=True)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"unexpected_keys": ["visual_projection.weight"]},
            "CLIPVisionModel has no place for: visual_proj",
        ),
        ({"unexpected_keys": ["vision_model.head.probe"]}, "no place for: vision_model.head.probe"),
        ({"missing_keys": ["layernorm.weight"]}, "lacks weights of vit: layernorm.weight"),
        ({"missing_keys": ["pooler.dense.weight"]}, "pooler.dense.weight; give `pool` cls"),
        ({"mismatched_keys": [("layernorm.weight", (1,), (2,))]}, "config.json says for layernorm.weight"),
        ({"mismatched_keys": ["layernorm.bias"]}, "config.json says for layernorm.bias"),
    ],
)
def test_what_does_not_fit_is_named(vit, keys, told):
    with pytest.raises(BadEncoder) as error:
        own_names._require_whole(outcome(**keys), "CLIPVisionModel", open_folder(vit), pooled=True)
    assert told in str(error.value)


def test_a_pooler_may_be_missing_where_tokens_are_taken(vit):
    folder = open_folder(vit)
    own_names._require_whole(outcome(missing_keys=["pooler.dense.weight"]), "ViTModel", folder, pooled=False)
    with pytest.raises(BadEncoder, match="layernorm"):
        own_names._require_whole(outcome(missing_keys=["layernorm.weight"]), "ViTModel", folder, pooled=False)


def test_tokens_are_pooled_as_asked(vit):
    """Tokens 1, 3 and 8 of one photo, the first of the class: cls 1, mean of the patches 5.5."""
    folder, settings = opened(vit, pool="mean")
    tokens = torch.tensor([[[1.0], [3.0], [8.0]]])
    assert own_names._pooled(tokens, folder, own_names._taken(folder, settings)).tolist() == [[5.5]]
    assert own_names._pooled(tokens, folder, own_names._taken(*opened(vit, pool="cls"))).tolist() == [[1.0]]
    assert own_names._pooled(tokens, folder, None).tolist() == [[1.0]]  # a ViT's graphs are pooled so
    maps = torch.tensor([[[[1.0, 3.0], [8.0, 0.0]]]])
    assert own_names._pooled(maps, folder, own_names._taken(folder, settings)).tolist() == [[3.0]]


def test_a_projection_is_not_pooled(vit):
    write_json(vit / "config.json", {"model_type": "clip"})
    with pytest.raises(BadRequest, match="cannot be pooled by cls"):
        own_names._taken(*opened(vit, pool="cls"))
    write_json(vit / "config.json", {"model_type": "siglip_vision_model"})
    with pytest.raises(BadRequest, match="`pool`"):
        own_names._pooled(torch.ones(1, 3, 2), open_folder(vit), None)


def test_without_transformers_the_hint_brings_what_is_needed(vit):
    if library.installed():
        pytest.skip("transformers is installed")
    with pytest.raises(MissingExtra, match=r"pip install transformers 'osoroi\[train\]'"):
        library.load(*opened(vit))


def test_a_graph_without_a_processor_loads_no_weights_and_says_so(vit, monkeypatch):
    """Its weights were loaded, and then not used."""
    write_json(vit / "preprocessor_config.json", siglip_config(image_processor_type="NobodysImageProcessor"))
    save(Tokens().model(), vit / "model.onnx")
    folder, settings = opened(vit)
    loaded = []
    monkeypatch.setattr(library, "installed", lambda *_: True)
    monkeypatch.setattr(library, "extra", lambda *_: SimpleNamespace())
    monkeypatch.setattr(library, "load", lambda *_: loaded.append(1))
    brought = model.cut(model.load(folder.model), settings, folder)
    assert library.reference(folder, brought, drawn_photos(), settings) is None
    assert loaded == []
    assert "model.safetensors, did not check it" in library.unused_weights(folder, None)[0]
    rows = np.ones((1, 2), np.float32)
    assert library.unused_weights(folder, Reference([], rows, "pixels by transformers"))
    assert library.unused_weights(folder, Reference([], rows, "model by transformers", of_weights=True)) == []
    assert library.unused_weights(open_folder(vit, "model.safetensors"), None) == []


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers")


def written(folder: Path, network) -> Path:
    network.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", siglip_config(image_processor_type="ViTImageProcessor"))
    return folder


PHOTO = torch.linspace(-1, 1, 3 * SIDE * SIDE).reshape(1, 3, SIDE, SIDE)


@torch.inference_mode()
def vector(folder: Path, file: str | None = None, **stated):
    return library.load(*opened(folder, file, **stated))(PHOTO).numpy()


@pytest.mark.slow
def test_real_vits(tmp_path, transformers, capfd):
    torch.manual_seed(3)
    one, other = (transformers.ViTModel(transformers.ViTConfig(**VIT)).eval() for _ in range(2))
    written(tmp_path / "one", one)
    written(tmp_path / "other", other)
    (tmp_path / "other" / "model.safetensors").rename(tmp_path / "one" / "ema.safetensors")
    with torch.inference_mode():
        outputs = other(PHOTO)
    found = vector(tmp_path / "one", "ema.safetensors")
    assert np.allclose(found, outputs.pooler_output, atol=1e-5)
    assert np.abs(vector(tmp_path / "one") - found).max() > 0.01
    tokens = outputs.last_hidden_state
    assert np.allclose(vector(tmp_path / "one", "ema.safetensors", pool="cls"), tokens[:, 0], atol=1e-5)
    assert np.allclose(vector(tmp_path / "one", "ema.safetensors", pool="mean"), tokens[:, 1:].mean(1), atol=1e-5)
    plain = transformers.ViTForImageClassification(transformers.ViTConfig(**VIT)).eval()
    written(tmp_path / "plain", plain)
    capfd.readouterr()
    with pytest.raises(BadEncoder, match="`pool` cls"):
        vector(tmp_path / "plain")
    with torch.inference_mode():
        expected = plain.vit(PHOTO).last_hidden_state[:, 0]
    assert np.allclose(vector(tmp_path / "plain", pool="cls"), expected, atol=1e-5)
    assert capfd.readouterr() == ("", "")  # no report of transformers


@pytest.mark.slow
def test_a_real_clip_keeps_its_projection(tmp_path, transformers):
    torch.manual_seed(3)
    config = transformers.CLIPVisionConfig(**VIT, projection_dim=24)
    clip = transformers.CLIPVisionModelWithProjection(config).eval()
    written(tmp_path, clip)
    with torch.inference_mode():
        expected = clip(PHOTO).image_embeds
    assert np.allclose(vector(tmp_path), expected, atol=1e-5)
    assert expected.shape == (1, 24)
    stated = json.loads((tmp_path / "config.json").read_text())
    write_json(tmp_path / "config.json", stated | {"architectures": None})
    with pytest.raises(BadEncoder, match=r"no place for: visual_projection\.weight"):
        vector(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong", [{"hidden_size": "x"}, {"num_attention_heads": 0}, {"hidden_act": "zzz"}, {"image_size": 32}]
)
def test_odd_configurations_of_transformers_are_refused(tmp_path, transformers, wrong):
    written(tmp_path, transformers.ViTModel(transformers.ViTConfig(**VIT)))
    stated = json.loads((tmp_path / "config.json").read_text())
    write_json(tmp_path / "config.json", stated | wrong)
    with pytest.raises(BadEncoder, match=r"safetensors|config\.json"):
        vector(tmp_path)


@pytest.mark.slow
def test_other_real_families(tmp_path, transformers):
    written(tmp_path / "head", transformers.SiglipVisionModel(
        transformers.SiglipVisionConfig(**VIT, vision_use_head=False)))  # fmt: skip
    with pytest.raises(BadRequest, match="`pool`"):
        vector(tmp_path / "head")
    assert vector(tmp_path / "head", pool="mean").shape == (1, 32)
    written(tmp_path / "mae", transformers.ViTMAEModel(transformers.ViTMAEConfig(**VIT)))
    with pytest.raises(BadEncoder, match="at random"):
        vector(tmp_path / "mae")
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4}
    resnet = transformers.ResNetModel(transformers.ResNetConfig(**sizes)).eval()
    written(tmp_path / "resnet", resnet)
    kept = {name: each for name, each in resnet.state_dict().items() if "num_batches" not in name}
    save_weights(tmp_path / "resnet" / "model.safetensors", kept)
    with torch.inference_mode():
        expected = resnet(PHOTO).pooler_output.flatten(1)
    assert np.allclose(vector(tmp_path / "resnet"), expected, atol=1e-5)
