"""An area of a picture -> the input of a pretrained backbone, pixel for pixel as the backbone's own library makes it.

A picture is resized whole and cut then, because Pillow rounds differently where it resizes the cut alone (by up to 5 of
255 on noise). Of a very long photo the cut alone is resized, so that it costs no more than a square one.
"""

from math import ceil
from typing import Final

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from osoroi.records import Fit, Placement, ResamplingFilter

FILTERS: Final[dict[ResamplingFilter, Image.Resampling]] = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


WHOLE_PX: Final = 4_000_000
"""Most pixels of a resized picture before it is cut; of a larger one only the cut is resized."""


def fit(
    picture: Image.Image, area: tuple[int | float, int | float, int | float, int | float], how: Fit
) -> UInt8[np.ndarray, "h w 3"]:
    """The input that ``how`` describes, of an area (left, top, right, bottom) of an RGB picture.

    >>> wide = Image.new("RGB", (80, 40), (10, 20, 30))
    >>> padded = fit(wide, (0, 0, 80, 40), Fit(8, 8, "longest", (8, 8), fill=(255, 255, 255)))
    >>> padded[:, 0, 0].tolist()
    [255, 255, 10, 10, 10, 10, 255, 255]
    """
    left, top, right, bottom = area
    across, down = resized(right - left, bottom - top, how)
    columns, rows = window(across, how.width, how.placement), window(down, how.height, how.placement)
    output = np.empty((how.height, how.width, 3), np.uint8)
    output[:] = how.fill
    used = (columns[2] - columns[1], rows[2] - rows[1])
    if across * down <= WHOLE_PX:
        whole = np.asarray(picture.resize((across, down), FILTERS[how.resample], area))
        pixels = whole[rows[1] : rows[2], columns[1] : columns[2]]
    else:
        (first, end), (upper, lower) = _source(columns, left, right, across), _source(rows, top, bottom, down)
        pixels = np.asarray(picture.resize(used, FILTERS[how.resample], (first, upper, end, lower)))
    output[rows[0] : rows[0] + used[1], columns[0] : columns[0] + used[0]] = pixels
    return output


def resized(width: int | float, height: int | float, how: Fit) -> tuple[int, int]:
    """Width and height of an area after it is resized, before it is cut or padded; at least one pixel.

    >>> resized(200, 100, Fit(64, 64, "shortest", (72, 0))), resized(200, 100, Fit(64, 64, "longest", (64, 64)))
    ((144, 72), (64, 32))
    """
    first, second = how.to
    if how.resize == "squash":
        return second, first
    if how.resize == "none":
        return max(1, round(width)), max(1, round(height))
    if how.resize == "longest":
        if how.placement == "round":
            ratio = max(height / first, width / second)
            return max(1, round(width / ratio)), max(1, round(height / ratio))
        scale = min(first / height, second / width)
        return max(1, int(width * scale)), max(1, int(height * scale))
    shorter: float = first
    if second and max(width, height) / min(width, height) * shorter > second:
        shorter = second * min(width, height) / max(width, height)
    longer = int(shorter * max(width, height) / min(width, height))
    sides = max(1, round(shorter)), max(1, longer)
    return sides if width <= height else (sides[1], sides[0])


def window(length: int, wanted: int, placement: Placement) -> tuple[int, int, int]:
    """Along one side: where the picture begins in the input, and the first and the end of its pixels that are used.

    >>> window(10, 4, "floor"), window(5, 8, "floor"), window(5, 8, "corner")
    ((0, 3, 7), (2, 0, 5), (0, 0, 5))
    """
    if placement == "corner":
        return 0, 0, min(length, wanted)
    if length >= wanted:
        first = round((length - wanted) / 2) if placement == "round" else (length - wanted) // 2
        return 0, first, first + wanted
    before = (wanted - length) // 2 if placement == "round" else ceil((wanted - length) / 2)
    return before, 0, length


def _source(
    used: tuple[int, int, int], first: int | float, end: int | float, length: int
) -> tuple[int | float, int | float]:
    """Where the used pixels of a resized side lie in the picture itself."""
    step = (end - first) / length
    return first + used[1] * step, min(end, first + used[2] * step)
