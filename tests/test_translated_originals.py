"""Folders that timm and open_clip write themselves give the vectors of those libraries, where they are installed.

The references are theirs from the photo on: their transforms of a photo that is not square, and their models.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brought import cosines
from osoroi import image
from osoroi.errors import BadEncoder
from osoroi.pretrained import check, library
from osoroi.pretrained.folder import open_folder
from osoroi.pretrained.make import Options, make, settings_of
from osoroi.pretrained.model import normalised
from osoroi.pretrained.translation import open_clip as open_clip_names
from osoroi.pretrained.translation.renaming import Renaming
from osoroi.pretrained.translation.timm import TimmModel, require_known, translate

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
timm = pytest.importorskip("timm")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SMALL = {"embed_dim": 64, "num_heads": 4, "depth": 2}
STAGES = {"dims": (16, 24, 32, 48), "depths": (1, 2, 1, 1)}
SQUARE = {"img_size": 64}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("vit_small_patch16_224", SMALL),
    "ViT, patches of 32": ("vit_base_patch32_224", SMALL),
    "DeiT": ("deit_tiny_patch16_224", SMALL),
    "DeiT III: layer scale, no position of the class": ("deit3_small_patch16_224", SMALL),
    "mean of the patches": ("vit_small_patch16_224", SMALL | {"global_pool": "avg", "fc_norm": False}),
    "CLIP": ("vit_base_patch16_clip_224", SMALL | SQUARE),
    "CLIP of OpenAI": ("vit_base_patch16_clip_quickgelu_224", SMALL | SQUARE),
    "SigLIP": ("vit_base_patch16_siglip_224", SMALL | SQUARE),
    "SigLIP with tanh": ("vit_so400m_patch16_siglip_256", SMALL | SQUARE),
    "SigLIP, mean": ("vit_base_patch16_siglip_gap_224", SMALL | SQUARE),
    "DINOv2": ("vit_small_patch14_dinov2", SMALL | {"img_size": 70}),
    "DINOv2 with registers": ("vit_base_patch14_reg4_dinov2", SMALL | {"img_size": 70}),
    "DINOv2, gated": ("vit_giant_patch14_reg4_dinov2", SMALL | {"img_size": 70, "embed_dim": 96}),
    "DINOv3": ("vit_small_patch16_dinov3", SMALL),
    "DINOv3 with biases, class": ("vit_small_patch16_dinov3_qkvb", SMALL | {"global_pool": "token"}),
    "DINOv3, gated": ("vit_small_plus_patch16_dinov3", SMALL),
    "ConvNeXt": ("convnext_tiny", STAGES),
    "ConvNeXt of convolutions": ("convnext_nano", STAGES),
    "ConvNeXt V2": ("convnextv2_nano", STAGES),
}


def known(name):
    """Whether an architecture of timm is translated."""
    try:
        require_known(name)
    except BadEncoder:
        return False
    return True


def randomised(model):
    """Every weight drawn, those that begin as 0 or 1 too, so that each of them matters."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            drawn = torch.randn_like(weight)
            if weight.ndim < 2:
                weight.copy_(drawn * 0.3 + (1 if "norm" in name and name.endswith("weight") else 0.2))
            elif weight.ndim != 3:
                weight.copy_(drawn * weight[0].numel() ** -0.5)
            else:
                weight.copy_(drawn)
    return model.eval()


def ours(folder: Path, **stated):
    """Vectors of the drawn photos, cut and normalised as the folder's files say, by its translated weights."""
    opened = open_folder(folder)
    settings = settings_of(opened, Options(stated=stated))
    values = [normalised(each, settings.colors) for each in check.pixels_of(check.drawn_photos(), settings.fit)]
    with torch.inference_mode():
        return library.load(opened, settings)(torch.from_numpy(np.stack(values))).numpy()


def theirs(model, transform, *, pooled=False):
    """Vectors of the same photos by a library's own transform and model."""
    photos = torch.stack([transform(Image.fromarray(photo)) for photo in check.drawn_photos()])
    with torch.inference_mode():
        if pooled:
            return model.forward_head(model.forward_features(photos), pre_logits=True).numpy()
        return model.encode_image(photos).numpy()


def deep(encoder):
    crops = [image.crop(photo, None, encoder.preprocessing["street"]) for photo in check.drawn_photos()]
    return encoder.encode(crops)[:, encoder.columns["deep"]]


