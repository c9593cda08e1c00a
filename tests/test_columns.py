"""Columns as arrays say what the truth says; ``filters.matches`` is the oracle, and test_local.py asks at random."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osoroi.catalog import filters
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.memory.columns import Columns
from shops import DEFAULTS, create, entry, found, put

PRODUCTS: dict[str, dict[str, Any]] = {
    "a": {"price": 10.0, "brand": "é", "attributes": {"size": 38.0, "sale": True, "note": "one"}},
    "b": {"price": None, "brand": None, "attributes": {"size": "38", "sale": False, "note": "two"}},
    "c": {"price": 30.5, "brand": "z", "attributes": {"note": "three"}},
}
WHERES = {
    "price <= 10": "a",
    "not price <= 10": "bc",
    "price is missing or brand > 'a'": "abc",
    "brand >= z": "ac",  # by code point, é comes after z
    "size = 38": "a",
    "size = '38'": "b",
    "size in (38, '38') and sale": "a",
    "size is missing": "c",
    "not sale": "bc",
    "sale = false": "b",
    "note > one": "bc",
    "product_id in (a, c) and not price > 20": "a",
    "": "abc",
}


@pytest.fixture
def catalog(tmp_path: Path):
    with create(tmp_path / "shop", *(entry(name, [1, 0, 0, 0], **row) for name, row in PRODUCTS.items())) as made:
        yield made


@pytest.mark.parametrize("words", [DEFAULTS.words, 2])  # of three notes, two are too few for an array
def test_a_filter_finds_what_it_means_with_and_without_an_array(tmp_path: Path, words: int) -> None:
    entries = [entry(name, [1, 0, 0, 0], **row) for name, row in PRODUCTS.items()]
    catalog = create(tmp_path / "shop", *entries, settings=replace(DEFAULTS, words=words))
    for where, expected in WHERES.items():
        assert "".join(sorted(found(catalog, where))) == expected, where
        assert "".join(product.product_id for product in catalog.products(where=where)) == expected, where


def test_columns_follow_every_change_and_attributes_that_are_new(catalog: LocalCatalog) -> None:
    assert found(catalog, "price < 20") == "a"
    catalog.patch("b", {"price": 5.0})
    put(catalog, entry("d", [0.5, 0, 0, 0], price=1.0, attributes={"new": "x"}))
    catalog.remove(["a"])
    assert found(catalog, "price < 20") == "bd"
    assert found(catalog, "new = x") == "d"
    assert found(catalog, "new is missing") == "bc"
    catalog.patch("d", {"attributes.new": 7.0, "brand": "new brand"})
    assert (found(catalog, "new = x"), found(catalog, "new = 7"), found(catalog, "brand > n")) == ("", "d", "cd")


def test_a_file_brings_the_columns_back(catalog: LocalCatalog, tmp_path: Path) -> None:
    put(catalog, entry("e", [1, 0, 0, 0], attributes={"odd \0/name": "\ud7ff", "sale": 3.0}))
    keys = np.arange(1, 5)
    with catalog.view() as truth:
        columns = Columns.read(truth, words=DEFAULTS.words)
    columns.wide.add("attributes.wide")
    columns.save(tmp_path / "columns")
    again = Columns.open(tmp_path / "columns")
    assert (again.size, again.wide) == (5, {"attributes.wide"})
    assert columns.differs(again, keys) is None
    again.arrays["price"].put(np.array([3]), [31.0], 5)
    assert columns.differs(again, keys) == "price"
    assert columns.differs(again, np.array([1, 2, 4])) is None


def test_a_condition_without_an_array_is_asked_of_the_truth_alone(catalog: LocalCatalog) -> None:
    with catalog.view() as truth:
        columns = Columns.read(truth, words=DEFAULTS.words)
    asked = []

    def ask(condition: filters.Condition) -> np.ndarray:
        asked.append(condition.column)
        return np.array([2])

    filter_ = filters.checked(filters.parse("price > 20 or title = x"), {})
    assert np.flatnonzero(columns.matching(filter_, ask)).tolist() == [2, 3]
    assert asked == ["title"]
