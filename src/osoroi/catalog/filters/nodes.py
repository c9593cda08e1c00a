"""What a filter is made of: frozen conditions, joined by not, every and some."""

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

ValueType = Literal["text", "number", "flag", "texts", "numbers"]
"""Types of values; the last two are those of a list. A flag is no number: ``sale = 1`` finds no sale that is true."""

COLUMNS: dict[str, frozenset[ValueType]] = {
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
Operator = Literal["=", "==", "contains", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Compare:
    """``column operator value``."""

    column: str
    operator: Operator
    value: Known
    at: int = field(default=-1, compare=False, repr=False)


@dataclass(frozen=True)
class Among:
    """``column in (values)``; ``exact`` compares text letter by letter."""

    column: str
    values: tuple[Known, ...]
    at: int = field(default=-1, compare=False, repr=False)
    exact: bool = False


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


IDS = frozenset({"product_id", "design_id"})
"""Columns whose text is always compared letter by letter."""


def fold(text: str) -> str:
    """Text without capitals and width, as ``=``, ``in`` and ``contains`` compare it.

    >>> fold("Straße"), fold("ＲＥＤ ｶﾅ")
    ('strasse', 'red カナ')
    """
    return text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def is_exact(condition: "Compare | Among") -> bool:
    """Whether a condition compares text letter by letter."""
    if condition.column in IDS:
        return True
    return condition.exact if isinstance(condition, Among) else condition.operator != "="


def value_type(value: Known) -> ValueType:
    """The type of a value.

    >>> value_type(True), value_type(1.0), value_type("1")
    ('flag', 'number', 'text')
    """
    return "flag" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
