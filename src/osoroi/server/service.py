"""The operations of the service, which ``api`` offers to programs and ``pages`` to people.

Photos are decoded in worker processes, the catalog is read on a few threads, crops are encoded by the batcher's
threads, products are written on one thread; the event loop does none of it.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from osoroi import image
from osoroi.catalog import Storage, interrupted_by
from osoroi.errors import BadPhoto, CatalogReplaced, CatalogUnavailable, NotFound, OsoroiError, OtherEncoder
from osoroi.garments import ALL, WORK_SIDE, Garment, choose
from osoroi.image.swatch import swatch
from osoroi.records import Box, Clues, Crop, Domain, Hit, Input, Kinds, Product, Value
from osoroi.search import DETAIL_ALONE, QueryVector, Searcher, detail_domain
from osoroi.server.batching import Batcher
from osoroi.server.decoding import Decoder
from osoroi.server.finding import Finder
from osoroi.server.limits import Admission, MemoryBudget
from osoroi.server.metrics import Metrics, note, stage
from osoroi.server.search_request import FindRequest, SearchRequest, require_modest
from osoroi.server.settings import Settings

if TYPE_CHECKING:
    from osoroi.encoder import Encoder
    from osoroi.server.learning import CategoryLearning
    from osoroi.words.search import WordSearch

log = logging.getLogger("osoroi.server")

Boxes = Sequence[Box | None]
T = TypeVar("T")

STALE: tuple[type[OsoroiError], ...] = (OtherEncoder, CatalogReplaced)
"""Errors of a catalog that has to be opened again."""

REOPEN_S = 1.0
"""Seconds between two attempts to open the catalog again."""

HEALTH_S = 0.25
"""Seconds that a health check waits for the catalog before it gives the last known answer."""


class Strips(NamedTuple):
    """The first hits for one vector by shape alone, by detail alone, and by the encoder's own weights."""

    shape: list[Hit]
    detail: list[Hit]
    both: list[Hit]


class Health(NamedTuple):
    """What ``/health`` answers: ``ok``, or why searches fail; and what is away that searches do without."""

    status: str
    products: int
    encoder: str
    missing: list[str] = []  # noqa: RUF012  nobody changes it


