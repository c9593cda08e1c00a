"""GoogLeNet as it was published with Caffe: biases, local response normalisation, no batch normalisation.

Colours come as blue, green, red in 0 to 255 minus Caffe's means. Poolings of stride 2 keep the last, partial window
(ceil mode), so that 112 positions become 56. Szegedy et al. 2015, arXiv:1409.4842; layers:
https://github.com/BVLC/caffe/blob/master/models/bvlc_googlenet/deploy.prototxt
"""

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.model.backbones import Maps

MEANS: Final = (104.0, 117.0, 123.0)
"""Of blue, green and red."""

REACH, ALPHA, BETA = 5, 1e-4, 0.75
"""Of the response normalisation: number of channels, and the two constants of its formula."""


class Widths(NamedTuple):
    """Channels of one inception: four branches side by side, and what the middle two are narrowed to before."""

    one: int
    narrow_three: int
    three: int
    narrow_five: int
    five: int
    pooled: int

    @property
    def total(self) -> int:
        return self.one + self.three + self.five + self.pooled


INCEPTIONS: Final = {
    "inception3a": Widths(64, 96, 128, 16, 32, 32),
    "inception3b": Widths(128, 128, 192, 32, 96, 64),
    "inception4a": Widths(192, 96, 208, 16, 48, 64),
    "inception4b": Widths(160, 112, 224, 24, 64, 64),
    "inception4c": Widths(128, 128, 256, 24, 64, 64),
    "inception4d": Widths(112, 144, 288, 32, 64, 64),
    "inception4e": Widths(256, 160, 320, 32, 128, 128),
    "inception5a": Widths(256, 160, 320, 32, 128, 128),
    "inception5b": Widths(384, 192, 384, 48, 128, 128),
}

AFTER_POOLING: Final = ("inception3a", "inception4a", "inception5a")
STEM: Final = (64, 192)


def build(name: str) -> "GoogLeNet":
    """A network with random weights."""
    assert name == "googlenet"
    return GoogLeNet()


class GoogLeNet(nn.Module):
    """Eleven blocks: two convolutions and nine inceptions; ``last`` is what the last inception gives, 1,024 wide."""

    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        narrow, wide = STEM
        self.conv1 = nn.Conv2d(3, narrow, 7, 2, 3)
        self.conv2r = nn.Conv2d(narrow, narrow, 1)
        self.conv2 = nn.Conv2d(narrow, wide, 3, 1, 1)
        entering = wide
        for name, widths in INCEPTIONS.items():
            self.add_module(name, Inception(entering, widths))
            entering = widths.total
        self.register_buffer("means", torch.tensor(MEANS)[:, None, None], persistent=False)
        self.widths = (*STEM, *(widths.total for widths in INCEPTIONS.values()))
        self.width = entering

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        blocks = self.below(images, len(self.widths))
        return Maps(blocks, blocks[-1])

    def below(self, images: Float[Tensor, "b 3 h w"], cut: int) -> list[Float[Tensor, "b _ _ _"]]:
        return self._through(images.flip(1) * 255 - self.means, 0, cut)

    def above(self, maps: Float[Tensor, "b c y x"], cut: int) -> Maps:
        blocks = self._through(maps, cut, len(self.widths))
        return Maps(blocks, blocks[-1] if blocks else maps)

    def upper(self, cut: int) -> list[nn.Module]:
        inceptions = [self.get_submodule(name) for name in INCEPTIONS]
        blocks: list[list[nn.Module]] = [[self.conv1], [self.conv2r, self.conv2], *([one] for one in inceptions)]
        return [module for block in blocks[cut:] for module in block]

    def _through(self, maps: Float[Tensor, "b c y x"], first: int, end: int) -> list[Float[Tensor, "b _ _ _"]]:
        """The maps of each block in turn."""
        blocks = []
        for block in range(first, end):
            maps = self._block(block, maps)
            blocks.append(maps)
        return blocks

    def _block(self, block: int, maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        if block == 0:
            return F.relu(self.conv1(maps))
        if block == 1:
            narrow = F.relu(self.conv2r(among_neighbours(shrink(maps))))
            return among_neighbours(F.relu(self.conv2(narrow)))
        name = list(INCEPTIONS)[block - len(STEM)]
        output: Tensor = self.get_submodule(name)(shrink(maps) if name in AFTER_POOLING else maps)
        return output


class Inception(nn.Module):
    """Convolutions of 1, 3 and 5 and a pooling, of the same maps, side by side."""

    def __init__(self, entering: int, widths: Widths) -> None:
        super().__init__()
        self.b1 = nn.Conv2d(entering, widths.one, 1)
        self.b2r = nn.Conv2d(entering, widths.narrow_three, 1)
        self.b2 = nn.Conv2d(widths.narrow_three, widths.three, 3, padding=1)
        self.b3r = nn.Conv2d(entering, widths.narrow_five, 1)
        self.b3 = nn.Conv2d(widths.narrow_five, widths.five, 5, padding=2)
        self.b4 = nn.Conv2d(entering, widths.pooled, 1)

    def forward(self, maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y x"]:
        branches = (
            self.b1(maps),
            self.b2(F.relu(self.b2r(maps))),
            self.b3(F.relu(self.b3r(maps))),
            self.b4(F.max_pool2d(maps, 3, 1, 1)),
        )
        return F.relu(torch.cat(branches, 1))


def shrink(maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c v u"]:
    """The largest of 3 x 3, every second position; the last window may hang over the edge.

    >>> shrink(torch.arange(6.0).expand(1, 1, 6, 6))[0, 0, 0].tolist()  # 5 alone is left at the end
    [2.0, 4.0, 5.0]
    """
    return F.max_pool2d(maps, 3, 2, ceil_mode=True)


def among_neighbours(maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
    r"""Local response normalisation: each value by those of the channels beside it, zeros beyond the ends.

    .. math:: y_c = x_c \Big/ \Big(1 + \frac{\alpha}{5} \sum_{i=c-2}^{c+2} x_i^2\Big)^{\beta}

    Krizhevsky et al. 2012, as Caffe computes it: alpha is divided by the number of channels summed over.
    """
    half, channels = REACH // 2, maps.shape[1]
    padded = F.pad(maps.square(), (0, 0, 0, 0, half, half))
    total = sum((padded[:, shift : shift + channels] for shift in range(REACH)), torch.zeros(()).to(maps))
    return maps / (1 + ALPHA / REACH * total) ** BETA
