"""The page in a real browser: what people do with mouse, finger and keyboard, and what they see.

The encoder sees the colour of the upper half as shape and of the whole as detail, so what must come first is known.
"""

import io
import shutil
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import web
from browsing import (
    AXE,
    Browser,
    Page,
    axe,
    choose,
    expect,
    expect_first,
    needs_browser,
    opened,
    status,
    sync_api,
)
from osoroi.records import Product
from osoroi.server.settings import Settings
from shop import BLUE, GREEN, RED, SeeingEncoder, entry, fill, goods, picture, serving

pytestmark = needs_browser


@pytest.fixture
def phone(browser: Browser, goods_url: str) -> Iterator[Page]:
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    options["reduced_motion"] = "reduce"  # the way to the results is no matter of time
    yield from opened(browser, goods_url, **options)


@pytest.fixture
def plain(browser: Browser, goods_url: str) -> Iterator[Page]:
    yield from opened(browser, goods_url, java_script_enabled=False)


def top_and_bottom(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> bytes:
    pixels = np.zeros((400, 300, 3), np.uint8)
    pixels[:200], pixels[200:] = top, bottom
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


WIDE = picture(RED, BLUE, width=400, height=500)
"""Left half red, right half blue."""


def box_of(page: Page) -> list[int]:
    return [int(side) for side in page.locator("#box-says").inner_text().split(": ")[1].split(", ")]


# -------------------------------------------------------------------- asking


def test_a_dropped_photo_finds_products_and_a_drawn_box_asks_for_one_garment(page):
    transfer = page.evaluate_handle(
        """(bytes) => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "snap.png", {type: "image/png"})); return data; }""",
        list(WIDE),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect_first(page, "Purple top")  # red and blue together
    stage = page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + 8, stage["y"] + 8)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.3, stage["y"] + 100, steps=3)
    page.mouse.move(stage["x"] + stage["width"] * 0.45, stage["y"] + stage["height"] - 8, steps=3)
    page.mouse.up()
    expect_first(page, "Red skirt")
    left, _, right, _ = box_of(page)
    scale = 400 / stage["width"]
    assert (left, right) == (pytest.approx(8 * scale, abs=2), pytest.approx(180, abs=2))
    # moved by its middle to the other half, then a corner pulled back over both halves
    box = page.locator("#box").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + stage["width"] * 0.52, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect_first(page, "Blue top")
    assert box_of(page)[2] - box_of(page)[0] == right - left  # moving keeps the size
    corner = page.locator("#box .corner.nw").bounding_box()
    page.mouse.move(corner["x"] + 18, corner["y"] + 18)
    page.mouse.down()
    page.mouse.move(stage["x"] + 4, stage["y"] + 4, steps=4)
    page.mouse.up()
    expect_first(page, "Purple top")
    assert box_of(page)[:2] == [pytest.approx(4 * scale, abs=2)] * 2


def test_the_box_can_be_drawn_moved_sized_and_removed_with_the_keyboard_alone(page):
    choose(page, WIDE)
    expect_first(page, "Purple top")
    page.locator("#draw").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#box")).to_be_focused()
    expect(page.locator("#box-says")).to_contain_text("100, 125, 300, 375")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowLeft")  # 5 times 5 % of the shorter side, 400: at the edge
    assert box_of(page) == [0, 125, 200, 375]
    expect_first(page, "Red skirt")
    page.keyboard.press("Tab")
    expect(page.locator("#box .corner.nw")).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert box_of(page) == [0, 129, 200, 375]
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.locator("#box .corner.se")).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert box_of(page) == [0, 129, 204, 375]
    page.keyboard.press("Delete")
    expect(page.locator("#box")).to_be_hidden()
    expect(page.locator("#draw")).to_be_focused()
    expect_first(page, "Purple top")


def test_a_pasted_photo_is_searched(page):
    page.evaluate(
        """(bytes) => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
        document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, cancelable: true})); }""",
        list(picture(GREEN, width=200, height=200)),
    )
    expect_first(page, "Green skirt")


