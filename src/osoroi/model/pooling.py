"""Shallow features of a crop: pure functions of maps and colours, each pooled over weighted positions.

The weights say how much each position counts: all alike, more in the middle, or where the garment is. They may be the
same for the whole batch.
"""

from collections.abc import Sequence

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


def mean(maps: Float[Tensor, "b c y x"], weights: Float[Tensor, "#b v u"]) -> Float[Tensor, "b c"]:
    r"""Mean over positions, :math:`\sum_i w_i m_i / \sum_i w_i`; weights of another resolution are averaged to it."""
    shares = _shares(weights, maps)
    return (maps * shares[:, None]).sum((2, 3))


def deviation(maps: Float[Tensor, "b c y x"], weights: Float[Tensor, "#b v u"]) -> Float[Tensor, "b c"]:
    r"""Standard deviation over positions, :math:`\sqrt{\sum_i w_i (m_i - \bar m)^2 / \sum_i w_i}`; at least .001."""
    shares = _shares(weights, maps)[:, None]
    centred = maps - (maps * shares).sum((2, 3), keepdim=True)
    return ((centred**2 * shares).sum((2, 3)) + EPSILON).sqrt()


def soft_histogram(
    colours: Float[Tensor, "b 3 y x"], weights: Float[Tensor, "#b v u"], bins: Sequence[int] = LAB_BINS
) -> Float[Tensor, "b n"]:
    r"""Shares of the bins of a grid over Lab; each colour is spread linearly over the 8 centres around it.

    .. math:: h_{ijk} = \sum_n w_n \, t(L_n, i) \, t(a_n, j) \, t(b_n, k) / \sum_n w_n

    with the tent t(v, i) = max(0, 1 - |v - centre_i| / step). Colours beyond the last centre count as lying on it, so
    the shares are at least 0 and sum to 1. Order: L slowest, b fastest.

    >>> grey = torch.zeros(1, 3, 2, 2); grey[:, 0] = 25.0  # L on the second of 0, 50, 100 by half, on the first by half
    >>> soft_histogram(grey, torch.ones(1, 2, 2), (3, 1, 1))
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    shares = _shares(weights, colours).flatten(1)[:, None]
    light, red, yellow = (
        _tents(colours[:, axis].flatten(1), *LAB_REACH[axis], count) for axis, count in enumerate(bins)
    )
    hues = (red[:, :, None] * yellow[:, None]).flatten(1, 2)  # [b j*k n]
    return torch.bmm(light * shares, hues.transpose(1, 2)).flatten(1)


def coarse_grid(
    maps: Float[Tensor, "b c y x"], weights: Float[Tensor, "#b v u"], rows: int = ROWS, columns: int = COLUMNS
) -> Float[Tensor, "b n"]:
    """Weighted mean of each cell of a grid, row by row, channels together; a cell without weight is near the mean.

    The size of the maps must be a multiple of the grid's.
    """
    tall, wide = maps.shape[2] // rows, maps.shape[3] // columns
    shares = _shares(weights, maps)[:, None]
    prior = EPSILON * (maps * shares).sum((2, 3), keepdim=True)
    sums = F.avg_pool2d(maps * shares, (tall, wide)) * (tall * wide)
    mass = F.avg_pool2d(shares, (tall, wide)) * (tall * wide)
    return ((sums + prior) / (mass + EPSILON)).permute(0, 2, 3, 1).flatten(1)


def shrink(maps: Float[Tensor, "b c y x"], height: int, width: int) -> Float[Tensor, "b c v u"]:
    """Maps averaged down to a size that divides their own."""
    return F.avg_pool2d(maps, (maps.shape[2] // height, maps.shape[3] // width))


def centred(height: int, width: int, reach: float) -> Float[Tensor, "1 h w"]:
    """A bell over a crop, 1 in the middle; ``reach`` is its deviation as a share of the crop's sides."""
    down = torch.linspace(-0.5, 0.5, height) / reach
    across = torch.linspace(-0.5, 0.5, width) / reach
    return torch.exp(-(down[:, None] ** 2 + across**2) / 2)[None]


def _shares(weights: Float[Tensor, "#b v u"], maps: Float[Tensor, "b _ y x"]) -> Float[Tensor, "#b y x"]:
    """Weights at the resolution of the maps, summing to 1."""
    if weights.shape[1:] != maps.shape[2:]:
        weights = shrink(weights[:, None], maps.shape[2], maps.shape[3])[:, 0]
    return (weights + EPSILON) / (weights + EPSILON).sum((1, 2), keepdim=True)


def _tents(values: Float[Tensor, "b n"], first: float, last: float, count: int) -> Float[Tensor, "b i n"]:
    """How much of each value belongs to each of ``count`` evenly spaced centres; the shares of a value sum to 1."""
    if count == 1:
        return torch.ones_like(values)[:, None]
    step = (last - first) / (count - 1)
    places = ((values - first) / step).clamp(0, count - 1)
    centres = torch.arange(count, dtype=values.dtype, device=values.device)
    return (1 - (places[:, None] - centres[:, None]).abs()).clamp(min=0)
