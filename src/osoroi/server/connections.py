"""A limit of open connections, and clocks for clients that connect and send nothing, or do not take their response.

``TimedConnection`` stands between asyncio and the HTTP protocol of the server, and passes everything on: uvicorn takes
any protocol class, so that nothing of its own is touched. The middleware says which connections have a request under
way.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, cast

from osoroi.server.limits import RETRY_S

log = logging.getLogger("osoroi.server")

READ_BYTES = 16 * 2**10
"""Bytes that are parsed at once; in chunks of one byte they cost some 15 ms. Then others have their turn."""

SWEEP_S = 0.5
"""Seconds between two looks at all connections."""

FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Retry-After: %d\r\nContent-Length: %d\r\n\r\n%b"
)
FULL_BODY = b'{"error":"the service has as many connections as it can","hint":"try again in a moment"}'

Peer = tuple[str, int]


class Connections:
    """The open connections of one service."""

    def __init__(self, *, most: int, head_s: float, take_s: float) -> None:
        self.most = most
        self.head_s = head_s
        self.take_s = take_s
        self.ending = False
        self._open: OrderedDict[Peer, TimedConnection] = OrderedDict()
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._open)

    def protocol(self, http: Callable[..., asyncio.Protocol]) -> Callable[..., asyncio.BufferedProtocol]:
        """The class to give to the server in place of ``http``."""
        return lambda *arguments, **options: TimedConnection(http(*arguments, **options), self)

    @contextlib.contextmanager
    def busy(self, client: Any, on_lost: Callable[[], None]) -> Iterator[None]:
        """While the block runs, this client has a request under way. ``on_lost`` is called where it hangs up."""
        connection = self._open.get(tuple(client)[:2]) if client else None
        if connection is None:
            yield
            return
        connection.waits_since, connection.on_lost = None, on_lost
        try:
            yield
        finally:
            connection.waits_since, connection.on_lost = time.monotonic(), None

    def add(self, peer: Peer, connection: "TimedConnection") -> bool:
        """Count a new connection. Where there are too many, the one that has waited longest makes room.

        Returns whether there was room.
        """
        if len(self._open) >= self.most:
            idle = [one for one in self._open.values() if one.waits_since is not None]
            if not idle:
                return False
            min(idle, key=lambda one: one.waits_since or 0.0).abort()
        self._open[peer] = connection
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        return True

    def remove(self, peer: Peer, connection: "TimedConnection") -> None:
        """Forget a connection that ended."""
        if self._open.get(peer) is connection:
            del self._open[peer]

    def _sweep(self) -> None:
        """End the connections that take too long. It runs while there are connections."""
        now = time.monotonic()
        for connection in list(self._open.values()):
            connection.check(now, self.head_s, self.take_s)
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep) if self._open else None


class TimedConnection(asyncio.BufferedProtocol):
    """One connection: passes everything on to the HTTP protocol, little by little, and keeps the time."""

    def __init__(self, http: asyncio.Protocol, connections: Connections) -> None:
        self.http = http
        self.connections = connections
        self.waits_since: float | None = None  # for a request, None while one is under way
        self.unsent_since: float | None = None  # bytes that the client has not taken
        self.on_lost: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._peer: Peer = ("", id(self))
        self._admitted = False
        self._buffer = bytearray(READ_BYTES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or refuse where there are too many."""
        transport = cast(asyncio.Transport, transport)  # other loops have transports of classes of their own
        self._transport = transport
        self.waits_since = time.monotonic()
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and len(peer) >= 2:
            self._peer = (str(peer[0]), int(peer[1]))
        self._admitted = self.connections.add(self._peer, self)
        if self._admitted:
            self.http.connection_made(transport)
            return
        transport.write(FULL % (RETRY_S, len(FULL_BODY), FULL_BODY))
        transport.close()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what came. A fault of the protocol ends this connection alone, with one line in the log."""
        if not self._admitted:
            return
        try:
            self.http.data_received(bytes(self._buffer[:nbytes]))
        except Exception as error:  # noqa: BLE001  whatever a client makes a parser throw is not the service's end
            log.warning("a connection was ended: %s", type(error).__name__)
            self.abort()

    def eof_received(self) -> bool | None:
        """Pass on that the client will send no more."""
        return self.http.eof_received() if self._admitted else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection ended."""
        self.connections.remove(self._peer, self)
        if self._admitted:
            self.http.connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def pause_writing(self) -> None:
        """Pass on that the client takes its answer slowly."""
        if self._admitted:
            self.http.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client took what it had to."""
        if self._admitted:
            self.http.resume_writing()

    def abort(self) -> None:
        """End the connection now; what was not sent is lost."""
        self.connections.remove(self._peer, self)
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float, head_s: float, take_s: float) -> None:
        """End the connection whose client sent no request for ``head_s``, or took no response for ``take_s`` s."""
        assert self._transport is not None
        if self._transport.get_write_buffer_size() == 0:
            self.unsent_since = None
            too_long = self.waits_since is not None and now - self.waits_since > head_s
        else:
            self.unsent_since = self.unsent_since or now
            too_long = now - self.unsent_since > take_s
        if too_long:
            self.abort()
