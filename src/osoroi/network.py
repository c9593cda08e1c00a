"""A network: crops to vectors in parts. Torch; what serves is the encoder file that ``export`` makes of it."""

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from osoroi import features
from osoroi.colour import lab
from osoroi.heads import Head
from osoroi.trunks import Trunk

SHALLOW_BLOCKS = (2, 4, 10)
"""Blocks of an EfficientNet-Lite0 that see colour, texture and pattern, counted from 0."""

COLOUR_SIDE = 48
"""Colours are looked at on a grid of this many positions a side."""

REACH = 0.25
"""The bell that weighs the histogram's positions: its deviation as a share of the crop."""


class Features(NamedTuple):
    """What is known of a crop before the heads, one run of numbers for each part."""

    deep: Float[Tensor, "b _"]
    detail: Float[Tensor, "b _"]


class Backbone(nn.Module):
    """Trunk and shallow features: everything that looks at pixels, and nothing that is learned from fashion."""

    bell: Tensor

    def __init__(self, trunk: nn.Module, blocks: tuple[int, ...] = SHALLOW_BLOCKS) -> None:
        super().__init__()
        assert isinstance(trunk, Trunk)
        self.trunk = trunk
        self.blocks = blocks
        self.register_buffer("bell", features.centred(COLOUR_SIDE, COLOUR_SIDE, REACH), persistent=False)

    @property
    def sizes(self) -> dict[str, list[tuple[str, int]]]:
        """For each part its sources in order, with how many features each gives."""
        shallow = [(block, self.trunk.widths[block]) for block in self.blocks]
        return {
            "deep": [("last", self.trunk.width)],
            "detail": [
                *((f"mean of block {block}", width) for block, width in shallow),
                *((f"deviation of block {block}", width) for block, width in shallow),
                ("histogram", prod(features.LAB_BINS)),
                ("grid", 3 * features.ROWS * features.COLUMNS),
            ],
        }

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Features:
        images = crops.permute(0, 3, 1, 2).float() / 255
        maps = self.trunk(images)
        everywhere = torch.ones_like(images[:1, 0])
        shallow = [maps.blocks[block] for block in self.blocks]
        colours = lab(features.shrink(images, COLOUR_SIDE, COLOUR_SIDE))
        detail = [
            *(features.mean(one, everywhere) for one in shallow),
            *(features.deviation(one, everywhere) for one in shallow),
            (features.soft_histogram(colours, self.bell) + features.EPSILON).sqrt(),
            features.coarse_grid(colours, everywhere),
        ]
        return Features(deep=features.mean(maps.last, everywhere), detail=torch.cat(detail, 1))


class Network(nn.Module):
    """A backbone and a head for each part; vectors hold the parts side by side, each of unit length."""

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        return self.embed(self.backbone(crops))

    def embed(self, raw: Features) -> Float[Tensor, "b d"]:
        """Vectors of features that were computed before."""
        return torch.cat([head(getattr(raw, name)) for name, head in self.heads.items()], 1)
