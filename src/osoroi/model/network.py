"""A network: crops to vectors in parts. In torch; what serves is the encoder file that ``export`` makes of it."""

from collections.abc import Mapping
from itertools import groupby
from math import prod
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from osoroi.model import pooling
from osoroi.model.backbones import Backbone, SplitBackbone
from osoroi.model.color import both_lights, lab, lab_coordinates
from osoroi.model.foreground import ForegroundHead, pooling_shares
from osoroi.model.heads import Head
from osoroi.records import Part

SHALLOW_BLOCKS = (2, 4, 10)
"""Blocks of an EfficientNet-Lite0 whose maps hold colour, texture and pattern, counted from 0."""

COLOUR_SIDE = 48
"""Positions on each side of the grid that colours are averaged to."""

REACH = 0.25
"""Deviation, as a share of the crop, of the Gaussian that weighs the histogram's positions where there is no mask."""


class Features(NamedTuple):
    """What is computed of a crop before the heads, one run of numbers for each part."""

    deep: Float[Tensor, "b _"]
    detail: Float[Tensor, "b _"]

    @property
    def both(self) -> Float[Tensor, "b _"]:
        """All features, for a network whose only part joins them."""
        return torch.cat([self.deep, self.detail], 1)


class Intermediate(NamedTuple):
    """What the blocks below the cut give: the last of their maps, the foreground mask, and features known by then."""

    maps: Float[Tensor, "b c y x"]
    mask: Float[Tensor, "b v u"]
    known: Float[Tensor, "b _"]


