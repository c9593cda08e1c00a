"""Folders of open_clip and timm give the vectors of the same architecture in `transformers`.

A small random model of `transformers` is written under the names of the other library, in the folder that its hub has;
pixels are made in a few plain steps, of photos that are not square.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

import foreign_weights as foreign
from brought import CLIP_MEAN, CLIP_STD, SIDE, cosines
from conftest import DATA
from osoroi import image
from osoroi.encoder import Encoder
from osoroi.errors import BadEncoder
from osoroi.model import backbones
from osoroi.pretrained import card, check, library
from osoroi.pretrained.folder import open_folder
from osoroi.pretrained.make import Options, make, settings_of
from osoroi.pretrained.model import normalised
from osoroi.recipe import Recipe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

VIT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE,
    "patch_size": 16,
}  # fmt: skip
SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
VISION = {"image_size": SIDE, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16, "mlp_ratio": 2.0}


def randomised(model):
    """Every weight drawn, those that begin as 0 or 1 too, so that each of them matters."""
    torch.manual_seed(9)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            scale = weight[0].numel() ** -0.5 if weight.ndim in (2, 4) and "embed" not in name else 0.4
            weight.copy_(torch.randn_like(weight) * scale + (1.0 if "norm" in name and name.endswith("weight") else 0))
    return model.eval()


def saved(model, folder: Path) -> dict:
    """The weights under the names of files of transformers, whose modules have other names in each version."""
    model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def cut(photo, resized: int, mean, std, side=SIDE):
    """The shorter side resized to a length, the middle cut out as torchvision places it, normalised."""
    height, width = photo.shape[:2]
    size = (resized, int(resized * height / width)) if width <= height else (int(resized * width / height), resized)
    pixels = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    top, left = (round((each - side) / 2) for each in pixels.shape[:2])
    middle = pixels[top : top + side, left : left + side]
    return ((middle - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(2, 0, 1)


def vectors(model, values, field):
    """A field of what the model returns, or of its tokens that of the class or the mean behind some."""
    with torch.inference_mode():
        outputs = model(torch.from_numpy(np.stack(values).astype(np.float32)))
    if field == "cls":
        return outputs.last_hidden_state[:, 0].numpy()
    if isinstance(field, int):
        return outputs.last_hidden_state[:, field:].mean(1).numpy()
    return getattr(outputs, field).flatten(1).numpy()


def deep(encoder):
    crops = [image.crop(photo, None, encoder.preprocessing["street"]) for photo in check.drawn_photos()]
    return encoder.encode(crops)[:, encoder.columns["deep"]]


def clip(activation: str):
    config = transformers.CLIPVisionConfig(**VIT, projection_dim=24, hidden_act=activation)
    model = randomised(transformers.CLIPVisionModelWithProjection(config))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("mlp.fc1.bias"):
                weight.fill_(-1.8)  # where the two activations differ most
            if name.endswith("mlp.fc2.weight"):
                weight.mul_(10)
    return model


def write_clip(folder: Path, model, **config) -> None:
    tensors = foreign.renamed(saved(model, folder.parent / "hf"), foreign.OPEN_CLIP, "visual.")
    tensors["visual.proj"] = tensors["visual.proj"].T
    foreign.write_open_clip(folder, tensors, {"embed_dim": 24, "vision_cfg": VISION} | config)


@pytest.mark.parametrize(("activation", "stated"), [("gelu", {}), ("quick_gelu", {"quick_gelu": True})])
def test_a_vit_of_open_clip_gives_the_vectors_of_clip(tmp_path, activation, stated):
    model = clip(activation)
    write_clip(tmp_path / "in", model, **stated)
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    values = [cut(photo, SIDE, CLIP_MEAN, CLIP_STD) for photo in check.drawn_photos()]
    assert cosines(deep(made.encoder), vectors(model, values, "image_embeds")).min() >= 0.9999
    other = clip("gelu" if activation == "quick_gelu" else "quick_gelu")
    assert cosines(deep(made.encoder), vectors(other, values, "image_embeds")).min() < 0.9999
    assert made.encoder.metadata.backbone["family"] == "open_clip ViT"
    assert "model by transformers" in made.checked


def renormalised(tensors):
    """What a renamed tensor has in timm where transformers has another shape."""
    changed = dict(tensors)
    if "pos_embed" in tensors and tensors["pos_embed"].ndim == 2:
        changed["pos_embed"] = tensors["pos_embed"][None]
    for part in ("weight", "bias"):
        if f"head.attention.in_proj_{part}" in tensors:
            query, both = changed.pop(f"head.attention.in_proj_{part}").split([32, 64])
            changed |= {f"attn_pool.q.{part}": query, f"attn_pool.kv.{part}": both}
    return changed


SIGLIP = [*foreign.SIGLIP, (r"(head\.attention\.in_proj_(?:weight|bias))", r"\1")]


def siglip(activation):
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**VIT, hidden_act=activation))


def vit():
    return transformers.ViTModel(transformers.ViTConfig(**VIT, layer_norm_eps=1e-6), add_pooling_layer=False)


def dinov2(kind="Dinov2", **more):
    config = getattr(transformers, f"{kind}Config")(**VIT | {"mlp_ratio": 2}, **more)
    return getattr(transformers, f"{kind}Model")(config)


def dinov3(**more):
    given = {"num_register_tokens": 4, "query_bias": False, "value_bias": False, "key_bias": False} | more
    return transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**VIT, **given))


def convnext():
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1], layer_norm_eps=1e-6)
    return transformers.ConvNextModel(config)


FAMILIES = {
    "ViT": (vit, foreign.VIT, "vit_base_patch16_224", SMALL, "cls"),
    "DeiT": (vit, foreign.VIT, "deit_base_patch16_224", SMALL, "cls"),
    "SigLIP": (lambda: siglip("gelu"), SIGLIP, "vit_base_patch16_siglip_224", SMALL, "pooler_output"),
    "SigLIP2 with tanh": (
        lambda: siglip("gelu_pytorch_tanh"), SIGLIP, "vit_so400m_patch16_siglip_256", SMALL, "pooler_output"
    ),
    "DINOv2": (dinov2, foreign.DINOV2, "vit_small_patch14_dinov2", SMALL | {"patch_size": 16}, "pooler_output"),
    "DINOv2 with registers": (
        lambda: dinov2("Dinov2WithRegisters"), foreign.DINOV2, "vit_small_patch14_reg4_dinov2",
        SMALL | {"patch_size": 16}, "pooler_output",
    ),
    "DINOv3, mean": (dinov3, foreign.DINOV3, "vit_small_patch16_dinov3", SMALL, 5),
    "DINOv3 with biases, class": (
        lambda: dinov3(query_bias=True, value_bias=True), foreign.DINOV3, "vit_small_patch16_dinov3_qkvb",
        SMALL | {"global_pool": "token"}, "pooler_output",
    ),
    "ConvNeXt": (
        convnext, foreign.CONVNEXT, "convnext_tiny", {"dims": [8, 16, 24, 32], "depths": [1, 2, 1, 1]},
        "pooler_output",
    ),
}  # fmt: skip


def written(folder: Path, family: str):
    """A folder of timm with a family's weights, and the model of transformers that they are of."""
    build, table, architecture, arguments, field = FAMILIES[family]
    model = randomised(build())
    if "registers" in family:
        with torch.no_grad():  # timm has no position for the token of the class there
            model.embeddings.position_embeddings[:, 0] = 0
    tensors = saved(model, folder.parent / "hf")
    tensors = renormalised(foreign.renamed({n: t for n, t in tensors.items() if "mask_token" not in n}, table))
    if "registers" in family:
        tensors["pos_embed"] = tensors["pos_embed"][:, 1:]
    if family in ("ViT", "DeiT"):
        tensors |= {"head.weight": torch.ones(7, 32), "head.bias": torch.ones(7)}
    foreign.write_timm(folder, tensors, architecture, model_args=arguments)
    return model, field


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_timm_gives_the_vectors_of_transformers(tmp_path, family):
    model, field = written(tmp_path / "in", family)
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    values = [cut(photo, math.floor(SIDE / 0.9), *IMAGENET) for photo in check.drawn_photos()]
    assert cosines(deep(made.encoder), vectors(model, values, field)).min() >= 0.9999
    assert made.encoder.metadata.backbone["family"] == FAMILIES[family][2]


