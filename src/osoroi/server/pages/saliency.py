"""What the encoder looked at, as a picture: the garment in its colours, the rest faded to paper."""

import io

import numpy as np
from jaxtyping import Float32
from PIL import Image

from osoroi import image
from osoroi.encoder import Encoder
from osoroi.errors import BadRequest
from osoroi.image import Limits
from osoroi.records import Box, Domain, Preprocessing, Source

PAPER = 244.0
"""The grey that what was not looked at fades to."""
LEFT = 0.12
"""How much of it stays, so that one sees what was passed over."""


def can(encoder: Encoder) -> bool:
    """Whether the encoder says what it looks at."""
    preprocessing = encoder.preprocessing["street"]
    try:
        encoder.foreground(np.full((preprocessing.height, preprocessing.width, 3), 128, np.uint8))
    except BadRequest:
        return False
    return True


def photo(encoder: Encoder, source: Source, box: Box | None, domain: Domain, width: int, limits: Limits) -> bytes:
    """A JPEG of the upright photo, at most ``width`` wide; BadRequest where the encoder pools over everything."""
    preprocessing = encoder.preprocessing[domain]
    attention = encoder.foreground(image.crop(source, box, preprocessing, limits=limits))
    pixels = image.read(source, limits=limits)
    scale = min(1.0, width / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.float32)
    shown = LEFT + (1 - LEFT) * _spread(attention, seen(pixels, box, preprocessing), scale, size)[..., None]
    file = io.BytesIO()
    Image.fromarray((shown * small + (1 - shown) * PAPER).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def seen(pixels: image.Photo, box: Box | None, preprocessing: Preprocessing) -> Box:
    """The part of a photo that an encoder is shown: the box with its margin, or without one the photo less its border.

    >>> seen(np.zeros((100, 80, 3), np.uint8), Box(10, 20, 50, 60), Preprocessing(192, 192, margin=0.25))
    Box(left=0, top=10, right=60, bottom=70)
    """
    height, width = pixels.shape[:2]
    if box is None:
        return image.content(pixels) if preprocessing.trim else Box(0, 0, width, height)
    across, down = preprocessing.margin * (box.right - box.left), preprocessing.margin * (box.bottom - box.top)
    left, top = max(0, round(box.left - across)), max(0, round(box.top - down))
    return Box(left, top, min(width, round(box.right + across)), min(height, round(box.bottom + down)))


def _spread(
    attention: Float32[np.ndarray, "y x"], area: Box, scale: float, size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """The map, its largest value 1, laid where its pixels came from; 0 elsewhere."""
    left, top, right, bottom = (round(side * scale) for side in area)
    inside = (max(1, right - left), max(1, bottom - top))
    peak = max(float(attention.max()), 1e-6)
    laid = Image.fromarray(attention / peak).resize(inside, Image.Resampling.BICUBIC)
    whole = np.zeros((size[1] + inside[1], size[0] + inside[0]), np.float32)  # room for what rounding adds
    whole[top : top + inside[1], left : left + inside[0]] = np.asarray(laid).clip(0, 1)
    return whole[: size[1], : size[0]]
