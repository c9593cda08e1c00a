"""EfficientNet-Lite 0 to 2: EfficientNet without squeeze-and-excitation, with ReLU6, for small devices.

Names and padding are those of the public PyTorch checkpoints, which were converted from TensorFlow: where a stride of
2 needs an odd padding, the larger half lies at the right and at the bottom. Tan and Le 2019, arXiv:1905.11946; Lite:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.model.backbones import Maps


class StageConfig(NamedTuple):
    """Blocks of one width; the first of them strides."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    StageConfig(1, 3, 1, 1, 16),
    StageConfig(2, 3, 2, 6, 24),
    StageConfig(2, 5, 2, 6, 40),
    StageConfig(3, 3, 2, 6, 80),
    StageConfig(3, 5, 1, 6, 112),
    StageConfig(4, 5, 2, 6, 192),
    StageConfig(1, 3, 1, 6, 320),
)
SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}
"""Name -> factor of width, factor of depth."""

STEM, HEAD = 32, 1280
MEAN, SPREAD = 127 / 255, 128 / 255
EPSILON = 1e-3

NORMS = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}
"""The normalisation that follows a convolution; an encoder file holds both in one."""


def build(name: str) -> "EfficientNetLite":
    """A network with random weights."""
    return EfficientNetLite(*SCALES[name])


class EfficientNetLite(nn.Module):
    """Stem, blocks (16 in Lite0, 21 in Lite1 and Lite2), head convolution; no classifier."""

    def __init__(self, wider: float = 1.0, deeper: float = 1.0) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM, 3, 2)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPSILON)
        blocks = []
        entering = STEM
        for stage in STAGES:
            leaving = multiple_of_8(stage.width * wider)
            fixed = stage in (STAGES[0], STAGES[-1])  # Lite scales all but the ends
            for repeat in range(stage.repeats if fixed else math.ceil(stage.repeats * deeper)):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(InvertedResidual(entering, leaving, stage.kernel, stride, stage.expand))
                entering = leaving
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(entering, HEAD, 1, 1)
        self._bn1 = nn.BatchNorm2d(HEAD, eps=EPSILON)
        self.widths = tuple(block.leaving for block in blocks)
        self.width = HEAD

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        blocks = self.below(images, 1)
        rest = self.above(blocks[-1], 1)
        return Maps(blocks + rest.blocks, rest.last)

    def below(self, images: Float[Tensor, "b 3 h w"], cut: int) -> list[Float[Tensor, "b _ _ _"]]:
        maps = F.relu6(self._bn0(self._conv_stem((images - MEAN) / SPREAD)))
        return _through(self._blocks[:cut], maps)

    def above(self, maps: Float[Tensor, "b c y x"], cut: int) -> Maps:
        blocks = _through(self._blocks[cut:], maps)
        last = blocks[-1] if blocks else maps
        return Maps(blocks, F.relu6(self._bn1(self._conv_head(last))))

    def upper(self, cut: int) -> list[nn.Module]:
        return [self._blocks[cut:], self._conv_head, self._bn1]


def _through(blocks: nn.Module, maps: Float[Tensor, "b c y x"]) -> list[Float[Tensor, "b _ _ _"]]:
    """The maps of each block in turn."""
    outputs = []
    for block in blocks.children():
        maps = block(maps)
        outputs.append(maps)
    return outputs


@torch.no_grad()
def unfold(network: EfficientNetLite, folded: Mapping[str, Tensor]) -> None:
    r"""Make a network compute what convolutions do that hold their normalisation too, as encoder files have them.

    .. math:: w' = s w, \quad b' = \beta - s \mu, \qquad s = \gamma / \sqrt{\sigma^2 + \epsilon}

    Means and variances stay those of the network, and so do scales; of depthwise convolutions, which are not trained,
    weights stay and scales change. ``folded`` has weights under their own names, and offsets with ``_bias`` behind.
    """
    for name, convolution in network.named_modules():
        if not isinstance(convolution, SameConv):
            continue
        owner, _, own = name.rpartition(".")
        norm = network.get_submodule(f"{owner}.{NORMS[own]}" if owner else NORMS[own])
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = folded[f"{name}.weight"]
        if convolution.groups > 1:
            before = convolution.weight * scale[:, None, None, None]
            ratio = (weight * before).sum((1, 2, 3)) / before.square().sum((1, 2, 3)).clamp(min=torch.finfo().tiny)
            norm.weight.mul_(ratio)
            scale = scale * ratio
        else:
            convolution.weight.copy_(weight / scale[:, None, None, None])
        norm.bias.copy_(folded[f"{name}.weight_bias"] + scale * norm.running_mean)


class InvertedResidual(nn.Module):
    """Widen, convolve each channel, narrow; add the input where its shape is kept."""

    def __init__(self, entering: int, leaving: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        self.expands = expand > 1
        self.adds = stride == 1 and entering == leaving
        self.leaving = leaving
        inner = entering * expand
        if self.expands:
            self._expand_conv = SameConv(entering, inner, 1, 1)
            self._bn0 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._project_conv = SameConv(inner, leaving, 1, 1)
        self._bn2 = nn.BatchNorm2d(leaving, eps=EPSILON)

    def forward(self, maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        inner = F.relu6(self._bn0(self._expand_conv(maps))) if self.expands else maps
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        narrow: Tensor = self._bn2(self._project_conv(inner))
        return narrow + maps if self.adds else narrow


class SameConv(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) positions, padded as TensorFlow pads."""

    def __init__(self, entering: int, leaving: int, kernel: int, stride: int, *, groups: int = 1) -> None:
        super().__init__(entering, leaving, kernel, stride, groups=groups, bias=False)

    def forward(self, maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        tall = same_padding(maps.shape[2], self.kernel_size[0], self.stride[0])
        wide = same_padding(maps.shape[3], self.kernel_size[1], self.stride[1])
        if tall[0] == tall[1] and wide[0] == wide[1]:
            return F.conv2d(maps, self.weight, None, self.stride, (tall[0], wide[0]), groups=self.groups)
        return F.conv2d(F.pad(maps, (*wide, *tall)), self.weight, None, self.stride, groups=self.groups)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, so that ``size`` positions become ceil(size / stride).

    >>> same_padding(192, 3, 2), same_padding(191, 3, 2), same_padding(24, 5, 1)
    ((0, 1), (1, 1), (2, 2))
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def multiple_of_8(width: float) -> int:
    """The nearest multiple of 8, the next one where that loses over a tenth.

    >>> multiple_of_8(24 * 1.1), multiple_of_8(40 * 1.1), multiple_of_8(11.0)
    (24, 48, 16)
    """
    near = max(8, int(width + 4) // 8 * 8)
    return near + 8 if near < 0.9 * width else near
