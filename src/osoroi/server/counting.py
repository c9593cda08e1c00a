"""Exact counts under a filter: how many products match, and how many of them have each value of each column.

Counting reads every product, so one count is made at a time, few requests wait for theirs, and what was counted is
remembered until the catalog changes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
