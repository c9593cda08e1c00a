"""Running it: logs for machines, settings that change while it serves, and restarts that nobody notices."""

import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import web
from osoroi.encoder import Encoder
from osoroi.errors import BadRequest
from osoroi.server import metrics, supervisor, tracing
from osoroi.server.configuration import Sources, limits_in
from served import Served
from shop import RED, SeeingEncoder, fill, goods, picture, serving
from test_keys import made

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and descriptors of POSIX")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("operations") / "shop"
    encoder = Encoder.open()
    fill(folder, encoder, goods(encoder)).close()
    return folder


@pytest.fixture
def tiny_shop(tmp_path: Path) -> Path:
    encoder = SeeingEncoder()
    fill(tmp_path / "tiny", encoder, goods(encoder)).close()
    return tmp_path / "tiny"


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def search(url: str, **headers: str) -> httpx.Response:
    return web.post(f"{url}/v1/search", files={"photo": picture(RED)}, headers=headers, timeout=60)


def test_a_json_log_is_one_object_a_line_with_the_id_and_the_time_of_each_stage(shop):
    with Served(shop, "--log-format", "json") as served:
        answer = search(served.url, **{"X-Request-ID": "from-the-proxy"})
        assert answer.headers["x-request-id"] == "from-the-proxy"
        odd = web.get(f"{served.url}/v1/photos/secret%0a", headers={"X-Request-ID": "a b"})
        assert len(odd.headers["x-request-id"]) == 16
        served.ended_after(60)
    lines = [json.loads(line) for line in served.log]
    (line,) = [line for line in lines if line.get("request_id") == "from-the-proxy"]
    assert (line["event"], line["level"], line["method"], line["route"]) == ("request", "info", "POST", "/v1/search")
    assert (line["status"], line["hits"]) == (200, 5)
    assert 0 < line["decode_ms"] + line["encode_ms"] + line["search_ms"] <= line["ms"] + 1
    assert line["time"].endswith("Z")
    assert "secret" not in "".join(served.log)


def test_a_hangup_signal_reads_keys_and_limits_again_and_keeps_them_where_they_are_wrong(shop, tmp_path):
    keys, limits = tmp_path / "keys.toml", tmp_path / "settings.toml"
    old = made(keys, "old", "search", "metrics")
    limits.write_text("k = 3\ndecoders = 2\n")
    with (
        Served(shop, "--keys", str(keys), "--settings", str(limits)) as served,
        web.Client(base_url=served.url, timeout=60) as client,
    ):

        def status(key: str, k: int = 3) -> int:
            form = {"product_id": "P1", "k": str(k)}
            return client.post("/v1/search", data=form, headers={"Authorization": f"Bearer {key}"}).status_code

        def reload() -> None:
            before = len(served.log)
            served.process.send_signal(signal.SIGHUP)
            until(lambda: any("settings" in line for line in served.log[before:]))

        assert [status(old), status(old, k=4)] == [200, 400]
        new = made(keys, "new", "search")
        limits.write_text("k = 4\ndecoders = 3\n")
        assert status(new) == 401
        reload()
        assert [status(new, k=4), status(old, k=5)] == [200, 400]
        assert any("wait for the next start: decoders" in line for line in served.log)

        keys.write_text("nonsense")
        reload()
        assert [status(new), status(old)] == [200, 200]
        assert any("stay as they were" in line and "no TOML" in line for line in served.log)
        assert client.get("/health").json()["settings"] == "rejected"
        metrics = client.get("/metrics", headers={"Authorization": f"Bearer {old}"}).text
        assert "osoroi_settings_rejected 1.0" in metrics

        keys.unlink()
        renewed = made(keys, "renewed", "write")
        reload()
        assert [status(renewed), status(old)] == [200, 401]
        assert client.get("/health").json()["settings"] == "ok"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("searchs = 3", "did you mean searches"),
        ("searches = 0", "a whole number above 0"),
        ("searches = 2.5", "a whole number above 0"),
        ("answer_s = inf", "a number above 0"),
        ("searches = true", "a whole number above 0"),
        ('read_key = "x"', "no setting"),
        ("=", "are no TOML"),
    ],
)
def test_a_settings_file_that_is_wrong_says_what(tmp_path, content, says):
    (tmp_path / "settings.toml").write_text(content)
    with pytest.raises(BadRequest, match=says):
        limits_in(tmp_path / "settings.toml")


def test_settings_are_numbers_by_their_names(tmp_path):
    (tmp_path / "settings.toml").write_text("searches = 7\nanswer_s = 3\n")
    settings = Sources("127.0.0.1", settings_file=tmp_path / "settings.toml").load()
    assert (settings.searches, settings.answer_s) == (7, 3.0)


@contextmanager
def load(url: str, clients: int) -> Iterator[Counter[str]]:
    """Clients that search one after the other, each on a connection that it keeps, until the block ends."""
    results: Counter[str] = Counter()
    stop = threading.Event()

    def work() -> None:
        with web.Client(base_url=url, timeout=60) as client:
            while not stop.is_set():
                try:
                    results[str(client.post("/v1/search", files={"photo": picture(RED)}).status_code)] += 1
                except httpx.HTTPError as error:
                    results[repr(error)] += 1

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_a_restart_on_a_socket_that_stays_open_fails_no_search(tiny_shop):
    """Two services share the listening socket, as units of systemd do: the new one is there before the old one ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with Served(tiny_shop, listening=listening, is_tiny=True) as first, load(url, clients=4) as results:
            until(lambda: results["200"] > 10, 90)
            with Served(tiny_shop, listening=listening, is_tiny=True) as second:
                first.ended_after(60)
                after = results["200"]
                until(lambda: results["200"] > after + 20, 90)
                assert second.process.poll() is None
                third = Served(tiny_shop, listening=listening, is_tiny=True)
                with third:
                    second.ended_after(60)
                    after = results["200"]
                    until(lambda: results["200"] > after + 10, 90)
                    before_end = dict(results)
    assert set(before_end) == {"200"}


def test_the_service_manager_is_told_when_it_is_ready_and_when_it_ends(shop, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        with Served(shop, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as served:
            assert manager.recv(100) == b"READY=1"
            served.ended_after(60)
            assert manager.recv(100) == b"STOPPING=1"


def test_sockets_for_another_process_are_left_alone():
    assert supervisor.listening_sockets({"LISTEN_FDS": "1", "LISTEN_PID": "1"}) == []
    assert supervisor.listening_sockets({}) == []


def test_a_request_is_a_span_in_the_trace_of_the_proxy_with_a_span_for_each_stage(tmp_path, monkeypatch):
    export = pytest.importorskip("opentelemetry.sdk.trace.export", reason="needs the extra telemetry")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    monkeypatch.setattr(metrics.Tracing, "tracer", None)  # put back at the end
    tracing.send_to(export.SimpleSpanProcessor(memory))
    encoder = SeeingEncoder()
    trace = "0af7651916cd43dd8448eb211c80319c"
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog, serving(encoder, catalog) as url:
        search(url, traceparent=f"00-{trace}-b7ad6b7169203331-01")
        until(lambda: len(memory.get_finished_spans()) == 4)
    spans = {span.name: span for span in memory.get_finished_spans()}
    assert set(spans) == {"decode", "encode", "search", "POST /v1/search"}
    whole = spans.pop("POST /v1/search")
    assert f"{whole.context.trace_id:032x}" == trace
    assert whole.attributes["http.response.status_code"] == 200
    assert all(span.parent.span_id == whole.context.span_id for span in spans.values())


def test_nothing_is_traced_where_no_exporter_is_named():
    assert not tracing.configure({})
