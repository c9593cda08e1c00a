"""VGG-16: thirteen convolutions of 3 x 3, halved five times by pooling; torchvision's names and preparation of colours.

Simonyan and Zisserman 2014, arXiv:1409.1556. Only the convolutions: ``last`` is the pooled end of them, 512 wide.
"""

from typing import Final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.model.backbones import Maps, standardised

STAGES: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels, and how many convolutions have them, between two poolings."""


def build(name: str) -> "VGG16":
    """A network with random weights."""
    assert name == "vgg16"
    return VGG16()


class VGG16(nn.Module):
    """A block is one convolution and its ReLU."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        entering = 3
        for width, repeats in STAGES:
            for _ in range(repeats):
                layers += [nn.Conv2d(entering, width, 3, padding=1), nn.ReLU()]
                entering = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.widths = tuple(width for width, repeats in STAGES for _ in range(repeats))
        self.width = entering

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        blocks = self.below(images, len(self.widths))
        return Maps(blocks, F.max_pool2d(blocks[-1], 2))

    def below(self, images: Float[Tensor, "b 3 h w"], cut: int) -> list[Float[Tensor, "b _ _ _"]]:
        return self._through(standardised(images), 0, self._layer(cut))

    def above(self, maps: Float[Tensor, "b c y x"], cut: int) -> Maps:
        blocks = self._through(maps, self._layer(cut), len(self.features))
        return Maps(blocks, F.max_pool2d(blocks[-1] if blocks else maps, 2))

    def upper(self, cut: int) -> list[nn.Module]:
        return list(self.features)[self._layer(cut) :]

    def _through(self, maps: Float[Tensor, "b c y x"], first: int, end: int) -> list[Float[Tensor, "b _ _ _"]]:
        """The maps of each block among these layers, in turn."""
        blocks = []
        for layer in list(self.features)[first:end]:
            maps = layer(maps)
            if isinstance(layer, nn.ReLU):
                blocks.append(maps)
        return blocks

    def _layer(self, cut: int) -> int:
        """Number of the layer after the ReLU of block ``cut`` - 1."""
        ends = [0, *(place + 1 for place, layer in enumerate(self.features) if isinstance(layer, nn.ReLU))]
        return ends[cut]
