"""Photos that are sent for a product, as its crops."""

import hashlib
from collections.abc import Sequence

from osoroi.errors import BadRequest
from osoroi.records import Box, Crop


def crops_of(product_id: str, photos: Sequence[bytes], boxes: Sequence[Box | None]) -> list[Crop]:
    """Shop crops named by product, bytes and box, so that putting the same again changes nothing."""
    crops: dict[str, Crop] = {}
    for photo, box in zip(photos, boxes, strict=True):
        sha256 = hashlib.sha256(photo).hexdigest()
        mark = sha256[:16] if box is None else f"{sha256[:16]}@{','.join(map(str, box))}"
        crop_id = f"{product_id}:{mark}"
        crops[crop_id] = Crop(crop_id, product_id, "shop", photo, box, sha256=sha256)
    if not crops:
        raise BadRequest("a product needs a photo", hint="send one or more as files called photo")
    return list(crops.values())
