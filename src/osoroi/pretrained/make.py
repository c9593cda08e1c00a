"""A folder with a pretrained backbone -> an encoder file whose `deep` it is."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from osoroi import files, image
from osoroi.data.readers import open_dataset
from osoroi.encoder import DEFAULT, Encoder, text_tower
from osoroi.encoder.metadata import EncoderMetadata
from osoroi.errors import BadRequest, Mismatch
from osoroi.pretrained import card, check, library, loss, model, preprocessing, reduction, settings, text
from osoroi.pretrained.folder import SETTINGS_FILE, ModelFolder, open_folder
from osoroi.pretrained.graph import Projection
from osoroi.pretrained.join import DEEP, join, write
from osoroi.pretrained.model import PretrainedModel
from osoroi.pretrained.output import relative
from osoroi.pretrained.refusals import room
from osoroi.pretrained.settings import PretrainedSettings

AGREEMENT = 0.9999
"""The least cosine between a made encoder's `deep` and the brought graph run by itself on the same pixels."""

OTHER_SCRATCH = "set TMPDIR to a folder on a disk with more room"

MOST_PHOTOS = 4096
"""Photos of a shop that a projection is computed from."""


@dataclass(frozen=True)
class Options:
    """What somebody says about a backbone beyond its files. ``stated`` has fields as in osoroi.toml."""

    file: str | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)
    base: Path = DEFAULT
    reference: Path | None = None
    half: bool = False
    dim: int | None = None
    photos: str | None = None
    pairs: str | None = None


@dataclass(frozen=True)
class Made:
    """The encoder, the model in it, and what people should read: how it was checked, licence, warnings."""

    encoder: Encoder
    settings: PretrainedSettings
    checked: str
    licence: str
    notes: tuple[str, ...]


def make(path: Path, out: Path, options: Options = Options(), projection: Projection | None = None) -> Made:
    """Write the encoder file of the backbone in a folder, refused unless it gives the reference's vectors.

    Raises BadRequest where the folder does not say how to use the model, BadEncoder for a model that cannot be used,
    and Mismatch where the vectors differ from the reference.
    """
    folder = open_folder(path, options.file)
    stated = settings_of(folder, options)
    with tempfile.TemporaryDirectory() as scratch, room(scratch, OTHER_SCRATCH):
        brought = read_model(folder, stated, Path(scratch))
    reference = reference_of(folder, brought, stated, options)
    if options.dim is not None:
        projection = shortened(folder, brought, stated, options)
    joined, parts, views = join(brought, stated, options.base, projection=projection, half=options.half)
    base = Encoder.open(options.base)
    lost = _loss_of(brought, stated, base, projection, options)
    licence = stated.licence or card.licence_of(folder)
    facts = facts_of(folder, brought, stated)
    metadata = EncoderMetadata(
        parts, views, recipe=f"{facts['source']} as deep; {base.recipe}", training=base.training,
        licence=f"{licence} (backbone); {base.licence}", fingerprint="", kinds=base.metadata.kinds, backbone=facts,
    )  # fmt: skip

    def written(target: Path, checked: str) -> Encoder:
        return write(joined, target, replace(metadata, backbone=facts | {"check": checked}))

    with tempfile.TemporaryDirectory() as scratch, room(scratch, OTHER_SCRATCH):
        draft = Path(scratch) / "draft.onnx"
        encoder = written(draft, check.UNCHECKED)
        checked = verified(encoder, brought, stated, reference, projection)
    with room(out, "free some room, or write it to another disk"):
        encoder = written(out, checked)
        words = words_of(folder, encoder, brought, options)
    notes = (*lost, *warnings_of(licence, checked), *library.unused_weights(folder, reference), *words)
    return Made(encoder, stated, checked, licence, notes)


def _loss_of(
    brought: PretrainedModel, stated: PretrainedSettings, base: Encoder, projection: Projection | None, options: Options
) -> list[str]:
    """What a shorter vector loses on the pairs that were given."""
    if options.pairs is None:
        return []
    if projection is None:
        raise BadRequest("pairs measure what a shorter vector loses", hint="give `dim`, or use `osoroi evaluate`")
    return [loss.measured(brought, stated, dict(base.preprocessing), projection, options.pairs)]


def facts_of(folder: ModelFolder, brought: PretrainedModel, stated: PretrainedSettings) -> dict[str, str]:
    """What the metadata say of a backbone: its origin, licence, files, output and pixels."""
    return {
        "source": stated.source or card.source_of(folder),
        "licence": stated.licence or card.licence_of(folder),
        "file": relative(folder),
        "sha256": folder.sha256,
        "family": library.family_of(folder),
        "output": f"{brought.vector.name} ({brought.vector.pool})" if brought.vector.rank > 2 else brought.vector.name,
        "preprocessing": described(stated),
    }


def settings_of(folder: ModelFolder, options: Options) -> PretrainedSettings:
    """What the files of a folder state, with the options over it. Where nothing does, a file to edit is written."""
    stated = preprocessing.read(folder)
    if stated is None and folder.is_graph and not {"height", "width"} <= set(options.stated):
        raise BadRequest(
            f"nothing in {folder.root} says which pixels the model wants",
            hint=f"edit {write_template(folder)}, which was written for it, and run this again",
        )
    if stated is None and not folder.is_graph:
        raise BadRequest(f"nothing in {folder.root} says which pixels the model wants", hint="add its configuration")
    if stated is None:
        height, width = options.stated["height"], options.stated["width"]
        fields = {"resize": "squash", "to": [height, width]} | dict(options.stated)
        return settings.from_fields(fields, "the options")
    return settings.overridden(stated, options.stated, f"{stated.origin} and the options")


