"""Another colour of a garment: the same cut, folds and pattern, which is the hardest product to tell from it."""

import numpy as np
from PIL import Image

from osoroi.data.synthetic.cloth import COLOURS
from osoroi.image.palette import oklab, srgb

APART = 0.2
"""Least distance in Oklab between the mean colours of a garment and of its other colour."""

FADE = 0.5
"""Share of a deep colour's contrast that remains at least where it becomes pale or dark."""


def recolored(garment: Image.Image, dice: np.random.Generator) -> Image.Image:
    """A garment (RGBA) whose mean colour is another one of ``cloth.COLOURS``, far enough from its own.

    What deviates from the mean deviates as much in the result, its hues turned by one random angle.
    """
    pixels = np.asarray(garment)
    colours = oklab(pixels[..., :3].reshape(-1, 3).astype(float))
    weights = pixels[..., 3].ravel() / 255 + 1e-6
    mean = np.average(colours, axis=0, weights=weights)
    known = oklab(np.array(list(COLOURS.values()), float))
    far = known[np.hypot(*(known - mean)[:, 1:].T) + np.abs(known - mean)[:, 0] > APART]
    wanted = far[int(dice.integers(len(far)))] + dice.normal(0, 0.02, 3)
    angle = float(dice.uniform(0, 2 * np.pi))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    apart = colours - mean
    room = min(wanted[0], 1 - wanted[0]) / max(min(mean[0], 1 - mean[0]), 0.05)
    apart[:, 0] *= np.clip(room, FADE, 1)
    apart[:, 1:] = apart[:, 1:] @ turn.T
    changed = np.clip(np.round(srgb(wanted + apart)), 0, 255).astype(np.uint8).reshape(pixels[..., :3].shape)
    return Image.fromarray(np.concatenate([changed, pixels[..., 3:]], axis=2))
