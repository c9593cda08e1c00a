"""Changing metadata of a product. Where the shop no longer says its kind, photos that workers decode do."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from osoroi.catalog.store.writer import patched
from osoroi.categories import Embed
from osoroi.errors import Busy, NotFound
from osoroi.ingest import Change, change, crops_without_kind, update
from osoroi.records import Clues, Crop, Product, Value
from osoroi.server.service import Service


async def patch(service: Service, product_id: str, changes: Mapping[str, Value]) -> Product:
    """The product as it is after the changes. Nothing is changed where a photo cannot be read."""
    catalog, encoder = service.catalog, service.encoder
    embed = await _embedding(service, product_id, lambda before: patched(before, changes))
    return await service.write(lambda: update(catalog, encoder, product_id, changes, embed=embed))


async def put_metadata(service: Service, product: Product) -> Product:
    """Give a product that is there exactly this metadata, in one commit; its photos stay."""
    catalog, encoder = service.catalog, service.encoder

    def to(_: Product) -> Product:
        return product

    try:
        embed = await _embedding(service, product.product_id, to)
        return await service.write(lambda: change(catalog, encoder, product.product_id, to, embed=embed))
    except NotFound as error:
        raise NotFound(error.what, hint="a new product needs photos") from None


async def _embedding(service: Service, product_id: str, to: Change) -> Embed:
    """The vectors of photos that have to tell the kind after a change, which are embedded here, before the commit."""
    crops = await service.read(crops_without_kind, service.catalog, service.encoder, product_id, to)
    photos = [(await service.read(service.load, crop), crop.box) for crop in crops]
    vectors = [await service.embed(photo, box, "shop", Clues()) for photo, box in photos]

    def known(wanted: Sequence[Crop]) -> Float32[np.ndarray, "b d"]:
        if wanted != crops:
            raise Busy("the product's photos or its category were changed meanwhile", hint="try again in a moment")
        return np.concatenate(vectors)

    return known
