"""The page with a photo of somebody: garments over the photo, a list for each, the whole look, colours and patterns.

The person is drawn, the networks that find garments are those that ship, and the encoder sees the colour of the upper
half as shape and of the whole as detail.
"""

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import web
from browsing import (
    AXE,
    FilePayload,
    FloatRect,
    Locator,
    Page,
    axe,
    choose,
    expect,
    expect_first,
    needs_browser,
    opened,
)
from osoroi import garments
from osoroi.catalog.local import LocalCatalog
from osoroi.data.synthetic.outfits import outfits
from osoroi.garments import Garment
from osoroi.garments.find import find, find_in
from osoroi.image import Reduced
from osoroi.records import Box, Product
from osoroi.search import Searcher
from osoroi.server.finding import Finder
from osoroi.server.pages import outfit
from osoroi.server.pages.routes import NEXT
from shop import BLUE, GREEN, RED, SeeingEncoder, entry, fill, goods, picture, serving

pytestmark = needs_browser


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


SNAP = jpeg(outfits(1, 5).photo)
"""Somebody whose trousers, top and shoes are found in any JPEG."""

NAMES = {"top": "Blouse", "trousers": "Trousers", "shoes": "Shoes"}


class Remembered:
    """Finds the garments of a photo with the networks that ship, once: most tests choose the same photo."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, int, Box | None], list[Garment]] = {}

    def __call__(self, photo: Reduced, *, box: Box | None = None) -> list[Garment]:
        key = (hashlib.sha256(photo.photo.tobytes()).digest(), photo.factor, box)
        if key not in self._known:
            self._known[key] = find_in(photo, box=box)
        return self._known[key]


def halves(garment: Garment) -> bytes:
    """A product photo in two colours: those of the upper and of the lower half of a garment's box."""
    box, pixels = garment.box, np.asarray(Image.open(io.BytesIO(SNAP)))
    middle = (box.top + box.bottom) // 2
    colors = [
        pixels[top:bottom, box.left : box.right].mean((0, 1))
        for top, bottom in ((box.top, middle), (middle, box.bottom))
    ]
    return jpeg(np.repeat(np.repeat(np.array(colors)[:, None], 60, axis=1), 40, axis=0).astype(np.uint8))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    clothes = [
        entry(encoder, Product(NAMES[garment.kind].upper(), NAMES[garment.kind]), halves(garment))
        for garment in find(SNAP)
    ]
    worn = entry(encoder, Product("WORN", "As worn", "coats"), SNAP)
    with fill(tmp_path_factory.mktemp("page") / "shop", encoder, [*goods(encoder), *clothes, worn]) as catalog:
        yield catalog


@pytest.fixture(scope="module")
def page_url(catalog: LocalCatalog) -> Iterator[str]:
    with serving(SeeingEncoder(), catalog, finder=Finder(1, find=Remembered())) as address:
        yield address


@pytest.fixture(scope="module")
def expected(catalog: LocalCatalog) -> list[tuple[Garment, str]]:
    """The garments of the photo, and the title that comes first for each."""
    searcher = Searcher(SeeingEncoder(), catalog)
    lists = [(garment, searcher.search(SNAP, box=garment.box, k=1)) for garment in find(SNAP)]
    return [(garment, hits[0].product.title) for garment, hits in lists]


def in_color(catalog: LocalCatalog, garment: Garment, color: str | None = "#161616") -> str:
    """The title that comes first for a garment in a colour, or in its own, by colour alone."""
    hits = Searcher(SeeingEncoder(), catalog).search(SNAP, box=garment.box, k=1, detail=1.0, detail_from=color)
    return hits[0].product.title


def names(page: Page) -> list[str]:
    return page.locator("#garments .garment").all_inner_texts()


def number_of(expected: Sequence[tuple[Garment, str]], kind: str) -> int:
    return next(place for place, (garment, _) in enumerate(expected, start=1) if garment.kind == kind)


CHOSEN = "#garments [aria-current=true]"


def chosen(page: Page) -> list[str]:
    return page.locator(CHOSEN).all_inner_texts()


