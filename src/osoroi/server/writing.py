"""Putting products and changing their metadata. Workers decode the photos, and where the shop no longer says the kind
of a product, its photos do."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

from osoroi import categories, image
from osoroi.catalog import Entry, Storage
from osoroi.catalog.store.writer import patched
from osoroi.categories import Embed
from osoroi.encoder import Encoder
from osoroi.encoder.learned import reading
from osoroi.errors import BadRequest, Busy, NotFound
from osoroi.ingest import Change, change, crops_without_kind, update
from osoroi.records import Box, Clues, Crop, Product, Value, crop_id_of
from osoroi.server.learning import CategoryLearning
from osoroi.server.service import Service

T = TypeVar("T")


async def put(
    service: Service, product: Product, photos: Sequence[bytes], boxes: Sequence[Box | None]
) -> tuple[list[Crop], int]:
    """Put a product with exactly these photos; returns its crops and the ``seq`` of the commit."""
    catalog, encoder = service.catalog, service.encoder
    crops = await service.read(crops_of, product.product_id, photos, boxes)
    sources = [(image.load(crop.photo, limits=service.decoder.limits), crop.box) for crop in crops]
    reads = await _reader(service, catalog, encoder)
    while True:
        clues = reads.clues_of(product)
        vectors = [await service.embed(photo, box, "shop", clues) for photo, box in sources]  # searches go in between
        entry = Entry(product, crops, np.concatenate(vectors))
        work = partial(catalog.put, [entry], fingerprint=reads.fingerprint)
        seq = await _written(service, product, catalog, reads, work)
        before, reads = reads, await _reader(service, catalog, encoder)
        if reads.reads_categories == before.reads_categories:  # else others have judged the categories meanwhile
            break
    return crops, seq


def crops_of(product_id: str, photos: Sequence[bytes], boxes: Sequence[Box | None]) -> list[Crop]:
    """Shop crops of photos that were sent, named by product, bytes and box, so that putting the same again changes
    nothing. Raises BadRequest for no photo."""
    crops: dict[str, Crop] = {}
    for photo, box in zip(photos, boxes, strict=True):
        sha256 = hashlib.sha256(photo).hexdigest()
        crop_id = crop_id_of(product_id, sha256, box)
        crops[crop_id] = Crop(crop_id, product_id, "shop", photo, box, sha256=sha256)
    if not crops:
        raise BadRequest("a product needs a photo", hint="send one or more as files called photo")
    return list(crops.values())


async def _written(service: Service, product: Product, catalog: Storage, reads: Encoder, work: Callable[[], T]) -> T:
    """Do work where the catalog is written. The category is then learned, even where the client has hung up."""

    def writing() -> T:
        with _learning(service).writing(product, catalog, reads):
            return work()

    try:
        return await service.write(writing)
    finally:
        _learn(service, product, reads)


def _learning(service: Service) -> CategoryLearning:
    service.learning = service.learning or CategoryLearning(service.write)
    return service.learning


def _learn(service: Service, product: Product, reads: Encoder) -> None:
    """Have the kind of the product's category learned, where no dictionary knows it."""
    if categories.unread(reads, [product]):
        _learning(service).start()


async def patch(service: Service, product_id: str, changes: Mapping[str, Value]) -> Product:
    """The product as it is after the changes. Nothing is changed where a photo cannot be read."""
    catalog, encoder = service.catalog, service.encoder
    embed = await _embedding(service, product_id, lambda before: patched(before, changes))
    if "category" not in changes:
        return await service.write(lambda: update(catalog, encoder, product_id, changes, embed=embed))
    reads, after = await _reader(service, catalog, encoder), Product(product_id, category=_text(changes["category"]))
    work = partial(update, catalog, encoder, product_id, changes, embed=embed)
    return await _written(service, after, catalog, reads, work)


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


async def put_metadata(service: Service, product: Product) -> Product:
    """Give a product that is there exactly this metadata, in one commit; its photos stay."""
    catalog, encoder = service.catalog, service.encoder

    def to(_: Product) -> Product:
        return product

    try:
        embed = await _embedding(service, product.product_id, to)
        reads = await _reader(service, catalog, encoder)
        work = partial(change, catalog, encoder, product.product_id, to, embed=embed)
        await _written(service, product, catalog, reads, work)
    except NotFound as error:
        raise NotFound(error.what, hint="a new product needs photos") from None
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
