"""Lines of one product that contradict its first line: which lines, and in what they differ."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any, NamedTuple

from osoroi.data.cells import as_text
from osoroi.data.readers.layout import Layout
from osoroi.data.readers.table import Table
from osoroi.data.tabular import BadLine
from osoroi.records import Product, Value, metadata_hash


class LineConflict(NamedTuple):
    """A line that is not like the first one of its product: the places of both, and column -> both values."""

    product_id: str
    first: str
    place: str
    differs: dict[str, tuple[Value, Value]]

    def __str__(self) -> str:
        """One line for people.

        >>> print(LineConflict("p1", "line 2", "line 9", {"price": (10.0, 12.0), "brand": (None, "Aoi")}))
        product p1: line 9 has price 12 and brand 'Aoi', and line 2 has 10 and nothing, which decides
        """
        ours = " and ".join(f"{name} {_said(theirs)}" for name, (_, theirs) in self.differs.items())
        first = " and ".join(_said(first) for first, _ in self.differs.values())
        return f"product {self.product_id}: {self.place} has {ours}, and {self.first} has {first}, which decides"


def _said(value: Value) -> str:
    """A value as text; numbers with all of their digits.

    >>> _said(1298001.0), _said(10.5), _said("Aoi")
    ('1298001', '10.5', "'Aoi'")
    """
    if value is None:
        return "nothing"
    return as_text(value) if isinstance(value, float) else repr(value)


def line_conflicts(
    table: Table, layout: Layout, *, most: int, holds: Callable[[str], bool] = lambda product_id: True
) -> list[LineConflict]:
    """The first lines that contradict the first one of their product, at most so many, in the order of the table.

    The table is read twice, so that of most products no more than a hash is kept. Lines that cannot be read are passed
    over; those that only repeat a photo are not, for a second price of a product stands in one. ``holds`` says which
    products count.
    """
    first: dict[str, int] = {}
    several: dict[str, None] = {}
    for _, product in _products(table, layout):
        facts = metadata_hash(product)
        if first.setdefault(product.product_id, facts) != facts and holds(product.product_id) and len(several) < most:
            several[product.product_id] = None
    return list(islice(_of(table, layout, several), most)) if several else []


def _of(table: Table, layout: Layout, product_ids: dict[str, None]) -> Iterator[LineConflict]:
    """The contradicting lines of some products."""
    first: dict[str, tuple[str, Product]] = {}
    for place, product in _products(table, layout):
        if product.product_id not in product_ids:
            continue
        at, other = first.setdefault(product.product_id, (place, product))
        if differs := _differences(other, product, layout):
            yield LineConflict(product.product_id, at, place, differs)


def _products(table: Table, layout: Layout) -> Iterator[tuple[str, Product]]:
    """Place and product of each line of a shop photo that can be read."""
    for line in layout.read(lambda error: None):
        try:
            rows = table.rows_of(line, layout)
        except BadLine:
            continue
        if rows[0].crop.domain == "shop":
            yield line.place, rows[0].product


def _differences(first: Product, other: Product, layout: Layout) -> dict[str, tuple[Value, Value]]:
    """Column, as the table calls it -> the values of both, where they differ."""
    one, two = _columns(first), _columns(other)
    names = dict.fromkeys((*one, *two))
    headers = layout.roles.columns
    return {headers.get(name, name): (one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)}


def _columns(product: Product) -> dict[str, Any]:
    columns = asdict(product)
    attributes = columns.pop("attributes")
    return columns | attributes
