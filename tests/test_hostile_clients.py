"""Clients that are slow, in pieces, or gone, on every route; and writers of one product that come at once."""

import asyncio
import contextlib
import itertools
import json
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

import web
from clients import connected, post, raw
from osoroi import categories
from osoroi.catalog.local import LocalCatalog
from osoroi.records import Product
from osoroi.search import Searcher
from osoroi.server import app, learning
from osoroi.server.settings import Settings
from shop import BLUE, GREEN, RED, SeeingEncoder, ThreadDecoder, fill, goods, picture, routes_of, serving
from waiting import until

HEAD = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


# -------------------------------------------------------------------- slow clients

TYPES = {"/v1/products": b"application/x-ndjson"}
"""Types of the bodies of routes that read no form."""


def slow_requests(catalog: LocalCatalog) -> Iterator[bytes]:
    """The beginning of a request to every route: its headers in part, its body in part, and a form in part."""
    application = app.make(Searcher(SeeingEncoder(), catalog), decoder=ThreadDecoder())
    for route in routes_of(application):
        path = route.path.replace("{product_id:path}", "P1").replace("{crop_id:path}", "P1/0")
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            yield HEAD % (method.encode(), path.encode()) + b"X-Slow: "
            if method in ("POST", "PUT", "PATCH"):
                kind = TYPES.get(path, b"application/json")
                begun = HEAD % (method.encode(), path.encode()) + b"Content-Length: 9000\r\nContent-Type: "
                yield begun + kind + b'\r\n\r\n{"a'
                yield begun + b"multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disp"


def test_whoever_sends_a_byte_at_a_time_is_let_go_on_every_route(catalog):
    """A byte every tenth of a second, where headers and bodies have half a second: all connections end."""
    begun = list(slow_requests(catalog))
    assert len(begun) > 30
    settings = Settings(head_s=0.5, upload_s=0.5)
    with serving(SeeingEncoder(), catalog, settings) as url, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(url)) for _ in begun]
        for connection, first in zip(connections, begun, strict=True):
            connection.sendall(first)
        left, end = set(connections), time.monotonic() + 60
        while left and time.monotonic() < end:
            for connection in select.select(list(left), [], [], 0.1)[0]:
                left -= {connection} if ended(connection) else set()
            for connection in left:
                try:
                    connection.sendall(b"a")
                except OSError:
                    continue  # the next look finds its end
        assert [begun[connections.index(connection)] for connection in left] == []
        until(lambda: "osoroi_upload_bytes 0.0" in (text := metrics(url)) and "osoroi_batches_inside 0.0" in text)
        assert 'status="500"' not in metrics(url)


def metrics(url: str) -> str:
    """/metrics of a service; nothing where it lets this client go, too."""
    try:
        return web.get(f"{url}/metrics").text
    except httpx.TransportError:
        return ""


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except OSError:
        return True


def test_a_client_that_closes_its_side_counts_as_gone(catalog, caplog):
    """A closed connection looks the same, and the work of clients that hang up must end."""
    with serving(SeeingEncoder(), catalog) as url:
        for request in (HEAD % (b"GET", b"/v1/products") + b"\r\n", post(picture(RED), b"/v1/search")):
            with connected(url) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):  # it ends before the time of this client does
                    pass
        assert web.get(f"{url}/health").status_code == 200
        assert "osoroi_searches_inside 0.0" in web.get(f"{url}/metrics").text
    assert not [record for record in caplog.records if record.exc_info]


# -------------------------------------------------------------------- odd ways to say the same

BODY = b'{"price": 71}'
CHUNKED = {
    "one": b"d\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a byte each": b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
    "upper case and zeros": b"0000D\r\n" + BODY + b"\r\n000\r\n\r\n",
    "extensions": b'5;a="b";c\r\n' + BODY[:5] + b"\r\n8;d\r\n" + BODY[5:] + b"\r\n0;e=f\r\n\r\n",
    "trailers": b"d\r\n" + BODY + b"\r\n0\r\nPrice: 9\r\nX: y\r\n\r\n",
}


@pytest.mark.parametrize("how", CHUNKED)
def test_a_body_in_chunks_is_the_body(catalog, how):
    with serving(SeeingEncoder(), catalog) as url:
        head = HEAD % (b"PATCH", b"/v1/products/P1") + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert raw(url, head + CHUNKED[how])[9:12] == b"200"
    assert catalog.get("P1").price == 71


