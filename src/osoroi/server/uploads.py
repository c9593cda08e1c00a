"""Photos that are sent for a product, as its crops."""

import hashlib
from collections.abc import Sequence

from osoroi.errors import BadRequest
from osoroi.records import Box, Crop, crop_id_of


def crops_of(product_id: str, photos: Sequence[bytes], boxes: Sequence[Box | None]) -> list[Crop]:
    """Shop crops named by product, bytes and box, so that putting the same again changes nothing."""
    crops: dict[str, Crop] = {}
    for photo, box in zip(photos, boxes, strict=True):
        sha256 = hashlib.sha256(photo).hexdigest()
        crop_id = crop_id_of(product_id, sha256, box)
        crops[crop_id] = Crop(crop_id, product_id, "shop", photo, box, sha256=sha256)
    if not crops:
        raise BadRequest("a product needs a photo", hint="send one or more as files called photo")
    return list(crops.values())
