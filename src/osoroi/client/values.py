"""Values as a service reads and writes them: photos and boxes as fields of forms, products and hits as JSON."""

import base64
import io
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osoroi import image
from osoroi.data.products import COLUMNS
from osoroi.image.swatch import is_color
from osoroi.records import Box, BoxLike, Crop, Hit, Kinds, PhotoLike, Product, Value, as_value

if TYPE_CHECKING:
    from osoroi.garments import Garment

Fields = Mapping[str, str | bytes | None]
"""Fields of a form: text, the bytes of a file, or None for one that is left out."""


def form(fields: Fields) -> tuple[bytes, str]:
    """A form as ``multipart/form-data``: its body, and its content type."""
    boundary = secrets.token_hex(16)
    body = io.BytesIO()
    for name, value in fields.items():
        if value is None:
            continue
        file = '; filename="photo"' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        body.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode())
        body.write(content)
        body.write(b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue(), f"multipart/form-data; boundary={boundary}"


def box_text(box: BoxLike | None) -> str | None:
    """A box as a field.

    >>> box_text([4.2, 3, 40, 30])
    '4,3,40,30'
    """
    return None if box is None else ",".join(map(str, Box.of(box)))


def kind_text(kind: Kinds | None) -> str | None:
    """A kind by its name, or probabilities of kinds as JSON; no probabilities say nothing."""
    return kind if kind is None or isinstance(kind, str) else json.dumps(dict(kind)) if kind else None


def number_text(value: float | None) -> str | None:
    """A number as a field."""
    return None if value is None else repr(value)


def detail_of(given: PhotoLike | None) -> str | bytes | None:
    """A colour as it is, or the bytes of a photo; as ``Catalog.search`` tells them apart."""
    if given is None:
        return None
    if isinstance(given, str) and is_color(given) and not Path(given).exists():
        return given
    return image.load(given)


def product_of(fields: Mapping[str, Any]) -> Product:
    """A product from its JSON."""
    columns = {name: value for name, value in fields.items() if name in COLUMNS}
    attributes = {name: as_value(value) for name, value in fields["attributes"].items()}
    return Product(**columns, attributes=attributes)


def product_fields(product: Product) -> dict[str, Any]:
    """A product as JSON of a line of a batch; what is not set is left out."""
    columns = {name: value for name in sorted(COLUMNS) if (value := getattr(product, name)) not in (None, "")}
    return columns | ({"attributes": dict(product.attributes)} if product.attributes else {})


def change_fields(changes: Mapping[str, Value]) -> dict[str, Any]:
    """Changes of a product as JSON: columns, and all other names as attributes.

    >>> change_fields({"price": 3.0, "sale": True, "attributes.wool": None})
    {'price': 3.0, 'attributes': {'sale': True, 'wool': None}}
    """
    columns = {name: value for name, value in changes.items() if name in COLUMNS}
    own = {name.removeprefix("attributes."): value for name, value in changes.items() if name not in COLUMNS}
    return columns | ({"attributes": own} if own else {})


def hits_of(answer: Mapping[str, Any]) -> list[Hit]:
    """The hits of a search from its JSON."""
    return [
        Hit(
            hit["product_id"],
            hit["score"],
            hit["crop_id"],
            product_of(hit["product"]),
            hit["parts"],
            hit["probability"],
            answer["probability"],
            hit["other_kind"],
        )
        for hit in answer["hits"]
    ]


def garments_of(answer: Mapping[str, Any]) -> "list[Garment]":
    """The garments of a photo from their JSON."""
    from osoroi.garments import Garment

    return [
        Garment(Box(*one["box"]), one["kind"], one["score"], one["person"], one["kinds"], tuple(one["colors"]))
        for one in answer["garments"]
    ]


def page_of(answer: Mapping[str, Any]) -> tuple[list[Product], str | None]:
    """The products of a page, and after which the next one begins."""
    return [product_of(one) for one in answer["products"]], answer["next"]


def photos_fields(crops: Sequence[tuple[Crop, bytes]]) -> list[dict[str, Any]]:
    """Photos as a line of a batch carries them."""
    return [
        {"base64": base64.b64encode(photo).decode(), "box": list(crop.box) if crop.box else None}
        for crop, photo in crops
    ]
