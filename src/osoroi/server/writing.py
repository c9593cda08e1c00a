"""Putting products and changing their metadata. Workers decode the photos, and where the shop no longer says the kind
of a product, its photos do."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from osoroi import image
from osoroi.catalog import Entry, Storage
from osoroi.catalog.store.writer import patched
from osoroi.categories import Embed
from osoroi.encoder import Encoder
from osoroi.encoder.learned import reading
from osoroi.errors import Busy, NotFound
from osoroi.ingest import Change, change, crops_without_kind, update
from osoroi.records import Box, Clues, Crop, Product, Value
from osoroi.server.learning import CategoryLearning
from osoroi.server.service import Service
from osoroi.server.uploads import crops_of


async def put(
    service: Service, product: Product, photos: Sequence[bytes], boxes: Sequence[Box | None]
) -> tuple[list[Crop], int]:
    """Put a product with exactly these photos; returns its crops and the ``seq`` of the commit."""
    catalog, encoder = service.catalog, service.encoder
    crops = await service.read(crops_of, product.product_id, photos, boxes)
    sources = [(image.load(crop.photo, limits=service.decoder.limits), crop.box) for crop in crops]
    reads = await _reader(service, catalog, encoder)
    clues = reads.clues_of(product)
    vectors = [await service.embed(photo, box, "shop", clues) for photo, box in sources]  # searches go in between
    entry = Entry(product, crops, np.concatenate(vectors))
    seq = await service.write(lambda: catalog.put([entry], fingerprint=encoder.fingerprint))
    _learn(service, product, reads)
    return crops, seq


def _learn(service: Service, product: Product, reads: Encoder) -> None:
    """Have the kind of the product's category learned, where no dictionary knows it."""
    service.learning = service.learning or CategoryLearning(service.write)
    service.learning.note(product, service.catalog, reads)


async def patch(service: Service, product_id: str, changes: Mapping[str, Value]) -> Product:
    """The product as it is after the changes. Nothing is changed where a photo cannot be read."""
    catalog, encoder = service.catalog, service.encoder
    embed = await _embedding(service, product_id, lambda before: patched(before, changes))
    product = await service.write(lambda: update(catalog, encoder, product_id, changes, embed=embed))
    if "category" in changes:
        _learn(service, product, await _reader(service, catalog, encoder))
    return product


async def put_metadata(service: Service, product: Product) -> Product:
    """Give a product that is there exactly this metadata, in one commit; its photos stay."""
    catalog, encoder = service.catalog, service.encoder

    def to(_: Product) -> Product:
        return product

    try:
        embed = await _embedding(service, product.product_id, to)
        await service.write(lambda: change(catalog, encoder, product.product_id, to, embed=embed))
    except NotFound as error:
        raise NotFound(error.what, hint="a new product needs photos") from None
    _learn(service, product, await _reader(service, catalog, encoder))
    return product


async def _reader(service: Service, catalog: Storage, encoder: Encoder) -> Encoder:
    """The encoder as it reads the products of the catalog."""
    return await service.read(lambda: reading(encoder, categories=catalog.trusts_categories()))


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
