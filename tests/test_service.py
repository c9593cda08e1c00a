"""The service under load, under attack, and when it is told to stop."""

import asyncio
import concurrent.futures
import contextlib
import io
import logging
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import web
from clients import connected
from osoroi.catalog.local import LocalCatalog
from osoroi.cli.serve import command
from osoroi.encoder import Encoder
from osoroi.errors import BadEncoder, BadRequest
from osoroi.records import Clues, Input, Product
from osoroi.server.batching import Batcher
from osoroi.server.connections import SWEEP_S
from osoroi.server.counting import FacetCounts
from osoroi.server.pages.url_state import UrlState
from osoroi.server.settings import Settings
from shop import BLUE, RED, SeeingEncoder, entry, fill, goods, picture, serving
from waiting import LONG_S, gauge, until

WRITES = "w" * 20


class SlowEncoder(SeeingEncoder):
    """Takes its time, and remembers how many crops it was given."""

    def __init__(self, seconds: float = 0.02) -> None:
        super().__init__()
        self.seconds = seconds
        self.sizes: list[int] = []

    def encode(self, crops: Sequence[np.ndarray], clues: Sequence[Clues] | None = None) -> np.ndarray:
        self.sizes.append(len(crops))
        time.sleep(self.seconds)
        return super().encode(crops, clues)


