"""Products given as Python values -> rows, as a reader gives them for a file."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.data.readers.table import made_id
from osoroi.errors import BadRequest
from osoroi.records import Box, BoxLike, Crop, PhotoLike, Product, Row, as_value

ProductPhotos = tuple[Product, PhotoLike | Sequence[PhotoLike]]
"""A product, and its shop photo or photos."""

ProductInput = Row | ProductPhotos | Mapping[str, Any]
"""One product in any form that ``rows`` takes."""

COLUMNS = frozenset(field.name for field in fields(Product)) - {"attributes"}
PHOTO_KEYS = frozenset(("photo", "photos", "box", "boxes"))


def rows_of(given: str | os.PathLike[str] | Mapping[str, Any] | Iterable[ProductInput]) -> Iterator[Row]:
    """The rows of a data set by its name or path, or of products as Python values; see ``rows``. Raises BadDataset."""
    if isinstance(given, str | os.PathLike):
        return open_dataset(os.fspath(given)).rows()
    return rows([given] if isinstance(given, Mapping) else given)


def rows(products: Iterable[ProductInput | object]) -> Iterator[Row]:
    """One row for each shop photo of each product.

    A product is a row, a pair of a ``Product`` and its photo or photos, or a mapping. A mapping has ``product_id``,
    ``photo`` or ``photos``, optionally ``box`` or ``boxes``, the other columns of ``Product``, and any further keys as
    attributes. Raises BadRequest for anything else, and BadPhoto for a photo given as something else than a path that
    cannot be read.

    >>> made = list(rows([{"product_id": "p1", "photo": "coat.jpg", "price": 90, "wool": True}]))
    >>> made[0].product.price, dict(made[0].product.attributes), made[0].crop.photo.name
    (90.0, {'wool': True}, 'coat.jpg')
    """
    for item in products:
        if isinstance(item, Row):
            yield item
        elif isinstance(item, Mapping):
            yield from _of_mapping(item)
        elif isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Product):
            photos = _photos(item[1])
            yield from _of_photos(item[0], photos, [None] * len(photos))
        else:
            raise BadRequest(
                f"{type(item).__name__} is no product",
                hint="give mappings with product_id and photo, pairs of a Product and its photos, or a data set",
            )


def _of_mapping(item: Mapping[str, Any]) -> Iterator[Row]:
    for one, several in (("photo", "photos"), ("box", "boxes")):
        if one in item and several in item:
            raise BadRequest(f"a product has {one} and {several}", hint="give one of them")
    if "product_id" not in item or not PHOTO_KEYS & item.keys() & {"photo", "photos"}:
        raise BadRequest(
            f"a product with the keys {', '.join(map(str, item))} is not complete", hint="give product_id and photo"
        )
    photos = _photos(item.get("photos", item.get("photo")))
    boxes = item["boxes"] if "boxes" in item else [item.get("box")] * (1 if "box" in item else len(photos))
    if len(boxes) != len(photos):
        raise BadRequest(f"{len(boxes)} boxes do not fit {len(photos)} photos", hint="give a box or None for each")
    attributes = {**item.get("attributes", {})}
    attributes |= {key: value for key, value in item.items() if key not in COLUMNS | PHOTO_KEYS | {"attributes"}}
    columns: dict[str, Any] = {key: as_value(value) for key, value in item.items() if key in COLUMNS}
    product = Product(**columns, attributes={key: as_value(value) for key, value in attributes.items()})
    yield from _of_photos(product, photos, boxes)


def _of_photos(product: Product, photos: Sequence[PhotoLike], boxes: Sequence[BoxLike | None]) -> Iterator[Row]:
    """Rows whose crops are named by product, photo and box, so that giving the same again changes nothing."""
    if not photos:
        raise BadRequest(f"product {product.product_id!r} has no photo", hint="a product needs one photo or more")
    for photo, sides in zip(photos, boxes, strict=True):
        source, box = image.as_source(photo), None if sides is None else Box.of(sides)
        if not isinstance(source, Path):
            source = image.load(source)  # what can be read once only is read once
        name = str(source) if isinstance(source, Path) else hashlib.sha256(source).hexdigest()
        crop_id = made_id(product.product_id, "shop", name, box)
        yield Row(product, Crop(crop_id, product.product_id, "shop", source, box))


def _photos(photos: Any) -> Sequence[PhotoLike]:
    return photos if isinstance(photos, list | tuple) else [photos]
