"""Lists for words in a shop of more products than are scored at once."""

from collections.abc import Iterator

import pytest

from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.records import Product
from osoroi.search import Searcher
from osoroi.words.search import WordSearch
from shop import BLUE, RED, SeeingEncoder, entry, fill, picture


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WordSearch]:
    encoder = SeeingEncoder()
    photos = [picture(RED), picture(BLUE)]
    rows = [Product(f"A{each:03}", "Corduroy jacket", brand="A") for each in range(300)]
    rows += [Product(f"B{each:03}", "Linen jacket", brand="B") for each in range(300)]
    rows += [Product("B-rib", "Corduroy overshirt jacket with long sleeves", brand="B")]
    patterns = [entry(encoder, rows[0], photo) for photo in photos]

    def made(product: Product, number: int) -> Entry:
        pattern = patterns[number % 2]
        crop = pattern.crops[0]
        own = type(crop)(f"{product.product_id}/0", product.product_id, crop.domain, crop.photo)
        return Entry(product, [own], pattern.vectors)

    catalog: LocalCatalog = fill(
        tmp_path_factory.mktemp("words") / "shop", encoder, [made(row, number) for number, row in enumerate(rows)]
    )
    with catalog:
        yield WordSearch(Searcher(encoder, catalog))


def test_a_filter_holds_before_the_best_titles_are_chosen(search: WordSearch):
    hits, _ = search.search("corduroy", where='brand == "B"')
    assert [hit.product_id for hit in hits] == ["B-rib"]


def test_pages_of_words_go_on_and_do_not_depend_on_their_size(search: WordSearch):
    whole = [hit.product_id for hit in search.search("corduroy", k=500).hits]
    assert sorted(whole) == sorted([f"A{each:03}" for each in range(300)] + ["B-rib"])
    pages = [hit for at in range(0, 500, 70) for hit in search.search("corduroy", k=70, offset=at).hits]
    assert [hit.product_id for hit in pages] == whole
    scores = [hit.score for hit in pages]
    assert scores == sorted(scores, reverse=True)