def test_a_photo_that_lies_on_its_side_is_shown_and_searched_upright(page):
    """EXIF says: turn by 90 degrees. Upright, the left half is red; as stored, the lower half is."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[150:], pixels[:150] = RED, BLUE
    picture_, file = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture_.save(file, "JPEG", exif=exif, quality=95)
    choose(page, file.getvalue(), "side.jpg")
    expect_first(page, "Purple top")
    frame = page.locator("#stage").bounding_box()
    assert frame["height"] > frame["width"]
    page.mouse.move(frame["x"] + 2, frame["y"] + 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.45, frame["y"] + frame["height"] - 3, steps=4)
    page.mouse.up()
    expect_first(page, "Red skirt")


def test_a_finger_taps_a_box_and_a_phone_shows_everything_without_scrolling_sideways(phone):
    choose(phone, WIDE)
    expect_first(phone, "Purple top")
    phone.evaluate("scrollTo({ top: 0, behavior: 'instant' })")  # from the products, which came into view
    stage = phone.locator("#stage").bounding_box()
    phone.touchscreen.tap(stage["x"] + stage["width"] * 0.2, stage["y"] + stage["height"] / 2)
    expect(phone.locator("#box")).to_be_visible()
    expect_first(phone, "Red skirt")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert not phone.locator("#filters").evaluate("filters => filters.open")
    expect(phone.locator("label[for=camera]")).to_be_hidden()  # there is a photo already
    phone.goto(phone.url.split("?")[0])
    expect(phone.locator("label[for=camera]")).to_be_visible()


# -------------------------------------------------------------------- the controls


def test_the_slider_goes_from_shape_to_colour_and_knows_the_encoders_own_weight(page):
    choose(page, top_and_bottom(RED, BLUE))  # its upper half is red, its mean is purple
    expect(page.locator(".strip").nth(0).locator("img").first).to_have_attribute("alt", "More like Red skirt")
    expect(page.locator(".strip").nth(1).locator("img").first).to_have_attribute("alt", "More like Purple top")
    expect(page.locator("#own")).to_be_hidden()
    page.locator("#slider").focus()
    page.keyboard.press("Home")
    expect_first(page, "Red skirt")
    expect(page.locator("#own")).to_be_visible()
    page.keyboard.press("End")
    expect_first(page, "Purple top")
    assert "detail=1" in page.url
    page.click("#own")
    page.wait_for_url(lambda url: "detail" not in url)
    assert page.locator("#slider").input_value() == "0.5"
    page.get_by_role("link", name="By shape").click()
    expect_first(page, "Red skirt")
    assert page.locator("#slider").input_value() == "0"


def test_filters_narrow_what_is_found_count_what_is_left_and_are_cleared(page):
    choose(page, picture(RED, width=200, height=200))
    expect_first(page, "Red skirt")
    page.get_by_label("Tops").check()
    expect_first(page, "Purple top")
    expect(page.locator(".grid .card")).to_have_count(2)
    count = lambda of: page.locator(f'[data-count="{of}"]')  # noqa: E731
    expect(count("brand=Aoi")).to_have_text("1")  # of the tops; before it was 2
    expect(count("category=skirts")).to_have_text("2")  # what choosing it too would add
    page.locator("[name=below]").fill("5000")
    page.keyboard.press("Enter")
    expect(page.locator(".grid .card h3")).to_have_text(["Blue top"])
    page.get_by_label("Sale").check()
    expect(page.locator(".grid .card h3")).to_have_text(["Blue top"])
    page.locator("[name=below]").fill("100")
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("Nothing in the shop matches these filters")
    page.get_by_role("link", name="Clear filters").last.click()
    expect(page.locator(".grid .card")).to_have_count(5)
    assert "category" not in page.url


def test_more_like_this_asks_with_the_product_and_back_returns_to_the_photo(page):
    choose(page, picture(BLUE, width=200, height=200))
    expect_first(page, "Blue top")
    page.get_by_role("link", name="More like Blue top").last.click()
    page.wait_for_url("**product=P3**")
    expect_first(page, "Purple top")  # itself is left out
    expect(page.locator(".grid .card")).to_have_count(4)
    assert "/v1/photo?id=P3%2F0" in page.locator("#query-photo").get_attribute("src")
    page.go_back()
    expect_first(page, "Blue top")
    assert page.locator("#query-photo").get_attribute("src").startswith("blob:")
    page.go_back()
    expect(page.locator(".hero h1")).to_be_visible()
    expect(page.locator("h2")).to_have_text("Or begin with something from the shop")
    page.go_forward()
    expect_first(page, "Blue top")


def test_an_address_is_all_a_friend_needs(page, browser, goods_url):
    page.get_by_role("link", name="More like Red skirt").last.click()
    expect_first(page, "Purple top")
    page.get_by_label("Tops").check()
    expect(page.locator(".grid .card")).to_have_count(2)
    page.locator("#slider").focus()
    page.keyboard.press("End")
    page.wait_for_url("**detail=1**")
    titles = page.locator(".grid .card h3").all_inner_texts()
    friend = browser.new_context(locale="ja-JP").new_page()
    friend.goto(page.url)
    assert friend.locator(".grid .card h3").all_inner_texts() == titles
    assert friend.get_by_label("トップス").is_checked()
    assert friend.locator("#slider").input_value() == "1"
    friend.context.close()


def test_a_reloaded_photo_has_to_be_chosen_again_and_the_page_says_so(page):
    choose(page, picture(RED, width=200, height=200))
    expect_first(page, "Red skirt")
    page.reload()
    expect(page.get_by_text("Choose your photo again")).to_be_visible()


def test_the_switch_shows_what_was_looked_at(page):
    choose(page, picture(RED, width=200, height=260))
    expect_first(page, "Red skirt")
    before = page.locator("#query-photo").get_attribute("src")
    page.get_by_label("Show what was looked at").check()
    page.wait_for_function("before => document.querySelector('#query-photo').src !== before", arg=before)
    colours = page.evaluate(
        """async () => { const image = document.querySelector("#query-photo"); await image.decode();
        const canvas = document.createElement("canvas"); canvas.width = image.naturalWidth;
        canvas.height = image.naturalHeight; const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);
        const at = (x) => [...context.getImageData(x * canvas.width, canvas.height / 2, 1, 1).data].slice(0, 3);
        return [at(0.05), at(0.95)]; }"""
    )
    assert np.abs(np.array(colours[0]) - RED).max() < 30
    assert min(colours[1]) > 180  # the right half, which this encoder passes over
    expect(page.locator(".grid img").first).to_have_attribute("src", "/v1/photo?id=P1%2F0&width=480&saliency=1")
    page.get_by_label("Show what was looked at").uncheck()
    page.wait_for_function("before => document.querySelector('#query-photo').src === before", arg=before)


def test_several_photos_of_a_product_are_shown_where_the_pointer_is(page):
    shots = page.locator(".card", has_text="Purple top").locator(".shots")
    frame = shots.bounding_box()
    shown = lambda: shots.locator("img").nth(1).evaluate("image => getComputedStyle(image).opacity")  # noqa: E731
    page.mouse.move(frame["x"] + frame["width"] * 0.2, frame["y"] + 40)
    assert shown() == "0"
    page.mouse.move(frame["x"] + frame["width"] * 0.8, frame["y"] + 40)
    page.wait_for_timeout(400)
    assert shown() == "1"


def test_show_more_adds_products_until_all_are_there(browser, tmp_path):
    encoder = SeeingEncoder()
    many = [entry(encoder, Product(f"N{n:02}", f"Skirt {n}"), picture((200, 4 * n, 20))) for n in range(50)]
    with fill(tmp_path / "shop", encoder, many) as catalog, serving(encoder, catalog) as address:
        for page in opened(browser, address):
            choose(page, picture(RED, width=200, height=200))
            expect(page.locator(".grid .card")).to_have_count(24)
            page.get_by_role("link", name="Show more").click()
            expect(page.locator(".grid .card")).to_have_count(48)
            assert "k=48" in page.url
            page.get_by_role("link", name="Show more").click()
            expect(page.locator(".grid .card")).to_have_count(50)
            expect(page.get_by_role("link", name="Show more")).to_have_count(0)
            page.go_back()
            expect(page.locator(".grid .card")).to_have_count(48)
            page.get_by_role("link", name="More like Skirt 5", exact=True).last.click()
            expect(page.locator(".grid .card")).to_have_count(24)  # another search begins with the usual number
            assert "k=" not in page.url


def test_another_language_keeps_the_photo_and_its_box(page):
    choose(page, WIDE)
    page.locator("#draw").click()
    expect(page.locator("#box-says")).to_contain_text("100, 125, 300, 375")
    expect_first(page, "Purple top")
    for name, lang in (("日本語", "ja"), ("English", "en")):
        page.locator(".languages").get_by_text(name).click()
        expect(page.locator("html")).to_have_attribute("lang", lang)
        expect_first(page, "Purple top")
        assert page.locator("#query-photo").get_attribute("src").startswith("data:image/jpeg")
        expect(page.locator("#box")).to_be_visible()
    page.keyboard.press("Tab")
    page.locator("#slider").focus()
    page.keyboard.press("Home")  # scripts go on with it
    expect(page.locator(".grid .card")).to_have_count(5)


def test_a_picture_that_is_gone_leaves_its_frame_and_no_torn_page(browser, tmp_path):
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog, serving(encoder, catalog) as address:
        shutil.rmtree(catalog.folder / "photos")
        for page in opened(browser, address):
            expect(page.locator(".grid img.broken").nth(4)).to_be_attached()
            image = page.locator(".grid img").first
            expect(image).to_be_hidden()
            frame = page.locator(".shots").first
            assert frame.evaluate("frame => getComputedStyle(frame, '::after').content") == '"no photo"'


# -------------------------------------------------------------------- when things go wrong


def test_a_broken_file_is_named_as_such_and_the_next_photo_works(page):
    choose(page, b"this is no photo", "notes.jpg")
    expect(page.locator("#another")).to_be_visible()
    for gone in ("#stage", "#draw", "#find", "#whole"):
        expect(page.locator(gone)).to_be_hidden()
    expect(page.get_by_role("alert")).to_contain_text("This file cannot be read as a photo")
    choose(page, picture(RED, width=200, height=200))
    expect_first(page, "Red skirt")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_server_that_is_gone_is_said_and_asked_again(browser, tmp_path):
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog, serving(encoder, catalog) as address:
        for page in opened(browser, address):
            choose(page, picture(RED, width=200, height=200))
            expect_first(page, "Red skirt")
            page.context.set_offline(True)
            page.locator("#slider").focus()
            page.keyboard.press("End")
            expect(page.get_by_role("alert")).to_contain_text("The shop does not answer")
            expect(page.locator(".grid .card")).to_have_count(5)  # the old results stay
            page.context.set_offline(False)
            page.get_by_role("button", name="Try again").click()
            expect(page.get_by_role("alert")).to_have_count(0)
            expect_first(page, "Red skirt")


def test_a_busy_server_is_asked_again_by_itself(page):
    answers = iter([503, 503])

    def busy(route: sync_api.Route) -> None:
        if next(answers, None):
            route.fulfill(status=503, headers={"Retry-After": "0.1", "Content-Type": "text/html"}, body="busy")
        else:
            route.continue_()

    page.route("**/results", busy)
    choose(page, picture(RED, width=200, height=200))
    expect_first(page, "Red skirt")


def test_results_stay_dimmed_in_their_place_until_the_new_ones_are_there(page):
    choose(page, picture(RED, width=200, height=200))
    expect_first(page, "Red skirt")
    top = page.locator(".grid").bounding_box()["y"]

    held: list[sync_api.Route] = []
    go_on = threading.Event()

    def later(route: sync_api.Route) -> None:
        route.continue_() if go_on.is_set() else held.append(route)

    page.route("**/results", later)
    page.locator("#slider").focus()
    page.keyboard.press("Home")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    expect(page.locator(".grid .card")).to_have_count(5)
    while not held:
        page.wait_for_timeout(20)
    go_on.set()
    for route in held:
        route.continue_()
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    assert page.locator(".grid").bounding_box()["y"] == top


def test_an_empty_shop_says_how_to_fill_it(browser, tmp_path):
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, []) as catalog, serving(encoder, catalog) as address:
        for page in opened(browser, address):
            expect(page.get_by_text("osoroi add CATALOG")).to_be_visible()
            choose(page, picture(RED, width=200, height=200))
            expect(status(page)).to_contain_text("nothing else in the shop")


# -------------------------------------------------------------------- without scripts


def test_everything_needed_works_without_scripts(plain):
    choose(plain, WIDE)
    plain.get_by_role("button", name="Search", exact=True).click()
    expect_first(plain, "Purple top")
    for side, value in {"left": 0, "top": 0, "right": 200, "bottom": 500}.items():
        plain.locator(f"[name={side}]").fill(str(value))
    plain.get_by_role("button", name="Search", exact=True).click()  # the page carries the photo
    expect_first(plain, "Red skirt")
    plain.get_by_label("Tops").check()
    plain.get_by_role("button", name="Search", exact=True).click()
    expect(plain.locator(".grid .card")).to_have_count(2)
    plain.get_by_role("button", name="日本語").click()
    expect(plain.locator("html")).to_have_attribute("lang", "ja")
    expect(plain.locator(".grid .card")).to_have_count(2)  # photo, box and filter came along
    plain.get_by_role("button", name="English").click()
    plain.get_by_role("link", name="More like Blue top").last.click()
    expect_first(plain, "Purple top")
    assert "product=P3" in plain.url


# -------------------------------------------------------------------- for everybody


@pytest.mark.parametrize("language", ["en-GB", "ja-JP"])
def test_the_page_speaks_the_readers_language(browser, goods_url, language):
    words = {"en-GB": ("Find what she is wearing.", "¥3,900"), "ja-JP": ("その服、見つけます。", "3,900円")}[language]
    for page in opened(browser, goods_url, locale=language):
        expect(page.locator("h1")).to_have_text(words[0])
        expect(page.locator(".card", has_text="Red skirt").locator(".price")).to_contain_text(words[1])
        assert page.locator("html").get_attribute("lang") == language[:2]
        page.get_by_role("link", name="日本語").click()
        expect(page.locator("html")).to_have_attribute("lang", "ja")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious(browser, goods_url, scheme, width):
    if not AXE.is_file():
        pytest.skip("needs the Python package axe-playwright-python")
    for page in opened(
        browser, goods_url, color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    ):
        found = axe(page)
        choose(page, WIDE)
        expect_first(page, "Purple top")
        page.locator("#draw").click()
        page.wait_for_load_state("networkidle")
        found += axe(page)
        page.get_by_label("Tops").evaluate("box => box.click()")
        page.locator("[name=above]").evaluate("(input) => { input.value = 99999; input.form.requestSubmit(); }")
        expect(status(page)).to_contain_text("Nothing")
        found += axe(page)
        assert found == []


def test_keys_open_the_page_with_the_dialog_of_the_browser(browser, tmp_path):
    encoder = SeeingEncoder()
    settings = Settings(read_key="r" * 20, write_key="w" * 20)
    with (
        fill(tmp_path / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, settings) as address,
    ):
        options = {"http_credentials": {"username": "me", "password": "r" * 20}}
        for page in opened(browser, address, **options):
            choose(page, picture(RED, width=200, height=200))
            expect_first(page, "Red skirt")


def test_what_changes_in_the_shop_is_on_the_next_page(page, goods_url, tmp_path):
    assert web.put(f"{goods_url}/v1/products/NEW", files={"photo": picture((200, 190, 20))}).status_code == 200
    try:
        choose(page, picture((200, 190, 20), width=200, height=200))
        expect_first(page, "NEW")
    finally:
        assert web.delete(f"{goods_url}/v1/products/NEW").status_code == 200