class HeldEncoder(SeeingEncoder):
    """Encodes nothing until ``go_on`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on, self.ended = threading.Event(), False

    def encode(self, crops: Sequence[np.ndarray], clues: Sequence[Clues] | None = None) -> np.ndarray:
        self.go_on.wait(60)
        self.ended = True
        return super().encode(crops, clues)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


def crop(red: int) -> np.ndarray:
    return np.full((16, 16, 3), (red, 10, 200), np.uint8)


def taken(red: int) -> Input:
    return Input(crop(red))


# -------------------------------------------------------------------- batching


def test_crops_that_arrive_together_are_encoded_together_and_get_their_own_vectors():
    async def ask() -> list[np.ndarray]:
        batcher = Batcher(encoder, batch=8)
        try:
            return await asyncio.gather(*(batcher.encode(taken(red)) for red in range(0, 200, 10)))
        finally:
            batcher.close()

    encoder = SlowEncoder()
    vectors = asyncio.run(ask())
    assert encoder.sizes == [8, 8, 4]  # 20 crops, 8 at a time
    plain = SeeingEncoder()
    for red, vector in zip(range(0, 200, 10), vectors, strict=True):
        assert np.array_equal(vector, plain.encode([crop(red)]))


def test_a_crop_on_its_own_does_not_wait_for_company():
    async def ask() -> None:
        batcher = Batcher(encoder, batch=8)
        await batcher.encode(taken(1))
        late = asyncio.gather(*(batcher.encode(taken(red)) for red in range(3)))
        await late
        batcher.close()

    encoder = SlowEncoder(0)
    asyncio.run(ask())
    assert encoder.sizes[0] == 1


def test_an_error_reaches_everybody_in_its_batch_and_nobody_else():
    class Moody(SlowEncoder):
        def encode(self, crops: Sequence[np.ndarray], clues: Sequence[Clues] | None = None) -> np.ndarray:
            if any(one[0, 0, 0] == 99 for one in crops):
                raise BadEncoder("not this one")
            return super().encode(crops, clues)

    async def ask() -> list[object]:
        batcher = Batcher(Moody(), batch=2)
        asked = [batcher.encode(taken(red)) for red in (99, 1, 2, 3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        batcher.close()
        return list(answers)

    answers = asyncio.run(ask())
    assert [isinstance(answer, BadEncoder) for answer in answers] == [True, True, False, False]


def test_a_request_that_gave_up_costs_no_encoding():
    async def ask() -> None:
        batcher = Batcher(encoder, batch=1)
        first = asyncio.create_task(batcher.encode(taken(1)))
        second = asyncio.create_task(batcher.encode(taken(2)))
        await asyncio.sleep(0)
        assert len(batcher) == 2
        second.cancel()
        await first
        await asyncio.sleep(0.05)
        batcher.close()

    encoder = SlowEncoder()
    asyncio.run(ask())
    assert encoder.sizes == [1]


# -------------------------------------------------------------------- more than it can take


def test_a_full_queue_says_503_and_when_to_come_back_instead_of_growing(catalog):
    def ask() -> httpx.Response:
        return web.post(f"{url}/v1/search", files={"photo": picture(RED)})

    encoder = HeldEncoder()
    with (
        serving(encoder, catalog, Settings(searches=3, batch=1, answer_s=60.0)) as url,
        concurrent.futures.ThreadPoolExecutor(3) as pool,
    ):
        try:
            inside = [pool.submit(ask) for _ in range(3)]
            until(lambda: gauge(url, "searches_inside") == 3)
            refused = [ask() for _ in range(4)]
        finally:
            encoder.go_on.set()
        assert [job.result().status_code for job in inside] == [200] * 3
        assert [answer.status_code for answer in refused] == [503] * 4
        assert all(answer.headers["retry-after"] == "1" and "wait already" in answer.text for answer in refused)
        assert ask().status_code == 200


def test_a_search_that_takes_too_long_is_given_up(catalog):
    encoder = HeldEncoder()
    with serving(encoder, catalog, Settings(answer_s=0.2)) as url:
        try:
            answer = web.post(f"{url}/v1/search", files={"photo": picture(RED)}, timeout=60)
            assert not encoder.ended, "the answer does not wait for the encoder"
        finally:
            encoder.go_on.set()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "0.2 seconds" in answer.json()["error"]


def test_a_body_above_the_limit_is_refused_whether_or_not_it_says_how_long_it_is(catalog):
    with serving(SeeingEncoder(), catalog, Settings(body_bytes=20_000)) as url:
        long = b"x" * 30_000
        told = web.post(f"{url}/v1/search", files={"photo": long})
        begun = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        chunked = web.post(
            f"{url}/v1/search",
            content=iter([begun, long]),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
        assert [told.status_code, chunked.status_code] == [413, 413]
        assert told.headers["connection"] == "close"
        assert "20,000 bytes" in told.json()["error"]
        assert web.post(f"{url}/v1/search", files={"photo": picture(RED)}).status_code == 200


def test_uploads_together_hold_no_more_memory_than_allowed(catalog):
    """Two half-sent bodies of 30,000 bytes fill a budget of 50,000; the second is refused, the first is not."""
    head = (
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 40000\r\n\r\n"
    )
    start = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'.ljust(30_000, b"x")
    with serving(SeeingEncoder(), catalog, Settings(memory_bytes=50_000)) as url:
        with connected(url) as first, connected(url) as second:
            first.sendall(head + start)
            until(lambda: gauge(url, "upload_bytes") == 30_000)
            second.sendall(head + start)
            assert second.recv(100).startswith(b"HTTP/1.1 503")
            first.sendall(b"x" * 10_000)
            assert first.recv(100).startswith(b"HTTP/1.1 400")  # no form, but whole
        whole = web.post(f"{url}/v1/search", files={"photo": b"x" * 45_000})
        assert whole.status_code == 422  # no photo, but there is room for it again


def test_an_upload_that_trickles_is_ended(catalog):
    with serving(SeeingEncoder(), catalog, Settings(upload_s=0.4)) as url, connected(url) as slow:
        slow.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 1000\r\n\r\n--b\r\n"
        )
        answer, end = b"", time.monotonic() + LONG_S
        while not answer and time.monotonic() < end:
            with contextlib.suppress(OSError):
                slow.sendall(b"x")  # a byte now and then does not buy time
            slow.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                answer += slow.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer.lower()


def test_headers_that_never_end_are_ended(catalog):
    """By the clock of the settings: a service with a longer one keeps a silent connection that is older."""
    with (
        serving(SeeingEncoder(), catalog, Settings(head_s=120.0)) as patient,
        serving(SeeingEncoder(), catalog, Settings(head_s=1.0)) as hasty,
        connected(patient) as kept,
        connected(hasty) as slow,
    ):
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert slow.recv(1000).startswith(b"HTTP/1.1 200")
        slow.sendall(b"GET /health HTTP/1.1\r\nHost:")  # the second request of a connection has the clock too
        with connected(hasty) as silent, contextlib.suppress(ConnectionResetError):
            assert silent.recv(10) == b""
        with contextlib.suppress(ConnectionResetError):
            while slow.recv(1000):
                pass
        kept.settimeout(2 * SWEEP_S)
        with pytest.raises(TimeoutError):
            kept.recv(10)


# -------------------------------------------------------------------- attacks


def png_bomb(side: int) -> bytes:
    """A PNG that says it has side x side pixels, in a few kilobytes."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    rows = zlib.compress(b"\0" * min(side * side // 8, 50_000_000), 9)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"><script>alert(1)</script></svg>'


@pytest.mark.parametrize("photo", [png_bomb(30_000), SVG, b"", b"GIF89a", b"\xff\xd8\xff\xe0" + b"\0" * 100])
def test_bombs_svg_and_rubbish_are_no_photos(catalog, photo):
    with serving(SeeingEncoder(), catalog) as url:
        start = time.monotonic()
        asked = web.post(f"{url}/v1/search", files={"photo": ("a.jpg", photo or b" ")})
        put = web.put(f"{url}/v1/products/x", files={"photo": ("a.jpg", photo or b" ")})
        page = web.post(f"{url}/", files={"photo": ("a.jpg", photo or b" ")}, headers={"Accept-Language": "en"})
        assert [asked.status_code, put.status_code, page.status_code] == [422, 422, 422]
        assert "cannot be read as a photo" in page.text
        assert time.monotonic() - start < 30


