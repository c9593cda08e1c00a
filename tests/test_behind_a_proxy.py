"""The service behind a proxy: under a prefix, and with ids that proxies like to rewrite."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urljoin

import pytest

import web
from browsing import choose, expect, expect_first, needs_browser, opened
from osoroi.errors import BadRequest
from osoroi.server.settings import Settings
from proxy import proxied
from shop import BLUE, RED, SeeingEncoder, fill, goods, picture, serving

PREFIX = "/shop/find"
PROXIES = {
    "strips": {"strips": True},
    "leaves": {"strips": False},
    "strips and tidies paths": {"strips": True, "tidy": True},
}
IDS = ["plain", "a/b", "a//b", "/a", "a/", "..", "../x", ".", "a/./b", "50%", "%2F", "a+b", "a b", "a?b#c", "a&id=c",
       "服/赤", "é", "a;b", 'a"b', "a\\b", "~", "CON"]  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    encoder = SeeingEncoder()
    with (
        fill(tmp_path_factory.mktemp("proxied") / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, Settings(root_path=PREFIX)) as address,
    ):
        yield address


@pytest.fixture(params=PROXIES)
def base(service: str, request: pytest.FixtureRequest) -> Iterator[str]:
    with proxied(service, PREFIX, **PROXIES[request.param]) as address:
        yield address


def test_every_link_of_the_page_stays_below_the_prefix(base):
    for page in ("/", "/?product=P1", "/nowhere/at/all", ""):
        answer = web.get(base + page, headers={"Accept": "text/html"})
        links = re.findall(r'(?:href|src|action)="([^"]+)"', answer.text)
        ours = [link.replace("&amp;", "&") for link in links if not link.startswith(("https://shop.example", "#"))]
        assert len(ours) > 5
        assert all(link.startswith(PREFIX + "/") for link in ours), ours
        for link in set(ours):
            assert web.get(urljoin(base, link)).status_code in (200, 400), link


@needs_browser
@pytest.mark.parametrize("proxy", ["strips", "leaves"])
def test_the_page_with_scripts_works_below_the_prefix(service, proxy, browser):
    with proxied(service, PREFIX, **PROXIES[proxy]) as base:
        for page in opened(browser, f"{base}/"):
            expect(page.locator(".grid .card img").first).to_have_js_property("complete", True)
            choose(page, picture(RED, width=300, height=400))
            expect_first(page, "Red skirt")
            page.get_by_label("Tops").check()
            expect_first(page, "Purple top")
            assert page.url.startswith(f"{base}/?")
            page.get_by_role("link", name="More like Purple top").first.click()
            expect(page.locator("#query-photo")).to_have_attribute("src", re.compile(f"^{PREFIX}/v1/photo"))
            assert page.locator("#query-photo").evaluate("(one) => one.decode().then(() => one.naturalWidth)") > 0
            page.get_by_role("link", name="日本語").click()
            page.wait_for_url(f"{base}/?*lang=ja*")
            expect(page.locator(".grid .card").first).to_be_visible()
            page.reload()
            expect(page.locator(".grid .card").first).to_be_visible()


def test_a_form_without_scripts_leads_back_below_the_prefix(base):
    answer = web.post(f"{base}/", files={"product": (None, "P1")})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PREFIX}/?product=P1")


def test_the_openapi_document_names_the_prefix_as_its_server(base):
    assert web.get(f"{base}/openapi.json").json()["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize(("proxy", "ids"), [("strips and tidies paths", IDS), ("leaves", IDS[1:8:3])])
def test_a_product_of_any_id_is_put_read_changed_shown_and_removed_by_its_query(service, proxy, ids):
    with proxied(service, PREFIX, **PROXIES[proxy]) as base, web.Client(base_url=base) as client:
        for product_id in ids:
            at = {"id": product_id}
            put = client.put("/v1/product", params=at, files={"photo": picture(RED, BLUE)}, data={"product": "{}"})
            assert put.json()["product"]["product_id"] == product_id
            assert client.patch("/v1/product", params=at, json={"price": 5}).json()["price"] == 5
            stored = client.get("/v1/product", params=at).json()
            assert (stored["product"]["product_id"], stored["product"]["price"]) == (product_id, 5)
            photo = web.get(urljoin(base, stored["crops"][0]["photo"]))
            assert (photo.status_code, photo.headers["content-type"]) == (200, "image/jpeg")
            hits = client.post("/v1/search", files={"product_id": (None, product_id)}).json()["hits"]
            assert {hit["product_id"] for hit in hits} == {"P1", "P2", "P3", "P4", "P5"}
            assert client.delete("/v1/product", params=at).json() == {"removed": [product_id]}
            assert client.get("/v1/product", params=at).status_code == 404


def test_in_a_path_a_proxy_that_tidies_makes_some_ids_others(service):
    """Why links have ids in their query."""
    with proxied(service, PREFIX, strips=True, tidy=True) as base:
        answer = web.get(f"{base}/v1/products/{quote('a//b', safe='')}")
        assert "'a/b'" in answer.json()["error"]


@pytest.mark.parametrize(
    ("root_path", "says"),
    [("/a b", "is no path"), ("/a//b", "is no path"), ("/../a", "is no path"), ("/v1", "begins like"),
     ("static/x", "begins like"), ("/a?b", "is no path"), ("https://a.example/b", "is no path")],
)  # fmt: skip
def test_a_prefix_that_cannot_work_is_refused(root_path, says):
    with pytest.raises(BadRequest, match=says):
        Settings(root_path=root_path)


def test_a_prefix_may_be_written_with_or_without_slashes():
    assert [Settings(root_path=path).root_path for path in ("", "/", "a", "/a/", "/a/b")] == [
        "",
        "",
        "/a",
        "/a",
        "/a/b",
    ]


def test_the_service_behind_the_prefix_answers_the_same_without_it(service, tmp_path: Path):
    assert web.get(f"{service}/health").json() == web.get(f"{service}{PREFIX}/health").json()
