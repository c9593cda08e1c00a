"""A network: crops to vectors in parts. Torch; what serves is the encoder file that ``export`` makes of it."""

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from osoroi.model import pooling, shallow
from osoroi.model.backbones import Divided, Trunk
from osoroi.model.color import lab, relit
from osoroi.model.foreground import Probe, shares
from osoroi.model.heads import Head
from osoroi.records import Part

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

    @property
    def both(self) -> Float[Tensor, "b _"]:
        """All of it, for a network whose only part is the two joined."""
        return torch.cat([self.deep, self.detail], 1)


class Seen(NamedTuple):
    """What the blocks below the cut give: the last of their maps, where the garment is, and features known by then."""

    maps: Float[Tensor, "b c y x"]
    attention: Float[Tensor, "b v u"]
    known: Float[Tensor, "b _"]


class Backbone(nn.Module):
    """Trunk and shallow features, pooled where the probe sees the garment, or over the whole crop without one.

    With ``constancy`` there is a second histogram, of colours as if the light were white.
    """

    bell: Tensor

    def __init__(
        self,
        trunk: nn.Module,
        blocks: tuple[int, ...] = SHALLOW_BLOCKS,
        probe: tuple[int, ...] | None = None,
        *,
        constancy: bool = False,
    ) -> None:
        super().__init__()
        assert isinstance(trunk, Trunk)
        self.trunk = trunk
        self.blocks = blocks
        self.constancy = constancy
        self.probe = None if probe is None else Probe(probe, trunk.widths)
        self.register_buffer("bell", pooling.centred(COLOUR_SIDE, COLOUR_SIDE, REACH), persistent=False)

    @property
    def sizes(self) -> dict[str, list[tuple[str, int]]]:
        """For each part its sources in order, with how many features each gives."""
        shallow = [(block, self.trunk.widths[block]) for block in self.blocks]
        bins = prod(pooling.LAB_BINS)
        return {
            "deep": [("last", self.trunk.width)],
            "detail": [
                *((f"mean of block {block}", width) for block, width in shallow),
                *((f"deviation of block {block}", width) for block, width in shallow),
                ("histogram", bins),
                ("grid", 3 * pooling.ROWS * pooling.COLUMNS),
                *([("relit histogram", bins)] if self.constancy else []),
            ],
        }

    def sources(self, part: str) -> list[tuple[str, int]]:
        """The sources of one part; of ``both``, those of all."""
        sizes = self.sizes
        return [source for each in sizes.values() for source in each] if part == "both" else sizes[part]

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Features:
        return self.attended(crops)[0]

    def attended(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Features, Float[Tensor, "b y x"] | None]:
        """Features, and the attention they were pooled with."""
        images = to_images(crops)
        maps = self.trunk(images)
        attention = self.probe(maps.blocks) if self.probe else None
        runs = self._colours(images, attention) | self._pooled(maps.blocks, 0, attention)
        last = maps.last.float()
        deep = pooling.mean(last, _weights(attention, last))
        return Features(deep, self._ordered(runs)), attention

    def below(self, crops: UInt8[Tensor, "b h w 3"], cut: int) -> Seen:
        """What the first ``cut`` blocks see; maps in half precision, as they are kept."""
        assert isinstance(self.trunk, Divided)
        images = to_images(crops)
        maps = self.trunk.below(images, cut)
        attention = self.probe(maps) if self.probe else None
        runs = self._colours(images, attention) | self._pooled(maps, 0, attention)
        kept = torch.ones_like(images[:, 0, :1, :1]) if attention is None else attention
        return Seen(maps[-1].half(), kept, self._ordered(runs))

    def above(self, seen: Seen, cut: int) -> Features:
        """Features, the rest of the blocks having looked."""
        assert isinstance(self.trunk, Divided)
        attention = seen.attention if self.probe else None
        maps = self.trunk.above(seen.maps.float().contiguous(memory_format=torch.channels_last), cut)
        early = [(name, size) for name, size in self.sizes["detail"] if not _is_late(name, cut)]
        known = torch.split(seen.known, [size for _, size in early], 1)
        runs = dict(zip([name for name, _ in early], known, strict=True)) | self._pooled(maps.blocks, cut, attention)
        last = maps.last.float()
        return Features(pooling.mean(last, _weights(attention, last)), self._ordered(runs))

    def _colours(self, images: Float[Tensor, "b 3 h w"], attention: Tensor | None) -> dict[str, Tensor]:
        small = pooling.shrink(images, COLOUR_SIDE, COLOUR_SIDE)
        colours = lab(small)
        weights = _weights(attention, colours)
        middle = self.bell if attention is None else weights

        def histogram(colours: Tensor) -> Tensor:
            return (pooling.soft_histogram(colours, middle) + pooling.EPSILON).sqrt()

        runs = {"histogram": histogram(colours), "grid": pooling.coarse_grid(colours, weights)}
        return runs | ({"relit histogram": histogram(lab(relit(small)))} if self.constancy else {})

    def _pooled(self, maps: list[Tensor], first: int, attention: Tensor | None) -> dict[str, Tensor]:
        """Mean and deviation of the shallow blocks among these maps, of which the first is that of block ``first``."""
        runs = {}
        for block in self.blocks:
            if first <= block < first + len(maps):
                seen = maps[block - first].float()  # of half the digits while learning
                weights = _weights(attention, seen)
                runs[f"mean of block {block}"] = pooling.mean(seen, weights)
                runs[f"deviation of block {block}"] = pooling.deviation(seen, weights)
        return runs

    def _ordered(self, runs: Mapping[str, Tensor]) -> Float[Tensor, "b _"]:
        return torch.cat([runs[name] for name, _ in self.sizes["detail"] if name in runs], 1)


