"""A catalog at its limits: pages, choices, names, values that can be stored, and what a sweep leaves."""

import copy
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osoroi import files
from osoroi.catalog.address import Address, cache_folder
from osoroi.catalog.memory import compaction
from osoroi.catalog.memory.history import History
from osoroi.catalog.store import photos, validation
from osoroi.catalog.store.pool import Pool
from osoroi.catalog.stored import PAGE, StoredCatalog
from osoroi.errors import BadRequest
from osoroi.records import Box, Crop
from shops import SMALL, create, entry, found, put

COUNT = PAGE + 3


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredCatalog]:
    """Products of more than a page, in 61 categories, with attributes of one to thirteen values."""
    folder = tmp_path_factory.mktemp("wide")
    (folder / "photo.jpg").write_bytes(b"one photo for all")
    entries = [
        entry(
            f"p{at:03}",
            [1, 0, 0, 0],
            photo=folder / "photo.jpg",
            category=f"c{at % 61:02}",
            brand="one",
            price=5.0,
            attributes={
                "few": f"{at % 12:02}",
                "two": "ab"[at % 2],
                "many": f"{at % 13}",
                "one": "x",
                "sale": at % 2 == 0,
                "size": float(at % 4),
            },
        )
        for at in range(COUNT)
    ]
    with create(folder / "shop", *entries) as catalog:
        yield catalog


def test_pages_of_products_follow_each_other_without_a_gap(wide: StoredCatalog) -> None:
    ids = [f"p{at:03}" for at in range(COUNT)]
    for limit in (None, 0, PAGE, PAGE + 1, COUNT + 1):
        assert [one.product_id for one in wide.products(limit=limit)] == ids[:limit]
    assert [one.product_id for one in wide.products(after="p001", limit=PAGE)] == ids[2 : PAGE + 2]
    assert [one.product_id for one in wide.products(where="price > 5")] == []


def test_columns_with_two_to_twelve_values_can_be_chosen_by(wide: StoredCatalog) -> None:
    facets = {one.column: one for one in wide.facets(lambda column: None)}
    assert list(facets) == ["category", "attributes.few", "attributes.sale", "attributes.two"]
    assert [choice.value for choice in facets["category"].choices] == [f"c{at:02}" for at in range(60)]
    assert [choice.products for choice in facets["category"].choices[13:16]] == [9, 9, 8]
    assert [choice.products for choice in facets["attributes.few"].choices] == [42] * 11 + [41]
    assert {choice.value: choice.products for choice in facets["attributes.sale"].choices} == {"yes": 252, "no": 251}


def test_the_commonest_category_comes_first(wide: StoredCatalog) -> None:
    counts = list(wide.categories().values())
    assert (counts, len(counts)) == ([9] * 15 + [8] * 46, 61)


@pytest.mark.parametrize(
    ("schema", "is_name"), [("s", True), ("s" * 63, True), ("s" * 64, False), ("", False), ("%C3%A9" * 32, False)]
)
def test_a_schema_has_a_name_of_one_to_63_bytes(schema: str, is_name: bool) -> None:
    text = f"postgresql://h/shops?schema={schema}"
    if is_name:
        assert Address.parse(text).schema == schema
    else:
        with pytest.raises(BadRequest, match="is no name of a schema"):
            Address.parse(text)


def test_the_cache_is_where_the_first_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "ours"))
    assert cache_folder() == tmp_path / "ours"
    monkeypatch.setenv("OSOROI_CACHE", "")
    assert cache_folder() == tmp_path / "users" / "osoroi"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "osoroi"


