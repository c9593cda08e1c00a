"""Vision transformers in timm's names: ViT, DeiT, DINOv2, SigLIP and CLIP; and which other architectures are known.

What a configuration leaves out is what timm's own function of that name does: width, depth, heads, activation, pooling.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from osoroi.errors import BadEncoder, BadRequest
from osoroi.pretrained.refusals import integer
from osoroi.pretrained.translation import convnext, dinov3
from osoroi.pretrained.translation.renaming import Renaming, Translation, fixed_pool, positions

SIZES: Final = {
    "tiny": (192, 12, 3), "small": (384, 12, 6), "medium": (512, 12, 8), "base": (768, 12, 12), "large": (1024, 24, 16),
    "so400m": (1152, 27, 16), "huge": (1280, 32, 16), "giantopt": (1536, 40, 16), "giant": (1536, 40, 24),
}  # fmt: skip
"""Width, depth and heads by the word for the size. `giant` is that of DINOv2; others of the name are refused."""

KNOWN: Final = re.compile(
    r"(?P<family>vit|deit3?)_(?P<size>[a-z0-9]+)_patch(?P<patch>\d+)"
    r"_(?P<rest>\d+|(?:reg4_)?dinov2|siglip_(?:gap_)?\d+|clip_(?:quickgelu_)?\d+)"
)
ACTIVATIONS: Final = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "quick_gelu": "quick_gelu"}
TANH: Final = re.compile(
    r"vit_(base_patch32|so400m_patch16|giantopt_patch16)_siglip|vit_large_patch16_siglip_(gap_)?512"
)
"""SigLIPs whose activation in timm is the approximation by tanh; in the others it is the exact GELU."""

ARGUMENTS: Final = (
    "embed_dim", "depth", "num_heads", "act_layer", "global_pool", "img_size", "patch_size", "num_classes", "in_chans",
    "init_values", "no_embed_class", "reg_tokens", "mlp_ratio", "fc_norm", "class_token", "dynamic_img_size",
    "drop_rate", "drop_path_rate",
)  # fmt: skip
"""Arguments of a model that are followed, or that the shapes of the weights show."""


@dataclass(frozen=True)
class TimmModel:
    """Which model: its name in timm, what was passed to that function, its pooling, and the size of its input."""

    architecture: str
    height: int
    width: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    global_pool: str | None = None
    pool: str | None = None


@dataclass(frozen=True)
class TimmShape:
    """What the weights alone do not say."""

    width: int
    depth: int
    heads: int
    activation: str
    prefix: int


def translate(names: Renaming, model: TimmModel) -> Translation:
    """The weights of a model of timm. Raises BadEncoder for other architectures, and for weights that are not of it."""
    name = model.architecture
    require_known(name)
    if name.startswith(convnext.PREFIX):
        fixed_pool(model.pool, name)
        return convnext.translate(names, name, model.arguments)
    if dinov3.KNOWN.fullmatch(name):
        pool = model.pool or model.arguments.get("global_pool") or model.global_pool or "avg"
        return dinov3.translate(names, name, model.arguments, pool)
    match = KNOWN.fullmatch(name)
    assert match is not None
    strange = sorted(set(model.arguments) - set(ARGUMENTS))
    if strange:
        raise BadEncoder(f"{name} was made with {strange[0]}={model.arguments[strange[0]]!r}", hint=instead())
    if "siglip" in name:
        return _siglip(names, model, _shape(names, model, match, prefix=0))
    if "_clip_" in name:
        return _clip(names, model, _shape(names, model, match, prefix=1))
    inner = bool(model.arguments.get("no_embed_class", match["family"] == "deit3" or "reg4" in name))
    return _vit(names, model, _shape(names, model, match, prefix=0 if inner else 1))


def require_known(name: str) -> None:
    """Raise BadEncoder for an architecture that is not translated."""
    match = KNOWN.fullmatch(name)
    known = match is not None and match["size"] in SIZES and (match["size"] != "giant" or "dinov2" in name)
    if not (known or dinov3.KNOWN.fullmatch(name) or convnext.is_known(name)):
        raise BadEncoder(f"timm's {name} is not translated here", hint=instead())


def instead() -> str:
    """What to do with an architecture that is not known."""
    return (
        "known are vit, deit, deit3, dinov2, dinov3, siglip, clip and convnext; of others export the image half to "
        "ONNX, with an input [batch, 3, height, width], and give that file"
    )


def _shape(names: Renaming, model: TimmModel, match: re.Match[str], prefix: int) -> TimmShape:
    width, depth, heads = SIZES[match["size"]]
    given = model.arguments
    activation = given.get("act_layer") or ("gelu_tanh" if TANH.match(model.architecture) else "gelu")
    if "quickgelu" in model.architecture:
        activation = "quick_gelu"
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise BadEncoder(f"{model.architecture} has the activation {activation}", hint=instead())
    width = integer(given, "embed_dim", width, names.path)
    patch = integer(given, "patch_size", int(match["patch"]), names.path)
    names.require("patch_embed.proj.weight", (width, 3, patch, patch), f"{model.architecture} has")
    depth = integer(given, "depth", depth, names.path)
    return TimmShape(width, depth, integer(given, "num_heads", heads, names.path), activation, prefix)


def _config(names: Renaming, model: TimmModel, shape: TimmShape, eps: float) -> dict[str, Any]:
    if model.height != model.width:
        raise BadRequest(
            f"{model.architecture} takes square photos, not {model.height} x {model.width}", hint="give one side twice"
        )
    return {
        "hidden_size": shape.width, "num_hidden_layers": shape.depth, "num_attention_heads": shape.heads,
        "intermediate_size": names.rows("blocks.0.mlp.fc1.weight"), "image_size": model.height,
        "patch_size": names.shape("patch_embed.proj.weight")[-1], "layer_norm_eps": eps,
        "hidden_act": ACTIVATIONS[shape.activation],
    }  # fmt: skip


def _pool(model: TimmModel, default: str) -> str:
    """`token` or `avg`, as an option, the arguments or the configuration say."""
    stated = {"cls": "token", "mean": "avg"}.get(model.pool or "", model.pool)
    pool = str(stated or model.arguments.get("global_pool") or model.global_pool or default)
    if pool not in ("token", "avg"):
        raise BadRequest(f"{model.architecture} cannot be pooled by {pool} here", hint="there are cls and mean")
    return pool


def _table(names: Renaming, config: Mapping[str, Any], prefix: int, path: Path) -> Any | None:
    """Positions [n d], those of the class first, for the grid of the input."""
    table = names.take("pos_embed")
    grid = config["image_size"] // config["patch_size"]
    if table is None:
        return None
    if not table.ndim or table.shape[-1] != config["hidden_size"]:
        raise BadEncoder(
            f"pos_embed of {path} has the shape {list(table.shape)}, and a width of {config['hidden_size']} is needed",
            hint="the weights and their configuration are not of one model",
        )
    return positions(table.reshape(-1, table.shape[-1]), prefix, (grid, grid), path)


def _vit(names: Renaming, model: TimmModel, shape: TimmShape) -> Translation:
    """A ViT with a token of the class; with layer scale, and perhaps registers, it has the form of DINOv2."""
    import torch

    config = _config(names, model, shape, 1e-6)
    scaled = "dinov2" in model.architecture or model.architecture.startswith("deit3")
    registers = "reg4" in model.architecture
    pool = _pool(model, "token")
    table = _table(names, config, shape.prefix, names.path)
    if table is not None:
        before = table.new_zeros(1 - shape.prefix, shape.width)  # the token of the class has no position of its own
        names.moved["embeddings.position_embeddings"] = torch.cat([before, table])[None]
    names.move("cls_token", "embeddings.cls_token")
    names.layer("patch_embed.proj", "embeddings.patch_embeddings.projection")
    if registers:
        config["num_register_tokens"] = names.shape("reg_token")[1]
        names.move("reg_token", "embeddings.register_tokens")
    if scaled:
        names.fill("embeddings.mask_token", (1, shape.width), like="norm.weight")  # of pretraining alone
    gated = scaled and names.shape("blocks.0.mlp.fc1.weight")[0] != names.shape("blocks.0.mlp.fc2.weight")[1]
    for number in range(shape.depth):
        (_dino_block if scaled else _vit_block)(names, f"blocks.{number}.", f"encoder.layer.{number}.", gated)
    names.layer("norm", "layernorm")
    names.drop("head.weight", "head.bias")
    skip = 1 + config.get("num_register_tokens", 0)
    if not scaled:
        arguments = {"add_pooling_layer": False}
        return Translation("ViTModel", config, names.finish(), "cls" if pool == "token" else "mean", skip,
                           arguments=arguments)  # fmt: skip
    ratio, odd = divmod(config.pop("intermediate_size") * (3 if gated else 4), 4 * shape.width)
    if odd:
        raise BadEncoder(f"{model.architecture} has layers that transformers does not build", hint=instead())
    config |= {"mlp_ratio": ratio, "use_swiglu_ffn": gated}
    kind = "Dinov2WithRegistersModel" if registers else "Dinov2Model"
    return Translation(kind, config, names.finish(), "cls" if pool == "token" else "mean", skip)


def _attention(names: Renaming, block: str, to: str) -> None:
    for part in ("weight", "bias"):
        names.split(f"{block}attn.qkv.{part}", [f"{to}attention.attention.{one}.{part}" for one in QKV])
    names.layer(f"{block}attn.proj", f"{to}attention.output.dense")


QKV: Final = ("query", "key", "value")


def _vit_block(names: Renaming, block: str, to: str, _gated: bool) -> None:
    _attention(names, block, to)
    names.layer(f"{block}norm1", f"{to}layernorm_before")
    names.layer(f"{block}norm2", f"{to}layernorm_after")
    names.layer(f"{block}mlp.fc1", f"{to}intermediate.dense")
    names.layer(f"{block}mlp.fc2", f"{to}output.dense")


def _dino_block(names: Renaming, block: str, to: str, gated: bool) -> None:
    _attention(names, block, to)
    for number in (1, 2):
        names.layer(f"{block}norm{number}", f"{to}norm{number}")
        names.move(f"{block}ls{number}.gamma", f"{to}layer_scale{number}.lambda1")
    names.layer(f"{block}mlp.fc1", f"{to}mlp.{'weights_in' if gated else 'fc1'}")
    names.layer(f"{block}mlp.fc2", f"{to}mlp.{'weights_out' if gated else 'fc2'}")


def _encoder(names: Renaming, depth: int) -> None:
    """The blocks of CLIP and SigLIP."""
    for number in range(depth):
        block, to = f"blocks.{number}.", f"vision_model.encoder.layers.{number}."
        for part in ("weight", "bias"):
            names.split(f"{block}attn.qkv.{part}", [f"{to}self_attn.{one}_proj.{part}" for one in "qkv"])
        names.layer(f"{block}attn.proj", f"{to}self_attn.out_proj")
        for number_of_norm in (1, 2):
            names.layer(f"{block}norm{number_of_norm}", f"{to}layer_norm{number_of_norm}")
            names.layer(f"{block}mlp.fc{number_of_norm}", f"{to}mlp.fc{number_of_norm}")


def _siglip(names: Renaming, model: TimmModel, shape: TimmShape) -> Translation:
    """SigLIP of a fixed size: no token of the class, pooled by attention, or by the mean (gap)."""
    import torch

    config = _config(names, model, shape, 1e-6)
    pool = (
        model.arguments.get("global_pool") or model.global_pool or ("avg" if "_gap_" in model.architecture else "map")
    )
    if pool not in ("map", "avg"):
        raise BadEncoder(f"{model.architecture} is pooled by {pool}", hint=instead())
    fixed_pool(model.pool, model.architecture)
    names.layer("patch_embed.proj", "vision_model.embeddings.patch_embedding")
    table = _table(names, config, 0, names.path)
    if table is not None:
        names.moved["vision_model.embeddings.position_embedding.weight"] = table
    _encoder(names, shape.depth)
    names.layer("norm", "vision_model.post_layernorm")
    names.drop("head.weight", "head.bias")
    if pool == "avg":
        return Translation("SiglipVisionModel", config | {"vision_use_head": False}, names.finish(), "mean")
    to = "vision_model.head."
    names.move("attn_pool.latent", f"{to}probe")
    for part in ("weight", "bias"):
        query, rest = names.take(f"attn_pool.q.{part}"), names.take(f"attn_pool.kv.{part}")
        if query is not None and rest is not None:
            names.moved[f"{to}attention.in_proj_{part}"] = torch.cat([query, rest])
    names.layer("attn_pool.proj", f"{to}attention.out_proj")
    names.layer("attn_pool.norm", f"{to}layernorm")
    names.layer("attn_pool.mlp.fc1", f"{to}mlp.fc1")
    names.layer("attn_pool.mlp.fc2", f"{to}mlp.fc2")
    return Translation("SiglipVisionModel", config, names.finish(), "pooler_output")


def _clip(names: Renaming, model: TimmModel, shape: TimmShape) -> Translation:
    """CLIP's image half without its projection, which timm keeps as a classifier that its embeddings leave out."""
    if _pool(model, "token") != "token":
        raise BadRequest(f"{model.architecture} is pooled by the token of the class alone", hint="leave `pool` out")
    config = _config(names, model, shape, 1e-5)
    names.layer("patch_embed.proj", "vision_model.embeddings.patch_embedding", bias=False)
    names.move("cls_token", "vision_model.embeddings.class_embedding", lambda tensor: tensor.flatten())
    table = _table(names, config, 1, names.path)
    if table is not None:
        names.moved["vision_model.embeddings.position_embedding.weight"] = table
    names.layer("norm_pre", "vision_model.pre_layrnorm")
    _encoder(names, shape.depth)
    names.layer("norm", "vision_model.post_layernorm")
    names.drop("head.weight", "head.bias")
    return Translation("CLIPVisionModel", config, names.finish(), "pooler_output")
