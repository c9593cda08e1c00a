"""Teachers: encoders whose vectors of the training crops say which crops are alike.

A teacher sees every crop once and plain, cut from the photo as it is served, at its own size; the student sees the
augmented views. So the student learns that a view in bad light is still what the teacher saw in good light.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from osoroi import image
from osoroi.encoder import Encoder
from osoroi.encoder.loader import Pixels, crop_pixels
from osoroi.errors import BadPhoto
from osoroi.training import feature_cache
from osoroi.training.sampling import TeacherVectors
from osoroi.training.view_loader import LoadedPhoto, View

PREFIX = "teacher-"
"""What the names of the folders begin with in which vectors of teachers are kept."""


def embed(
    encoder: Encoder, views: Sequence[View], folder: Path, on_progress: Callable[[int, int], None]
) -> tuple[TeacherVectors, Bool[np.ndarray, "v"]]:
    """A teacher's vectors of the crops of views, computed once and kept in ``folder``; and which could be read.

    The part ``kind`` is left away: it is nothing that a student learns.
    """
    groups = [list(rows) for _, rows in groupby(range(len(views)), key=lambda row: id(views[row].crop))]
    crops = [views[rows[0]].crop for rows in groups]
    digest = sha256(encoder.fingerprint.encode())
    for crop in crops:
        digest.update(json.dumps([crop.crop_id, crop.domain, crop.box, *feature_cache.photo_state(crop)]).encode())
    unreadable: dict[str, str] = {}

    def load(rows: Sequence[int]) -> list[Pixels | None]:
        crop = crops[rows[0]]
        try:
            photo = LoadedPhoto(image.name_of(crop.photo), image.load(crop.photo))
            return [crop_pixels(replace(crop, photo=photo), encoder.preprocessing)]
        except BadPhoto as error:
            unreadable[crop.crop_id] = f"{crop.crop_id}: {error}"
            return [None]

    def fill(target: Path) -> list[str]:
        own = [[row] for row in range(len(crops))]
        feature_cache.fill(target, own, load, lambda pixels: [encoder.embedder.vectors(pixels)], on_progress)
        return list(unreadable.values())

    signature = digest.hexdigest()
    cached = feature_cache.stored(folder / f"{PREFIX}{signature[:32]}", signature, fill)
    group = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    parts = encoder.metadata.graph_parts
    total = sum(part.weight for part in parts)
    shares = tuple(replace(part, weight=part.weight / total if total else 1 / len(parts)) for part in parts)
    return TeacherVectors(shares, np.asarray(cached.arrays[0])[group]), cached.readable[group]
