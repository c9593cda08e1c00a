"""Translated weights in a model of `transformers`, as a torch module from values to the vector."""

import warnings
from typing import Any

from osoroi.errors import BadEncoder, extra
from osoroi.pretrained.folder import ModelFolder
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
    names = Renaming(weights.read(path, layout.prefix), path)
    size = settings.fit.height, settings.fit.width
    pool = None if settings.output.pool == "none" else settings.output.pool
    if layout.library == "open_clip":
        return open_clip.translate(names, layout.config, size, pool)
    config = layout.config
    arguments = config.get("model_args", {})
    model = timm.TimmModel(str(config["architecture"]), *size, arguments, config.get("global_pool"), pool)
    return timm.translate(names, model)


def vision(translation: Translation, path: str) -> Any:
    """The model with its weights. Raises BadEncoder unless they fill it exactly."""
    transformers = extra("transformers", "backbone")
    import torch

    kind = getattr(transformers, translation.model)
    try:
        config = kind.config_class(**translation.config)
    except Exception as error:  # its checks raise errors of another package
        raise BadEncoder(
            f"transformers builds no {translation.model} for {path} ({error})", hint="export it to ONNX"
        ) from error
    log = transformers.utils.logging
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verbosity = log.get_verbosity()
        log.set_verbosity_error()
        log.disable_progress_bar()
        try:
            whole, outcome = kind.from_pretrained(
                None, config=config, state_dict=dict(translation.tensors), output_loading_info=True,
                ignore_mismatched_sizes=True, dtype=torch.float32, **translation.arguments,
            )  # fmt: skip
        finally:
            log.set_verbosity(verbosity)
    wrong = [each if isinstance(each, str) else each[0] for each in outcome["mismatched_keys"]]
    for names, what in ((wrong, "other shapes than its configuration says"), (outcome["missing_keys"], "no weights"),
                        (outcome["unexpected_keys"], "weights and no place for them")):  # fmt: skip
        if names:
            raise BadEncoder(
                f"{path} has {what} for {weights.listed(list(names))} (names of {translation.model})",
                hint="the weights and their configuration are not of one model",
            )
    return _module(whole.eval(), translation)


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
