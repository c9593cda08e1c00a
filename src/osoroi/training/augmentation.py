"""Photos made worse on purpose, so that a network learns what a hasty phone does: pure functions of pixels and a draw.

Everything is drawn from the generator that is given; the same generator gives the same pixels. The shop's photos are
changed a little, the street's a lot. Evaluation corrupts photos in its own, fixed way (``evaluation.corruption``).
"""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from osoroi.records import Box

GREY = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in brightness, ITU-R BT.601."""


@dataclass(frozen=True)
class Wear:
    """How far each change goes. Shares are of 1; a chance is how often the change happens at all."""

    exposure: float = 0.35
    contrast: float = 0.35
    saturation: float = 0.3
    balance: float = 0.15
    box: float = 0.1
    """By which share of its size each side of the box moves, at most."""
    degrees: float = 8.0
    flip: float = 0.5
    low: float = 0.4
    """Chance of a low resolution, down to a third."""
    jpeg: float = 0.6
    """Chance of a JPEG of quality 25 to 90."""
    hidden: float = 0.25
    """Chance that a bar of some other colour hides up to a fifth of the crop."""


STREET = Wear()
SHOP = Wear(0.08, 0.08, 0.06, 0.04, 0.02, 2.0, 0.5, 0.1, 0.15, 0.0)


def moved(box: Box, width: int, height: int, wear: Wear, draw: np.random.Generator) -> Box:
    """The box with every side moved by up to ``wear.box`` of its size, inside the photo, at least one pixel large.

    >>> moved(Box(10, 10, 30, 50), 100, 80, Wear(box=0.0), np.random.default_rng(0))
    Box(left=10, top=10, right=30, bottom=50)
    """
    wide, high = box.right - box.left, box.bottom - box.top
    shift = draw.uniform(-wear.box, wear.box, 4) * [wide, high, wide, high]
    left, top, right, bottom = (round(side) for side in np.array(box) + shift)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return Box(left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height)))


def worn(crop: UInt8[np.ndarray, "h w 3"], wear: Wear, draw: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """The crop turned, flipped, hidden in part, in another light, seen by a lesser camera; of the same size."""
    picture = Image.fromarray(crop)
    angle = draw.uniform(-wear.degrees, wear.degrees)
    edge = tuple(int(value) for value in np.median(crop[[0, -1]].reshape(-1, 3), axis=0))
    picture = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=edge)
    if draw.random() < wear.flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(picture)
    if draw.random() < wear.hidden:
        pixels = _hidden(pixels, draw)
    return _filmed(_lit(pixels, wear, draw), wear, draw)


def _lit(pixels: UInt8[np.ndarray, "h w 3"], wear: Wear, draw: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    r"""In another light: :math:`g\,b_c(\bar p + k(p - \bar p))`, then each pixel towards its grey or away from it."""
    gain, contrast = (1 + draw.uniform(-most, most) for most in (wear.exposure, wear.contrast))
    balance: Float64[np.ndarray, "3"] = 1 + draw.uniform(-wear.balance, wear.balance, 3)
    saturation = 1 + draw.uniform(-wear.saturation, wear.saturation)
    middle = pixels.mean()
    mix = saturation * np.eye(3) + (1 - saturation) * GREY  # rows: to which channel
    matrix = (gain * contrast * mix * balance).astype(np.float32)
    offset = (gain * (1 - contrast) * middle * (mix @ balance)).astype(np.float32)
    return np.clip(pixels @ matrix.T + offset + 0.5, 0, 255).astype(np.uint8)


def _hidden(pixels: UInt8[np.ndarray, "h w 3"], draw: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """With a bar of one colour, as a strap, an arm or hair: up to a fifth of the area."""
    height, width, _ = pixels.shape
    high, wide = draw.uniform(0.2, 0.8) * height, width
    wide = min(width, draw.uniform(0.05, 0.2) * height * width / high)
    top, left = int(draw.uniform(0, height - high)), int(draw.uniform(-wide / 2, width - wide / 2))
    covered = pixels.copy()
    covered[top : top + int(high), max(left, 0) : max(left + int(wide), 1)] = draw.integers(0, 256, 3)
    return covered


def _filmed(pixels: UInt8[np.ndarray, "h w 3"], wear: Wear, draw: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """By a lesser camera: fewer pixels, and a JPEG."""
    picture = Image.fromarray(pixels)
    size = picture.size
    if draw.random() < wear.low:
        share = draw.uniform(0.33, 0.9)
        fewer = tuple(max(1, round(side * share)) for side in size)
        picture = picture.resize((fewer[0], fewer[1]), Image.Resampling.BILINEAR)
    if draw.random() < wear.jpeg:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(draw.integers(25, 91)))
        picture = Image.open(file).convert("RGB")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture).copy()