def snapped(page: Page) -> None:
    choose(page, SNAP, "snap.jpg")
    expect(page.locator("#garments .garment").first).to_be_visible()
    expect(page.locator("#results[aria-busy]")).to_have_count(0)


def bounds(locator: Locator) -> FloatRect:
    """Where something stands on the page; it must be there."""
    box = locator.bounding_box()
    assert box is not None
    return box


def first_group(pattern: str, text: str) -> str:
    """What the first group of a pattern matches, which must be there."""
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def box_on_photo(page: Page, selector: str = "#box") -> list[float]:
    """The box as shares of the photo."""
    stage, box = bounds(page.locator("#stage")), bounds(page.locator(selector))
    left, top = (box["x"] - stage["x"]) / stage["width"], (box["y"] - stage["y"]) / stage["height"]
    return [left, top, left + box["width"] / stage["width"], top + box["height"] / stage["height"]]


def shares(box: Box) -> list[float]:
    return [box.left / 400, box.top / 600, box.right / 400, box.bottom / 600]


# -------------------------------------------------------------------- garments


def test_a_photo_shows_its_garments_and_the_lists_of_all_come_in_one_answer(page, expected):
    requests = []
    page.on("request", lambda request: requests.append(request.url) if "/results" in request.url else None)
    snapped(page)
    assert [name.lower() for name in names(page)] == [garment.kind for garment, _ in expected]
    assert len({title for _, title in expected}) == 3
    assert chosen(page) == names(page)[:1]
    expect(page.locator(".outcome h2").first).to_have_text(names(page)[0])
    expect_first(page, expected[0][1])
    assert box_on_photo(page) == pytest.approx(shares(expected[0][0].box), abs=0.02)
    page.wait_for_load_state("networkidle")
    for place, (garment, title) in enumerate(expected[1:], start=2):
        page.locator(f"#garments [data-garment='{place}']").click()
        expect_first(page, title)
        assert box_on_photo(page) == pytest.approx(shares(garment.box), abs=0.02)
        assert f"garment={place}" in page.url
    assert len(requests) == 1
    for place, (garment, title) in reversed(list(enumerate(expected[:-1], start=1))):
        page.go_back()
        expect(page.locator(f"#garments [data-garment='{place}']")).to_have_attribute("aria-current", "true")
        expect_first(page, title)
        assert box_on_photo(page) == pytest.approx(shares(garment.box), abs=0.02)
    assert "garment" not in page.url


def test_garments_are_chosen_with_the_keyboard_and_said_to_a_screen_reader(page, expected):
    snapped(page)
    group = page.get_by_role("group", name="Garments in the photo")
    buttons = group.get_by_role("button")
    expect(buttons).to_have_count(len(expected))
    second = group.get_by_role("button", name=f"{expected[1][0].kind.capitalize()}, 2 of {len(expected)}")
    buttons.first.focus()
    page.keyboard.press("Tab")
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    expect_first(page, expected[1][1])
    expect(second).to_have_attribute("aria-current", "true")
    expect(second).to_be_focused()
    expect(page.locator("#box-says")).to_have_text(f"{expected[1][0].kind.capitalize()}, 2 of {len(expected)}")


def test_the_box_of_a_garment_is_moved_and_the_link_keeps_it(page, expected):
    snapped(page)
    page.locator(f"#garments [data-garment='{number_of(expected, 'shoes')}']").click()
    expect_first(page, expected[number_of(expected, "shoes") - 1][1])
    stage, box = page.locator("#stage").bounding_box(), page.locator("#box").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.85)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] * 0.65, steps=5)  # over the trousers
    page.mouse.up()
    expect_first(page, "Trousers")
    page.wait_for_url(re.compile(rf"garment={number_of(expected, 'shoes')}&box="))
    assert chosen(page) == ["Shoes"]  # the same garment, elsewhere
    moved = page.locator("#box").bounding_box()
    assert (moved["width"], moved["height"]) == pytest.approx((box["width"], box["height"]), abs=1)
    page.go_back()
    expect_first(page, "Shoes")
    page.go_forward()
    expect_first(page, "Trousers")
    assert page.locator("#box").bounding_box()["y"] == pytest.approx(moved["y"], abs=1)


