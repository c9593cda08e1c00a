"""Filters and choices have a bounded amount of work, and errors a bounded length, whatever a table holds."""

import asyncio
import os
import threading
import time

import numpy as np
import pytest

from effort import Effort
from osoroi.catalog import Entry, Storage, interrupted_by
from osoroi.catalog.address import Address
from osoroi.catalog.filters import Among, Compare, Every, Not, Some, checked, parse, require_modest
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.memory.columns import Column
from osoroi.catalog.store import facets
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.errors import BadFilter, TooMuch
from osoroi.records import Crop, Product, Scalar
from osoroi.search import Searcher
from osoroi.server.service import Service
from osoroi.server.settings import Settings
from shop import RED, ThreadDecoder, fill, picture
from shop import entry as shop_entry
from shops import create, entry, put
from tiny import TinyEncoder


def many(path, products: int, columns: int) -> list[Entry]:
    """Products with so many attributes that are yes or no, as a table with one column a tag gives them."""
    photo = path / "photo.jpg"
    photo.write_bytes(b"photo")
    return [
        Entry(
            Product(f"p{at}", attributes={f"has_{name}": (at * 7 + name) % 3 == 0 for name in range(columns)}),
            [Crop(f"c{at}", f"p{at}", "shop", photo)],
            np.ones((1, 4), np.float32) / 2,
        )
        for at in range(products)
    ]


def test_a_thousand_yes_no_columns_make_neither_many_choices_nor_a_long_error(tmp_path):
    with create(tmp_path / "shop") as catalog:
        put(catalog, *many(tmp_path, 20, 1000))
        listed = catalog.facets(lambda column: None)
        assert len(listed) == facets.ATTRIBUTES
        assert all(sum(choice.products for choice in facet.choices) == 20 for facet in listed)
        with pytest.raises(BadFilter, match=r"there are 1,?008, for instance: .*attributes\.has_77") as caught:
            catalog.count(where="has_77x = 1")
        assert len(str(caught.value)) < 1_500
        with Effort() as effort, pytest.raises(BadFilter) as caught:
            catalog.count(where='{"column": "' + "n" * 9_000 + '", "=": 1}')
        assert len(str(caught.value)) < 1_500
        assert effort.units < 100


TOO_MUCH = [
    (Every(tuple(Compare("price", "=", 1.0) for _ in range(101))), "101 conditions, more than the 100"),
    (Not(Every((Compare("price", "=", 1.0),) * 101)), "101 conditions, more than the 100"),
    (Some(tuple(Compare("title", "=", "a") for _ in range(11))), "more than 10 conditions on product_id"),
    (Every((Among("brand", ("a",) * 1_200), Among("brand", ("b",) * 1_200))), "2,400 values, more than the 2,000"),
]


@pytest.mark.parametrize(("filter_", "says"), TOO_MUCH)
def test_a_filter_above_a_limit_says_which_to_a_catalog_and_to_the_service(filter_, says):
    for look in (require_modest, lambda filter_: checked(filter_, {})):
        with pytest.raises(BadFilter, match=says):
            look(filter_)


def test_a_filter_at_its_limits_is_read():
    text = " and ".join(f"title != a{place}" for place in range(10))
    filter_ = checked(parse(text), {})
    assert isinstance(filter_, Every)
    assert len(filter_.of) == 10
    many = Every((Among("brand", ("a",) * 1_901), *(Compare("price", "=", 1.0) for _ in range(99))))
    assert require_modest(many) is many


def test_a_filter_of_many_values_on_a_column_of_many_words_looks_them_up(tmp_path):
    """60,000 words times 1,900 values are a hundred million comparisons: half a minute one by one."""
    words = [f"word{number}" for number in range(60_000)]
    column = Column.empty()
    column.put(np.arange(1, 60_003), [*words, True, 1.0], 60_003)
    values: tuple[Scalar, ...] = (*words[100:2_000], "none", True)
    with Effort() as effort:
        found = column.mask(Among("attributes.sku", values), 60_003)
    assert effort.units < 400  # one by one: 1,500
    assert np.flatnonzero(found).tolist() == [*range(101, 2_001), 60_001]  # 1.0 is no flag, though 1.0 == True
    assert np.flatnonzero(column.mask(Compare("a", "=", 1.0), 60_003)).tolist() == [60_002]
    assert np.flatnonzero(column.mask(Compare("a", "=", True), 60_003)).tolist() == [60_001]
    assert np.flatnonzero(column.mask(Compare("a", "=", "word0"), 60_003)).tolist() == [1]