GOOD = entry("a", [1, 0, 0, 0], [0, 1, 0, 0], title="t", price=3.0, attributes={"n": 1.0, "l": ("x", 2.0), "f": True})
ONE = GOOD.crops[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"crops": [], "vectors": np.empty((0, 4), np.float32)}, "0 crops and 0 vectors"),
        ({"crops": [ONE]}, "1 crops and 2 vectors"),
        ({"vectors": GOOD.vectors[:, :3]}, "vectors of 4 finite numbers"),
        ({"vectors": GOOD.vectors * np.array([1, 1, 1, np.nan], np.float32)}, "vectors of 4 finite numbers"),
        ({"crops": [ONE, ONE]}, "two crops of one id"),
        ({"crops": [ONE, replace(ONE, crop_id="b", product_id="b")]}, "no shop crop of product 'a'"),
        ({"crops": [ONE, replace(ONE, crop_id="b", domain="street")]}, "no shop crop"),
        ({"crops": [ONE, replace(ONE, crop_id="")]}, "no shop crop"),
        ({"crops": [ONE, replace(ONE, crop_id="\ud800")]}, "no Unicode"),
        ({"crops": [ONE, replace(ONE, crop_id="b", photo=Path("\udcff.jpg"))]}, "no Unicode"),
    ],
)
def test_an_entry_that_could_not_be_found_again_is_refused(changes: dict[str, Any], says: str) -> None:
    validation.demand(GOOD, 4)
    with pytest.raises(BadRequest, match=says):
        validation.demand(GOOD._replace(**changes), 4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"product_id": ""}, "empty id"),
        ({"category": 3}, "something else where text belongs"),
        ({"attributes": {3: "x"}}, "something else where text belongs"),
        ({"price": "3"}, "the price '3'"),
        ({"price": True}, "the price True"),
        ({"price": float("inf")}, "the value inf"),
        ({"attributes": {"l": ("x", True)}}, "a flag in a list"),
        ({"attributes": {"l": ("x", float("nan"))}}, "the value nan"),
        ({"attributes": {"d": {}}}, r"the value \{\}"),
        ({"attributes": {"l": ("x", None, b"y")}}, "the value b'y'"),
        ({"title": "\ud800"}, "no Unicode"),
    ],
)
def test_values_that_could_not_be_stored_as_they_are_are_refused(changes: dict[str, object], says: str) -> None:
    product = copy.copy(GOOD.product)
    for name, value in changes.items():
        object.__setattr__(product, name, value)  # as a caller without type checks would
    with pytest.raises(BadRequest, match=says):
        validation.demand_product(product)


def test_crops_are_the_same_by_id_bytes_and_box_and_a_moved_file_is_another() -> None:
    old = Crop("a/0", "a", "shop", Path("/photos/1.jpg"), None, sha256="1" * 64)
    assert photos.are_same([old], [old])
    assert photos.are_same([replace(old, photo=b"the same bytes")], [old])
    for other in (
        replace(old, photo=Path("/photos/2.jpg")),
        replace(old, crop_id="a/1"),
        replace(old, sha256="2" * 64),
        replace(old, box=Box(0, 0, 1, 1)),
    ):
        assert not photos.are_same([other], [old])
    assert not photos.are_same([old, old], [old])
    assert not photos.are_same([], [old])
    assert photos.are_same([], [])


def test_a_sweep_leaves_the_last_thousand_commits_and_what_may_be_half_written(tmp_path: Path) -> None:
    with create(tmp_path / "shop") as catalog:
        for name in "abcde":
            put(catalog, entry(name, [1, 0, 0, 0]))
        catalog.remove("a")
        with catalog.view() as transaction:
            (kept,) = {photo for (photo,) in transaction.all("SELECT sha256 FROM crops WHERE crop_id = 'b/0'")}
        place = photos.place(tmp_path / "shop", kept)
        halves = {hours: place.with_name(f".{hours}{files.PART}") for hours in (23, 25)}
        for hours, path in halves.items():
            path.write_bytes(b"half")
            os.utime(path, (time.time() - 3600 * hours,) * 2)
        before = {path.name for path in (tmp_path / "shop" / photos.FOLDER).glob("??/*") if path.suffix != files.PART}
        last = catalog.seq
        pool = Pool(tmp_path / "shop", readonly=False, wait_s=5.0)
        compaction.sweep(pool, 1000 + last - 2)
        pool.close()
        with catalog.view() as transaction:
            assert [row.seq for row in transaction.changes(0)] == [last - 2, last - 1, last]
        after = {path.name for path in (tmp_path / "shop" / photos.FOLDER).glob("??/*") if path.suffix != files.PART}
        assert (len(before), len(after), kept in after) == (5, 4, True)
        assert [path.exists() for path in halves.values()] == [True, False]
        assert found(catalog) == "bcde"


def test_so_many_commits_are_remembered_as_a_searcher_asks_for() -> None:
    history = History(0, 100, most=2)
    for seq in (1, 2, 3):
        history.add(seq, 100 + seq, [seq])
    assert history.changed_since(0, 100) is None
    assert history.changed_since(1, 101) == {2, 3}
    assert history.changed_since(3, 103) == set()


def test_a_snapshot_is_due_once_enough_has_changed_and_for_a_handle_that_writes_any(tmp_path: Path) -> None:
    never = replace(SMALL, snapshot_from=1, compacts=False)
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0]), entry("b", [1, 0, 0, 0]), settings=never) as catalog:
        with catalog.view() as transaction:
            assert compaction.due(transaction, never)
            assert not compaction.due(transaction, replace(never, snapshot_from=3))
        assert not catalog.compactor.is_due()
