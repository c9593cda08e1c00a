"""How many products each filter would leave, remembered: counting reads every product, and no page waits for millions.

Up to ``LARGE`` products are counted while the page is made (some 0.1 s at that size). Beyond that one thread counts in
the background, and until it has, a page shows the counts it knows: older ones, or those of the whole shop.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from osoroi.catalog import Facet
from osoroi.catalog.local import LocalCatalog
from osoroi.server.pages.url_state import State

FRESH_S = 20.0
"""Seconds for which counts may be old where the catalog changes all the time."""
LARGE = 20_000
"""Products beyond which no page waits for its counts."""
REMEMBERED = 200
"""Filters whose counts are remembered."""


class Counted(NamedTuple):
    """Counts, and as of when."""

    facets: Sequence[Facet] = ()
    seq: int = -1
    at_s: float = float("-inf")


class Counts:
    """The columns to filter by, with counts, for any filter."""

    def __init__(self, catalog: LocalCatalog, *, large: int = LARGE) -> None:
        self.catalog = catalog
        self.large = large
        self._known: dict[str | None, Counted] = {}
        self._running: set[str | None] = set()
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="count")

    def close(self) -> None:
        """Finish the count under way, and begin no other."""
        self._background.shutdown(cancel_futures=True)

    def of(self, state: State) -> Sequence[Facet]:
        """The columns under a page's filters."""
        where = state.where()
        known = self._known.get(where, Counted())
        if known.seq == self.catalog.seq or time.monotonic() - known.at_s < FRESH_S:
            return known.facets
        if len(self.catalog) <= self.large:
            return self._count(state)
        self._count_later(state)
        return known.facets or self._known.get(None, Counted()).facets

    def _count(self, state: State) -> Sequence[Facet]:
        seq = self.catalog.seq
        facets = self.catalog.facets(lambda column: state.where(without=column))
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known = {None: self._known[None]} if None in self._known else {}
            self._known[state.where()] = Counted(facets, seq, time.monotonic())
        return facets

    def _count_later(self, state: State) -> None:
        where = state.where()
        with self._lock:
            if where in self._running:
                return
            self._running.add(where)
        self._background.submit(self._count_now, state)

    def _count_now(self, state: State) -> None:
        try:
            self._count(state)
        finally:
            with self._lock:
                self._running.discard(state.where())
