"""sRGB to CIE Lab, where equal distances look about equally far apart; and color constancy by shades of gray."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
"""Linear sRGB to XYZ; each row is divided by its sum, the white point D65."""

TO_LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
"""f(X), f(Y), f(Z) to L + 16, a and b."""

DARKEST = 0.04045
KNEE = 6 / 29
"""Where the straight pieces of sRGB and of Lab end. A straight piece is added below the end, since choosing between
both pieces takes ONNX Runtime as long as the curve."""

SRGB_SCALE = (12.92 / 1.055**2.4) ** (1 / 1.4)
XYZ_SCALE = (3 * KNEE**2) ** -1.5
"""Factors before the curves of sRGB and of Lab with which their straight pieces have a slope of 1."""

NORM, WHITE, DARK = 6, 0.9, 1e-3
"""Of ``shades_of_gray``: the norm that Finlayson and Trezzi found best, the value that the light's own colour is mapped
to, and the least divisor, for black photos."""


def lab(images: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    r"""CIE 1976 L*a*b* of sRGB in [0, 1]: L in [0, 100], a and b within about [-110, 110]; greys have a = b = 0.

    .. math:: L = 116 f(Y) - 16, \; a = 500 (f(X) - f(Y)), \; b = 200 (f(Y) - f(Z))

    with f(t) = t^(1/3), continued by its tangent below (6/29)^3. IEC 61966-2-1 and CIE 15:2004, white point D65.

    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> [round(value, 1) for value in lab(red).flatten().tolist()]
    [53.2, 80.1, 67.2]
    """
    found = lab_coordinates(images.flatten(-2), torch.ones(1, 1, device=images.device))
    return torch.unflatten(found, -1, images.shape[-2:])


def lab_coordinates(
    colours: Float[Tensor, "*#s 3 n"],
    gains: Float[Tensor, "*#s _ 1"],
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    unit: Sequence[float] = (1.0, 1.0, 1.0),
) -> Float[Tensor, "*s 3 n"]:
    """Lab of sRGB colours times ``gains``, at most 1; less ``origin``, over ``unit``. Constants are where they take no
    operation of their own."""

    def constant(rows: Sequence[Sequence[float]]) -> Float[Tensor, "3 _"]:
        return torch.tensor(rows, dtype=colours.dtype, device=colours.device)

    scaled = (colours * (gains * SRGB_SCALE)).clamp(max=SRGB_SCALE)
    bright = scaled.clamp(min=DARKEST * SRGB_SCALE)
    linear = _power(bright + 0.055 * SRGB_SCALE, 2.4) + (scaled - bright)  # both pieces meet there
    factor = XYZ_SCALE / (12.92 * SRGB_SCALE)
    xyz = constant([[factor * one / sum(row) for one in row] for row in TO_XYZ]) @ linear
    bright = xyz.clamp(min=KNEE**3 * XYZ_SCALE)
    root = _power(bright, 1 / 3) + (xyz - bright)
    axes = zip(TO_LAB, unit, strict=True)
    matrix = constant([[one / each * XYZ_SCALE ** (-1 / 3) for one in row] for row, each in axes])
    offset = zip((-16.0, 0.0, 0.0), origin, unit, strict=True)
    return matrix @ root + constant([[(one - first) / each] for one, first, each in offset])


def _power(base: Float[Tensor, "*b n"], exponent: float) -> Float[Tensor, "*b n"]:
    """A power of numbers above 0. ONNX Runtime computes logarithms and exponentials of many numbers at once, and powers
    one by one."""
    return (base.log() * exponent).exp()


def shades_of_gray(colours: Float[Tensor, "*b 3 n"]) -> Float[Tensor, "*b 3 1"]:
    r"""What colours in [0, 1] are to be multiplied by, and cut at 1, for white light of one brightness: color constancy
    by shades of gray.

    .. math:: e_c = \Big(\tfrac1n \sum_i p_{ic}^6\Big)^{1/6}, \quad p'_{ic} = \min(1, .9\,p_{ic} / e_c)

    A photo that is twice as bright, or bluer, gives the same. With norm 1 it would be the gray-world assumption.
    Finlayson and Trezzi 2004, Shades of gray and colour constancy.

    >>> grey = torch.tensor([0.2, 0.4, 0.5]).view(1, 3, 1)
    >>> (grey * shades_of_gray(grey)).flatten()
    tensor([0.8955, 0.8978, 0.8982])
    """
    return WHITE / (_light(colours) + DARK)


def both_lights(colours: Float[Tensor, "*b 1 3 n"]) -> Float[Tensor, "*b 2 3 1"]:
    """The gains 1, and those of ``shades_of_gray``, by few operations."""
    chosen = torch.tensor([0.0, 1 / WHITE], dtype=colours.dtype, device=colours.device)[:, None, None]
    added = torch.tensor([1.0, DARK / WHITE], dtype=colours.dtype, device=colours.device)[:, None, None]
    return 1 / (_light(colours) * chosen + added)


def _light(colours: Float[Tensor, "*b 3 n"]) -> Float[Tensor, "*b 3 1"]:
    square = colours * colours
    return (square * square * square).mean(-1, keepdim=True).clamp(min=DARK**NORM) ** (1 / NORM)
