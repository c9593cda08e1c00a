"""The ``where`` of a search: a small language, the same as JSON, and what both mean.

::

    where     = or
    or        = and ("or" and)*
    and       = not ("and" not)*
    not       = "not" not | condition | "(" or ")"
    condition = column ("=" | "!=" | "==" | "!==" | "<" | "<=" | ">" | ">=" | ["not"] "contains") value
              | column ["not"] "between" value "and" value
              | column ["not"] ["exactly"] "in" "(" [value ("," value)*] ")"
              | column "is" ["not"] "missing"
              | column                                  a flag that is true
    column    = name | "attributes." (name | string)
    value     = number | string | "true" | "false" | date | word (word | number)*

``product_id title category brand price currency url design_id`` are columns of every product; any other name is an
attribute, and ``attributes.price`` is the attribute, not the price. Strings stand in single or double quotes with
``\\`` before a quote; words that are no keywords need none. Keywords and names of columns may be in capitals, and
``&&``, ``||`` and ``!`` stand for ``and``, ``or`` and ``not``.

What it means, in two values, not three: a comparison with a missing value is false, and so is one with a value of
another kind (text, number, flag); ``not`` is plain negation, ``x != v`` is ``not x = v`` and ``x not in …`` is ``not x
in …``. So every product matches either a filter or its negation: ``not attributes.sale`` holds where nothing is said
about a sale. ``=``, ``in`` and ``contains`` take text without capitals and width; ``==`` takes it letter by letter, as
do ids; ``<`` compares by code point. Of a list, a condition holds where it does for one value, and ``contains`` means
that the value is in it. A date is a day: ``since = 2026-01-31`` finds every time of it. An empty ``where`` matches
everything.

As JSON: ``{"column": "price", "<=": 5000}``, ``{"column": "brand", "in": ["A", "B"]}`` (letter by letter:
``"exactly in"``), ``{"column": "sizes", "contains": "M"}``,
``{"column": "price", "missing": true}``, ``{"and": […]}``, ``{"or": […]}``, ``{"not": …}``.

>>> parse('price <= 5000 and not sale') == parse({"and": [
...     {"column": "price", "<=": 5000}, {"not": {"column": "sale", "=": True}}]})
True
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from osoroi.catalog.filters.limits import LENGTH, require_modest, values_of
from osoroi.catalog.filters.nodes import (
    COLUMNS,
    NAMED,
    PREFIX,
    Among,
    Compare,
    Condition,
    Every,
    Filter,
    Known,
    Missing,
    Not,
    Operator,
    Some,
    ValueType,
    fold,
    is_exact,
    is_unicode,
    value_type,
)
from osoroi.errors import BadFilter
from osoroi.records import Product, Value, time_in_utc
from osoroi.text import number

__all__ = [
    "COLUMNS",
    "ORDER",
    "PREFIX",
    "Among",
    "Compare",
    "Condition",
    "Every",
    "Filter",
    "Known",
    "Missing",
    "Not",
    "Some",
    "ValueType",
    "checked",
    "fold",
    "holds",
    "is_exact",
    "is_unicode",
    "matches",
    "parse",
    "require_modest",
    "value_type",
]


def parse(where: str | Mapping[str, Any]) -> Filter:
    """A filter from its text, from JSON (as text that begins with ``{``, or read already); raises BadFilter.

    >>> parse("price <= 5000 or price is missing")
    Some(of=(Compare(column='price', operator='<=', value=5000.0), Missing(column='price')))
    >>> parse("price <=")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    osoroi.errors.BadFilter: the filter cannot be read at column 9: expected a value, found the end; for instance: ...
      price <=
              ^
    """
    if not isinstance(where, str):
        from osoroi.catalog.filters import from_json

        return from_json.read(where)
    if len(where) > LENGTH:
        raise BadFilter(f"the filter has {len(where):,} characters; {LENGTH:,} are allowed")
    if where.lstrip().startswith("{"):
        from osoroi.catalog.filters import from_json

        return from_json.read_text(where)
    if not where.strip():
        return Every(())
    from osoroi.catalog.filters import grammar

    return grammar.read(where)


def checked(filter_: Filter, attributes: Mapping[str, frozenset[ValueType]], *, text: str = "") -> Filter:
    """The same filter with every column resolved: ``sale`` becomes ``attributes.sale``.

    ``attributes`` says which there are and what they hold. Raises BadFilter, pointing into ``text`` where it can, for a
    column that is not there, for a value of a kind that the column never holds, for an order among flags, and for a
    filter above the limits: 100 conditions, 10 of them on ``product_id``, ``title`` or ``url``, 2,000 values, 30
    levels.

    >>> checked(parse("sale"), {"sale": frozenset(["flag"])})
    Compare(column='attributes.sale', operator='=', value=True)
    """
    return _all_resolved(require_modest(filter_), attributes, text)


def _all_resolved(filter_: Filter, attributes: Mapping[str, frozenset[ValueType]], text: str) -> Filter:
    match filter_:
        case Not():
            return Not(_all_resolved(filter_.of, attributes, text))
        case Every() | Some():
            return replace(filter_, of=tuple(_all_resolved(part, attributes, text) for part in filter_.of))
    return _resolved(filter_, attributes, text)


def _resolved(condition: Condition, attributes: Mapping[str, frozenset[ValueType]], text: str) -> Condition:
    from osoroi.catalog.filters import grammar

    at = condition.at
    name = _name(condition.column, attributes)
    kinds = COLUMNS.get(name) or attributes.get(name.removeprefix(PREFIX))
    if kinds is None:
        raise grammar.pointing(
            text, at, f"there is no column {condition.column[:80]!r}", hint=_columns(condition.column, attributes)
        )
    if not any(one in kinds for one in ("number", "numbers", "flag")):
        condition = _as_text(condition)
    for value in values_of(condition):
        if value_type(value) not in kinds and f"{value_type(value)}s" not in kinds:
            held = " or ".join(sorted({PLURALS[one] for one in kinds}))
            quoted = f'text that looks like a number stands in quotes: "{_written(value)}"'
            why = f"{name} holds {held}, and {_written(value)} is {SINGULARS[value_type(value)]}"
            raise grammar.pointing(
                text, at, "the filter compares what cannot be compared", why, hint=quoted if held == "text" else ""
            )
    if name.startswith(PREFIX):
        condition = _with_utc(condition)
    unordered = ("=", "==", "contains")
    if isinstance(condition, Compare) and condition.operator not in unordered and isinstance(condition.value, bool):
        raise grammar.pointing(text, at, "the filter compares flags, which have no order", hint="use = or !=")
    return replace(condition, column=name)


def _name(name: str, attributes: Mapping[str, frozenset[ValueType]]) -> str:
    """A column as it is stored: capitals do not matter where one column alone is meant."""
    if name in COLUMNS or name.removeprefix(PREFIX) in attributes:
        return name if name in COLUMNS or name.startswith(PREFIX) else PREFIX + name
    if not name.startswith(PREFIX) and name.lower() in COLUMNS:
        return name.lower()
    alike = [one for one in attributes if fold(one) == fold(name.removeprefix(PREFIX))]
    return PREFIX + (alike[0] if len(alike) == 1 else name.removeprefix(PREFIX))


def _as_text(condition: Condition) -> Condition:
    """A condition whose numbers are compared with text: ``size = 38`` among S and M means the text ``38``."""

    def text(value: Known) -> Known:
        return number(value) if isinstance(value, float) else value

    match condition:
        case Compare(operator=sign) if sign in ("=", "==", "contains"):
            return replace(condition, value=text(condition.value))
        case Among():
            return replace(condition, values=tuple(map(text, condition.values)))
    return condition


def _with_utc(condition: Condition) -> Condition:
    """A condition whose times are in UTC, as they are stored; a part of a text stays as it is."""
    match condition:
        case Compare(operator=sign) if sign != "contains":
            return replace(condition, value=time_in_utc(condition.value))
        case Among():
            return replace(condition, values=tuple(map(time_in_utc, condition.values)))
    return condition


def _written(value: Known) -> str:
    """A value as a filter writes it.

    >>> _written(38.0), _written(0.5), _written("M"), _written(True)
    ('38', '0.5', "'M'", 'true')
    """
    match value:
        case bool():
            return str(value).lower()
        case str():
            return repr(value)
    return number(value)


COMPARED = 2000
"""Columns among which an error looks for those most like the one that was meant."""


def _columns(wanted: str, attributes: Mapping[str, frozenset[ValueType]]) -> str:
    """The columns there are, as a filter writes them; of many, those most like the one that is wanted."""
    from osoroi.catalog.filters import grammar

    columns = [*COLUMNS, *(PREFIX + grammar.spelled(name) for name in sorted(attributes))]
    meant = _meant(wanted[:80], attributes)
    question = f"did you mean {meant[:80]}? " if meant else ""
    if len(columns) <= NAMED:
        return f"{question}there are: {', '.join(columns)}"
    near = get_close_matches(wanted[:80], columns[:COMPARED], n=NAMED, cutoff=0.0)
    return f"{question}there are {len(columns)}, for instance: {', '.join(column[:80] for column in near)}"


def _meant(wanted: str, attributes: Mapping[str, frozenset[ValueType]]) -> str | None:
    """The column that a header of a table is read as, such as ``価格``; or an attribute whose name is nearly this."""
    from osoroi.catalog.filters import grammar
    from osoroi.data.headers import role_of

    role = role_of(wanted)
    if role in COLUMNS:
        return role
    names = {name.casefold(): name for name in list(attributes)[:COMPARED]}
    near = get_close_matches(wanted.casefold(), names, n=1, cutoff=0.8)
    return PREFIX + grammar.spelled(names[near[0]]) if near else None


PLURALS: dict[ValueType, str] = {
    **{"text": "text", "number": "numbers", "flag": "flags"},
    **{"texts": "text", "numbers": "numbers"},
}
SINGULARS: dict[ValueType, str] = {"text": "text", "number": "a number", "flag": "a flag"}


ORDER: dict[Operator, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "contains": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(filter_: Filter, product: Product) -> bool:
    """The meaning of a filter, for one product; what a catalog answers must agree with it.

    >>> matches(parse("price <= 5000"), Product("p"))
    False
    >>> matches(parse("not price <= 5000"), Product("p"))
    True
    """
    match filter_:
        case Not():
            return not matches(filter_.of, product)
        case Every():
            return all(matches(part, product) for part in filter_.of)
        case Some():
            return any(matches(part, product) for part in filter_.of)
    name = filter_.column
    return holds(
        filter_, getattr(product, name) if name in COLUMNS else product.attributes.get(name.removeprefix(PREFIX))
    )


def holds(condition: Condition, value: Value) -> bool:
    """Whether a condition holds for a value; None is a missing one. For a list it holds where it does for one value.

    >>> holds(parse("price <= 5000"), 4000.0), holds(parse("price <= 5000"), None)
    (True, False)
    """
    if isinstance(condition, Missing):
        return value is None
    if isinstance(value, tuple):
        return any(_holds(condition, one, inside=True) for one in value)
    return value is not None and _holds(condition, value, inside=False)


def _holds(condition: Compare | Among, value: Known, *, inside: bool) -> bool:
    """Whether a condition holds for one value; ``inside`` a list, ``contains`` means that the value is in it."""
    if isinstance(condition, Among):
        same = [one for one in condition.values if value_type(one) == value_type(value)]
        if isinstance(value, str) and not is_exact(condition):
            return fold(value) in {fold(str(one)) for one in same}
        return value in same
    if value_type(value) != value_type(condition.value):
        return False
    if isinstance(value, str) and isinstance(condition.value, str):
        if condition.operator == "contains":
            mine, wanted = fold(value), fold(condition.value)
            return mine == wanted if inside else wanted in mine
        if not is_exact(condition):
            return fold(value) == fold(condition.value)
    return ORDER[condition.operator](value, condition.value)
