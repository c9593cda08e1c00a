"""What the page says where no list of products comes, and where what was dropped is no photo, or several."""

from collections.abc import Iterator

import pytest

from browsing import Browser, Page, choose, expect, expect_first, needs_browser, opened, sync_api
from shop import BLUE, RED, picture

pytestmark = needs_browser

CANVAS = """
const photo = async (color) => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 200, height: 200 });
  const context = canvas.getContext('2d');
  context.fillStyle = color;
  context.fillRect(0, 0, 200, 200);
  return new File([await new Promise((done) => canvas.toBlob(done))], `${color}.png`, { type: 'image/png' });
};
"""


@pytest.fixture
def japanese(browser: Browser, goods_url: str) -> Iterator[Page]:
    yield from opened(browser, goods_url, locale="ja-JP")


def drop(page: Page, fill: str, on: str = "body") -> bool:
    """Drop what ``fill`` puts into ``dt``; whether the page took it."""
    return bool(
        page.evaluate(
            f"async () => {{ {CANVAS} const dt = new DataTransfer(); {fill};"
            f" const at = document.querySelector('{on}');"
            " const event = (type) => new DragEvent(type, { dataTransfer: dt, bubbles: true, cancelable: true });"
            " const over = !at.dispatchEvent(event('dragover')); const dropped = !at.dispatchEvent(event('drop'));"
            " return over && dropped; }"
        )
    )


def answered(page: Page, status: int, *, after: str = "0.1", html: bool = True) -> list[str]:
    """Search again, with this answer in place of the service's; gives the requests that came."""
    choose(page, picture(RED, width=200, height=200))
    expect_first(page, "Red skirt")
    came: list[str] = []

    def answer(route: sync_api.Route) -> None:
        came.append(route.request.url)
        kind = "text/html" if html else "application/json"
        route.fulfill(status=status, headers={"Content-Type": kind, "Retry-After": after}, body="<h1>proxy</h1>")

    page.route("**/results", answer)
    page.locator("#slider").focus()
    page.keyboard.press("End")
    return came


@pytest.mark.parametrize(
    ("status", "html", "says", "offers"),
    [
        (413, True, "This photo is too large", False),
        (415, False, "cannot be read as a photo", False),
        (401, False, "not open to everybody", False),
        (429, True, "Many people are searching", True),
        (503, False, "Many people are searching", True),
        (502, True, "The shop cannot answer just now", True),
        (200, True, "The shop cannot answer just now", True),
    ],
)
def test_an_answer_of_a_proxy_is_said_in_words_and_the_old_results_stay(page, status, html, says, offers):
    came = answered(page, status, html=html)
    expect(page.get_by_role("alert")).to_contain_text(says)
    expect(page.locator("#results[aria-busy]")).to_have_count(0)
    assert page.locator(".grid .card").count() == 5
    assert page.get_by_role("button", name="Try again").count() == offers
    assert len(came) == (4 if status in (429, 503) else 1), "only a busy server is asked again by itself"
    if status == 502:
        expect(page.get_by_role("alert")).to_contain_text("(502)")
    page.unroute("**/results")
    if offers:
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator(".grid .card")).to_have_count(5)


def test_a_server_that_asks_for_an_hour_is_not_waited_for(page):
    came = answered(page, 503, after="3600")
    expect(page.get_by_role("alert")).to_contain_text("Many people are searching")
    assert len(came) == 1


def test_a_photo_that_is_too_large_is_called_that_in_japanese(japanese):
    answered(japanese, 413)
    expect(japanese.get_by_role("alert")).to_contain_text("写真が大きすぎます")


def test_a_file_larger_than_the_service_takes_is_called_too_large(page, tmp_path):
    """The browser cannot draw it, so it goes to the service as it is, which answers 413."""
    (tmp_path / "huge.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(33 * 2**20))
    page.set_input_files("#file", tmp_path / "huge.heic")
    expect(page.get_by_role("alert")).to_contain_text("This photo is too large")


def test_a_link_that_is_dropped_is_no_photo_and_that_is_said(page):
    assert drop(page, "dt.items.add('https://shop.example/coat.jpg', 'text/uri-list')")
    expect(page.get_by_role("alert")).to_contain_text("That was no photo. Save the picture first")
    choose(page, picture(BLUE, width=200, height=200))
    expect_first(page, "Blue top")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_of_several_photos_the_first_is_searched_and_that_is_said(page):
    files = "for (const color of ['rgb(20 40 200)', 'rgb(200 20 20)']) dt.items.add(await photo(color))"
    assert drop(page, files)
    expect_first(page, "Blue top")
    expect(page.locator("#results > .notice")).to_contain_text("Only one photo is searched at a time")
    page.locator("#slider").focus()
    page.keyboard.press("End")
    expect(page.locator("#results > .notice")).to_have_count(0)


def test_words_can_be_dragged_into_the_field_of_words(page):
    assert not drop(page, "dt.items.add('red skirt', 'text/plain')", on="input[name=text]")
    assert page.get_by_role("alert").count() == 0
    assert drop(page, "dt.items.add(await photo('rgb(200 20 20)'))", on="input[name=text]"), (
        "a photo is searched anywhere"
    )
    expect_first(page, "Red skirt")


def test_the_photo_that_was_chosen_last_is_searched_however_long_the_one_before_takes(page):
    page.evaluate(
        "() => { const real = window.createImageBitmap; let first = true;"
        " window.createImageBitmap = async (...of) => { const slow = first; first = false;"
        " if (slow) await new Promise((done) => setTimeout(done, 1500)); return real(...of); }; }"
    )
    for color in (RED, BLUE):
        data = picture(color, width=200, height=200)
        page.set_input_files("#file", {"name": "snap.png", "mimeType": "image/png", "buffer": data})
    expect_first(page, "Blue top")
    page.wait_for_timeout(2000)
    expect_first(page, "Blue top")


def test_in_colours_of_the_readers_own_the_slider_has_a_line_and_what_is_chosen_differs(browser, goods_url):
    for page in opened(browser, goods_url, forced_colors="active"):
        choose(page, picture(RED, width=200, height=200))
        expect_first(page, "Red skirt")
        look = "([of, pseudo, name]) => getComputedStyle(document.querySelector(of), pseudo)[name]"
        paper = page.evaluate(look, ["body", None, "backgroundColor"])
        assert page.evaluate(look, [".track", "::before", "backgroundColor"]) != paper
        page.locator(".chip").first.click()
        expect(page.locator(".chip[aria-pressed=true]")).to_have_count(1)
        other = page.evaluate(look, [".chip[aria-pressed=false]", None, "borderTopColor"])
        assert page.evaluate(look, [".chip[aria-pressed=true]", None, "borderTopColor"]) != other
