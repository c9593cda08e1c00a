"""``osoroi.Client``: the same products, hits and errors as the local ``Catalog``, and patience with a busy service."""

import http.server
import io
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import osoroi
from osoroi.client import RemotePhoto, upload
from osoroi.client.transport import Transport
from osoroi.data import products
from osoroi.data.synthetic.outfits import outfits
from osoroi.errors import BadDataset, BadFilter, BadPhoto, BadRequest, CatalogUnavailable, NoKey, NotFound, TooMuch
from osoroi.server.settings import Settings
from proxy import proxied
from shop import BLUE, GREEN, RED, SeeingEncoder, fill, goods, picture, serving

READS, WRITES = "r" * 20, "w" * 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, osoroi.Catalog]]:
    """A service behind a proxy with a prefix, and its catalog."""
    encoder = SeeingEncoder()
    settings = Settings(root_path="/find", read_key=READS, write_key=WRITES)
    with (
        fill(tmp_path_factory.mktemp("client") / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, settings) as address,
        proxied(address, "/find", strips=True, tidy=True) as base,
    ):
        yield base, osoroi.Catalog(catalog, encoder)


@pytest.fixture
def shop(served: tuple[str, osoroi.Catalog]) -> osoroi.Catalog:
    return served[1]


@pytest.fixture
def client(served: tuple[str, osoroi.Catalog]) -> Iterator[osoroi.Client]:
    with osoroi.Client(served[0], key=WRITES) as client:
        yield client


def same(first: list[osoroi.Hit], second: list[osoroi.Hit]) -> bool:
    assert [hit.score for hit in first] == pytest.approx([hit.score for hit in second], abs=1e-6)
    facts = [[(hit.product, hit.crop_id, hit.probability, hit.in_catalog) for hit in hits] for hits in (first, second)]
    assert facts[0] == facts[1]
    return bool(first)


@pytest.mark.parametrize(
    "wishes",
    [{}, {"k": 2, "offset": 1}, {"box": (0, 0, 30, 80)}, {"where": "price < 5000"}, {"detail": 0.9},
     {"detail_from": "navy"}, {"detail_from": picture(GREEN), "detail_box": [0, 0, 30, 60]},
     {"kind": {"skirt": 1.0}, "k": 3}, {"text": "blue", "offset": 1}, {"text": "skirt", "detail_from": "navy"}],
    ids=str,
)  # fmt: skip
def test_a_search_gives_the_hits_of_the_local_catalog(client, shop, wishes):
    assert same(client.search(picture(RED, BLUE), **wishes), shop.search(picture(RED, BLUE), **wishes))


def test_photos_in_every_form_batches_and_products_are_queries(client, shop, tmp_path: Path):
    (tmp_path / "red.png").write_bytes(picture(RED))
    path = tmp_path / "red.png"
    with path.open("rb") as file, Image.open(path) as image:
        for form in (path, str(path), path.read_bytes(), file, image, np.asarray(image)):
            assert client.search(form, k=1)[0].product_id == "P1"
    batch = client.search([path, picture(BLUE)], box=[None, (0, 0, 30, 60)], k=2)
    assert [same(mine, theirs) for mine, theirs in zip(batch, shop.search([path, picture(BLUE)], k=2), strict=True)]
    assert same(client.search(like="P2"), shop.search(like="P2"))
    assert same(client.search(text="blue top"), shop.search(text="blue top"))
    assert same(client.search(like="P2", text="red"), shop.search(like="P2", text="red"))


def test_garments_are_those_that_are_found_here_with_their_kinds(client, shop):
    file = io.BytesIO()
    Image.fromarray(outfits(0, 0).photo).save(file, "PNG")
    mine, theirs = client.find(file.getvalue()), shop.find(file.getvalue())
    assert [(one.box, one.kind, one.person, one.colors) for one in mine] == [
        (one.box, one.kind, one.person, one.colors) for one in theirs
    ]
    for one, other in zip(mine, theirs, strict=True):
        assert one.kinds == pytest.approx(other.kinds)
        assert one.score == pytest.approx(other.score, abs=1e-4)
    assert client.search(file.getvalue(), box=mine[0].box, kind=mine[0].kinds)


def test_a_client_is_a_container_of_products(client, shop):
    assert list(client) == list(shop)
    assert (len(client), client.count(where="sale = true"), "P1" in client, "no" in client, 3 in client) == (
        5, 1, True, False, False,
    )  # fmt: skip
    assert client["P3"] == shop["P3"]
    assert [product.product_id for product in client.products(where="category = tops")] == ["P3", "P4"]
    crops = client.crops("P4")
    assert [crop.crop_id for crop in crops] == ["P4/0", "P4/1"]
    assert isinstance(crops[0].photo, RemotePhoto)
    assert client.search(crops[0].photo, k=1)[0].product_id == "P4"


