"""A request's body: received within limits of bytes and time, in memory, and read as a form while it arrives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from osoroi.errors import BadRequest, TooLarge, TooSlow
from osoroi.server import forms
from osoroi.server.forms import Form, MultipartReader
from osoroi.server.limits import MemoryBudget
from osoroi.server.settings import Settings

STEP_BYTES = 64 * 2**10
"""Bytes that are parsed at once on the event loop. Longer bodies of one piece are parsed on a thread."""


@dataclass
class Body:
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

    async def receive(self) -> Body:
        """The whole body, read. Raises TooLarge, TooSlow, TooMuch and BadRequest."""
        stated = self.request.headers.get("content-length", "0")
        if stated.isdecimal() and int(stated) > self.limit:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.settings.upload_s):
                if self.kind == "multipart/form-data":
                    return Body(form=await self._multipart())
                content = b"".join([piece async for piece in self._pieces()])
        except ClientDisconnect:
            raise BadRequest("the body ended before it was whole", hint="send it again") from None
        except TimeoutError:
            raise TooSlow(
                f"the body did not arrive within {self.settings.upload_s:g} seconds", hint="send a smaller photo"
            ) from None
        if self.kind != "application/x-www-form-urlencoded":
            return Body(content=content)
        if len(content) <= STEP_BYTES:
            return Body(form=forms.parse(content, self.content_type))
        return Body(form=await run_in_threadpool(forms.parse, content, self.content_type))

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
async def received(request: Request, settings: Settings, budget: MemoryBudget) -> AsyncIterator[Body]:
    """The body of a request, whose bytes count in ``budget`` until the block ends."""
    receiver = Receiver(request, settings, budget)
    try:
        yield await receiver.receive()
    finally:
        budget.give(receiver.taken)