def test_fashion_siglip_as_open_clip_has_it(tmp_path):
    """Its real configuration, at its real size, as no smaller one can be stated: beside it the weights of its own
    class, which are not read, and a card."""
    model = randomised(transformers.SiglipVisionModel(transformers.SiglipVisionConfig(hidden_act="gelu")))
    tensors = foreign.renamed(saved(model, tmp_path / "hf"), SIGLIP)
    for part in ("weight", "bias"):
        query, both = tensors.pop(f"head.attention.in_proj_{part}").split([768, 1536])
        tensors |= {f"attn_pool.q.{part}": query, f"attn_pool.kv.{part}": both}
    tensors["pos_embed"] = tensors["pos_embed"][None]
    vision = {
        "image_size": 224, "timm_model_name": "vit_base_patch16_siglip_224", "timm_model_pretrained": False,
        "timm_pool": "map", "timm_proj": "none",
    }  # fmt: skip
    folder = tmp_path / "in"
    config = {"embed_dim": 768, "init_logit_bias": -10, "custom_text": True, "vision_cfg": vision}
    half = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
    foreign.write_open_clip(folder, {f"visual.trunk.{n}": t for n, t in tensors.items()}, config, **half)
    foreign.save_weights(folder / "model.safetensors", {"model.visual.trunk.norm.bias": torch.zeros(768)})
    foreign_config = '{"auto_map": {"AutoModel": "marqo_fashionSigLIP.X"}, "model_type": "siglip"}'
    (folder / "config.json").write_text(foreign_config)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    opened = open_folder(folder)
    settings = settings_of(opened, Options())
    pixels = check.pixels_of(check.drawn_photos(), settings.fit)
    given = [normalised(each, settings.colors) for each in pixels]
    with torch.inference_mode():  # an export of this size takes minutes
        ours = library.load(opened, settings)(torch.from_numpy(np.stack(given))).numpy()
    resized = [Image.fromarray(photo).resize((224, 224), Image.Resampling.BICUBIC) for photo in check.drawn_photos()]
    values = [(np.asarray(each, np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5 for each in resized]
    assert cosines(ours, vectors(model, values, "pooler_output")).min() >= 0.9999
    assert card.licence_of(opened) == "apache-2.0"
    assert opened.model.name == "open_clip_model.safetensors"


REAL = DATA.parent / "weights" / "vit_tiny_patch16_224.safetensors"


@pytest.mark.parametrize("real", [False, True])
def test_our_own_vit_gives_the_same_vectors(tmp_path, real):
    """The backbone that osoroi names, at random and with its public weights: its token of the class."""
    if real and not REAL.is_file():
        pytest.skip(f"needs {REAL.name} in a folder weights/ beside OSOROI_DATA")
    torch.manual_seed(2)
    own: Any = backbones.build("vit_tiny_patch16_224", REAL if real else None)
    tensors = load_file(REAL) if real else dict(own.state_dict())
    half = {"input_size": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3}
    foreign.write_timm(tmp_path / "in", tensors, "vit_tiny_patch16_224", global_pool="token", **half)
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    values = [cut(photo, math.floor(224 / 0.9), 0, 1, side=224) for photo in check.drawn_photos()]
    with torch.inference_mode():
        tokens, _ = own.entering(torch.from_numpy(np.stack(values).astype(np.float32)))
        for block in own.blocks:
            tokens = block(tokens)
        expected = own.norm(tokens)[:, 0].numpy()
    assert cosines(deep(made.encoder), expected).min() >= 0.9999
    assert abs(np.corrcoef(expected)[0, 1]) < 0.999  # photos differ


def test_weights_of_other_shapes_than_stated_are_refused(tmp_path):
    written(tmp_path / "in", "ViT")
    tensors = load_file(tmp_path / "in" / "model.safetensors")
    tensors["blocks.1.mlp.fc1.weight"] = torch.ones(60, 32)
    foreign.save_weights(tmp_path / "in" / "model.safetensors", tensors)
    with pytest.raises(BadEncoder, match="other shapes than its configuration says"):
        make(tmp_path / "in", tmp_path / "out.onnx")


def test_a_folder_of_transformers_that_lacks_weights_is_refused(tmp_path):
    """A model would be filled with random numbers otherwise, and agree with itself."""
    model = transformers.ViTModel(transformers.ViTConfig(**VIT), add_pooling_layer=False)
    model.save_pretrained(tmp_path / "in")
    (tmp_path / "in" / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}}'
    )
    with pytest.raises(BadEncoder, match=r"lacks weights of vit: pooler"):
        make(tmp_path / "in", tmp_path / "out.onnx")


def test_weights_of_open_clip_are_fine_tuned_and_exported(tmp_path):
    from osoroi.training import brought, run
    from test_train_brought import trained

    write_clip(tmp_path / "in", clip("gelu"))
    recipe = Recipe("tiny", image_size=96, dim=8, products=12, folds=2, precision="float32", lr=3e-3)
    recipe = replace(recipe, epochs=1, unfreeze_blocks=1, backbone_lr=1e-3, keep_epoch="last")
    before = brought.build(recipe, tmp_path / "in").extractor.backbone.network.whole.visual_projection.weight
    done = trained(tmp_path / "in", tmp_path / "run", recipe)
    network, _ = run.load(tmp_path / "run")
    after = network.extractor.backbone.network.whole.visual_projection.weight
    assert after.shape == before.shape
    assert not torch.equal(after, before)
    made = done.export(tmp_path / "out.onnx")  # refused unless it gives the network's vectors
    assert isinstance(made, Encoder)
    assert made.metadata.backbone["family"] == "open_clip ViT"
