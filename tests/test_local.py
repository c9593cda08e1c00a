"""The catalog in a folder: what is put is there, what is removed is gone, and damage is said."""

from pathlib import Path

import numpy as np
import pytest

from osoroi.catalogs import Catalog, Entry
from osoroi.catalogs.local import LocalCatalog
from osoroi.errors import BadCatalog, BadFilter, BadRequest, NotFound, OtherEncoder
from osoroi.records import Box, Crop, Product

DIM = 4


def entry(product_id: str, *vectors: list[float], **values: object) -> Entry:
    crops = [
        Crop(f"{product_id}/{place}", product_id, "shop", b"photo of " + product_id.encode())
        for place in range(len(vectors))
    ]
    return Entry(Product(product_id, **values), crops, np.array(vectors, np.float32))


def query(*numbers: float) -> np.ndarray:
    return np.array([numbers], np.float32)


@pytest.fixture
def catalog(tmp_path: Path) -> LocalCatalog:
    with LocalCatalog.create(tmp_path / "shop", fingerprint="f" * 64, dim=DIM) as catalog:
        yield catalog


def put(catalog: LocalCatalog, *entries: Entry) -> int:
    return catalog.put(entries, fingerprint="f" * 64)


def test_a_catalog_keeps_the_protocol(catalog):
    assert isinstance(catalog, Catalog)


def test_products_are_found_by_their_best_crop_and_only_once(catalog):
    put(catalog, entry("a", [1, 0, 0, 0], [0.5, 0, 0, 0]), entry("b", [0.8, 0, 0, 0]), entry("c", [0, 1, 0, 0]))
    hits = catalog.nearest(query(1, 0, 0, 0), 2)
    assert [(hit.product_id, hit.crop_id, hit.score) for hit in hits] == [
        ("a", "a/0", 1.0),
        ("b", "b/0", pytest.approx(0.8)),
    ]


def test_what_is_removed_is_gone_and_what_is_put_again_is_replaced(catalog):
    put(catalog, entry("a", [1, 0, 0, 0]), entry("b", [0.8, 0, 0, 0]))
    assert catalog.nearest(query(1, 0, 0, 0), 1)[0].product_id == "a"
    assert catalog.remove(["a", "x"]) == ["a"]
    assert [hit.product_id for hit in catalog.nearest(query(1, 0, 0, 0), 5)] == ["b"]
    put(catalog, entry("b", [0, 1, 0, 0], [0, 0.5, 0, 0]), entry("a", [0.1, 0, 0, 0]))
    assert [hit.product_id for hit in catalog.nearest(query(1, 0, 0, 0), 5)] == ["a", "b"]
    with pytest.raises(NotFound):
        catalog.vectors(["a/9"])


def test_filters_reach_columns_and_attributes(catalog):
    put(
        catalog,
        entry("a", [1, 0, 0, 0], price=10.0, category="skirts", attributes={"sale": True}),
        entry("b", [0.8, 0, 0, 0], price=20.0, attributes={"size": 38.0}),
        entry("c", [0.6, 0, 0, 0]),
    )
    ask = lambda where: "".join(hit.product_id for hit in catalog.nearest(query(1, 0, 0, 0), 9, where=where))  # noqa: E731
    assert [
        ask(where)
        for where in ("price > 15", "not price > 15", "sale", "not sale", "size = 38", "category in (skirts, tops)")
    ] == ["b", "ac", "a", "bc", "b", "a"]
    catalog.patch("c", {"price": 99.0, "sale": True})
    assert ask("price > 15") == "bc"
    assert ask("sale") == "ac"
    with pytest.raises(BadFilter, match="there is no column 'colour'"):
        ask("colour = red")


def test_another_process_of_mind_sees_a_commit(catalog):
    put(catalog, entry("a", [1, 0, 0, 0]))
    with LocalCatalog.open(catalog.folder, readonly=True) as reader:
        assert len(reader.nearest(query(1, 0, 0, 0), 9)) == 1
        put(catalog, entry("b", [0.8, 0, 0, 0]))
        assert len(reader.nearest(query(1, 0, 0, 0), 9)) == 2
        with pytest.raises(BadCatalog, match="opened for reading"):
            put(reader, entry("c", [1, 0, 0, 0]))


def test_the_same_again_commits_nothing(catalog):
    first = put(catalog, entry("a", [1, 0, 0, 0]))
    assert put(catalog, entry("a", [1, 0, 0, 0])) == first == 1
