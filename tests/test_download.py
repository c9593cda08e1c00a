"""Downloading, from a server of our own that is slow, drops connections, sends in circles and lies."""

import io
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import lookalikes
from osoroi.cli.download import command
from osoroi.data.download import DownloadCount, DownloadOutcome, Hosts, Link, Policy, download, links, outcomes
from osoroi.data.http import Reply, Timeouts, fetch
from osoroi.errors import BadDataset

PATIENT = Timeouts(idle_s=60.0, total_s=60.0, bytes=200_000)
"""For what must come, however busy the machine is."""

FAST = Policy(pause_s=0.0, backoff_s=0.02, tries=3, max_host_failures=100, timeouts=PATIENT)
"""Short waits between requests."""

HASTY = {
    "/mute": replace(FAST, timeouts=replace(PATIENT, idle_s=0.4)),
    "/drip": replace(FAST, tries=1, timeouts=replace(PATIENT, total_s=3.0)),
}
"""Short times for servers that are silent, or send a byte now and then."""


def picture(kind: str = "JPEG", look: int = 3) -> bytes:
    buffer = io.BytesIO()
    noise = Image.effect_noise((64, 80), 90 + look).convert("RGB")
    noise.save(buffer, kind)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Answers by the first word of the path, and remembers who asked what, when, and how many at once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: Counter[str] = Counter()
        self.times: dict[str, list[float]] = defaultdict(list)
        self.now = 0
        self.most = 0
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.together = threading.Barrier(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that we broke off are no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.now += 1
            server.most = max(server.most, server.now)
            server.requests[self.path] += 1
            server.times[self.path].append(time.monotonic())
        try:
            kind = self.path.split("/")[1].split("?")[0]
            with suppress(BrokenPipeError, ConnectionResetError):
                getattr(self, f"be_{kind}")()
        finally:
            with server.lock:
                server.now -= 1

    def send(self, body: bytes, *, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def be_ok(self) -> None:
        self.send(picture())

    def be_png(self) -> None:
        self.send(picture("PNG"))

    def be_endless(self) -> None:
        """No length; the end of the connection is the end of the photo."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(picture())

    def be_pensive(self) -> None:
        time.sleep(0.25)
        self.be_ok()

    def be_together(self) -> None:
        """Answers a moment after as many requests are there as the barrier wants."""
        self.server.together.wait(60)
        self.be_pensive()

    def be_mute(self) -> None:
        self.server.stopped.wait(120)

    def be_drip(self) -> None:
        body = picture()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body:
            if self.server.stopped.wait(0.05):
                return
            self.wfile.write(bytes([byte]))

    def be_driphead(self) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 1000:
            if self.server.stopped.wait(0.05):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def be_drop(self) -> None:
        body = picture()
        self.send(body[: len(body) // 2], length=len(body))

    def be_dropsilently(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(picture()[:-500])

    def be_short(self) -> None:
        """Says fewer bytes than the photo has."""
        body = picture()
        self.send(body, length=len(body) - 600)

    def be_long(self) -> None:
        """Says more bytes than there are, and hangs up."""
        self.send(picture(), length=10**6 // 8)

    def be_huge(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"\xff" * 10_000)

    def be_html(self) -> None:
        self.send(b"<!doctype html><title>Gone</title>" * 20, Content_Type="image/jpeg")

    def be_empty(self) -> None:
        self.send(b"")

    def be_gone(self) -> None:
        self.send(b"gone", status=404)

    def be_circle(self) -> None:
        other = {"/circle/a": "/circle/b", "/circle/b": "/circle/a"}[self.path]
        self.send(b"", status=302, Location=other)

    def be_far(self) -> None:
        step = int(self.path.split("/")[2])
        if step:
            self.send(b"", status=301, Location=f"{step - 1}")
        else:
            self.be_ok()

    def be_away(self) -> None:
        self.send(b"", status=302, Location="file:///etc/passwd")

    def be_busy(self) -> None:
        if self.server.requests[self.path] == 1:
            self.send(b"", status=429, Retry_After="1")
        else:
            self.be_ok()

    def be_never(self) -> None:
        self.send(b"", status=503, Retry_After="86400")

    def be_flaky(self) -> None:
        if self.server.requests[self.path] < 3:
            self.send(b"", status=500)
        else:
            self.be_ok()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


def get(server: Server, folder: Path, *paths: str, policy: Policy = FAST, again: bool = False) -> DownloadCount:
    wanted = [Link(f"{number:09d}", server.url + path) for number, path in enumerate(paths, start=1)]
    return download(wanted, folder / "images", policy=policy, again=again)


def journal(folder: Path) -> dict[int, DownloadOutcome]:
    return {int(outcome.name): outcome for outcome in outcomes(folder / "download.jsonl")}


def test_photos_are_saved_whole_under_their_number_and_their_true_suffix(server: Server, tmp_path: Path) -> None:
    count = get(server, tmp_path, "/ok/1", "/png/é ü?x=1,2", "/endless", "/far/3")
    assert (count.saved, count.lost, count.failed) == (4, 0, 0)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == [
        *("000000001.jpg", "000000002.png", "000000003.jpg", "000000004.jpg"),
    ]
    assert count.bytes == sum(path.stat().st_size for path in (tmp_path / "images").iterdir())


@pytest.mark.parametrize(
    ("path", "reason", "again"),
    [
        ("/gone", "HTTP 404", False),
        ("/html/coat.jpg", "no photo: ", False),
        ("/empty", "no photo: ", False),
        ("/short", "no photo: ", False),
        ("/dropsilently", "no photo: ", False),
        ("/huge", "more than 200,000 bytes", False),
        ("/circle/a", "redirected in circles: ", False),
        ("/far/9", "redirected in circles: ", False),
        ("/away", "no link to follow: 'file:///etc/passwd'", False),
        ("/drop", "cut short: ", True),
        ("/long", "cut short: ", True),
        ("/mute", "TimeoutError: ", True),
        ("/drip", "not done after 3 s", True),
        ("/never", "HTTP 503", True),
    ],
)
def test_what_is_no_whole_photo_is_not_saved_and_the_reason_is_kept(
    server: Server, tmp_path: Path, path: str, reason: str, *, again: bool
) -> None:
    count = get(server, tmp_path, path, policy=HASTY.get(path, FAST))
    assert list((tmp_path / "images").iterdir()) == []
    outcome = journal(tmp_path)[1]
    assert outcome.reason.startswith(reason)
    assert (outcome.saved, outcome.again) == (False, again)
    assert (count.saved, count.lost, count.failed) == (0, int(not again), int(again))


def test_a_head_that_drips_ends_with_the_time_allowed(server: Server) -> None:
    """Each byte comes before the silence is too long; all of them together take fifty seconds."""
    start = time.monotonic()
    assert fetch(f"{server.url}/driphead", HASTY["/drip"].timeouts).kind == "later"
    assert time.monotonic() - start < 45


def test_a_server_that_is_merely_slow_is_waited_for(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path, "/pensive").saved == 1


def test_what_fails_for_now_is_asked_again_with_longer_waits(server: Server, tmp_path: Path) -> None:
    policy = Policy(pause_s=0.0, backoff_s=0.2, tries=3, timeouts=FAST.timeouts)
    assert get(server, tmp_path, "/flaky", policy=policy).saved == 1
    first, second, third = server.times["/flaky"]
    assert second - first >= 0.2
    assert third - second >= 0.4


def test_no_link_is_tried_more_often_than_allowed(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path, "/drop")
    assert server.requests["/drop"] == 3


def test_a_server_that_asks_for_patience_gets_it_from_all(server: Server, tmp_path: Path) -> None:
    policy = Policy(at_once=1, pause_s=0.0, backoff_s=0.01, timeouts=FAST.timeouts)
    assert get(server, tmp_path, "/busy", "/ok/2", policy=policy).saved == 2
    assert server.times["/busy"][1] - server.times["/busy"][0] >= 1.0
    assert server.times["/ok/2"][0] - server.times["/busy"][0] >= 1.0


def test_a_host_is_asked_for_so_many_photos_at_once_and_no_more(server: Server, tmp_path: Path) -> None:
    policy = Policy(at_once=8, per_host=2, pause_s=0.0, timeouts=FAST.timeouts)
    server.together = threading.Barrier(2)
    start = time.monotonic()
    assert get(server, tmp_path, *(f"/together/{n}" for n in range(6)), policy=policy).saved == 6
    assert server.most == 2
    assert time.monotonic() - start >= 3 * 0.25


def test_hosts_are_asked_side_by_side(server: Server, tmp_path: Path) -> None:
    """Four requests wait in two servers until all four are there."""
    with Server() as other:
        server.together = other.together = threading.Barrier(4)
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        wanted = [Link(f"{n:09d}", f"{(server, other)[n % 2].url}/together/{n}") for n in range(8)]
        policy = Policy(at_once=8, per_host=2, pause_s=0.0, timeouts=FAST.timeouts)
        assert download(wanted, tmp_path / "images", policy=policy).saved == 8
        other.shutdown()
        thread.join()
    assert server.most == other.most == 2


def test_a_pause_stands_between_two_requests_to_a_host(server: Server, tmp_path: Path) -> None:
    policy = Policy(at_once=4, per_host=4, pause_s=0.15, timeouts=FAST.timeouts)
    begun = time.monotonic()  # a busy server sees the first request late, and then the pauses seem shorter to it
    get(server, tmp_path, *(f"/ok/{n}" for n in range(4)), policy=policy)
    assert time.monotonic() - begun >= 3 * 0.15


def test_a_host_that_never_answers_is_give_up_for_this_run(tmp_path: Path) -> None:
    with Server() as silent:
        port = silent.server_address[1]  # bound, closed below: connections are refused
    wanted = [Link(f"{n:09d}", f"http://127.0.0.1:{port}/{n}") for n in range(40)]
    policy = Policy(pause_s=0.0, backoff_s=0.001, tries=2, max_host_failures=5, timeouts=FAST.timeouts)
    count = download(wanted, tmp_path / "images", policy=policy)
    assert count.failed == 40
    reasons = Counter(outcome.reason.partition(":")[0] for outcome in outcomes(tmp_path / "download.jsonl"))
    assert reasons["host given up"] > 30
    assert all(outcome.again for outcome in outcomes(tmp_path / "download.jsonl"))


def test_a_second_run_asks_only_what_is_still_open(server: Server, tmp_path: Path) -> None:
    paths = ("/ok/1", "/gone", "/html", "/drop", "/ok/5")
    get(server, tmp_path, *paths)
    server.requests.clear()
    count = get(server, tmp_path, *paths)
    assert (count.there, count.lost, count.failed, count.saved) == (2, 2, 1, 0)
    assert set(server.requests) == {"/drop"}
    server.requests.clear()
    get(server, tmp_path, *paths, again=True)
    assert set(server.requests) == {"/drop", "/gone", "/html"}


def test_a_run_that_was_stopped_goes_on(server: Server, tmp_path: Path) -> None:
    """Stopped after the third photo; a line of the journal was cut off, and half a photo lies there."""

    def stop(count: DownloadCount) -> None:
        if count.saved == 3:
            raise KeyboardInterrupt

    wanted = [Link(f"{n:09d}", f"{server.url}/ok/{n}") for n in range(10)]
    policy = Policy(at_once=1, pause_s=0.0, timeouts=FAST.timeouts)
    with pytest.raises(KeyboardInterrupt):
        download(wanted, tmp_path / "images", policy=policy, on_progress=stop)
    with (tmp_path / "download.jsonl").open("a") as journal:
        journal.write('{"name": "0000000')
    (tmp_path / "images" / ".000000009.part").write_bytes(picture()[:100])
    server.requests.clear()
    count = download(wanted, tmp_path / "images", policy=policy)
    assert (count.there, count.saved) == (3, 7)
    assert not {f"/ok/{n}" for n in range(3)} & set(server.requests)
    assert len(list((tmp_path / "images").glob("0*.jpg"))) == 10


def test_links_are_split_at_the_first_comma_and_have_no_header(tmp_path: Path) -> None:
    path = tmp_path / "photos.txt"
    path.write_text("000000023,http://a.com/x,y,z.jpg\n\n000000024,http://b.com/\n")
    assert list(links(path)) == [
        Link("000000023", "http://a.com/x,y,z.jpg"),
        Link("000000024", "http://b.com/"),
    ]
    assert [link.name for link in links(path, {24})] == ["000000024"]
    path.write_text("photo,link\n")
    with pytest.raises(BadDataset, match=r"photos\.txt, line 1: 'photo,link' is no photo's line"):
        list(links(path))
    with pytest.raises(BadDataset, match=r"there is no list of links .*; unpack photos\.tar"):
        list(links(tmp_path / "none.txt"))


def taken(hosts: Hosts, now: float) -> str | None:
    link = hosts.take(now)
    return None if link is None else link.name


def test_hosts_take_turns_and_rest() -> None:
    hosts = Hosts(Policy(per_host=2, pause_s=0.0))
    first = Link("a0", "http://a/x")
    for link in (first, *(Link(f"a{n}", "http://a/x") for n in (1, 2, 3)), Link("b0", "http://b/x")):
        hosts.put(link)
    assert [taken(hosts, 0.0) for _ in range(4)] == ["a0", "b0", "a1", None]
    hosts.done(first, well=True)
    hosts.pause("a", 5.0)
    assert taken(hosts, 4.0) is None
    assert hosts.next_s(4.0) == 1.0
    assert taken(hosts, 5.0) == "a2"


@pytest.mark.parametrize(
    "link", ["", "coat.jpg", "http://", "http://[1/x", "http://a:port/x", "gopher://127.0.0.1:9/x"]
)
def test_what_is_no_link_is_never_asked(link: str) -> None:
    assert fetch(link, FAST.timeouts) == Reply("never", f"no link to follow: {link!r}")


# The command


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Path:
    """A look-alike without its photos, whose links lead to the server."""
    root = lookalikes.boutique(tmp_path, ("bags", "tops"), products=3)
    paths = {path.stem: server.url + "/ok/" + path.stem for path in (root / "images").iterdir()}
    for path in (root / "images").iterdir():
        path.unlink()
    dead, first, *_ = sorted(paths)
    paths[dead], paths[first] = server.url + "/gone", server.url + "/html"
    (root / "photos/photos.txt").write_text("".join(f"{name},{url}\n" for name, url in sorted(paths.items())))
    return root


def test_the_command_fetches_says_what_is_there_and_keeps_a_report(shop: Path) -> None:
    run = CliRunner().invoke(command, ["street2shop", str(shop), "--json"], catch_exceptions=False)
    report = json.loads(run.stdout)
    assert run.exit_code == 0
    assert json.loads((shop / "coverage.json").read_text()) == report
    # two categories of 3 asked products and one more, two street photos of an asked one and two shop photos of each
    assert (report["saved"], report["lost"]) == (2 * (3 * 2 + 4 * 2) - 2, 2)
    assert report["reasons"] == {"HTTP 404": 1, "no photo": 1}
    lines = {(line["category"], line["split"]): line for line in report["coverage"]}
    assert set(lines) == {(category, split) for category in ("bags", "tops") for split in ("train", "test")}
    lost = sum(line["listed"] - line["readable"] for line in lines.values())
    assert lost == 2
    assert sum(line["queries"] for line in lines.values()) == 12 - 2  # the first two photos are street photos


def test_the_command_can_fetch_one_category_and_prints_a_table(shop: Path, server: Server) -> None:
    run = CliRunner().invoke(command, ["street2shop", str(shop), "--category", "tops"], catch_exceptions=False)
    assert run.exit_code == 0
    assert run.stdout.startswith("14 saved, 0 were there, 0 lost, 0 failed for now; ")
    assert run.stdout.splitlines()[1].split() == [
        *("category", "split", "listed", "present", "readable", "queries", "unanswered"),
    ]
    assert [line.split()[0] for line in run.stdout.splitlines()[2:]] == ["tops", "tops"]
    assert sum(server.requests.values()) == 14


def test_the_command_can_report_without_asking_anybody(shop: Path, server: Server) -> None:
    lookalikes.draw(shop / "images/000000001.jpg", 1)
    run = CliRunner().invoke(command, ["street2shop", str(shop), "--report-only", "--json"], catch_exceptions=False)
    assert run.exit_code == 0
    assert sum(line["readable"] for line in json.loads(run.stdout)["coverage"]) == 1
    assert not server.requests


def test_the_command_says_what_is_missing(shop: Path, tmp_path: Path) -> None:
    (shop / "photos/photos.txt").unlink()
    with pytest.raises(BadDataset, match=r"there is no list of links"):
        CliRunner().invoke(command, ["street2shop", str(shop)], catch_exceptions=False)
    with pytest.raises(BadDataset, match=r"there is no folder .*nowhere; docs/datasets/street2shop\.md says"):
        CliRunner().invoke(command, ["street2shop", str(tmp_path / "nowhere")], catch_exceptions=False)
    (tmp_path / "empty").mkdir()
    arguments = ["street2shop", str(tmp_path / "empty"), "--category", "tops"]
    with pytest.raises(BadDataset, match=r"lacks meta/json"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_nothing_at_all_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/photos.txt").write_text(f"000000001,{server.url}/gone\n")
    with pytest.raises(
        BadDataset, match=r"no photo could be downloaded; .*download\.jsonl has the reason for each link"
    ):
        CliRunner().invoke(command, ["street2shop", str(tmp_path)], catch_exceptions=False)
