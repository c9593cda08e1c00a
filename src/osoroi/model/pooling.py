"""Shallow features of a crop: pure functions of maps and colours, each pooled over weighted positions.

The weights say how much each position counts: all alike, more in the middle, or where the garment is. They may be the
same for the whole batch.
"""

import functools
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
    return _summed(maps, _shares(weights, maps))


def deviation(maps: Float[Tensor, "b c y x"], weights: Float[Tensor, "#b v u"]) -> Float[Tensor, "b c"]:
    r"""Standard deviation over positions, :math:`\sqrt{\sum_i w_i (m_i - \bar m)^2 / \sum_i w_i}`; at least .001."""
    flat, shares = maps.flatten(2), _shares(weights, maps).flatten(1).unsqueeze(2)
    centred = flat - flat @ shares
    return (centred * centred @ shares + EPSILON).sqrt().squeeze(2)


def soft_histogram(
    colours: Float[Tensor, "b *k 3 y x"], weights: Float[Tensor, "#b v u"], bins: Sequence[int] = LAB_BINS
) -> Float[Tensor, "b *k n"]:
    r"""Shares of the bins of a grid over Lab; each colour is spread linearly over the 8 centres around it.

    .. math:: h_{ijk} = \sum_n w_n \, t(L_n, i) \, t(a_n, j) \, t(b_n, k) / \sum_n w_n

    with the tent t(v, i) = max(0, 1 - |v - centre_i| / step). Colours beyond the last centre count as lying on it, so
    the shares are at least 0 and sum to 1. Order: L slowest, b fastest.

    >>> grey = torch.zeros(1, 3, 2, 2); grey[:, 0] = 25.0  # L on the second of 0, 50, 100 by half, on the first by half
    >>> soft_histogram(grey, torch.ones(1, 2, 2), (3, 1, 1))
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    shares = _shares(weights, colours).flatten(1)
    for _ in range(colours.ndim - 3):
        shares = shares.unsqueeze(1)
    light, red, yellow = _tents(colours.flatten(-2), bins)
    cells = ((light * shares).unsqueeze(-2) * red.unsqueeze(-3)).flatten(-3, -2)  # [b i*j n]
    return (yellow @ cells.transpose(-1, -2)).transpose(-1, -2).flatten(-2)


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


def enlarge(maps: Float[Tensor, "b y x"], height: int, width: int) -> Float[Tensor, "b v u"]:
    """Maps interpolated linearly up to a size, as two matrix products.

    >>> enlarge(torch.tensor([[[0.0, 1.0]]]), 1, 4).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    down, across = (
        torch.tensor(_between(count, wanted), dtype=maps.dtype, device=maps.device)
        for count, wanted in zip(maps.shape[1:], (height, width), strict=True)
    )
    return down @ maps @ across.T


@functools.cache
def _between(count: int, wanted: int) -> list[list[float]]:
    """How much of each of ``count`` positions there is in each of ``wanted``, whose ends lie on the same ends."""
    rows = []
    for at in range(wanted):
        place = min(max((at + 0.5) * count / wanted - 0.5, 0.0), count - 1.0)
        rows.append([max(0.0, 1.0 - abs(place - own)) for own in range(count)])
    return rows


def centred(height: int, width: int, reach: float) -> Float[Tensor, "1 h w"]:
    """A bell over a crop, 1 in the middle; ``reach`` is its deviation as a share of the crop's sides."""
    down = torch.linspace(-0.5, 0.5, height) / reach
    across = torch.linspace(-0.5, 0.5, width) / reach
    return torch.exp(-(down[:, None] ** 2 + across**2) / 2)[None]


def _summed(maps: Float[Tensor, "b c y x"], shares: Float[Tensor, "#b y x"]) -> Float[Tensor, "b c"]:
    """Sums over positions, as one matrix product: no map has to be written that is only added up."""
    return (maps.flatten(2) @ shares.flatten(1).unsqueeze(2)).squeeze(2)


def _shares(weights: Float[Tensor, "#b v u"], maps: Float[Tensor, "b *k y x"]) -> Float[Tensor, "#b y x"]:
    """Weights at the resolution of the maps, summing to 1."""
    if weights.shape[1:] != maps.shape[-2:]:
        weights = shrink(weights[:, None], maps.shape[-2], maps.shape[-1]).squeeze(1)
    positive = weights + EPSILON
    return positive / positive.sum((1, 2), keepdim=True)


def _tents(colours: Float[Tensor, "*b 3 n"], counts: Sequence[int]) -> list[Float[Tensor, "*b i n"]]:
    """Along each axis of Lab, how much of each colour belongs to each of ``counts`` evenly spaced centres; its shares
    sum to 1."""

    def column(values: Sequence[float]) -> Float[Tensor, "3 1"]:
        return torch.tensor(values, dtype=colours.dtype, device=colours.device)[:, None]

    steps = [(last - first) / max(count - 1, 1) for (first, last), count in zip(LAB_REACH, counts, strict=True)]
    places = (colours - column([first for first, _ in LAB_REACH])) / column(steps)
    places = torch.minimum(places.relu(), column([count - 1.0 for count in counts]))
    centres = [torch.arange(count, dtype=colours.dtype, device=colours.device)[:, None] for count in counts]
    return [(1 - (places[..., axis : axis + 1, :] - centre).abs()).relu() for axis, centre in enumerate(centres)]
