"""What commands print: data to stdout, messages to stderr, in any encoding, without control characters of the data."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click

from osoroi import text
from osoroi.errors import BadFilter, OsoroiError

CELL = 60
"""Columns of a terminal that a cell of a table takes at most; ``--json`` has the whole text."""

_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""What ``json.dumps`` leaves as it is, and a terminal must not get."""


def show(message: object = "", *, err: bool = False) -> None:
    """Print a text, whose line breaks stay; every other unsafe character is escaped."""
    stream = sys.stderr if err else sys.stdout
    click.echo(encodable(text.printable(message, keep="\n"), _encoding(stream)), err=err)


def warn(message: object) -> None:
    """Print one line to stderr; line breaks are escaped."""
    show(text.printable(message), err=True)


def warn_of(error: OsoroiError, options: Mapping[str, str]) -> None:
    """Print an error to stderr; the lines that point into a filter stay lines, other line breaks are escaped.

    ``options`` are those of the command, by the parameters that errors name in backticks.
    """
    below = error.below if isinstance(error, BadFilter) else ""
    what = str(error).removesuffix(below).removesuffix(error.hint.removesuffix(below))
    hint = with_options(error.hint.removesuffix(below), options)
    show(f"error: {text.printable(what + hint)}{below}", err=True)


def with_options(hint: str, options: Mapping[str, str]) -> str:
    """A hint with options in place of the parameters in backticks; what is no option stays.

    >>> with_options("go on with `resume`, or give another `place`", {"resume": "--resume"})
    'go on with --resume, or give another `place`'
    """
    return re.sub(r"`(\w+)`", lambda name: options.get(name[1], name[0]), hint)


def show_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    click.echo(to_json(value, encoding=_encoding(sys.stdout)))


def encodable(message: str, encoding: str) -> str:
    r"""A text that a stream of this encoding can write; other letters are escaped.

    (Left alone, ``click`` writes UTF-8 to a stream that asks for ASCII.)

    >>> encodable("Kleid für 赤", "latin-1")
    'Kleid für \\u8d64'
    """
    return message.encode(encoding, "backslashreplace").decode(encoding)


def _encoding(stream: TextIO | None) -> str:
    """The encoding of a stream; UTF-8 where there is none, for instance where stdout is closed."""
    return getattr(stream, "encoding", None) or "utf-8"


def to_json(value: Any, *, encoding: str = "utf-8") -> str:
    r"""JSON for a stream: pure ASCII unless the stream is UTF-8, and never a character that acts on a terminal.

    >>> to_json({"title": "赤\x9b31m"}), to_json("赤", encoding="cp1252")
    ('{"title": "赤\\u009b31m"}', '"\\u8d64"')
    """
    ascii_only = encoding.lower().replace("-", "").replace("_", "") != "utf8"
    return _UNSAFE.sub(_json_escape, json.dumps(value, ensure_ascii=ascii_only))


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def aligned(rows: Sequence[Sequence[str]], *, cell: int = CELL) -> str:
    """Rows of cells as columns of equal width. Cells are escaped, and cut to ``cell`` columns of the terminal.

    >>> print(aligned([["a", "long", "c"], ["wide", "b", "d"]]))
    a     long  c
    wide  b     d
    """
    safe = [[text.shortened(text.printable(each), cell) for each in row] for row in rows]
    widths = [max(text.width(row[column]) for row in safe) for column in range(len(safe[0]))]
    return "\n".join(
        "  ".join(each + " " * (width - text.width(each)) for each, width in zip(row, widths, strict=True)).rstrip()
        for row in safe
    )
