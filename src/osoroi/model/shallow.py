"""The published shallow paths: averaged pixels, one convolution, the largest of each window. They always learn."""

from typing import Final, NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FILTERS: Final = 96
DEVIATION: Final = 0.062
"""Standard deviation of the normal distribution that the convolutions start from: the published listing has
``wscale=0.02*sqrt(27)``, and its framework multiplied by the square root of that, over the root of 27 inputs."""
BATCH_EPSILON: Final = 2e-5
"""Added to variances by the batch normalisation of the published framework."""
BATCH_DECAY: Final = 0.9
"""Share of the running statistics that a batch leaves as it is, in the same."""


class Scale(NamedTuple):
    """A shallow path: pixels that are averaged, and window, stride and padding of the maximum after the convolution."""

    pixels: int
    window: int
    stride: int
    padding: int


FINE, COARSE = Scale(4, 5, 4, 1), Scale(8, 4, 2, 1)


class Shallow(nn.Module):
    """Averaged pixels to 4 x 4 x 96 (of 224 x 224): convolution, batch normalisation, ReLU, the largest of a window."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(3, FILTERS, 3, 4, 1)
        self.norm = nn.BatchNorm2d(FILTERS, eps=BATCH_EPSILON, momentum=1 - BATCH_DECAY)
        nn.init.normal_(self.conv.weight, std=DEVIATION)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b n"]:
        maps = F.relu(self.norm(self.conv(pixels)))
        return F.max_pool2d(maps, self.scale.window, self.scale.stride, self.scale.padding).flatten(1)


def paths() -> nn.ModuleList:
    """The fine and the coarse one."""
    return nn.ModuleList([Shallow(FINE), Shallow(COARSE)])


def averaged(images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 3 _ _"], Float[Tensor, "b 3 _ _"]]:
    """Inputs of both paths. A window that hangs over the edge averages the zeros there."""
    fine, coarse = (
        F.avg_pool2d(images, side, side, side // 2, count_include_pad=True) for side in (FINE.pixels, COARSE.pixels)
    )
    return fine, coarse


def size_of(side: int) -> int:
    """Numbers that both give of square images.

    >>> size_of(224), size_of(192)
    (3072, 1728)
    """
    total = 0
    for scale in (FINE, COARSE):
        averages = side // scale.pixels + 1  # half a window of padding on each side
        convolved = (averages - 1) // 4 + 1
        pooled = (convolved + 2 * scale.padding - scale.window) // scale.stride + 1
        total += FILTERS * pooled**2
    return total
