"""The values that pass between stages: frozen, named, without tensors and without I/O.

Boxes are (left, top, right, bottom) in pixels of the upright photo, right and bottom outside. Scores are weighed
sums of cosines, in [-1, 1], higher is better. Ids are strings, keys are 64-bit integers, ranks start at 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

Domain = Literal["street", "shop"]
"""The two worlds: photos of somebody wearing it, photos of the product."""

Value = str | float | bool | None
"""What an attribute may be. Whole numbers are kept as floats."""


@runtime_checkable
class Readable(Protocol):
    """Anything with ``read() -> bytes``: an open file, or a photo that is drawn when it is read."""

    def read(self) -> bytes: ...


Source = Path | bytes | Readable
"""Where pixels come from."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright photo; right and bottom lie outside."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Preprocessing:
    """How the pixels of one domain become an encoder's input.

    The box is enlarged by ``margin`` of its size on every side (cut at the photo's edge); without a box and with
    ``trim``, a plain border is cut off first. What is left is squashed to ``height`` x ``width``.
    """

    height: int
    width: int
    margin: float = 0.0
    trim: bool = False


@dataclass(frozen=True)
class Part:
    """One named run of numbers inside a vector, of unit length, and its share of a query's score."""

    name: str
    size: int
    weight: float


@dataclass(frozen=True)
class Product:
    """One thing a shop sells. ``design_id`` joins products that differ in colour alone."""

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
    """One garment in one photo. Without a box the whole photo is meant.

    ``sha256`` is that of the photo's bytes, in hexadecimal, once somebody has read them.
    """

    crop_id: str
    product_id: str
    domain: Domain
    photo: Source
    box: Box | None = None
    split: str | None = None
    sha256: str | None = None


class Row(NamedTuple):
    """What a reader yields: a crop, and the product it shows.

    A product of several crops comes in several rows; a street crop that shows several products comes once for each,
    under one ``crop_id``.
    """

    product: Product
    crop: Crop


@dataclass(frozen=True)
class Hit:
    """One product found: its best crop, that crop's score, and the plain cosine of each part."""

    product_id: str
    score: float
    crop_id: str
    product: Product
    parts: Mapping[str, float] = field(default_factory=dict)
