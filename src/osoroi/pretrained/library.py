"""Reference vectors, and graphs of weights without one, by `transformers` where it is installed.

The pixels come from its image processors that use Pillow; nothing is downloaded, and no code of a repository is run.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi.errors import BadEncoder, BadRequest, extra
from osoroi.pretrained.check import Reference, pixels_of
from osoroi.pretrained.folder import ModelFolder
from osoroi.pretrained.model import PretrainedModel, normalised
from osoroi.pretrained.refusals import refused
from osoroi.pretrained.settings import PretrainedSettings
from osoroi.pretrained.translation import network as translation
from osoroi.pretrained.translation import own_names
from osoroi.pretrained.translation.layout import layout_of


def installed(name: str = "transformers") -> bool:
    """Whether a package is installed; it is not imported."""
    return importlib.util.find_spec(name) is not None


def processor_of(folder: ModelFolder) -> Any | None:
    """The image processor that a folder names, in its form for Pillow, or None where `transformers` has none."""
    stated = dict(folder.json("preprocessor_config.json")) or dict(
        folder.json("processor_config.json").get("image_processor", {})
    )
    name = str(stated.pop("image_processor_type", "") or stated.pop("feature_extractor_type", ""))
    name = name.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    kind = getattr(extra("transformers", "train", "transformers"), f"{name}Pil", None) if name else None
    if kind is None or not installed():
        return None
    stated.pop("processor_class", None)
    stated.pop("auto_map", None)
    return kind(**stated)


def values_of(processor: Any, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[Float32[np.ndarray, "3 _ _"]]:
    """What the processor makes of photos, one at a time."""
    pictures = [Image.fromarray(photo) for photo in photos]
    return [np.asarray(processor(each, return_tensors="np")["pixel_values"][0], np.float32) for each in pictures]


def reference(
    folder: ModelFolder,
    model: PretrainedModel,
    photos: list[UInt8[np.ndarray, "_ _ 3"]],
    settings: PretrainedSettings,
) -> Reference | None:
    """Vectors by `transformers`: pixels by its processor, then its model, or the folder's own graph where it has only
    that. None where it is not installed, and for a graph where it has no such processor, whose weights are not even
    loaded then; without a graph the model alone is checked, on our pixels.
    """
    if not installed():
        return None
    processor = processor_of(folder)
    if processor is None and folder.is_graph:
        return None
    network = _network(folder, settings)
    values = [] if processor is None else values_of(processor, photos)
    if network is not None:
        by = "pixels and model by transformers"
        if processor is None:
            values = [normalised(each, settings.colors) for each in pixels_of(photos, settings.fit)]
            by = "model by transformers, pixels as its configuration says"
        vectors = _vectors(network, values)
        return Reference(photos, vectors, by, None if processor is None else values, of_weights=True)
    if len({each.shape for each in values}) != 1:
        return None
    return Reference(photos, model.of_values(np.stack(values)), "pixels by transformers", values)


def unused_weights(folder: ModelFolder, reference: Reference | None) -> list[str]:
    """That weights beside a graph did not check it, and when they do; nothing where they did or there are none."""
    if not folder.is_graph or folder.weights is None or (reference is not None and reference.of_weights):
        return []
    return [
        f"the weights beside the graph, {folder.weights.name}, did not check it: that needs transformers, torch, an "
        "image processor of transformers in the folder, and weights that are read here"
    ]


def _network(folder: ModelFolder, settings: PretrainedSettings) -> Any | None:
    """The weights of a folder as a torch module; None where there are none, or none that can be read beside a graph."""
    if folder.weights is None or not installed("torch"):
        return None
    try:
        return load(folder, settings)
    except (BadEncoder, BadRequest):
        if folder.is_graph:
            return None
        raise


def _vectors(network: Any, values: Sequence[Float32[np.ndarray, "3 _ _"]]) -> Float32[np.ndarray, "b d"]:
    import torch

    with torch.inference_mode():
        rows = [network(torch.from_numpy(each[None])).float().numpy() for each in values]
    return np.concatenate(rows).astype(np.float32)


def load(folder: ModelFolder, settings: PretrainedSettings) -> Any:
    """The vision half of the weights in a folder as a torch module from values of the settings' size to vectors.

    Raises BadRequest and BadEncoder.
    """
    layout = layout_of(folder)
    own = layout.library == "transformers"
    network = own_names.load(folder, settings) if own else translation.load(folder, layout, settings)
    _require_run(network, folder, settings)
    return network


def _require_run(network: Any, folder: ModelFolder, settings: PretrainedSettings) -> None:
    """Raise BadEncoder for a model that cannot run on a photo of the settings' size."""
    import torch

    height, width = settings.fit.height, settings.fit.width
    with refused(str(folder.weights), f"cannot run on a photo of {height} x {width}"), torch.inference_mode():
        network(torch.zeros(1, 3, height, width))


def family_of(folder: ModelFolder) -> str:
    """The family or architecture that a folder's files name, or `unknown`."""
    return folder.model_type or ("" if folder.is_graph else layout_of(folder).family) or "unknown"


def export(folder: ModelFolder, path: Path, settings: PretrainedSettings) -> None:
    """Write the vision half of weights as an ONNX file with the output `image_embeds`."""
    trace(load(folder, settings), path, settings.fit.height, settings.fit.width)


def trace(network: Any, path: Path, height: int, width: int) -> None:
    """Write a torch module from values to vectors as an ONNX file with the output `image_embeds`."""
    extra("onnxscript", "train")
    import torch

    from osoroi.model.export import quiet, shapes_unchecked

    with quiet(), shapes_unchecked(), torch.inference_mode():
        program = torch.onnx.export(
            network, (torch.zeros(2, 3, height, width),), input_names=["pixel_values"], output_names=["image_embeds"],
            opset_version=18, dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), verbose=False,
        )  # fmt: skip
    assert program is not None
    program.save(str(path), external_data=True)
