"""Targets of ``fuzz.py`` that need a catalog, a service or a server: all on this machine, in this process."""

import base64
import contextlib
import io
import itertools
import json
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from fuzz_targets import Target, encoders
from PIL import Image
from starlette import testclient

from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.copy import copy
from osoroi.client import Client
from osoroi.data.http import Timeouts, fetch
from osoroi.encoder import Encoder
from osoroi.errors import OsoroiError
from osoroi.records import Crop, Product
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.decoding.pool import DecodingPool
from osoroi.server.settings import Settings
from osoroi.words import reading
from osoroi.words.titles import TitleIndex

BOUNDARY: Final = b"multipart/form-data; boundary=b"
TITLES: Final = ("Red skirt", "赤いスカート", "Navy striped T-shirt", "紺のボーダーTシャツ")


class Mistake(Exception):
    """The service answered 500."""


def words() -> Target:
    """Text queries: what is understood of them, and the index of titles that is searched with them."""
    index = TitleIndex(Product(str(place), title, "tops", "Aoi") for place, title in enumerate(TITLES))

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape" if data[:1] < b"a" else "replace")[:500]
        str(reading.read(text))
        index.search(text, 20)

    meaning = [b'"', b"*", b" OR ", b" NEAR(", b"-", b"#ff0000", "の".encode(), "赤".encode(), b"\0", b"'", b"red"]
    return Target([title.lower().encode() for title in TITLES], meaning, run)


def photo() -> bytes:
    """A small PNG."""
    file = io.BytesIO()
    Image.fromarray(np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)).save(file, "PNG")
    return file.getvalue()


def shop(folder: Path, encoder: Encoder) -> LocalCatalog:
    """A catalog of few products."""
    catalog = LocalCatalog.open_or_create(folder, encoder)
    for place, title in enumerate(TITLES):
        product = Product(f"p{place}", title, "tops", "Aoi", 100.0 * place, attributes={"sale": place > 1, "s": "38"})
        vector = encoder.encode([np.full((4, 2, 3), 50 * place, np.uint8)])
        crop = Crop(f"p{place}/0", product.product_id, "shop", photo())
        catalog.put([Entry(product, [crop], vector)], fingerprint=encoder.fingerprint)
    return catalog


def tiny() -> Encoder:
    """The encoder of the target ``encoders``."""
    target = encoders()
    target.run(target.corpus[0])
    return Encoder.open(Path(tempfile.gettempdir()) / "osoroi-fuzz.onnx")


def part(name: str, content: bytes, *, file: bool = False) -> bytes:
    """A part of a form."""
    named = f'name="{name}"' + ('; filename="a.png"' if file else "")
    return b"--b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (named.encode(), content)


def requests() -> list[bytes]:
    """Requests of every kind: method, address and type in the first line, then the body."""
    image_part, end = part("photo", photo(), file=True), b"--b--\r\n"
    line = {"product_id": "p1", "title": "a", "price": 1.5, "attributes": {"sale": True, "sizes": ["S", "M"]}}
    with_photo = line | {"photos": [{"base64": "/9j/", "box": [0, 0, 3, 3]}]}
    lines = b"\n".join(json.dumps(one).encode() for one in (line, with_photo, line))
    kinds, known = b'{"skirt": 0.9, "dress": 0.1}', b"top:1,2,20,20:0:b03a2e-ffffff:top=900-dress=100"
    put = image_part + part("product", json.dumps({"title": "x", "price": 3}).encode()) + part("box", b"1,1,20,20")
    forms = {
        b"POST /v1/search": image_part + part("box", b"0,0,20,20") + part("k", b"5") + part("kind", kinds),
        b"POST /v1/search ": part("product_id", b"p1") + part("where", b"price < 300 and sale = true"),
        b"POST /v1/search  ": part("crop_id", b"p1/0") + part("detail", b".5") + part("detail_from", b"navy"),
        b"POST /": image_part + part("known", known) + part("garment", b"1") + part("a.sale", b"yes"),
        b"POST /results": part("crop", b"p2/0") + part("box", b"0,0,9,9") + part("above", b"1") + part("k", b"24"),
        b"PUT /v1/products/p9": put,
        b"PUT /v1/product?id=p%2F9": put,
    }
    bodies = [b"%b %b\n%b" % (name.strip(), BOUNDARY, body + end) for name, body in forms.items()]
    bodies += [b"%b /v1/products application/x-ndjson\n%b" % (method, lines) for method in (b"PUT", b"PATCH")]
    bodies += [b'PATCH /v1/products/p2 application/json\n{"price": 12.5, "attributes": {"sale": null}}']
    addresses = ["/v1/products?limit=2&after=p0&total=true&where=" + quote("price <= 300"), "/v1/facets?where=sale"]
    addresses += [
        "/?product=p1&a.sale=yes&detail=.3&k=24",
        "/?crop=p1/0&box=1,1,20,20&saliency=1&lang=ja&detail_from=navy",
    ]
    addresses += [
        "/v1/photo?id=p1/0&width=99&saliency=true",
        "/v1/product?id=p1",
        "/health",
        "/metrics",
        "/openapi.json",
    ]
    bodies += [f"GET {address} a/b\n".encode() for address in addresses]
    return [*bodies, b"DELETE /v1/products/p3 a/b\n", b"HEAD /widget.js a/b\n"]


