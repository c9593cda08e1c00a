"""``osoroi serve`` as a process of its own: bombs, few descriptors, signals. Clients do not share its interpreter."""

import concurrent.futures
import contextlib
import os
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

import costly_photos
import web
from clients import connected, post
from osoroi.encoder import Encoder
from osoroi.server.settings import Settings
from served import Served
from shop import RED, fill, goods, picture
from waiting import LONG_S, gauge, seconds_of, until


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    if os.name != "posix" or not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    folder = tmp_path_factory.mktemp("served") / "shop"
    encoder = Encoder.open()
    fill(folder, encoder, goods(encoder)).close()
    return folder


def search(url: str, photo: bytes) -> int:
    return web.post(f"{url}/v1/search", files={"photo": photo}, timeout=60).status_code


def test_health_answers_within_a_second_while_ten_bombs_are_decoded(shop):
    names = ("PNG of 50 MP with alpha", "WebP of 49 MP", "JPEG of 9 MP, 70 scans more", "PNG of 50 MP, 16 bits of grey")
    bombs = [costly_photos.COSTLY[name]() for name in names]
    with Served(shop) as served, concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert search(served.url, picture(RED)) == 200
        alone_s = seconds_of(lambda: search(served.url, bombs[0]))
        jobs = [pool.submit(search, served.url, bombs[number % len(bombs)]) for number in range(10)]
        slowest_s = 0.0
        with web.Client(timeout=60) as client:
            while not all(job.done() for job in jobs):
                start = time.monotonic()
                assert client.get(f"{served.url}/health").status_code == 200
                slowest_s = max(slowest_s, time.monotonic() - start)
                time.sleep(0.05)
        statuses = Counter(job.result() for job in jobs)
        assert set(statuses) <= {200, 503}  # 503: its turn did not come in time
        assert statuses[200]
        assert slowest_s < max(10.0, 3 * alone_s)  # benchmarks/bombs.py demands 1, with the machine to itself


def test_a_signal_ends_a_service_that_is_busy_with_bombs_at_once_and_no_worker_is_left(shop):
    bomb = costly_photos.png(7000, 7000, mode=6)
    with Served(shop) as served, contextlib.ExitStack() as stack:
        bombs = [stack.enter_context(connected(served.url)) for _ in range(6)]
        for connection in bombs:
            connection.sendall(post(bomb, b"/v1/search"))
        until(lambda: gauge(served.url, "searches_inside") == len(bombs) and children(served.process.pid))
        workers = children(served.process.pid)
        assert served.ended_after(LONG_S) < Settings.drain_s  # which is for what is answered, not for bombs
        for connection in bombs:
            assert b"503" in connection.recv(1000)[:20]
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_an_ordinary_photo_is_answered_after_the_signal(shop):
    photo = picture(RED, width=600, height=800)
    with Served(shop) as served, connected(served.url) as connection:
        assert search(served.url, photo) == 200
        whole = post(photo, b"/v1/search")
        connection.sendall(whole[:-100])
        until(lambda: gauge(served.url, "upload_bytes") > 0)
        served.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(served.url))
        connection.sendall(whole[-100:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        served.process.wait(60)


def refuses(url: str) -> bool:
    """Whether nobody listens any more."""
    try:
        with connected(url):
            return False
    except ConnectionError:
        return True


def few_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def test_a_service_with_few_descriptors_goes_on_whatever_connects(shop):
    """256 descriptors, of which 192 are not for connections, and 300 idle connections."""
    with Served(shop, first=few_files) as served, contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connected(served.url))
        assert web.get(f"{served.url}/health", timeout=60).status_code == 200
        assert search(served.url, picture(RED)) == 200
        assert len(list(Path(f"/proc/{served.process.pid}/fd").iterdir())) < 256
        assert web.get(f"{served.url}/", timeout=60).status_code == 200
    assert not [line for line in served.log if "Traceback" in line or "Error" in line]


def test_odd_requests_make_one_short_line_each_at_most(shop):
    with Served(shop) as served:
        for request in (
            b"\x16\x03\x01" + b"a" * 100 + b"\r\n\r\n",
            b"GET /" + b"x" * 9000 + b"\n\x1b[31m HTTP/1.1\r\n\r\n",
        ):
            for _ in range(100):
                with connected(served.url) as connection:
                    connection.sendall(request)
                    connection.recv(1000)
        many = (
            b"GET /nope\x0d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            + b"GET /a%0ab?q=secret HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50
        )
        with connected(served.url) as connection:
            connection.sendall(many)
            connection.recv(100_000)
        served.ended_after(LONG_S)
    assert len(served.log) < 300
    assert all(len(line) < 200 for line in served.log)
    assert "secret" not in "".join(served.log)


def children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text(encoding="ascii").split()]


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no address ::1")
def test_an_ipv6_address_is_taken_as_it_stands_in_a_url(shop):
    with Served(shop, "--host", "[::1]") as served:
        assert web.get(f"{served.url}/health", timeout=60).status_code == 200
