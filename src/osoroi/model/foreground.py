"""The probe: two small convolutions on a trunk's middle maps that say where the garment is.

Everything is then pooled over the garment instead of over the crop, on street and shop photos alike: neck, arms, hair
and the wall behind count little, whatever the box holds.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.model import pooling

BLOCKS = (2, 4, 7)
"""Blocks of an EfficientNet-Lite0 that see edges and pieces of cloth; the last of them gives the map its size."""

FLOOR = 0.02
"""What a position without garment still counts, so that a crop without one is pooled over all of it."""


HIDDEN = 16
"""Maps between the two convolutions; with eight the error grows by an eighth, and one convolution alone leaves holes in
white cloth."""


class Probe(nn.Module):
    r"""Attention :math:`\sigma(k_2 * \max(0, k_1 * m + b_1) + b_2)` in [0, 1].

    m are the standardised maps at the size of the coarsest block, the kernels 3 x 3 and 5 x 5.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, blocks: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        entering = sum(widths[block] for block in blocks)
        self.register_buffer("centre", torch.zeros(entering))
        self.register_buffer("spread", torch.ones(entering))
        self.first = nn.Conv2d(entering, HIDDEN, 3, padding=1)
        self.last = nn.Conv2d(HIDDEN, 1, 5, padding=2)

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b y x"]:
        return self.attend(self.look(maps))

    def attend(self, small: Float[Tensor, "b c y x"]) -> Float[Tensor, "b y x"]:
        """The attention of what ``look`` gave."""
        standard = (small - self.centre[:, None, None]) / self.spread[:, None, None]
        return self.last(F.relu(self.first(standard)))[:, 0].sigmoid()

    def look(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b c y x"]:
        """The maps of its blocks side by side, at the size of the last of them."""
        height, width = maps[self.blocks[-1]].shape[2:]
        return torch.cat([pooling.shrink(maps[block], height, width) for block in self.blocks], 1)


def shares(attention: Float[Tensor, "b y x"], side: int) -> Float[Tensor, "b v u"]:
    """Weights of positions on a finer grid, smooth between the attention's own positions."""
    finer = F.interpolate(attention[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]
    return finer + FLOOR
