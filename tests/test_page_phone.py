"""The page on a phone with a photo of somebody in many garments: each can be tapped, and what was chosen is in view."""

from collections.abc import Iterator
from typing import Any

import pytest

from browsing import Page, expect, needs_browser, opened, snap
from osoroi.garments import Garment
from osoroi.records import Box
from shop import BLUE, RED, picture, serving_finds

pytestmark = needs_browser

PHOTO = picture(RED, BLUE, width=400, height=600)
WORN = [
    Garment(Box(*box), kind, 1.0, 0, {kind: 1.0})
    for kind, box in (
        ("outerwear", (90, 110, 310, 400)),
        ("top", (140, 120, 260, 320)),
        ("dress", (130, 120, 270, 430)),
        ("skirt", (130, 310, 270, 430)),
        ("legwear", (150, 420, 250, 560)),
        ("shoes", (150, 550, 250, 590)),
        ("bag", (270, 280, 360, 400)),
        ("scarf", (150, 90, 250, 180)),
    )
]

PHONE = {"viewport": {"width": 390, "height": 664}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}

COVERED = """all => all.filter((one) => {
  one.scrollIntoView({ block: "center", behavior: "instant" });
  const { left, top, width, height } = one.getBoundingClientRect();
  return !one.contains(document.elementFromPoint(left + width / 2, top + height / 2));
}).map((one) => one.textContent)"""


UNDER_NUMBERS = """corners => corners.filter((corner) => {
  const { left, top, width, height } = corner.getBoundingClientRect();
  return document.elementFromPoint(left + width / 2, top + height / 2)?.matches(".number");
}).length"""


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_finds(tmp_path_factory.mktemp("phone") / "shop", WORN) as address:
        yield address


@pytest.fixture
def page_options() -> dict[str, Any]:
    return PHONE | {"reduced_motion": "reduce"}


def expect_at_results(page: Page) -> None:
    """The results begin at the upper edge of the screen, soon."""
    for _ in range(100):
        top = page.locator("#results").evaluate("region => region.getBoundingClientRect().top")
        if abs(top - 12) < 3:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the results begin at {top}")


def test_no_garment_covers_another_on_a_phone_whichever_is_chosen(page):
    snap(page, PHOTO, len(WORN))
    expect(page.locator("#stage .number")).to_have_count(len(WORN))
    for number in range(1, len(WORN) + 1):
        page.locator(f"#garments [data-garment='{number}']").tap()
        expect(page.locator(f"#garments [data-garment='{number}']")).to_have_attribute("aria-current", "true")
        assert page.locator("#garments .garment").evaluate_all(COVERED) == []
        assert page.locator("#stage .number").evaluate_all(COVERED) == []
        assert page.locator("#box .corner").evaluate_all(UNDER_NUMBERS) == 0


def test_a_number_on_the_photo_chooses_its_garment(page):
    snap(page, PHOTO, len(WORN))
    page.locator("#stage .number[data-garment='6']").tap()
    expect(page.locator("#garments [aria-current]")).to_have_text(["Shoes"])
    expect(page.locator("#stage .number.chosen")).to_have_text(["6"])


def test_the_row_of_garments_keeps_the_keyboard_and_a_wide_screen_has_them_over_the_photo_again(page):
    page.locator("#file").focus()
    snap(page, PHOTO, len(WORN))
    expect(page.locator("#stage .number")).to_have_count(len(WORN))
    expect(page.locator("#garments [aria-current]")).to_be_focused()
    buttons = page.get_by_role("group", name="Garments in the photo").get_by_role("button")
    expect(buttons).to_have_count(len(WORN))
    page.keyboard.press("Tab")
    expect(buttons.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(buttons.nth(1)).to_have_attribute("aria-current", "true")
    expect(buttons.nth(1)).to_be_focused()
    page.set_viewport_size({"width": 1280, "height": 1400})
    expect(page.locator("#stage .number")).to_have_count(0)
    expect(page.locator("#stage #garments")).to_have_count(1)
    expect(buttons.nth(1)).to_be_focused()
    assert page.locator("#garments .garment").evaluate_all(COVERED) == []


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_results_come_into_view_after_a_photo_and_after_the_whole_look(browser, page_url, motion):
    for page in opened(browser, page_url, **PHONE, reduced_motion=motion):
        snap(page, PHOTO, len(WORN))
        expect_at_results(page)
        page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
        page.get_by_role("button", name="The whole look").tap()
        expect(page.locator(".outcome.row")).to_have_count(len(WORN))
        expect_at_results(page)


def test_who_scrolls_or_types_meanwhile_stays_there(page):
    def slowly(route) -> None:
        page.evaluate("() => { scrollTo({ top: 90, behavior: 'instant' }) }")
        route.continue_()

    page.route("**/results", slowly)
    snap(page, PHOTO, len(WORN))
    assert page.evaluate("scrollY") == 90
    page.unroute("**/results")
    page.locator("#text").tap()
    page.keyboard.type("blue")
    before = page.evaluate("scrollY")
    page.keyboard.press("Enter")
    expect(page.locator(".understood")).to_be_visible()
    assert page.evaluate("scrollY") == before


def test_on_a_wide_screen_nothing_scrolls(browser, page_url):
    for page in opened(browser, page_url):
        snap(page, PHOTO, len(WORN))
        assert page.evaluate("scrollY") == 0
