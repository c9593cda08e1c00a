"""Draw the saliency map: a photo faded to paper where the encoder's foreground head gives little weight."""

import io

import numpy as np
from jaxtyping import Float32
from PIL import Image

from osoroi import image
from osoroi.records import Box, Preprocessing
from osoroi.server.decoding import ForegroundMap

PAPER = 244.0
"""The grey that places without attention fade to."""
REST = 0.12
"""Share of a faded place that stays, so that one sees what was passed over."""


def draw(
    pixels: image.Photo, box: Box | None, preprocessing: Preprocessing, attention: ForegroundMap, width: int
) -> bytes:
    """A JPEG of the upright photo, at most ``width`` across, faded to paper where there is no attention."""
    scale = min(1.0, width / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.float32)
    weight = REST + (1 - REST) * _spread(attention, input_area(pixels, box, preprocessing), scale, size)[..., None]
    return jpeg(Image.fromarray((weight * small + (1 - weight) * PAPER).clip(0, 255).astype(np.uint8)))


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


def _spread(attention: ForegroundMap, area: Box, scale: float, size: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """The map, its largest value 1, laid where its pixels came from; 0 elsewhere."""
    left, top, right, bottom = (round(side * scale) for side in area)
    inside = (max(1, right - left), max(1, bottom - top))
    peak = max(float(attention.max()), 1e-6)
    laid = Image.fromarray(attention / peak).resize(inside, Image.Resampling.BICUBIC)
    whole = np.zeros((size[1] + inside[1], size[0] + inside[0]), np.float32)  # room for what rounding adds
    whole[top : top + inside[1], left : left + inside[0]] = np.asarray(laid).clip(0, 1)
    return whole[: size[1], : size[0]]


def jpeg(picture: Image.Image) -> bytes:
    """A picture as a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
