"""Exact counts under a filter: how many products match, and how many of them have each value of each column.

Counting reads every product, so one thread does it for all, few requests wait for it, and what was counted is
remembered until the catalog changes.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from osoroi.catalog import Facet, Storage
from osoroi.errors import TooMuch

REMEMBERED = 100
"""Filters whose counts are remembered."""

TRIES = 3
"""Times to count where the catalog changes meanwhile; the last count stands."""


class Counted(NamedTuple):
    """The number of products that match a filter, the columns to choose by, and the state of the catalog."""

    total: int
    facets: Sequence[Facet]
    seq: int


class Counting:
    """A queue of ``most`` requests before one thread. Lives on one event loop.

    ``run`` does work on an executor, and ends it early where its request gives up.
    """

    def __init__(
        self, most: int, run: Callable[[ThreadPoolExecutor, Callable[[], Counted]], Awaitable[Counted]]
    ) -> None:
        self.most = most
        self._run = run
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="facets")
        self._waiting = 0
        self._known: OrderedDict[tuple[str, str | None], Counted] = OrderedDict()

    async def of(self, catalog: Storage, where: str | None) -> Counted:
        """The counts under a filter; raises BadFilter, and TooMuch where too many wait already."""
        key = (catalog.identity, where)
        known = self._known.get(key)
        if known is not None and known.seq == catalog.seq:
            self._known.move_to_end(key)
            return known
        if self._waiting >= self.most:
            raise TooMuch(f"{self._waiting} counts wait already", hint="try again in a moment")
        self._waiting += 1
        try:
            counted = await self._run(self._thread, lambda: count(catalog, where))
        finally:
            self._waiting -= 1
        self._known[key] = counted
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return counted

    def close(self) -> None:
        """Wait for the count under way; those that wait are not begun."""
        self._thread.shutdown(cancel_futures=True)


def count(catalog: Storage, where: str | None) -> Counted:
    """The counts under a filter, of one state of the catalog unless it changes all the time."""
    for _ in range(TRIES):
        seq = catalog.seq
        counted = Counted(catalog.count(where=where), catalog.facets(lambda column: where), seq)
        if catalog.seq == seq:
            break
    return counted