BUSY = """() => new MutationObserver(() => { document.documentElement.dataset.wasBusy = "yes" }).observe(
  document.querySelector("#results"), {attributes: true, attributeFilter: ["aria-busy"]})"""
"""Notes that results were looked for, however soon they came."""


def test_a_slow_hand_leaves_the_step_before_as_it_was(page, expected):
    snapped(page)
    page.locator(f"#garments [data-garment='{number_of(expected, 'shoes')}']").click()
    expect_first(page, "Shoes")
    stage, box = page.locator("#stage").bounding_box(), page.locator("#box").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.85)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] * 0.65, steps=5)
    expect_first(page, "Trousers")  # searched with before the button is released
    page.mouse.up()
    page.wait_for_url(re.compile("&box="))
    page.evaluate(BUSY)
    page.locator("#slider").evaluate("slider => { slider.value = 1; slider.dispatchEvent(new Event('input')) }")
    expect(page.locator("html[data-was-busy]")).to_have_count(1)
    expect(page.locator("#results[aria-busy]")).to_have_count(0)
    page.locator("#slider").dispatch_event("change")
    page.wait_for_url(re.compile("&detail=1"))
    page.go_back()
    page.wait_for_url(re.compile("&box=(?!.*detail)"))
    page.go_back()
    expect_first(page, "Shoes")


def test_a_box_of_ones_own_and_the_whole_photo_belong_to_no_garment(page):
    snapped(page)
    stage = page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + 4, stage["y"] + 4)
    page.mouse.down()
    page.mouse.move(stage["x"] + 60, stage["y"] + 90, steps=4)
    page.mouse.up()
    expect(page.locator("#box-says")).to_contain_text("Box: ")
    page.wait_for_url(re.compile(r"\?box="))
    assert chosen(page) == []
    page.get_by_role("button", name="Whole photo").click()
    page.wait_for_url(re.compile("garment=photo"))
    expect(page.locator("#box")).to_be_hidden()
    expect_first(page, "As worn")
    expect(page.locator("#garments .garment")).to_have_count(len(names(page)))


def test_the_whole_look_has_a_row_for_each_garment_and_a_heading_leads_to_its_list(page, expected):
    snapped(page)
    page.get_by_role("button", name="The whole look").click()
    rows = page.locator(".outcome.row")
    expect(rows).to_have_count(len(expected))
    assert rows.locator("h2").all_inner_texts() == [garment.kind.capitalize() for garment, _ in expected]
    for place, (_, title) in enumerate(expected):
        expect(rows.nth(place).locator(".card h3").first).to_have_text(title)
    assert "look=1" in page.url
    expect(page.locator("#box")).to_be_hidden()
    rows.nth(2).get_by_role("link", name=expected[2][0].kind.capitalize()).first.click()
    expect_first(page, expected[2][1])
    expect(rows).to_have_count(0)
    assert chosen(page) == [expected[2][0].kind.capitalize()]
    page.go_back()
    expect(rows).to_have_count(len(expected))
    page.get_by_role("button", name="The whole look").click()
    expect(rows).to_have_count(0)
    expect_first(page, expected[0][1])


def test_a_link_whose_photo_is_gone_goes_on_where_it_was_once_the_photo_is_chosen_again(page, expected):
    snapped(page)
    page.locator("#garments [data-garment='3']").click()
    expect_first(page, expected[2][1])
    page.locator(".chip[value='#1e2a4f']").click()
    page.wait_for_url(re.compile("detail_from=%231e2a4f"))
    page.reload()
    expect(page.get_by_text("Choose your photo again")).to_be_visible()
    snapped(page)
    assert chosen(page) == [expected[2][0].kind.capitalize()]
    assert "garment=3" in page.url
    expect(page.locator(".chip[value='#1e2a4f']")).to_have_attribute("aria-pressed", "true")


