"""The server process: sockets, limits of the operating system, and a stated end."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from osoroi.errors import BadRequest
from osoroi.search import Searcher
from osoroi.server import app, network, supervisor
from osoroi.server.configuration import Sources, reload
from osoroi.server.decoding import Decoder
from osoroi.server.decoding.pool import DecodingPool
from osoroi.server.settings import Settings

log = logging.getLogger("osoroi.server")

RESERVED_FILES = 192
"""File descriptors that are not for connections: the catalog, workers, and connections that are being refused."""

BACKLOG = 64
"""Connections that the operating system accepts for us at once."""

HEAD_BYTES = 64 * 2**10
"""Bytes of a request's line and headers."""

LINGER_S = 1.0
"""Seconds that idle connections have, after the signal to end, for one more request."""

LAST_S = 5.0
"""Seconds that threads have after the last answer. Then the process ends without them."""


class Server(uvicorn.Server):
    """A server that ends in two steps, and reads its settings again on SIGHUP.

    First it takes no new connections, answers those that are open, and closes each after its answer; photos that take
    long to decode are given up. So clients that keep connections do not send into one that is being closed.
    """

    def __init__(self, application: FastAPI, host: str, port: int, *, reload: Callable[[], None] | None = None) -> None:
        super().__init__(config(application, host, port))
        self.application = application
        self.decoder: Decoder = application.state.service.decoder
        self.reload = reload
        self.has_terminal = _has_terminal()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell the service manager."""
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(hangup, self._on_hangup)
        await super().startup(sockets)
        for one in sockets or []:
            log.info("Uvicorn running on http://%s:%d", *one.getsockname()[:2])
        servers = self.servers if self.started else []  # an application that could not start has none
        listening = [one.getsockname()[:2] for server in servers for one in server.sockets]
        page = next(filter(None, (network.page_for_others(*address) for address in listening)), None)
        if page is not None:
            log.info("from a phone or another machine of this network: %s", page)
        supervisor.notify("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, once what was begun is answered or ``Settings.drain_s`` is over."""
        supervisor.notify("STOPPING=1")
        self.decoder.hurry()
        for listener in self.servers:
            listener.close()
        connections = self.application.state.connections
        connections.ending = True
        until = time.monotonic() + LINGER_S
        while len(connections) and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _on_hangup(self) -> None:
        if self.has_terminal and not _has_terminal():  # its terminal was closed
            self.should_exit = True
        elif self.reload is not None:
            self.reload()


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def config(application: FastAPI, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves the application: with a limit of connections, and without a log of addresses."""
    settings: Settings = application.state.service.settings
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=application.state.connections.protocol(H11Protocol),
        loop="asyncio",  # what is tested; the transports of uvloop, which Ray brings, are none of asyncio's
        ws="none",
        access_log=False,  # the middleware logs the route alone
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=round(settings.drain_s),
    )


def demand_free(host: str, port: int) -> None:
    """Raise BadRequest where nobody can listen at this address now, before anything is loaded."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                if os.name == "posix":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadRequest(
                f"port {port} of {host} is taken", hint="name another with --port; --port 0 takes a free one"
            ) from None
        raise BadRequest(
            f"nobody can listen on port {port} of {host}: {error.strerror or error}", hint="see --host and --port"
        ) from None


def run(
    searcher: Searcher,
    settings: Settings,
    host: str,
    port: int,
    *,
    reopen: Callable[[], Searcher] | None = None,
    sources: Sources | None = None,
    sockets: list[socket.socket] | None = None,
) -> None:
    """Serve until a signal; what was begun is finished first, within ``settings.drain_s`` and a few seconds.

    Photos that look costly are not waited for. SIGHUP reads ``sources`` again. ``sockets`` listen already, in place of
    host and port.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every byte that is out of place
    application = app.make(searcher, settings, decoder=DecodingPool.of(settings), reopen=reopen)
    application.state.connections.most = min(settings.connections, max(16, _files() - RESERVED_FILES))
    server = Server(application, host, port, reload=None if sources is None else lambda: reload(application, sources))
    ended = threading.Event()
    clock = threading.Thread(target=_end, args=(server, ended, settings.drain_s + LAST_S), daemon=True)
    clock.start()
    try:
        server.run(sockets)
    finally:
        ended.set()


def _files() -> int:
    """File descriptors that this process may have, after asking for as many as it may."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        return soft if soft > 0 else 4096
    return 4096


def _end(server: uvicorn.Server, ended: threading.Event, seconds: float) -> None:
    """End the process where it has not ended in time after the signal: a thread may be in a call that takes long.

    What was acknowledged is on the disk by then, and a write that was not is rolled back by the database.
    """
    while not server.should_exit:
        if ended.wait(0.2):
            return
    if not ended.wait(seconds):
        log.warning("work under way was left after %g seconds", seconds)
        os._exit(1)
