"""How much of one kind of work the service begins before it says no."""

import asyncio
from types import TracebackType

from osoroi.errors import TooMuch

RETRY_S = 1
"""Seconds after which a client that was refused may ask again."""


class Gate:
    """At most ``limit`` requests inside, each for at most ``seconds``: a queue that is full says so instead of growing.

    >>> async def full() -> None:
    ...     gate = Gate("searches", limit=1, seconds=5.0)
    ...     async with gate.pass_(), gate.pass_(): pass
    >>> asyncio.run(full())
    Traceback (most recent call last):
    osoroi.errors.TooMuch: 1 searches wait already; try again in a moment
    """

    def __init__(self, work: str, *, limit: int, seconds: float) -> None:
        self.work = work
        self.limit = limit
        self.seconds = seconds
        self.inside = 0

    def pass_(self) -> "Pass":
        """Leave to go in, for ``async with``; raises TooMuch where the gate is full or the time is over."""
        return Pass(self)


class Pass:
    """One request's stay inside a gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.timeout = asyncio.timeout(gate.seconds)

    async def __aenter__(self) -> None:
        if self.gate.inside >= self.gate.limit:
            raise TooMuch(f"{self.gate.inside} {self.gate.work} wait already", hint="try again in a moment")
        self.gate.inside += 1
        await self.timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.inside -= 1
        try:
            await self.timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise TooMuch(
                f"one of the {self.gate.work} had no answer within {self.gate.seconds:g} seconds",
                hint="try again in a moment",
            ) from None
