"""Values of a filter that no product has, and those most like them: "Dres" was meant to be "Dress"."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from osoroi.catalog.filters import COLUMNS, PREFIX, Among, Compare, Every, Filter, Not, Some, fold
from osoroi.catalog.filters.limits import LONG_TEXT
from osoroi.catalog.filters.nodes import IDS
from osoroi.catalog.store.reader import ReadTransaction

COMPARED = 5000
"""Values of a column that are compared at most."""


class Suggestion(NamedTuple):
    """A column, a value that no product has there, and the nearest one that there is; None where none is near."""

    column: str
    value: str
    nearest: str | None

    def __str__(self) -> str:
        near = f'; did you mean "{self.nearest}"?' if self.nearest is not None else ""
        return f'no product has {self.column.removeprefix(PREFIX)} "{self.value}"{near}'


def suggestions(transaction: ReadTransaction, where: str | None) -> list[Suggestion]:
    """The values of a filter that no product has. Raises BadFilter."""
    found: list[Suggestion] = []
    for column, value, exact in texts(transaction.filter(where)):
        values = values_of(transaction, column)
        same = values if exact else {fold(one): one for one in values}
        if (value if exact else fold(value)) in same or len(values) == COMPARED:
            continue
        by_fold = {fold(one): one for one in values}
        near = get_close_matches(fold(value), by_fold, n=1, cutoff=0.6)
        found.append(Suggestion(column, value, by_fold[near[0]] if near else None))
    return found


def texts(filter_: Filter) -> Iterator[tuple[str, str, bool]]:
    """Columns of few values, the text that each is compared with, and whether letter by letter."""
    match filter_:
        case Not():
            yield from texts(filter_.of)
        case Every() | Some():
            for part in filter_.of:
                yield from texts(part)
        case Compare(column=column, operator="=" | "==", value=str(value)) if column not in IDS | LONG_TEXT:
            yield column, value, filter_.operator == "=="
        case Among(column=column) if column not in IDS | LONG_TEXT:
            yield from ((column, value, filter_.exact) for value in filter_.values if isinstance(value, str))


def values_of(transaction: ReadTransaction, column: str) -> dict[str, str]:
    """The text that products have in a column, of very many the first."""
    if column in COLUMNS:
        statement = f"SELECT DISTINCT {column} FROM products WHERE {column} IS NOT NULL LIMIT ?"  # noqa: S608 (ours)
        rows = transaction.all(statement, COMPARED)
    else:
        return {value: value for value in transaction.fact_texts(column.removeprefix(PREFIX), COMPARED)}
    return {value: value for (value,) in rows if isinstance(value, str)}
