"""Words are understood in two languages, and bring products of the kind and colour they name."""

import sqlite3

import numpy as np
import pytest

from osoroi import ingest, words
from osoroi.catalog.local import LocalCatalog
from osoroi.encoder import Encoder
from osoroi.errors import BadRequest
from osoroi.records import Crop, Product, Row, Value
from osoroi.search import Searcher
from osoroi.words.fusion import agreement
from osoroi.words.search import WordSearch


@pytest.mark.parametrize(
    ("text", "kind", "colors", "pattern"),
    [
        ("red floral midi dress", "dress", ("red",), "floral"),
        ("A DUSTY PINK polka-dot skirt", "skirt", ("dusty pink",), "dotted"),
        ("navy trousers with white stripes", "trousers", ("navy", "white"), "striped"),
        ("linen shirt", "top", (), None),
        ("moccasins", "shoes", (), None),
        ("light blue jeans", "trousers", ("light blue",), None),
        ("紺の花柄スカート", "skirt", ("紺",), "floral"),
        ("赤いチェックのワンピース", "dress", ("赤",), "checked"),
        ("ネイビー ボーダー Tシャツ", "top", ("ネイビー",), "striped"),
        ("抹茶色のコート", "outerwear", ("抹茶色",), None),
        ("gift for her", None, (), None),
        ("navy blue coat", "outerwear", ("navy",), None),
        ("dark blue and off white skirt", "skirt", ("dark blue", "off-white"), None),
        ("red dress without flowers", "dress", ("red",), None),
        ("striped skirt, not navy blue", "skirt", (), "striped"),
        ("黒以外の花柄なしスカート", "skirt", (), None),
    ],
)
def test_words_are_read_into_kind_colour_and_pattern(text, kind, colors, pattern):
    understood = words.read(text)
    assert (understood.kind, understood.colors, understood.pattern) == (kind, colors, pattern)


def test_titles_are_searched_by_stems_and_in_japanese():
    index = words.TitleIndex(
        [
            Product("a", "Striped skirts"),
            Product("b", "花柄プリーツスカート"),
            Product("c", "紺コート"),
            Product("d", "Bag"),
        ]
    )
    assert list(index.search("a striped skirt", 5)) == ["a"]
    assert list(index.search("プリーツ", 5)) == ["b"]
    assert list(index.search("紺", 5)) == ["c"]
    assert index.search('" OR NEAR(', 5) == {}


def test_titles_are_not_searched_for_what_is_not_wanted():
    index = words.TitleIndex([Product("a", "Black flowers"), Product("b", "Satin")])
    assert list(index.search("satin without flowers, not black", 5)) == ["b"]
    assert str(words.read("navy blue satin, not black")) == "colour navy, in titles satin"


def test_an_index_that_nobody_has_any_more_closes_its_database() -> None:
    index = words.TitleIndex([Product("a", "Navy coat")])
    connection = index._connection
    del index
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_width_and_accents_make_no_difference():
    index = words.TitleIndex([Product("a", "ｽｶｰﾌ"), Product("b", "Ｗｏｏｌ cape"), Product("c", "Crème brûlée")])
    assert list(index.search("スカーフ", 5)) == ["a"]
    assert list(index.search("wool", 5)) == ["b"]
    assert (
        list(index.search("creme", 5)) == list(index.search("crème", 5)) == list(index.search("ＣＲＥＭＥ", 5)) == ["c"]
    )
    assert words.read("crème brûlée").rest == ("creme", "brulee")


def test_what_a_title_says_goes_before_the_picture_and_kind_counts_most():
    both = words.score(words.QueryAgreement(kind=1.0, color=1.0, title=0.0))
    assert both == pytest.approx(6 / 7)
    assert words.score(words.QueryAgreement(kind=1.0, color=0.0, pattern=1.0)) == pytest.approx(5 / 7)
    assert words.score(words.QueryAgreement()) == 0.0


