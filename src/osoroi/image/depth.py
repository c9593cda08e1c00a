"""Samples of more than 8 bits as samples of 8, in little memory: a photo of 50 megapixels has 400 MB of doubles."""

from typing import Final

import numpy as np
from jaxtyping import UInt8

STRIP: Final = 2**20
"""Samples that are scaled at once."""


def to_eight_bits(samples: np.ndarray, white: float) -> UInt8[np.ndarray, "h w ..."]:
    """Samples from 0 to ``white`` as 0 to 255, rounded.

    >>> to_eight_bits(np.array([[0, 128, 129, 65535]], np.uint16), 65535.0)
    array([[  0,   0,   1, 255]], dtype=uint8)
    """
    scaled = np.empty(samples.shape, np.uint8)
    lines = max(1, STRIP * len(samples) // max(1, samples.size))
    for top in range(0, len(samples), lines):
        strip = samples[top : top + lines].astype(np.float64)
        scaled[top : top + lines] = np.round(strip * (255 / white))
    return scaled
