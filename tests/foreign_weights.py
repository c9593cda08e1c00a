"""Weights of transformers under the names that open_clip and timm publish, and folders as their hubs have them.

The tables are written from files and code of those libraries, as substitutions; the code under test goes the other way,
name by name.
"""

import json
import re
from pathlib import Path
from typing import Any

from brought import SIDE

Table = list[tuple[str, str]]

CLIP_BLOCKS: Table = [
    (r"encoder\.layers\.(\d+)\.self_attn\.[qkv]_proj\.(weight|bias)", r"transformer.resblocks.\1.attn.in_proj_\2"),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj", r"transformer.resblocks.\1.attn.out_proj"),
    (r"encoder\.layers\.(\d+)\.layer_norm(\d)", r"transformer.resblocks.\1.ln_\2"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc1", r"transformer.resblocks.\1.mlp.c_fc"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc2", r"transformer.resblocks.\1.mlp.c_proj"),
]
OPEN_CLIP: Table = [
    *CLIP_BLOCKS,
    (r"embeddings\.class_embedding", "class_embedding"),
    (r"embeddings\.patch_embedding", "conv1"),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"pre_layrnorm", "ln_pre"),
    (r"post_layernorm", "ln_post"),
    (r"visual_projection\.weight", "proj"),
]
TIMM_ENCODER: Table = [
    (r"encoder\.layers\.(\d+)\.self_attn\.[qkv]_proj", r"blocks.\1.attn.qkv"),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj", r"blocks.\1.attn.proj"),
    (r"encoder\.layers\.(\d+)\.layer_norm(\d)", r"blocks.\1.norm\2"),
    (r"encoder\.layers\.(\d+)\.mlp", r"blocks.\1.mlp"),
]
SIGLIP: Table = [
    *TIMM_ENCODER,
    (r"embeddings\.patch_embedding", "patch_embed.proj"),
    (r"embeddings\.position_embedding\.weight", "pos_embed"),
    (r"post_layernorm", "norm"),
    (r"head\.probe", "attn_pool.latent"),
    (r"head\.attention\.out_proj", "attn_pool.proj"),
    (r"head\.layernorm", "attn_pool.norm"),
    (r"head\.mlp", "attn_pool.mlp"),
]
TOKENS: Table = [
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"embeddings\.register_tokens", "reg_token"),
    (r"encoder\.layer\.(\d+)\.attention\.attention\.(?:query|key|value)", r"blocks.\1.attn.qkv"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense", r"blocks.\1.attn.proj"),
    (r"^layernorm", "norm"),
]
VIT: Table = [
    *TOKENS,
    (r"encoder\.layer\.(\d+)\.layernorm_before", r"blocks.\1.norm1"),
    (r"encoder\.layer\.(\d+)\.layernorm_after", r"blocks.\1.norm2"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense", r"blocks.\1.mlp.fc1"),
    (r"encoder\.layer\.(\d+)\.output\.dense", r"blocks.\1.mlp.fc2"),
]
DINOV2: Table = [
    *TOKENS,
    (r"encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1", r"blocks.\1.ls\2.gamma"),
    (r"encoder\.layer\.(\d+)\.norm(\d)", r"blocks.\1.norm\2"),
    (r"encoder\.layer\.(\d+)\.mlp\.weights_in", r"blocks.\1.mlp.fc1"),
    (r"encoder\.layer\.(\d+)\.mlp\.weights_out", r"blocks.\1.mlp.fc2"),
    (r"encoder\.layer\.(\d+)\.mlp", r"blocks.\1.mlp"),
]
DINOV3: Table = [
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.register_tokens", "reg_token"),
    (r"embeddings\.patch_embeddings", "patch_embed.proj"),
    (r"^layer\.(\d+)\.attention\.[qkv]_proj\.weight", r"blocks.\1.attn.qkv.weight"),
    (r"^layer\.(\d+)\.attention\.([qv])_proj\.bias", r"blocks.\1.attn.\2_bias"),
    (r"^layer\.(\d+)\.attention\.o_proj", r"blocks.\1.attn.proj"),
    (r"^layer\.(\d+)\.layer_scale(\d)\.lambda1", r"blocks.\1.gamma_\2"),
    (r"^layer\.(\d+)\.norm(\d)", r"blocks.\1.norm\2"),
    (r"^layer\.(\d+)\.mlp\.gate_proj", r"blocks.\1.mlp.fc1_g"),
    (r"^layer\.(\d+)\.mlp\.up_proj", r"blocks.\1.mlp.fc1"),
    (r"^layer\.(\d+)\.mlp\.down_proj", r"blocks.\1.mlp.fc2"),
    (r"^norm", "norm"),
]
CONVNEXT: Table = [
    (r"embeddings\.patch_embeddings", "stem.0"),
    (r"embeddings\.layernorm", "stem.1"),
    (r"encoder\.stages\.(\d+)\.downsampling_layer\.(\d)", r"stages.\1.downsample.\2"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.dwconv", r"stages.\1.blocks.\2.conv_dw"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.layernorm", r"stages.\1.blocks.\2.norm"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.pwconv(\d)", r"stages.\1.blocks.\2.mlp.fc\3"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.layer_scale_parameter", r"stages.\1.blocks.\2.gamma"),
    (r"^layernorm", "head.norm"),
]
FUSED = re.compile(r"attention\.(query|key|value)|self_attn\.([qkv])_proj|attention\.([qkv])_proj\.weight")
ORDER = {"query": 0, "key": 1, "value": 2, "q": 0, "k": 1, "v": 2}


def renamed(tensors: dict[str, Any], table: Table, prefix: str = "") -> dict[str, Any]:
    """Tensors under other names; queries, keys and values of one layer become one tensor, in that order."""
    import torch

    groups: dict[str, list[tuple[int, Any]]] = {}
    for name, tensor in tensors.items():
        short = name.removeprefix("vision_model.")
        new = next((re.sub(old, to, short) for old, to in table if re.search(old, short)), None)
        assert new is not None, f"the table has no place for {name}"
        match = FUSED.search(short)
        order = ORDER[next(filter(None, match.groups()))] if match else 0
        groups.setdefault(prefix + new, []).append((order, tensor))
    fused = {name: [tensor for _, tensor in sorted(group, key=lambda each: each[0])] for name, group in groups.items()}
    return {name: torch.cat(group) if len(group) > 1 else group[0].clone() for name, group in fused.items()}


def save_weights(path: Path, tensors: dict[str, Any]) -> None:
    """Write a safetensors file."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def write_timm(folder: Path, tensors: dict[str, Any], architecture: str, **more: Any) -> None:
    """A folder as timm's hub has it; ``more`` are fields of `pretrained_cfg`, and `model_args` and `global_pool`."""
    save_weights(folder / "model.safetensors", tensors)
    config: dict[str, Any] = {"architecture": architecture, "num_classes": 0, "num_features": 32}
    config |= {name: more.pop(name) for name in ("model_args", "global_pool") if name in more}
    pixels = {
        "tag": "in1k", "custom_load": False, "input_size": [3, SIDE, SIDE], "fixed_input_size": True,
        "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225], "num_classes": 0, "pool_size": None, "first_conv": "patch_embed.proj",
        "classifier": "head",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config | {"pretrained_cfg": pixels | more}))


