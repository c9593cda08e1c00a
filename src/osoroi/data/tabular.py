"""Files of named cells, line by line: CSV, JSON Lines, Parquet. What several readers need to read theirs.

A line says where it stands (``line 4`` of a text, ``row 3`` of a Parquet file), so that an error can name it. Cells of
CSV are text; JSON Lines and Parquet bring their own types. An empty cell is None.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from osoroi import files
from osoroi.errors import BadDataset, extra
from osoroi.records import Box, Value

LONGEST = 1 << 20
"""Bytes of the longest line: what has longer ones is no table (a photo, an unclosed quote)."""

BATCH = 4096
"""Rows of a Parquet file that are held at a time."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters of ASCII and Latin-1: in an id or the name of a column they only do harm."""

DELIMITERS = ",;\t"

QUOTED = re.compile(r'"(?:[^"]|"")*("|$)')
"""A quoted value, or one whose quote closes on a later line."""


class Line(NamedTuple):
    """One line of a file, and where it stands."""

    path: Path
    place: str
    cells: Mapping[str, Value]

    def refuse(self, problem: str, *, hint: str = "") -> NoReturn:
        """Raise the BadDataset that names file and line."""
        raise BadDataset(f"{self.path}, {self.place}: {problem}", hint=hint)

    def text(self, name: str) -> str | None:
        """A cell as text; numbers as a person would write them, so that an id 7.0 of a Parquet file is ``7``.

        >>> Line(Path("shop.csv"), "line 2", {"product_id": 7.0}).text("product_id")
        '7'
        """
        value = self.cells.get(name)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, float):
            return f"{value:.0f}" if value.is_integer() else repr(value)
        return value

    def need(self, name: str) -> str:
        """A cell that must not be empty, as text."""
        text = self.text(name)
        return self.refuse(f"no {name}", hint=f"every line must name its {name}") if text is None else text

    def number(self, name: str) -> float | None:
        """A cell as a finite number.

        >>> Line(Path("shop.csv"), "line 2", {"price": "12,50"}).number("price")
        Traceback (most recent call last):
        osoroi.errors.BadDataset: shop.csv, line 2: price '12,50' is no number; write it like 1234.5
        """
        value = self.cells.get(name)
        if value is None:
            return None
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
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