def test_a_link_to_a_photo_of_the_shop_has_all_of_its_state(browser, page_url, expected):
    for scripts in (True, False):
        for page in opened(browser, page_url, java_script_enabled=scripts):
            page.goto(f"{page_url}/?crop=WORN%2F0&garment=2")
            expect_first(page, expected[1][1])
            assert chosen(page) == [expected[1][0].kind.capitalize()]
            page.locator("#garments [data-garment='3']").click()
            expect_first(page, expected[2][1])
            assert "garment=3" in page.url
            page.reload()
            expect_first(page, expected[2][1])
            page.get_by_text("The whole look").locator("visible=true").click()
            expect(page.locator(".outcome.row")).to_have_count(len(expected))


def test_the_garments_of_a_photo_of_the_shop_are_found_when_somebody_asks(page, expected):
    page.get_by_role("link", name="More like As worn").last.click()
    page.wait_for_url(re.compile("product=WORN"))
    expect(page.locator("#garments .garment")).to_have_count(0)
    page.get_by_role("button", name="Garments in this photo").click()
    expect(page.locator("#garments .garment")).to_have_count(len(expected))
    expect_first(page, expected[0][1])
    assert "product=WORN" in page.url
    assert "garment=1" in page.url


# -------------------------------------------------------------------- colours and patterns


def test_a_colour_of_the_palette_or_of_the_photo_is_wished_for_and_taken_back(page, catalog, expected):
    snapped(page)
    page.locator("#slider").focus()
    page.keyboard.press("End")  # colour alone
    page.wait_for_url(re.compile("detail=1"))
    trousers = expected[number_of(expected, "trousers") - 1][0]
    page.locator(f"#garments [data-garment='{number_of(expected, 'trousers')}']").click()
    expect_first(page, in_color(catalog, trousers, None))
    page.get_by_role("button", name="Black", exact=True).click()
    assert in_color(catalog, trousers) != in_color(catalog, trousers, None)
    expect_first(page, in_color(catalog, trousers))
    assert "detail_from=%23161616" in page.url
    expect(page.locator(".chip[aria-pressed=true]")).to_have_count(1)
    page.get_by_role("button", name="Black", exact=True).click()
    expect_first(page, in_color(catalog, trousers, None))
    assert "detail_from" not in page.url
    own = page.get_by_role("group", name="Colours of the photo").get_by_role("button")
    assert 2 <= own.count() <= 6
    page.locator(f"#garments [data-garment='{number_of(expected, 'shoes')}']").click()
    codes = [color for garment, _ in expected for color in garment.colors if garment.kind == "trousers"]
    page.locator("#photo-chips .chip").nth(number_of(expected, "trousers") - 1).click()
    page.wait_for_url(re.compile("detail_from=%23"))
    wanted = first_group(r"detail_from=%23([0-9a-f]{6})", page.url)
    near = np.abs(np.array([int(wanted[at : at + 2], 16) for at in (0, 2, 4)]) - np.array(hexadecimal(codes[0]))).max()
    assert near < 12
    expect_first(page, in_color(catalog, expected[number_of(expected, "shoes") - 1][0], f"#{wanted}"))
    page.get_by_role("button", name="Back to its own colour").click()
    expect_first(page, in_color(catalog, expected[number_of(expected, "shoes") - 1][0], None))


def hexadecimal(code: str) -> list[int]:
    return [int(code[at : at + 2], 16) for at in (1, 3, 5)]


def test_a_second_photo_gives_its_pattern_and_a_box_on_it_says_of_what(page, expected):
    snapped(page)
    page.locator("#slider").focus()
    page.keyboard.press("End")
    second = picture(GREEN, BLUE, width=400, height=300)
    page.set_input_files("#detail-file", {"name": "b.png", "mimeType": "image/png", "buffer": second})
    expect(page.locator("#detail-image")).to_be_visible()
    page.locator("#detail-none").scroll_into_view_if_needed()
    stage = page.locator("#detail-stage").bounding_box()
    for start, end, title in ((0.02, 0.45, "Green skirt"), (0.55, 0.98, "Blue top")):
        page.mouse.move(stage["x"] + stage["width"] * start, stage["y"] + 3)
        page.mouse.down()
        page.mouse.move(stage["x"] + stage["width"] * end, stage["y"] + stage["height"] - 3, steps=4)
        page.mouse.up()
        expect_first(page, title)
        page.locator("#detail-box").focus()
        page.keyboard.press("Delete")
        expect(page.locator("#detail-box")).to_be_hidden()
    page.get_by_role("button", name="Back to its own colour").click()
    expect_first(page, expected[0][1])
    expect(page.locator("#detail-image")).to_be_hidden()


