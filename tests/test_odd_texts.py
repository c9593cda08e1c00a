"""Text that is sent where a name, a number or a filter is meant: never an error of ours, never markup."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from effort import Effort
from osoroi.records import Product
from osoroi.search import Searcher
from osoroi.server import app
from shop import RED, SeeingEncoder, ThreadDecoder, entry, fill, goods, picture

MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)>"

ODD = {
    "null": "a\0b",
    "half a surrogate": "\ud800",
    "half a surrogate in JSON": '{"column": "title", "=": "\\ud800"}',
    "turned round": "\u202e\u2028\x85",
    "operators of full text": '"a* OR NEAR(b c) -d ^e: (',
    "100 kB": "red " * 25_000,
    "brackets": "(" * 5_000,
    "no number": "nan",
    "no end": "-inf",
    "a header": "a\r\nX-Evil: y",
    "shares": '{"skirt": NaN, "dress": 1e999}',
    "no colour": "#ggg" + "0" * 70,
    "no box": "nan,-1,9e9,0.5",
}
SEARCHED = (
    "text", "where", "kind", "garment", "look", "k", "offset", "detail", "detail_from", "detail_box", "box", "total",
)  # fmt: skip
SHOWN = ("text", "product", "crop", "category", "detail_from", "box", "garment", "below", "lang")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    encoder = SeeingEncoder()
    hostile = entry(encoder, Product("<P>&\"'", MARKUP, MARKUP, MARKUP, 1.0, url="javascript:alert(1)"), picture(RED))
    with fill(tmp_path_factory.mktemp("odd") / "shop", encoder, [*goods(encoder), hostile]) as catalog:
        application = app.make(Searcher(encoder, catalog), decoder=ThreadDecoder())
        yield TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False)


def form(**fields: bytes) -> bytes:
    """A form, written by hand: clients refuse to encode some of this."""
    part = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    file = b'; filename="a"'
    parts = [part % (name.encode(), file if name == "photo" else b"", value) for name, value in fields.items()]
    return b"".join(parts) + b"--b--\r\n"


@pytest.mark.parametrize("what", ODD)
def test_odd_text_is_refused_or_means_nothing_wherever_it_stands(client, what):
    text, photo = ODD[what].encode("utf-8", "surrogatepass"), picture(RED)
    type_ = {"Content-Type": "multipart/form-data; boundary=b"}
    statuses: dict[str, int] = {}
    with Effort() as effort:
        for name in SEARCHED:
            answer = client.post("/v1/search", content=form(photo=photo, **{name: text}), headers=type_)
            statuses[name] = answer.status_code
            assert len(answer.content) < 20_000
        for name in ("crop_id", "product_id"):
            statuses[name] = client.post("/v1/search", content=form(**{name: text}), headers=type_).status_code
        statuses["find"] = client.post("/v1/find", content=form(crop_id=text), headers=type_).status_code
        inside = quote(text)[:50_000]
        for path in (
            "/v1/products?where=",
            "/v1/products?after=",
            "/v1/facets?where=",
            "/v1/product?id=",
            "/v1/photo?id=",
        ):
            statuses[path] = client.get(path + inside).status_code
        for name in SHOWN:
            statuses["page " + name] = client.get(f"/?{name}={inside}").status_code
        statuses["remove"] = client.delete(f"/v1/product?id={inside}").status_code
        for name in ("title", "price", "currency", "attributes"):
            try:
                line = json.dumps({"product_id": "P1", name: ODD[what]}).encode()
            except ValueError:
                continue
            answer = client.patch("/v1/products", content=line, headers={"Content-Type": "application/x-ndjson"})
            statuses["line " + name] = json.loads(answer.content)["status"]
    assert {where: status for where, status in statuses.items() if status >= 500} == {}
    assert effort.units < 2_000


# -------------------------------------------------------------------- markup

KNOWN = f"top:1,2,30,40:0:b03a2e:top=900{MARKUP}"


class Reader(HTMLParser):
    """What of a page could run."""

    def __init__(self) -> None:
        super().__init__()
        self.active: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script":
            self.active.add(str(values.get("src")))
        self.active |= {name for name in values if name.startswith("on") or name == "style"}
        links = (values.get(name) or "" for name in ("href", "src", "action"))
        self.active |= {link for link in links if link.lower().startswith(("javascript:", "data:text", "//"))}


OWN = {"/static/early.js", "/static/page.js"}
"""Scripts that the page has."""


@pytest.mark.parametrize(
    "name", [*SHOWN, "detail_box", "to_color", "above", "saliency", MARKUP, "a." + MARKUP, "known"]
)
@pytest.mark.parametrize("value", [MARKUP, "javascript:alert(1)"])
def test_nothing_of_an_address_or_a_product_runs_on_the_page(client, name, value):
    for answer in (
        client.get("/", params={name: value}),
        client.post("/", data={name: value, "known": KNOWN}, files={"photo": picture(RED)}, follow_redirects=True),
        client.post("/results", data={name: value, "product": "P1"}),
        client.get("/nothing" + value, headers={"Accept": "text/html"}),
    ):
        reader = Reader()
        reader.feed(answer.text)
        assert reader.active <= OWN
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_products_of_a_hostile_shop_are_shown(client):
    page = client.get("/").text
    assert "&lt;script&gt;" in page
    assert "javascript:" not in page