def write_template(folder: ModelFolder) -> Path:
    """Write osoroi.toml beside a model, filled with what its graph shows."""
    proto = model.load(folder.model)
    shape = model.sides_of(proto, folder)
    outputs = model.outputs_of(proto)
    template = settings.TEMPLATE.format(
        model=relative(folder), shape=[each or "any" for each in shape], side=shape[2] or 224,
        outputs=", ".join(outputs), output=outputs[0], pool="none",
    )  # fmt: skip
    path = folder.root / SETTINGS_FILE
    files.write_atomically(path, template.encode())
    return path


def read_model(folder: ModelFolder, stated: PretrainedSettings, scratch: Path) -> PretrainedModel:
    """The model of a folder as a graph; weights are exported first by the library that made them."""
    source = folder.model
    if not folder.is_graph:
        source = scratch / "exported.onnx"
        library.export(folder, source, stated)
    return model.cut(model.load(source), stated, folder)


def shortened(
    folder: ModelFolder, brought: PretrainedModel, stated: PretrainedSettings, options: Options
) -> Projection:
    """How `deep` gets ``dim`` numbers. Photos of the shop are cut as the shop's are when they are added."""
    assert options.dim is not None
    vectors = None
    if options.photos is not None:
        views = Encoder.open(options.base).preprocessing
        view = replace(views["shop"], fit=stated.fit)
        rows = (row.crop for row in open_dataset(options.photos).rows() if row.crop.domain == "shop")
        crops = islice(rows, MOST_PHOTOS)
        pixels = (image.crop(crop.photo, crop.box, view)[view.height :, : stated.fit.width] for crop in crops)
        vectors = np.concatenate([brought.vectors([each], stated.colors) for each in pixels])
    return reduction.projection(folder, brought.dim, options.dim, vectors, reduction.matryoshka_sizes(folder))


def reference_of(
    folder: ModelFolder, brought: PretrainedModel, stated: PretrainedSettings, options: Options
) -> check.Reference | None:
    """Reference vectors: those that were given, or by `transformers`, or none."""
    if options.reference is not None:
        return check.from_npz(options.reference)
    return library.reference(folder, brought, check.drawn_photos(), stated)


def verified(
    encoder: Encoder,
    brought: PretrainedModel,
    stated: PretrainedSettings,
    reference: check.Reference | None,
    projection: Projection | None,
) -> str:
    """How the encoder was checked, in a sentence. Raises Mismatch.

    First the joined graph against the brought graph alone, on the same pixels; then, where there is a reference, the
    whole path from photos against it.
    """
    photos = check.drawn_photos() if reference is None else reference.photos
    view = encoder.preprocessing["street"]
    crops = [image.crop(photo, None, view) for photo in photos]
    deep = encoder.encode(crops)[:, encoder.columns[DEEP]]
    alone = brought.vectors(check.pixels_of(photos, stated.fit), stated.colors)
    graphs = check.cosine(deep, alone if projection is None else projection(alone))
    if graphs < AGREEMENT:
        raise Mismatch(
            f"the encoder gives another vector than the backbone alone "
            f"(cosine {graphs:.5f}): the graphs were joined wrongly",
            hint="export the backbone again with opset 18 and a free batch",
        )
    if reference is None:
        return check.UNCHECKED
    lowest = check.require(deep if projection is None else alone, reference, brought, stated)
    return f"cosine {lowest:.5f} on {len(photos)} photos that are not square, {reference.by}"


def words_of(folder: ModelFolder, encoder: Encoder, brought: PretrainedModel, options: Options) -> list[str]:
    """Write the folder's text tower beside the encoder; what somebody should know of it."""
    assert encoder.path is not None
    whitened = options.dim is not None and options.dim not in reduction.matryoshka_sizes(folder)
    if whitened and text.find(folder):
        return [
            "whitened vectors of photos are no longer comparable with those of texts: words do not use the text model"
        ]
    if not whitened and text.write(folder, encoder.path, encoder.fingerprint, brought.dim, options.dim or brought.dim):
        return [f"words are compared by the model's own text half, {text_tower.beside(encoder.path).name}"]
    return []


def described(stated: PretrainedSettings) -> str:
    """The preprocessing in a line."""
    fit, colors = stated.fit, stated.colors
    mean, std = ([round(each, 3) for each in values] for values in (colors.mean, colors.std))
    return (
        f"{fit.height} x {fit.width}, {fit.resize} to {list(fit.to)}, {fit.resample}, mean {mean}, std {std}"
        f"{', blue first' if colors.bgr else ''} ({stated.origin})"
    )


def warnings_of(licence: str, checked: str) -> list[str]:
    """What somebody should know before the encoder is used."""
    notes = []
    if card.is_research_only(licence):
        notes.append(f"the licence of this backbone, {licence}, allows research only: a shop may not use this encoder")
    elif licence == card.UNKNOWN:
        notes.append("the licence of this backbone is not stated in its folder: read its model card before you use it")
    if checked == check.UNCHECKED:
        notes.append(
            "nothing was there to compare with: give reference vectors as `reference`, or install transformers"
        )
    return notes