# -------------------------------------------------------------------- phones, no scripts, everybody


def test_a_phone_offers_its_camera_first_and_a_finger_chooses_a_garment(browser, page_url, expected):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    for page in opened(browser, page_url, **phone):
        labels = page.locator("#drop label:visible")
        assert labels.all_inner_texts() == ["Take a photo", "Choose a photo"]
        assert page.locator("#camera").get_attribute("capture") == "environment"
        snapped(page)
        for button in page.locator("#garments .garment").all():
            assert bounds(button)["height"] >= 32
        page.locator("#garments [data-garment='2']").tap()
        expect_first(page, expected[1][1])
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert bounds(page.locator(".outcome").first)["y"] < 844  # products without scrolling
        page.get_by_role("button", name="The whole look").tap()
        expect(page.locator(".outcome.row")).to_have_count(len(expected))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_garments_look_colour_and_pattern_work_without_scripts(browser, page_url, catalog, expected):
    for page in opened(browser, page_url, java_script_enabled=False):
        choose(page, SNAP, "snap.jpg")
        page.get_by_role("button", name="Search", exact=True).click()
        expect_first(page, expected[0][1])
        page.locator("#garments [data-garment='2']").click()
        expect_first(page, expected[1][1])
        assert chosen(page) == [expected[1][0].kind.capitalize()]
        page.locator("button[name=to_look]").click()
        expect(page.locator(".outcome.row")).to_have_count(len(expected))
        page.locator(".outcome.row h2 button").nth(2).click()
        expect_first(page, expected[2][1])
        page.get_by_role("button", name="By colour and pattern").click()
        page.get_by_role("button", name="Black", exact=True).click()
        expect_first(page, in_color(catalog, expected[2][0]))
        second: FilePayload = {"name": "b.png", "mimeType": "image/png", "buffer": picture(BLUE)}
        page.set_input_files("#detail-file", second)
        page.get_by_role("button", name="Search", exact=True).click()
        expect_first(page, "Blue top")
        page.get_by_role("button", name="日本語").click()
        expect(page.locator("html")).to_have_attribute("lang", "ja")
        expect_first(page, "Blue top")  # photo, garment, second photo and slider came along
        page.locator("button[name=to_garment][value=photo]").click()
        assert chosen(page) == []


def test_another_language_keeps_garment_colour_and_second_photo(page, expected):
    snapped(page)
    page.locator("#garments [data-garment='2']").click()
    page.set_input_files("#detail-file", {"name": "b.png", "mimeType": "image/png", "buffer": picture(BLUE)})
    expect(page.locator("#detail-image")).to_be_visible()
    page.locator(".languages").get_by_text("日本語").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator(CHOSEN)).to_have_text([garments.BY_NAME[expected[1][0].kind].japanese])
    expect(page.locator("#detail-image")).to_be_visible()
    page.locator("#garments [data-garment='3']").click()  # scripts go on with it
    expect(page.locator(".outcome h2").first).to_have_text(garments.BY_NAME[expected[2][0].kind].japanese)


