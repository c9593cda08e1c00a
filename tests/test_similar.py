"""More like a product that the catalog holds: itself left out, whatever else is asked."""

import numpy as np
import pytest

from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_or_create
from osoroi.errors import NotFound
from osoroi.search import Searcher
from shop import goods
from tiny import TinyEncoder


@pytest.fixture
def searcher(place: Place):
    encoder = TinyEncoder()
    with open_or_create(place, encoder) as catalog:
        catalog.put(goods(encoder), fingerprint=encoder.fingerprint)
        yield Searcher(encoder, catalog)


def ranked(searcher: Searcher, product_id: str, detail: float | None) -> list[str]:
    """Every other product by its best crop, the slow way."""
    catalog = searcher.catalog
    vector = catalog.vectors([catalog.crops(product_id)[0].crop_id])
    query = searcher.encoder.weigh(vector, detail)[0]
    scores = {
        one.product_id: max(catalog.vectors([crop.crop_id])[0] @ query for crop in catalog.crops(one.product_id))
        for one in catalog.products()
        if one.product_id != product_id
    }
    return sorted(scores, key=lambda name: (-np.round(scores[name], 5), name))


@pytest.mark.parametrize("detail", [None, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("product_id", ["P1", "P4"])  # P4 has two photos, and neither may find it
def test_all_others_come_by_their_best_photo(searcher: Searcher, product_id: str, detail: float | None) -> None:
    hits = searcher.similar(product_id, k=99, detail=detail)
    assert [hit.product_id for hit in hits] == ranked(searcher, product_id, detail)
    assert set(hits[0].parts) == {part.name for part in searcher.encoder.parts}
    short = searcher.similar(product_id, k=2, detail=detail)
    assert [hit.product_id for hit in short] == [hit.product_id for hit in hits[:2]]


def test_a_filter_holds_and_a_product_that_is_not_there_is_named(searcher: Searcher) -> None:
    assert {hit.product_id for hit in searcher.similar("P1", where="category = tops")} == {"P3", "P4"}
    assert {hit.product_id for hit in searcher.similar("P3", where="category = tops")} == {"P4"}
    with pytest.raises(NotFound, match="P99"):
        searcher.similar("P99")
