"""Putting products and changing their metadata. Workers decode the photos, and where the shop no longer says the kind
of a product, its photos do."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from osoroi import image
from osoroi.catalog import Entry
from osoroi.categories import reader
from osoroi.encoder import Encoder
from osoroi.errors import Busy
from osoroi.ingest import crops_without_kind, update
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
    reads = await service.read(reader, catalog, encoder)
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
    crops = await service.read(crops_without_kind, catalog, encoder, product_id, changes)
    photos = [(await service.read(service.load, crop), crop.box) for crop in crops]
    vectors = [await service.embed(photo, box, "shop", Clues()) for photo, box in photos]

    def known(wanted: Sequence[Crop]) -> Float32[np.ndarray, "b d"]:
        if wanted != crops:
            raise Busy("the product's photos or its category were changed meanwhile", hint="try again in a moment")
        return np.concatenate(vectors)

    product = await service.write(lambda: update(catalog, encoder, product_id, changes, embed=known))
    if "category" in changes:
        _learn(service, product, await service.read(reader, catalog, encoder))
    return product
