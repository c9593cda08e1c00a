"""The main colours of a part of a photo, as codes that ``swatch.parse`` reads."""

from typing import Final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from osoroi.image.cropping import Photo
from osoroi.image.swatch import RGB

SIDE: Final = 48
"""The part is judged at so many pixels a side."""

MIN_SHARE: Final = 0.1
"""Colours of a smaller share of the part are left out."""

APART: Final = 0.11
"""Colours nearer than this in Oklab are one."""

COLORS: Final = 3
"""Colours of one part at most."""


def palette(photo: Photo, box: tuple[float, float, float, float], *, most: int = COLORS) -> tuple[str, ...]:
    """The main colours inside a box, the most frequent first; a box in pixels of the photo, fractions allowed.

    The ellipse in the middle of the box counts, since its corners show what is behind a garment. Pixels are binned,
    and bins join the nearest more frequent colour within ``APART``.

    >>> photo = np.zeros((40, 40, 3), np.uint8)
    >>> photo[:, :25], photo[:, 25:] = (176, 58, 46), (250, 250, 250)
    >>> palette(photo, (0.0, 0.0, 40.0, 40.0))
    ('#b03a2e', '#fafafa')
    """
    part = Image.fromarray(photo).resize((SIDE, SIDE), Image.Resampling.BOX, box)
    down, across = np.mgrid[:SIDE, :SIDE] * 2 / (SIDE - 1) - 1
    pixels = np.asarray(part)[(down**2 + across**2) <= 1]
    _, members, counts = np.unique(pixels // 24 @ np.array([256, 16, 1]), return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(members.ravel(), pixels[:, channel]) for channel in range(3)], axis=1)
    means = sums / counts[:, None]
    spots = oklab(means)
    colors: list[int] = []  # bins, the most frequent first
    weights: list[int] = []
    for one in np.argsort(-counts, kind="stable"):
        apart = [float(np.linalg.norm(spots[one] - spots[other])) for other in colors]
        if apart and min(apart) < APART:
            weights[int(np.argmin(apart))] += int(counts[one])
        else:
            colors.append(int(one))
            weights.append(int(counts[one]))
    ranked = sorted(range(len(colors)), key=lambda place: -weights[place])
    return tuple(
        code(np.round(means[colors[place]]).astype(np.uint8))
        for place in ranked[:most]
        if weights[place] >= MIN_SHARE * len(pixels)
    )


def code(color: UInt8[np.ndarray, "3"] | RGB) -> str:
    """A colour as ``#rrggbb``.

    >>> code((176, 58, 46))
    '#b03a2e'
    """
    return "#{:02x}{:02x}{:02x}".format(*(int(channel) for channel in color))


def oklab(colors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """sRGB in 0–255 as Oklab: lightness in [0, 1] and two axes of colour, in which distances are as the eye judges.

    Björn Ottosson 2020, https://bottosson.github.io/posts/oklab/.

    >>> oklab(np.array([[255.0, 255, 255], [0, 0, 0]])).round(3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    share = colors / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ TO_CONES.T)
    lab: Float[np.ndarray, "n 3"] = cones @ TO_LAB.T + 0.0
    return lab


def srgb(colors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Oklab as sRGB: the inverse of ``oklab``, in 0–255 for colours that sRGB has, beyond it for others.

    >>> srgb(oklab(np.array([[176.0, 58, 46]]))).round(3).tolist()
    [[176.0, 58.0, 46.0]]
    """
    linear = (colors @ np.linalg.inv(TO_LAB).T) ** 3 @ np.linalg.inv(TO_CONES).T
    share = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
    return 255 * share


TO_CONES: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
