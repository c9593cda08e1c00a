"""Filters as people write them: the grammar, and errors that point at the place."""

import functools
import itertools
import math
import re
import unicodedata
from datetime import date, timedelta
from typing import Any, NamedTuple, cast

import lark

from osoroi.catalog.filters.limits import NESTING
from osoroi.catalog.filters.nodes import PREFIX, Among, Compare, Every, Filter, Missing, Not, Some
from osoroi.errors import BadFilter

GRAMMAR = r"""
    ?start: some
    ?some: every (_OR every)*
    ?every: no (_AND no)*
    ?no: _NOT no -> no
       | "(" some ")"
       | column OPERATOR value -> compare
       | column _CONTAINS value -> contains
       | column _NOT _CONTAINS value -> not_contains
       | column _BETWEEN value _AND value -> between
       | column _NOT _BETWEEN value _AND value -> not_between
       | column _IN "(" [value ("," value)*] ")" -> among
       | column _NOT _IN "(" [value ("," value)*] ")" -> not_among
       | column _EXACTLY _IN "(" [value ("," value)*] ")" -> among_exact
       | column _NOT _EXACTLY _IN "(" [value ("," value)*] ")" -> not_among_exact
       | column _IS _MISSING -> missing
       | column _IS _NOT _MISSING -> not_missing
       | column -> truth
    column: NAME | ATTRIBUTES (NAME | STRING)
    value: NUMBER -> number | STRING -> string | TRUE -> true | FALSE -> false | DATE -> date
       | WORD (WORD | NUMBER)* -> words
    _OR.2: /or(?!\w)|\|\|/i
    _AND.2: /and(?!\w)|&&/i
    _NOT.2: /not(?!\w)|!(?!=)/i
    _CONTAINS.2: /contains(?!\w)/i
    _BETWEEN.2: /between(?!\w)/i
    _EXACTLY.2: /exactly(?=\s+in\b)/i
    DATE.3: /\d{4}-\d{2}-\d{2}(?![\w.-])/
    _IN.2: /in(?!\w)/i
    _IS.2: /is(?!\w)/i
    _MISSING.2: /missing(?!\w)/i
    TRUE.2: /true(?![\w-])/i
    FALSE.2: /false(?![\w-])/i
    ATTRIBUTES.3: "attributes."
    OPERATOR: "<=" | ">=" | "!==" | "!=" | "==" | "=" | "<" | ">"
    NUMBER: /-?\d+(\.\d+)?([eE][+-]?\d+)?(?![\w.])/
    STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
    NAME: /(?!(and|or|not|in|is|missing|true|false|contains|between)(?![\w-]))[^\W\d]\w*/i
    WORD: /(?!(and|or|not|in|is|missing|contains|between)(?![\w-]))[^\W\d](?:[\w-]|[&'’.\/+](?=\w))*/i
    %ignore /\s+/
"""

WORDS = {
    "NAME": "a column", "ATTRIBUTES": "a column", "OPERATOR": "a comparison", "_IN": "'in'", "_IS": "'is'",
    "_AND": "'and'", "_OR": "'or'", "_NOT": "'not'", "_MISSING": "'missing'", "LPAR": "'('", "RPAR": "')'",
    "COMMA": "','", "$END": "the end", "_CONTAINS": "'contains'", "_BETWEEN": "'between'",
}  # fmt: skip
VALUES = {"NUMBER", "STRING", "TRUE", "FALSE", "WORD", "DATE"}
EXAMPLE = 'for instance: category = skirts and price <= 5000 and brand in ("A", "B") and not attributes.sale'
ODD_NAME = 'a column whose name is no plain word is written attributes."in stock"'


PLAIN_NAME = re.compile(
    r"(?!(?:and|or|not|in|is|missing|true|false|contains|between)(?![\w-]))[^\W\d]\w*", re.IGNORECASE
)
"""NAME of the grammar: an attribute that needs no quotes."""


def spelled(name: str) -> str:
    """An attribute's name as a filter writes it: in quotes where it is no plain word.

    >>> spelled("colour"), spelled("in stock"), spelled("in")
    ('colour', '"in stock"', '"in"')
    """
    if PLAIN_NAME.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read(text: str) -> Filter:
    """A filter from its text."""
    if _depth(text) > NESTING:
        raise BadFilter(f"the filter is nested more than {NESTING} levels deep")
    try:
        return cast(Filter, _parser().parse(text))
    except lark.exceptions.UnexpectedInput as error:
        raise _unreadable(text, error) from error


