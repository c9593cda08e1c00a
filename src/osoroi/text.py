r"""Text of users' data made safe for terminals, logs and spreadsheets.

Titles, ids and paths come from outside. Control characters could move a terminal's cursor or retitle its window, bidi
controls could reorder what a line says, and a spreadsheet would run a cell that begins with ``=``.
"""

import math
import unicodedata
from decimal import Decimal
from typing import Final

BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reorder or isolate the text around them."""

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters from which a spreadsheet may read a formula, full-width forms among them."""

_UNSAFE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control, surrogate, line and paragraph separator."""


def is_unsafe(letter: str) -> bool:
    """Whether a character must not reach a terminal or a log as it is."""
    return letter in BIDI or unicodedata.category(letter) in _UNSAFE or "\U000e0000" <= letter <= "\U000e007f"


def printable(text: object, *, keep: str = "") -> str:
    r"""A text with every unsafe character written as an escape; those in ``keep`` stay.

    >>> printable("Blue\x1b]0;owned\x07\nsecond line")
    'Blue\\x1b]0;owned\\x07\\nsecond line'
    >>> printable("one\ntwo\u202e", keep="\n")
    'one\ntwo\\u202e'
    >>> printable("赤いドレス 👗")
    '赤いドレス 👗'
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(letter) if is_unsafe(letter) and letter not in keep else letter for letter in text)


def csv_cell(text: object) -> str:
    r"""A cell of a table that people open in a spreadsheet: printable, and never a formula (an apostrophe precedes it).

    Numbers stay numbers.

    >>> csv_cell("=HYPERLINK(1)"), csv_cell("-12.5"), csv_cell("coat\x1b.jpg")
    ("'=HYPERLINK(1)", '-12.5', 'coat\\x1b.jpg')
    """
    raw = str(text)
    safe = printable(raw)
    return f"'{safe}" if raw.lstrip(" ").startswith(FORMULA) and not _is_number(raw) else safe


def number(value: float | int) -> str:
    """A number in plain decimal digits, all of them: no exponent, no rounding, no trailing ``.0``.

    >>> number(12345678.0), number(1e21), number(0.1), number(-2)
    ('12345678', '1000000000000000000000', '0.1', '-2')
    """
    if not math.isfinite(value):
        return str(value)
    digits = format(Decimal(repr(value)), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def width(text: str) -> int:
    """Columns of a terminal that a text takes: 2 for wide characters, 0 for marks that combine.

    >>> width("abc"), width("赤い"), width("e\u0301"), width("👗")
    (3, 4, 1, 2)
    """
    return sum(_columns(letter) for letter in text)


def shortened(text: str, columns: int) -> str:
    """A text of at most ``columns`` columns; a longer one is cut, and ends with an ellipsis.

    >>> shortened("a long title", 6), shortened("赤いドレス", 6)
    ('a lon…', '赤い…')
    """
    if width(text) <= columns:
        return text
    total, end = 1, 0
    for letter in text:
        total += _columns(letter)
        if total > columns:
            break
        end += 1
    return text[:end] + "…"


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text and text.isascii()
    except ValueError:
        return False