@pytest.mark.parametrize("case", MODELS)
def test_a_folder_of_timm_gives_its_vectors(tmp_path, case):
    name, arguments = MODELS[case]
    model = randomised(timm.create_model(name, **arguments))
    timm.models._hub.save_for_hf(model, tmp_path / "in", model_args=arguments, safe_serialization=True)
    stated = json.loads((tmp_path / "in" / "config.json").read_text())["pretrained_cfg"]
    data = timm.data.resolve_data_config(pretrained_cfg=stated, use_test_size=True)
    transform = timm.data.create_transform(**data, is_training=False)
    assert cosines(ours(tmp_path / "in"), theirs(model, transform, pooled=True)).min() >= 0.99999
    assert library.family_of(open_folder(tmp_path / "in")) == name


def test_positions_are_resized_as_timm_does_it(tmp_path):
    """A DINOv2 of 140 pixels, brought at 70 by options."""
    wide = randomised(timm.create_model("vit_small_patch14_reg4_dinov2", **SMALL, img_size=140))
    arguments = SMALL | {"img_size": 140}
    timm.models._hub.save_for_hf(wide, tmp_path / "in", model_args=arguments, safe_serialization=True)
    given = ours(tmp_path / "in", height=70, width=70, resize="squash", to=(70, 70))
    wide.set_input_size(img_size=70)
    mean, std = (np.array(wide.pretrained_cfg[name], np.float32)[:, None, None] for name in ("mean", "std"))
    resized = [Image.fromarray(photo).resize((70, 70), Image.Resampling.BICUBIC) for photo in check.drawn_photos()]
    values = [(np.asarray(each, np.float32).transpose(2, 0, 1) / 255 - mean) / std for each in resized]
    with torch.inference_mode():
        expected = wide(torch.from_numpy(np.stack(values))).numpy()
    assert cosines(given, expected).min() >= 0.99999


def skeleton(build):
    """A model without memory for its weights, for their names and shapes."""
    with torch.device("meta"):
        return build()


@pytest.mark.timeout(900)
def test_every_architecture_that_is_known_has_the_names_and_the_numbers_of_timm():
    """All of its functions with such a name: each weight has a place, and what shapes do not say is as there."""
    names = [name for name in timm.list_models() if known(name)]
    assert len(names) > 90
    for name in names:
        model = skeleton(lambda name=name: timm.create_model(name))
        height, width = model.pretrained_cfg["input_size"][1:]
        given = translate(Renaming(dict(model.state_dict()), Path(name)), TimmModel(name, height, width))
        config = given.config
        if name.startswith("convnext"):
            assert config["depths"] == [len(stage.blocks) for stage in model.stages], name
            assert config["layer_norm_eps"] == model.head.norm.eps == model.stages[0].blocks[0].norm.eps, name
            continue
        assert config["num_hidden_layers"] == len(model.blocks), name
        assert config["num_attention_heads"] == model.blocks[0].attn.num_heads, name
        assert config["layer_norm_eps"] == model.norm.eps == model.blocks[0].norm1.eps, name
        act = model.blocks[0].mlp.act
        kind = type(act).__name__ + ("Tanh" if getattr(act, "approximate", "") == "tanh" else "")
        acts = {"GELU": "gelu", "GELUTanh": "gelu_pytorch_tanh", "QuickGELU": "quick_gelu", "SiLU": "silu"}
        if not config.get("use_swiglu_ffn"):  # whose activation transformers does not let anybody choose
            assert config["hidden_act"] == acts[kind], name
        pool = {"token": ("cls", "pooler_output"), "avg": ("mean",), "map": ("pooler_output",)}[model.global_pool]
        assert given.pool in pool, name
        assert given.skip in (0, getattr(model, "num_prefix_tokens", 0)), name


@pytest.mark.timeout(900)
def test_image_halves_of_open_clips_configurations_are_whole_or_refused_by_name():
    """All configurations that come with it: those without a place for a weight would be refused for its name."""
    open_clip = pytest.importorskip("open_clip")
    translated, refused = [], []
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision = config["vision_cfg"]
        if vision.get("timm_model_name") and not known(vision["timm_model_name"]):
            refused.append(name)
            continue
        build = open_clip.model._build_vision_tower
        half = skeleton(lambda v=vision, c=config, b=build: b(c["embed_dim"], dict(v), c.get("quick_gelu", False)))
        size = vision["image_size"] if isinstance(vision["image_size"], int) else vision["image_size"][0]
        try:
            open_clip_names.translate(Renaming(dict(half.state_dict()), Path(name)), config, (size, size), None)
            translated.append(name)
        except BadEncoder as error:
            if "not translated here" not in str(error):
                raise
            refused.append(name)
    assert {"ViT-B-32", "ViT-B-16-SigLIP", "ViT-SO400M-14-SigLIP2", "ViT-bigG-14", "convnext_base_w"} <= set(translated)
    assert {"RN50", "MobileCLIP-S1", "EVA02-B-16", "coca_ViT-B-32"} <= set(refused)
    assert len(translated) > 60, (len(translated), refused)


