"""Shallow features of a crop: pure functions of maps and colours, each pooled over weighted positions.

Shares say how much each position counts: all alike, more in the middle, or where the garment is. They sum to 1, and may
be the same for the whole batch. An encoder file runs what stands here one operation at a time, so there are as few as
possible: shares are made once, and brought to other sizes by matrix products that keep their sum.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-6

LAB_BINS = (5, 9, 9)
LAB_REACH = ((0.0, 100.0), (-64.0, 64.0), (-64.0, 64.0))
"""First and last centre along L, a and b. Hardly a garment is more saturated than 64."""

ROWS, COLUMNS = 4, 3
"""Cells of the coarse grid."""


def shares(weights: Float[Tensor, "#b y x"], least: float = EPSILON) -> Float[Tensor, "#b y x"]:
    """Weights of at least 0, and ``least`` more, over their sum; all alike where all are 0."""
    positive = weights + least
    return positive / positive.sum((1, 2), keepdim=True)


def resized(shares: Float[Tensor, "#b y x"], height: int, width: int) -> Float[Tensor, "#b v u"]:
    """Shares at another size, as two matrix products: interpolated linearly up, or added up down to a divisor.

    >>> resized(torch.tensor([[[0.25, 0.75]]]), 1, 4).tolist(), resized(torch.tensor([[[0.25, 0.75]]]), 1, 1).tolist()
    ([[[0.125, 0.1875, 0.3125, 0.375]]], [[[1.0]]])
    """
    before = shares.shape[1:]
    if before == (height, width):
        return shares
    down, across = (
        torch.tensor(_resizing(count, wanted), dtype=shares.dtype, device=shares.device)
        for count, wanted in zip(before, (height, width), strict=True)
    )
    found = down @ shares @ across.T
    if all(min(sides) == math.gcd(*sides) for sides in zip(before, (height, width), strict=True)):
        return found
    return found / found.sum((1, 2), keepdim=True)  # positions counted more or less often than others


def mean(maps: Float[Tensor, "b c y x"], shares: Float[Tensor, "#b y x"]) -> Float[Tensor, "b c 1"]:
    r"""Mean over positions, :math:`\sum_i w_i m_i`, as one matrix product: no map has to be written that is only added
    up."""
    return maps.flatten(2) @ _column(shares)


def moments(
    maps: Float[Tensor, "b c y x"], shares: Float[Tensor, "#b y x"]
) -> tuple[Float[Tensor, "b c 1"], Float[Tensor, "b c 1"]]:
    r"""Mean and variance over positions, :math:`\sum_i w_i (m_i - \bar m)^2`."""
    flat, column = maps.flatten(2), _column(shares)
    means = flat @ column
    centred = flat - means
    return means, centred * centred @ column


def _column(shares: Float[Tensor, "#b y x"]) -> Float[Tensor, "#b n 1"]:
    return shares.reshape(-1, shares.shape[1] * shares.shape[2], 1)


def root(squares: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
    """Roots of numbers of at least 0; at least .001, so that there is a gradient everywhere."""
    return (squares + EPSILON).sqrt()


class Axes(NamedTuple):
    """The coordinates that a histogram counts in: Lab less ``origin``, over ``unit``, so that the centres of every axis
    lie evenly from 0 to ``last``; ``steps`` are the distances between them."""

    origin: tuple[float, ...]
    unit: tuple[float, ...]
    steps: tuple[float, ...]
    last: float


def axes(bins: Sequence[int] = LAB_BINS) -> Axes:
    """The axes of Lab with so many centres each, two at least.

    >>> axes((5, 9, 9))
    Axes(origin=(0.0, -64.0, -64.0), unit=(12.5, 16.0, 16.0), steps=(2.0, 1.0, 1.0), last=8.0)
    """
    last = max(bins) - 1.0
    unit = tuple((end - first) / last for first, end in LAB_REACH)
    return Axes(tuple(first for first, _ in LAB_REACH), unit, tuple(last / (count - 1) for count in bins), last)


def soft_histogram(
    places: Float[Tensor, "b k 3 n"], shares: Float[Tensor, "#b y x"], bins: Sequence[int] = LAB_BINS
) -> Float[Tensor, "b k m"]:
    r"""Shares of the bins of a grid over Lab, of colours in the coordinates of ``axes``; each colour is spread linearly
    over the 8 centres around it.

    .. math:: h_{ijk} = \sum_n w_n \, t(L_n, i) \, t(a_n, j) \, t(b_n, k)

    with the tent t(v, i) = max(0, 1 - |v - centre_i| / step). Colours beyond the last centre count as lying on it, so
    the shares are at least 0 and sum to 1. Order: L slowest, b fastest.

    >>> dark = torch.zeros(1, 1, 3, 4); dark[:, :, 0] = 0.5  # L on the first of 0, 1, 2 by half, on the second by half
    >>> soft_histogram(dark, torch.full((1, 2, 2), 0.25), (3, 2, 2)).flatten().tolist()
    [0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    frame = axes(bins)
    inside = places.clamp(0.0, frame.last)
    yellow, red = (_tents(inside[:, :, axis : axis + 1], bins[axis], frame.steps[axis]) for axis in (2, 1))
    rows, positions = red.unsqueeze(-3), shares.reshape(-1, 1, 1, shares.shape[1] * shares.shape[2])
    light = _tents(inside[:, :, :1], bins[0], frame.steps[0])
    cells = ((light * positions).unsqueeze(-2) * rows).flatten(-3, -2)  # [b k i*j n]
    return (cells @ yellow.transpose(-1, -2)).reshape(-1, places.shape[1], math.prod(bins))


def coarse_grid(
    maps: Float[Tensor, "b c y x"], shares: Float[Tensor, "#b y x"], rows: int = ROWS, columns: int = COLUMNS
) -> Float[Tensor, "b n c"]:
    """Weighted mean of each cell of a grid, row by row; a cell without weight is near the mean.

    The size of the maps must be a multiple of the grid's.
    """
    size = maps.shape[2] // rows, maps.shape[3] // columns
    cells = rows * columns
    mixed = torch.eye(cells, dtype=maps.dtype, device=maps.device) + EPSILON  # of all cells a little in each
    sums = F.avg_pool2d(maps * shares[:, None], size).flatten(2) @ mixed
    mass = F.avg_pool2d(shares[:, None], size).flatten(2) @ mixed
    return (sums / mass).transpose(1, 2)


def shrink(maps: Float[Tensor, "b c y x"], height: int, width: int) -> Float[Tensor, "b c v u"]:
    """Maps averaged down to a size that divides their own."""
    if maps.shape[2:] == (height, width):
        return maps
    return F.avg_pool2d(maps, (maps.shape[2] // height, maps.shape[3] // width))


def thumbnails(images: Float[Tensor, "b c y x"], side: int) -> Float[Tensor, "b c side side"]:
    """Images averaged down to a size that divides their own. ONNX Runtime takes half as long as for ``shrink`` where
    few channels are averaged over many pixels, and twice as long elsewhere. Computed in the images' own precision under
    autocast too, as ``avg_pool2d`` is.

    >>> thumbnails(torch.arange(16.0).view(1, 1, 4, 4), 2).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    down, across = images.shape[2] // side, images.shape[3] // side
    rows = torch.unflatten(images, 2, (side, down)).sum(3)
    columns = torch.tensor(_averaging(side, across, down * across), dtype=images.dtype, device=images.device)
    if not torch.is_autocast_enabled(images.device.type):
        return rows @ columns
    with torch.autocast(images.device.type, enabled=False):
        return rows @ columns


@functools.cache
def _averaging(count: int, wide: int, size: int) -> list[list[float]]:
    """What each of ``count * wide`` columns adds to each of ``count`` means of ``size`` numbers."""
    return [[(at // wide == own) / size for own in range(count)] for at in range(count * wide)]


@functools.cache
def _resizing(count: int, wanted: int) -> list[list[float]]:
    """How much of each of ``count`` positions there is in each of ``wanted``, whose ends lie on the same ends."""
    if wanted <= count:
        assert count % wanted == 0, f"{count} positions are no multiple of {wanted}"
        return [[float(own * wanted // count == at) for own in range(count)] for at in range(wanted)]
    rows = []
    for at in range(wanted):
        place = min(max((at + 0.5) * count / wanted - 0.5, 0.0), count - 1.0)
        rows.append([max(0.0, 1.0 - abs(place - own)) * count / wanted for own in range(count)])
    return rows


def centred(height: int, width: int, reach: float) -> Float[Tensor, "1 h w"]:
    """A bell over a crop, 1 in the middle; ``reach`` is its deviation as a share of the crop's sides."""
    down = torch.linspace(-0.5, 0.5, height) / reach
    across = torch.linspace(-0.5, 0.5, width) / reach
    return torch.exp(-(down[:, None] ** 2 + across**2) / 2)[None]


def _tents(places: Float[Tensor, "*b 1 n"], count: int, step: float) -> Float[Tensor, "*b i n"]:
    """How much of each colour belongs to each of ``count`` centres ``step`` apart."""
    centres = step * torch.arange(count, dtype=places.dtype, device=places.device)[:, None]
    far = (places - centres).abs()
    if torch.onnx.is_in_onnx_export():  # one operation instead of two or three
        return torch.onnx.ops.symbolic(
            "HardSigmoid", (far,), {"alpha": -1 / step, "beta": 1.0}, dtype=far.dtype, shape=far.shape
        )
    return (1 - far / step).relu()