def test_script_in_what_a_shop_writes_stays_text(tmp_path):
    encoder = SeeingEncoder()
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    products = [
        entry(encoder, Product(f"p{evil}", evil, evil, evil, 1.0, "JPY", url), picture(RED))
        for url in ("javascript:alert(1)", "data:text/html,<script>alert(1)</script>", " javascript:alert(1)")
    ]
    other = entry(
        encoder, Product("q", "Plain", "b", "c", 2.0, "JPY", attributes={evil: "x", "y": evil}), picture(BLUE)
    )
    with (
        fill(tmp_path / "shop", encoder, [products[0]._replace(crops=products[0].crops), other]) as catalog,
        serving(encoder, catalog) as url,
    ):
        catalog.put(products[1:2], fingerprint=encoder.fingerprint)
        for page in (
            web.get(f"{url}/"),
            web.get(f"{url}/", params={"product": f"p{evil}", "lang": evil, "category": evil, "a." + evil: "x"}),
            web.post(f"{url}/", files={"photo": picture(RED)}),
            web.post(f"{url}/results", files={"photo": picture(RED)}),
            web.get(f"{url}/", params={"product": f"no{evil}"}),
            web.get(f"{url}/<script>alert(1)</script>", headers={"Accept": "text/html"}),
        ):
            assert "<script>alert" not in page.text
            assert "<img src=x" not in page.text
            assert "javascript:" not in page.text
            assert "data:text/html" not in page.text
            policy = page.headers["content-security-policy"]
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/..\\app.py",
     "/v1/photos/..%2f..%2fcatalog.sqlite", "/v1/photos/%2fetc%2fpasswd", "/v1/products/..%2f..%2fetc%2fpasswd"],
)  # fmt: skip
def test_paths_that_climb_lead_nowhere(catalog, path):
    with serving(SeeingEncoder(), catalog) as url, connected(url) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"import" not in answer
        assert b"root:" not in answer


def test_line_breaks_reach_neither_headers_nor_the_log(catalog, caplog):
    caplog.set_level(logging.INFO)
    breaking = "x\r\nSet-Cookie: a=b"
    with serving(SeeingEncoder(), catalog) as url:
        answers = [
            web.get(f"{url}/v1/photos/{breaking}".replace("\r", "%0d").replace("\n", "%0a")),
            web.get(f"{url}/v1/products", params={"after": breaking}),
            web.get(f"{url}/", params={"lang": breaking, "product": breaking}),
            web.post(f"{url}/", data={"lang": breaking, "product": breaking}),
            web.put(f"{url}/v1/products/x%0d%0aSet-Cookie:%20a=b", files={"photo": picture(RED)}),
        ]
        assert all("set-cookie" not in answer.headers for answer in answers)
        assert answers[-1].status_code in (400, 404)
        assert answers[3].status_code == 303
        assert "\n" not in answers[3].headers["location"]
    assert not any("Set-Cookie" in record.getMessage() for record in caplog.records if record.name.startswith("osoroi"))


# -------------------------------------------------------------------- privacy

watched: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    """Every file that is opened for writing while somebody watches."""
    if watched is not None and event == "open":
        path, mode, flags = (*arguments, None, None)[:3]
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (
            isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        ):
            watched.append(str(path))


def test_photos_that_people_ask_with_are_neither_stored_nor_logged(catalog, tmp_path, caplog, monkeypatch):
    global watched
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    mark = b"MARK-OF-THIS-PHOTO-7c1f"
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (1100, 1100, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=97, comment=mark)
    photo = file.getvalue()
    assert len(photo) > 1_500_000  # larger than what form parsers keep in memory
    box, secret = "11,22,733,744", "price <= 87654"
    sys.addaudithook(_audit)
    with serving(SeeingEncoder(), catalog) as url:
        web.get(f"{url}/")  # templates are read before
        seq, watched = catalog.seq, []
        files = {"photo": ("holiday-in-kyoto.jpg", photo)}
        statuses = [
            web.post(f"{url}/v1/search", files=files, data={"box": box, "where": secret}).status_code,
            web.post(f"{url}/v1/search", files={"photo": ("b.jpg", photo[:9000])}).status_code,
            web.post(f"{url}/v1/saliency", files=files, data={"box": box}).status_code,
            web.post(f"{url}/", files=files, data={"box": box, "saliency": "1"}).status_code,
            web.post(f"{url}/results", files=files, data={"box": box, "below": "87654"}).status_code,
            web.get(f"{url}/", params={"product": "P1", "below": "87654"}).status_code,
        ]
        written, watched = watched, None
    assert statuses == [200, 422, 200, 200, 200, 200]
    assert written == []
    assert catalog.seq == seq
    assert list((tmp_path / "temporary").iterdir()) == []
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or mark not in path.read_bytes()
    ours = [f"{record.name} {record.getMessage()}" for record in caplog.records if not record.name.startswith("http")]
    assert any("osoroi.server POST /v1/search 200" in line for line in ours)
    for word in (mark.decode(), box, "733", "87654", "holiday", "P1"):
        assert not any(word in line for line in ours), word