PRODUCTS = {
    "red-skirt": ((190, 30, 40), "skirts", "Midi skirt"),
    "navy-skirt": ((30, 40, 80), "skirts", "Midi skirt"),
    "red-coat": ((190, 30, 40), "coats", "Wool coat"),
    "navy-coat": ((30, 40, 80), "coats", "Wool coat"),
}


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Products whose titles say no colour."""
    from PIL import Image

    folder, encoder = tmp_path_factory.mktemp("words"), Encoder.open()
    rows = []
    for name, (color, category, title) in PRODUCTS.items():
        pixels = np.full((240, 200, 3), 250, np.uint8)
        pixels[40:200, 60:140] = color
        Image.fromarray(pixels).save(folder / f"{name}.png")
        product = Product(name, title, category=category, price=1000.0 if "skirt" in name else 9000.0)
        rows.append(Row(product, Crop(name, name, "shop", folder / f"{name}.png")))
    with LocalCatalog.open_or_create(folder / "shop", encoder) as catalog:
        ingest.add(rows, catalog, encoder)
        yield WordSearch(Searcher(encoder, catalog))


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("red skirt", "red-skirt"),
        ("navy coat", "navy-coat"),
        ("紺のスカート", "navy-skirt"),
        ("赤いコート", "red-coat"),
    ],
)
def test_kind_and_colour_of_the_words_decide_where_titles_say_no_colour(search, text, best):
    hits, _ = search.search(text, k=4)
    assert hits[0].product_id == best
    kind, color = best.split("-")[1], best.split("-")[0]
    assert [hit.product_id.split("-")[1] == kind for hit in hits] == [True, True, False]  # no kind, no colour: left out
    assert hits[2].product_id.startswith(color)
    assert all(0 < hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_stated_colour_that_is_near_counts_in_part() -> None:
    wanted = words.read("navy")

    def by_title(title: str) -> float | None:
        return agreement(Product("a", title), wanted, kind=None, color=0.0, title=0.0, photo=None).color

    navy, blue, grey = (by_title(f"{color} skirt") for color in ("Navy", "Blue", "Grey"))
    assert (navy, grey) == (1.0, 0.0)
    assert blue is not None
    assert 0 < blue < 0.5


def test_the_slider_moves_scores_of_words_beside_a_photo(search: WordSearch) -> None:
    pixels = np.full((240, 200, 3), 250, np.uint8)
    pixels[40:200, 60:140] = (190, 30, 40)

    def score_of(detail: float) -> float:
        hits, _ = search.search("navy", pixels, kind="skirt", k=4, detail=detail)
        return next(hit.score for hit in hits if hit.product_id == "red-skirt")

    assert score_of(0.0) > score_of(0.5) > score_of(1.0), "a red skirt has the cut alone"


def test_what_a_shop_states_in_its_own_columns_is_read_too() -> None:
    looks: dict[str, Value] = {"Colour": "Navy", "柄": "花柄", "Material": ("Denim", "wool"), "Stock": 3.0}
    product = Product("a", "Midi skirt", attributes=looks)
    agrees = agreement(product, words.read("navy floral"), kind=None, color=0.0, title=0.0, photo=None)
    assert (agrees.color, agrees.pattern) == (1.0, 1.0)
    denim = agreement(product, words.read("denim skirt"), kind=None, color=0.0, title=0.0, photo=None)
    assert denim.color is not None
    assert denim.color < 0.5, "a material is no colour"
    index = words.TitleIndex([product, Product("b", "Coat")])
    assert list(index.search("navy", 5)) == list(index.search("花柄", 5)) == list(index.search("wool", 5)) == ["a"]


def test_words_with_a_photo_change_its_colour(search):
    pixels = np.full((240, 200, 3), 250, np.uint8)
    pixels[40:200, 60:140] = (190, 30, 40)
    hits, _ = search.search("navy skirt", pixels, k=1)
    assert hits[0].product_id == "navy-skirt"


@pytest.mark.parametrize("kind", ["skirt", "outerwear"])
def test_words_that_name_no_kind_keep_that_of_the_photo(search, kind):
    pixels = np.full((240, 200, 3), 250, np.uint8)
    pixels[40:200, 60:140] = (190, 30, 40)
    hits, understood = search.search("navy", pixels, kind=kind, k=4)
    name = "skirt" if kind == "skirt" else "coat"
    assert [hit.product_id for hit in hits[:2]] == [f"navy-{name}", f"red-{name}"]
    assert understood.kind is None
    hits, _ = search.search("navy", like=f"red-{name}", k=3)
    assert hits[0].product_id == f"navy-{name}"


def test_a_filter_holds_for_words_too(search):
    hits, _ = search.search("red skirt", k=4, where="price > 5000")
    assert {hit.product_id for hit in hits} == {"red-coat"}  # the navy coat is neither red nor a skirt


def test_a_list_says_where_other_kinds_begin(search):
    hits, _ = search.search("red skirt", k=4)
    assert [hit.other_kind for hit in hits] == [False, False, True]
    pixels = np.full((240, 200, 3), 250, np.uint8)
    pixels[40:200, 60:140] = (190, 30, 40)
    searcher = search.searcher
    for kind in ("skirt", "coat"):
        known = words.read(kind).kind
        hits = searcher.search(pixels, kind=known, k=4)
        assert [hit.product_id.split("-")[1] == kind for hit in hits] == [True, True, False, False]
        assert [hit.other_kind for hit in hits] == [False, False, True, True]
        pages = [searcher.search(pixels, kind=known, k=1, offset=at)[0] for at in range(4)]
        assert [hit.other_kind for hit in pages] == [False, False, True, True]
    assert all(hit.other_kind for hit in searcher.search(pixels, kind="hat", k=3)), "the shop has none"
    vague = {"skirt": 0.4, "outerwear": 0.3, "hat": 0.3}
    assert not any(hit.other_kind for hit in searcher.search(pixels, kind=vague, k=4))


@pytest.mark.parametrize("text", ["", "   ", "x" * 501])
def test_no_words_and_too_many_are_refused(search, text):
    with pytest.raises(BadRequest, match="characters"):
        search.search(text)


@pytest.mark.parametrize("text", ["not black", "that is not black", "黒以外"])
def test_what_is_not_wanted_cannot_be_searched_alone(search: WordSearch, text: str) -> None:
    with pytest.raises(BadRequest, match="not wanted are left out"):
        search.search(text)


def test_words_without_a_meaning_are_no_words_of_titles() -> None:
    index = words.TitleIndex([Product("a", "All that is wool"), Product("b", "Silk")])
    assert list(index.search("a scarf that is silk", 5)) == ["b"]


def test_a_title_is_read_once_whatever_is_searched():
    title = "A dotted mint skirt that no other test reads"
    assert words.read(title) is words.read(title)
