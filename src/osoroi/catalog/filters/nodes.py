"""What a filter is made of: frozen conditions, joined by not, every and some."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "number", "flag"]
"""What a value is. A flag is no number: ``sale = 1`` does not find a sale that is true."""

COLUMNS: dict[str, frozenset[Kind]] = {
    "product_id": frozenset(["text"]),
    "title": frozenset(["text"]),
    "category": frozenset(["text"]),
    "brand": frozenset(["text"]),
    "price": frozenset(["number"]),
    "currency": frozenset(["text"]),
    "url": frozenset(["text"]),
    "design_id": frozenset(["text"]),
}
"""The columns every product has, and what they hold."""

NAMED = 20
"""Columns that an error names, at most."""

PREFIX = "attributes."

Known = str | float | bool
Operator = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Compare:
    """``column operator value``."""

    column: str
    operator: Operator
    value: Known
    at: int = field(default=-1, compare=False, repr=False)


@dataclass(frozen=True)
class Among:
    """``column in (values)``."""

    column: str
    values: tuple[Known, ...]
    at: int = field(default=-1, compare=False, repr=False)


@dataclass(frozen=True)
class Missing:
    """``column is missing``."""

    column: str
    at: int = field(default=-1, compare=False, repr=False)


@dataclass(frozen=True)
class Not:
    """Whatever the inner filter does not match."""

    of: "Filter"


@dataclass(frozen=True)
class Every:
    """All of these; of none at all: everything."""

    of: "tuple[Filter, ...]"


@dataclass(frozen=True)
class Some:
    """At least one of these; of none at all: nothing."""

    of: "tuple[Filter, ...]"


Condition = Compare | Among | Missing
Filter = Condition | Not | Every | Some


def is_unicode(text: str) -> bool:
    """Whether text can be encoded: half a surrogate pair cannot.

    >>> is_unicode("帯"), is_unicode(chr(0xD800))
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind(value: Known) -> Kind:
    """The kind of a value.

    >>> kind(True), kind(1.0), kind("1")
    ('flag', 'number', 'text')
    """
    return "flag" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
