"""The ``where`` of a search: a small language, the same as JSON, and what both mean.

::

    where     = or
    or        = and ("or" and)*
    and       = not ("and" not)*
    not       = "not" not | condition | "(" or ")"
    condition = column ("=" | "!=" | "<" | "<=" | ">" | ">=") value
              | column ["not"] "in" "(" [value ("," value)*] ")"
              | column "is" ["not"] "missing"
              | column                                  a flag that is true
    column    = name | "attributes." (name | string)
    value     = number | string | "true" | "false" | word

``product_id title category brand price currency url design_id`` are columns of every product; any other name is an
attribute, and ``attributes.price`` is the attribute, not the price. Strings stand in single or double quotes with
``\\`` before a quote; a word (letters, digits, ``_``, ``-``) needs none. Keywords may be in capitals.

What it means, in two values, not three: a comparison with a missing value is false, and so is one with a value of
another kind (text, number, flag); ``not`` is plain negation, ``x != v`` is ``not x = v`` and ``x not in …`` is ``not x
in …``. So every product matches either a filter or its negation: ``not attributes.sale`` holds where nothing is said
about a sale. Text compares by code point, exactly. An empty ``where`` matches everything.

As JSON: ``{"column": "price", "<=": 5000}``, ``{"column": "brand", "in": ["A", "B"]}``,
``{"column": "price", "missing": true}``, ``{"and": […]}``, ``{"or": […]}``, ``{"not": …}``.

>>> parse('price <= 5000 and not sale') == parse({"and": [
...     {"column": "price", "<=": 5000}, {"not": {"column": "sale", "=": True}}]})
True
"""

import functools
import itertools
import json
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import lark

from osoroi.errors import BadFilter
from osoroi.records import Product

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

LENGTH = 10_000
"""Characters in a filter, and values after ``in``, at most."""

CONDITIONS = 200
"""Conditions in a filter, at most."""

NESTING = 30
"""Brackets inside brackets, at most."""

PREFIX = "attributes."

Known = str | float | bool
Operator = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Compare:
    """``column operator value``."""

    column: str
    operator: Operator
    value: Known
    at: int = field(default=-1, compare=False)


@dataclass(frozen=True)
class Among:
    """``column in (values)``."""

    column: str
    values: tuple[Known, ...]
    at: int = field(default=-1, compare=False)


@dataclass(frozen=True)
class Missing:
    """``column is missing``."""

    column: str
    at: int = field(default=-1, compare=False)


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

GRAMMAR = r"""
    ?start: some
    ?some: every (_OR every)*
    ?every: no (_AND no)*
    ?no: _NOT no -> no
       | "(" some ")"
       | column OPERATOR value -> compare
       | column _IN "(" [value ("," value)*] ")" -> among
       | column _NOT _IN "(" [value ("," value)*] ")" -> not_among
       | column _IS _MISSING -> missing
       | column _IS _NOT _MISSING -> not_missing
       | column -> truth
    column: NAME | ATTRIBUTES (NAME | STRING)
    value: NUMBER -> number | STRING -> string | TRUE -> true | FALSE -> false | WORD -> word
    _OR.2: /or(?!\w)/i
    _AND.2: /and(?!\w)/i
    _NOT.2: /not(?!\w)/i
    _IN.2: /in(?!\w)/i
    _IS.2: /is(?!\w)/i
    _MISSING.2: /missing(?!\w)/i
    TRUE.2: /true(?![\w-])/i
    FALSE.2: /false(?![\w-])/i
    ATTRIBUTES.3: "attributes."
    OPERATOR: "<=" | ">=" | "!=" | "=" | "<" | ">"
    NUMBER: /-?\d+(\.\d+)?([eE][+-]?\d+)?(?![\w.])/
    STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
    NAME: /[^\W\d]\w*/
    WORD: /[^\W\d][\w-]*/
    %ignore /\s+/
"""

WORDS = {
    "NAME": "a column", "ATTRIBUTES": "a column", "OPERATOR": "a comparison", "_IN": "'in'", "_IS": "'is'",
    "_AND": "'and'", "_OR": "'or'", "_NOT": "'not'", "_MISSING": "'missing'", "LPAR": "'('", "RPAR": "')'",
    "COMMA": "','", "$END": "the end",
}  # fmt: skip
VALUES = {"NUMBER", "STRING", "TRUE", "FALSE", "WORD"}
EXAMPLE = 'for instance: category = skirts and price <= 5000 and brand in ("A", "B") and not attributes.sale'
EXAMPLE_JSON = 'for instance: {"and": [{"column": "category", "=": "skirts"}, {"column": "price", "<=": 5000}]}'


