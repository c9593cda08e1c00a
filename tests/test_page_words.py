"""Words on the page in a real browser, alone and beside a photo, and what a small screen shows."""

from collections.abc import Iterator

import pytest

from browsing import AXE, Browser, Page, axe, choose, chromium, expect, expect_first, needs_browser, opened
from shop import BLUE, RED, SeeingEncoder, fill, goods, picture, serving

pytestmark = needs_browser

SNAP = picture(RED, width=300, height=400)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # the first photo loads the networks
    yield from chromium()
    expect.set_options()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    encoder = SeeingEncoder()
    with (
        fill(tmp_path_factory.mktemp("page") / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog) as address,
    ):
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    yield from opened(browser, address, viewport={"width": 1280, "height": 720})


def test_words_alone_bring_products_and_are_in_the_address(page, address):
    page.get_by_role("searchbox", name="Or in words").fill("blue top")
    page.keyboard.press("Enter")
    expect_first(page, "Blue top")
    expect(page.locator(".understood")).to_have_text("Understood: kind Top · colour blue")
    assert page.url == f"{address}/?text=blue+top"
    expect(page.get_by_role("slider")).to_be_hidden()  # words have no shape
    page.get_by_text("Shape, colour, pattern").click()
    page.get_by_role("button", name="Red", exact=True).click()
    expect(page.locator(".understood")).to_have_text("Understood: kind Top · colour red")
    page.go_back()
    expect_first(page, "Blue top")
    page.locator("#text").fill("green skirt")
    page.get_by_role("button", name="Search in words").click()
    expect_first(page, "Green skirt")
    page.go_back()
    expect(page.locator("#text")).to_have_value("blue top")
    expect_first(page, "Blue top")


def test_words_beside_a_photo_and_a_new_photo_that_forgets_them(page, address):
    choose(page, SNAP)
    expect_first(page, "Red skirt")
    field = page.get_by_role("searchbox", name="In words, beside the photo")
    field.fill("blue")
    field.press("Enter")
    expect_first(page, "Blue top")
    assert "text=blue" in page.url
    choose(page, picture(RED, BLUE, width=300, height=400))
    expect_first(page, "Purple top")
    expect(field).to_have_value("")


def test_without_scripts_words_are_a_form_and_stay_beside_a_photo(browser, address):
    for page in opened(browser, address, java_script_enabled=False):
        page.locator("#text").fill("green skirt")
        page.keyboard.press("Enter")
        expect_first(page, "Green skirt")
        assert page.url == f"{address}/?text=green+skirt"
        page.locator("#text").fill("blue")
        choose(page, SNAP)
        page.locator(".words button").click()
        expect_first(page, "Blue top")


def test_the_filters_are_in_view_on_a_small_desktop(page):
    choose(page, SNAP)
    expect_first(page, "Red skirt")
    expect(page.locator("#results[aria-busy]")).to_have_count(0)
    first = page.locator("#filters fieldset input").first
    expect(first).to_be_visible()
    assert first.bounding_box()["y"] < 700
    page.get_by_text("Shape, colour, pattern").click()
    expect(page.get_by_role("slider")).to_be_visible()


@pytest.mark.skipif(not AXE.is_file(), reason="needs the Python package axe-playwright-python")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious_in_words(browser, address, scheme, width):
    for page in opened(
        browser, address, color_scheme=scheme, viewport={"width": width, "height": 720}, bypass_csp=True
    ):
        page.goto(f"{address}/?text=blue")
        expect_first(page, "Blue top")
        assert axe(page) == []
