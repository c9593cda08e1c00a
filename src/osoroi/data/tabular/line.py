"""One line of a table, and what its cells may hold."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from osoroi.data.cells import PHOTO, as_text
from osoroi.data.headers import role_of
from osoroi.errors import BadDataset
from osoroi.records import Box, Value

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters of ASCII and Latin-1: in an id or the name of a column they only do harm."""


HEADER_ROWS = 10
"""Rows among which the header is looked for: titles and notes may stand above it."""

LONGEST_NAME = 80
"""Letters of the name of a column that is known, at most."""


class BadLine(BadDataset):
    """A line that cannot be read; the others can. ``product_id`` is that of the line where it is known."""

    def __init__(self, path: Path, place: str, problem: str, *, hint: str = "", product_id: str | None = None) -> None:
        super().__init__(f"{path}, {place}: {problem}", hint=hint)
        self.path = path
        self.place = place
        self.problem = problem
        self.product_id = product_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process makes it from the same parts."""
        made = partial(BadLine, hint=self.hint, product_id=self.product_id)
        return made, (self.path, self.place, self.problem)


OnError = Callable[[BadLine], None]
"""What to do with a line that cannot be read; the reading goes on with the next one."""


class Line(NamedTuple):
    """One line of a file, and where it stands."""

    path: Path
    place: str
    cells: Mapping[str, Value]

    def refuse(self, problem: str, *, hint: str = "") -> NoReturn:
        """Raise the BadDataset that names file and line."""
        raise BadLine(self.path, self.place, problem, hint=hint)

    def text(self, name: str) -> str | None:
        """A cell as text; numbers as a person would write them, so that an id 7.0 of a Parquet file is ``7``.

        >>> Line(Path("shop.csv"), "line 2", {"product_id": 7.0}).text("product_id")
        '7'
        """
        value = self.cells.get(name)
        if isinstance(value, tuple):
            return ", ".join(as_text(each) for each in value)
        return None if value is None else as_text(value)

    def need(self, name: str) -> str:
        """A cell that must not be empty, as text."""
        text = self.text(name)
        return self.refuse(f"no {name}", hint=f"every line must name its {name}") if text is None else text

    def number(self, name: str) -> float | None:
        """A cell as a finite number.

        >>> Line(Path("shop.csv"), "line 2", {"price": "12,50"}).number("price")
        Traceback (most recent call last):
        osoroi.data.tabular.line.BadLine: shop.csv, line 2: price '12,50' is no number; write it like 1234.5
        """
        value = self.cells.get(name)
        if value is None:
            return None
        try:
            number = float(value) if not isinstance(value, bool | tuple) else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.refuse(f"{name} {value!r} is no number", hint="write it like 1234.5")
        return number

    def box(self, names: tuple[str, str, str, str]) -> Box | None:
        """Four cells as whole numbers (fractions are rounded), or None where all are empty."""
        sides = [self.number(name) for name in names]
        if all(side is None for side in sides):
            return None
        whole = [round(side) for side in sides if side is not None]
        if len(whole) < 4:
            missing = ", ".join(name for name, side in zip(names, sides, strict=True) if side is None)
            self.refuse(f"a box of {len(whole)} values: {missing} is empty", hint="give all four or none")
        return Box(*whole)


def cell(line: Line, name: str, value: object) -> Value:
    """A typed value as an attribute may hold it; what is no single value is refused.

    Numbers that a float does not hold exactly become text of all their digits.
    """
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            line.refuse(f"{name} holds half a character", hint="write the table as UTF-8")
        return value.strip() or None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal) and (isinstance(value, int) or not math.isinf(value)):
        return number_of(value)
    if isinstance(value, date | time):  # Excel knows no dates without a time
        is_day = isinstance(value, datetime) and value.time() == time()
        return value.isoformat().partition("T")[0] if is_day else value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        each = (as_text(one) if isinstance(one, bool) else cell(line, name, one) for one in value)
        flat = dict.fromkeys(one for one in each if one is not None and not isinstance(one, tuple))
        return tuple(flat) or None
    hint = "a cell is text, a finite number, true, false, a list of such, or empty"
    return line.refuse(f"{name} is no single value: {value!r:.60}", hint=hint)


def cells_of(line: Line, cells: Iterable[tuple[str, object]]) -> Line:
    """The line with these cells; raises BadLine for a value that none may hold."""
    return line._replace(cells={name: cell(line, name, value) for name, value in cells if name})


def require_plain(line: Line, names: Iterable[str]) -> None:
    """Refuse names of columns with control characters."""
    strange = next((name for name in names if CONTROL.search(name)), None)
    if strange is not None:
        line.refuse(f"the column {strange[:60]!r} holds a control character", hint="write it without")


def columns_named(cells: Iterable[str]) -> int:
    """How many of our columns the cells of a row name; a photo counts twice, as a header may name nothing else.

    >>> columns_named(["SKU", "Product Name", "Image"]), columns_named(["Spring collection", "", ""])
    (4, 0)
    """
    roles = {role for cell in cells if len(cell) <= LONGEST_NAME and (role := role_of(cell)) is not None}
    return len(roles) + ("photo" in roles)


def header_at(counts: Sequence[int]) -> int | None:
    """Which row is the header, by how many of our columns each names; None where none names two.

    Of two such rows below each other, as marketplaces write them, the second one has the names for programs.

    >>> header_at([0, 0, 4, 0]), header_at([1, 0, 0]), header_at([2, 5, 5, 0])
    (2, None, 2)
    """
    most = max(counts, default=0)
    if most < 2:
        return None
    first = counts.index(most)
    return first + 1 if most > 2 and counts[first + 1 : first + 2] == [most] else first


def header(line: Line, cells: Iterable[str]) -> list[str]:
    """Names of columns, each once. A column of photos may come several times: it gets a number.

    >>> header(Line(Path("feed.tsv"), "line 1", {}), ["id", "image_link", "image_link"])
    ['id', 'image_link', 'image_link 2']
    """
    names: list[str] = []
    for cell_ in cells:
        name = " ".join(cell_.split()) if "\n" in cell_ else cell_.strip()
        again = names.count(name)
        if name and again and role_of(name) == "photo":
            name = f"{name} {again + 1 + sum(other.startswith(f'{name} ') for other in names)}"
        names.append(name)
    photo = next((name for name in names if PHOTO.search(name) and role_of(name) is None), None)
    if photo is not None and not columns_named(names):
        line.refuse(f"no header: {photo[:60]!r} is a photo", hint="the first line names the columns")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        line.refuse(f"the header names {', '.join(twice)} twice", hint="name every column once")
    if not any(names):
        line.refuse("no header", hint="the first line names the columns")
    require_plain(line, names)
    return names


def report(error: BadLine, on_error: OnError | None) -> None:
    """Hand an error to whom it concerns, or raise it where nobody wants to go on."""
    if on_error is None:
        raise error
    on_error(error)


def number_of(value: int | float | Decimal) -> Value:
    """A number as a float where that holds all its digits, else as text; None for what is no number (NaN).

    >>> number_of(2**60), number_of(Decimal("12.50")), number_of(Decimal("0.1234567890123456789"))
    ('1152921504606846976', 12.5, '0.1234567890123456789')
    """
    if isinstance(value, int):
        return float(value) if abs(value) < 2**53 else str(value)
    if math.isnan(value):
        return None
    if isinstance(value, Decimal) and Decimal(repr(float(value))) != value:
        return f"{value:f}"
    return float(value)
