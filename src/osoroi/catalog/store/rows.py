"""The rows of the database by name, records as rows and back. Each row has a checksum, so that what was changed outside
is noticed when it is read."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi.catalog.filters import Known, value_type
from osoroi.catalog.protocol import EncoderFacts
from osoroi.records import Box, Part, Product, Value, as_value

SLOTS = 1 << 40


class MetaRow(NamedTuple):
    """A row of ``meta``: a value that the catalog keeps about itself."""

    name: str
    value: str
    checksum: int


class EncoderRow(NamedTuple):
    """A row of ``encoders``; ``parts`` and ``about`` are JSON."""

    encoder: int
    fingerprint: str
    dim: int
    parts: str
    about: str
    since_s: float
    checksum: int


class ProductRow(NamedTuple):
    """A row of ``products``; ``attributes`` is JSON."""

    product: int
    product_id: str
    title: str
    category: str | None
    brand: str | None
    price: float | None
    currency: str | None
    url: str | None
    design_id: str | None
    attributes: str
    checksum: int


class CropRow(NamedTuple):
    """A row of ``crops``; ``path`` is None where the photo is in the catalog's folder."""

    crop: int
    crop_id: str
    product: int
    place: int
    sha256: str
    path: str | None
    box: str | None
    split: str | None
    checksum: int


class VectorRow(NamedTuple):
    """A row of ``vectors``: little-endian numbers."""

    slot: int
    vector: bytes
    checksum: int


class ChangeRow(NamedTuple):
    """A row of ``changes``: one commit. ``detail`` is the JSON of ``ChangedKeys``."""

    seq: int
    at_s: float
    kind: str
    detail: str
    checksum: int


class ChangedKeys(NamedTuple):
    """Keys that a commit put, and keys that it removed."""

    products: list[int]
    crops: list[int]
    gone_products: list[int]
    gone_crops: list[int]


Summed = MetaRow | EncoderRow | ProductRow | CropRow | ChangeRow
"""Rows whose last column is the ``checksum`` of the others."""


@dataclass(frozen=True)
class StoredEncoder:
    """The encoder whose vectors a catalog holds; ``about`` repeats its recipe, training and licence."""

    encoder: int
    fingerprint: str
    dim: int
    parts: tuple[Part, ...]
    about: Mapping[str, str]
    since_s: float


def described(encoder: EncoderFacts) -> StoredEncoder:
    """What a catalog keeps of an encoder."""
    about = {name: str(getattr(encoder, name, "")) for name in ("recipe", "training", "licence")}
    return StoredEncoder(0, encoder.fingerprint, encoder.dim, encoder.parts, about, 0.0)


TO_JSON: Final = json.JSONEncoder(default=repr).encode
"""JSON of values of any type, which damage can make; ``json.dumps`` would make an encoder for each."""


def checksum(*values: Any) -> int:
    """CRC-32 of the values' JSON.

    >>> checksum("a", 1.0) == checksum("a", 1)
    False
    """
    return zlib.crc32(TO_JSON(values).encode())


def checksums(rows: Sequence[tuple[Any, ...]]) -> list[int]:
    r"""``checksum`` of each of these rows, in one go: of texts and numbers, no lists inside.

    >>> checksums([("a", 1.0), ("]\n[", None)]) == [checksum("a", 1.0), checksum("]\n[", None)]
    True
    """
    if not rows:
        return []
    texts = LINES(rows)[2:-2].split("]\n[")  # JSON has no line break of its own inside a text
    return [zlib.crc32(f"[{text}]".replace("\n", ", ").encode()) for text in texts]


LINES: Final = json.JSONEncoder(default=repr, separators=("\n", ": ")).encode
"""The same JSON with a line break in place of each comma."""


def meta_row(name: str, value: str) -> MetaRow:
    """A row of ``meta``."""
    return MetaRow(name, value, checksum(name, value))


def is_whole(row: Summed) -> bool:
    """Whether a row is what was written."""
    return checksum(*row[:-1]) == row.checksum


def slot(encoder: int, crop: int) -> int:
    """The key of a crop's vector by an encoder."""
    return encoder * SLOTS + crop


def product_row(key: int, product: Product) -> ProductRow:
    """A product's row under this key."""
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
        json.dumps({name: as_value(value) for name, value in product.attributes.items()}, ensure_ascii=False),
    )
    return ProductRow(*values, checksum(*values))


def product_of(row: ProductRow) -> Product | None:
    """The product of a row, or None where the row is not what was written."""
    return whole_products([row])[0] if is_whole(row) else None


def whole_products(rows: Sequence[ProductRow]) -> list[Product]:
    """The products of rows whose checksums were compared; their attributes are read in one go."""
    attributes = json.loads(f"[{','.join([row.attributes for row in rows])}]")
    return [
        Product(
            row.product_id, row.title, row.category, row.brand, row.price, row.currency, row.url, row.design_id,
            with_tuples(one),
        )
        for row, one in zip(rows, attributes, strict=True)
    ]  # fmt: skip


def attributes_of(text: str) -> dict[str, Value]:
    """Attributes from JSON; lists are tuples.

    >>> attributes_of('{"sizes": ["S", "M"], "wool": true}')
    {'sizes': ('S', 'M'), 'wool': True}
    """
    return with_tuples(json.loads(text))


def with_tuples(attributes: Mapping[str, Any]) -> dict[str, Value]:
    """Attributes whose lists are tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}


def vector_row(slot_: int, vector: Float32[np.ndarray, "d"]) -> VectorRow:
    """A vector's row; little-endian whatever the machine."""
    data = vector.astype("<f4").tobytes()
    return VectorRow(slot_, data, zlib.crc32(data, slot_ & 0xFFFFFFFF))


def vector_is_whole(row: VectorRow) -> bool:
    """Whether a vector's row is what was written."""
    return isinstance(row.vector, bytes) and zlib.crc32(row.vector, row.slot & 0xFFFFFFFF) == row.checksum


def box_text(box: Box | None) -> str | None:
    return None if box is None else ",".join(str(int(side)) for side in box)


def box_of(text: str | None) -> Box | None:
    return None if text is None else Box(*map(int, text.split(",")))


def each(value: Known | tuple[Known, ...]) -> tuple[tuple[Known, str], ...]:
    """The values of an attribute, each once, with the kind that filters know: ``texts`` for text of a list.

    >>> each("S"), each(("S", 38.0))
    ((('S', 'text'),), (('S', 'texts'), (38.0, 'numbers')))
    """
    if not isinstance(value, tuple):
        return ((value, value_type(value)),)
    return tuple({(value_type(one), one): (one, f"{value_type(one)}s") for one in value}.values())


def facts(product: Product) -> dict[str, Known | tuple[Known, ...]]:
    """The attributes that say something, as filters see them.

    >>> facts(Product("p", attributes={"size": 38.0, "sale": True, "note": None}))
    {'size': 38.0, 'sale': True}
    """
    plain = {name: as_value(value) for name, value in product.attributes.items()}
    return {name: value for name, value in plain.items() if value is not None and value != ()}
