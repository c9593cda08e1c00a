"""The widget on a shop's page of another origin, in a real browser; and what other origins may do."""

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import web
from browsing import AXE, Browser, Page, expect, needs_browser
from osoroi.data.synthetic.outfits import outfits
from osoroi.errors import BadRequest
from osoroi.search import Searcher
from osoroi.server.settings import Settings
from proxy import proxied
from shop import BLUE, GREEN, RED, SeeingEncoder, fill, goods, picture, serving

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "src/osoroi/server/pages/static"
PREFIX = "/find"


def example(service: str) -> str:
    (page,) = re.findall(r"```html\n(.*?)```", (ROOT / "docs/widget.md").read_text("utf-8"), flags=re.DOTALL)
    log = "<script>window.told = []; function analytics(...all) { window.told.push(all); }</script>"
    return page.replace("https://find.example", service).replace("<h1>", f"{log}<h1>")


class ShopPage(http.server.ThreadingHTTPServer):
    """The shop's own site: one page at every path, with a policy that allows the service alone."""

    daemon_threads = True
    html = ""
    service = ""

    def __init__(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            server: ShopPage

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                origin = re.match(r"https?://[^/]+", self.server.service)
                to = origin[0] if origin else ""
                self.send_header(
                    "Content-Security-Policy",
                    f"default-src 'none'; script-src 'unsafe-inline' {to}; connect-src {to}; img-src {to} blob:; "
                    "style-src 'unsafe-inline'",
                )
                self.end_headers()
                self.wfile.write(self.server.html.encode())

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.server_address[1]}"


@pytest.fixture(scope="module")
def site() -> Iterator[ShopPage]:
    server = ShopPage()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def service(site: ShopPage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service behind a prefix, which lets the pages of the site search."""
    encoder = SeeingEncoder()
    settings = Settings(root_path=PREFIX, allow_origins=frozenset([site.origin]), write_key="w" * 20, open_reads=True)
    with (
        fill(tmp_path_factory.mktemp("widget") / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, settings) as address,
        proxied(address, PREFIX, strips=True) as base,
    ):
        site.service, site.html = base, example(base)
        yield base


def opened(browser: Browser, site: ShopPage, **options: Any) -> Iterator[Page]:
    """The shop's page; an error of a script, or a rule of its policy that was broken, fails."""
    settings: dict[str, Any] = {"viewport": {"width": 1100, "height": 900}} | options
    context = browser.new_context(**settings)
    context.set_default_timeout(30_000)
    page, troubles = context.new_page(), []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    page.goto(f"{site.origin}/photo-search")
    yield page
    context.close()
    assert troubles == [], "\n".join(troubles)


@pytest.fixture
def page(browser: Browser, site: ShopPage, service: str) -> Iterator[Page]:
    yield from opened(browser, site)


@pytest.fixture
def phone(browser: Browser, site: ShopPage, service: str) -> Iterator[Page]:
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "locale": "ja-JP"}
    yield from opened(browser, site, **options)


def choose(page: Page, photo: bytes) -> None:
    page.set_input_files("#file", {"name": "snap.png", "mimeType": "image/png", "buffer": photo})


