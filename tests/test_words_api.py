"""Words over HTTP, in the client and on the page: the products of the local catalog, and what was understood."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

import osoroi
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import search, text
from osoroi.client import values
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.words.search import WordSearch
from shop import BLUE, RED, SeeingEncoder, ThreadDecoder, fill, goods, picture


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path_factory.mktemp("words") / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


@pytest.fixture(scope="module")
def client(catalog: LocalCatalog) -> Iterator[TestClient]:
    application = app.make(Searcher(SeeingEncoder(), catalog), decoder=ThreadDecoder())
    with TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def shop(catalog: LocalCatalog) -> osoroi.Catalog:
    return osoroi.Catalog(catalog, SeeingEncoder())


def post(client: TestClient, photo: bytes | None = None, **fields: str) -> Response:
    files: list[tuple[str, Any]] = [("photo", ("snap.png", photo))] if photo else []
    return client.post("/v1/search", files=[*files, *((name, (None, value)) for name, value in fields.items())])


@pytest.mark.parametrize("text", ["red skirt", "purple top", "灰色のコート", "nothing that is read"])
def test_words_alone_give_the_products_of_the_local_catalog(client, shop, text):
    answer = post(client, text=text, k="4")
    assert answer.status_code == 200, answer.text
    hits = shop.search(text=text, k=4)
    assert [hit["product_id"] for hit in answer.json()["hits"]] == [hit.product_id for hit in hits]
    assert [hit["score"] for hit in answer.json()["hits"]] == pytest.approx([hit.score for hit in hits])


def test_what_was_understood_is_said(client):
    answer = post(client, text="Red floral wool skirt").json()
    assert answer["hits"][0]["product_id"] == "P1"
    assert answer["understood"] == {
        "text": "Red floral wool skirt", "kind": "skirt", "colors": ["red"], "pattern": "floral", "rest": ["wool"],
    }  # fmt: skip
    assert "understood" not in post(client, picture(RED)).json()


def test_words_beside_a_photo_change_its_colour_and_its_kind(client, shop):
    photo = picture(RED)
    assert post(client, photo, k="1").json()["hits"][0]["product_id"] == "P1"
    for fields in ({"text": "blue"}, {"text": "top", "detail_from": "blue"}, {"text": "blue", "box": "0,0,30,80"}):
        answer = post(client, photo, **fields, k="5")
        assert answer.json()["hits"][0]["product_id"] == "P3", fields
    by_photo = post_with_second_photo(client, photo, picture(BLUE), "anything")
    ids = [hit["product_id"] for hit in by_photo.json()["hits"]]
    assert ids.index("P3") < ids.index("P1"), "the second photo's colour counts, though no word names one"
    assert ids == [hit.product_id for hit in shop.search(photo, text="anything", detail_from=picture(BLUE))]
    like = post(client, product_id="P1", text="blue skirt").json()
    assert "P1" not in [hit["product_id"] for hit in like["hits"]], "a product is no answer to itself"


def post_with_second_photo(client: TestClient, photo: bytes, second: bytes, text: str) -> Response:
    files: list[tuple[str, Any]] = [
        ("photo", ("a.png", photo)),
        ("detail_from", ("b.png", second)),
        ("text", (None, text)),
    ]
    return client.post("/v1/search", files=files)


def test_pages_joined_are_the_whole_list_and_filters_and_totals_hold(client):
    whole = post(client, text="skirt", k="5").json()["hits"]
    pages = [post(client, text="skirt", k="2", offset=str(at)).json()["hits"] for at in (0, 2, 4)]
    assert [hit for page in pages for hit in page] == whole
    cheap = post(client, text="skirt", where="price < 5000", total="true").json()
    assert cheap["total"] == 2
    assert {hit["product_id"] for hit in cheap["hits"]} <= {"P1", "P3"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": "  "}, "no words"),
        ({"text": "x" * 501}, "501 characters"),
        ({"text": "red", "box": "0,0,9,9"}, "words alone"),
        ({"text": "red", "garment": "1"}, "words alone"),
        ({"text": "red", "detail": "0.5"}, "words alone"),
        ({"text": "not black"}, "not wanted are left out"),
        ({"k": "1"}, "or text; here is none"),
        ({"text": "red", "where": "price <"}, "cannot be read"),
    ],
)
def test_what_means_nothing_is_refused_in_words(client, fields, said):
    answer = post(client, **fields)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_titles_follow_the_catalog_and_are_not_read_anew_all_the_time(tmp_path):
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        search = WordSearch(Searcher(encoder, catalog))
        before = search.titles()
        assert search.titles() is before
        catalog.patch("P5", {"title": "Loden cape"})
        assert search.search("loden", k=1).hits[0].product_id == "P5"
        search._took_s = 3600.0  # as of very many products, read just now
        late = search.titles()
        catalog.remove(["P5"])
        assert search.titles() is late
        assert "P5" not in [hit.product_id for hit in search.search("loden", k=5).hits], "gone, whatever titles say"


def test_the_page_searches_by_words_and_keeps_them_in_its_address(client):
    page = client.get("/?text=red+skirt").text
    assert 'value="red skirt"' in page
    assert "Understood: " in page
    assert page.index("Red skirt") < page.index("Green skirt")
    japanese = client.get("/?text=赤い花柄スカート&lang=ja").text
    assert "スカート · " in japanese
    assert "花柄" in japanese
    moved = client.post("/", data={"text": " red skirt ", "lang": "en"}, follow_redirects=False)
    assert moved.headers["location"] == "/?text=red+skirt&lang=en"
    assert (
        client.post("/results", data={"text": "red skirt", "detail_from": "#000080", "detail": "0.9"}).status_code
        == 200
    )


def test_a_page_says_that_nothing_matches_the_words(client):
    page = client.get("/?text=xylophone").text
    assert "Nothing in the shop matches these words." in page
    assert "nothing else in the shop" not in page
    assert "この言葉に合う商品はありません。" in client.get("/?text=of+the&lang=ja").text


def test_a_page_says_that_what_is_not_wanted_cannot_be_searched_alone(client: TestClient) -> None:
    assert "not wanted are left out" in client.get("/?text=not+black").text


def ends_after_one(self: Searcher, parts: list[object], vector: object) -> int:
    return 1


def test_a_page_and_an_answer_say_where_other_kinds_begin(client, monkeypatch):
    assert "Other kinds" not in client.get("/?text=red+skirt").text
    monkeypatch.setattr(Searcher, "other_kinds_from", ends_after_one)
    page = client.get("/?text=red+skirt").text
    assert page.count("Other kinds") == 1
    assert page.index("Red skirt") < page.index("Other kinds") < page.index("Green skirt")
    flags = [hit["other_kind"] for hit in post(client, picture(RED), k="3").json()["hits"]]
    assert flags == [False, True, True]
    assert [hit.other_kind for hit in values.hits_of(post(client, text="skirt", k="2").json())] == [False, True]
    table = search.table([osoroi.Hit("a", 1.0, "a", osoroi.Product("a"), {}, other_kind=flag) for flag in flags])
    assert table.splitlines()[2] == search.OTHER_KINDS


def test_a_list_sorted_by_prices_of_several_currencies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(text, "warn", warned.append)
    hits = [
        osoroi.Hit(name, 1.0, name, osoroi.Product(name, price=price, currency=currency))
        for name, price, currency in (("a", 49.5, "EUR"), ("b", 4900.0, "JPY"), ("c", None, "USD"))
    ]
    search.sorted_by(hits, "price")
    assert warned == ["prices are in several currencies (EUR, JPY) and sorted by their numbers alone"]
    search.sorted_by(hits[:1] + hits[2:], "price")
    search.sorted_by(hits, "product_id")
    assert len(warned) == 1


def test_a_list_that_is_sorted_mixes_kinds_and_has_no_line_where_others_begin() -> None:
    hits = [
        osoroi.Hit(name, 1.0, name, osoroi.Product(name, price=price), {}, other_kind=other)
        for name, price, other in (("a", 9.0, False), ("b", 3.0, True), ("c", 5.0, False), ("d", None, True))
    ]
    ordered = search.sorted_by(hits, "price")
    assert [hit.product_id for hit in ordered] == ["b", "c", "a", "d"]
    assert not any(hit.other_kind for hit in ordered)
    assert search.OTHER_KINDS not in search.table(ordered)


@pytest.mark.parametrize("more", ["", "&garment=2", "&look=1", "&box=1,1,9,9"])
def test_a_page_whose_photo_is_gone_asks_for_it_and_keeps_the_words(client: TestClient, more: str) -> None:
    page = client.get(f"/?text=navy&photo=mine{more}")
    assert page.status_code == 200
    assert "Choose your photo again" in page.text
    assert 'value="navy"' in page.text
    assert 'data-view="start"' in page.text


@pytest.mark.parametrize("more", ["&garment=2", "&look=1"])
def test_a_page_of_words_alone_has_no_garments_to_look_for(client: TestClient, more: str) -> None:
    page = client.get(f"/?text=blue{more}")
    assert page.status_code == 200
    assert "Blue top" in page.text
    assert "Choose your photo again" not in page.text


def test_a_page_without_a_photo_has_no_picture_of_one(client: TestClient) -> None:
    assert '<img id="query-photo"' not in client.get("/?text=blue").text
    assert '<img id="query-photo"' in client.get("/?product=P1").text