def lines(path: Path) -> Iterator[Line]:
    """Every line of a CSV (also by ``;`` or tab), JSON Lines or Parquet file, told apart by its suffix."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise BadDataset(f"{path} is no table", hint=f"a table's name ends in one of: {', '.join(FORMATS)}")
    if not path.is_file():
        raise BadDataset(f"there is no table {path}", hint="check the path")
    if files.is_database(path):
        raise BadDataset(f"{path} is the database of a catalog, and no table", hint="check the path")
    yield from FORMATS[suffix](path)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text with their numbers; a byte order mark is dropped."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LONGEST):
            number += 1
            here = f"{path}, line {number}"
            if len(raw) >= LONGEST:
                raise BadDataset(f"{here}: longer than {LONGEST} bytes", hint="is this a table at all?")
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                problem = f"byte {raw[error.start]:#04x} is not UTF-8"
                raise BadDataset(f"{here}: {problem}", hint="save the table as UTF-8") from error
            if "\0" in text:
                raise BadDataset(f"{here}: a zero byte", hint="save the table as UTF-8 text")
            yield number, text


def csv_lines(path: Path) -> Iterator[Line]:
    """A header, then one line each; columns without a name (pandas writes one) are passed over."""
    source = texts(path)
    _, head = next(source, (0, ""))
    delimiter = delimiter_of(head)
    names: list[str] | None = None
    reader = csv.reader((text for _, text in _again((1, head), source)), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            line = Line(path, f"line {start}", {})
            start = reader.line_num + 1
            if names is None:
                names = header(line, cells)
            elif cells:
                if len(cells) != len(names):
                    line.refuse(f"{len(cells)} values for {len(names)} columns", hint="quote values that hold commas")
                filled = zip(names, (cell.strip() or None for cell in cells), strict=True)
                yield line._replace(cells={name: cell for name, cell in filled if name})
    except csv.Error as error:
        hint = "close every quote, and double a quote inside quotes"
        raise BadDataset(f"{path}, line {start}: {error}", hint=hint) from error


def delimiter_of(header: str) -> str:
    """The delimiter that stands most often outside quotes in a header; a comma where none does.

    >>> delimiter_of('"photo, front";"colour, pattern"')
    ';'
    """
    return max(DELIMITERS, key=QUOTED.sub("", header).count)


def _again(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest


def header(line: Line, cells: list[str]) -> list[str]:
    """Names of columns, each once."""
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        line.refuse(f"the header names {', '.join(twice)} twice", hint="name every column once")
    if not any(names):
        line.refuse("no header", hint="the first line names the columns")
    require_plain(line, names)
    return names


def require_plain(line: Line, names: Iterable[str]) -> None:
    """Refuse names of columns with control characters."""
    strange = next((name for name in names if CONTROL.search(name)), None)
    if strange is not None:
        line.refuse(f"the column {strange[:60]!r} holds a control character", hint="write it without")


def json_lines(path: Path) -> Iterator[Line]:
    """One JSON object a line; empty lines are passed over."""
    for number, text in texts(path):
        line = Line(path, f"line {number}", {})
        if not text.strip():
            continue
        try:
            found = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise BadDataset(f"{path}, line {number}: no JSON: {error}", hint="one object a line") from error
        if not isinstance(found, dict):
            line.refuse(f"{type(found).__name__} instead of an object", hint="one object a line")
        require_plain(line, found)
        yield line._replace(cells={name: cell(line, name, value) for name, value in found.items()})


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def parquet_lines(path: Path, *, batch_rows: int = BATCH) -> Iterator[Line]:
    """Rows of a Parquet file, ``batch_rows`` at a time."""
    parquet, arrow = extra("pyarrow.parquet", "parquet"), extra("pyarrow", "parquet")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            header(Line(path, "header", {}), list(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=batch_rows):
                columns = [values_of(column, arrow) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    number += 1
                    line = Line(path, f"row {number}", {})
                    cells = zip(batch.schema.names, row, strict=True)
                    yield line._replace(cells={name: cell(line, name, value) for name, value in cells})
    except (arrow.ArrowException, OSError, OverflowError, ValueError) as error:
        raise BadDataset(
            f"{path} is no readable Parquet file after row {number}: {error}", hint="write it again"
        ) from (error)


def values_of(column: Any, arrow: Any) -> list[object]:
    """The values of a column of Arrow; dates and times, of whatever unit and year, as ISO 8601 text.

    Arrow's own way to Python goes by ``datetime``, which knows no nanoseconds and no year 10000.
    """
    kind = column.type
    if arrow.types.is_timestamp(kind):
        unit, zone = kind.unit, "+00:00" if kind.tz else ""
    elif arrow.types.is_date(kind):
        unit, zone = ("D" if kind == arrow.date32() else "ms"), ""
    else:
        return list(column.to_pylist())
    whole = column.cast(arrow.int32()) if kind == arrow.date32() else column.cast(arrow.int64())
    texts_ = [None if value is None else iso(value, unit) for value in whole.to_pylist()]
    if arrow.types.is_date(kind):
        return [None if text is None else text.partition("T")[0] for text in texts_]
    return [None if text is None else text + zone for text in texts_]


def iso(value: int, unit: str) -> str:
    """A count of units since 1970 as ISO 8601, without trailing zeros of a fraction.

    >>> iso(1700000000123456789, "ns"), iso(2**40, "s"), iso(19000, "D")
    ('2023-11-14T22:13:20.123456789', '36812-02-20T00:36:16', '2022-01-08')
    """
    text = str(np.datetime64(value, unit))  # type: ignore[call-overload]
    return text.rstrip("0").rstrip(".") if "." in text else text


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
    if isinstance(value, int | float | Decimal) and not math.isinf(value):
        return number_of(value)
    if isinstance(value, date):
        return value.isoformat()
    hint = "a cell is text, a finite number, true, false or empty"
    return line.refuse(f"{name} is no single value: {value!r:.60}", hint=hint)


def number_of(value: int | float | Decimal) -> Value:
    """A number as a float where that holds all its digits, else as text; None for what is no number (NaN).

    >>> number_of(2**60), number_of(Decimal("12.50")), number_of(Decimal("0.1234567890123456789"))
    ('1152921504606846976', 12.5, '0.1234567890123456789')
    """
    if math.isnan(value):
        return None
    if isinstance(value, int):
        return float(value) if abs(value) < 2**53 else str(value)
    if isinstance(value, Decimal) and Decimal(repr(float(value))) != value:
        return f"{value:f}"
    return float(value)


FORMATS: dict[str, Callable[[Path], Iterator[Line]]] = {
    ".csv": csv_lines,
    ".tsv": csv_lines,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".parquet": parquet_lines,
}
"""Suffix -> how a file of that kind is read."""