def test_a_number_that_is_compared_with_text_is_the_text_as_written_in_the_filter():
    assert checked(parse("size = 38"), {"size": frozenset(["text"])}) == Compare("attributes.size", "=", "38")
    with pytest.raises(BadFilter, match="38 is a number"):
        checked(parse("sale = 38"), {"sale": frozenset(["flag"])})


def endless(transaction: ReadTransaction) -> int:
    """A count of 300 ^ 5 rows: days."""
    tables = ", ".join(f"products AS {name}" for name in "abcde")
    with transaction.limited(10**15):
        return int(transaction.one(" ".join(["SELECT count(*) FROM", tables]))[0])


def test_a_filter_that_nobody_waits_for_ends_at_once(tmp_path):
    event = threading.Event()
    with create(tmp_path / "shop", *(entry(f"p{place:03}", [1, 0, 0, 0]) for place in range(300))) as catalog:
        start = time.monotonic()
        threading.Timer(0.3, event.set).start()
        with interrupted_by(event), catalog.view() as transaction, pytest.raises(TooMuch, match="nobody waits"):
            endless(transaction)
        assert 0.3 <= time.monotonic() - start < 60  # the count would take days
        assert catalog.count(where="title != x") == 300  # outside of the block nothing is interrupted


@pytest.mark.parametrize("how", ["its request gives up", "the service ends"])
def test_counting_ends_with_what_it_is_for(tmp_path, how):
    """As many endless counts as there are reading threads; the next reading then has its turn."""
    encoder = TinyEncoder()
    few = [shop_entry(encoder, Product(f"p{place:03}"), picture(RED)) for place in range(300)]

    def slow(catalog: Storage) -> int:
        assert isinstance(catalog, LocalCatalog)
        with catalog.view() as transaction:
            return endless(transaction)

    async def run(catalog: LocalCatalog) -> float:
        service = Service(Searcher(encoder, catalog), Settings(), ThreadDecoder())
        jobs = [asyncio.ensure_future(service.read_catalog(slow)) for _ in range(max(2, os.cpu_count() or 2))]
        await asyncio.sleep(0.3)
        start = time.monotonic()
        if how == "the service ends":
            await asyncio.to_thread(service.close)
            assert {type(error) for error in await asyncio.gather(*jobs, return_exceptions=True)} == {TooMuch}
        else:
            for job in jobs:
                job.cancel()
            assert await service.read_catalog(lambda catalog: catalog.count(where="title is missing")) == 0
            service.close()
        return time.monotonic() - start

    with fill(tmp_path / "shop", encoder, few) as catalog:
        assert asyncio.run(run(catalog)) < 60  # each count would take days


def test_a_filter_that_takes_too_much_work_is_stopped_and_the_catalog_goes_on(tmp_path):
    with create(tmp_path / "shop", *(entry(f"p{place:03}", [1, 0, 0, 0]) for place in range(300))) as catalog:
        with catalog.view() as transaction:
            with pytest.raises(BadFilter, match="more work than is allowed"), transaction.limited(100_000):
                transaction.all("SELECT count(*) FROM products AS a, products AS b, products AS c")
            with transaction.limited(100_000):
                assert transaction.matching("title != x") == 300
        assert catalog.count(where="title != x") == 300


def test_in_postgresql_a_filter_is_stopped_and_what_follows_it_is_not(postgres_address):
    with create(Address.parse(postgres_address), entry("a", [1, 0, 0, 0])) as catalog:
        with (
            catalog.view() as transaction,
            pytest.raises(BadFilter, match="more work than is allowed"),
            transaction.limited(200),
        ):
            transaction.all("SELECT pg_sleep(600)")
        with catalog.view() as transaction:
            with transaction.limited(200):
                pass
            transaction.all("SELECT pg_sleep(0.5)")
