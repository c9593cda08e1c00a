"""The lines of a body as they arrive: one at a time in memory, each within limits of bytes and time."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from fastapi import Request

from osoroi.errors import OsoroiError, TooLarge, TooMuch, TooSlow
from osoroi.server.limits import MemoryBudget
from osoroi.server.settings import Settings


class Line(NamedTuple):
    """One line of a body, counted from 1; with ``error`` it could not be received whole, and ``content`` is empty."""

    number: int
    content: bytes
    error: OsoroiError | None = None


class Lines:
    """The lines of a request's body. The bytes of the current one count in ``budget``."""

    def __init__(self, request: Request, settings: Settings, budget: MemoryBudget) -> None:
        self.request = request
        self.seconds = settings.upload_s
        self.limit = settings.body_bytes * 4 // 3 + settings.field_bytes  # photos are longer in base64
        self.budget = budget
        self._number = 1
        self._pieces: list[bytes] = []
        self._taken = 0
        self._error: OsoroiError | None = None

    async def read(self) -> AsyncIterator[Line]:
        """Each line that is not empty. One that is too long is passed over to its end, and has an error. A line that
        does not arrive in time is the last one, with an error. Raises ClientDisconnect where the client is gone."""
        loop, stream = asyncio.get_running_loop(), self.request.stream()
        until = loop.time() + self.seconds
        try:
            while (piece := await self._piece(stream, until)) is not None:
                *whole, rest = piece.split(b"\n")
                for end in whole:
                    self._add(end)
                    if (line := self._line()) is not None:
                        yield line
                    self._forget()
                    self._number, until = self._number + 1, loop.time() + self.seconds
                self._add(rest)
            if (line := self._line()) is not None:
                yield line
        finally:
            self._forget()

    async def _piece(self, stream: AsyncIterator[bytes], until: float) -> bytes | None:
        """The next bytes of the body, or None at its end or where they come too late."""
        try:
            async with asyncio.timeout_at(until):
                return await anext(stream, None)
        except TimeoutError:
            self._refuse(
                TooSlow(f"a line did not arrive within {self.seconds:g} seconds", hint="send it and what follows again")
            )
            return None

    def _add(self, piece: bytes) -> None:
        if self._error is not None:
            return
        try:
            if self._taken + len(piece) > self.limit:
                raise TooLarge(f"the line has more than {self.limit:,} bytes", hint="send smaller photos, or fewer")
            self.budget.take(len(piece))
        except TooMuch as error:
            self._refuse(error)
            return
        self._taken += len(piece)
        self._pieces.append(piece)

    def _refuse(self, error: OsoroiError) -> None:
        self._forget()
        self._error = error

    def _line(self) -> Line | None:
        if self._error is not None:
            return Line(self._number, b"", self._error)
        content = b"".join(self._pieces).strip()
        return Line(self._number, content) if content else None

    def _forget(self) -> None:
        self.budget.give(self._taken)
        self._pieces, self._taken, self._error = [], 0, None
