"""Changing metadata of a product. Where the shop no longer says its kind, photos that workers decode do."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from osoroi.errors import Busy
from osoroi.ingest import crops_without_kind, update
from osoroi.records import Clues, Crop, Product, Value
from osoroi.server.service import Service


async def patch(service: Service, product_id: str, changes: Mapping[str, Value]) -> Product:
    """The product as it is after the changes. Nothing is changed where a photo cannot be read."""
    catalog, encoder = service.catalog, service.encoder
    crops = await service.read(crops_without_kind, catalog, encoder, product_id, changes)
    photos = [(await service.read(service.load, crop), crop.box) for crop in crops]
    vectors = [await service.embed(photo, box, "shop", Clues()) for photo, box in photos]

    def known(wanted: Sequence[Crop]) -> Float32[np.ndarray, "b d"]:
        if wanted != crops:
            raise Busy("the product's photos or its category were changed meanwhile", hint="try again in a moment")
        return np.concatenate(vectors)

    return await service.write(lambda: update(catalog, encoder, product_id, changes, embed=known))
