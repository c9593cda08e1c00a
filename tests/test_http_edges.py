"""Connections and requests at the edge of HTTP: limits, clocks, odd headers and methods; never an error of ours."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import web
from clients import connected, post, raw
from osoroi.catalog.local import LocalCatalog
from osoroi.search import Searcher
from osoroi.server import app, run
from osoroi.server.connections import READ_BYTES, Connections, TimedConnection
from osoroi.server.settings import Settings
from shop import RED, SeeingEncoder, ThreadDecoder, fill, goods, picture, serving
from waiting import LONG_S, gauge, until

KEYS = Settings(read_key="r" * 20, write_key="w" * 20)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


# -------------------------------------------------------------------- connections


def test_idle_connections_make_room_and_busy_ones_do_not(catalog):
    settings = Settings(connections=8, head_s=LONG_S, upload_s=LONG_S)
    with serving(SeeingEncoder(), catalog, settings) as url, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(url))
        until(lambda: gauge(url, "connections") == 8)
        assert web.get(f"{url}/health").status_code == 200
        uploading = [stack.enter_context(connected(url)) for _ in range(8)]
        begun = post(b"x" * 1000)[:-500].replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1)
        for connection in uploading:
            connection.sendall(begun)
            assert connection.recv(100).startswith(b"HTTP/1.1 100 "), "its body is waited for"
        answer = raw(url, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer.lower()


class OtherTransport(asyncio.BaseTransport):
    """As other event loops have them: all methods, and none of asyncio's classes for sockets."""

    ended = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 5) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.ended = True


def test_a_connection_of_another_event_loop_is_one(catalog):
    """Where uvloop is installed, uvicorn would take it, and no connection was made."""
    application = app.make(Searcher(SeeingEncoder(), catalog), decoder=ThreadDecoder())
    assert run.config(application, "127.0.0.1", 0).loop == "asyncio"

    async def use() -> bool:
        connections = Connections(most=4, head_s=0.0, take_s=9.0)
        transport = OtherTransport()
        connection = TimedConnection(asyncio.Protocol(), connections)
        connection.connection_made(transport)
        await asyncio.sleep(0.01)
        connection.check(time.monotonic(), 0.0, 9.0)
        return transport.ended

    assert asyncio.run(use())


def test_bytes_are_parsed_little_by_little(catalog):
    """A body in chunks of one byte costs microseconds a chunk: a quarter of a megabyte at once held up everybody."""
    pieces: list[int] = []

    class Parser(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            pieces.append(len(data))

    async def serve() -> None:
        connections = Connections(most=4, head_s=9.0, take_s=9.0)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(connections.protocol(Parser), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"1\r\na\r\n" * 200_000)
        await writer.drain()
        while sum(pieces) < 1_200_000:
            await asyncio.sleep(0.01)
        writer.close()
        server.close()

    asyncio.run(asyncio.wait_for(serve(), LONG_S))
    assert max(pieces) <= READ_BYTES


def test_a_client_that_never_reads_is_let_go_without_a_trace(catalog, caplog):
    with (
        serving(SeeingEncoder(), catalog, Settings(take_s=0.5)) as url,
        connected(url, window=2048) as connection,
    ):
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200)
        until(lambda: gauge(url, "connections") == 1)  # the one that asks
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


# -------------------------------------------------------------------- the edges of HTTP


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/openapi.json", "/v1/products", "/v1/products/P1",
                                  "/v1/photos/P1%2F0", "/static/page.css", "/v1/products/none"])  # fmt: skip
def test_head_answers_as_get_does_without_a_body(catalog, path):
    with serving(SeeingEncoder(), catalog) as url:
        get, head = web.get(url + path), web.head(url + path)
        assert head.status_code == get.status_code
        assert head.content == b""
        assert head.headers["content-type"] == get.headers["content-type"]
        assert path == "/metrics" or head.headers["content-length"] == get.headers["content-length"]


HOSTS = [b"[", b"[::1", b"[v1.x]", b"127.0.0.1:x", b"a]b", b"\xff\xfe", b"evil.example", b"localhost@evil", b""]
AUTHORIZATIONS = [b"Bearer x", b"Bearer \xe9\xff", b"Basic YTpi", b"Basic \xe9\xff", b"Basic /////w==", b"Basic a",
                  b"Bearer ", b"Digest x", b"\xff"]  # fmt: skip


@pytest.mark.parametrize("accept", [b"*/*", b"text/html"])
def test_no_host_and_no_key_ends_in_an_error_of_ours(catalog, accept):
    with serving(SeeingEncoder(), catalog) as url, serving(SeeingEncoder(), catalog, KEYS) as keyed:
        request = b"GET /nope HTTP/1.1\r\nHost: %b\r\nConnection: close\r\nAccept: %b\r\nAuthorization: %b\r\n\r\n"
        for host in HOSTS:
            assert raw(url, request % (host, accept, b""))[9:12] == b"400", host
            assert raw(keyed, request % (host, accept, b"Bearer " + b"r" * 20))[9:12] in (b"400", b"404"), host
        for authorization in AUTHORIZATIONS:
            answer = raw(keyed, request % (b"127.0.0.1", accept, authorization))
            assert answer[9:12] == b"401", authorization
            assert b"www-authenticate" in answer.lower()


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999999\r\n\r\nabcd",
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \xb2\r\n\r\nabcd",
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nab\r\n0\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v1/photos/%00?width=x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /v1/products/%ed%a0%80 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"PATCH /v1/products/%00 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 11\r\n\r\n"
        b'{"price":1}',
        b"DELETE /v1/products/%ff HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100 + b"\r\n\r\n",
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_refused_in_words(catalog, request_):
    with serving(SeeingEncoder(), catalog) as url:
        answer = raw(url, request_)
        assert 400 <= int(answer[9:12]) < 500
        assert answer.count(b"HTTP/1.1 ") == 1, "what follows in the body of a request is no request"


def test_wherever_503_is_there_is_retry_after(catalog):
    def load(path: str) -> httpx.Response:
        return web.post(url + path, files={"photo": picture(RED)}, headers={"Accept": "text/html"}, timeout=60)

    go_on = threading.Event()

    class Held(SeeingEncoder):
        def encode(self, crops, clues=None):
            go_on.wait(LONG_S)
            return super().encode(crops, clues)

    settings = Settings(searches=1, answer_s=LONG_S)
    with serving(Held(), catalog, settings) as url, concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            inside = pool.submit(load, "/v1/search")
            until(lambda: gauge(url, "searches_inside") == 1)
            refused = [load(path) for path in ("/", "/results", "/v1/search")]
        finally:
            go_on.set()
        assert inside.result().status_code == 200
    assert [answer.status_code for answer in refused] == [503] * 3
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
