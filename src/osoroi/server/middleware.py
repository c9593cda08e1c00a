"""The outermost layer, before every route: keys, names, headers for browsers, HEAD, clients that hang up, and the log.

Plain ASGI: it costs microseconds. The log names the route, never the path or the query string, so neither what people
search for nor a line break in it gets there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from osoroi.errors import BadRequest, NoKey, OsoroiError
from osoroi.server import origins, prefix
from osoroi.server.connections import Connections
from osoroi.server.keys import Right, host_of, key_of, request_id
from osoroi.server.metrics import Fact, Metrics, facts_of_request, finish, note, request_span
from osoroi.server.settings import Settings, is_loopback

log = logging.getLogger("osoroi.server")

READING = {"GET", "HEAD", "POST"}
"""Methods that change nothing: a search is a POST because a photo does not fit into an address."""

METHODS = READING | {"PUT", "PATCH", "DELETE"}

OPEN = {"/health"}
"""Paths that need no key: what watches a service has none."""

DOING: dict[Right, str] = {"search": "reading", "write": "writing", "metrics": "reading the metrics"}
"""A right in words."""

HUNG_UP = 499
"""Status in the log of a request whose client left before the answer."""

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


class Exchange:
    """One request and its response: ``receive`` and ``send`` as the application sees them.

    Where the client hangs up, the task that makes the answer is cancelled: ``Connections`` says so at once, and any
    other server once the body is whole, to a task that waits for it.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        connections: Connections,
        *,
        request_id: str,
        allow_origins: Collection[str] = (),
    ) -> None:
        self.request_id = request_id
        self._connections = connections
        self._receive = receive
        self._send = send
        self._head = scope["method"] == "HEAD"
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        headers = Headers(scope=scope)
        self._shared = bool(allow_origins)
        origin = headers.get("origin", "")
        self.origin = origin if origin in allow_origins else None
        self.whole = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        self._empty_sent = False
        self.status = 500
        self.hung_up = False
        self._answered = False
        if self.whole:
            self._watch()

    async def receive(self) -> Message:
        """The next part of the body; after its end, the news that the client is gone."""
        if self._watcher is not None:
            if not self._empty_sent:
                self._empty_sent = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.whole = self._empty_sent = True
            self._watch()
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the headers that every response has; of a HEAD only those."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Request-ID"] = self.request_id
            if self._shared:
                headers.add_vary_header("Origin")
            if self.origin is not None:
                origins.allow(headers, self.origin)
            if self._connections.ending or not self.whole:  # the rest of an unread body would hold the connection
                headers["Connection"] = "close"
        elif self._head:
            if message.get("more_body", False):
                return
            message = {"type": "http.response.body", "body": b""}
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._answered = True
        await self._send(message)

    def end(self) -> None:
        """Stop waiting for the client to hang up."""
        if self._watcher is not None:
            self._watcher.cancel()

    def _watch(self) -> None:
        self._watcher = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.hang_up()

    def hang_up(self) -> None:
        """The client is gone: nobody waits for the answer any more."""
        if self._answered or self.hung_up:
            return
        self.hung_up = True
        self._gone.set()
        if self._task is not None:
            self._task.cancel()


class Middleware:
    """See the module. ``refuse`` renders an error for a request that does not reach a route."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Callable[[], Settings],
        metrics: Metrics,
        connections: Connections,
        refuse: Callable[[Request, OsoroiError], Response],
    ) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self.connections = connections
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or pass on what is none."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        settings, headers = self.settings(), Headers(scope=scope)
        scope = prefix.stripped(scope, settings.root_path)
        exchange = Exchange(
            *(scope, receive, send, self.connections),
            request_id=request_id(headers.get("x-request-id")),
            allow_origins=settings.allow_origins,
        )
        inner = dict(scope, method="GET") if scope["method"] == "HEAD" else scope
        with (
            self.connections.busy(scope.get("client"), exchange.hang_up),
            facts_of_request() as facts,
            request_span(scope["method"], headers) as span,
        ):
            try:
                await self._answer(inner, exchange)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not exchange.hung_up or task is None:
                    raise
                task.uncancel()
                exchange.status = HUNG_UP
            finally:
                exchange.end()
                method = scope["method"] if scope["method"] in METHODS else "other"
                route = getattr(inner.get("route"), "path", "none")
                self._log(method, route, exchange, time.perf_counter() - start, facts)
                finish(span, method, route, exchange.status)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        headers = Headers(scope=scope)
        try:
            self.check_headers(headers)
            if exchange.origin is not None and (allowed := origins.preflight(scope["method"], headers)) is not None:
                await allowed(scope, exchange.receive, exchange.send)
                return
            self.check_key(scope, headers)
        except OsoroiError as error:
            await self.refuse(Request(scope), error)(scope, exchange.receive, exchange.send)
            return
        await self.app(scope, exchange.receive, exchange.send)

    def check_headers(self, headers: Headers) -> None:
        """Raise BadRequest for headers that contradict each other or name another host."""
        host = host_of(headers.get("host", ""))
        if "transfer-encoding" in headers and "content-length" in headers:
            raise BadRequest("the body has two lengths", hint="send Content-Length or Transfer-Encoding, not both")
        if host is None and "host" in headers:
            raise BadRequest("the Host header is no name", hint="send the name or address of the service")
        settings = self.settings()
        if not settings.keyed and not is_loopback(host or ""):
            raise BadRequest(
                "without keys the service answers to the names of this machine alone",
                hint="ask for http://127.0.0.1 or http://localhost, or set keys",
            )

    def check_key(self, scope: Scope, headers: Headers) -> None:
        """Raise NoKey where this request needs a key that it does not have."""
        if scope["path"] in OPEN:
            return
        key = key_of(headers.get("authorization", ""))
        right = right_of(scope["method"], scope["path"])
        settings = self.settings()
        holder = settings.holder(key)
        if holder is not None:
            note(key=holder.name)
        if not settings.permits(holder, right):
            raise NoKey(
                f"{DOING[right]} needs a key{', and this one does not open it' if key else ''}",
                hint="send the header Authorization: Bearer KEY",
            )

    def _log(self, method: str, route: str, exchange: Exchange, seconds: float, facts: Mapping[str, Fact]) -> None:
        ms = round(1000 * seconds, 1)
        self.metrics.request(method, route, exchange.status, seconds)
        line = {"event": "request", "request_id": exchange.request_id, "method": method, "route": route}
        key = f" key={facts['key']}" if "key" in facts else ""
        log.info(
            "%s %s %d %.1f ms id=%s%s",
            *(method, route, exchange.status, ms, exchange.request_id, key),
            extra={"facts": {**line, "status": exchange.status, "ms": ms, **facts}},
        )


def right_of(method: str, path: str) -> Right:
    """What a request needs.

    >>> right_of("POST", "/v1/search"), right_of("PUT", "/v1/products/p"), right_of("GET", "/metrics")
    ('search', 'write', 'metrics')
    """
    if method not in READING:
        return "write"
    return "metrics" if path == "/metrics" else "search"
