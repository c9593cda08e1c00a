"""The values that pass between stages: frozen, named, without tensors and without I/O.

Boxes are (left, top, right, bottom) in pixels of the upright photo, right and bottom outside. Scores are weighted
sums of cosines, in [-1, 1], higher is better. Ids are strings, keys are 64-bit integers, ranks start at 1.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, SupportsFloat, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from osoroi.errors import BadRequest

Domain = Literal["street", "shop"]
"""``street``: photos of people who wear a product. ``shop``: photos of the product itself."""

Value = str | float | bool | None
"""The types of an attribute. Integers are stored as floats."""


@runtime_checkable
class Readable(Protocol):
    """Anything with ``read() -> bytes``: an open binary file, or a photo that is rendered when it is read."""

    def read(self) -> bytes:
        """All bytes of the photo."""
        ...


Source = Path | bytes | Readable
"""Where the bytes of a photo come from."""

PhotoLike = str | os.PathLike[str] | bytes | Readable | Image.Image | np.ndarray
"""Every form in which a caller may give a photo: a path, the bytes of a file, an open binary file, a Pillow image, or
an array ``uint8 [h w 3]`` of upright sRGB pixels."""

BoxLike = Iterable[SupportsFloat]
"""Four numbers: (left, top, right, bottom) in pixels of the upright photo."""


Kinds = str | Mapping[str, float]
"""What a garment is: a kind by its name, or the probabilities of kinds."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright photo; right and bottom lie outside."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, sides: BoxLike) -> "Box":
        """A box from any four numbers (left, top, right, bottom), rounded to whole pixels.

        Raises BadRequest where they are not four finite numbers. Whether the box lies inside a photo is checked when
        it is used.

        >>> Box.of([4.2, 3, 40.8, 30])
        Box(left=4, top=3, right=41, bottom=30)
        """
        values = list(sides)
        if len(values) != 4 or not all(_finite(value) for value in values):
            raise BadRequest(
                f"{values!r:.100} is no box",
                hint="a box is four numbers (left, top, right, bottom) in pixels of the upright photo",
            )
        left, top, right, bottom = (round(float(value)) for value in values)
        return cls(left, top, right, bottom)


def _finite(value: object) -> bool:
    return isinstance(value, SupportsFloat) and math.isfinite(value)


@dataclass(frozen=True)
class Preprocessing:
    """How the pixels of one domain become an encoder's input.

    The box is enlarged by ``margin`` of its size on every side and cut at the edge of the photo. Where there is no box
    and ``trim`` is set, a plain border is cut off. The result is resized to ``height`` x ``width`` pixels, without
    keeping its proportions.
    """

    height: int
    width: int
    margin: float = 0.0
    trim: bool = False


@dataclass(frozen=True)
class Part:
    """One part of a vector: its name, its number of columns, and its weight in the score of a query.

    A part has unit length. The weights of all parts are at least 0 and sum to 1.
    """

    name: str
    size: int
    weight: float


@dataclass(frozen=True)
class Clues:
    """What is known of a crop's kind besides its pixels: ``garments.part`` makes the part ``kind`` of both.

    ``known`` has probabilities of kinds that need no picture; ``evidence`` the log of how much something else than the
    picture, such as its place on a body, speaks for each kind. Without either the picture alone decides.
    """

    known: Mapping[str, float] | None = None
    evidence: Mapping[str, float] | None = None


class Input(NamedTuple):
    """The pixels of a crop, and what is known of its kind besides them."""

    pixels: UInt8[np.ndarray, "h w 3"]
    clues: Clues = Clues()


@dataclass(frozen=True)
class Product:
    """A product of a shop. Products of one ``design_id`` differ only in their colour."""

    product_id: str
    title: str = ""
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    currency: str | None = None
    url: str | None = None
    design_id: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Crop:
    """One garment in one photo; the whole photo where ``box`` is None.

    ``sha256`` is the hash of the photo's bytes in hexadecimal, or None before they are read.
    """

    crop_id: str
    product_id: str
    domain: Domain
    photo: Source
    box: Box | None = None
    split: str | None = None
    sha256: str | None = None


class Row(NamedTuple):
    """One row of a dataset: a crop, and the product it shows.

    A product with several crops has several rows. A street crop that shows several products has one row for each
    product, with the same ``crop_id``.
    """

    product: Product
    crop: Crop


@dataclass(frozen=True)
class Hit:
    """One result of a search: a product, its best crop, the score of that crop, and the cosine of each part.

    ``probability`` is the chance that this is the very product in the photo. It is None where the encoder has no
    calibration, and where the query is no street photo under the encoder's own weights.
    """

    product_id: str
    score: float
    crop_id: str
    product: Product
    parts: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None
