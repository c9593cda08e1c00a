"""Translated weights in a model of `transformers`, as a torch module from values to the vector."""

import warnings
from collections.abc import Mapping
from typing import Any

from osoroi.errors import BadEncoder, extra
from osoroi.pretrained.folder import ModelFolder
from osoroi.pretrained.refusals import fields, refused
from osoroi.pretrained.settings import PretrainedSettings
from osoroi.pretrained.translation import open_clip, timm, weights
from osoroi.pretrained.translation.layout import WeightsLayout
from osoroi.pretrained.translation.renaming import Renaming, Translation


def load(folder: ModelFolder, layout: WeightsLayout, settings: PretrainedSettings) -> Any:
    """The image half of a folder's weights for inputs of the settings' size. Raises BadEncoder and BadRequest."""
    return vision(translated(folder, layout, settings), str(folder.weights))


def translated(folder: ModelFolder, layout: WeightsLayout, settings: PretrainedSettings) -> Translation:
    """The image half under the names of `transformers`, which is not needed for it."""
    path = folder.weights
    assert path is not None
    tensors = weights.read(path, layout.prefix)
    with refused(path, "cannot be translated"):
        return _translated(Renaming(tensors, path), layout, settings)


def _translated(names: Renaming, layout: WeightsLayout, settings: PretrainedSettings) -> Translation:
    size = settings.fit.height, settings.fit.width
    pool = None if settings.output.pool == "none" else settings.output.pool
    if layout.library == "open_clip":
        return open_clip.translate(names, layout.config, size, pool)
    config = layout.config
    arguments = fields(config, "model_args", names.path)
    model = timm.TimmModel(str(config["architecture"]), *size, arguments, config.get("global_pool"), pool)
    return timm.translate(names, model)


def vision(translation: Translation, path: str) -> Any:
    """The model with its weights. Raises BadEncoder unless they fill it exactly."""
    transformers = extra("transformers", "train", "transformers")
    kind = getattr(transformers, translation.model)
    with refused(path, f"builds no {translation.model} of transformers", "export it to ONNX"):
        config = kind.config_class(**translation.config)
        whole, outcome = filled(kind, config, translation.tensors, translation.arguments)
    for names, what in (
        (misshapen(outcome), "other shapes than its configuration says"),
        (outcome["missing_keys"], "no weights"),
        (outcome["unexpected_keys"], "weights and no place for them"),
    ):
        if names:
            raise BadEncoder(
                f"{path} has {what} for {weights.listed(list(names))} (names of {translation.model})",
                hint="the weights and their configuration are not of one model",
            )
    with refused(path, "has no linear map behind its model"):
        return _module(whole, translation)


def filled(
    kind: Any, config: Any, tensors: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    """A model of `transformers` with these tensors, ready to run, and which names did not fit. Nothing is printed."""
    transformers = extra("transformers", "train", "transformers")
    import torch

    log = transformers.utils.logging
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verbosity = log.get_verbosity()
        log.set_verbosity_error()
        log.disable_progress_bar()
        try:
            whole, outcome = kind.from_pretrained(
                None, config=config, state_dict=dict(tensors), output_loading_info=True, ignore_mismatched_sizes=True,
                dtype=torch.float32, **arguments,
            )  # fmt: skip
        finally:
            log.set_verbosity(verbosity)
    return whole.eval(), outcome


def misshapen(outcome: Mapping[str, Any]) -> list[str]:
    """The names of weights whose shape did not fit; `transformers` gives names, or names with both shapes.

    >>> misshapen({"mismatched_keys": [("norm.weight", (2,), (3,))]})
    ['norm.weight']
    """
    return [each if isinstance(each, str) else each[0] for each in outcome["mismatched_keys"]]


def _module(whole: Any, translation: Translation) -> Any:
    import torch

    class TranslatedModel(torch.nn.Module):
        """Values to the vector that the weights' own library gives."""

        def __init__(self) -> None:
            super().__init__()
            self.whole = whole
            self.projection = _linear(translation)

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            outputs = self.whole(pixel_values)
            if translation.pool == "cls":
                vector = outputs.last_hidden_state[:, 0]
            elif translation.pool == "mean":
                vector = outputs.last_hidden_state[:, translation.skip :].mean(1)
            else:
                vector = getattr(outputs, translation.pool).flatten(1)
            return self.projection(vector)

    return TranslatedModel().eval()


def _linear(translation: Translation) -> Any:
    """The map behind the model."""
    import torch

    if not translation.projection:
        return torch.nn.Identity()
    weight, bias = translation.projection["weight"], translation.projection.get("bias")
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.load_state_dict(dict(translation.projection))
    return linear