# -------------------------------------------------------------------- writing while searching


def test_every_acknowledged_write_is_in_later_answers_while_others_search(catalog):
    """Three searchers never stop; one writer adds, looks, removes and looks again."""
    stop, statuses = threading.Event(), []

    def search_on(url: str) -> None:
        with web.Client(base_url=url, timeout=60) as client:
            while not stop.is_set():
                statuses.append(client.post("/v1/search", files={"photo": picture(BLUE)}).status_code)

    def ids(client: httpx.Client, photo: bytes) -> list[str]:
        hits = client.post("/v1/search", files={"photo": photo}, data={"k": "30"}).json()["hits"]
        return [hit["product_id"] for hit in hits]

    with (
        serving(SlowEncoder(0.002), catalog) as url,
        concurrent.futures.ThreadPoolExecutor(3) as pool,
        web.Client(base_url=url, timeout=60) as client,
    ):
        searching = [pool.submit(search_on, url) for _ in range(3)]
        try:
            for number in range(12):
                photo = picture((240 - number, 200, 10 * number))
                assert client.put(f"/v1/products/N{number}", files={"photo": photo}).status_code == 200
                assert f"N{number}" in ids(client, photo)
                if number % 3 == 0:
                    assert client.delete(f"/v1/products/N{number}").status_code == 200
                    assert f"N{number}" not in ids(client, photo)
        finally:
            stop.set()
        for searcher in searching:
            searcher.result(LONG_S)
        held = {product["product_id"] for product in client.get("/v1/products").json()["products"]}
    assert set(statuses) == {200}
    assert held == {f"P{n}" for n in range(1, 6)} | {f"N{n}" for n in range(12) if n % 3}


def test_a_large_shop_is_counted_in_the_background_and_no_page_waits(catalog):
    """Until a count is there, the one of the whole shop stands in; then it says what a filter leaves."""
    counts, cheap = FacetCounts(lambda: catalog, cells=3, queue=4), UrlState(below=5000.0)
    at_once = lambda state: {choice.value: choice.products for choice in counts.of(state)[0].choices}  # noqa: E731
    try:
        assert counts.of(UrlState()) == ()
        until(lambda: counts.of(UrlState()))
        assert at_once(UrlState()) == {"skirts": 2, "tops": 2, "coats": 1}
        assert at_once(cheap) == {"skirts": 2, "tops": 2, "coats": 1}
        until(lambda: not at_once(cheap)["coats"])
        assert at_once(cheap) == {"skirts": 1, "tops": 1, "coats": 0}
    finally:
        counts.close()


# -------------------------------------------------------------------- beginning and ending


def test_a_signal_ends_the_service_after_what_it_began(tmp_path):
    """Searches that were sent before the signal are answered, a connection after it is refused, the exit is clean."""
    encoder = Encoder.open()
    fill(tmp_path / "shop", encoder, goods(encoder)).close()
    code = "from osoroi.cli.serve import command; command()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "shop"), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "running on" in line)
        url = line.split("running on ")[1].split()[0]
        photo = picture(RED, BLUE, width=800, height=1000)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(httpx.post, f"{url}/v1/search", files={"photo": photo}, timeout=60) for _ in range(12)]
            next(concurrent.futures.as_completed(asked))
            process.send_signal(signal.SIGTERM)
            answers = [future.result() for future in asked]
        assert [answer.status_code for answer in answers] == [200] * 12
        assert process.wait(60) in (0, -signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            web.get(f"{url}/health")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "without keys"),
        (["--host", "192.168.1.2", "--read-key", "r" * 20], "writing needs a key"),
        (["--write-key", "w" * 20], "who may read"),
        (["--read-key", "k" * 20, "--write-key", "k" * 20], "the same"),
        (["--read-key", "short", "--write-key", "w" * 20], "16 printable"),
    ],
)
def test_a_service_that_would_be_open_to_strangers_does_not_start(catalog, arguments, says):
    with pytest.raises(BadRequest, match=says):
        CliRunner().invoke(command, [str(catalog.folder), *arguments], catch_exceptions=False)
