"""The kinds of categories that no dictionary knows, learned from the photos of products that were put: as ``osoroi
add`` does it at its end, here a moment after the last of many."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
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
"""Products from which on a category is judged again only when it has grown by a tenth."""

Learn = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs a function where the catalog is written."""


class CategoryLearning:
    """Categories that wait to be learned. All of it runs on the event loop but the learning itself."""

    def __init__(self, write: Learn) -> None:
        self._write = write
        self._waiting: dict[str, set[str]] = {}  # category -> products
        self._catalog: Storage | None = None
        self._judged: dict[str, tuple[int, str | None]] = {}  # -> how many products, which kind
        self._task: asyncio.Task[None] | None = None

    def note(self, product: Product, catalog: Storage, encoder: Encoder) -> None:
        """Remember the category of a product that was written, if the category does not tell its kind."""
        for category in categories.unread(encoder, [product]):
            self._waiting.setdefault(category, set()).add(product.product_id)
        if self._waiting and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._soon(catalog, encoder))

    async def _soon(self, catalog: Storage, encoder: Encoder) -> None:
        await asyncio.sleep(WAIT_S)
        waiting, self._waiting, self._task = self._waiting, {}, None
        try:
            await self._write(lambda: self._learn(catalog, encoder, waiting))
        except OsoroiError as error:  # the next product of the category has it learned
            log.warning("categories were not learned: %s", type(error).__name__)

    def _learn(self, catalog: Storage, encoder: Encoder, waiting: dict[str, set[str]]) -> None:
        if self._catalog is not catalog:  # opened again, perhaps with another encoder
            self._catalog, self._judged = catalog, {}
        for category, product_ids in waiting.items():
            count = categories.size(catalog, category)
            judged_at, kind = self._judged.get(category, (0, None))
            if count < LARGE or abs(count - judged_at) >= judged_at / 10:
                kind = categories.learn(catalog, encoder, [category]).get(category)
                self._judged[category] = (count, kind)
            elif kind is not None:
                categories.give(catalog, encoder, product_ids, category, kind)

    def close(self) -> None:
        """Leave what waits unlearned; pictures tell those kinds until the next product of the category comes."""
        if self._task is not None:
            self._task.cancel()
