"""A request's body: received within limits of bytes and time, in memory; read as a form or by lines as it arrives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from osoroi.errors import BadRequest, OsoroiError, TooLarge, TooMuch, TooSlow
from osoroi.server import forms
from osoroi.server.forms import Form, MultipartReader
from osoroi.server.limits import MemoryBudget
from osoroi.server.settings import Settings

STEP_BYTES = 64 * 2**10
"""Bytes that are parsed at once on the event loop. Longer bodies of one piece are parsed on a thread."""

STEP_LINES = 256
"""Lines after which other requests have their turn."""


@dataclass
class RequestBody:
    """A body that was received: a form, or the bytes of something else."""

    form: Form | None = None
    content: bytes = b""


class Receiver:
    """Receives one body; ``taken`` bytes of the budget are in use."""

    def __init__(self, request: Request, settings: Settings, budget: MemoryBudget) -> None:
        self.request = request
        self.settings = settings
        self.budget = budget
        self.taken = 0
        self.content_type = request.headers.get("content-type", "")
        self.kind = forms.media_type(self.content_type)

    @property
    def limit(self) -> int:
        """Bytes of the body at most: bodies of other types than multipart hold no photos."""
        return self.settings.body_bytes if self.kind == "multipart/form-data" else self.settings.field_bytes

    async def receive(self) -> RequestBody:
        """The whole body, read. Raises TooLarge, TooSlow, TooMuch and BadRequest."""
        stated = self.request.headers.get("content-length", "0")
        if stated.isdecimal() and int(stated) > self.limit:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.settings.upload_s):
                if self.kind == "multipart/form-data":
                    return RequestBody(form=await self._multipart())
                content = b"".join([piece async for piece in self._pieces()])
        except ClientDisconnect:
            raise BadRequest("the body ended before it was whole", hint="send it again") from None
        except TimeoutError:
            raise TooSlow(
                f"the body did not arrive within {self.settings.upload_s:g} seconds", hint="send a smaller photo"
            ) from None
        if self.kind != "application/x-www-form-urlencoded":
            return RequestBody(content=content)
        if len(content) <= STEP_BYTES:
            return RequestBody(form=forms.parse(content, self.content_type))
        return RequestBody(form=await run_in_threadpool(forms.parse, content, self.content_type))

    async def _multipart(self) -> Form:
        reader = MultipartReader(self.content_type, field_bytes=self.settings.field_bytes)
        async for piece in self._pieces():
            for start in range(0, len(piece), STEP_BYTES):
                reader.feed(piece[start : start + STEP_BYTES])
                if start:
                    await asyncio.sleep(0)
        return reader.finish()

    async def _pieces(self) -> AsyncIterator[bytes]:
        async for piece in self.request.stream():
            self.budget.take(len(piece))
            self.taken += len(piece)
            if self.taken > self.limit:
                raise self._too_large()
            yield piece

    def _too_large(self) -> TooLarge:
        photos = self.kind == "multipart/form-data"
        hint = "send a smaller photo" if photos else "send photos as multipart/form-data, and less of anything else"
        return TooLarge(f"the body has more than {self.limit:,} bytes", hint=hint)


@contextlib.asynccontextmanager
async def received(request: Request, settings: Settings, budget: MemoryBudget) -> AsyncIterator[RequestBody]:
    """The body of a request, whose bytes count in ``budget`` until the block ends."""
    receiver = Receiver(request, settings, budget)
    try:
        yield await receiver.receive()
    finally:
        budget.give(receiver.taken)


class BodyLine(NamedTuple):
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
        self.most = settings.lines
        self.budget = budget
        self._number = 1
        self._pieces: list[bytes] = []
        self._taken = 0
        self._error: OsoroiError | None = None

    async def read(self) -> AsyncIterator[BodyLine]:
        """Each line that is not empty. One that is too long is passed over to its end, and has an error. A line that
        does not arrive in time is the last one, with an error, and so is one beyond the limit of lines; empty lines
        count, and give no time. Raises ClientDisconnect where the client is gone."""
        loop, stream = asyncio.get_running_loop(), self.request.stream()
        until = loop.time() + self.seconds
        try:
            while (piece := await self._piece(stream, until)) is not None:
                *whole, rest = piece.split(b"\n")
                for end in whole:
                    self._add(end)
                    if self._number > self.most:
                        yield self._beyond()
                        return
                    if (line := self._line()) is not None:
                        yield line
                        until = loop.time() + self.seconds
                    self._forget()
                    self._number += 1
                    if self._number % STEP_LINES == 0:
                        await asyncio.sleep(0)
                self._add(rest)
            if (line := self._line()) is not None:
                yield line if self._number <= self.most else self._beyond()
        finally:
            self._forget()

    def _beyond(self) -> BodyLine:
        hint = "send the lines from here on in another request"
        return BodyLine(self._number, b"", TooLarge(f"a batch has {self.most} lines at most", hint=hint))

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

    def _line(self) -> BodyLine | None:
        if self._error is not None:
            return BodyLine(self._number, b"", self._error)
        content = b"".join(self._pieces).strip()
        return BodyLine(self._number, content) if content else None

    def _forget(self) -> None:
        self.budget.give(self._taken)
        self._pieces, self._taken, self._error = [], 0, None
