"""ResNet-50 with torchvision's names, stride in the middle convolution, and torchvision's preparation of colours.

He et al. 2015, arXiv:1512.03385; where the stride lies: https://pytorch.org/vision/stable/models/resnet.html
"""

from typing import Final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.model.backbones import Maps, standardised

STEM, WIDENED = 64, 4
STAGES: Final = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, bottlenecks, and the stride of the first of them."""


def build(name: str) -> "ResNet50":
    """A network with random weights."""
    assert name == "resnet50"
    return ResNet50()


class ResNet50(nn.Module):
    """Stem and sixteen blocks, the bottlenecks; ``last`` is what the last one gives, 2,048 wide."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        entering = STEM
        widths: list[int] = []
        for number, (inner, repeats, stride) in enumerate(STAGES, start=1):
            blocks = [Bottleneck(entering, inner, stride)]
            entering = inner * WIDENED
            blocks += [Bottleneck(entering, inner, 1) for _ in range(repeats - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            widths += [entering] * repeats
        self.widths = tuple(widths)
        self.width = entering

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        blocks = self.below(images, len(self.widths))
        return Maps(blocks, blocks[-1])

    def below(self, images: Float[Tensor, "b 3 h w"], cut: int) -> list[Float[Tensor, "b _ _ _"]]:
        maps = F.max_pool2d(F.relu(self.bn1(self.conv1(standardised(images)))), 3, 2, 1)
        return self._through(maps, 0, cut)

    def above(self, maps: Float[Tensor, "b c y x"], cut: int) -> Maps:
        blocks = self._through(maps, cut, len(self.widths))
        return Maps(blocks, blocks[-1] if blocks else maps)

    def upper(self, cut: int) -> list[nn.Module]:
        return self._blocks()[cut:]

    def _blocks(self) -> list[nn.Module]:
        layers = [self.get_submodule(f"layer{number}") for number in range(1, len(STAGES) + 1)]
        return [block for layer in layers for block in layer.children()]

    def _through(self, maps: Float[Tensor, "b c y x"], first: int, end: int) -> list[Float[Tensor, "b _ _ _"]]:
        """The maps of each block in turn."""
        blocks = []
        for block in self._blocks()[first:end]:
            maps = block(maps)
            blocks.append(maps)
        return blocks


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions; the input is added, projected to the same shape where it has another."""

    def __init__(self, entering: int, inner: int, stride: int) -> None:
        super().__init__()
        leaving = inner * WIDENED
        self.conv1 = nn.Conv2d(entering, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, leaving, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(leaving)
        self.downsample = nn.Sequential()
        if stride != 1 or entering != leaving:
            self.downsample = nn.Sequential(
                nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving)
            )

    def forward(self, maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        inner = F.relu(self.bn1(self.conv1(maps)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        return F.relu(self.bn3(self.conv3(inner)) + self.downsample(maps))
