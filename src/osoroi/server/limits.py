"""Admission: how much of each kind of work the service begins before it refuses: requests, and bytes in memory.

So an overloaded service sheds load with 503 instead of queueing. There is no rate limit for each client.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from osoroi.errors import TooMuch

RETRY_S = 1
"""Seconds after which a client that was refused may try again."""

Work = Literal["searches", "reads", "writes", "batches"]
"""What a route does: decode and search, read the catalog, or change it."""


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
    async def admit(self, work: Work, *, limited: bool = True) -> AsyncIterator[None]:
        """One request's stay inside; raises TooMuch where the gate is full, or the time is over and ``limited``."""
        if self.inside[work] >= self.limits[work]:
            raise TooMuch(f"{self.inside[work]} {work} wait already", hint="try again in a moment")
        self.inside[work] += 1
        try:
            async with asyncio.timeout(self.seconds if limited else None):
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