class FeatureExtractor(nn.Module):
    """A backbone and shallow features, pooled over the foreground mask, or over the whole crop without one.

    With ``color_constancy`` there is a second histogram, of the colours under white light.
    """

    bell: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        blocks: tuple[int, ...] = SHALLOW_BLOCKS,
        foreground: tuple[int, ...] | None = None,
        *,
        color_constancy: bool = False,
    ) -> None:
        super().__init__()
        assert isinstance(backbone, Backbone)
        self.backbone = backbone
        self.blocks = blocks
        self.color_constancy = color_constancy
        self.foreground = None if foreground is None else ForegroundHead(foreground, backbone.widths)
        bell = pooling.shares(pooling.centred(COLOUR_SIDE, COLOUR_SIDE, REACH))
        self.register_buffer("bell", bell, persistent=False)

    @property
    def sizes(self) -> dict[str, list[tuple[str, int]]]:
        """For each part its sources in order, with how many features each gives."""
        widths = [(block, self.backbone.widths[block]) for block in self.blocks]
        bins = prod(pooling.LAB_BINS)
        return {
            "deep": [("last", self.backbone.width)],
            "detail": [
                *((f"mean of block {block}", width) for block, width in widths),
                *((f"deviation of block {block}", width) for block, width in widths),
                ("histogram", bins),
                ("grid", 3 * pooling.ROWS * pooling.COLUMNS),
                *([("color-constant histogram", bins)] if self.color_constancy else []),
            ],
        }

    def sources(self, part: str) -> list[tuple[str, int]]:
        """The sources of one part; of ``both``, those of all."""
        sizes = self.sizes
        return [source for sources in sizes.values() for source in sources] if part == "both" else sizes[part]

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Features:
        return self.forward_with_mask(crops)[0]

    def forward_with_mask(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Features, Float[Tensor, "b y x"] | None]:
        """Features, and the foreground mask they were pooled over."""
        images = to_images(crops)
        maps = self.backbone(images)
        mask = self.foreground(maps.blocks) if self.foreground else None
        shares = None if mask is None else pooling_shares(mask)
        detail = self._color_features(images, shares).joined(self._block_features(maps.blocks, 0, shares))
        return Features(_mean(maps.last, shares), self._ordered(detail)), mask

    def below(self, crops: UInt8[Tensor, "b h w 3"], cut: int) -> Intermediate:
        """What the first ``cut`` blocks give; maps in half precision, as they are cached."""
        assert isinstance(self.backbone, SplitBackbone)
        images = to_images(crops)
        maps = self.backbone.below(images, cut)
        mask = self.foreground(maps) if self.foreground else None
        shares = None if mask is None else pooling_shares(mask)
        known = self._color_features(images, shares).joined(self._block_features(maps, 0, shares))
        cached = torch.ones_like(images[:, 0, :1, :1]) if mask is None else mask
        return Intermediate(maps[-1].half(), cached, self._ordered(known))

    def above(self, below: Intermediate, cut: int) -> Features:
        """Features, from what ``below`` gave and the other blocks."""
        assert isinstance(self.backbone, SplitBackbone)
        shares = pooling_shares(below.mask) if self.foreground else None
        maps = self.backbone.above(below.maps.float().contiguous(memory_format=torch.channels_last), cut)
        early = [(name, size) for name, size in self.sizes["detail"] if not _is_late(name, cut)]
        known = torch.split(below.known.unsqueeze(2), [size for _, size in early], 1)
        detail = DetailSources(dict(zip([name for name, _ in early], known, strict=True)), {})
        detail = detail.joined(self._block_features(maps.blocks, cut, shares))
        return Features(_mean(maps.last, shares), self._ordered(detail))

    def _color_features(self, images: Float[Tensor, "b 3 h w"], shares: Tensor | None) -> "DetailSources":
        own = _shares_of(shares, COLOUR_SIDE, COLOUR_SIDE, images)
        colours = pooling.thumbnails(images, COLOUR_SIDE).reshape(-1, 1, 3, COLOUR_SIDE * COLOUR_SIDE)
        names, gains = ["histogram"], torch.ones(1, 1, 1, 1, dtype=images.dtype, device=images.device)
        if self.color_constancy:
            names, gains = [*names, "color-constant histogram"], both_lights(colours)
        axes = pooling.axes()
        places = lab_coordinates(colours, gains, axes.origin, axes.unit)
        histograms = pooling.soft_histogram(places, self.bell if shares is None else own)
        size = histograms.shape[2]
        row = histograms.reshape(-1, len(names) * size, 1)
        squares = {name: row[:, size * at : size * at + size] for at, name in enumerate(names)}
        first = torch.unflatten(places[:, 0], 2, (COLOUR_SIDE, COLOUR_SIDE))
        unit, origin = (images.new_tensor(each) for each in (axes.unit, axes.origin))
        cells = pooling.coarse_grid(first, own) * unit + origin
        grid = cells.reshape(-1, cells.shape[1] * cells.shape[2], 1)
        return DetailSources({"grid": grid}, squares)

    def _block_features(self, maps: list[Tensor], first: int, shares: Tensor | None) -> "DetailSources":
        """Mean and variance of the shallow blocks among these maps, of which the first is that of block ``first``."""
        known, squares = {}, {}
        for block in self.blocks:
            if first <= block < first + len(maps):
                own = maps[block - first].float()  # in half precision while training
                moments = pooling.moments(own, _shares_of(shares, own.shape[2], own.shape[3], own))
                known[f"mean of block {block}"], squares[f"deviation of block {block}"] = moments
        return DetailSources(known, squares)

    def _ordered(self, runs: "DetailSources") -> Float[Tensor, "b _"]:
        """The features side by side; of neighbours the roots are taken at once."""
        names = [name for name, _ in self.sizes["detail"] if name in runs.known or name in runs.squares]
        found: list[Tensor] = []
        for squared, group in groupby(names, runs.squares.__contains__):
            source = runs.squares if squared else runs.known
            together = torch.cat([source[name] for name in group], 1).flatten(1)
            found.append(pooling.root(together) if squared else together)
        return torch.cat(found, 1)


class DetailSources(NamedTuple):
    """Features of ``detail`` by their source: those that are known, and those that are the roots of numbers."""

    known: Mapping[str, Float[Tensor, "b _ 1"]]
    squares: Mapping[str, Float[Tensor, "b _ 1"]]

    def joined(self, other: "DetailSources") -> "DetailSources":
        """Both."""
        return DetailSources({**self.known, **other.known}, {**self.squares, **other.squares})