def test_show_more_is_the_pages_of_the_api_in_a_row(browser, tmp_path):
    encoder = SeeingEncoder()
    many = [
        entry(
            encoder, Product(f"N{n:02}", f"Skirt {n}", price=float(n)), *[picture((200, 4 * n, 20 + i)) for i in (0, 9)]
        )
        for n in range(40)
    ]
    with fill(tmp_path / "shop", encoder, many) as catalog, serving(encoder, catalog) as address:
        ask = {"where": "price >= 5", "k": "24"}
        pages = [
            web.post(f"{address}/v1/search", files={"photo": picture(RED)}, data=ask | {"offset": offset}).json()
            for offset in ("0", "24")
        ]
        titles = [hit["product"]["title"] for page in pages for hit in page["hits"]]
        assert (len(titles), len(set(titles))) == (35, 35)
        for page in opened(browser, address):
            choose(page, picture(RED, width=200, height=200))
            page.locator("[name=above]").fill("5")
            page.keyboard.press("Enter")
            expect(page.locator(".grid .card")).to_have_count(24)
            page.get_by_role("link", name="Show more").click()
            expect(page.locator(".grid .card")).to_have_count(35)
            assert page.locator(".grid .card h3").all_inner_texts() == titles


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious_among_garments(browser, page_url, scheme, width):
    if not AXE.is_file():
        pytest.skip("needs the Python package axe-playwright-python")
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "bypass_csp": True}
    for page in opened(browser, page_url, **options):
        snapped(page)
        page.locator("#adjust").evaluate("part => { part.open = true; }")
        page.set_input_files("#detail-file", {"name": "b.png", "mimeType": "image/png", "buffer": picture(BLUE)})
        expect(page.locator("#detail-image")).to_be_visible()
        faults = axe(page)
        page.get_by_role("button", name="The whole look").click()
        expect(page.locator(".outcome.row")).to_have_count(len(names(page)))
        page.wait_for_load_state("networkidle")
        faults += axe(page)
        assert faults == []


# -------------------------------------------------------------------- what the page and the service say to each other


class CountingFind:
    """Two garments side by side, whatever the photo shows; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, photo: Reduced, *, box: Box | None = None) -> list[Garment]:
        self.calls += 1
        half = photo.width // 2
        boxes = (Box(0, 0, half, photo.height), Box(half, 0, photo.width, photo.height))
        return [
            Garment(box, kind, 1.0, 0, {}, (color,))
            for box, kind, color in zip(boxes, ("top", "skirt"), ("#c81414", "#1428c8"), strict=True)
        ]


def test_garments_that_the_page_knows_are_not_searched_for_again(tmp_path: Path) -> None:
    encoder, find = SeeingEncoder(), CountingFind()
    both = {"photo": picture(RED, BLUE)}
    with (
        fill(tmp_path / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, finder=Finder(1, find=find, load=lambda: None)) as address,
    ):
        first = web.post(f"{address}/results", files=both, data={"others": "1", "lang": "en"})
        lists = first.content.split(NEXT)
        assert [re.findall(rb'data-number="(\d?)"', one) for one in lists] == [[b"1"], [b"2"], []]
        grids = [one.decode().split('class="grid"')[1] for one in lists[:2]]
        assert [first_group(r"<h3>(?:<a[^>]*>)?([^<]+)", one) for one in grids] == ["Red skirt", "Blue top"]
        known = first_group(r'data-carried="([^"]+)"', first.text)
        assert known == "top:0,0,30,80:0:c81414:;skirt:30,0,60,80:0:1428c8:"
        assert find.calls == 1
        again = web.post(f"{address}/results", files=both, data={"known": known, "garment": "2", "lang": "en"})
        assert 'data-number="2"' in again.text
        assert NEXT.decode() not in again.text
        assert find.calls == 1
        for nonsense in ("moon:0,0,1,1:0::", "top:0,0,1:0::", "top:0,0,9,9:0:zzzzzz:", ";" * 200, "top:" * 9000):
            answer = web.post(f"{address}/results", files=both, data={"known": nonsense, "lang": "en"})
            assert answer.status_code == 200
        assert find.calls == 6  # looked for, as nothing sensible was known
        outside = web.post(f"{address}/results", files=both, data={"known": "top:0,0,999,999:0::", "lang": "en"})
        assert outside.status_code == 422


def test_garments_come_back_from_the_form_as_they_went_into_it() -> None:
    chances = {"skirt": 0.75, "dress": 0.25}
    sent = [
        Garment(Box(1, 2, 3, 4), "skirt", 0.75, 2, chances, ("#00ff00",)),
        Garment(Box(0, 0, 9, 9), "bag", 1.0, None),
    ]
    back = outfit.read(outfit.written(sent))
    assert back == sent
    assert [one.colors for one in back] == [one.colors for one in sent]
