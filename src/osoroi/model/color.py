"""sRGB to CIE Lab, where equal distances look about equally far apart; and color constancy by shades of gray."""

import math

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
    colours = images.flatten(-2)
    bright = _power(colours.clamp(min=DARKEST) + 0.055, 2.4, factor=1.055**-2.4)
    linear = bright + (colours - DARKEST).clamp(max=0) / 12.92  # both curves meet there
    matrix = torch.tensor(TO_XYZ, dtype=images.dtype, device=images.device)
    xyz = (matrix / matrix.sum(1, keepdim=True)) @ linear
    root = _power(xyz.clamp(min=KNEE**3), 1 / 3) + (xyz - KNEE**3).clamp(max=0) / (3 * KNEE**2)
    offset = torch.tensor([[-16.0], [0.0], [0.0]], dtype=images.dtype, device=images.device)
    found = torch.tensor(TO_LAB, dtype=images.dtype, device=images.device) @ root + offset
    return found.unflatten(-1, images.shape[-2:])  # type: ignore[no-untyped-call]


def _power(base: Float[Tensor, "*b n"], exponent: float, factor: float = 1.0) -> Float[Tensor, "*b n"]:
    """A power of numbers above 0, times a factor. ONNX Runtime computes logarithms and exponentials of many numbers at
    once, and powers one by one."""
    logarithms = base.log() * exponent
    return (logarithms if factor == 1 else logarithms + math.log(factor)).exp()


def shades_of_gray(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    r"""Colours in [0, 1] under white light of one brightness: color constancy by shades of gray.

    .. math:: e_c = \Big(\tfrac1n \sum_i p_{ic}^6\Big)^{1/6}, \quad p'_{ic} = \min(1, .9\,p_{ic} / e_c)

    A photo that is twice as bright, or bluer, gives the same. With norm 1 it would be the gray-world assumption.
    Finlayson and Trezzi 2004, Shades of gray and colour constancy.

    >>> grey = torch.tensor([0.2, 0.4, 0.5]).view(1, 3, 1, 1)
    >>> shades_of_gray(grey).flatten()
    tensor([0.8955, 0.8978, 0.8982])
    """
    square = images * images
    light = (square * square * square).mean((2, 3), keepdim=True).clamp(min=DARK**NORM) ** (1 / NORM)
    return (WHITE * images / (light + DARK)).clamp(max=1)
