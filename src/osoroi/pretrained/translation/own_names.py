"""Weights under the names of `transformers` itself, of exactly the file that was chosen, as a torch module."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from osoroi.errors import BadEncoder, BadRequest, extra
from osoroi.pretrained import output
from osoroi.pretrained.folder import ModelFolder
from osoroi.pretrained.refusals import NOT_OF_ONE_MODEL, refused
from osoroi.pretrained.settings import PretrainedSettings, VectorOutput
from osoroi.pretrained.translation import network, weights
from osoroi.pretrained.translation.renaming import fixed_pool

PROJECTED: Final = ("clip", "chinese_clip", "siglip", "siglip2", "metaclip_2", "blip", "align")
"""Families of photos and text, whose vector of a photo is `get_image_features`."""

AT_RANDOM: Final = ("vit_mae",)
"""Families that leave out patches at random whenever they run."""

BESIDE: Final = ("text_model.", "text_projection", "logit_", "embeddings.mask_token")
"""How names of weights begin that have no part in the vector of a photo."""

HEADS: Final = (
    "classifier", "cls_classifier", "distillation_classifier", "itm_head", "lm_head", "decode_head",
    "auxiliary_head", "segmentation_head", "decoder", "mask_token", "text_model", "text_encoder", "text_decoder",
    "text_projection", "text_proj", "text_embeddings", "logit_scale", "logit_bias",
)  # fmt: skip
"""How names begin of what a file may have beyond the model that gives the vector: heads of tasks, and text halves."""

BUFFERS: Final = (".num_batches_tracked", ".position_ids", ".relative_position_index", ".mask_token")
"""How names end of what has no part in the vector, or follows from the configuration."""


def load(folder: ModelFolder, settings: PretrainedSettings) -> Any:
    """The image half of a folder's weights. Raises BadEncoder and BadRequest."""
    transformers = extra("transformers", "train", "transformers")
    path, place = folder.weights, folder.path("config.json")
    assert path is not None
    if folder.model_type not in transformers.CONFIG_MAPPING or place is None:
        raise BadRequest(
            f"transformers has no model of the type {folder.model_type!r}", hint="export the model to ONNX"
        )
    if folder.model_type in AT_RANDOM:
        raise BadEncoder(
            f"{path} is of {folder.model_type}, which leaves out patches at random",
            hint="export its encoder without masks to ONNX and give that file",
        )
    with refused(place, "cannot be followed by transformers"):
        config = transformers.AutoConfig.from_pretrained(place.parent, local_files_only=True, trust_remote_code=False)
        kind = _class(transformers, config, folder)
    tensors = weights.read(path, "", beside=BESIDE)
    with refused(path, "cannot be loaded by transformers"):
        whole, outcome = network.filled(kind, config, tensors, {})
    taken = _taken(folder, settings)
    _require_whole(outcome, kind.__name__, folder, pooled=taken is None)
    return _vision(whole, folder, taken)


def _class(transformers: Any, config: Any, folder: ModelFolder) -> Any:
    """The class of the model: that with a projection where `architectures` names one, else the family's model."""
    stated = folder.config.get("architectures")
    name = stated[0] if isinstance(stated, list) and stated else ""
    if isinstance(name, str) and "Vision" in name and name.endswith("WithProjection") and hasattr(transformers, name):
        return getattr(transformers, name)
    kind = transformers.MODEL_MAPPING[type(config)]
    return kind[0] if isinstance(kind, tuple) else kind


def _taken(folder: ModelFolder, settings: PretrainedSettings) -> output.PooledOutput | None:
    """How tokens become the vector where `pool` says so; None where the model's own vector is taken."""
    pool = settings.output.pool
    if pool in (None, "none"):
        return None
    if folder.model_type in PROJECTED or "WithProjection" in str(folder.config.get("architectures")):
        fixed_pool(pool, f"{folder.model_type} with a projection")
    return output.PooledOutput(output.TOKENS, 3, str(pool), output.skipped(settings.output, folder))


def _require_whole(outcome: Mapping[str, Collection[Any]], kind: str, folder: ModelFolder, *, pooled: bool) -> None:
    """Raise BadEncoder unless the file has each weight that the vector depends on, and nothing unknown."""
    missing = [name for name in outcome["missing_keys"] if not name.startswith(BESIDE) and not name.endswith(BUFFERS)]
    pooler = [name for name in missing if "pooler." in name]
    hint = "they would be random; export the output that you want to ONNX and give that file"
    if pooler:
        hint = "give `pool` cls (the token of the class) or mean if the model was trained without a pooler"
    if not pooled:
        missing = [name for name in missing if name not in pooler]
    for names, what, advice in (
        (network.misshapen(outcome), f"has other shapes than {folder.path('config.json')} says for", NOT_OF_ONE_MODEL),
        (missing, f"lacks weights of {folder.model_type}:", hint),
        (_unknown(outcome["unexpected_keys"]), f"has weights that {kind} has no place for:",
         "if they are part of the vector, name the model's class as `architectures` in config.json or export to ONNX"),
    ):  # fmt: skip
        if names:
            raise BadEncoder(f"{folder.weights} {what} {weights.listed(list(names))}", hint=advice)


def _unknown(names: Collection[str]) -> list[str]:
    """Those of the names that are of no head and no text half.

    >>> _unknown(["classifier.weight", "text_model.final_layer_norm.bias", "visual_projection.weight"])
    ['visual_projection.weight']
    """
    return [name for name in names if name.split(".")[0] not in HEADS and not name.endswith(BUFFERS)]


def _vision(whole: Any, folder: ModelFolder, taken: output.PooledOutput | None) -> Any:
    import torch

    class Vision(torch.nn.Module):
        """Values to the vector that the family's own code calls that of a photo, or to one of its tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.whole = whole

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            if folder.model_type in PROJECTED:
                features = self.whole.get_image_features(pixel_values=pixel_values)
                return features if isinstance(features, torch.Tensor) else features.pooler_output
            outputs = self.whole(pixel_values=pixel_values)
            if taken is None:
                own = getattr(outputs, "image_embeds", None)
                own = getattr(outputs, "pooler_output", None) if own is None else own
                if own is not None:
                    return own.flatten(1)
            return _pooled(outputs.last_hidden_state, folder, taken)

    return Vision().eval()


def _pooled(tokens: Any, folder: ModelFolder, taken: output.PooledOutput | None) -> Any:
    """One vector of tokens [b t d] or maps [b d h w], as stated, else as the family's graphs are pooled."""
    stated = VectorOutput(pool=None if taken is None else taken.pool)
    how = output.vector_of(output.TOKENS, tokens.shape, stated, folder)
    if how.rank == 4:
        return tokens.mean((2, 3))
    skip = how.skip if taken is None else taken.skip
    return tokens[:, 0] if how.pool == "cls" else tokens[:, skip:].mean(1)