class Network(nn.Module):
    """A backbone and a head for each part; vectors hold the parts side by side, each of unit length.

    ``tuned`` blocks of the trunk learn, the last ones, and all heads. The statistics of batch normalisation, depthwise
    convolutions and the probe stay as they are. With ``convolved`` the published shallow paths look at Lab colours, and
    what they see stands behind the other features of ``detail``; they learn, statistics too.
    """

    def __init__(
        self, backbone: Backbone, heads: Mapping[str, Head], *, tuned: int = 0, convolved: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.shallow = shallow.paths() if convolved else None
        self.parts = tuple(Part(name, head.linear.out_features, 1 / len(heads)) for name, head in heads.items())
        self.cut = max(0, len(backbone.trunk.widths) - tuned)
        self.frozen = tuned == 0
        backbone.requires_grad_(False)
        if not self.frozen:
            assert not self.cut or isinstance(backbone.trunk, Divided), "this trunk learns as a whole, or not at all"
            for module in backbone.trunk.upper(self.cut) if self.cut else [backbone.trunk]:
                learn(module)

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        return self.attended(crops)[0]

    def attended(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b y x"] | None]:
        """Vectors, and where the garment was seen."""
        raw, attention = self.backbone.attended(crops)
        return self.embed(self._with_paths(raw, self.pixels(crops))), attention

    def embed(self, raw: Features) -> Float[Tensor, "b d"]:
        """Vectors of features that were computed before."""
        return torch.cat([head(getattr(raw, name)) for name, head in self.heads.items()], 1)

    def pixels(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """What the shallow paths look at, if there are any; grey where their windows hang over the edge."""
        if self.shallow is None:
            return ()
        grey = torch.tensor([50.0, 0.0, 0.0], device=crops.device)[:, None, None]
        return tuple(shallow.averaged(lab(to_images(crops)) - grey))

    def below(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """What does not learn: features, or what the blocks below the cut saw, or the crops where all blocks learn;
        and behind it what shallow paths look at, in half precision, as it is kept."""
        if not self.frozen and not self.cut:
            return (crops,)
        seen = self.backbone(crops) if self.frozen else self.backbone.below(crops, self.cut)
        return (*seen, *(one.half() for one in self.pixels(crops)))

    def above(self, *images: Tensor) -> Float[Tensor, "b d"]:
        """Vectors of what ``below`` gave."""
        pixels = self.pixels(*images) if not self.frozen and not self.cut else images[self._known :]
        return self.embed(self._with_paths(self.raw(*images), pixels))

    def raw(self, *images: Tensor) -> Features:
        """Features of what ``below`` gave, without those of shallow paths."""
        if self.frozen:
            return Features(*images[: self._known])
        return self.backbone.above(Seen(*images[: self._known]), self.cut) if self.cut else self.backbone(*images)

    @property
    def _known(self) -> int:
        """How many tensors the backbone gives below the cut."""
        return len(Features._fields if self.frozen else Seen._fields)

    def _with_paths(self, raw: Features, pixels: tuple[Tensor, ...]) -> Features:
        if self.shallow is None:
            return raw
        seen = [path(one.float()) for path, one in zip(self.shallow, pixels, strict=True)]
        return Features(raw.deep, torch.cat([raw.detail, *seen], 1))

    def train(self, mode: bool = True) -> "Network":
        super().train(mode)
        self.backbone.eval()
        return self


def learn(module: nn.Module) -> None:
    """Let a part of a trunk learn, all but its depthwise convolutions: on a CPU their gradient takes a quarter of a
    step, in bfloat16 three quarters, for a twentieth of the weights."""
    module.requires_grad_(True)
    for one in module.modules():
        if isinstance(one, nn.Conv2d) and one.groups == one.in_channels > 1:
            one.requires_grad_(False)


def to_images(crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """Colours in [0, 1], channels first."""
    return crops.permute(0, 3, 1, 2).float() / 255


def _weights(attention: Tensor | None, maps: Float[Tensor, "b _ y x"]) -> Float[Tensor, "#b v u"]:
    """How much each position of some maps counts; never finer than the maps."""
    if attention is None:
        return torch.ones_like(maps[:1, 0])
    return shares(attention, max(maps.shape[2], attention.shape[1]))


def _is_late(name: str, cut: int) -> bool:
    """Whether a source is known only above the cut."""
    block = name.partition(" of block ")[2]
    return bool(block) and int(block) >= cut
