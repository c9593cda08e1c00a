"""The page with a photo of two people whose garments are given: what each is called, where focus and labels are."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

import web
from browsing import choose, expect, needs_browser, opened, snap
from osoroi.garments import Garment
from osoroi.image import Reduced
from osoroi.records import Box, Product
from osoroi.search import Searcher
from osoroi.server.finding import Finder
from osoroi.server.pages import view_model
from shop import BLUE, RED, SeeingEncoder, entry, fill, picture, serving, serving_finds

pytestmark = needs_browser

PHOTO = picture(RED, BLUE, width=400, height=400)
WORN = [
    Garment(Box(30, 120, 170, 300), "top", 1.0, 0, {"top": 1.0}),
    Garment(Box(30, 340, 90, 370), "shoes", 1.0, 0, {"shoes": 1.0}),
    Garment(Box(300, 340, 360, 370), "shoes", 1.0, 1, {"shoes": 1.0}),
    Garment(Box(300, 4, 330, 200), "scarf", 1.0, 1, {"scarf": 1.0}),
    Garment(Box(40, 300, 84, 380), "legwear", 1.0, 0, {"legwear": 1.0}),
]


def both(photo: Reduced, *, box: Box | None = None) -> list[Garment]:
    return list(WORN)


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_finds(tmp_path_factory.mktemp("people") / "shop", WORN) as address:
        yield address


def test_a_row_without_anything_of_the_kind_begins_with_the_label_that_says_so(browser, page_url, monkeypatch):
    cards = view_model.cards
    monkeypatch.setattr(view_model, "cards", lambda *args: [replace(card, other_kind=True) for card in cards(*args)])
    for page in opened(browser, page_url, viewport={"width": 390, "height": 844}):
        snap(page, PHOTO, len(WORN))
        page.get_by_role("button", name="The whole look").click()
        expect(page.locator(".outcome.row")).to_have_count(len(WORN))
        row = page.locator(".outcome.row .grid").first
        expect(row.locator("li").first).to_have_text("Other kinds")
        assert row.evaluate("row => row.scrollWidth > row.clientWidth")
        page.wait_for_timeout(200)
        assert row.evaluate("row => row.scrollLeft") == 0


def test_the_keyboard_goes_on_at_the_garment_after_a_photo_is_chosen(page):
    page.locator("#file").focus()
    snap(page, PHOTO, len(WORN))
    expect(page.locator("#garments [aria-current]")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#garments [data-garment='2']")).to_be_focused()
    page.locator("#text").focus()
    page.keyboard.type("blue")
    page.keyboard.press("Enter")
    expect(page.locator(".understood")).to_be_visible()
    expect(page.locator("#text")).to_be_focused()


def test_the_keyboard_goes_on_at_the_results_of_a_photo_without_garments(browser, goods_url):
    for page in opened(browser, goods_url):
        page.locator("#file").focus()
        choose(page, picture(RED))
        expect(page.locator("#results")).to_be_focused()


@pytest.mark.parametrize(
    ("lang", "headings"),
    [
        ("en", ["Top, person 1", "Shoes, person 1", "Shoes, person 2", "Scarf, person 2", "Legwear, person 1"]),
        (
            "ja",
            [
                "トップス、1 人目",
                "シューズ、1 人目",
                "シューズ、2 人目",
                "マフラー・スカーフ、2 人目",
                "レッグウェア、1 人目",
            ],
        ),
    ],
)
def test_the_rows_of_several_people_say_whose_a_garment_is(page_url, lang, headings):
    data = {"look": "1", "others": "1", "lang": lang}
    answer = web.post(f"{page_url}/results", files={"photo": PHOTO}, data=data, timeout=60)
    links = re.findall(r'<h2 class="of-garment"><a[^>]*>([^<]+)</a>', answer.text)
    assert links == headings
    assert re.findall(r'class="grid" tabindex="0" aria-label="([^"]+)"', answer.text) == headings


AT_CORNERS = """box => [...box.querySelectorAll(".corner")].map((corner) => {
  const { left, top, width, height } = corner.getBoundingClientRect();
  return document.elementFromPoint(left + width / 2, top + height / 2) === corner;
})"""


@pytest.mark.parametrize("number", range(1, len(WORN) + 1))
def test_the_label_of_a_chosen_garment_leaves_its_handles_and_a_small_one_free(page, number):
    snap(page, PHOTO, len(WORN))
    button = page.locator(f"#garments [data-garment='{number}']")
    button.click()
    expect(button).to_have_attribute("aria-current", "true")
    assert page.locator("#box").evaluate(AT_CORNERS) == [True] * 4
    if number > 1:  # the top is large: its label lies on it
        label, box = button.bounding_box(), page.locator("#box").bounding_box()
        assert label["y"] + label["height"] < box["y"] or label["y"] > box["y"] + box["height"]


def test_no_other_label_covers_a_small_garment_that_is_chosen(page):
    snap(page, PHOTO, len(WORN))
    page.locator("#garments [data-garment='3']").click()
    page.locator("#garments [data-garment='2']").click()
    expect(page.locator("#garments [data-garment='2']")).to_have_attribute("aria-current", "true")
    box = page.locator("#box").bounding_box()
    for label in [button.bounding_box() for button in page.locator("#garments .garment").all()]:
        assert (
            label["y"] + label["height"] <= box["y"]
            or label["y"] >= box["y"] + box["height"]
            or label["x"] >= box["x"] + box["width"]
            or label["x"] + label["width"] <= box["x"]
        )


def list_of(url: str, photo: bytes | None, **data: str) -> str:
    """The list of a search, in English unless ``data`` says otherwise."""
    files = {"photo": photo} if photo else {"nothing": b""}
    return web.post(f"{url}/results", files=files, data={"lang": "en"} | data, timeout=60).text


def test_a_list_that_ranks_the_shop_claims_no_match_and_words_alone_have_no_shape(page_url):
    for data in ({}, {"text": "blue"}):
        ranked = list_of(page_url, PHOTO, **data)
        assert '<p class="status" role="status">5 products, best first</p>' in ranked
        assert "<dt>shape</dt>" in ranked
    alone = list_of(page_url, None, text="blue")
    assert re.search('<p class="status" role="status">All [1-4] products that match</p>', alone)
    assert "<dt>colour</dt>" in alone
    assert "<dt>shape</dt>" not in alone


def all_other_kinds(self: Searcher, parts: list[object], vector: object) -> int:
    return 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"garment": "2"}, "The shop has no shoes."),
        ({"garment": "1"}, "The shop has no tops."),
        ({"garment": "2", "lang": "ja"}, "このお店にシューズはありません。"),
        ({"garment": "2", "above": "3000"}, "The shop has no shoes that match these filters."),
        ({"garment": "2", "text": "blue scarf"}, "The shop has no scarves."),
    ],
)
def test_a_kind_that_the_shop_does_not_sell_is_said_and_no_heading_is_over_others(page_url, monkeypatch, data, says):
    assert 'class="lacking"' not in list_of(page_url, PHOTO, **data)
    monkeypatch.setattr(Searcher, "other_kinds_from", all_other_kinds)
    answer = list_of(page_url, PHOTO, **data)
    assert re.findall('<p class="lacking">([^<]+)', answer) == [says]
    label = "ほかの種類" if "lang" in data else "Other kinds"
    lists = re.findall(r'<ol(?: class="grid")?>\s*(.*?)</ol>', answer, re.DOTALL)
    assert len(lists) == (1 if "text" in data else 4), "three strips, which words have not, and the grid"
    assert all(
        one.startswith(f'<li class="other-kinds">{label}</li>') and one.count("other-kinds") == 1 for one in lists
    )
    look = list_of(page_url, PHOTO, **data | {"look": "1"})
    assert re.findall('<p class="lacking">([^<]+)', look)


def test_a_heading_names_the_kind_that_words_wish_for(page_url):
    for text, heading in (("red floral dress", "Dress"), ("red", "Top"), ("red top", "Top")):
        answer = list_of(page_url, PHOTO, text=text, garment="1")
        assert re.findall(r'<h2 class="of-garment"><a[^>]*>([^<]+)</a>', answer) == [f"{heading}, person 1"]


@pytest.mark.parametrize(("products", "more"), [(24, False), (25, True)])
def test_more_is_offered_only_where_there_is_more(tmp_path, products, more):
    encoder = SeeingEncoder()
    skirts = [entry(encoder, Product(f"N{n:02}", "Skirt"), picture((200, 4 * n, 20))) for n in range(products)]
    finder = Finder(1, find=both, load=lambda: None)
    with fill(tmp_path / "shop", encoder, skirts) as catalog, serving(encoder, catalog, finder=finder) as url:
        for answer in (list_of(url, PHOTO, garment="photo"), list_of(url, None, text="skirt")):
            assert answer.count('<li class="card">') == 24
            assert ("Show more" in answer) == more
        assert ("Show more" in list_of(url, None, product="N00")) is False
