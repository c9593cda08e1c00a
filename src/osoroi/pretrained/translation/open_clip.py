"""Image halves in open_clip's names: its own ViT, and models of timm with a linear map behind them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from osoroi.errors import BadEncoder, BadRequest
from osoroi.pretrained.refusals import integer
from osoroi.pretrained.translation import timm
from osoroi.pretrained.translation.renaming import Renaming, Translation, fixed_pool, positions
from osoroi.pretrained.translation.weights import listed

DEFAULTS: Final = {"layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16, "image_size": 224}
"""What open_clip takes where a `vision_cfg` does not say."""

INERT: Final = ("patch_dropout", "output_tokens", "final_ln_after_pool", "attn_pooler_queries", "attn_pooler_heads")
"""Fields that do not change the vector: of training, of other outputs, or of a pooling that is refused by its field."""

PLAIN: Final[Mapping[str, Any]] = {
    "attentional_pool": False, "no_ln_pre": False, "pool_type": "tok", "ls_init_value": None, "block_type": None,
    "qk_norm": False, "scaled_cosine_attn": False, "scale_heads": False, "scale_attn_inner": False,
    "scale_attn": False, "scale_fc": False,
}  # fmt: skip
"""Fields by which a ViT would differ from CLIP's, and their values in CLIP's."""


def translate(names: Renaming, config: Mapping[str, Any], size: tuple[int, int], pool: str | None) -> Translation:
    """The image half of a model of open_clip, by the `model_cfg` of its configuration. Raises BadEncoder."""
    vision = config.get("vision_cfg")
    if not isinstance(vision, dict):
        raise BadEncoder(f"nothing says of which architecture {names.path} is", hint="its open_clip_config.json does")
    if vision.get("timm_model_name"):
        return _of_timm(names, vision, size, pool)
    if isinstance(vision.get("layers"), list):
        raise BadEncoder("the image half is a ResNet of open_clip, which is not translated here", hint=timm.instead())
    return _vit(names, config, vision, size, pool)


def _of_timm(names: Renaming, vision: Mapping[str, Any], size: tuple[int, int], pool: str | None) -> Translation:
    """A model of timm, and the linear map behind it: open_clip's own, timm's classifier (`timm_proj` null), or none."""
    form = vision.get("timm_proj", "linear") or ""
    architecture = str(vision["timm_model_name"])
    timm.require_known(architecture)
    if form not in ("linear", "none", ""):
        raise BadEncoder(f"{architecture} with timm_proj={form!r} is not translated here", hint=timm.instead())
    inside = {name: tensor for name, tensor in names.rest.items() if name.startswith("trunk.")}
    linear = _linear({name: names.rest[name] for name in names.rest if name not in inside}, "head.proj.", names)
    inner = Renaming({name.removeprefix("trunk."): tensor for name, tensor in inside.items()}, names.path)
    if not form:
        classifier: dict[str, Any] = {name: inner.rest.pop(name) for name in CLASSIFIERS if name in inner.rest}
        linear = _linear(classifier, "head.fc." if "head.fc.weight" in classifier else "head.", names)
    if any(name in inner.rest for name in CLASSIFIERS) or bool(linear) != (form != "none"):
        has = "has" if linear or form == "none" else "lacks"
        raise BadEncoder(
            f"{names.path} {has} a linear map behind {architecture}, and timm_proj is {form!r}",
            hint="the weights and their configuration are not of one model",
        )
    pooling = vision.get("timm_pool", "avg") or None
    model = timm.TimmModel(architecture, *size, global_pool=pooling, pool=pool)
    return replace(timm.translate(inner, model), projection=linear)


CLASSIFIERS: Final = ("head.weight", "head.bias", "head.fc.weight", "head.fc.bias")
"""What timm has behind the vector of a photo. Within open_clip that is part of the vector, or not there."""


def _linear(tensors: Mapping[str, Any], prefix: str, names: Renaming) -> dict[str, Any]:
    """`weight` and `bias` below a prefix. Raises BadEncoder where there is anything else."""
    strange = [name for name in tensors if name not in (f"{prefix}weight", f"{prefix}bias")]
    if strange:
        raise BadEncoder(
            f"{names.path} has weights that its architecture does not have: {listed(strange)}", hint=timm.instead()
        )
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _vit(
    names: Renaming, config: Mapping[str, Any], vision: Mapping[str, Any], size: tuple[int, int], pool: str | None
) -> Translation:
    """CLIP's ViT, with the token of the class projected."""
    fixed_pool(pool, "a ViT of open_clip")
    given = DEFAULTS | {name: value for name, value in vision.items() if value is not None}
    _require_plain(given)
    width, patch = (integer(given, name, 1, names.path) for name in ("width", "patch_size"))
    layers, head = (integer(given, name, 1, names.path) for name in ("layers", "head_width"))
    dim = integer(config, "embed_dim", 512, names.path)
    side = size[0]
    if size != (side, side):
        raise BadRequest(f"a ViT of open_clip takes square photos here, not {side} x {size[1]}", hint="squash them")
    names.require("conv1.weight", (width, 3, patch, patch), "its configuration says")
    names.require("proj", (width, dim), "its configuration says")
    names.move("conv1.weight", "vision_model.embeddings.patch_embedding.weight")
    names.move("class_embedding", "vision_model.embeddings.class_embedding")
    names.move("positional_embedding", "vision_model.embeddings.position_embedding.weight",
               lambda table: positions(table, 1, (side // patch, side // patch), names.path))  # fmt: skip
    names.layer("ln_pre", "vision_model.pre_layrnorm")
    names.layer("ln_post", "vision_model.post_layernorm")
    names.move("proj", "visual_projection.weight", lambda tensor: tensor.T)
    hidden = names.rows("transformer.resblocks.0.mlp.c_fc.weight")
    for number in range(layers):
        _block(names, f"transformer.resblocks.{number}.", f"vision_model.encoder.layers.{number}.")
    stated = {
        "hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": width // head, "image_size": side, "patch_size": patch,
        "projection_dim": dim, "hidden_act": _activation(config, given),
        "layer_norm_eps": float((given.get("norm_kwargs") or {}).get("eps", 1e-5)),
    }  # fmt: skip
    return Translation("CLIPVisionModelWithProjection", stated, names.finish(), "image_embeds")


def _block(names: Renaming, block: str, to: str) -> None:
    for part in ("weight", "bias"):
        names.split(f"{block}attn.in_proj_{part}", [f"{to}self_attn.{one}_proj.{part}" for one in "qkv"])
    names.layer(f"{block}attn.out_proj", f"{to}self_attn.out_proj")
    names.layer(f"{block}ln_1", f"{to}layer_norm1")
    names.layer(f"{block}ln_2", f"{to}layer_norm2")
    names.layer(f"{block}mlp.c_fc", f"{to}mlp.fc1")
    names.layer(f"{block}mlp.c_proj", f"{to}mlp.fc2")


def _activation(config: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """open_clip's models have the exact GELU; those of OpenAI, and some others, state `quick_gelu`."""
    tanh = (given.get("act_kwargs") or {}).get("approximate") == "tanh"
    return "quick_gelu" if config.get("quick_gelu") else "gelu_pytorch_tanh" if tanh else "gelu"


def _require_plain(given: Mapping[str, Any]) -> None:
    """Raise BadEncoder for a field that makes the ViT another than CLIP's."""
    followed = {*DEFAULTS, *INERT, *PLAIN, "norm_kwargs", "act_kwargs", "pos_embed_type"}
    strange = [name for name in given if name not in followed and not name.startswith("timm_")]
    strange += [name for name, plain in PLAIN.items() if given.get(name, plain) not in (plain, "default")]
    strange += [name for name, known in (("norm_kwargs", {"eps"}), ("act_kwargs", {"approximate"}))
                if set(given.get(name) or ()) - known]  # fmt: skip
    if strange:
        name = strange[0]
        raise BadEncoder(f"a ViT of open_clip with {name}={given[name]!r} is not translated here", hint=timm.instead())
