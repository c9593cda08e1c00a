"""What a worker does with a photo: one function a task, from bytes and plain values to plain values and bytes."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image

from osoroi import image
from osoroi.image import Limits
from osoroi.records import Box, Preprocessing

Attention = Float32[np.ndarray, "y x"]
"""How much the encoder's foreground head weighs each place of its input."""

PAPER = 244.0
"""The grey that places without attention fade to."""
REST = 0.12
"""Share of a faded place that stays, so that one sees what was passed over."""


def run(task: str, photo: bytes, values: Mapping[str, Any], limits: Limits) -> tuple[dict[str, Any], bytes]:
    """Run one task by its name; returns plain values and bytes. Raises BadPhoto."""
    match task:
        case "crop":
            pixels = image.crop(photo, _box(values), _preprocessing(values), limits=limits)
            return {"shape": pixels.shape}, pixels.tobytes()
        case "thumbnail":
            return _thumbnail(photo, int(values["width"]), limits)
        case "saliency":
            attention = np.asarray(values["attention"], np.float32)
            box, preprocessing = _box(values), _preprocessing(values)
            return {}, fade(image.read(photo, limits=limits), box, preprocessing, attention, int(values["width"]))
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
    return {"width": pixels.shape[1], "height": pixels.shape[0]}, _jpeg(small)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def fade(pixels: image.Photo, box: Box | None, preprocessing: Preprocessing, attention: Attention, width: int) -> bytes:
    """A JPEG of the upright photo, at most ``width`` across, faded to paper where there is no attention."""
    scale = min(1.0, width / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.float32)
    weight = REST + (1 - REST) * _spread(attention, input_area(pixels, box, preprocessing), scale, size)[..., None]
    return _jpeg(Image.fromarray((weight * small + (1 - weight) * PAPER).clip(0, 255).astype(np.uint8)))


def input_area(pixels: image.Photo, box: Box | None, preprocessing: Preprocessing) -> Box:
    """The part of a photo that becomes the input: the box with its margin, or without one the photo less its border.

    >>> input_area(np.zeros((100, 80, 3), np.uint8), Box(10, 20, 50, 60), Preprocessing(192, 192, margin=0.25))
    Box(left=0, top=10, right=60, bottom=70)
    """
    height, width = pixels.shape[:2]
    if box is None:
        return image.content(pixels) if preprocessing.trim else Box(0, 0, width, height)
    across, down = preprocessing.margin * (box.right - box.left), preprocessing.margin * (box.bottom - box.top)
    left, top = max(0, round(box.left - across)), max(0, round(box.top - down))
    return Box(left, top, min(width, round(box.right + across)), min(height, round(box.bottom + down)))


def _spread(attention: Attention, area: Box, scale: float, size: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """The map, its largest value 1, laid where its pixels came from; 0 elsewhere."""
    left, top, right, bottom = (round(side * scale) for side in area)
    inside = (max(1, right - left), max(1, bottom - top))
    peak = max(float(attention.max()), 1e-6)
    laid = Image.fromarray(attention / peak).resize(inside, Image.Resampling.BICUBIC)
    whole = np.zeros((size[1] + inside[1], size[0] + inside[0]), np.float32)  # room for what rounding adds
    whole[top : top + inside[1], left : left + inside[0]] = np.asarray(laid).clip(0, 1)
    return whole[: size[1], : size[0]]
