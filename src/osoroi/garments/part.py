"""The part ``kind`` of vectors: what the pixels of crops say, and what is known of them besides.

The part holds the square roots of the probabilities of the kinds, in the order of ``kinds.KINDS``, and a slack that
makes its length 1. ``encoder`` appends it to what an encoder's graph computes; ``query`` finds the clues of a query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi.garments import picture
from osoroi.garments.kinds import BY_NAME, NAMES, read_category
from osoroi.garments.picture import CropLogits, Said
from osoroi.garments.posterior import combined, part, product_posterior, said_posterior
from osoroi.records import Clues, Part, Product

SIZE: Final = len(NAMES) + 1
"""Numbers of the part: one for each kind, and the slack."""

VERSION: Final = "1"
"""Goes up where the network, the table of kinds or the rule for product photos gives other numbers. Encoders whose part
was made by another version are refused, so vectors of two versions never meet."""

BATCH: Final = 16
"""Crops that run at once."""

AGAINST_PICTURES: Final[dict[str, float]] = (
    dict.fromkeys(NAMES, 1.2)
    | dict.fromkeys(("top", "scarf", "dress"), 0.05)
    | dict.fromkeys(("trousers", "shoes"), 0.6)
    | dict.fromkeys(("skirt", "shorts", "bag", "hat"), 1.8)
    | {"outerwear": 0.3}
)
"""What the weight of the part is multiplied by, for a query of this kind, where the products' kinds come from pictures
alone. Pictures of single tops, dresses and scarves are told apart badly, so there looks decide."""

AGAINST_PICTURES_BY_COLUMN: Final = np.array([*(AGAINST_PICTURES[name] for name in NAMES), 1.0], np.float32)
"""The same in the order of the part, whose last number is of no kind."""

Prediction = CropLogits | Said
"""What pixels say of a crop's kind: by the network of kinds, or by an encoder's own maps."""


def parts(
    crops: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    clues: Sequence[Clues],
    predictions: Mapping[int, Prediction] = MappingProxyType({}),
) -> Float32[np.ndarray, "b k"]:
    """One row of unit length for each crop; the network looks only at those whose kind is not known already.

    ``predictions`` are what an encoder computed of some crops, by their place, with their vectors.
    """
    missing = [number for number, clue in enumerate(clues) if clue.known is None and number not in predictions]
    for start in range(0, len(missing), BATCH):
        some = missing[start : start + BATCH]
        seen = picture.logits([_resized(crops[number]) for number in some]).rows
        predictions = {**predictions, **dict(zip(some, seen, strict=True))}
    rows = np.empty((len(crops), SIZE), np.float32)
    for number, clue in enumerate(clues):
        rows[number] = part(dict(clue.known) if clue.known is not None else _posterior(clue, predictions[number]))
    return rows


def _posterior(clue: Clues, prediction: Prediction) -> dict[str, float]:
    """Probabilities of the kinds of a crop, by what is known of it besides and by its pixels."""
    if clue.evidence is not None:
        return combined(clue.evidence, prediction)
    return said_posterior(prediction) if isinstance(prediction, Said) else product_posterior(*prediction)


def known_kind(product: Product, *, categories: bool = True) -> str | None:
    """The kind that the shop says: an attribute ``kind`` that is a name of the table, else what its category names,
    else what the attribute does; None where none of them is understood. Without ``categories``, the attribute alone.

    >>> known_kind(Product("p", category="Women > Skirts > Midi")), known_kind(Product("p", category="New in"))
    ('skirt', None)
    >>> known_kind(Product("p", category="Skirts", attributes={"kind": "Boots"}), categories=False)
    'shoes'
    """
    said = product.attributes.get("kind")
    word = said.strip().casefold() if isinstance(said, str) else ""
    if word in BY_NAME:
        return word
    kind = read_category(product.category) if product.category and categories else None
    return kind or (read_category(word) if word else None)


def of_product(product: Product, *, categories: bool = True) -> Clues:
    """The clues of a product's photos: its kind where the shop says it, else nothing; see ``known_kind``."""
    kind = known_kind(product, categories=categories)
    return Clues() if kind is None else Clues(known={kind: 1.0})


def share_of_weight(rows: Float32[np.ndarray, "b k"], categorised: float) -> Float32[np.ndarray, "b"]:
    """What the weight of the part is multiplied by for each query.

    ``categorised`` is the share of products whose kind is known. The others' kinds come from pictures, whose confidence
    would outrank looks. So between none known (the mean of ``AGAINST_PICTURES`` over the query's kinds) and all known
    (1) the factor is linear.

    >>> top = part({"top": 1.0})[None]
    >>> [round(float(share_of_weight(top, categorised)[0]), 2) for categorised in (0.0, 0.5, 1.0)]
    [0.05, 0.52, 1.0]
    """
    return (categorised + (1 - categorised) * (rows**2 @ AGAINST_PICTURES_BY_COLUMN)).astype(np.float32)


def _resized(crop: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "192 192 3"]:
    size = (picture.INPUT.width, picture.INPUT.height)
    if crop.shape[:2] == size[::-1]:
        return crop
    return np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.LANCZOS)).copy()


def with_kind(parts: Sequence[Part], weight: float) -> tuple[Part, ...]:
    """The parts of a graph and the part ``kind``, which gets this weight; the others share the rest as before.

    >>> [round(part.weight, 2) for part in with_kind([Part("deep", 8, 0.3), Part("detail", 8, 0.7)], 0.4)]
    [0.18, 0.42, 0.4]
    """
    total = sum(one.weight for one in parts)
    others = (replace(one, weight=one.weight / total * (1 - weight)) for one in parts)
    return (*others, Part("kind", SIZE, weight))
