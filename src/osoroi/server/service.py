"""What the service does, whoever asks: programs through ``api``, people through ``pages``.

Pixels are decoded and the catalog is read on a few threads, crops are encoded by the batcher's, products are written
on one thread of their own; the event loop does none of it.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32

from osoroi import image
from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.errors import BadPhoto, BadRequest, NotFound, OsoroiError
from osoroi.image import Limits
from osoroi.records import Box, Crop, Domain, Hit, Product, Source, Value
from osoroi.search import Searcher
from osoroi.server.batching import Batcher
from osoroi.server.forms import Budget
from osoroi.server.limits import Gate
from osoroi.server.metrics import Counters
from osoroi.server.query import Question
from osoroi.server.settings import Settings

Vector = Float32[np.ndarray, "1 d"]
T = TypeVar("T")

READS = 512
"""Lists, products and thumbnails under way at once; they are short."""
WRITES = 32
"""Products waiting to be written."""


class Strips(NamedTuple):
    """What one vector finds when shape alone decides, detail alone, and both as the encoder weighs them."""

    shape: list[Hit]
    detail: list[Hit]
    both: list[Hit]


class Service:
    """A searcher, the threads it works on, and the gates before them."""

    def __init__(self, searcher: Searcher, catalog: LocalCatalog, settings: Settings) -> None:
        self.searcher = searcher
        self.encoder = searcher.encoder
        self.catalog = catalog
        self.settings = settings
        self.counters = Counters()
        self.budget = Budget(settings.memory_bytes)
        self.limits = Limits(pixels=settings.pixels, bytes=settings.body_bytes)
        self.batcher = Batcher(
            self.encoder, batch=settings.batch, workers=settings.workers, on_batch=self.counters.batch
        )
        self.searches = Gate("searches", limit=settings.waiting, seconds=settings.answer_s)
        self.reads = Gate("reads", limit=READS, seconds=settings.answer_s)
        self.writes = Gate("writes", limit=WRITES, seconds=settings.answer_s)
        self._readers = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")

    def close(self) -> None:
        """Wait for what the threads are doing."""
        self.batcher.close()
        self._readers.shutdown()
        self._writer.shutdown()

    async def read(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` on a reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._discreet, work, *arguments)

    async def write(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` on the writing thread; it is finished even where its request gives up."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._discreet, work, *arguments)

    async def search(self, question: Question) -> list[Hit]:
        """The products a question finds, best first."""
        async with self.searches.pass_():
            vector, without = await self.vector_of(question)
            return await self.read(self._nearest, vector, question, without)

    async def search_with_strips(self, question: Question, strip: int) -> tuple[list[Hit], Strips | None]:
        """The same, and the first ``strip`` products by each part alone, where the encoder has a dial."""
        async with self.searches.pass_():
            vector, without = await self.vector_of(question)
            hits = await self.read(self._nearest, vector, question, without)
            if self.own_detail is None:
                return hits, None
            rows = [await self.read(self._plain, vector, question, without, strip, dial) for dial in (0.0, 1.0, None)]
            return hits, Strips(*rows)

    async def vector_of(self, question: Question) -> tuple[Vector, Sequence[str]]:
        """The vector that asks, and the products it must not find: what is asked about is no answer."""
        if question.photo is not None:
            return await self.embed(question.photo, question.box, "street"), ()
        if question.crop_id is not None:
            crop = await self.read(self.catalog.crop, question.crop_id)
            if question.box is not None:
                photo = await self.read(self.load, crop)
                return await self.embed(photo, question.box, "street"), (crop.product_id,)
        else:
            crop = (await self.read(self.catalog.crops, question.product_id))[0]
        return await self.read(self.catalog.vectors, [crop.crop_id]), (crop.product_id,)

    async def embed(self, photo: Source, box: Box | None, domain: Domain) -> Vector:
        """Photo to vector: decoded on a reading thread, encoded together with whatever else waits."""
        crop = await self.read(self._crop, photo, box, domain)
        return await self.batcher.encode(crop)

    async def put(
        self, product: Product, photos: Sequence[bytes], boxes: Sequence[Box | None]
    ) -> tuple[list[Crop], int]:
        """Put a product with exactly these photos; returns its crops and the ``seq`` of the commit."""
        async with self.writes.pass_():
            crops = _crops(product.product_id, photos, boxes)
            vectors = [await self.embed(crop.photo, crop.box, "shop") for crop in crops]  # searches go in between
            entry = Entry(product, crops, np.concatenate(vectors))
            return crops, await self.write(self._put, entry)

    async def patch(self, product_id: str, changes: Mapping[str, Value]) -> Product:
        """Change metadata; returns the product as it now is."""
        async with self.writes.pass_():
            return await self.write(self._patch, product_id, changes)

    async def remove(self, product_id: str) -> bool:
        """Remove a product; returns whether it was held."""
        async with self.writes.pass_():
            return bool(await self.write(self.catalog.remove, [product_id]))

    def load(self, crop: Crop) -> bytes:
        """The file of a photo that the catalog holds. The error does not say where that should be: it goes outside."""
        try:
            return image.load(crop.photo, limits=self.limits)
        except BadPhoto:
            raise NotFound(
                f"the photo of crop {crop.crop_id[:200]!r} is gone or cannot be read", hint="add the product again"
            ) from None

    @property
    def own_detail(self) -> float | None:
        """The encoder's own weight of colour and pattern, or None where it has no dial."""
        weights = {part.name: part.weight for part in self.encoder.parts}
        return weights.get("detail") if len(weights) > 1 else None

    def _discreet(self, work: Callable[..., T], *arguments: object) -> T:
        """Errors of ours name the catalog's folder, which is nobody's business outside."""
        try:
            return work(*arguments)
        except OsoroiError as error:
            error.what = error.what.replace(str(self.catalog.folder), self.catalog.folder.name)
            if isinstance(error, NotFound):
                error.hint = error.hint or "list what there is with GET /v1/products"
            raise

    def _crop(self, photo: Source, box: Box | None, domain: Domain) -> image.Photo:
        return image.crop(photo, box, self.encoder.preprocessing[domain], limits=self.limits)

    def _nearest(self, vector: Vector, question: Question, without: Sequence[str]) -> list[Hit]:
        return self.searcher.nearest(vector, question.k, where=question.where, detail=question.detail, without=without)

    def _plain(
        self, vector: Vector, question: Question, without: Sequence[str], k: int, detail: float | None
    ) -> list[Hit]:
        return self.searcher.nearest(vector, k, where=question.where, detail=detail, without=without)

    def _patch(self, product_id: str, changes: Mapping[str, Value]) -> Product:
        self.catalog.patch(product_id, changes)
        return self.catalog.get(product_id)

    def _put(self, entry: Entry) -> int:
        return self.catalog.put([entry], fingerprint=self.encoder.fingerprint)


def _crops(product_id: str, photos: Sequence[bytes], boxes: Sequence[Box | None]) -> list[Crop]:
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
