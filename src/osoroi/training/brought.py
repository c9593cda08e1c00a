"""Heads on a brought backbone: a folder becomes a network to train, and a trained network an encoder file."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from osoroi.encoder import Encoder
from osoroi.encoder.metadata import EncoderMetadata
from osoroi.errors import BadRun
from osoroi.model import build as networks
from osoroi.model import export as exporter
from osoroi.model.brought import BroughtExtractor
from osoroi.model.heads import Head
from osoroi.model.network import FeatureExtractor, Network
from osoroi.pretrained import card, check, library, model
from osoroi.pretrained.folder import ModelFolder, open_folder
from osoroi.pretrained.graph import Projection
from osoroi.pretrained.join import join, write
from osoroi.pretrained.make import Options, facts_of, read_model, settings_of
from osoroi.pretrained.model import PretrainedModel
from osoroi.pretrained.modules import FrozenVision, TrainedVision, Vision, drift, require_trainable
from osoroi.pretrained.settings import PretrainedSettings, VectorOutput
from osoroi.recipe import Recipe
from osoroi.records import Part
from osoroi.training.view_loader import preprocessing

log = logging.getLogger(__name__)


def build(recipe: Recipe, path: Path, foreground: Path | None = None) -> Network:
    """The network of a recipe whose ``deep`` comes from the backbone in a folder; frozen unless blocks are unfrozen.

    Raises BadRequest and BadEncoder as ``pretrained.make`` does, Mismatch where `transformers` gives other vectors, and
    BadRun for recipes of other networks.
    """
    if recipe.network != "parts" or recipe.head_layers != 1 or recipe.shallow:
        raise BadRun(
            f"recipe {recipe.name!r} does not fit a backbone of your own",
            hint="set network=parts, head_layers=1 and shallow=no",
        )
    folder = open_folder(path)
    settings = settings_of(folder, Options())
    vision = _vision(folder, settings, trained=recipe.unfreeze_blocks > 0)
    own = networks.build(replace(recipe, unfreeze_blocks=0, lora_rank=0, l2_sp=0.0, refit=False), None, foreground)
    own_extractor: Any = own.extractor
    view = preprocessing(recipe, settings.fit)["street"]
    return networks.with_heads(BroughtExtractor(own_extractor, vision, view), recipe).eval()


def _vision(folder: ModelFolder, settings: PretrainedSettings, *, trained: bool) -> Vision:
    if trained:
        require_trainable(folder)
        return TrainedVision(folder, settings)
    brought = _graph(folder, settings)
    reference = library.reference(folder, brought, check.drawn_photos(), settings)
    if reference is not None:
        vectors = brought.vectors(check.pixels_of(reference.photos, settings.fit), settings.colors)
        check.require(vectors, reference, brought, settings)
    for note in library.unused_weights(folder, reference):
        log.warning("%s", note)
    return FrozenVision(folder, settings, brought)


def _graph(folder: ModelFolder, settings: PretrainedSettings) -> PretrainedModel:
    with tempfile.TemporaryDirectory() as scratch:
        return read_model(folder, settings, Path(scratch))


def require_same(network: Network, stored: dict[str, Tensor], path: Path) -> None:
    """Raise BadRun where a run was made with another backbone than lies in the folder now."""
    if drift(network, stored):
        raise BadRun(
            f"{path} holds another backbone, or states other pixels for it, than when the run began",
            hint="put back the folder as it was, or train again",
        )


def export(
    network: Network,
    backbone: Path,
    path: Path,
    *,
    parts: Sequence[Part],
    recipe: Recipe,
    training: str,
    licence: str,
    crops: Sequence[UInt8[np.ndarray, "h w 3"]],
) -> Encoder:
    """Write the encoder file of a network with a brought backbone, and open it.

    Raises Mismatch, and writes nothing, unless it gives the network's vectors on the crops.
    """
    folder = open_folder(backbone)
    settings = settings_of(folder, Options())
    extractor: Any = network.extractor
    with tempfile.TemporaryDirectory() as scratch:
        base = _base(network, Path(scratch) / "base.onnx", parts, recipe, crops)
        if isinstance(extractor.backbone, TrainedVision):
            traced = Path(scratch) / "traced.onnx"
            library.trace(extractor.backbone.network, traced, settings.fit.height, settings.fit.width)
            settings = replace(settings, output=VectorOutput())
            brought = model.cut(model.load(traced), settings, folder)
        else:
            brought = extractor.backbone.model
        head: Any = network.heads["deep"]
        joined, own_parts, views = join(brought, settings, base, projection=projection_of(head), half=False)
        facts = facts_of(folder, brought, settings)
        own_licence = settings.licence or card.licence_of(folder)
        metadata = EncoderMetadata(
            own_parts, views, recipe=recipe.name, training=training, licence=f"{own_licence} (backbone); {licence}",
            fingerprint="", kinds=Encoder.open(base).metadata.kinds,
            backbone=facts | {"check": "its network on crops of the run"},
        )  # fmt: skip
        draft = write(joined, Path(scratch) / "draft.onnx", metadata)
        exporter.check(network, draft, crops)
    return write(joined, path, metadata)


def projection_of(head: Head) -> Projection:
    """A head of one layer as the linear map behind the backbone's vector."""
    matrix = (head.linear.weight / head.spread).T.detach().numpy()
    bias = head.linear.bias.detach().numpy()
    return Projection(head.centre.numpy().astype(np.float32), np.ascontiguousarray(matrix, np.float32), bias)


def _base(
    network: Network, path: Path, parts: Sequence[Part], recipe: Recipe, crops: Sequence[UInt8[np.ndarray, "h w 3"]]
) -> Path:
    """An encoder file of the other parts; its own ``deep``, which ``join`` cuts away, is that of our extractor."""
    extractor: Any = network.extractor
    own: FeatureExtractor = extractor.own
    with torch.random.fork_rng():
        torch.manual_seed(0)
        heads: dict[str, Any] = dict(network.heads.items()) | {"deep": Head(own.backbone.width, recipe.dim)}
    whole = Network(own, heads).eval()
    whole.parts = network.parts
    height, width = extractor.view.height, extractor.view.width
    exporter.export(
        whole, path, parts=parts, preprocessing=preprocessing(recipe), recipe="base", training="", licence="",
        crops=[crop[:height, :width] for crop in crops],
    )  # fmt: skip
    return path