def test_what_a_client_expects_and_what_it_need_not_send(catalog):
    begun = HEAD % (b"PATCH", b"/v1/products/P1") + b"Connection: close\r\nExpect: 100-continue\r\n"
    with serving(SeeingEncoder(), catalog) as url:
        with connected(url) as connection:
            connection.sendall(begun + b"Content-Length: 13\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
            connection.sendall(BODY)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        refused = raw(url, begun + b"Content-Length: 99000000\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 413 "), "before any of it is sent"
        assert raw(url, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        many = HEAD % (b"GET", b"/v1/products?limit=1") + b"\r\n"
        last = HEAD % (b"GET", b"/health") + b"Connection: close\r\n\r\n"
        assert raw(url, many * 99 + last).count(b"HTTP/1.1 200 OK") == 100
        metrics = web.get(f"{url}/metrics").text
    assert 'status="499"' not in metrics, "whoever closes after the answer did not hang up"


@pytest.mark.parametrize(
    "target", [b"http://127.0.0.1/metrics", b"//metrics", b"/metrics/", b"/./metrics", b"/metrics%2f"]
)
def test_no_other_way_to_write_an_address_opens_more(catalog, target):
    settings = Settings(read_key="r" * 20, write_key="w" * 20)
    key = b"Connection: close\r\nAuthorization: Bearer " + b"r" * 20 + b"\r\n\r\n"
    with serving(SeeingEncoder(), catalog, settings) as url:
        assert raw(url, HEAD % (b"GET", target) + key)[9:12] == b"404"
        assert raw(url, HEAD % (b"GET", target) + b"Connection: close\r\n\r\n")[9:12] == b"401"


@pytest.mark.parametrize(("bytes_", "status"), [(10_000, b"200"), (60_000, b"200"), (200_000, b"400")])
def test_a_head_has_64_kib_however_its_bytes_arrive(catalog, bytes_, status):
    request = HEAD % (b"GET", b"/health") + b"Connection: close\r\nX: " + b"a" * bytes_ + b"\r\n\r\n"
    with serving(SeeingEncoder(), catalog) as url:
        for piece in (7_000, len(request)):
            with connected(url) as connection:
                answer = b""
                try:
                    for start in range(0, len(request), piece):
                        connection.sendall(request[start : start + piece])
                        time.sleep(0.002)
                    answer = connection.recv(1000)
                except OSError:  # it was closed before all of it was sent
                    assert status == b"400"
                    continue
            assert answer[9:12] in ((status,) if status == b"200" else (status, b""))


# -------------------------------------------------------------------- writers of one product at once


State = dict[str, Any] | None
"""A product as far as these writes change it; None where there is none."""

After = Callable[[State], tuple[int, State]]
"""The status of a write, and the product after it, from the one before."""


class Done(NamedTuple):
    """One write: what it does to the product, and the status that it had."""

    to: After
    status: int


def becomes(after: State, *, new: bool = False) -> After:
    """The product is this afterwards. Where there is none before, only a ``new`` one is put."""
    return lambda before: (404, None) if before is None and not new else (200, after)


def priced(price: float) -> After:
    return lambda before: (404, None) if before is None else (200, before | {"price": price})


def write(client: httpx.Client, kind: str, price: float, photo: bytes) -> tuple[Callable[[], httpx.Response], After]:
    """A write of the product X that is told apart by its price, and what it does."""
    product: dict[str, Any] = {"title": f"T{price:.0f}", "price": price}
    if kind == "put":
        send = partial(client.put, files={"photo": photo}, data={"product": json.dumps(product)})
        return partial(send, "/v1/products/X"), becomes(product, new=True)
    if kind == "patch":
        return partial(client.patch, "/v1/products/X", json={"price": price}), priced(price)
    if kind == "line":
        line = json.dumps({"product_id": "X", **product}) + "\n"
        send = partial(client.put, content=line, headers={"Content-Type": "application/x-ndjson"})
        return partial(send, "/v1/products"), becomes(product)
    return partial(client.delete, "/v1/products/X"), becomes(None)


def status_of(answer: httpx.Response) -> int:
    """The status of a write; of a batch, that of its line."""
    return answer.json()["status"] if "ndjson" in answer.headers["content-type"] else answer.status_code


def explained(before: State, done: list[Done], after: State) -> bool:
    """Whether some order of the writes gives all their answers and this product."""
    for order in itertools.permutations(done):
        state = before
        for one in order:
            if one.status == 503:
                continue  # it was refused, and changed nothing
            status, state = one.to(state)
            if status != one.status:
                break
        else:
            if state == after:
                return True
    return False


def test_writes_of_one_product_at_once_are_as_if_one_came_after_the_other(catalog):
    dice, wrong = random.Random(5), []
    with (
        serving(SeeingEncoder(), catalog) as url,
        ThreadPoolExecutor(4) as pool,
        web.Client(base_url=url, timeout=60) as client,
    ):
        before: State = None
        for number in range(20):
            kinds = dice.choices(["put", "patch", "delete", "line"], [2, 2, 1, 1], k=4)
            colors = dice.choices([RED, GREEN, BLUE], k=4)
            sent = [
                write(client, kind, float(10 * number + place), picture(color))
                for place, (kind, color) in enumerate(zip(kinds, colors, strict=True), start=1)
            ]
            jobs = [pool.submit(call) for call, _ in sent]
            done = [Done(to, status_of(job.result())) for job, (_, to) in zip(jobs, sent, strict=True)]
            answer = client.get("/v1/products/X")
            after: State = None
            if answer.status_code == 200:
                product = answer.json()["product"]
                after = {name: product[name] for name in ("title", "price")}
            if not explained(before, done, after):
                wrong.append((before, [write.status for write in done], after))
            before = after
    assert wrong == []


def test_other_writes_have_their_turn_between_two_categories_that_are_learned(catalog, monkeypatch):
    """Hundreds of new categories in a large shop took the writing thread for as many scans of its products."""
    turns: list[Callable[[], object]] = []
    monkeypatch.setattr(categories, "unread", lambda encoder, products: {one.category for one in products})

    async def write(work: Callable[[], object]) -> None:
        turns.append(work)
        work()
        if len(turns) == 3:  # meanwhile another product comes
            put("d")

    def put(name: str) -> None:
        with learner.writing(Product(name, category=name.upper()), catalog, encoder):
            pass
        learner.start()

    async def learn() -> None:
        for name in "abc":
            put(name)
        while len(turns) < 7:
            await asyncio.sleep(0.001)

    encoder = SeeingEncoder()
    learner = learning.CategoryLearning(write, wait_s=0.0)
    asyncio.run(asyncio.wait_for(learn(), 60))
    assert len(turns) == 7, "twice what waits, four categories, and that all of them are learned"


def test_kinds_of_categories_are_learned_while_their_products_come_and_go(catalog, caplog, monkeypatch):
    """Learning goes on on the writing thread, between the writes of three clients; each finds what it wrote last."""
    learned: list[str] = []
    monkeypatch.setattr(categories, "unread", lambda encoder, products: {one.category for one in products})

    def learn(catalog: object, encoder: object, words: list[str]) -> dict[str, str]:
        learned.extend(words)
        return {}

    monkeypatch.setattr(categories, "learn", learn)
    last: dict[str, float | None] = {}

    def change(client_number: int) -> None:
        dice = random.Random(client_number)
        with web.Client(base_url=url, timeout=60) as client:
            for number in range(30):
                name = f"c{client_number}-{dice.randrange(4)}"
                if dice.random() < 0.3:
                    client.delete(f"/v1/products/{name}")
                    last[name] = None
                    continue
                product = f'{{"category": "Drop {dice.randrange(3)}", "price": {number}}}'
                answer = client.put(f"/v1/products/{name}", files={"photo": picture(RED)}, data={"product": product})
                assert answer.status_code == 200
                last[name] = float(number)

    with serving(SeeingEncoder(), catalog, learns_soon=True) as url:
        threads = [threading.Thread(target=change, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        end = time.monotonic() + 60
        while len(set(learned)) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    stored = {name: one.product.price for name, one in catalog.get_many(list(last)).items()}
    assert stored == {name: price for name, price in last.items() if price is not None}
    assert set(learned) == {"Drop 0", "Drop 1", "Drop 2"}
    assert not [record for record in caplog.records if record.exc_info or "not learned" in record.getMessage()]
