"""Augmentation: random changes of crops that a network should not depend on; pure functions of pixels and a generator.

The same generator gives the same pixels. Shop photos are changed a little, street photos a lot. Evaluation corrupts
photos in its own, fixed way, which differs (``evaluation.corruption``).
"""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from osoroi.records import Box

LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in brightness, ITU-R BT.601."""


@dataclass(frozen=True)
class Augmentation:
    """How far each change goes. Strengths are shares of 1; a probability is how often the change happens at all."""

    exposure: float = 0.35
    contrast: float = 0.35
    saturation: float = 0.3
    white_balance: float = 0.15
    """Strength of the change of each colour channel."""
    box_jitter: float = 0.1
    """Share of its size by which each side of the box moves, at most."""
    rotation: float = 8.0
    """Largest rotation in degrees."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    low_resolution: float = 0.4
    """Probability of fewer pixels, down to a third of each side."""
    jpeg: float = 0.6
    """Probability of a JPEG of quality 25 to 90."""
    occlusion: float = 0.25
    """Probability of a bar of one colour over up to a fifth of the crop."""


STREET = Augmentation()
SHOP = Augmentation(0.08, 0.08, 0.06, 0.04, 0.02, 2.0, 0.5, 0.1, 0.15, 0.0)


def jitter_box(box: Box, width: int, height: int, config: Augmentation, rng: np.random.Generator) -> Box:
    """The box with every side moved by up to ``box_jitter`` of its size, inside the photo, at least one pixel large.

    >>> jitter_box(Box(10, 10, 30, 50), 100, 80, Augmentation(box_jitter=0.0), np.random.default_rng(0))
    Box(left=10, top=10, right=30, bottom=50)
    """
    wide, high = box.right - box.left, box.bottom - box.top
    shift = rng.uniform(-config.box_jitter, config.box_jitter, 4) * [wide, high, wide, high]
    left, top, right, bottom = (round(side) for side in np.array(box) + shift)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return Box(left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height)))


def augment(
    crop: UInt8[np.ndarray, "h w 3"], config: Augmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The crop rotated, flipped, occluded, with other colours, by a lesser camera; of the same size."""
    picture = Image.fromarray(crop)
    angle = rng.uniform(-config.rotation, config.rotation)
    edge = tuple(int(value) for value in np.median(crop[[0, -1]].reshape(-1, 3), axis=0))
    picture = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=edge)
    if rng.random() < config.flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(picture)
    if rng.random() < config.occlusion:
        pixels = occlude(pixels, rng)
    return degrade(jitter_color(pixels, config, rng), config, rng)


def jitter_color(
    pixels: UInt8[np.ndarray, "h w 3"], config: Augmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    r"""In other light: :math:`g\,b_c(\bar p + k(p - \bar p))`, then each pixel towards its grey or away from it.

    g is the exposure, b the white balance, k the contrast.
    """
    gain, contrast = (1 + rng.uniform(-most, most) for most in (config.exposure, config.contrast))
    balance: Float64[np.ndarray, "3"] = 1 + rng.uniform(-config.white_balance, config.white_balance, 3)
    saturation = 1 + rng.uniform(-config.saturation, config.saturation)
    middle = pixels.mean()
    mix = saturation * np.eye(3) + (1 - saturation) * LUMA  # rows: to which channel
    matrix = (gain * contrast * mix * balance).astype(np.float32)
    offset = (gain * (1 - contrast) * middle * (mix @ balance)).astype(np.float32)
    return np.clip(pixels @ matrix.T + offset + 0.5, 0, 255).astype(np.uint8)


def occlude(pixels: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """With a bar of one colour, like a strap, an arm or hair: up to a fifth of the area."""
    height, width, _ = pixels.shape
    high, wide = rng.uniform(0.2, 0.8) * height, width
    wide = min(width, rng.uniform(0.05, 0.2) * height * width / high)
    top, left = int(rng.uniform(0, height - high)), int(rng.uniform(-wide / 2, width - wide / 2))
    covered = pixels.copy()
    covered[top : top + int(high), max(left, 0) : max(left + int(wide), 1)] = rng.integers(0, 256, 3)
    return covered


def degrade(
    pixels: UInt8[np.ndarray, "h w 3"], config: Augmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """By a lesser camera: fewer pixels, and a JPEG."""
    picture = Image.fromarray(pixels)
    size = picture.size
    if rng.random() < config.low_resolution:
        share = rng.uniform(0.33, 0.9)
        fewer = tuple(max(1, round(side * share)) for side in size)
        picture = picture.resize((fewer[0], fewer[1]), Image.Resampling.BILINEAR)
    if rng.random() < config.jpeg:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(25, 91)))
        picture = Image.open(file).convert("RGB")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture).copy()
