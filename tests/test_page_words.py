"""Words on the page in a real browser, alone and beside a photo, and what a small screen shows."""

from typing import Any

import pytest

from browsing import AXE, axe, choose, expect, expect_first, needs_browser, opened
from effort import Effort
from osoroi.catalog.filters import COLUMNS
from osoroi.server.pages.url_state import UrlState, from_pairs
from osoroi.server.settings import Settings
from shop import BLUE, RED, picture

pytestmark = needs_browser

SNAP = picture(RED, width=300, height=400)


@pytest.fixture
def page_options() -> dict[str, Any]:
    return {"viewport": {"width": 1280, "height": 720}}


def test_words_alone_bring_products_and_are_in_the_address(page, goods_url):
    page.get_by_role("searchbox", name="Or in words").fill("blue top")
    page.keyboard.press("Enter")
    expect_first(page, "Blue top")
    expect(page.locator(".understood")).to_have_text("Understood: kind Top · colour blue")
    assert page.url == f"{goods_url}/?text=blue+top"
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


def test_words_beside_a_photo_and_a_new_photo_that_forgets_them(page, goods_url):
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


def test_without_scripts_words_are_a_form_and_stay_beside_a_photo(browser, goods_url):
    for page in opened(browser, goods_url, java_script_enabled=False):
        page.locator("#text").fill("green skirt")
        page.keyboard.press("Enter")
        expect_first(page, "Green skirt")
        assert page.url == f"{goods_url}/?text=green+skirt"
        page.locator("#text").fill("blue")
        choose(page, SNAP)
        page.locator(".words button").click()
        expect_first(page, "Blue top")


def test_words_that_are_typed_later_go_before_a_colour_and_a_colour_that_is_pressed_later_before_words(page):
    choose(page, SNAP)
    expect_first(page, "Red skirt")
    page.get_by_text("Shape, colour, pattern").click()
    green = page.get_by_role("button", name="Green", exact=True)
    green.click()
    expect(green).to_have_attribute("aria-pressed", "true")
    field = page.get_by_role("searchbox", name="In words, beside the photo")
    field.fill("skirt")  # names no colour: that of the chip stays
    field.press("Enter")
    expect(page.locator(".understood")).to_have_text("Understood: kind Skirt · colour green")
    field.fill("blue top")
    field.press("Enter")
    expect(page.locator(".understood")).to_have_text("Understood: kind Top · colour blue")
    expect(green).to_have_attribute("aria-pressed", "false")
    assert "detail_from" not in page.url
    green.click()
    expect(page.locator(".understood")).to_have_text("Understood: kind Top · colour green")
    page.set_input_files("#detail-file", {"name": "a.png", "mimeType": "image/png", "buffer": picture(RED)})
    expect(page.locator("#detail-stage")).to_be_visible()
    expect(page.locator(".understood")).to_have_text("Understood: kind Top · colour blue")
    field.fill("red top")
    field.press("Enter")
    expect(page.locator(".understood")).to_have_text("Understood: kind Top · colour red")
    expect(page.locator("#detail-stage")).to_be_hidden()


def test_without_scripts_words_that_are_typed_later_go_before_a_colour(browser, goods_url):
    for page in opened(browser, goods_url, java_script_enabled=False):
        page.goto(f"{goods_url}/?text=skirt&detail_from=%2314a028")
        expect(page.locator(".understood")).to_have_text("Understood: kind Skirt · colour green")
        page.locator("#text").fill("blue top")
        page.keyboard.press("Enter")
        expect_first(page, "Blue top")
        assert page.url == f"{goods_url}/?text=blue+top"


@pytest.mark.parametrize(
    ("pairs", "color"),
    [
        ({"text": "blue top"}, "red"),  # an address
        ({"text": "blue top", "text_before": "blue top"}, "red"),
        ({"text": "blue top", "text_before": ""}, None),
        ({"text": "wool top", "text_before": "blue top"}, "red"),
        ({"text": "", "text_before": "blue top"}, "red"),
        ({"text": "blue top", "text_before": "", "to_color": "green"}, "green"),
    ],
)
def test_what_was_said_last_is_the_colour(pairs, color):
    state = from_pairs([("detail_from", "red"), *pairs.items()], Settings(), COLUMNS)
    assert state.detail_from == color
    assert "before" not in state.address()


def test_an_address_of_many_choices_is_read_in_no_time():
    """Comparing each choice with all before it took seconds, on the thread that answers everybody."""
    with Effort() as effort:
        state = from_pairs([("category", f"c{number % 30_000}") for number in range(60_000)], Settings(), COLUMNS)
    assert state == UrlState(choices={"category": tuple(f"c{number}" for number in range(30_000))})
    assert effort.units < 150


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
def test_axe_finds_nothing_serious_in_words(browser, goods_url, scheme, width):
    for page in opened(
        browser, goods_url, color_scheme=scheme, viewport={"width": width, "height": 720}, bypass_csp=True
    ):
        page.goto(f"{goods_url}/?text=blue")
        expect_first(page, "Blue top")
        assert axe(page) == []