def test_products_are_added_changed_and_removed(client, shop, tmp_path: Path):
    (tmp_path / "red.png").write_bytes(picture(RED))
    (tmp_path / "table.csv").write_text("photo,product_id,price\nred.png,from a table,10\nnone.png,no photo,20\n")
    sent = client.add(tmp_path / "table.csv")
    assert (sent.stored, [one.product_id for one in sent.problems]) == (1, ["no photo"])
    product = osoroi.Product("a//b", title="Two", attributes={"sizes": ("S", "M"), "wool": True})
    sent = client.add([(product, [picture(GREEN), picture(BLUE)]), {"product_id": "bad", "photo": b"none", "price": 1}])
    assert (sent.stored, len(sent.problems)) == (1, 1)
    assert client["a//b"] == shop["a//b"] == product
    assert len(shop.crops("a//b")) == 2
    changed = client.update("a//b", price=2900, sizes=["L"], wool=None)
    assert (changed.price, changed.attributes["sizes"]) == (2900, ("L",))
    assert changed == shop["a//b"]
    assert client.remove(["a//b", "never there", "from a table"]) == ["a//b", "from a table"]
    assert client.remove("a//b") == []
    with pytest.raises(BadDataset, match="no product was stored"):
        client.add({"product_id": "bad", "photo": b"none"})


def test_rows_of_a_product_may_stand_apart_and_batches_are_bounded(served, client, shop):
    rows = list(products.rows([{"product_id": f"r{n % 3}", "photo": picture((n * 20, 9, 9))} for n in range(6)]))
    progress: list[int] = []
    with closing(Transport(served[0], key=WRITES, timeout_s=30.0, retries=0)) as transport:
        assert upload.put(upload.gathered(rows), transport, progress.append, most=2).stored == 3
    assert progress == [2, 3]
    assert client.add(rows, on_progress=progress.append).stored == 3
    assert progress == [2, 3, 3]
    assert [len(shop.crops(f"r{n}")) for n in range(3)] == [2, 2, 2]
    client.remove(["r0", "r1", "r2"])


def test_errors_are_those_of_the_local_catalog(client, served):
    photo = picture(RED)
    for error, call in (
        (BadFilter, lambda: client.search(photo, where="price <")),
        (BadFilter, lambda: client.count(where="nothing = 1")),
        (BadPhoto, lambda: client.search(b"no photo")),
        (BadPhoto, lambda: client.search("missing.jpg")),
        (BadRequest, lambda: client.search(photo, k=0)),
        (BadRequest, client.search),
        (BadRequest, lambda: client.search(photo, box=(1, 2, 3))),
        (BadRequest, lambda: client.search([photo], box=[None, None])),
        (BadRequest, lambda: client.update("P1")),
        (NotFound, lambda: client["none"]),
        (NotFound, lambda: client.search(like="none")),
        (NotFound, lambda: client.update("none", price=1)),
    ):
        with pytest.raises(error) as caught:
            call()
        assert caught.type is error
    with osoroi.Client(served[0]) as stranger, pytest.raises(NoKey):
        stranger.count()
    with osoroi.Client(served[0], key=READS) as reader:
        assert reader.count() == len(client)
        with pytest.raises(NoKey):
            reader.remove("P1")
    with pytest.raises(BadRequest, match="is closed"):
        reader.count()