class Network(nn.Module):
    """A feature extractor and a head for each part; vectors hold the parts side by side, each of unit length.

    The last ``unfreeze_blocks`` blocks of the backbone are trained, or adapters of ``lora_rank`` in them, and all
    heads. ``extractor`` is a ``FeatureExtractor``, or a ``BroughtExtractor``, which is trained as a whole. The
    statistics of batch normalisation, depthwise convolutions and the foreground head stay as they are. With
    ``convolved`` the published shallow paths are computed from Lab colours, and their outputs stand behind the other
    features of ``detail``; they are trained, statistics too.
    """

    def __init__(
        self,
        extractor: Any,
        heads: Mapping[str, Head],
        *,
        unfreeze_blocks: int = 0,
        lora_rank: int = 0,
        convolved: bool = False,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.heads = nn.ModuleDict(heads)
        self.shallow = None
        if convolved:
            from osoroi.model.shallow import paths

            self.shallow = paths()
        self.parts = tuple(Part(name, head.linear.out_features, 1 / len(heads)) for name, head in heads.items())
        self.cut = max(0, len(extractor.backbone.widths) - unfreeze_blocks)
        self.frozen = unfreeze_blocks == 0
        extractor.requires_grad_(False)
        if not self.frozen:
            backbone = extractor.backbone
            assert not self.cut or isinstance(backbone, SplitBackbone), "this backbone is trained as a whole, or frozen"
            for module in backbone.upper(self.cut) if self.cut else [backbone]:
                unfreeze(module)
                if lora_rank:
                    from osoroi.model import lora

                    lora.adapt(module, lora_rank)

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        return self.forward_with_mask(crops)[0]

    def forward_with_mask(
        self, crops: UInt8[Tensor, "b h w 3"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b y x"] | None]:
        """Vectors, and the foreground mask."""
        features, mask = self.extractor.forward_with_mask(crops)
        return self.embed(self._with_paths(features, self.pixels(crops))), mask

    def embed(self, features: Features) -> Float[Tensor, "b d"]:
        """Vectors of features that were computed before."""
        return torch.cat([head(getattr(features, name)) for name, head in self.heads.items()], 1)

    def pixels(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """Inputs of the shallow paths, if there are any; padded with grey."""
        if self.shallow is None:
            return ()
        grey = torch.tensor([50.0, 0.0, 0.0], device=crops.device)[:, None, None]
        from osoroi.model.shallow import averaged

        return tuple(averaged(lab(to_images(crops)) - grey))

    def below(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """What is not trained: features, or what the blocks below the cut give, or the crops where all is trained.

        Behind it stand the inputs of the shallow paths, in half precision, as they are cached.
        """
        if not self.frozen and not self.cut:
            return (crops,)
        outputs = self.extractor(crops) if self.frozen else self.extractor.below(crops, self.cut)
        return (*outputs, *(pixels.half() for pixels in self.pixels(crops)))

    def above(self, *images: Tensor) -> Float[Tensor, "b d"]:
        """Vectors of what ``below`` gave."""
        whole = not self.frozen and not self.cut
        pixels = self.pixels(*images) if whole else images[self._extractor_outputs :]
        return self.embed(self._with_paths(self.features(*images), pixels))

    def features(self, *images: Tensor) -> Features:
        """Features of what ``below`` gave, without those of shallow paths."""
        own = images[: self._extractor_outputs]
        if self.frozen:
            return Features(*own)
        return self.extractor.above(Intermediate(*own), self.cut) if self.cut else self.extractor(*images)

    @property
    def _extractor_outputs(self) -> int:
        """How many tensors the extractor gives below the cut."""
        return len(Features._fields if self.frozen else Intermediate._fields)

    def _with_paths(self, features: Features, pixels: tuple[Tensor, ...]) -> Features:
        if self.shallow is None:
            return features
        convolved = [path(one.float()) for path, one in zip(self.shallow, pixels, strict=True)]
        return Features(features.deep, torch.cat([features.detail, *convolved], 1))

    def train(self, mode: bool = True) -> "Network":
        super().train(mode)
        self.extractor.eval()
        return self


def unfreeze(module: nn.Module) -> None:
    """Train a part of a backbone, all but its depthwise convolutions: on a CPU their gradient takes a quarter of a
    step, in bfloat16 three quarters, for a twentieth of the weights."""
    module.requires_grad_(True)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            layer.requires_grad_(False)


def to_images(crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """Colours in [0, 1], channels first."""
    return crops.permute(0, 3, 1, 2).float() / 255


def _mean(maps: Float[Tensor, "b c y x"], shares: Tensor | None) -> Float[Tensor, "b c"]:
    own = maps.float()
    return pooling.mean(own, _shares_of(shares, own.shape[2], own.shape[3], own)).flatten(1)


def _shares_of(shares: Tensor | None, height: int, width: int, like: Tensor) -> Float[Tensor, "#b v u"]:
    """How much each position of maps of this size counts; all alike without shares of a mask."""
    if shares is None:
        return torch.full((1, height, width), 1 / (height * width), dtype=like.dtype, device=like.device)
    return pooling.resized(shares, height, width)


def _is_late(name: str, cut: int) -> bool:
    """Whether a source is known only above the cut."""
    block = name.partition(" of block ")[2]
    return bool(block) and int(block) >= cut
