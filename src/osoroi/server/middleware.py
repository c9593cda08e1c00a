"""What stands before every route: who may ask, what a browser may do with the answer, and a line in the log.

Plain ASGI: it costs microseconds. The log names the route, never the path or the query string, so neither what people
look for nor a line break in it gets there.
"""

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from osoroi.errors import BadRequest, NoKey, OsoroiError
from osoroi.server.metrics import Counters
from osoroi.server.settings import Settings, is_loopback

log = logging.getLogger("osoroi.server")

READING = {"GET", "HEAD", "POST"}
"""Methods that change nothing: a search is a POST because a photo does not fit into an address."""

OPEN = {"/health"}
"""Paths that need no key: what watches a service has none."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, settings: Settings, counters: Counters, refuse: Callable[[Request, OsoroiError], Response]
    ) -> None:
        self.app = app
        self.settings = settings
        self.counters = counters
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status, whole = time.perf_counter(), 500, not _has_body(Headers(scope=scope))

        async def listening() -> Message:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if not whole:  # the rest of a body that nobody will read would hold the connection
                    headers["Connection"] = "close"
            async with asyncio.timeout(self.settings.upload_s):  # a client that does not take its answer
                await send(message)

        try:
            await self._answer(scope, listening, dressed)
        finally:
            self._note(scope, status, time.perf_counter() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self.check(scope)
        except OsoroiError as error:
            await self.refuse(Request(scope), error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def check(self, scope: Scope) -> None:
        """Raise where this request may not go on."""
        headers = Headers(scope=scope)
        if not self.settings.keyed and not is_loopback(host_of(headers.get("host", ""))):
            raise BadRequest(
                "without keys the service answers to the names of this machine alone",
                hint="ask for http://127.0.0.1 or http://localhost, or set keys",
            )
        if scope["path"] in OPEN:
            return
        key = key_of(headers.get("authorization", ""))
        reading = scope["method"] in READING
        if not (self.settings.readable_by(key) if reading else self.settings.writable_by(key)):
            raise NoKey(
                f"{'reading' if reading else 'writing'} needs a key, and this one does not open it"
                if key
                else f"{'reading' if reading else 'writing'} needs a key",
                hint="send the header Authorization: Bearer KEY",
            )

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
        self.counters.request(method, route, status, seconds)
        log.info("%s %s %d %.1f ms", method, route, status, 1000 * seconds)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def key_of(authorization: str) -> str | None:
    """The key a request carries: as a bearer token, or as the password of the dialog that browsers show.

    >>> key_of("Bearer abc"), key_of("Basic " + base64.b64encode(b"anyone:abc").decode()), key_of("")
    ('abc', 'abc', None)
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def host_of(header: str) -> str:
    """The name in a Host header, without its port.

    >>> host_of("localhost:8000"), host_of("[::1]:80"), host_of("127.0.0.1")
    ('localhost', '[::1]', '127.0.0.1')
    """
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0]