def parse(where: str | Mapping[str, Any]) -> Filter:
    """A filter from its text, from JSON (as text that begins with ``{``, or read already); raises BadFilter.

    >>> parse("price <= 5000 or price is missing")
    Some(of=(Compare(column='price', operator='<=', value=5000.0, at=0), Missing(column='price', at=17)))
    >>> parse("price <=")
    Traceback (most recent call last):
    osoroi.errors.BadFilter: the filter cannot be read: expected a value, found the end at column 9
      price <=
              ^
    ; for instance: category = skirts and price <= 5000 and brand in ("A", "B") and not attributes.sale
    """
    if not isinstance(where, str):
        return _from_json(where)
    if len(where) > LENGTH:
        raise BadFilter(f"the filter has {len(where):,} characters; {LENGTH:,} are allowed")
    if where.lstrip().startswith("{"):
        try:
            return _from_json(json.loads(where))
        except (json.JSONDecodeError, RecursionError) as error:
            raise BadFilter(f"the filter begins with a brace, and is no JSON: {error}", hint=EXAMPLE_JSON) from error
    return _from_text(where) if where.strip() else Every(())


def _from_text(text: str) -> Filter:
    if _depth(text) > NESTING:
        raise BadFilter(f"the filter is nested more than {NESTING} levels deep")
    try:
        return cast(Filter, _parser().parse(text))
    except lark.exceptions.UnexpectedInput as error:
        raise BadFilter(_explained(text, error), hint=EXAMPLE) from error


def _depth(text: str) -> int:
    brackets = re.findall(r"[()]", re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "", text, flags=re.DOTALL))
    return max(itertools.accumulate(1 if one == "(" else -1 for one in brackets), default=0)


def _explained(text: str, error: lark.exceptions.UnexpectedInput) -> str:
    at = error.pos_in_stream if error.pos_in_stream is not None else 0
    ended = isinstance(error, lark.exceptions.UnexpectedToken) and error.token.type == "$END"
    at = len(text) if ended else at
    expected: set[str] = set(getattr(error, "expected", None) or getattr(error, "allowed", None) or ())
    words = sorted({WORDS[name] for name in expected if name in WORDS})
    wanted = " or ".join([*(["a value"] if expected & VALUES else []), *words]) or "something else"
    found = "the end" if ended else f"{text[at : at + 12]!r}"
    if text[at : at + 1] in {'"', "'"} and "STRING" in expected:
        return f"the filter has no closing quote for the one{_pointer(text, at)}"
    return f"the filter cannot be read: expected {wanted}, found {found}{_pointer(text, at)}"


def _pointer(text: str, at: int) -> str:
    """Where in the text, in words and with a caret below; nothing where there is no text to point into."""
    if at < 0 or not text:
        return ""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    blank = "".join("\u3000" if unicodedata.east_asian_width(sign) in "WF" else " " for sign in line[: at - start])
    return f" at column {at - start + 1}\n  {line}\n  {blank}^\n"


class _Builder(lark.Transformer[Any, Filter]):
    """Calls the parser makes as it reads, so that nothing recurses."""

    def column(self, tokens: list[lark.Token]) -> tuple[str, int]:
        name = _unquoted(tokens[-1]) if tokens[-1].type == "STRING" else str(tokens[-1])
        return (PREFIX if len(tokens) > 1 else "") + name, tokens[0].start_pos or 0

    def number(self, tokens: list[lark.Token]) -> float:
        if not math.isfinite(float(tokens[0])):
            raise BadFilter(f"{tokens[0]} is too large a number")
        return float(tokens[0])

    def string(self, tokens: list[lark.Token]) -> str:
        return _unquoted(tokens[0])

    def word(self, tokens: list[lark.Token]) -> str:
        return str(tokens[0])

    def true(self, tokens: list[lark.Token]) -> bool:
        return True

    def false(self, tokens: list[lark.Token]) -> bool:
        return False

    def compare(self, items: list[Any]) -> Filter:
        (name, at), sign, value = items
        return Not(Compare(name, "=", value, at)) if sign == "!=" else Compare(name, sign.value, value, at)

    def among(self, items: list[Any]) -> Filter:
        (name, at), *values = items
        return Among(name, tuple(value for value in values if value is not None), at)

    def missing(self, items: list[Any]) -> Filter:
        return Missing(*items[0])

    def truth(self, items: list[Any]) -> Filter:
        (name, at) = items[0]
        return Compare(name, "=", True, at)

    def not_among(self, items: list[Any]) -> Filter:
        return Not(self.among(items))

    def not_missing(self, items: list[Any]) -> Filter:
        return Not(self.missing(items))

    def no(self, items: list[Filter]) -> Filter:
        return items[0].of if isinstance(items[0], Not) else Not(items[0])

    def every(self, items: list[Filter]) -> Filter:
        return Every(tuple(items))

    def some(self, items: list[Filter]) -> Filter:
        return Some(tuple(items))


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)


@functools.cache
def _parser() -> lark.Lark:
    return lark.Lark(GRAMMAR, parser="lalr", lexer="contextual", transformer=_Builder())


SIGNS = ("=", "!=", "<", "<=", ">", ">=")


