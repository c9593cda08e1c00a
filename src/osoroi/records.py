"""The values that pass between stages: frozen, named, without tensors and without I/O.

Boxes are (left, top, right, bottom) in pixels of the upright photo, right and bottom outside. Scores are weighted
sums of cosines, in [-1, 1], higher is better. Ids are strings, keys are 64-bit integers, ranks start at 1.
"""

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, SupportsFloat, get_args, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from osoroi.errors import BadRequest

Domain = Literal["street", "shop"]
"""``street``: photos of people who wear a product. ``shop``: photos of the product itself."""

Scalar = str | float | bool
"""One value. Integers are stored as floats."""

Value = Scalar | tuple[Scalar, ...] | None
"""The types of an attribute: one value, several texts or numbers in their order (the sizes of a product), or none."""


def as_float(number: SupportsFloat) -> float:
    """A number as a float; infinite where it is too large for one, so that whoever wants a finite one refuses it.

    >>> as_float(3), as_float(-(10**400))
    (3.0, -inf)
    """
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf  # type: ignore[operator]


def as_value(value: Any) -> Value:
    """Integers as floats and lists as tuples, as they are stored.

    >>> as_value(3), as_value(["S", 38])
    (3.0, ('S', 38.0))
    """
    if isinstance(value, list | tuple):
        return tuple(_scalar(one) for one in value)
    return _scalar(value)


def _scalar(value: Any) -> Any:
    return as_float(value) if isinstance(value, int) and not isinstance(value, bool) else value


ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
"""A date of ISO 8601, or a time."""

FRACTION = re.compile(r"[.,](\d+)")
"""A fraction of a second."""

NO_ZONE = ""
"""The zone of a time that states none, or one by a name, such as JST."""


def zone_of(text: str) -> str | None:
    """The time zone of a time, as ``+09:00``; ``NO_ZONE`` where it states none that can be read, and None for a date.

    >>> [zone_of(text) for text in ("2026-01-31T10:00Z", "2026-01-31 10:00+0900", "2026-01-31T10:00", "2026/1/31")]
    ['+00:00', '+09:00', '', None]
    """
    stated = ISO.fullmatch(text)
    if stated is None or stated[1] is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return NO_ZONE
    return moment.isoformat()[-6:] if moment.tzinfo else NO_ZONE


def time_in_utc(value: Scalar) -> Scalar:
    """A time that has a zone in UTC, so that times are ordered as text; any other value as it is.

    So is a time that would be in no year of four digits. Fractions of a second keep their digits.

    >>> time_in_utc("2026-01-31T08:00+09:00"), time_in_utc("2026-01-31T08:00"), time_in_utc("0001-01-01T00:00+09:00")
    ('2026-01-30T23:00:00+00:00', '2026-01-31T08:00', '0001-01-01T00:00+09:00')
    """
    if not isinstance(value, str) or value[4:5] != "-" or not zone_of(value):
        return value
    fraction = FRACTION.search(value)
    whole, digits = (value, "") if fraction is None else (FRACTION.sub("", value, count=1), fraction[1].rstrip("0"))
    try:
        moment = datetime.fromisoformat(whole).astimezone(UTC).isoformat(timespec="seconds")
    except OverflowError:
        return value
    return f"{moment[:-6]}.{digits}{moment[-6:]}" if digits else moment


def in_utc(value: Value) -> Value:
    """An attribute whose times are in UTC; of a list, each of them.

    >>> in_utc(("2026-01-31T08:00Z", "M")), in_utc(None)
    (('2026-01-31T08:00:00+00:00', 'M'), None)
    """
    if isinstance(value, tuple):
        return tuple(time_in_utc(one) for one in value)
    return value if value is None else time_in_utc(value)


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
    return isinstance(value, SupportsFloat) and math.isfinite(as_float(value))


SIDE_PX = 4096
"""Most pixels on a side of an encoder's input."""

Resize = Literal["squash", "shortest", "longest", "none"]
"""How the size of a resized picture follows from its own: given, by its shorter side, by its longer side, or kept."""

ResamplingFilter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
"""Resampling filters of Pillow, all of which but ``nearest`` are widened by the factor of a reduction (antialias)."""

Placement = Literal["floor", "round", "corner"]
"""Where a window lies on a resized picture: in the middle, with an odd pixel cut at the end as ``transformers`` does
or by half to even as torchvision does; or with both upper left corners together."""


