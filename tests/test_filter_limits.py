"""Filters and choices have a bounded amount of work, and errors a bounded length, whatever a table holds."""

import time

import numpy as np
import pytest

from osoroi.catalog import Entry
from osoroi.catalog.filters import Among, Compare, Every, checked, parse
from osoroi.catalog.store import facets
from osoroi.errors import BadFilter
from osoroi.records import Crop, Product
from shops import create, entry, put


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
        start = time.perf_counter()
        with pytest.raises(BadFilter) as caught:
            catalog.count(where='{"column": "' + "n" * 9_000 + '", "=": 1}')
        assert len(str(caught.value)) < 1_500
        assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("filter_", "says"),
    [
        (Every(tuple(Compare("price", "=", 1.0) for _ in range(201))), "more than 200 conditions"),
        (
            Every(tuple(Compare("title", "=", "a") for _ in range(21))),
            "more than 20 conditions on product_id",
        ),
        (Every((Among("brand", ("a",) * 6_000), Among("brand", ("b",) * 6_000))), "more than 10,000 values"),
    ],
)
def test_a_filter_above_a_limit_says_which(filter_, says):
    with pytest.raises(BadFilter, match=says):
        checked(filter_, {})


def test_a_filter_at_its_limits_is_read():
    text = " and ".join(f"title != a{place}" for place in range(20))
    assert len(checked(parse(text), {}).of) == 20


def test_a_filter_that_takes_too_much_work_is_stopped_and_the_catalog_goes_on(tmp_path):
    with create(tmp_path / "shop", *(entry(f"p{place:03}", [1, 0, 0, 0]) for place in range(300))) as catalog:
        with catalog.view() as transaction:
            with pytest.raises(BadFilter, match="more work than is allowed"), transaction.limited(100_000):
                transaction.all("SELECT count(*) FROM products AS a, products AS b, products AS c")
            with transaction.limited(100_000):
                assert transaction.matching("title != x") == 300
        assert catalog.count(where="title != x") == 300