def _depth(text: str) -> int:
    """Brackets open at the deepest place, those inside quotes not counted."""
    brackets = re.findall(r"[()]", re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "", text, flags=re.DOTALL))
    return max(itertools.accumulate(1 if one == "(" else -1 for one in brackets), default=0)


def _unreadable(text: str, error: lark.exceptions.UnexpectedInput) -> BadFilter:
    ended = isinstance(error, lark.exceptions.UnexpectedToken) and error.token.type == "$END"
    at = len(text.rstrip()) if ended else error.pos_in_stream or 0
    expected: set[str] = set(getattr(error, "expected", None) or getattr(error, "allowed", None) or ())
    if not text.count("(", 0, at) > text.count(")", 0, at):
        expected -= {"RPAR", "COMMA"}
    if text[at : at + 1] in {'"', "'"} and "STRING" in expected:
        return pointing(text, at, "the filter cannot be read", "this quote is never closed")
    words = sorted({WORDS[name] for name in expected if name in WORDS})
    wanted = " or ".join([*(["a value"] if expected & VALUES else []), *words]) or "nothing more"
    hint = f"{EXAMPLE}; {ODD_NAME}" if expected & {"NAME", "OPERATOR"} and not ended else EXAMPLE
    found = "the end" if ended else repr((text[at:].split() or [""])[0][:20])
    return pointing(text, at, "the filter cannot be read", f"expected {wanted}, found {found}", hint=hint)


def pointing(text: str, at: int, what: str, why: str = "", *, hint: str = "") -> BadFilter:
    """An error with its column, and a caret below the place; without them where there is no text to point into."""
    why = f": {why}" if why else ""
    if at < 0 or not text or text.lstrip().startswith("{"):
        return BadFilter(what + why, hint=hint)
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    blank = "".join("\u3000" if unicodedata.east_asian_width(sign) in "WF" else " " for sign in line[: at - start])
    below = f"\n  {line}\n  {blank}^"
    return BadFilter(f"{what} at column {at - start + 1}{why}", hint=hint or "here:", below=below)


class Day(NamedTuple):
    """A date of a filter, which is every time of that day: text of ISO 8601 that begins with it."""

    day: date

    def compared(self, name: str, sign: str, at: int) -> Filter:
        """The comparison of a column of dates or times with the day."""
        first, after = self.day.isoformat(), (self.day + timedelta(days=1)).isoformat()
        begins, ended = Compare(name, ">=", first, at), Compare(name, "<", after, at)
        if sign in ("=", "=="):
            return Every((begins, ended))
        if sign == "<=":
            return ended
        if sign == ">":
            return Compare(name, ">=", after, at)
        return begins if sign == ">=" else Compare(name, "<", first, at)


def plain_value(value: Any) -> Any:
    """A value where a day is its text."""
    return value.day.isoformat() if isinstance(value, Day) else value


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

    def words(self, tokens: list[lark.Token]) -> str:
        return " ".join(map(str, tokens))

    def date(self, tokens: list[lark.Token]) -> "Day":
        try:
            return Day(date.fromisoformat(str(tokens[0])))
        except ValueError as error:
            raise BadFilter(f"{tokens[0]} is no date", hint="write the year, the month and the day") from error

    def true(self, tokens: list[lark.Token]) -> bool:
        return True

    def false(self, tokens: list[lark.Token]) -> bool:
        return False

    def compare(self, items: list[Any]) -> Filter:
        (name, at), sign, value = items
        plain = sign.value.removeprefix("!") if sign.value.startswith("!") else sign.value
        found = value.compared(name, plain, at) if isinstance(value, Day) else Compare(name, plain, value, at)
        return Not(found) if sign.value.startswith("!") else found

    def contains(self, items: list[Any]) -> Filter:
        (name, at), value = items
        return Compare(name, "contains", plain_value(value), at)

    def not_contains(self, items: list[Any]) -> Filter:
        return Not(self.contains(items))

    def between(self, items: list[Any]) -> Filter:
        (name, at), least, most = items
        low = least.compared(name, ">=", at) if isinstance(least, Day) else Compare(name, ">=", least, at)
        high = most.compared(name, "<=", at) if isinstance(most, Day) else Compare(name, "<=", most, at)
        return Every((low, high))

    def not_between(self, items: list[Any]) -> Filter:
        return Not(self.between(items))

    def among(self, items: list[Any], *, exact: bool = False) -> Filter:
        (name, at), *values = items
        return Among(name, tuple(plain_value(value) for value in values if value is not None), at, exact)

    def among_exact(self, items: list[Any]) -> Filter:
        return self.among(items, exact=True)

    def not_among_exact(self, items: list[Any]) -> Filter:
        return Not(self.among(items, exact=True))

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
