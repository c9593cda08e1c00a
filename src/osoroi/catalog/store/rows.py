"""Records as rows and back, each row with a checksum: what was changed outside is noticed when it is read."""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from osoroi.catalog.filters import Known, is_unicode, kind
from osoroi.catalog.protocol import Entry
from osoroi.errors import BadRequest
from osoroi.records import Box, Part, Product, Value

SLOTS = 1 << 40
TEXTS = ("category", "brand", "currency", "url", "design_id")


@dataclass(frozen=True)
class StoredEncoder:
    """The encoder whose vectors a catalog holds; ``about`` repeats its recipe, training and licence."""

    encoder: int
    fingerprint: str
    dim: int
    parts: tuple[Part, ...]
    about: Mapping[str, str]
    since_s: float


def checksum(*values: Any) -> int:
    """CRC-32 of the values' JSON.

    >>> checksum("a", 1.0) == checksum("a", 1)
    False
    """
    return zlib.crc32(json.dumps(values, default=repr).encode())  # damage can make a value of any type


def slot(encoder: int, crop: int) -> int:
    """The key of a crop's vector by an encoder."""
    return encoder * SLOTS + crop


def product_row(key: int, product: Product) -> tuple[Any, ...]:
    """The columns of ``products`` in their order."""
    price = None if product.price is None else float(product.price) + 0.0  # SQLite keeps no -0.0
    values = (
        key,
        product.product_id,
        product.title,
        product.category,
        product.brand,
        price,
        product.currency,
        product.url,
        product.design_id,
        json.dumps({name: _plain(value) for name, value in product.attributes.items()}, ensure_ascii=False),
    )
    return (*values, checksum(*values))


def product_of(row: tuple[Any, ...]) -> Product | None:
    """The product of a row, or None where the row is not what was written."""
    *values, stored = row
    if checksum(*values) != stored:
        return None
    return Product(*values[1:9], attributes_of(values[9]))  # type: ignore[call-arg]


def attributes_of(text: str) -> dict[str, Value]:
    """Attributes from JSON; lists are tuples.

    >>> attributes_of('{"sizes": ["S", "M"], "wool": true}')
    {'sizes': ('S', 'M'), 'wool': True}
    """
    return {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()}


def vector_row(slot_: int, vector: Float32[np.ndarray, "d"]) -> tuple[int, bytes, int]:
    """The columns of ``vectors``; little-endian whatever the machine."""
    data = vector.astype("<f4").tobytes()
    return slot_, data, zlib.crc32(data, slot_ & 0xFFFFFFFF)


def vector_is_whole(slot_: int, data: Any, stored: int) -> bool:
    """Whether a vector's row is what was written."""
    return isinstance(data, bytes) and zlib.crc32(data, slot_ & 0xFFFFFFFF) == stored


def box_text(box: Box | None) -> str | None:
    return None if box is None else ",".join(str(int(side)) for side in box)


def box_of(text: str | None) -> Box | None:
    return None if text is None else Box(*map(int, text.split(",")))


def _plain(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(float(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def each(value: Known | tuple[Known, ...]) -> tuple[tuple[Known, str], ...]:
    """The values of an attribute, each once, with the kind that filters know: ``texts`` for text of a list.

    >>> each("S"), each(("S", 38.0))
    ((('S', 'text'),), (('S', 'texts'), (38.0, 'numbers')))
    """
    if not isinstance(value, tuple):
        return ((value, kind(value)),)
    return tuple({(kind(one), one): (one, f"{kind(one)}s") for one in value}.values())


def facts(product: Product) -> dict[str, Known | tuple[Known, ...]]:
    """The attributes that say something, as filters see them.

    >>> facts(Product("p", attributes={"size": 38.0, "sale": True, "note": None}))
    {'size': 38.0, 'sale': True}
    """
    plain = {name: _plain(value) for name, value in product.attributes.items()}
    return {name: value for name, value in plain.items() if value is not None and value != ()}


def demand(entry: Entry, dim: int) -> None:
    """Raise BadRequest for an entry that cannot be stored or found again."""
    product, crops, vectors = entry
    demand_product(product)
    who = f"product {product.product_id!r}"
    if not crops or len(crops) != len(vectors):
        problem = f"{who} has {len(crops)} crops and {len(vectors)} vectors"
        raise BadRequest(problem, hint="one for each, one at least")
    if vectors.shape[1] != dim or not np.isfinite(vectors).all():
        raise BadRequest(f"{who} needs vectors of {dim} finite numbers", hint="use the catalog's encoder")
    if len({crop.crop_id for crop in crops}) < len(crops):
        raise BadRequest(f"{who} has two crops of one id", hint="every crop needs an id of its own")
    for crop in crops:
        if crop.product_id != product.product_id or crop.domain != "shop" or not crop.crop_id:
            raise BadRequest(f"crop {crop.crop_id!r} is no shop crop of {who}", hint="a catalog holds shop crops")
        if not is_unicode(crop.crop_id) or (isinstance(crop.photo, Path) and not is_unicode(str(crop.photo))):
            raise BadRequest(
                f"crop {crop.crop_id!r} of {who} has an id or a path that is no Unicode", hint="rename the file"
            )


def demand_product(product: Product) -> None:
    """Raise BadRequest for a product whose values cannot be stored as what they are."""
    who = f"product {product.product_id!r}"
    if not product.product_id:
        raise BadRequest("a product has an empty id", hint="every product needs one of its own")
    texts = [product.product_id, product.title, *(getattr(product, name) for name in TEXTS), *product.attributes]
    if not all(isinstance(text, str) for text in texts if text is not None):
        raise BadRequest(f"{who} has something else where text belongs", hint="all columns but the price are text")
    if product.price is not None and (not isinstance(product.price, int | float) or isinstance(product.price, bool)):
        raise BadRequest(f"{who} has the price {product.price!r}", hint="a price is a number or missing")
    if any(isinstance(one, bool) for value in product.attributes.values() if isinstance(value, tuple) for one in value):
        raise BadRequest(f"{who} has a flag in a list", hint="a list holds text and numbers")
    for value in [*texts, product.price, *(one for several in product.attributes.values() for one in listed(several))]:
        if value is not None and not isinstance(value, str | float | int | bool):
            raise BadRequest(
                f"{who} has the value {value!r:.60}", hint="values are text, numbers, flags, lists or missing"
            )
        if isinstance(value, int | float) and not _finite(value):
            raise BadRequest(f"{who} has the value {value!r}", hint="numbers are finite; leave unknown ones out")
        if isinstance(value, str) and not is_unicode(value):
            raise BadRequest(f"{who} has text that is no Unicode: {value!r:.60}")


def listed(value: Value) -> tuple[Any, ...]:
    """The values of a list, or the one value."""
    return value if isinstance(value, tuple) else (value,)


def _finite(value: Any) -> bool:
    """Whether a number is one that can be stored; a whole number of 400 digits cannot."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
