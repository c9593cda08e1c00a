"""A request's body in memory, within limits, and the fields and files inside it. Nothing is spooled to disk."""

import asyncio
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from osoroi.errors import BadRequest, TooLarge, TooMuch, TooSlow
from osoroi.server.settings import Settings

PARTS = 512
"""Fields and files in one form."""

_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)"?', re.IGNORECASE)
_FILE = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)
_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)


@dataclass
class Budget:
    """Bytes of bodies held in memory by all requests together."""

    limit: int
    held: int = 0

    def take(self, count: int) -> None:
        """Claim ``count`` bytes; raises TooMuch, and claims nothing, where they are not left."""
        if self.held + count > self.limit:
            raise TooMuch("the service holds as many uploads as it can", hint="try again in a moment")
        self.held += count

    def give(self, count: int) -> None:
        """Give back what was taken."""
        self.held -= count


@dataclass
class Form:
    """The fields and files of a form, each in the order they came."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)

    def one(self, name: str) -> str | None:
        """The value of a field that may come once; empty counts as absent."""
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise BadRequest(f"the field {name!r} came {len(values)} times", hint="send it once")
        return values[0] if values and values[0] else None

    def only(self, *names: str) -> None:
        """Refuse fields and files that nothing would read."""
        if unknown := sorted((self.fields.keys() | self.files.keys()) - set(names)):
            raise BadRequest(f"no field is called {unknown[0]!r}", hint=f"there are: {', '.join(names)}")


class Body:
    """A body as it is read; gives its bytes back to the budget when it is left."""

    def __init__(self, request: Request, settings: Settings, budget: Budget) -> None:
        self.request = request
        self.settings = settings
        self.budget = budget
        self.taken = 0

    async def __aenter__(self) -> bytes:
        limit = self.settings.body_bytes
        if int(self.request.headers.get("content-length") or 0) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(self.settings.upload_s):
                return await self._read(limit)
        except TimeoutError:
            self._give_back()
            raise TooSlow(
                f"the body did not arrive within {self.settings.upload_s:g} seconds", hint="send a smaller photo"
            ) from None
        except BaseException:
            self._give_back()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    async def _read(self, limit: int) -> bytes:
        chunks = []
        try:
            async for chunk in self.request.stream():
                self.budget.take(len(chunk))
                self.taken += len(chunk)
                if self.taken > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
        except ClientDisconnect:
            raise BadRequest("the body ended before it was whole", hint="send it again") from None
        return b"".join(chunks)

    def _give_back(self) -> None:
        self.budget.give(self.taken)
        self.taken = 0


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body has more than {limit} bytes", hint="send a smaller photo")


def parse(body: bytes, content_type: str) -> Form:
    """A form as browsers and curl send it: ``multipart/form-data`` or ``application/x-www-form-urlencoded``.

    >>> body = b'--b\\r\\nContent-Disposition: form-data; name="k"\\r\\n\\r\\n5\\r\\n--b--\\r\\n'
    >>> parse(body, "multipart/form-data; boundary=b").fields
    {'k': ['5']}
    >>> parse(b"k=5&where=price+%3C+3", "application/x-www-form-urlencoded").fields
    {'k': ['5'], 'where': ['price < 3']}
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(body, content_type)
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(body)
    raise BadRequest(
        f"a body of the type {kind or 'unknown'!r} is not understood", hint="send multipart/form-data, as curl -F does"
    )


def _urlencoded(body: bytes) -> Form:
    form = Form()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=PARTS, errors="strict")
    except ValueError as error:
        raise BadRequest("the form cannot be read", hint="encode it as UTF-8, percent-escaped") from error
    for name, value in pairs:
        form.fields.setdefault(name, []).append(value)
    return form


def _multipart(body: bytes, content_type: str) -> Form:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise BadRequest("the form names no boundary", hint="let the client set the content type of the form")
    delimiter = b"\r\n--" + boundary[1].encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(delimiter, PARTS + 1)
    if len(parts) > PARTS + 1:
        raise BadRequest(f"the form has more than {PARTS} parts", hint="send fewer")
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise BadRequest("the form ends before its last boundary", hint="send it again, whole")
    form = Form()
    for part in parts[1:-1]:
        _read_part(part, form)
    return form


def _read_part(part: bytes, form: Form) -> None:
    head, blank, content = part.partition(b"\r\n\r\n")
    name = _NAME.search(head)
    if not blank or name is None:
        raise BadRequest("a part of the form has no name", hint="send parts as curl -F name=value does")
    key = name[1].decode("utf-8", "replace")
    if _FILE.search(head):
        if content:  # a browser sends an empty file where none was chosen
            form.files.setdefault(key, []).append(content)
        return
    try:
        form.fields.setdefault(key, []).append(content.decode())
    except UnicodeDecodeError as error:
        raise BadRequest(f"the field {key!r} is not UTF-8", hint="send files with a file name") from error
