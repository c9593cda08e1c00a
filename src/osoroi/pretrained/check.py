"""Whether the `deep` of a made encoder is the vector that the backbone's own library gives, and if not, why not.

The photos are not square: squashing, cutting and padding give the same on a square one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi import files, image
from osoroi.errors import BadRequest, Mismatch
from osoroi.image import fitting
from osoroi.pretrained.model import PretrainedModel
from osoroi.pretrained.preprocessing import OPENAI_MEAN, OPENAI_STD
from osoroi.pretrained.settings import Colors, PretrainedSettings, rgb
from osoroi.records import Fit

LEAST: Final = 0.999
"""Cosine with the reference below which an encoder is refused."""

SamplePixels = UInt8[np.ndarray, "_ _ 3"]

UNCHECKED: Final = "not checked: no reference"

SHAPES: Final = ((301, 200), (230, 347), (480, 171))
"""Height and width of the photos that are drawn where none are given."""


@dataclass(frozen=True)
class Reference:
    """Vectors of a backbone's own library for some photos; ``by`` says which.

    ``of_weights`` says whether weights gave them, and not the graph itself.
    """

    photos: list[SamplePixels]
    vectors: Float32[np.ndarray, "b d"]
    by: str
    values: list[Float32[np.ndarray, "3 _ _"]] | None = None
    of_weights: bool = False


def drawn_photos() -> list[SamplePixels]:
    """Three photos that are not square, with edges, colours and fine patterns in every corner."""
    random = np.random.default_rng(18)
    photos = []
    for height, width in SHAPES:
        coarse = random.integers(0, 256, (7, 5, 3)).astype(np.uint8)
        fine = random.integers(-24, 25, (height, width, 3))
        rows, columns = np.mgrid[:height, :width]
        stripes = 30 * np.sign(np.sin(rows / 9) * np.sin(columns / 5))[..., None]
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
        photos.append((smooth + fine + stripes).clip(0, 255).astype(np.uint8))
    return photos


def from_npz(path: Path) -> Reference:
    """The reference in a file with `vectors` [n d] and `photos`, n names of files beside it. Raises BadRequest."""
    try:
        arrays = files.arrays(path)
        vectors = np.asarray(arrays["vectors"], np.float32)
        names = [str(name) for name in arrays["photos"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadRequest(
            f"{path} holds no reference ({error})",
            hint="save `vectors` [n d] and `photos` (n file names) with numpy.savez",
        ) from error
    if vectors.ndim != 2 or len(vectors) != len(names) or not names:
        raise BadRequest(f"{path} has {len(names)} photos and vectors of {vectors.shape}", hint="give one for each")
    photos = [image.read(path.parent / name) for name in names]
    if all(photo.shape[0] == photo.shape[1] for photo in photos):
        raise BadRequest(
            f"the photos of {path} are all square", hint="add one that is not: only it tells how it is cut"
        )
    return Reference(photos, vectors, f"reference vectors in {path.name}")


def cosine(one: Float32[np.ndarray, "b d"], other: Float32[np.ndarray, "b d"]) -> float:
    """The lowest cosine of a row with the row of the same number; -1 where their lengths differ or one is no number."""
    if one.shape != other.shape:
        return -1.0
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    lowest = float(((one * other).sum(1) / np.maximum(lengths, 1e-12)).min())
    return lowest if np.isfinite(lowest) else -1.0


def require(
    vectors: Float32[np.ndarray, "b d"], reference: Reference, model: PretrainedModel, settings: PretrainedSettings
) -> float:
    """The lowest cosine of `deep` with the reference. Raises Mismatch below .999, with the step that differs."""
    if vectors.shape[1] != reference.vectors.shape[1]:
        raise Mismatch(
            f"the vector {model.vector.name} has {vectors.shape[1]} numbers, and the reference "
            f"{reference.vectors.shape[1]}: they are not of the same output",
            hint="name the `output`",
        )
    lowest = cosine(vectors, reference.vectors)
    if lowest >= LEAST:
        return lowest
    raise Mismatch(
        f"the cosine with the reference ({reference.by}) is {lowest:.4f}, and {LEAST} is needed; "
        f"{_diagnosis(reference, model, settings)}",
        hint="correct that step with an option or in osoroi.toml, or see whether the reference is of this very model",
    )


def _diagnosis(reference: Reference, model: PretrainedModel, settings: PretrainedSettings) -> str:
    """The one step that, done otherwise, gives the reference; or what is known where none does."""
    if reference.values is not None:
        ours = pixels_of(reference.photos, settings.fit)
        if [each.shape for each in ours] != [each.transpose(1, 2, 0).shape for each in reference.values]:
            return "the step that differs is the size of the input"
    best = ("", -1.0)
    for name, other, reader in _alternatives(model, settings):
        pixels = pixels_of(reference.photos, other.fit)
        best = max(best, (name, cosine(reader(pixels, other.colors), reference.vectors)), key=lambda pair: pair[1])
    if best[1] >= LEAST:
        return f"the step that differs is {best[0]} (with it the cosine is {best[1]:.4f})"
    return f"no single step explains it (nearest: {best[0]}, {best[1]:.4f}), so the weights or the graph differ"


def pixels_of(photos: Sequence[SamplePixels], fit: Fit) -> list[SamplePixels]:
    """The inputs that a fit makes of whole photos."""
    return [fitting.fit(Image.fromarray(photo), (0, 0, photo.shape[1], photo.shape[0]), fit) for photo in photos]


ReferenceReader = Callable[[Sequence[SamplePixels], Colors], Float32[np.ndarray, "b d"]]


def _alternatives(
    model: PretrainedModel, settings: PretrainedSettings
) -> Iterator[tuple[str, PretrainedSettings, ReferenceReader]]:
    """Each step done in another way, the others as they are."""
    fit, colors = settings.fit, settings.colors
    sides = (fit.height, fit.width)
    ways = [Fit(*sides, "squash", sides, fit.resample), Fit(*sides, "shortest", (sides[0], 0), fit.resample)]
    ways += [Fit(*sides, "shortest", (round(sides[0] / ratio), 0), fit.resample) for ratio in (0.875, 0.9, 0.95)]
    ways += [Fit(*sides, "longest", sides, fit.resample, fill, "round") for fill in ((0,) * 3, (127,) * 3, (255,) * 3)]
    for way in ways:
        if way != fit:
            yield f"how photos are resized: {way.resize} to {way.to}", replace(settings, fit=way), model.vectors
    for name in fitting.FILTERS:
        if name != fit.resample:
            yield f"the filter: {name}", replace(settings, fit=replace(fit, resample=name)), model.vectors
    for label, mean, std in (
        ("none", 0.0, 1.0), (".5", 0.5, 0.5), ("CLIP's", OPENAI_MEAN, OPENAI_STD),
        ("ImageNet's", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ):  # fmt: skip
        other = replace(colors, mean=rgb(mean), std=rgb(std))
        yield f"mean and deviation: {label}", replace(settings, colors=other), model.vectors
    yield "the order of colours", replace(settings, colors=replace(colors, bgr=not colors.bgr)), model.vectors
    scale = 1.0 if colors.scale < 0.5 else 1 / 255
    yield f"the scale: {scale:.4g}", replace(settings, colors=replace(colors, scale=scale)), model.vectors
    if model.vector.rank == 3:
        for pool, skip in (("cls", 1), ("mean", 0), ("mean", 1), ("mean", 5)):
            other_model = replace(model, vector=model.vector._replace(pool=pool, skip=skip))
            yield f"pooling: {pool}, {skip} tokens skipped", settings, other_model.vectors