def _from_json(data: Any, depth: int = 0) -> Filter:
    if not isinstance(data, Mapping) or depth > NESTING:
        problem = (
            f"is nested more than {NESTING} levels deep" if depth > NESTING else f"holds {data!r:.60} for a condition"
        )
        raise BadFilter(f"the filter {problem}", hint=EXAMPLE_JSON)
    match dict(data):
        case {"and": list(parts), **rest} if not rest:
            return Every(tuple(_from_json(part, depth + 1) for part in parts))
        case {"or": list(parts), **rest} if not rest:
            return Some(tuple(_from_json(part, depth + 1) for part in parts))
        case {"not": part, **rest} if not rest:
            inner = _from_json(part, depth + 1)
            return inner.of if isinstance(inner, Not) else Not(inner)
        case {"column": str(name), **rest} if len(rest) == 1:
            return _json_condition(name, *rest.popitem())
    raise BadFilter(f"the filter holds {json.dumps(data, default=repr, ensure_ascii=False):.120}", hint=EXAMPLE_JSON)


def _json_condition(name: str, sign: str, value: Any) -> Filter:
    if sign in SIGNS:
        known = _json_value(value)
        return Not(Compare(name, "=", known)) if sign == "!=" else Compare(name, cast(Operator, sign), known)
    if sign == "in" and isinstance(value, list | tuple) and len(value) <= LENGTH:
        return Among(name, tuple(_json_value(one) for one in value))
    if sign == "missing" and isinstance(value, bool):
        return Missing(name) if value else Not(Missing(name))
    raise BadFilter(f"the filter holds {sign!r}: {value!r:.60} for column {name!r}", hint=EXAMPLE_JSON)


def _json_value(value: Any) -> Known:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and abs(value) < 1e308:
        return float(value)
    raise BadFilter(f"the filter compares with {value!r:.60}", hint="values are text, finite numbers, true and false")


def checked(filter_: Filter, attributes: Mapping[str, frozenset[Kind]], *, text: str = "") -> Filter:
    """The same filter with every column resolved: ``sale`` becomes ``attributes.sale``.

    ``attributes`` says which there are and what they hold. Raises BadFilter, pointing into ``text`` where it can, for a
    column that is not there, for a value of a kind that the column never holds, for an order among flags, and for more
    than 200 conditions or levels.

    >>> checked(parse("sale"), {"sale": frozenset(["flag"])})
    Compare(column='attributes.sale', operator='=', value=True, at=0)
    """
    budget = iter(range(CONDITIONS))

    def visit(part: Filter, depth: int) -> Filter:
        if depth > NESTING:
            raise BadFilter(f"the filter is nested more than {NESTING} levels deep")
        match part:
            case Not():
                return Not(visit(part.of, depth + 1))
            case Every() | Some():
                return replace(part, of=tuple(visit(inner, depth + 1) for inner in part.of))
        if next(budget, None) is None:
            raise BadFilter(f"the filter has more than {CONDITIONS} conditions")
        return _resolved(part, attributes, text)

    return visit(filter_, 0)


def _resolved(condition: Condition, attributes: Mapping[str, frozenset[Kind]], text: str) -> Condition:
    name = condition.column
    if name not in COLUMNS and not name.startswith(PREFIX):
        name = PREFIX + name
    kinds = COLUMNS.get(name) or attributes.get(name.removeprefix(PREFIX))
    if kinds is None:
        there = ", ".join([*COLUMNS, *(PREFIX + other for other in sorted(attributes))])
        raise BadFilter(
            f"there is no column {condition.column!r}{_pointer(text, condition.at)}", hint=f"there are: {there}"
        )
    for value in _values(condition):
        if kind(value) not in kinds:
            held = " or ".join(f"{one}s" if one != "text" else one for one in sorted(kinds)) or "nothing"
            raise BadFilter(
                f"{name} holds {held}, and {value!r} is a {kind(value)}{_pointer(text, condition.at)}",
                hint='text that looks like a number stands in quotes: size = "38"' if "text" in kinds else "",
            )
    if isinstance(condition, Compare) and condition.operator != "=" and isinstance(condition.value, bool):
        raise BadFilter(f"flags have no order: {name} {condition.operator}{_pointer(text, condition.at)}", hint="use =")
    return replace(condition, column=name)


def _values(condition: Condition) -> tuple[Known, ...]:
    match condition:
        case Compare():
            return (condition.value,)
        case Among():
            return condition.values
    return ()


def kind(value: Known) -> Kind:
    """The kind of a value.

    >>> kind(True), kind(1.0), kind("1")
    ('flag', 'number', 'text')
    """
    return "flag" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


ORDER: dict[Operator, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
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
    value = getattr(product, name) if name in COLUMNS else product.attributes.get(name.removeprefix(PREFIX))
    match filter_:
        case Missing():
            return value is None
        case Among():
            return value is not None and any(kind(value) == kind(one) and value == one for one in filter_.values)
        case Compare():
            same = value is not None and kind(value) == kind(filter_.value)
            return same and ORDER[filter_.operator](value, filter_.value)
