"""The kinds of categories that no dictionary knows, learned from the photos of products that were put: as ``osoroi
add`` does it at its end, here a moment after the last of many."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from osoroi import categories
from osoroi.catalog import Storage
from osoroi.encoder import Encoder
from osoroi.errors import OsoroiError
from osoroi.records import Product

log = logging.getLogger("osoroi.server")

WAIT_S: Final = 2.0
"""Seconds from the first such product until they are learned, together with those that came meanwhile."""

LARGE: Final = 200
"""Products that make a category large."""

Learn = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs a function where the catalog is written."""


class CategoryLearning:
    """Categories that wait to be learned. Products are remembered and learned where the catalog is written; the event
    loop says when.

    A category of ``large`` products or more is judged again only when it has grown by a tenth. ``wait_s`` are seconds
    from the first product until it is learned.
    """

    def __init__(self, write: Learn, *, large: int = LARGE, wait_s: float = WAIT_S) -> None:
        self._write = write
        self._large = large
        self._wait_s = wait_s
        self._waiting: dict[str, set[str]] = {}  # category -> products
        self._reads: tuple[Storage, Encoder]
        self._catalog: Storage | None = None
        self._judged: dict[str, tuple[int, str | None]] = {}  # -> how many products, which kind
        self._task: asyncio.Task[None] | None = None
        self._marks: categories.Marks | None = None
        self._failed: dict[str, set[str]] = {}  # what was not learned, until the next such product comes
        self._is_wanted = False  # whether somebody wrote since the task last woke up
        self._resumes = True  # until what others have not settled when this service begins to write is settled

    @contextlib.contextmanager
    def writing(self, product: Product, catalog: Storage, encoder: Encoder) -> Iterator[None]:
        """Where a product is written: note in the catalog that its category has to be learned, and remember it."""
        unread = categories.unread(encoder, [product])
        if not unread:
            yield
            return
        if self._catalog is not catalog:  # opened again, perhaps with another encoder
            self._catalog, self._judged, self._resumes = catalog, {}, True
            self._marks = categories.Marks(encoder)
        assert self._marks is not None
        self._reads = (catalog, encoder)
        with self._marks.writing():
            yield
        for category in unread:
            self._waiting.setdefault(category, set()).add(product.product_id)

    def start(self) -> None:
        """Have learned in a moment what waits then, even where the request that wrote it has given up."""
        self._is_wanted = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._soon())

    async def _soon(self) -> None:
        """Learn what waits, one category at a time: other writes have their turn between two of them."""
        try:
            while self._is_wanted or self._waiting:
                self._is_wanted = False
                await asyncio.sleep(self._wait_s)
                taken: dict[str, set[str]] = {}
                await self._turn(partial(self._take, taken))
                for category, product_ids in taken.items():
                    if not await self._turn(partial(self._learn, *self._reads, category, product_ids)):
                        self._failed.setdefault(category, set()).update(product_ids)
                if not self._waiting:
                    await self._turn(self._settle)
        finally:
            self._task = None

    async def _turn(self, work: Callable[[], None]) -> bool:
        """Whether the work was done where the catalog is written."""
        try:
            await self._write(work)
        except OsoroiError as error:  # the next product of the category has it learned, or the next service
            log.warning("a category was not learned: %s", type(error).__name__)
            return False
        return True

    def _take(self, taken: dict[str, set[str]]) -> None:
        """Move what waits to ``taken``, where nobody writes meanwhile."""
        for waiting in (self._waiting, self._failed):
            for category, product_ids in waiting.items():
                taken.setdefault(category, set()).update(product_ids)
        self._waiting, self._failed = {}, {}

    def _learn(self, catalog: Storage, encoder: Encoder, category: str, product_ids: set[str]) -> None:
        count = categories.size(catalog, category)
        judged_at, kind = self._judged.get(category, (0, None))
        if count < self._large or abs(count - judged_at) >= judged_at / 10:
            kind = categories.learn(catalog, encoder, [category]).get(category)
            if count >= self._large:  # small ones are judged each time, and may be any number of names
                self._judged[category] = (count, kind)
        elif kind is not None:
            categories.give(catalog, encoder, product_ids, category, kind)

    def _settle(self) -> None:
        """Note in the catalog that what this service wrote is learned, where that is so; and settle once what others
        have not, whether they are at it or were stopped."""
        if self._waiting or self._failed or self._marks is None:
            return
        catalog, encoder = self._reads
        if self._resumes:
            categories.settle(catalog, categories.reader(catalog, encoder), [], changed=0, marks=self._marks)
            self._resumes = False
        elif self._marks.run in (unsettled := catalog.unsettled()):
            catalog.mark_settled({self._marks.run: unsettled[self._marks.run]})

    def close(self) -> None:
        """Leave what waits unlearned; pictures tell those kinds until the next such product comes."""
        if self._task is not None:
            self._task.cancel()
