"""The foreground head: two small convolutions on a backbone's middle maps that segment the garment in a crop.

All features are then pooled over the garment instead of over the crop, on street and shop photos alike, so that neck,
arms, hair and the wall behind count little, whatever the box holds.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.model import pooling

BLOCKS = (2, 4, 7)
"""Blocks of an EfficientNet-Lite0 whose maps are the input: edges and pieces of cloth. The last one sets the
size of the mask."""

MIN_WEIGHT = 0.02
"""Weight of a position without garment, so that a crop without a garment is pooled over all of it."""

HIDDEN = 16
"""Channels between the two convolutions. With eight the error grows by an eighth, and one convolution alone leaves
holes in white cloth."""


class ForegroundHead(nn.Module):
    r"""Foreground mask :math:`\sigma(k_2 * \max(0, k_1 * m + b_1) + b_2)` in [0, 1].

    m are the standardised maps at the size of the coarsest block; the kernels are 3 x 3 and 5 x 5.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, blocks: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        channels = sum(widths[block] for block in blocks)
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))
        self.first = nn.Conv2d(channels, HIDDEN, 3, padding=1)
        self.last = nn.Conv2d(HIDDEN, 1, 5, padding=2)

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b y x"]:
        """The mask, from the maps of all blocks of a backbone."""
        return self.predict(self.inputs(maps))

    def inputs(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b c y x"]:
        """The maps of this head's blocks side by side, at the size of the last of them."""
        height, width = maps[self.blocks[-1]].shape[2:]
        return torch.cat([pooling.shrink(maps[block], height, width) for block in self.blocks], 1)

    def predict(self, inputs: Float[Tensor, "b c y x"]) -> Float[Tensor, "b y x"]:
        """The mask, from what ``inputs`` gave."""
        weight = self.first.weight / self.spread[:, None, None]  # a constant once exported
        hidden = F.relu(F.conv2d(inputs - self.centre[:, None, None], weight, self.first.bias, padding=1))
        return self.last(hidden).squeeze(1).sigmoid()


def pooling_shares(mask: Float[Tensor, "b y x"]) -> Float[Tensor, "b y x"]:
    """What each position of a mask counts for; a position without garment counts as ``MIN_WEIGHT`` does."""
    return pooling.shares(mask, MIN_WEIGHT + pooling.EPSILON)
