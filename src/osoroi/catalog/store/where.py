"""A filter as parameterised SQL over ``products``: names of columns are ours, and whatever a user wrote is a parameter.

Every condition is 0 or 1, never NULL, so that ``NOT`` is plain negation as ``filters`` has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    value_type,
)

Compiled = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Dialect:
    """What two databases write differently."""

    fold: str
    """Text of a column without capitals and width."""
    find: str
    """Whether folded text contains a value."""
    facts: Mapping[str, tuple[str, str]]
    """Type of an attribute's value -> whether a fact is of that type, and the column that holds it."""
    is_listed: str
    """Whether a fact is a value of a list."""


SQLITE = Dialect(
    fold="fold({})",
    find="instr({}, ?) > 0",
    facts={
        "text": ("typeof(value) = 'text'", "value"),
        "number": ("typeof(value) = 'real'", "value"),
        "flag": ("typeof(value) = 'integer'", "value"),
    },
    is_listed="is_list((SELECT attributes FROM products WHERE products.product = facts.product),"
    " (SELECT name FROM names WHERE names.name_id = facts.name_id))",
)


def compiled(filter_: Filter, dialect: Dialect = SQLITE) -> Compiled:
    """SQL and its parameters, for a filter that ``filters.checked`` has let through.

    >>> from osoroi.catalog.filters import checked, parse
    >>> compiled(checked(parse("price <= 5000 and not brand = '; DROP TABLE x'"), {}))
    ('((price IS NOT NULL AND price <= ?) AND NOT (brand IS NOT NULL AND fold(brand) = ?))', (5000.0, '; drop table x'))
    """
    match filter_:
        case Every():
            return _joined(" AND ", "TRUE", filter_.of, dialect)
        case Some():
            return _joined(" OR ", "FALSE", filter_.of, dialect)
        case Not():
            text, values = compiled(filter_.of, dialect)
            return f"NOT {text}", values
    name = filter_.column
    if name in COLUMNS:
        return _column(name, filter_, dialect)
    return _fact(name.removeprefix(PREFIX), filter_, dialect)


def _joined(word: str, empty: str, parts: Sequence[Filter], dialect: Dialect) -> Compiled:
    each = [compiled(part, dialect) for part in parts]
    text = word.join(text for text, _ in each) or empty
    return f"({text})", tuple(value for _, values in each for value in values)


def _column(name: str, condition: Compare | Among | Missing, dialect: Dialect) -> Compiled:
    match condition:
        case Missing():
            return f"({name} IS NULL)", ()
        case Among():
            text, values = _among(name, condition.values, dialect, exact=is_exact(condition))
            return f"({name} IS NOT NULL AND {text})", values
        case Compare(operator="contains", value=str(wanted)):
            return f"({name} IS NOT NULL AND {dialect.find.format(dialect.fold.format(name))})", (fold(wanted),)
        case Compare():
            text, value = _compared(name, condition, dialect)
            return f"({name} IS NOT NULL AND {text})", (value,)


def _compared(name: str, condition: Compare, dialect: Dialect) -> tuple[str, Known]:
    """A comparison with a column of the database."""
    value = condition.value
    if isinstance(value, str) and not is_exact(condition):
        return f"{dialect.fold.format(name)} = ?", fold(value)
    return f"{name} {SQL.get(condition.operator, condition.operator)} ?", value


SQL = {"==": "=", "contains": "="}
"""Operators that SQL writes otherwise; a number that a list contains is one that it equals."""


def _among(name: str, values: Sequence[Known], dialect: Dialect, *, exact: bool) -> Compiled:
    """Whether a column holds one of these; text without capitals and width unless it is exact."""
    texts = () if exact else tuple(fold(value) for value in values if isinstance(value, str))
    others = tuple(value for value in values if exact or not isinstance(value, str))
    if not texts:
        return _in(name, others), others
    return f"({_in(dialect.fold.format(name), texts)} OR {_in(name, others)})", (*texts, *others)


def _in(name: str, values: Sequence[Known]) -> str:
    marks = ", ".join("?" for _ in values)
    return f"{name} IN ({marks})" if values else "FALSE"


def _fact(name: str, condition: Compare | Among | Missing, dialect: Dialect) -> Compiled:
    head = "product IN (SELECT product FROM facts WHERE name_id = (SELECT name_id FROM names WHERE name = ?)"
    match condition:
        case Missing():
            return f"NOT {head})", (name,)
        case Compare(operator="contains", value=str(wanted)):
            is_text, column = dialect.facts["text"]
            folded = dialect.fold.format(column)
            whole = f"({folded} = ? OR NOT {dialect.is_listed})"  # of a list, a value itself; of text, a part
            text = f"{is_text} AND {dialect.find.format(folded)} AND {whole}"
            return f"{head} AND {text})", (name, fold(wanted), fold(wanted))
        case Compare():
            is_kind, column = dialect.facts[value_type(condition.value)]
            text, value = _compared(column, condition, dialect)
            return f"{head} AND {is_kind} AND {text})", (name, value)
        case Among():
            exact = is_exact(condition)
            parts: list[str] = []
            every: list[Known] = []
            for one, (is_kind, column) in dialect.facts.items():
                text, values = _among(
                    column, [value for value in condition.values if value_type(value) == one], dialect, exact=exact
                )
                parts.append(f"({is_kind} AND {text})")
                every += values
            return f"{head} AND ({' OR '.join(parts)}))", (name, *every)
