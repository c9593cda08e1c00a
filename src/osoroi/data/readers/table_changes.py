"""What a table without photos, such as one of prices, says of products, and its lines that contradict each other."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from osoroi.data.readers.layout import Layout
from osoroi.data.readers.line_conflicts import LineConflict
from osoroi.data.readers.table import id_of, price_of
from osoroi.data.tabular import BadLine, Line, OnError
from osoroi.records import Value

NAMED = 200
"""Contradicting lines that are kept to be named; the others are counted."""


@dataclass
class TableChanges:
    """Product id -> metadata, and the lines that contradict an earlier line of their product: their number, and the
    first of them."""

    by_product: dict[str, dict[str, Value]] = field(default_factory=dict)
    contradicting: int = 0
    conflicts: list[LineConflict] = field(default_factory=list)


def table_changes(lines: Iterable[Line], layout: Layout, on_error: OnError) -> TableChanges:
    """The changes that lines state. Of several lines of a product the first one that fills a column decides it; a
    column that is empty in all of them is emptied."""
    changes = TableChanges()
    first: dict[str, str] = {}
    later: dict[str, dict[str, str]] = {}  # product id -> columns that a later line decided, and its place
    for line in lines:
        try:
            product_id = id_of(line, "product_id")
            if product_id is None:
                line.refuse("no product_id", hint="a table without photos names products by their id")
            fields = stated(line, layout)
        except BadLine as error:
            error.product_id = line.text("product_id")
            on_error(error)
            continue
        if product_id not in first:
            first[product_id], changes.by_product[product_id] = line.place, fields
            continue
        held, places = changes.by_product[product_id], later.setdefault(product_id, {})
        differs = _differences(held, fields)
        changes.contradicting += bool(differs)
        if len(changes.conflicts) < NAMED:
            origin = {name: places.get(name, first[product_id]) for name in differs}
            changes.conflicts += _conflicts(product_id, line.place, differs, origin, layout)
        for name in _fill(held, fields):
            places[name] = line.place
    return changes


def _differences(held: dict[str, Value], fields: dict[str, Value]) -> dict[str, tuple[Value, Value]]:
    """Column -> the value that stands and another one, both filled. A currency without a price stands for nothing."""
    is_priced = "price" not in fields or held["price"] is not None
    return {
        name: (held[name], value)
        for name, value in fields.items()
        if not _is_empty(value)
        and not _is_empty(held.get(name))
        and held[name] != value
        and (is_priced or name != "currency")
    }


def _fill(held: dict[str, Value], fields: dict[str, Value]) -> list[str]:
    """Give empty columns the values of a later line; returns these columns. A currency goes with its own price."""
    names = [name for name, value in fields.items() if _is_empty(held.get(name)) and not _is_empty(value)]
    if "price" in names and not _is_empty(fields.get("currency")):
        names = list(dict.fromkeys([*names, "currency"]))
    elif "currency" in names and "price" not in names and fields.get("price") not in (None, held.get("price")):
        names.remove("currency")
    for name in names:
        held[name] = fields[name]
    return names


def _conflicts(
    product_id: str, place: str, differs: dict[str, tuple[Value, Value]], origin: dict[str, str], layout: Layout
) -> list[LineConflict]:
    """One conflict for each earlier line that decides some of the columns, which are called as in the table."""
    headers = layout.roles.columns
    by_origin: dict[str, dict[str, tuple[Value, Value]]] = {}
    for name, values in differs.items():
        by_origin.setdefault(origin[name], {})[headers.get(name, name)] = values
    return [LineConflict(product_id, earlier, place, values) for earlier, values in by_origin.items()]


def _is_empty(value: Value) -> bool:
    return value is None or value in ("", ())


def stated(line: Line, layout: Layout) -> dict[str, Value]:
    """The metadata that a line states; an empty cell removes a value."""
    changes: dict[str, Value] = {}
    for name in ("title", "category", "brand", "url", "design_id"):
        if name in line.cells:
            changes[name] = line.text(name) or ("" if name == "title" else None)
    if "price" in line.cells:
        price, currency = price_of(line, layout)
        changes["price"] = price
        if currency is not None:
            changes["currency"] = currency
    elif "currency" in line.cells:
        changes["currency"] = line.text("currency")
    return changes | layout.attributes(line)