TEXT = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}
VISION = {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16}
PIXELS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic", "resize_mode": "shortest"}
SIGLIP = {
    "image_size": 224, "timm_model_name": "vit_base_patch16_siglip_224", "timm_model_pretrained": False,
    "timm_pool": "map", "timm_proj": "none",
}  # fmt: skip
CONVNEXT = {"image_size": 64, "timm_model_name": "convnext_atto", "timm_model_pretrained": False}

TOWERS = {
    "ViT": ({"embed_dim": 24, "vision_cfg": VISION | {"head_width": 16}}, PIXELS),
    "ViT of OpenAI": ({"embed_dim": 24, "quick_gelu": True, "vision_cfg": VISION}, PIXELS | {"resize_mode": "squash"}),
    "ViT of other layers": (
        {
            "embed_dim": 24,
            "vision_cfg": VISION
            | {"mlp_ratio": 3.5, "norm_kwargs": {"eps": 1e-3}, "act_kwargs": {"approximate": "tanh"}},
        },
        PIXELS | {"resize_mode": "longest", "fill_color": 90},
    ),
    "SigLIP": ({"embed_dim": 768, "custom_text": True, "vision_cfg": SIGLIP}, PIXELS | {"resize_mode": "squash"}),
    "ConvNeXt and a linear map": (
        {"embed_dim": 24, "vision_cfg": CONVNEXT | {"timm_pool": "", "timm_proj": "linear"}},
        PIXELS | {"interpolation": "bilinear"},
    ),
    "ConvNeXt and a classifier": (
        {"embed_dim": 24, "vision_cfg": CONVNEXT | {"timm_pool": "avg", "timm_proj": None}},
        PIXELS,
    ),
}


def tower(folder: Path, config, pixels):
    """A folder as open_clip pushes it, and its model and transform."""
    open_clip = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    given = {name: value for name, value in config.items() if name != "custom_text"}
    kind = open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP
    model = kind(**given, text_cfg=TEXT).eval()
    randomised(model.visual)
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()},
              folder / "open_clip_model.safetensors")  # fmt: skip
    stated = {"model_cfg": config | {"text_cfg": TEXT}, "preprocess_cfg": pixels}
    (folder / "open_clip_config.json").write_text(json.dumps(stated))
    size = config["vision_cfg"]["image_size"]
    settings = open_clip.transform.PreprocessCfg(size=size, **pixels)
    return model, open_clip.transform.image_transform_v2(settings, is_train=False)


@pytest.mark.parametrize("case", TOWERS)
def test_a_folder_of_open_clip_gives_its_vectors(tmp_path, case):
    model, transform = tower(tmp_path / "in", *TOWERS[case])
    assert cosines(ours(tmp_path / "in"), theirs(model, transform)).min() >= 0.99999


@pytest.mark.parametrize("name", ["fastvit_mci0", "eva02_base_patch16_clip_224"])
def test_other_towers_are_refused_by_their_name_and_read_as_onnx(tmp_path, name):
    """MobileCLIP-S0, and the EVA-02 that jina-clip has: what they need is an export, whose vectors are the tower's."""
    side = 256 if name == "fastvit_mci0" else 224
    vision = {"image_size": side, "timm_model_name": name, "timm_model_pretrained": False, "timm_pool": "avg"}
    vision |= {"timm_proj": None}
    config = {"embed_dim": 32, "custom_text": True, "vision_cfg": vision}
    if name != "fastvit_mci0":
        vision["timm_pool"] = "token"
    model, transform = tower(tmp_path / "in", config, PIXELS | {"mean": [0.0] * 3, "std": [1.0] * 3})
    with pytest.raises(BadEncoder, match=f"{name}.*ONNX"):
        make(tmp_path / "in", tmp_path / "out.onnx")
    (tmp_path / "in" / "visual").mkdir()
    torch.onnx.export(
        model.visual, (torch.zeros(1, 3, side, side),), str(tmp_path / "in" / "visual" / "model.onnx"),
        input_names=["image"], output_names=["embedding"], dynamo=True, opset_version=18, verbose=False,
    )  # fmt: skip
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    assert cosines(deep(made.encoder), theirs(model, transform)).min() >= 0.9999
