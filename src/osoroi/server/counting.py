"""Counts under a filter: how many products match, and how many of them have each value of each column.

Counting reads every product, so what was counted is remembered. ``Counting`` is for programs: exact, one at a time, and
few requests wait for theirs. ``FacetCounts`` is for the page, which never waits for millions: a shop of few products
and columns is counted while the page is made, any other by one thread in the background; until then a page shows the
counts it knows: older ones, or those of the whole shop.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, runtime_checkable

from osoroi.catalog import Facet, Storage, interrupted_by
from osoroi.errors import OsoroiError, TooMuch

REMEMBERED = 100
"""Filters whose counts are remembered."""

TRIES = 3
"""Times to count where the catalog changes meanwhile; the last count stands."""


class Counted(NamedTuple):
    """The number of products that match a filter, the columns to choose by, and the state of the catalog."""

    total: int
    facets: Sequence[Facet]
    seq: int


Read = Callable[[Callable[[Storage], Counted | None]], Awaitable[Counted | None]]
"""Reads the catalog on a thread, and ends early where its request gives up."""


class Counting:
    """Counts, of which ``most`` wait at a time. Lives on one event loop."""

    def __init__(self, read: Read, most: int) -> None:
        self.most = most
        self._read = read
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._known: dict[tuple[str, str | None], Counted] = {}

    async def of(self, where: str | None) -> Counted:
        """The counts under a filter; raises BadFilter, and TooMuch where too many wait already."""
        known = await self._read(lambda catalog: self._remembered(catalog, where))
        if known is not None:
            return known
        if self._waiting >= self.most:
            raise TooMuch(f"{self._waiting} counts wait already", hint="try again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                counted = await self._read(lambda catalog: self._count(catalog, where))
        finally:
            self._waiting -= 1
        assert counted is not None
        return counted

    def _remembered(self, catalog: Storage, where: str | None) -> Counted | None:
        known = self._known.get((catalog.identity, where))
        return known if known is not None and known.seq == catalog.seq else None

    def _count(self, catalog: Storage, where: str | None) -> Counted:
        """One count is made at a time, so one thread alone changes what is remembered."""
        counted = self._remembered(catalog, where) or count(catalog, where)
        if len(self._known) >= REMEMBERED:
            self._known = {}
        self._known[catalog.identity, where] = counted
        return counted


def count(catalog: Storage, where: str | None) -> Counted:
    """The counts under a filter, of one state of the catalog unless it changes all the time."""
    for _ in range(TRIES):
        seq = catalog.seq
        counted = Counted(catalog.count(where=where), catalog.facets(lambda column: where), seq)
        if catalog.seq == seq:
            break
    return counted


FRESH_S = 20.0
"""Seconds for which the counts of a page may be old where the catalog changes all the time."""

PAGES_REMEMBERED = 200
"""Filters of pages whose counts are remembered."""


@runtime_checkable
class PageFilters(Protocol):
    """The filters of a page, as ``pages.url_state`` has them."""

    def where(self, *, without: str | None = None) -> str | None:
        """The filter as JSON, but for the one of a column; None where there is none."""
        ...


class CachedCounts(NamedTuple):
    """Counts, and the state of the catalog and the time they are of."""

    facets: Sequence[Facet] = ()
    seq: int = -1
    at_s: float = float("-inf")


class FacetCounts:
    """The columns to filter by, with counts, for the filters of any page.

    ``catalog`` gives the catalog in use. A page waits for counts of up to ``cells`` products times columns; of others
    at most ``queue`` wait in the background, and those beyond are not begun until a later page asks again.
    """

    def __init__(self, catalog: Callable[[], Storage], *, cells: int, queue: int) -> None:
        self.catalog = catalog
        self.cells = cells
        self.queue = queue
        self._known: dict[str | None, CachedCounts] = {}
        self._waiting: set[str | None] = set()
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="count")
        self._ending = threading.Event()

    def close(self) -> None:
        """Interrupt the count under way, and begin no other."""
        self._ending.set()
        self._background.shutdown(cancel_futures=True)

    def of(self, page: PageFilters) -> Sequence[Facet]:
        """The columns under the filters of a page."""
        where, catalog = page.where(), self.catalog()
        known = self._known.get(where, CachedCounts())
        if known.seq == catalog.seq or time.monotonic() - known.at_s < FRESH_S:
            return known.facets
        if len(catalog) * len(catalog.columns()) <= self.cells:
            return self._count(page)
        stand_in = known.facets or self._known.get(None, CachedCounts()).facets
        self._count_later(page)
        return stand_in

    def _count(self, page: PageFilters) -> Sequence[Facet]:
        catalog = self.catalog()
        seq = catalog.seq
        facets = catalog.facets(lambda column: page.where(without=column))
        with self._lock:
            if len(self._known) >= PAGES_REMEMBERED:
                self._known = {None: self._known[None]} if None in self._known else {}
            self._known[page.where()] = CachedCounts(facets, seq, time.monotonic())
        return facets

    def _count_later(self, page: PageFilters) -> None:
        where = page.where()
        with self._lock:
            if where in self._waiting or len(self._waiting) > self.queue:
                return
            self._waiting.add(where)
        self._background.submit(self._count_now, page)

    def _count_now(self, page: PageFilters) -> None:
        try:
            with interrupted_by(self._ending):
                self._count(page)
        except OsoroiError:
            return  # the catalog has moved on; the next page asks again
        finally:
            with self._lock:
                self._waiting.discard(page.where())
