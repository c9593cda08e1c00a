"""How much of each kind of work the service begins before it refuses: requests, bytes in memory, and filters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from osoroi.catalog import filters
from osoroi.catalog.filters import Among, Compare, Every, Filter, Missing, Not, Some
from osoroi.errors import BadFilter, TooMuch

RETRY_S = 1
"""Seconds after which a client that was refused may try again."""

Work = Literal["searches", "reads", "writes"]
"""What a route does: decode and search, read the catalog, or change it."""

FREE_TEXT = frozenset({"title", "url"})
"""Columns whose text differs from product to product: comparing it reads every product."""


class Admission:
    """The one gate before every route that decodes, searches, counts or parses.

    At most ``limits[work]`` requests of each kind are inside, each for at most ``seconds``. A full gate refuses
    instead of queueing.

    >>> async def full() -> None:
    ...     admission = Admission({"searches": 1}, seconds=5.0)
    ...     async with admission.admit("searches"), admission.admit("searches"): pass
    >>> asyncio.run(full())
    Traceback (most recent call last):
    osoroi.errors.TooMuch: 1 searches wait already; try again in a moment
    """

    def __init__(self, limits: Mapping[Work, int], *, seconds: float) -> None:
        self.limits = limits
        self.seconds = seconds
        self.inside: dict[Work, int] = dict.fromkeys(limits, 0)

    @contextlib.asynccontextmanager
    async def admit(self, work: Work) -> AsyncIterator[None]:
        """One request's stay inside; raises TooMuch where the gate is full or the time is over."""
        if self.inside[work] >= self.limits[work]:
            raise TooMuch(f"{self.inside[work]} {work} wait already", hint="try again in a moment")
        self.inside[work] += 1
        try:
            async with asyncio.timeout(self.seconds):
                yield
        except TimeoutError:
            raise TooMuch(
                f"one of the {work} had no answer within {self.seconds:g} seconds", hint="try again in a moment"
            ) from None
        finally:
            self.inside[work] -= 1


@dataclass
class MemoryBudget:
    """Bytes of request bodies that all requests together hold in memory."""

    limit: int
    used: int = 0

    def take(self, count: int) -> None:
        """Claim ``count`` bytes; raises TooMuch, and claims nothing, where they are not left."""
        if self.used + count > self.limit:
            raise TooMuch("the service holds as many uploads as it can", hint="try again in a moment")
        self.used += count

    def give(self, count: int) -> None:
        """Give back what was taken."""
        self.used -= count

    @contextlib.contextmanager
    def reserved(self, count: int) -> Iterator[None]:
        """Claim ``count`` bytes while the block runs."""
        self.take(count)
        try:
            yield
        finally:
            self.give(count)


@dataclass(frozen=True)
class FilterBudget:
    """What one filter may cost. Every condition is a pass over the products it cannot look up.

    >>> FilterBudget(conditions=2).require_cheap("price < 3 and brand = A or brand = B")
    Traceback (most recent call last):
    osoroi.errors.BadFilter: the filter has 3 conditions, more than the 2 allowed; ask for fewer
    """

    conditions: int = 50
    """Conditions in one filter."""
    free_text: int = 8
    """Conditions on ``title`` and ``url``."""
    values: int = 500
    """Values after ``in``, in all conditions together."""

    def require_cheap(self, where: str | None) -> None:
        """Raise BadFilter for a filter that cannot be read or costs more than it may."""
        if where is None:
            return
        conditions = list(_conditions(filters.parse(where)))
        text = sum(one.column in FREE_TEXT for one in conditions)
        values = sum(len(one.values) for one in conditions if isinstance(one, Among))
        for count, most, what in (
            (len(conditions), self.conditions, "conditions"),
            (text, self.free_text, "conditions on titles and addresses"),
            (values, self.values, "values after 'in'"),
        ):
            if count > most:
                raise BadFilter(f"the filter has {count} {what}, more than the {most} allowed", hint="ask for fewer")


def _conditions(filter_: Filter) -> list[Compare | Among | Missing]:
    match filter_:
        case Not():
            return _conditions(filter_.of)
        case Every() | Some():
            return [condition for part in filter_.of for condition in _conditions(part)]
    return [filter_]
