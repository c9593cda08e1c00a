"""DINOv3's vision transformers in timm's names: rotary positions, registers, gated layers in the sizes with plus."""

import re
from collections.abc import Mapping
from typing import Any, Final

from osoroi.errors import BadEncoder, BadRequest
from osoroi.pretrained.refusals import integer
from osoroi.pretrained.translation.renaming import Renaming, Translation

KNOWN: Final = re.compile(r"vit_(tiny|small|small_plus|base|large|huge_plus)_patch16_dinov3(_qkvb)?")
SIZES: Final = {
    "tiny": (192, 12, 3), "small": (384, 12, 6), "small_plus": (384, 12, 6), "base": (768, 12, 12),
    "large": (1024, 24, 16), "huge_plus": (1280, 32, 20),
}  # fmt: skip

ARGUMENTS: Final = (
    "embed_dim", "depth", "num_heads", "global_pool", "img_size", "in_chans", "num_classes", "dynamic_img_size",
    "drop_rate", "drop_path_rate",
)  # fmt: skip
POOLS: Final = {"token": "cls", "avg": "mean", "cls": "cls", "mean": "mean"}


def translate(names: Renaming, name: str, arguments: Mapping[str, Any], pool: str) -> Translation:
    """The weights of a model of timm. ``pool`` is `avg`, timm's default, or `token`. Raises BadEncoder, BadRequest."""
    match = KNOWN.fullmatch(name)
    assert match is not None
    strange = sorted(set(arguments) - set(ARGUMENTS))
    if strange:
        raise BadEncoder(f"{name} was made with {strange[0]}", hint="export the model to ONNX and give that file")
    if pool not in POOLS:
        raise BadRequest(f"{name} cannot be pooled by {pool} here", hint="there are cls and mean")
    width, depth, heads = SIZES[match[1]]
    width, depth = integer(arguments, "embed_dim", width, names.path), integer(arguments, "depth", depth, names.path)
    gated, biased = match[1].endswith("plus"), match[2] is not None
    names.require("patch_embed.proj.weight", (width, 3, 16, 16), f"{name} has")
    config = {
        "hidden_size": width, "num_hidden_layers": depth,
        "num_attention_heads": integer(arguments, "num_heads", heads, names.path), "patch_size": 16,
        "layer_norm_eps": 1e-5,
        "intermediate_size": names.rows(f"blocks.0.mlp.fc1{'_g' if gated else ''}.weight"), "rope_theta": 100.0,
        "query_bias": biased, "key_bias": False, "value_bias": biased, "use_gated_mlp": gated,
        "hidden_act": "silu" if gated else "gelu", "num_register_tokens": names.shape("reg_token")[1],
    }  # fmt: skip
    names.move("cls_token", "embeddings.cls_token")
    names.move("reg_token", "embeddings.register_tokens")
    names.fill("embeddings.mask_token", (1, 1, width), like="norm.weight")  # of pretraining alone
    names.layer("patch_embed.proj", "embeddings.patch_embeddings")
    for number in range(depth):
        _block(names, f"blocks.{number}.", f"layer.{number}.", gated=gated, biased=biased)
    names.layer("norm", "norm")
    names.drop("head.weight", "head.bias")
    skip = 1 + int(config["num_register_tokens"])
    return Translation("DINOv3ViTModel", config, names.finish(), "cls" if POOLS[pool] == "cls" else "mean", skip)


def _block(names: Renaming, block: str, to: str, *, gated: bool, biased: bool) -> None:
    names.split(f"{block}attn.qkv.weight", [f"{to}attention.{one}_proj.weight" for one in "qkv"])
    for one in "qv" if biased else "":
        names.move(f"{block}attn.{one}_bias", f"{to}attention.{one}_proj.bias")
    names.layer(f"{block}attn.proj", f"{to}attention.o_proj")
    for number in (1, 2):
        names.layer(f"{block}norm{number}", f"{to}norm{number}")
        names.move(f"{block}gamma_{number}", f"{to}layer_scale{number}.lambda1")
    if gated:
        names.layer(f"{block}mlp.fc1_g", f"{to}mlp.gate_proj")
    names.layer(f"{block}mlp.fc1{'_x' if gated else ''}", f"{to}mlp.up_proj")
    names.layer(f"{block}mlp.fc2", f"{to}mlp.down_proj")
