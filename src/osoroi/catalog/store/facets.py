"""What there is to choose from: the values of each column with the number of products, and the range of prices.

Each column is counted under the filters of all *other* columns, so a count says how many products choosing that value
would leave, and choosing one brand does not make the others vanish.
"""

from collections.abc import Callable
from typing import Literal

from osoroi.catalog.filters import PREFIX
from osoroi.catalog.protocol import Choice, Facet
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.where import Compiled

VALUES = 60
"""Values of ``category`` and ``brand`` that are listed, the commonest."""
FEW = 12
"""A shop's own text attribute with more values than this is no choice but a description."""

ATTRIBUTES = 40
"""Attributes that are listed, by name; a page with more choices helps nobody, and each costs a count."""
EXAMINED = 400
"""Attributes that are examined for those, by name."""

CompiledFor = Callable[[str], Compiled]
"""Column -> the filters of all others."""


def facets(transaction: ReadTransaction, compiled_for: CompiledFor) -> list[Facet]:
    """Category, price and brand, then the shop's own attributes by name; columns without a choice are left out."""
    columns = [
        _column(transaction, "category", compiled_for),
        _range(transaction, compiled_for),
        _column(transaction, "brand", compiled_for),
        *_attributes(transaction, compiled_for),
    ]
    return [facet for facet in columns if facet is not None]


def _column(
    transaction: ReadTransaction, column: Literal["category", "brand"], compiled_for: CompiledFor
) -> Facet | None:
    """All values there are; those that the other filters leave nothing of count 0 and stay in their place."""
    text, values = compiled_for(column)
    # the column's name is one of two that stand in this file, and what users wrote is in `values`
    statement = (
        f"SELECT {column}, count(*) FILTER (WHERE {text}) FROM products WHERE {column} IS NOT NULL GROUP BY {column}"  # noqa: S608
    )
    rows = transaction.all(f"{statement} ORDER BY count(*) DESC, {column} LIMIT ?", *values, VALUES)
    if len(rows) < 2:
        return None
    return Facet(column, "choice", tuple(Choice(value, int(count)) for value, count in rows))


def _range(transaction: ReadTransaction, compiled_for: CompiledFor) -> Facet | None:
    text, values = compiled_for("price")
    statement = " ".join(["SELECT min(price), max(price) FROM products WHERE", text])
    least, most = transaction.one(statement, *values)
    if least is None:
        least, most = transaction.one("SELECT min(price), max(price) FROM products")
    return None if least is None or least == most else Facet("price", "range", least=least, most=most)


def _attributes(transaction: ReadTransaction, compiled_for: CompiledFor) -> list[Facet]:
    facets_: list[Facet] = []
    statement = "SELECT name_id, name FROM names WHERE kinds != 'number' ORDER BY name LIMIT ?"
    for name_id, name in transaction.all(statement, EXAMINED):
        if len(facets_) == ATTRIBUTES:
            break
        kind = _kind(transaction, name_id)
        if kind is not None:
            column = PREFIX + name
            facets_.append(Facet(column, kind, _values(transaction, name_id, kind, compiled_for(column))))
    return facets_


def _kind(transaction: ReadTransaction, name_id: int) -> Literal["choice", "flag"] | None:
    """How an attribute can be chosen by: few texts, or yes and no, and nothing of another kind."""
    values = transaction.fact_kinds(name_id, FEW + 1)
    kinds = {kind for kind, _ in values}
    if kinds == {"flag"}:
        return "flag"
    return "choice" if kinds == {"text"} and 2 <= len(values) <= FEW else None


def _values(
    transaction: ReadTransaction, name_id: int, kind: Literal["choice", "flag"], compiled: Compiled
) -> tuple[Choice, ...]:
    text, values = compiled
    rows = transaction.fact_counts(name_id, text, values)
    words = {1: "yes", 0: "no"} if kind == "flag" else {}
    return tuple(Choice(words.get(value, str(value)), int(count)) for value, count in rows)