def service_of_shop() -> testclient.TestClient:
    """The whole service of a small catalog, with clients of its own."""
    encoder = tiny()
    catalog = shop(Path(tempfile.mkdtemp(prefix="osoroi-fuzz-")) / "shop", encoder)
    settings = Settings(decoders=1, finders=1, searches=8)
    application = app.make(Searcher(encoder, catalog), settings, decoder=DecodingPool.of(settings))
    client = testclient.TestClient(application, base_url="http://127.0.0.1")
    client.__enter__()
    return client


def service() -> Target:
    """Requests to the whole service: routes, forms, batches, filters, pages. An answer of 500 is a finding."""
    client = service_of_shop()

    def run(data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        method, address, kind = (*head.split(b" ", 2), b"", b"")[:3]
        try:
            answer = client.request(
                method.decode("latin-1") or "GET",
                "/" + address.decode("latin-1").lstrip("/"),
                content=body,
                headers=[(b"Content-Type", kind)],
            )
        except (testclient.httpx.InvalidURL, UnicodeError):
            return  # what no client could send
        if answer.status_code == 500 or b'"status":500' in answer.content:
            raise Mistake(answer.text[:500])

    words = [b"--b", b"\r\n", b"%00", b"%ff", b"9" * 400, b"1e999", b"-0", b"NaN", b"Infinity", b'"', b"null", b"[[[["]
    words += [b"\\ud800", b"a.", b"attributes.", b"where=", b"photo", b"box", b"kind", b"known", b"garment", b"look=1"]
    return Target(requests(), words, run)


def batches() -> Target:
    """Batches of products, a JSON object a line, put and changed. Each line has one answer, in order; none is 500."""
    client = service_of_shop()
    metadata = {"product_id": "p1", "title": "a", "price": 1.5, "attributes": {"sale": True, "sizes": ["S", "M"]}}
    picture = base64.b64encode(photo()).decode()
    with_photo = metadata | {"product_id": "p7", "photos": [{"base64": picture, "box": [0, 0, 9, 9]}]}
    change = {"product_id": "p2", "price": None, "attributes": {"sale": None, "n": 3}}
    put = b"\n".join(json.dumps(one).encode() for one in (metadata, with_photo, metadata))

    def run(data: bytes) -> None:
        method, body = ("PATCH" if data[:1] == b"c" else "PUT"), data[1:]
        answer = client.request(method, "/v1/products", content=body, headers={"Content-Type": "application/x-ndjson"})
        if answer.status_code != 200:
            raise Mistake(f"{answer.status_code}: {answer.text[:500]}")
        lines = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
        numbers = [number for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
        if any(line["status"] == 500 for line in lines) or [line["line"] for line in lines] != numbers:
            raise Mistake(answer.text[:500])

    words = [b"\n", b"\r\n", b"9" * 400, b"1e999", b"NaN", b"null", b"[[[[", b'"', b"\\ud800", b"{}", b'"photos":[]']
    words += [b'"link":"x"', b'"base64":""', b'"box":[', b"attributes", b'"p1"', b"true"]
    return Target([b"p" + put, b"c" + json.dumps(change).encode() + b"\n" + put], words, run)


class OneAnswer:
    """A server on this machine that answers every request with the same bytes."""

    def __init__(self) -> None:
        self.data = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                while b"\r\n\r\n" not in (head := connection.recv(65536)) and head:
                    pass
                connection.sendall(self.data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass


def answered(content: Any, status: str = "200 OK") -> bytes:
    """An answer in HTTP."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nRetry-After: 1\r\n\r\n%b" % (status.encode(), len(body), body)


def answers() -> Target:
    """What a service may answer to ``osoroi.Client``. The first byte says what it was asked."""
    server = OneAnswer()
    product = {"product_id": "p", "title": "t", "price": 1.0, "attributes": {"a": [True, "x"], "n": 3}}
    hit = {
        "product_id": "p",
        "score": 0.5,
        "crop_id": "p/0",
        "product": product,
        "parts": {"deep": 1},
        "probability": None,
    }
    garment = {
        "box": [1, 2, 3, 4],
        "kind": "top",
        "score": 0.5,
        "person": 0,
        "kinds": {"top": 1},
        "colors": ["#ffffff"],
    }
    crop = {"crop_id": "p/0", "box": [0, 0, 3, 3], "photo": "/x"}
    calls: dict[bytes, tuple[Callable[[Client], object], Any]] = {
        b"s": (lambda shop: shop.search(photo()), {"hits": [hit], "probability": 0.3}),
        b"f": (lambda shop: [vars(one) for one in shop.find(photo())], {"garments": [garment]}),
        b"l": (lambda shop: list(itertools.islice(shop, 3)), {"products": [product], "next": None}),
        b"n": (len, {"products": [], "next": None, "total": 4}),
        b"g": (lambda shop: shop["p"], {"product": product, "crops": [crop]}),
        b"c": (lambda shop: shop.crops("p"), {"product": product, "crops": [crop]}),
        b"u": (lambda shop: shop.update("p", price=3), product),
        b"r": (lambda shop: shop.remove("p"), {"removed": ["p"]}),
        b"a": (
            lambda shop: shop.add({"product_id": "p", "photo": photo()}),
            {"line": 1, "product_id": "p", "status": 200},
        ),
    }
    corpus = [name + answered(content) for name, (_, content) in calls.items()]
    corpus += [b"s" + answered({"error": "e", "hint": "h"}, "503 Busy"), b"r" + answered(b"", "204 Gone")]

    def run(data: bytes) -> None:
        call, _ = calls.get(data[:1], calls[b"s"])
        server.data = data[1:]
        with Client(f"http://127.0.0.1:{server.port}", timeout_s=2, retries=0) as client:
            call(client)

    words = [b"HTTP/1.1 ", b"\r\n", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"9" * 20, b"null", b"{}", b"[]"]
    return Target(corpus, [*words, b"1e999", b"Location: //[", b"302", b"X-Error-Type: BadFilter\r\n", b'"'], run)


def links() -> Target:
    """Links of a table, and what their servers answer: the link in the first line, then the answer."""
    server = OneAnswer()
    timeouts = Timeouts(idle_s=2, total_s=4)
    corpus = [b"/a/b.jpg?c=d\n" + answered(photo())]
    corpus += [b"/x\n" + answered(b"").replace(b"200 OK", b"302 Moved\r\nLocation: /else?where")]

    def run(data: bytes) -> None:
        link, _, server.data = data.partition(b"\n")
        text = link.decode("utf-8", "surrogateescape")
        here = f"http://127.0.0.1:{server.port}"
        fetch(here + text if text.startswith("/") else text.replace("//", f"//127.0.0.1:{server.port}/"), timeouts)

    words = [
        b"//[",
        b"http:",
        b"%",
        b"\xff",
        b"\r\n",
        b"Location: ",
        b"Retry-After: ",
        b"chunked",
        b"302",
        b"503",
        b"@",
    ]
    return Target(corpus, words, run)


def catalogs() -> Target:
    """The database of a catalog, edited: opened, searched, checked and copied."""
    encoder = tiny()
    folder = Path(tempfile.mkdtemp(prefix="osoroi-fuzz-")) / "shop"
    shop(folder, encoder).close()
    database, numbers = folder / "catalog.sqlite", itertools.count()
    query = np.ones((1, encoder.dim), np.float32)

    def run(data: bytes) -> None:
        for path in folder.glob("catalog.sqlite-*"):
            path.unlink()
        database.write_bytes(data)
        with contextlib.suppress(OsoroiError), LocalCatalog.open(folder, readonly=True) as catalog:
            catalog.nearest(query, 3, where="price > 1 and title = red")
            list(catalog.products())
        with contextlib.suppress(OsoroiError):
            check(folder)
        copy(folder, folder.parent / f"copy{next(numbers) % 50}")

    return Target([database.read_bytes()], [b"p1", b"products", b"CREATE", b"\0\0", b"SQLite format 3"], run)


SURFACES: Final[dict[str, Callable[[], Target]]] = {
    "words": words,
    "service": service,
    "batches": batches,
    "answers": answers,
    "links": links,
    "catalogs": catalogs,
}