def snap() -> bytes:
    """Drawn people, as a photo."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(outfits(0, 0).photo).save(file, "PNG")
    return file.getvalue()


@needs_browser
def test_a_photo_gives_products_with_links_to_the_shops_pages_and_events_for_its_statistics(page, site):
    choose(page, picture(RED, width=300, height=400))
    first = page.locator("li").first
    expect(first.locator(".name")).to_have_text("Red skirt")
    expect(first.locator(".price")).to_have_text("¥3,900")
    expect(first.locator("a")).to_have_attribute("href", f"{site.origin}/p/P1")
    expect(page.get_by_role("status")).to_have_text("5 products")
    assert first.locator("img").evaluate("async (one) => (await one.decode(), one.naturalWidth)") == 60
    page.evaluate("document.addEventListener('osoroi:click', (event) => event.preventDefault())")
    first.locator("a").click()
    assert page.evaluate("window.told") == [["photo search", 1], ["photo click", "P1", 1]]
    assert page.url == f"{site.origin}/photo-search"


@needs_browser
def test_the_field_of_words_is_as_high_as_a_finger(page):
    assert page.get_by_role("searchbox").bounding_box()["height"] >= 44


@needs_browser
def test_garments_are_buttons_over_the_photo_and_each_has_its_list(page):
    choose(page, snap())
    buttons = page.locator(".garments button")
    expect(buttons.first).to_be_visible()
    assert buttons.count() > 1
    expect(buttons.nth(0)).to_have_attribute("aria-current", "true")
    shown = page.locator(".stage img").bounding_box()
    for button in buttons.all():
        box = button.bounding_box()
        assert shown["x"] <= box["x"] <= box["x"] + box["width"] <= shown["x"] + shown["width"] + 1
        assert shown["y"] <= box["y"] <= box["y"] + box["height"] <= shown["y"] + shown["height"] + 1
    page.evaluate("document.addEventListener('osoroi:garment', ({ detail }) => window.told.push([detail.kind]))")
    buttons.nth(1).focus()
    page.keyboard.press("Enter")
    expect(buttons.nth(1)).to_have_attribute("aria-current", "true")
    assert page.evaluate("window.told.at(-1)") == [buttons.nth(1).inner_text().lower()]


@needs_browser
def test_more_products_follow_and_the_keyboard_goes_to_the_first_of_them(browser, site, service):
    html = site.html
    site.html = html.replace("data-link", 'data-k="2" data-link')
    try:
        for page in opened(browser, site):
            choose(page, picture(RED, width=300, height=400))
            expect(page.locator("li")).to_have_count(2)
            page.get_by_role("button", name="Show more").click()
            expect(page.locator("li")).to_have_count(4)
            assert page.evaluate("document.querySelector('.osoroi').shadowRoot.activeElement.innerText") != ""
            page.get_by_role("button", name="Show more").click()
            expect(page.locator("li")).to_have_count(5)
            expect(page.get_by_role("button", name="Show more")).to_be_hidden()
            names = page.locator("li .name").all_inner_texts()
            assert len(set(names)) == 5
    finally:
        site.html = html


@needs_browser
def test_words_bring_products_and_a_list_says_where_other_kinds_begin(page, monkeypatch):
    monkeypatch.setattr(Searcher, "other_kinds_from", lambda self, parts, vector: 1)
    field = page.get_by_role("searchbox", name="Or in words")
    field.fill("blue top")
    field.press("Enter")
    expect(page.locator("li .name").first).to_have_text("Blue top")
    expect(page.locator("li.others")).to_have_text("Other kinds")
    assert page.locator("ol > li").nth(1).inner_text() == "Other kinds"
    assert page.evaluate("window.told.at(-1)") == ["photo search", 1]
    choose(page, picture(RED, width=300, height=400))
    expect(page.locator("li .name").first).to_have_text("Red skirt")


@needs_browser
def test_a_file_that_is_no_photo_is_said_and_told(browser, site, service):
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.origin)
    page.evaluate("document.addEventListener('osoroi:error', ({ detail }) => window.told.push(detail.status))")
    choose(page, b"no photo at all")
    expect(page.get_by_role("status")).to_have_text("This file cannot be read as a photo.")
    assert page.evaluate("window.told") == [422]
    choose(page, picture(GREEN, width=300, height=400))
    expect(page.locator("li .name").first).to_have_text("Green skirt")
    context.close()


@needs_browser
@pytest.mark.parametrize(
    ("status", "after", "asked", "says"),
    [
        (413, "0.1", 1, "This file cannot be read as a photo."),
        (429, "0.1", 4, "Many people are searching. Please try again in a moment."),
        (503, "3600", 1, "Many people are searching. Please try again in a moment."),
        (502, "0.1", 1, "That did not work. Please try again."),
    ],
)
def test_a_proxy_that_answers_in_its_own_words_is_said_in_ours(browser, site, service, status, after, asked, says):
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.origin)
    came: list[str] = []

    def answer(route) -> None:
        came.append(route.request.url)
        headers = {"Content-Type": "text/html", "Retry-After": after, "Access-Control-Allow-Origin": "*"}
        headers["Access-Control-Expose-Headers"] = "Retry-After"
        route.fulfill(status=status, headers=headers, body="<h1>proxy</h1>")

    page.evaluate("document.addEventListener('osoroi:error', ({ detail }) => window.told.push(detail.status))")
    page.route("**/v1/search", answer)
    choose(page, picture(GREEN, width=300, height=400))
    expect(page.get_by_role("status")).to_have_text(says)
    assert len(came) == asked
    assert page.evaluate("window.told.at(-1)") == status
    context.close()


@needs_browser
def test_on_a_japanese_phone_it_offers_the_camera_in_japanese_and_fits(browser, site, service):
    html = site.html
    site.html = html.replace('lang="en"', 'lang="ja"')
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    try:
        for page in opened(browser, site, **options):
            button = page.get_by_text("写真を撮る").bounding_box()
            assert button is not None
            assert button["height"] >= 44
            assert page.locator("#camera").get_attribute("capture") == "environment"
            choose(page, snap())
            expect(page.locator("li").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        site.html = html


@needs_browser
def test_a_page_that_was_not_named_cannot_search(browser, site, service):
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.origin.replace("localhost", "127.0.0.1"))  # another origin
    choose(page, picture(RED, width=300, height=400))
    expect(page.get_by_role("status")).to_have_text("That did not work. Please try again.")
    assert page.locator("li").count() == 0
    context.close()


@needs_browser
@pytest.mark.skipif(not AXE.is_file(), reason="needs the Python package axe-playwright-python")
def test_the_widget_has_no_serious_fault_for_screen_readers(browser, site, service):
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(site.origin)
    choose(page, snap())
    expect(page.locator("li").first).to_be_visible()
    page.add_script_tag(path=AXE)
    found = page.evaluate("async () => (await axe.run('.osoroi')).violations")
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    context.close()


@needs_browser
def test_variables_of_the_page_theme_it_and_styles_of_the_page_do_not_reach_it(browser, site, service):
    html = site.html
    site.html = html.replace("</style>", "label { background: lime !important; } ol { display: none; }</style>")
    try:
        for page in opened(browser, site):
            choose(page, picture(RED, width=300, height=400))
            expect(page.locator("li").first).to_be_visible()
            colour = page.get_by_text("Choose a photo", exact=True).evaluate(
                "(one) => getComputedStyle(one).backgroundColor"
            )
            assert colour == "rgb(122, 31, 61)"  # --osoroi-accent: #7a1f3d
    finally:
        site.html = html


def test_all_that_the_widget_loads_has_less_than_20_kb(service):
    paths = ("widget.js", "static/prepare.js", "static/garments.js")
    assert sum(len(web.get(f"{service}/{path}").content) for path in paths) < 20_000


def test_the_script_may_be_loaded_from_anywhere_and_is_kept(service):
    answer = web.get(f"{service}/widget.js", headers={"Origin": "https://stranger.example"})
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "access-control-allow-origin" not in answer.headers
    again = web.get(f"{service}/widget.js", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


# -------------------------------------------------------------------- what other origins may do


def test_an_allowed_origin_may_search_and_read_errors_and_nobody_else(service, site):
    for status, options in (
        (200, {"files": {"photo": picture(RED)}}),
        (422, {"files": {"photo": b"no photo"}}),
        (400, {"files": {"photo": picture(BLUE)}, "data": {"k": "0"}}),
    ):
        mine = web.post(f"{service}/v1/search", headers={"Origin": site.origin}, **options)
        assert (mine.status_code, mine.headers["access-control-allow-origin"]) == (status, site.origin)
        assert mine.headers["vary"] == "Origin"
        assert "Retry-After" in mine.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in mine.headers
        for origin in ("https://stranger.example", "null", f"{site.origin}.evil.example"):
            theirs = web.post(f"{service}/v1/search", headers={"Origin": origin}, **options)
            assert "access-control-allow-origin" not in theirs.headers
            assert theirs.headers["vary"] == "Origin"
    for path in ("/v1/nowhere", "/v1/product?id=none"):
        missing = web.get(f"{service}{path}", headers={"Origin": site.origin})
        assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, site.origin)
    refused = web.delete(f"{service}/v1/product?id=P1", headers={"Origin": site.origin})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, site.origin)


def test_a_preflight_allows_reading_and_needs_no_key(service, site):
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    mine = web.options(f"{service}/v1/products", headers={"Origin": site.origin, **asked})
    assert (mine.status_code, mine.content) == (204, b"")
    assert mine.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    theirs = web.options(f"{service}/v1/products", headers={"Origin": "https://stranger.example", **asked})
    assert theirs.status_code == 401
    assert "access-control-allow-methods" not in theirs.headers


def test_a_mistake_of_ours_can_be_read_by_an_allowed_origin_too(tmp_path, monkeypatch):
    from osoroi.server.service import Service

    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Service, "search", broken)
    encoder, origin = SeeingEncoder(), "https://shop.example"
    settings = Settings(allow_origins=frozenset([origin]))
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog, serving(encoder, catalog, settings) as address:
        answer = web.post(f"{address}/v1/search", files={"photo": picture(RED)}, headers={"Origin": origin})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (500, origin)


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example", "shop.example", "https://shop.example/", "https://shop.example/a", "null",
               "ftp://a.example", "https://", "https://a.example:port", "https://u@a.example", "https://店.example"]
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(BadRequest, match="origin"):
        Settings(allow_origins=frozenset([origin]))


def test_an_origin_is_as_browsers_send_it():
    given = ["https://Shop.example:443", "http://[::1]:80", "http://a.example:8080"]
    assert Settings(allow_origins=frozenset(given)).allow_origins == {
        "https://shop.example", "http://[::1]", "http://a.example:8080",
    }  # fmt: skip
