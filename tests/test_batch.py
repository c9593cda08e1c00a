"""Many products in one request: line by line, in order, durable, within limits."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

import web
from clients import connected
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.opening import open_or_create
from osoroi.server.body import Lines
from osoroi.server.limits import MemoryBudget
from osoroi.server.settings import Settings
from shop import BLUE, GREEN, RED, SeeingEncoder, fill, goods, picture, serving
from waiting import LONG_S, gauge, until

NDJSON = {"Content-Type": "application/x-ndjson"}
WRITES, READS = "w" * 20, "r" * 20


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


@pytest.fixture
def url(catalog: LocalCatalog) -> Iterator[str]:
    with serving(SeeingEncoder(), catalog, Settings(upload_s=LONG_S, lines=20, batches=1, field_bytes=2000)) as url:
        yield url


@pytest.fixture
def hasty_url(catalog: LocalCatalog) -> Iterator[str]:
    """Where the next line has two seconds to come."""
    with serving(SeeingEncoder(), catalog, Settings(upload_s=2.0)) as url:
        yield url


def photo(*colours: tuple[int, int, int], box: Sequence[int] | None = None) -> dict[str, Any]:
    return {"base64": base64.b64encode(picture(*colours)).decode()} | ({"box": list(box)} if box else {})


def send(url: str, *lines: object, method: str = "PUT", **options: Any) -> list[dict[str, Any]]:
    body = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    answer = web.request(method, f"{url}/v1/products", content=body, headers=NDJSON, timeout=60, **options)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_line_is_a_product_and_a_wrong_one_stops_no_other(url, catalog):
    answers = send(
        url,
        {"product_id": "new", "title": "Red", "price": 5, "attributes": {"sizes": ["S", "M"]}, "photos": [photo(RED)]},
        b"{not json",
        {"product_id": "two", "photos": [photo(RED, GREEN, box=(30, 0, 60, 80)), photo(BLUE)]},
        {"product_id": "no photo", "title": "New"},
        {"product_id": "bad photo", "photos": [{"base64": base64.b64encode(b"no photo").decode()}]},
        {"product_id": "bad base64", "photos": [{"base64": "%%%"}]},
        {"product_id": "no photos", "photos": []},
        {"title": "no id", "photos": [photo(RED)]},
        {"product_id": "bad price", "price": -1, "photos": [photo(RED)]},
        {"product_id": "unknown", "colour": "red"},
        b"",
        {"product_id": "last", "photos": [photo(GREEN)]},
    )
    assert [(one["line"], one["status"]) for one in answers] == [
        (1, 200), (2, 400), (3, 200), (4, 404), (5, 422), (6, 400), (7, 400), (8, 400), (9, 400), (10, 400), (12, 200),
    ]  # fmt: skip
    assert [one["product_id"] for one in answers[:5]] == ["new", None, "two", "no photo", "bad photo"]
    assert [one["product_id"] for one in answers[5:]] == [
        "bad base64", "no photos", None, "bad price", "unknown", "last",
    ]  # fmt: skip
    assert answers[0] == {"line": 1, "product_id": "new", "status": 200}
    assert answers[3]["hint"] == "a new product needs photos"
    assert "price" in answers[8]["error"]
    assert all(one["error"] and one["hint"] for one in answers if one["status"] != 200)
    assert catalog.get("new").attributes == {"sizes": ("S", "M")}
    assert [crop.box for crop in catalog.crops("two")] == [(30, 0, 60, 80), None]
    assert len(catalog) == 5 + 3


def test_a_line_with_too_many_photos_is_told_how_many_to_choose(catalog):
    with serving(SeeingEncoder(), catalog, Settings(photos=2)) as url:
        none, many = send(url, *({"product_id": "P1", "photos": [photo(RED)] * count} for count in (0, 3)))
    assert [none["error"], many["error"]] == ["a product has 1 to 2 photos"] * 2
    assert (none["hint"], many["hint"]) == ("leave photos out to keep them", "choose 2 of the 3")


def test_a_product_without_photos_keeps_them_and_gets_exactly_this_metadata(url, catalog):
    crops, vectors = catalog.crops("P1"), catalog.vectors(["P1/0"])
    send(url, {"product_id": "P1", "title": "Rot", "attributes": {"sale": True}})
    send(url, {"product_id": "P1", "title": "Rouge"})
    product = catalog.get("P1")
    assert (product.title, product.price, product.brand, product.attributes) == ("Rouge", None, None, {})
    assert catalog.crops("P1") == crops
    assert (catalog.vectors(["P1/0"]) == vectors).all()


def test_a_product_without_photos_is_put_in_one_commit(place):
    encoder = SeeingEncoder()
    with open_or_create(place, encoder) as catalog:
        seq = catalog.put(goods(encoder), fingerprint=encoder.fingerprint)
        with serving(encoder, catalog) as url:
            (answer,) = send(url, {"product_id": "P1", "title": "Rot", "attributes": {"sale": True}})
            assert (answer["status"], catalog.seq) == (200, seq + 1)
            assert (catalog.get("P1").title, catalog.get("P1").attributes) == ("Rot", {"sale": True})
            (answer,) = send(url, {"product_id": "none", "title": "Rot"})
            assert (answer["status"], answer["hint"], catalog.seq) == (404, "a new product needs photos", seq + 1)


def test_a_mistake_of_ours_in_one_line_stops_no_other(url, catalog, monkeypatch, caplog):
    patch = catalog.patch

    def broken(product_id: str, changes: Any) -> Any:
        if product_id == "P2":
            raise KeyError("secret")
        return patch(product_id, changes)

    monkeypatch.setattr(catalog, "patch", broken)
    answers = send(url, *({"product_id": f"P{number}", "price": number} for number in (1, 2, 3)), method="PATCH")
    mistake = {"error": "the service made a mistake", "hint": "its log says more"}
    assert [one["status"] for one in answers] == [200, 500, 200]
    assert answers[1] == {"line": 2, "product_id": "P2", "status": 500, **mistake}
    assert [catalog.get(one).price for one in ("P1", "P2", "P3")] == [1, 5900, 3]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError]


def test_patching_lines_changes_what_is_sent(url, catalog):
    lines = [{"product_id": "P1", "price": 1}, {"product_id": "P2", "price": 2}, {"product_id": "none", "price": 3}]
    answers = send(url, *lines, {"product_id": "P3"}, method="PATCH")
    assert [one["status"] for one in answers] == [200, 200, 404, 400]
    assert [catalog.get(one).price for one in ("P1", "P2", "P3")] == [1, 2, 2900]
    assert catalog.get("P1").title == "Red skirt"


def test_the_same_batch_again_changes_nothing_and_the_last_of_two_lines_wins(url, catalog):
    lines = [{"product_id": "a", "title": title, "photos": [photo(RED)]} for title in ("first", "second")]
    send(url, *lines)
    assert catalog.get("a").title == "second"
    seq, crops = catalog.seq, catalog.crops("a")
    send(url, lines[1])
    assert (catalog.seq, catalog.crops("a")) == (seq, crops)


def test_lines_are_answered_while_others_are_still_to_come(url):
    with connected(url) as connection:
        connection.sendall(
            b"PATCH /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-ndjson\r\n\r\n"
        )
        received(connection, b"\r\n\r\n")
        for number in range(3):
            line = b'{"product_id": "P1", "price": %d}\n' % number
            connection.sendall(b"%x\r\n%b\r\n" % (len(line), line))
            assert b'"line":%d,' % (number + 1) in received(connection, b"\n\r\n")  # the end of a chunk
        connection.sendall(b"0\r\n\r\n")
        assert received(connection, b"0\r\n\r\n").endswith(b"0\r\n\r\n")


LAST_CHUNK = b"\r\n0\r\n\r\n"
"""The end of an answer in chunks, after its head or another chunk."""


def received(connection: socket.socket, mark: bytes) -> bytes:
    """What comes until these bytes are in it."""
    got = b""
    while mark not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_not(catalog):
    with serving(SeeingEncoder(), catalog, Settings(body_bytes=30_000, field_bytes=1000)) as url:
        long = {"product_id": "long", "title": "x" * 50_000, "photos": [photo(RED)]}
        answers = send(url, long, {"product_id": "P1", "price": 1}, method="PATCH")
        assert [one["status"] for one in answers] == [413, 200]
        assert "more than 41,000 bytes" in answers[0]["error"]
        assert gauge(url, "upload_bytes") == 0


def test_a_batch_has_a_number_of_lines_and_the_answer_says_where_to_go_on(url, catalog):
    answers = send(url, *[{"product_id": "P1", "price": number} for number in range(30)], method="PATCH")
    assert [one["status"] for one in answers] == [200] * 20 + [413]
    assert answers[-1]["hint"] == "send the lines from here on in another request"
    assert catalog.get("P1").price == 19


def test_empty_lines_count_too(url, catalog):
    answers = send(url, *[b""] * 19, {"product_id": "P1", "price": 1}, method="PATCH")
    assert [(one["line"], one["status"]) for one in answers] == [(20, 200)]
    answers = send(url, *[b""] * 20, {"product_id": "P1", "price": 2}, method="PATCH")
    assert [(one["line"], one["status"]) for one in answers] == [(21, 413)]
    start = time.monotonic()
    answers = send(url, b"\n" * 10_000, method="PATCH")
    assert [(one["line"], one["status"]) for one in answers] == [(21, 413)]
    assert time.monotonic() - start < 30
    assert catalog.get("P1").price == 1


def test_empty_lines_do_not_keep_a_batch_alive(hasty_url):
    with connected(hasty_url) as connection:
        connection.sendall(
            b"PATCH /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-ndjson\r\n\r\n"
        )
        received(connection, b"\r\n\r\n")
        connection.settimeout(0.2)
        answer, end = b"", time.monotonic() + LONG_S
        while b'"status":408' not in answer and time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection.sendall(b"1\r\n\n\r\n")
            with contextlib.suppress(TimeoutError):
                answer += connection.recv(4096)
        assert b'"status":408' in answer


def test_other_requests_have_their_turn_between_many_lines():
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"\n" * 5000, "more_body": False}

    async def turns() -> int:
        request = Request({"type": "http", "method": "PATCH", "headers": []}, receive)
        lines = Lines(request, Settings(lines=10_000), MemoryBudget(10**6))
        count, done = 0, asyncio.Event()

        async def read() -> None:
            assert [line async for line in lines.read()] == []
            done.set()

        task = asyncio.create_task(read())
        while not done.is_set():
            await asyncio.sleep(0)
            count += 1
        await task
        return count

    assert asyncio.run(turns()) > 10


def test_a_line_that_does_not_come_ends_the_batch_and_what_came_stays(hasty_url, catalog):
    with connected(hasty_url) as connection:
        start = time.monotonic()
        connection.sendall(
            b"PATCH /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n"
            b'Content-Type: application/x-ndjson\r\n\r\n{"product_id": "P1", "price": 7}\n{"product_'
        )
        answer = received(connection, LAST_CHUNK)
        assert time.monotonic() - start > 1
    assert b'"status":408' in answer
    assert catalog.get("P1").price == 7


def test_few_batches_run_at_once_and_searches_go_on_meanwhile(url):
    with connected(url) as connection:
        connection.sendall(
            b"PATCH /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-ndjson\r\n\r\n"
        )
        connection.recv(100)  # the head of the answer: this batch is inside
        refused = web.patch(f"{url}/v1/products", content=b"{}\n", headers=NDJSON)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"] == "1 batches wait already"
        assert web.post(f"{url}/v1/search", files={"photo": picture(RED)}).status_code == 200
        connection.sendall(b"0\r\n\r\n")
        received(connection, LAST_CHUNK)
    assert send(url, {"product_id": "P1", "price": 1}, method="PATCH")[0]["status"] == 200


def test_a_client_that_hangs_up_leaves_room_and_half_a_line_is_none(url, catalog):
    half = b'{"product_id": "P1", "price": 8}'
    for _ in range(3):
        with connected(url) as connection:
            connection.sendall(
                b"PATCH /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n"
                b"Content-Type: application/x-ndjson\r\n\r\n" + half
            )
            until(lambda: gauge(url, "upload_bytes") == len(half))
        until(lambda: gauge(url, "batches_inside") == 0)
    assert catalog.get("P1").price == 3900
    assert send(url, {"product_id": "P1", "price": 1}, method="PATCH")[0]["status"] == 200
    assert gauge(url, "upload_bytes") == 0


@pytest.mark.parametrize("missing", [0, 100])
def test_lines_that_came_before_a_client_hung_up_and_were_not_begun_are_not_done(catalog, monkeypatch, missing):
    """The fifth is begun, and held until the service knows that the client is gone.

    With bytes of the body still to come, hanging up was noticed only where more of it was wanted."""
    lines = b"".join(b'{"product_id": "P%d", "price": %d}\n' % (1 + number % 5, number) for number in range(900))
    before, patch = catalog.seq, catalog.patch
    begun, go_on = threading.Event(), threading.Event()

    def held(*arguments: Any) -> int:
        if catalog.seq - before == 4:
            begun.set()
            go_on.wait(LONG_S)
        return patch(*arguments)

    monkeypatch.setattr(catalog, "patch", held)
    with serving(SeeingEncoder(), catalog, Settings(upload_s=LONG_S, answer_s=LONG_S)) as url:
        try:
            with connected(url) as connection:
                connection.sendall(
                    b"PATCH /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n"
                    b"Content-Type: application/x-ndjson\r\n\r\n" % (len(lines) + missing) + lines
                )
                received(connection, b'"line":4,')
                assert begun.wait(LONG_S)
            until(lambda: gauge(url, "batches_inside") == 0)
        finally:
            go_on.set()
        until(lambda: catalog.seq - before == 5)
        until(lambda: gauge(url, "upload_bytes") == 0)
        time.sleep(0.3)
        assert catalog.seq - before == 5, "no more are begun"


def test_a_batch_writes_and_needs_the_key_for_it(catalog):
    with serving(SeeingEncoder(), catalog, Settings(read_key=READS, write_key=WRITES)) as url:
        for key, status in ((None, 401), (READS, 401), (WRITES, 200)):
            headers = NDJSON | ({"Authorization": f"Bearer {key}"} if key else {})
            answer = web.put(f"{url}/v1/products", content=b"", headers=headers)
            assert answer.status_code == status


def test_another_type_of_body_is_refused(url):
    answer = web.put(f"{url}/v1/products", data={"a": "b"})
    assert (answer.status_code, "Content-Type: application/x-ndjson" in answer.json()["hint"]) == (400, True)


def test_what_was_answered_before_a_kill_is_there_after_it(tmp_path):
    """The service in a process of its own, killed in the middle of a batch."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    encoder = SeeingEncoder()
    fill(tmp_path / "shop", encoder, goods(encoder)).close()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        serve_until_killed(tmp_path / "shop", writing)
    url = os.read(reading, 100).decode()
    line = json.dumps({"product_id": "kill {}", "photos": [photo(RED)]}).encode() + b"\n"
    answered = b""
    with connected(url) as connection, contextlib.suppress(OSError):
        connection.sendall(
            b"PUT /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-ndjson\r\n\r\n"
        )
        for number in range(50):
            one = line.replace(b"{}", b"%d" % number)
            connection.sendall(b"%x\r\n%b\r\n" % (len(one), one))
        answered = received(connection, b'"line":5,')
        os.kill(child, signal.SIGKILL)  # its body has not ended, whatever of it was done
        while piece := connection.recv(65536):
            answered += piece
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    done = answered.count(b'"status":200')
    assert done >= 5
    with LocalCatalog.open(tmp_path / "shop") as after:
        assert {f"kill {number}" for number in range(done)} <= set(after.product_ids())


def serve_until_killed(folder: Path, writing: int) -> None:
    try:
        encoder = SeeingEncoder()
        with LocalCatalog.open(folder) as catalog, serving(encoder, catalog) as url:
            os.write(writing, url.encode())
            threading.Event().wait(600)
    finally:
        os._exit(1)
