"""A filter as parameterised SQL over ``products``: names of columns are ours, and whatever a user wrote is a parameter.

Every condition is 0 or 1, never NULL, so that ``NOT`` is plain negation as ``filters`` has it.
"""

from collections.abc import Sequence
from typing import Any

from osoroi.catalog.filters import COLUMNS, PREFIX, Among, Compare, Every, Filter, Known, Missing, Not, Some, kind

STORED = {"text": "text", "number": "real", "flag": "integer"}
"""Kind of a value -> its type in ``facts``."""

Compiled = tuple[str, tuple[Any, ...]]


def compiled(filter_: Filter) -> Compiled:
    """SQL and its parameters, for a filter that ``filters.checked`` has let through.

    >>> from osoroi.catalog.filters import checked, parse
    >>> compiled(checked(parse("price <= 5000 and not brand = '; DROP TABLE x'"), {}))
    ('((price IS NOT NULL AND price <= ?) AND NOT (brand IS NOT NULL AND brand = ?))', (5000.0, '; DROP TABLE x'))
    """
    match filter_:
        case Every():
            return _joined(" AND ", "1", filter_.of)
        case Some():
            return _joined(" OR ", "0", filter_.of)
        case Not():
            text, values = compiled(filter_.of)
            return f"NOT {text}", values
    name = filter_.column
    if name in COLUMNS:
        return _column(name, filter_)
    return _fact(name.removeprefix(PREFIX), filter_)


def _joined(word: str, empty: str, parts: Sequence[Filter]) -> Compiled:
    each = [compiled(part) for part in parts]
    text = word.join(text for text, _ in each) or empty
    return f"({text})", tuple(value for _, values in each for value in values)


def _column(name: str, condition: Compare | Among | Missing) -> Compiled:
    match condition:
        case Missing():
            return f"({name} IS NULL)", ()
        case Among():
            return f"({name} IS NOT NULL AND {name} IN ({_marks(condition.values)}))", condition.values
        case Compare():
            return f"({name} IS NOT NULL AND {name} {condition.operator} ?)", (condition.value,)


def _fact(name: str, condition: Compare | Among | Missing) -> Compiled:
    head = "product IN (SELECT product FROM facts WHERE name_id = (SELECT name_id FROM names WHERE name = ?)"
    match condition:
        case Missing():
            return f"NOT {head})", (name,)
        case Compare():
            stored = STORED[kind(condition.value)]
            return f"{head} AND value {condition.operator} ? AND typeof(value) = '{stored}')", (name, condition.value)
        case Among():
            by_kind = [
                (stored, tuple(value for value in condition.values if kind(value) == one))
                for one, stored in STORED.items()
            ]
            each = [f"(value IN ({_marks(values)}) AND typeof(value) = '{stored}')" for stored, values in by_kind]
            return f"{head} AND ({' OR '.join(each)}))", (name, *(value for _, values in by_kind for value in values))


def _marks(values: Sequence[Known]) -> str:
    return ", ".join("?" for _ in values)
