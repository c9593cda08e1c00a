"""Cloth: a colour, a second one, and how a pattern divides them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "h w"]
Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "black": (34, 33, 36),
    "white": (240, 239, 235),
    "grey": (146, 148, 152),
    "navy": (32, 42, 82),
    "blue": (44, 92, 178),
    "light blue": (158, 194, 224),
    "teal": (22, 118, 122),
    "green": (42, 122, 68),
    "olive": (108, 110, 62),
    "yellow": (236, 198, 62),
    "orange": (226, 116, 40),
    "red": (194, 32, 42),
    "burgundy": (112, 24, 46),
    "pink": (232, 158, 178),
    "purple": (106, 66, 142),
    "beige": (212, 190, 158),
    "brown": (112, 74, 48),
    "cream": (242, 230, 204),
}
"""Names of colours in shops, in sRGB."""

TOP = (0.0, 0.95)
"""Centre of a print on the chest."""


@dataclass(frozen=True)
class Cloth:
    """The material of a garment. ``size`` is the pattern's period in heads; ``motif`` chooses among prints."""

    main: Colour
    second: Colour = (240, 239, 235)
    pattern: str = "plain"
    size: float = 0.3
    motif: int = 0
    weave: float = 0.0

    def share(self, u: Plane, v: Plane, blur: float) -> Plane:
        """How much of the second colour is at places on the cloth, in heads; edges are ``blur`` heads wide."""
        return PAINTERS[self.pattern](self, u, v, blur)


def darker(colour: Colour, *shares: float) -> Colour:
    """The same colour at a share of its light, or at one for each channel.

    >>> darker((100, 200, 50), 0.5)
    (50, 100, 25)
    """
    red, green, blue = (int(c * k) for c, k in zip(colour, shares * (3 // len(shares)), strict=True))
    return red, green, blue


def step(distance: Plane, blur: float) -> Plane:
    """1 inside, where the distance is negative; a soft edge so wide."""
    return np.clip(0.5 - distance / blur, 0, 1)


def wave(x: Plane, period: float, filled: float, blur: float) -> Plane:
    """Bars: 1 for a share ``filled`` of each period."""
    return step(np.abs(x / period - np.round(x / period)) * period - filled * period / 2, blur)


def plain(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    return np.zeros_like(u)


def stripes(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    return wave(v, cloth.size, 0.5, blur)


def pinstripes(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    return wave(u, cloth.size * 0.6, 0.2, blur)


def breton(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    return wave(v, cloth.size * 0.7, 0.3, blur) * step(0.55 - v, blur)


def gingham(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    return 0.5 * wave(u, cloth.size * 0.8, 0.5, blur) + 0.5 * wave(v, cloth.size * 0.8, 0.5, blur)


def checks(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    """Tartan: broad bars and thin lines both ways."""
    broad = 0.35 * (wave(u, cloth.size * 2, 0.4, blur) + wave(v, cloth.size * 2, 0.4, blur))
    thin = np.maximum(
        wave(u + cloth.size, cloth.size * 2, 0.07, blur), wave(v + cloth.size, cloth.size * 2, 0.07, blur)
    )
    return np.maximum(broad, 0.9 * thin)


def dots(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    a, b = (u + v) / cloth.size, (u - v) / cloth.size
    a, b = a - np.round(a), b - np.round(b)
    return step((np.sqrt(a * a + b * b) - 0.27) * cloth.size / 1.41, blur)


def flowers(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    """Five petals in every cell of a grid, each turned, moved and sized by a hash of its cell.

    With c the cosine of the angle about the middle, 16c⁵ - 20c³ + 5c is that of five times the angle.
    """
    i, j = np.round(u / cloth.size), np.round(v / cloth.size)
    chance = np.abs(np.sin(i * 12.9898 + j * 78.233 + cloth.motif))
    x, y = u - (i + 0.3 * chance - 0.15) * cloth.size, v - (j + 0.2 - 0.4 * chance) * cloth.size
    far = np.sqrt(x * x + y * y) + 1e-6
    c = (x * chance + y * np.sqrt(1 - chance * chance)) / far
    petals = step(far - cloth.size * (0.21 + 0.1 * chance) * (0.7 + 0.4 * c * (5 - c * c * (20 - 16 * c * c))), blur)
    return petals * (1 - 0.7 * step(far - 0.07 * cloth.size, blur))


def blocks(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    """Two halves, parted across, aslant or down the middle."""
    return step(((1.15 - v), (1.2 - v + 0.7 * u), u)[cloth.motif % 3], blur)


def prints(cloth: Cloth, u: Plane, v: Plane, blur: float) -> Plane:
    """One motif on the chest."""
    x, y = (u - TOP[0]) / 0.4, (v - TOP[1]) / 0.4
    far, angle = np.hypot(x, y), np.arctan2(x, -y)
    turn = np.abs(np.mod(angle * 5 / (2 * np.pi), 1) - 0.5)
    motifs = (
        far * (1 + 0.9 * (0.5 - turn)) - 0.95,  # a star
        np.abs(far - 0.72) - 0.2,  # a ring
        np.hypot(x, y * 1.1 - 0.1 + 0.72 * np.sqrt(np.abs(x) + 1e-6) - 0.35) - 0.8,  # a heart, upside down below
        np.maximum(np.abs(y) - 0.32, np.abs(np.abs(np.mod(x, 0.5) - 0.25) - 0.1) - 0.07)
        + 3 * (np.abs(x) > 1),  # letters
        np.maximum(y - 0.6, np.abs(x) * 1.3 - 0.7 - y + 0.2 * np.sin(9 * x)),  # a mountain
        np.minimum(
            far - 0.5, np.maximum(np.abs(np.mod(angle * 12 / (2 * np.pi), 1) - 0.5) - 0.22, far - 0.95)
        ),  # a sun
    )
    return step(motifs[cloth.motif % len(motifs)] * 0.4, blur)


PAINTERS = {
    "plain": plain,
    "stripes": stripes,
    "pinstripes": pinstripes,
    "breton": breton,
    "checks": checks,
    "gingham": gingham,
    "dots": dots,
    "flowers": flowers,
    "print": prints,
    "blocks": blocks,
}
"""Pattern -> the share of the second colour at a place."""