def write_open_clip(folder: Path, tensors: dict[str, Any], config: dict[str, Any], **pixels: Any) -> None:
    """A folder as open_clip's hub has it, with a text half beside the image half."""
    import torch

    text = {"text_projection": torch.zeros(4, 4), "logit_scale": torch.tensor(1.0), "ln_final.weight": torch.ones(4)}
    save_weights(folder / "open_clip_model.safetensors", text | tensors)
    stated = {
        "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic", "resize_mode": "shortest",
    }  # fmt: skip
    text_config = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
    content = {"model_cfg": config | {"text_cfg": text_config}, "preprocess_cfg": stated | pixels}
    (folder / "open_clip_config.json").write_text(json.dumps(content))


def timm_vit(depth: int = 2, width: int = 32, side: int = SIDE) -> dict[str, Any]:
    """Random weights of a small ViT in timm's names, with its classifier."""
    import torch

    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width), "pos_embed": (1, (side // 16) ** 2 + 1, width),
        "patch_embed.proj.weight": (width, 3, 16, 16), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,), "head.weight": (10, width), "head.bias": (10,),
    }  # fmt: skip
    for number in range(depth):
        for name, rows, columns in (("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4)):
            shapes[f"blocks.{number}.{name}.weight"] = (rows * width, columns * width)
            shapes[f"blocks.{number}.{name}.bias"] = (rows * width,)
        for name in ("norm1", "norm2"):
            shapes |= {f"blocks.{number}.{name}.{part}": (width,) for part in ("weight", "bias")}
    torch.manual_seed(5)
    return {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}
