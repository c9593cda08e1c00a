"""Refuse products, crops and vectors that could not be stored as what they are."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from osoroi.catalog.filters import is_unicode
from osoroi.catalog.protocol import Entry
from osoroi.errors import BadRequest
from osoroi.records import Product

TEXTS = ("category", "brand", "currency", "url", "design_id")
"""Columns of a product that are text or missing."""


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
    several = [value for value in product.attributes.values() if isinstance(value, tuple)]
    if any(isinstance(one, bool) for value in several for one in value):
        raise BadRequest(f"{who} has a flag in a list", hint="a list holds text and numbers")
    single = [value for value in product.attributes.values() if not isinstance(value, tuple)]
    for value in [*texts, product.price, *single, *(one for listed in several for one in listed)]:
        if value is not None and not isinstance(value, str | float | int | bool):
            hint = "values are text, numbers, flags, lists or missing"
            raise BadRequest(f"{who} has the value {value!r:.60}", hint=hint)
        if isinstance(value, int | float) and not is_finite(value):
            raise BadRequest(f"{who} has the value {value!r}", hint="numbers are finite; leave unknown ones out")
        if isinstance(value, str) and not is_unicode(value):
            raise BadRequest(f"{who} has text that is no Unicode: {value!r:.60}")


def is_finite(value: Any) -> bool:
    """Whether a number is one that can be stored; a whole number of 400 digits cannot."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
