"""What a worker does with a photo: one function a task, from bytes and plain values to plain values and bytes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from osoroi import image
from osoroi.image import Limits
from osoroi.records import Box, Preprocessing
from osoroi.server.decoding import saliency
from osoroi.server.decoding.saliency import jpeg


def run(task: str, photo: bytes, values: Mapping[str, Any], limits: Limits) -> tuple[dict[str, Any], bytes]:
    """Run one task by its name; returns plain values and bytes. Raises BadPhoto."""
    match task:
        case "crop":
            pixels = image.crop(photo, _box(values), _preprocessing(values), limits=limits)
            return {"shape": pixels.shape}, pixels.tobytes()
        case "reduced":
            small = image.reduced(photo, int(values["side"]), limits=limits)
            head = {"factor": small.factor, "width": small.width, "height": small.height}
            return {"shape": small.photo.shape, **head}, small.photo.tobytes()
        case "thumbnail":
            return _thumbnail(photo, int(values["width"]), limits)
        case "saliency":
            attention = np.asarray(values["attention"], np.float32)
            box, preprocessing = _box(values), _preprocessing(values)
            return {}, saliency.draw(
                image.read(photo, limits=limits), box, preprocessing, attention, int(values["width"])
            )
    raise ValueError(f"no task is called {task!r}")


def _box(values: Mapping[str, Any]) -> Box | None:
    return None if values["box"] is None else Box(*values["box"])


def _preprocessing(values: Mapping[str, Any]) -> Preprocessing:
    return Preprocessing.of(values["preprocessing"])


def _thumbnail(photo: bytes, width: int, limits: Limits) -> tuple[dict[str, Any], bytes]:
    pixels = image.read(photo, limits=limits)
    across = min(width, pixels.shape[1])
    size = (across, max(1, round(pixels.shape[0] * across / pixels.shape[1])))
    small = Image.fromarray(pixels).resize(size, image.cropping.RESAMPLING, None, image.cropping.GAP)
    return {"width": pixels.shape[1], "height": pixels.shape[0]}, jpeg(small)
