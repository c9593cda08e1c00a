"""What the stored vectors of a catalog teach an encoder: the kind of a photo from its looks."""

from copy import copy

import numpy as np
from jaxtyping import Float32

from osoroi.encoder import DETAIL, KIND, slider
from osoroi.encoder.onnx import Encoder
from osoroi.garments import learned
from osoroi.garments.learned import LearnedKinds

SAMPLE = 2048
"""Vectors of a catalog that tell the share of its products whose kind the shop says, and teach the kinds of queries."""


def learn_kinds(encoder: Encoder, vectors: Float32[np.ndarray, "n d"]) -> LearnedKinds | None:
    """A classifier of looks from stored vectors, by those whose kind is certain.

    None where they are too few, or the encoder has no part ``kind``. Of many vectors a few thousand are used.
    """
    if not encoder.has_kind:
        return None
    columns = encoder.columns[KIND]
    vectors = vectors[:: -(-len(vectors) // learned.ENOUGH) or 1]
    kinds = vectors[:, columns]
    labels = np.where(learned.certain(kinds), kinds.argmax(axis=1), -1)
    return learned.learn(vectors[:, : columns.start], labels)


def share_of_known(encoder: Encoder, vectors: Float32[np.ndarray, "n d"]) -> float:
    """The share of stored vectors whose kind is certain, as a shop's category makes it; 1 without any vectors."""
    return float(learned.certain(vectors[:, encoder.columns[KIND]]).mean()) if len(vectors) else 1.0


def usual_detail(encoder: Encoder, vectors: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "u"] | None:
    """What stored vectors have in common in the part ``detail``; None where the encoder has no such part."""
    return slider.usual(vectors[:, encoder.columns[DETAIL]]) if DETAIL in encoder.columns else None


def centred(
    encoder: Encoder, vectors: Float32[np.ndarray, "b d"], usual: Float32[np.ndarray, "u"] | None
) -> Float32[np.ndarray, "b d"]:
    """Queries whose part ``detail`` lacks what products have in common; the same where nothing is known of that."""
    if usual is None:
        return vectors
    changed = vectors.copy()
    changed[:, encoder.columns[DETAIL]] = slider.distinctive(vectors[:, encoder.columns[DETAIL]], usual)
    return changed


def reading(encoder: Encoder, *, categories: bool) -> Encoder:
    """The same encoder, to which the categories of products tell their kinds, or do not."""
    if encoder.reads_categories == categories:
        return encoder
    other = copy(encoder)
    other.reads_categories = categories
    return other


def with_learned_kind(
    encoder: Encoder, vectors: Float32[np.ndarray, "b d"], classifier: LearnedKinds
) -> Float32[np.ndarray, "b d"]:
    """The vectors of photos with what their looks say of their kind; a kind that is certain stays."""
    columns = encoder.columns[KIND]
    changed = vectors.copy()
    changed[:, columns] = learned.sharpened(classifier, vectors[:, : columns.start], vectors[:, columns])
    return changed
