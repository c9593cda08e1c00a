"""The counts beside the filters of the page, remembered: counting reads every product, and no page waits for millions.

A shop of few products and columns is counted while the page is made. Any other is counted by one thread in the
background, with a bounded queue; until then a page shows the counts it knows: older ones, or those of the whole shop.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from osoroi.catalog import Facet, Storage, interruption
from osoroi.errors import OsoroiError
from osoroi.server.pages.url_state import UrlState

FRESH_S = 20.0
"""Seconds for which counts may be old where the catalog changes all the time."""
REMEMBERED = 200
"""Filters whose counts are remembered."""


class CachedCounts(NamedTuple):
    """Counts, and the state of the catalog and the time they are of."""

    facets: Sequence[Facet] = ()
    seq: int = -1
    at_s: float = float("-inf")


class FacetCounts:
    """The columns to filter by, with counts, for any filter.

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

    def of(self, state: UrlState) -> Sequence[Facet]:
        """The columns under a page's filters."""
        where, catalog = state.where(), self.catalog()
        known = self._known.get(where, CachedCounts())
        if known.seq == catalog.seq or time.monotonic() - known.at_s < FRESH_S:
            return known.facets
        if len(catalog) * len(catalog.columns()) <= self.cells:
            return self._count(state)
        stand_in = known.facets or self._known.get(None, CachedCounts()).facets
        self._count_later(state)
        return stand_in

    def _count(self, state: UrlState) -> Sequence[Facet]:
        catalog = self.catalog()
        seq = catalog.seq
        facets = catalog.facets(lambda column: state.where(without=column))
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known = {None: self._known[None]} if None in self._known else {}
            self._known[state.where()] = CachedCounts(facets, seq, time.monotonic())
        return facets

    def _count_later(self, state: UrlState) -> None:
        where = state.where()
        with self._lock:
            if where in self._waiting or len(self._waiting) > self.queue:
                return
            self._waiting.add(where)
        self._background.submit(self._count_now, state)

    def _count_now(self, state: UrlState) -> None:
        try:
            with interruption.interrupted_by(self._ending):
                self._count(state)
        except OsoroiError:
            return  # the catalog has moved on; the next page asks again
        finally:
            with self._lock:
                self._waiting.discard(state.where())
