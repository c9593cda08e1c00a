"""Filters as programs write them."""

import json
from collections.abc import Mapping
from typing import Any, cast

from osoroi.catalog.filters.limits import NESTING
from osoroi.catalog.filters.nodes import (
    Among,
    Compare,
    Every,
    Filter,
    Known,
    Missing,
    Not,
    Operator,
    Some,
    is_unicode,
)
from osoroi.errors import BadFilter

EXAMPLE = 'for instance: {"and": [{"column": "category", "=": "skirts"}, {"column": "price", "<=": 5000}]}'

SIGNS = ("=", "!=", "==", "!==", "contains", "<", "<=", ">", ">=")


def read_text(text: str) -> Filter:
    """A filter from JSON in text."""
    try:
        return read(json.loads(text))
    except (ValueError, RecursionError) as error:  # not JSON, or a number of too many digits
        raise BadFilter(f"the filter begins with a brace, and is no JSON: {error}", hint=EXAMPLE) from error


def read(data: Any, depth: int = 0) -> Filter:
    """A filter from JSON."""
    if not isinstance(data, Mapping) or depth > NESTING:
        problem = (
            f"is nested more than {NESTING} levels deep" if depth > NESTING else f"holds {data!r:.60} for a condition"
        )
        raise BadFilter(f"the filter {problem}", hint=EXAMPLE)
    match dict(data):
        case {"and": list(parts), **rest} if not rest:
            return Every(tuple(read(part, depth + 1) for part in parts))
        case {"or": list(parts), **rest} if not rest:
            return Some(tuple(read(part, depth + 1) for part in parts))
        case {"not": part, **rest} if not rest:
            inner = read(part, depth + 1)
            return inner.of if isinstance(inner, Not) else Not(inner)
        case {"column": str(name), **rest} if len(rest) == 1:
            return _condition(name, *rest.popitem())
    raise BadFilter(f"the filter holds {json.dumps(data, default=repr, ensure_ascii=False):.120}", hint=EXAMPLE)


def _condition(name: str, sign: str, value: Any) -> Filter:
    if sign in SIGNS:
        known = _value(value)
        if sign.startswith("!"):
            return Not(Compare(name, "=" if sign == "!=" else "==", known))
        return Compare(name, cast(Operator, sign), known)
    if sign in ("in", "exactly in") and isinstance(value, list | tuple):
        return Among(name, tuple(_value(one) for one in value), exact=sign != "in")
    if sign == "missing" and isinstance(value, bool):
        return Missing(name) if value else Not(Missing(name))
    raise BadFilter(f"the filter holds {sign!r}: {value!r:.60} for column {name!r}", hint=EXAMPLE)


def _value(value: Any) -> Known:
    if isinstance(value, str) and not is_unicode(value):
        raise BadFilter(f"the filter compares with text that is no Unicode: {value!r:.60}")
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and abs(value) < 1e308:
        return float(value)
    raise BadFilter(f"the filter compares with {value!r:.60}", hint="values are text, finite numbers, true and false")