@pytest.mark.parametrize("url", ["shop", "ftp://shop.example", "http://", "http://a.example?x=1", "http://[::1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(BadRequest, match="is no address of a service"):
        osoroi.Client(url)


Answer = tuple[int, dict[str, str], Any]


class Scripted(http.server.ThreadingHTTPServer):
    """Answers what it is told, one after the other: (status, headers, content); ``None`` closes the connection."""

    daemon_threads = True

    def __init__(self, *answers: Answer | None) -> None:
        script, seen = list(answers), []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                answer = script.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = self.close_connection or "X-Close" in headers  # without a word

            do_PUT = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = seen
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.transports: list[Transport] = []
        self.closed = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and say so."""
        super().shutdown_request(request)
        self.closed.set()

    def __exit__(self, *_: object) -> None:
        for transport in self.transports:
            transport.close()
        self.shutdown()
        self.server_close()

    def transport(self, slept: list[float], retries: int = 3) -> Transport:
        self.transports.append(Transport(self.url, key=None, timeout_s=60.0, retries=retries, sleep=slept.append))
        return self.transports[-1]


BUSY = (503, {"Retry-After": "7"}, {"error": "busy", "hint": "wait"})


def test_a_busy_service_is_asked_again_after_the_seconds_it_says():
    slept: list[float] = []
    with Scripted(BUSY, (503, {}, b"a proxy's page"), (200, {}, {"fine": 1})) as service:
        assert service.transport(slept).request("GET", "/x").json() == {"fine": 1}
    assert slept[0] == 7
    assert 0.5 <= slept[1] <= 1  # its own second wait: .5 s and up to as much again
    with Scripted(*[BUSY] * 4) as service, pytest.raises(TooMuch, match="busy; wait"):
        service.transport(slept).request("GET", "/x")
    assert len(service.seen) == 4


def test_a_connection_that_was_closed_is_opened_again_and_nobody_at_all_is_an_error():
    slept: list[float] = []
    with Scripted((200, {}, {}), None, (200, {}, {"again": 1}), None, (200, {}, {"later": 1})) as service:
        transport = service.transport(slept)
        transport.request("GET", "/first")
        assert transport.request("GET", "/second").json() == {"again": 1}
        assert slept == []
        transport.close()
        assert service.transport(slept).request("GET", "/third").json() == {"later": 1}
        assert len(slept) == 1
    slept.clear()
    with pytest.raises(CatalogUnavailable, match="does not answer"):
        service.transport(slept).request("GET", "/x")
    assert len(slept) == 3


def test_an_answer_that_is_not_ours_is_an_error_of_its_status():
    with Scripted((404, {}, b"<html>"), (418, {}, {"error": "tea", "hint": "pot"})) as service:
        transport = service.transport([])
        with pytest.raises(NotFound, match="answered with status 404; is this the address"):
            transport.request("GET", "/x")
        with pytest.raises(osoroi.OsoroiError, match="tea; pot"):
            transport.request("GET", "/x")


def test_a_redirect_is_no_success_and_says_where_it_leads():
    moved = (301, {"Location": "https://shop.example/v1"}, b"<html>")
    with Scripted(moved, moved) as service, osoroi.Client(service.url) as client:
        with pytest.raises(CatalogUnavailable, match=r"status 301 .* 'https://shop.example/v1'; make the client with"):
            client.remove("P1")
        with pytest.raises(CatalogUnavailable, match="status 301"):
            client.count()


def test_what_is_gone_after_a_lost_answer_was_removed():
    gone: Answer = (404, {}, {"error": "no product", "hint": "look"})
    with Scripted(None, gone, gone, None, gone, None, (404, {}, b"<html>")) as service:
        transport = service.transport([])
        transport.request("DELETE", "/first")
        with pytest.raises(NotFound):
            transport.request("DELETE", "/never-there")
        transport.request("DELETE", "/same-connection")
        with pytest.raises(NotFound):
            transport.request("DELETE", "/proxy")


def test_a_connection_that_was_closed_while_it_waited_loses_no_answer():
    gone: Answer = (404, {}, {"error": "no product", "hint": "look"})
    with Scripted((200, {"X-Close": "1"}, {}), gone) as service:
        transport = service.transport([])
        transport.request("GET", "/first")
        assert service.closed.wait(60)
        with pytest.raises(NotFound):
            transport.request("DELETE", "/never-there")


def test_an_answer_that_is_no_json_shows_what_came():
    page: Answer = (200, {}, b"<html>Welcome")
    with Scripted(page, page) as service, osoroi.Client(service.url) as client:
        with pytest.raises(CatalogUnavailable, match="is no JSON: b'<html>Welcome'; is this the address"):
            client.count()
        with pytest.raises(CatalogUnavailable, match="is no JSON"):
            client.add({"product_id": "p", "photo": picture(RED)})


def test_lines_for_which_there_was_no_room_are_sent_again():
    lines = [{"line": n, "status": status, "error": "e", "hint": "h"} for n, status in ((1, 200), (2, 503))]
    first = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    again = json.dumps({"line": 1, "status": 422, "error": "no photo", "hint": "send one"}).encode()
    slept: list[float] = []
    with Scripted((200, {}, first), (200, {}, again)) as service:
        rows = list(products.rows([{"product_id": f"p{n}", "photo": picture(RED)} for n in range(2)]))
        sent = upload.put(upload.gathered(rows), service.transport(slept), lambda stored: None)
    assert (sent.stored, [(one.product_id, one.reason) for one in sent.problems]) == (1, [("p1", "no photo; send one")])
    assert len(slept) == 1
    lonely = upload.gathered(products.rows([{"product_id": "p", "photo": picture(RED)}]))
    with Scripted((200, {}, b"")) as service, pytest.raises(CatalogUnavailable, match="0 of 1 lines"):
        upload.put(lonely, service.transport(slept), lambda stored: None)


def test_threads_share_a_client(client):
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(client.search(picture(RED))))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [len(client)] * 4