class Service:
    """A searcher, the threads and processes it works with, and the gate before them.

    ``reopen`` opens the catalog again with an encoder that fits it; it is called where the catalog was moved to another
    encoder or replaced. Without it such a catalog is refused until the service is started again.
    """

    def __init__(
        self,
        searcher: Searcher,
        settings: Settings,
        decoder: Decoder,
        *,
        reopen: Callable[[], Searcher] | None = None,
        finder: Finder | None = None,
    ) -> None:
        self.settings = settings
        self.decoder = decoder
        self.settings_rejected = False
        self.metrics = Metrics()
        self.memory = MemoryBudget(settings.memory_bytes)
        self.admission = Admission(settings.places, seconds=settings.answer_s)
        self._reopen = reopen
        self._reopening = asyncio.Lock()
        self._tried_at = float("-inf")
        self._replaced: list[Callable[[], None]] = []
        self._under_way: set[threading.Event] = set()
        self._readers = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self.finder = finder or Finder(settings.finders)
        self.learning: "CategoryLearning | None" = None
        self._watch = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._use(searcher)
        self._health = Health("ok", 0, self.encoder.fingerprint)

    def _use(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.encoder: "Encoder" = searcher.encoder
        self.catalog: Storage = searcher.catalog
        self._words: "WordSearch | None" = None
        self.batcher = Batcher(
            self.encoder, batch=self.settings.batch, workers=self.settings.workers, on_batch=self.metrics.batch
        )

    @property
    def words(self) -> "WordSearch":
        """Searches by words in the catalog in use."""
        if self._words is None:
            from osoroi.words.search import WordSearch  # most searches need none of it

            self._words = WordSearch(self.searcher)
        return self._words

    def close(self) -> None:
        """End the decoders and wait for what the threads are doing; what waits is not begun."""
        for unwanted in list(self._under_way):
            unwanted.set()
        if self.learning is not None:
            self.learning.close()
        self.decoder.close()
        self.batcher.close()
        self.finder.close()
        for pool in (self._readers, self._writer, self._watch):
            pool.shutdown(cancel_futures=True)
        for close in self._replaced:
            close()

    # ---------------------------------------------------------------- threads

    async def read(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` on a reading thread."""
        return await self._on(self._readers, work, *arguments)

    async def read_catalog(self, work: Callable[[Storage], T]) -> T:
        """Read the catalog on a reading thread; once more where it had to be opened again."""
        return await self.current(lambda: self.read(lambda: work(self.catalog)), reads=True)

    async def write(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` on the writing thread; it is finished even where its request gives up."""
        return await self._on(self._writer, work, *arguments)

    async def _on(self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` on a thread. A filter or a count ends early where its request gives up or the service ends."""
        unwanted = threading.Event()
        self._under_way.add(unwanted)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._discreet, unwanted, work, *arguments)
        except asyncio.CancelledError:
            unwanted.set()
            raise
        finally:
            self._under_way.discard(unwanted)

    def _discreet(self, unwanted: threading.Event, work: Callable[..., T], *arguments: object) -> T:
        """Errors name the catalog's folder; clients see its last name alone."""
        location = self.catalog.location
        try:
            with interrupted_by(unwanted):
                return work(*arguments)
        except OsoroiError as error:
            error.what = error.what.replace(location, os.path.basename(location))
            if isinstance(error, CatalogUnavailable) and "://" in location:
                error.what = error.what.partition(": ")[0]  # a server's own words name hosts and roles
            if isinstance(error, NotFound):
                error.hint = error.hint or "list what there is with GET /v1/products"
            raise

    # ---------------------------------------------------------------- another catalog, another encoder

    async def current(self, work: Callable[[], Awaitable[T]], *, reads: bool = False) -> T:
        """Do ``work``; again where the catalog was stale, or where work that only reads lost its connection."""
        searcher = self.searcher
        try:
            return await work()
        except STALE:
            if not await self.follow(searcher):
                raise
        except CatalogUnavailable:
            if not reads:  # a write may have been done
                raise
        return await work()

    async def follow(self, stale: Searcher) -> bool:
        """Open the catalog again in place of a stale one; returns whether another one is in use now."""
        async with self._reopening:
            if self.searcher is not stale:
                return True
            if self._reopen is None or time.monotonic() - self._tried_at < REOPEN_S:
                return False
            self._tried_at = time.monotonic()
            try:
                searcher = await self._on(self._watch, self._reopen)
            except OsoroiError as error:
                log.warning("the catalog cannot be opened again: %s", type(error).__name__)
                return False
            if self._replaced:  # the stale one was opened here too
                asyncio.get_running_loop().call_later(self.settings.answer_s, self._replaced.pop(0))
            self._replaced.append(searcher.catalog.close)
            old = self.batcher
            self._use(searcher)
            asyncio.get_running_loop().run_in_executor(None, old.close)
            log.info("opened the catalog again, with encoder %s", self.encoder.fingerprint[:12])
            return True

    async def health(self) -> Health:
        """Whether searches can be answered, within a second whatever the threads do."""
        check = asyncio.ensure_future(self.check())
        done, _ = await asyncio.wait([check], timeout=HEALTH_S)
        return check.result() if done else self._health

    async def check(self) -> Health:
        """Look whether searches can be answered, however long it takes."""
        searcher = self.searcher
        try:
            try:
                products, missing = await self._on(self._watch, _usable, searcher.catalog)
            except STALE:
                if not await self.follow(searcher):
                    raise
                products, missing = await self._on(self._watch, _usable, self.catalog)
            self._health = Health("ok", products, self.encoder.fingerprint, missing)
        except OsoroiError as error:
            kinds = {OtherEncoder: "other_encoder", CatalogReplaced: "replaced"}
            status = next((name for kind, name in kinds.items() if isinstance(error, kind)), "unavailable")
            self._health = Health(status, 0, self.encoder.fingerprint)
        return self._health

    # ---------------------------------------------------------------- searching

    async def search(self, request: SearchRequest) -> list[Hit]:
        """The products a request finds, best first; of a request that names no garment."""

        async def once() -> list[Hit]:
            vector, without = await self.vector_of(request)
            return await self._noted(vector, request, without)

        require_modest(request.where)
        return await self.current(once, reads=True)

    async def search_each(self, request: SearchRequest) -> list[tuple[Garment, list[Hit]]]:
        """The garments that a request names, and the products for each; BadRequest where there is no such garment."""
        require_modest(request.where)
        garments = choose(await self.find(request), request.garment or ALL)
        searches = [asyncio.ensure_future(self.search(request.of(garment))) for garment in garments]
        try:
            return list(zip(garments, await asyncio.gather(*searches), strict=True))
        finally:
            for search in searches:  # where one fails, nobody waits for the others
                search.cancel()

    async def search_with_strips(self, request: SearchRequest, strip: int) -> tuple[list[Hit], Strips | None]:
        """As ``search``, and the first ``strip`` products by each part alone, where the encoder has a slider."""

        async def once() -> tuple[list[Hit], Strips | None]:
            vector, without = await self.vector_of(request)
            hits = await self._noted(vector, request, without)
            if self.encoder.own_detail is None or request.text is not None:
                return hits, None
            rows = [
                await self.read(self._plain, vector, request, without, strip, detail) for detail in (0.0, 1.0, None)
            ]
            return hits, Strips(*rows)

        require_modest(request.where)
        return await self.current(once, reads=True)

    async def vector_of(self, request: SearchRequest) -> tuple[QueryVector, Sequence[str]]:
        """The query's vector, and the products to leave out: a product is no answer to itself."""
        words = request.words
        wished = request.detail_from
        if words is not None and wished is None:
            wished = words.color_of_query(alone=request.is_text_alone)
        second = None if wished is None else await self.detail_vector(wished, request.detail_box)
        base, without = (None, ()) if request.is_text_alone else await self._vector_of(request)
        if words is not None:
            return await self.read(self.words.vector, words, base, second), without
        assert base is not None
        return base if second is None else self.encoder.with_detail(base, second), without

    async def _vector_of(self, request: SearchRequest) -> tuple[QueryVector, Sequence[str]]:
        if request.photo is not None:
            return await self.embed_query(request.photo, request.box, request.kind), ()
        catalog = self.catalog
        if request.crop_id is not None:
            crop = await self.read(catalog.crop, request.crop_id)
            if request.box is not None:
                photo = await self.read(self.load, crop)
                return await self.embed_query(photo, request.box, request.kind), (crop.product_id,)
        else:
            crop = (await self.read(catalog.crops, request.product_id))[0]
        return await self.read(catalog.vectors, [crop.crop_id]), (crop.product_id,)

    async def detail_vector(self, photo: bytes | str, box: Box | None) -> QueryVector:
        """The vector of the photo or the colour whose detail is wanted."""
        domain = detail_domain(box)
        if isinstance(photo, bytes):
            return await self.embed(photo, box, domain, DETAIL_ALONE)
        preprocessing, color = self.encoder.preprocessing[domain], photo
        crop = await self.read(lambda: image.crop(swatch(color), None, preprocessing))
        return await self.batcher.encode(Input(crop, DETAIL_ALONE))

    async def find(self, request: SearchRequest | FindRequest) -> Sequence[Garment]:
        """The garments of the photo that a request names, or of its box alone."""
        photo = request.photo
        if photo is None:
            crop_id = request.crop_id
            photo = await self.read_catalog(lambda catalog: self.load(catalog.crop(crop_id or "")))
        with stage("decode"):
            small = await self.decoder.reduced(photo, WORK_SIDE)
        with stage("find"):
            return await self.finder.find(small, box=request.box)

    async def embed(self, photo: bytes, box: Box | None, domain: Domain, clues: Clues) -> QueryVector:
        """Photo to vector: decoded in a worker process, encoded together with whatever else waits."""
        with stage("decode"):
            query = Input(await self.decoder.crop(photo, box, self.encoder.preprocessing[domain]), clues)
        with stage("encode"):
            vector = await self.batcher.encode(query)
        return await self.read(self.searcher.with_learned_kinds, [query], vector) if domain == "street" else vector

    async def embed_query(self, photo: bytes, box: Box | None, kind: Kinds | None = None) -> QueryVector:
        """The vector of a garment in a street photo. Its place on a body is looked for where ``kind`` does not say what
        it is and the encoder wants to know."""
        if kind is not None or box is None or not self.encoder.has_kind:
            return await self.embed(photo, box, "street", self.encoder.query_clues(photo, box=None, kind=kind))
        small = await self.decoder.reduced(photo, WORK_SIDE)
        return await self.embed(photo, box, "street", await self.finder.clues(small, box))

    async def _noted(self, vector: QueryVector, request: SearchRequest, without: Sequence[str]) -> list[Hit]:
        with stage("search"):
            hits = await self.read(self._nearest, vector, request, without)
        note(hits=len(hits))
        return hits

    def _nearest(self, vector: QueryVector, request: SearchRequest, without: Sequence[str]) -> list[Hit]:
        if (words := request.words) is not None:
            return self.words.nearest(
                words, vector, request.k, offset=request.offset, where=request.where, detail=request.detail,
                alone=request.is_text_alone, by_picture=request.detail_from is not None, without=without,
            )  # fmt: skip
        detail = self.searcher.turned(request.detail)
        judged = request.photo is not None and detail is None and request.detail_from is None
        return self._plain(vector, request, without, request.k, detail, judged=judged)

    def _plain(
        self,
        vector: QueryVector,
        request: SearchRequest,
        without: Sequence[str],
        k: int,
        detail: float | None,
        *,
        judged: bool = False,
    ) -> list[Hit]:
        return self.searcher.nearest(
            vector, k, offset=request.offset, where=request.where, detail=detail, without=without, judged=judged,
            centred=detail is not None or request.detail_from is not None,
        )  # fmt: skip

    def load(self, crop: Crop) -> bytes:
        """The file of a photo of the catalog. The error does not say where it should be: it goes outside."""
        try:
            return image.load(crop.photo, limits=self.decoder.limits)
        except BadPhoto:
            gone = f"the photo of crop {crop.crop_id[:200]!r} is gone or cannot be read"
            raise NotFound(gone, hint="add the product again") from None

    # ---------------------------------------------------------------- writing

    async def put(self, product: Product, photos: Sequence[bytes], boxes: Boxes) -> tuple[list[Crop], int]:
        """Put a product with exactly these photos; returns its crops and the ``seq`` of the commit."""
        from osoroi.server import writing  # searches need none of it

        return await self.current(lambda: writing.put(self, product, photos, boxes))

    async def patch(self, product_id: str, changes: Mapping[str, Value]) -> Product:
        """Change metadata; returns the product as it now is. Workers decode the photos that have to tell its kind."""
        from osoroi.server import writing  # searches need none of it

        return await self.current(lambda: writing.patch(self, product_id, changes))

    async def remove(self, product_id: str) -> bool:
        """Remove a product; returns whether it was there."""
        return await self.current(lambda: self.write(lambda: bool(self.catalog.remove([product_id]))))


def _usable(catalog: Storage) -> tuple[int, list[str]]:
    """The number of products of a catalog that can be searched, and what is missing; raises what a search would."""
    catalog.vectors([])
    return len(catalog), catalog.missing()
