"""A filter as parameterised SQL over ``products``: names of columns are ours, and whatever a user wrote is a parameter.

Every condition is 0 or 1, never NULL, so that ``NOT`` is plain negation as ``filters`` has it.
"""

from collections.abc import Sequence
from typing import Any

from osoroi.catalog.filters import (
    COLUMNS,
    PREFIX,
    Among,
    Compare,
    Every,
    Filter,
    Known,
    Missing,
    Not,
    Some,
    fold,
    is_exact,
    kind,
)

STORED = {"text": "text", "number": "real", "flag": "integer"}
"""Kind of a value -> its type in ``facts``."""

Compiled = tuple[str, tuple[Any, ...]]


def compiled(filter_: Filter) -> Compiled:
    """SQL and its parameters, for a filter that ``filters.checked`` has let through.

    >>> from osoroi.catalog.filters import checked, parse
    >>> compiled(checked(parse("price <= 5000 and not brand = '; DROP TABLE x'"), {}))
    ('((price IS NOT NULL AND price <= ?) AND NOT (brand IS NOT NULL AND fold(brand) = ?))', (5000.0, '; drop table x'))
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
            text, values = _among(name, condition.values, exact=is_exact(condition))
            return f"({name} IS NOT NULL AND {text})", values
        case Compare(operator="contains", value=str(wanted)):
            return f"({name} IS NOT NULL AND instr(fold({name}), ?) > 0)", (fold(wanted),)
        case Compare():
            text, value = _compared(name, condition)
            return f"({name} IS NOT NULL AND {text})", (value,)


def _compared(name: str, condition: Compare) -> tuple[str, Known]:
    """A comparison with a column of the database."""
    value = condition.value
    if isinstance(value, str) and not is_exact(condition):
        return f"fold({name}) = ?", fold(value)
    return f"{name} {SQL.get(condition.operator, condition.operator)} ?", value


SQL = {"==": "=", "contains": "="}
"""Operators that SQL writes otherwise; a number that a list contains is one that it equals."""


def _among(name: str, values: Sequence[Known], *, exact: bool) -> Compiled:
    """Whether a column holds one of these; text without capitals and width unless it is exact."""
    texts = () if exact else tuple(fold(value) for value in values if isinstance(value, str))
    others = tuple(value for value in values if exact or not isinstance(value, str))
    if not texts:
        return f"{name} IN ({_marks(others)})", others
    return f"(fold({name}) IN ({_marks(texts)}) OR {name} IN ({_marks(others)}))", (*texts, *others)


def _fact(name: str, condition: Compare | Among | Missing) -> Compiled:
    head = "product IN (SELECT product FROM facts WHERE name_id = (SELECT name_id FROM names WHERE name = ?)"
    match condition:
        case Missing():
            return f"NOT {head})", (name,)
        case Compare(operator="contains", value=str(wanted)):
            attributes = "(SELECT attributes FROM products WHERE products.product = facts.product)"
            whole = f"(fold(value) = ? OR NOT is_list({attributes}, ?))"  # of a list, a value itself; of text, a part
            text = f"typeof(value) = 'text' AND instr(fold(value), ?) > 0 AND {whole}"
            return f"{head} AND {text})", (name, fold(wanted), fold(wanted), name)
        case Compare():
            stored = STORED[kind(condition.value)]
            text, value = _compared("value", condition)
            return f"{head} AND typeof(value) = '{stored}' AND {text})", (name, value)
        case Among():
            by_kind = [
                (stored, tuple(value for value in condition.values if kind(value) == one))
                for one, stored in STORED.items()
            ]
            each = [(stored, _among("value", values, exact=is_exact(condition))) for stored, values in by_kind]
            text = " OR ".join(f"(typeof(value) = '{stored}' AND {one})" for stored, (one, _) in each)
            return f"{head} AND ({text}))", (name, *(value for _, (_, values) in each for value in values))


def _marks(values: Sequence[Known]) -> str:
    return ", ".join("?" for _ in values)