@dataclass(frozen=True)
class Fit:
    """How an area of a photo becomes the input of a pretrained backbone: resized, then cut or padded to one size.

    ``to`` has two numbers: for ``squash`` height and width; for ``shortest`` the shorter side and the most that the
    longer one may have (0: no limit); for ``longest`` the most height and width. The middle ``height`` x ``width``
    pixels of the result are the input; where it is smaller, ``fill`` (red, green, blue) lies around it.
    """

    height: int
    width: int
    resize: Resize
    to: tuple[int, int]
    resample: ResamplingFilter = "bicubic"
    fill: tuple[int, int, int] = (0, 0, 0)
    placement: Placement = "floor"

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Fit":
        """The fit with these fields, as JSON has them. Raises ValueError or TypeError where they make no input.

        >>> Fit.of({"height": 4, "width": 4, "resize": "squash", "to": [4, 4]})
        Fit(height=4, width=4, resize='squash', to=(4, 4), resample='bicubic', fill=(0, 0, 0), placement='floor')
        """
        fit = cls(**{**fields, "to": tuple(fields["to"]), "fill": tuple(fields.get("fill", (0, 0, 0)))})
        for name, allowed in (("resize", Resize), ("resample", ResamplingFilter), ("placement", Placement)):
            if getattr(fit, name) not in get_args(allowed):
                raise ValueError(
                    f"no {name} is called {getattr(fit, name)!r}; there are {', '.join(get_args(allowed))}"
                )
        numbers = (fit.height, fit.width, *fit.to, *fit.fill)
        if len(fit.to) != 2 or len(fit.fill) != 3 or not all(type(each) is int for each in numbers):
            raise ValueError(f"sides and colours are whole numbers, two in `to` and three in `fill`: {fit}")
        if not all(0 <= each <= SIDE_PX for each in fit.to) or not all(0 <= each <= 255 for each in fit.fill):
            raise ValueError(f"sides are at most {SIDE_PX} pixels and colours at most 255: {fit}")
        if (fit.resize != "none" and not fit.to[0]) or (fit.resize in ("squash", "longest") and not fit.to[1]):
            raise ValueError(f"a picture that is resized to {fit.to} has no pixels")
        return fit


@dataclass(frozen=True)
class Preprocessing:
    """How the pixels of one domain become an encoder's input.

    The box is enlarged by ``margin`` of its size on every side and cut at the edge of the photo. Where there is no box
    and ``trim`` is set, a plain border is cut off. The result is resized to ``height`` x ``width`` pixels, without
    keeping its proportions.

    With ``fit`` the same area becomes the input of a pretrained backbone, too. Both lie in one array: that of
    ``height`` x ``width`` above, that of ``fit`` below, both at the left.
    """

    height: int
    width: int
    margin: float = 0.0
    trim: bool = False
    fit: Fit | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and colours of a crop.

        >>> Preprocessing(192, 192, fit=Fit(224, 224, "squash", (224, 224))).shape
        (416, 224, 3)
        """
        if self.fit is None:
            return self.height, self.width, 3
        return self.height + self.fit.height, max(self.width, self.fit.width), 3

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Preprocessing":
        """The preprocessing with these fields, as JSON has them. Raises ValueError or TypeError for others."""
        fit = fields.get("fit")
        return cls(**{**fields, "fit": None if fit is None else Fit.of(fit)})


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
    ``is_query`` says that the crop is searched for and its vector not stored.
    """

    known: Mapping[str, float] | None = None
    evidence: Mapping[str, float] | None = None
    is_query: bool = field(default=False, compare=False)

    @property
    def by_picture_alone(self) -> bool:
        """Whether nothing but the picture tells the kind."""
        return self.known is None and self.evidence is None


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


def with_utc(product: Product) -> Product:
    """A product whose attributes are stored: times that have a zone are in UTC.

    >>> with_utc(Product("p", attributes={"since": "2026-07-01T10:00+02:00", "size": "M"})).attributes
    {'since': '2026-07-01T08:00:00+00:00', 'size': 'M'}
    """
    attributes = {name: in_utc(value) for name, value in product.attributes.items()}
    return product if attributes == product.attributes else replace(product, attributes=attributes)


def metadata_hash(product: Product) -> int:
    """A hash of a product's metadata, whatever the order of its attributes."""
    columns = [value for name, value in vars(product).items() if name != "attributes"]
    return hash((*columns, frozenset(product.attributes.items())))


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


class Problem(NamedTuple):
    """A crop whose photo cannot be read, and the reason."""

    product_id: str
    crop_id: str
    photo: str
    reason: str


def crop_id_of(product_id: str, sha256: str, box: Box | None) -> str:
    """The id of a crop that was sent to a service: by product, photo and box, so that sending it again changes nothing.

    >>> crop_id_of("P1", "0123456789abcdef0123", Box(0, 0, 9, 9))
    'P1:0123456789abcdef@0,0,9,9'
    """
    mark = sha256[:16] if box is None else f"{sha256[:16]}@{','.join(map(str, box))}"
    return f"{product_id}:{mark}"


@dataclass(frozen=True)
class Hit:
    """One result of a search: a product, its best crop, the score of that crop, and the cosine of each part.

    ``probability`` is the chance that this is the very product in the photo, and ``in_catalog`` that any of the first
    twelve products of the whole list is, whichever page of it this hit is on. Both are None where the encoder has no
    calibration, under a filter, and where the query is no street photo under the encoder's own weights.
    ``other_kind`` says that it is of another kind than the query, and so is all that follows in the list.
    """

    product_id: str
    score: float
    crop_id: str
    product: Product
    parts: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None
    in_catalog: float | None = None
    other_kind: bool = False
