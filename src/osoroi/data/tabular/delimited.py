"""Text tables: a header, then one line each, by comma, semicolon, tab or bar."""

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from osoroi.data.tabular.encoding import opened
from osoroi.data.tabular.line import HEADER_ROWS, BadLine, Line, OnError, columns_named, header, header_at, report
from osoroi.errors import BadDataset

LONGEST = 1 << 20
"""Bytes of the longest line: what has longer ones is no table (a photo, an unclosed quote)."""

DELIMITERS = ",;\t|"

QUOTED = re.compile(r'"(?:[^"]|"")*("|$)')
"""A quoted value, or one whose quote closes on a later line."""

HEADER_LINES = 40
"""Lines that are read to find the header."""

STATED = re.compile(r"\s*sep=(.)\s*")
"""A first line by which Excel is told the delimiter."""

UNREADABLE = "\ue000"
"""Marks a line that could not be decoded; no text that people write holds it."""


def texts(path: Path, encoding: str = "utf-8", on_error: OnError | None = None) -> Iterator[tuple[int, str]]:
    """The lines of a text with their numbers; a byte order mark is dropped. Undecodable lines are handed on, empty."""
    if encoding.startswith(("utf-16", "utf-32")):
        yield from _wide_texts(path, encoding)
        return
    with opened(path) as file:
        for number, bytes_ in enumerate(_raw_lines(file), start=1):
            raw = bytes_.removeprefix(codecs.BOM_UTF8) if number == 1 else bytes_
            here = f"{path}, line {number}"
            if len(raw) >= LONGEST:
                raise BadDataset(f"{here}: longer than {LONGEST} bytes", hint="is this a table at all?")
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError as error:
                name = "UTF-8" if encoding.startswith("utf-8") else encoding
                problem = f"byte {raw[error.start]:#04x} is not {name}"
                report(BadLine(path, f"line {number}", problem, hint="save the table as UTF-8"), on_error)
                text = UNREADABLE + raw.decode(encoding, "replace")
            if "\0" in text:
                raise BadDataset(f"{here}: a zero byte", hint="save the table as UTF-8 text")
            yield number, text


def _raw_lines(file: io.BufferedIOBase) -> Iterator[bytes]:
    """The lines of a file, at most ``LONGEST`` bytes each; also those that end in a carriage return alone."""
    first = file.readline(LONGEST)
    if first.endswith(b"\n") or b"\r" not in first:
        while first:
            yield first
            first = file.readline(LONGEST)
        return
    rest = first
    while rest:
        *whole, rest = rest.split(b"\r")
        yield from (line + b"\n" for line in whole)
        block = file.readline(LONGEST)
        if not block:
            break
        rest += block
        if len(rest) > LONGEST:
            yield rest
            rest = b""
    if rest:
        yield rest


def _wide_texts(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Lines of UTF-16 and UTF-32, in which a line end is several bytes."""
    with opened(path) as binary, io.TextIOWrapper(binary, encoding, newline="") as file:
        try:
            for number, text in enumerate(iter(lambda: file.readline(LONGEST), ""), start=1):
                if len(text) >= LONGEST:
                    raise BadDataset(f"{path}, line {number}: longer than {LONGEST} letters", hint="is this a table?")
                yield number, text.removeprefix("\ufeff") if number == 1 else text
        except UnicodeError as error:
            raise BadDataset(f"{path} is no {encoding}: {error}", hint="save the table as UTF-8") from error


class DelimitedHead(NamedTuple):
    """Where the header of a text table is, as a number of records before it, and the delimiter of the table."""

    above: int
    delimiter: str


def head_of(lines: list[str]) -> DelimitedHead:
    """The header among the first lines: the record that names most of our columns, else the first.

    >>> head_of(["Products of spring", "", "SKU;Name;Price;Image", "a;Coat;39,90;a.jpg"])
    DelimitedHead(above=2, delimiter=';')
    """
    usual = delimiter_of(lines[0])
    best, most = DelimitedHead(0, usual), 0
    with contextlib.suppress(csv.Error):  # reading the table says what is wrong
        for delimiter in sorted(DELIMITERS, key=lambda sign: sign != usual):
            counts = [columns_named(cells) for cells in islice(csv.reader(lines, delimiter=delimiter), HEADER_ROWS)]
            place = header_at(counts)
            if place is not None and counts[place] > most:
                best, most = DelimitedHead(place, delimiter), counts[place]
    return best


def csv_lines(path: Path, encoding: str = "utf-8", *, on_error: OnError | None = None) -> Iterator[Line]:
    """A header, then one line each; columns without a name (pandas writes one) are passed over."""
    source = texts(path, encoding, on_error)
    first, top = next(source, (1, ""))
    stated = STATED.fullmatch(top)
    if stated:
        first, top = next(source, (2, ""))
    lines = [top, *(text for _, text in islice(source, HEADER_LINES))]
    head = head_of(lines)
    delimiter = stated[1] if stated else head.delimiter
    names: list[str] | None = None
    reader = csv.reader(chain(lines, (text for _, text in source)), delimiter=delimiter, strict=True)
    start = first
    try:
        for number, cells in enumerate(records(path, reader, first, on_error)):
            line = Line(path, f"line {start}", {})
            start = reader.line_num + first
            if number < head.above:
                continue
            if names is None:
                names = header(line, cells)
            elif any(cells) and not cells[0].startswith(UNREADABLE):
                try:
                    line = filled(line, names, cells)
                except BadLine as error:
                    report(error, on_error)
                    continue
                yield line
    except csv.Error as error:
        hint = "close every quote, and double a quote inside quotes"
        raise BadDataset(f"{path}, line {start}: {error}", hint=hint) from error


def records(path: Path, reader: Any, first: int, on_error: OnError | None) -> Iterator[list[str]]:
    """The records of a text; one with a quote where none may stand is handed on, and an empty one takes its place."""
    while True:
        start = reader.line_num + first
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "expected after" not in str(error) or on_error is None:  # a quote that is never closed takes all lines
                raise
            end = reader.line_num + first - 1
            place = f"line {start}" if end <= start else f"lines {start}–{end}"
            report(BadLine(path, place, str(error), hint="double a quote inside quotes"), on_error)
            cells = []
        yield cells


def filled(line: Line, names: list[str], cells: list[str]) -> Line:
    """The line with its cells; raises BadLine where there are too many or too few."""
    if len(cells) > len(names) and not any(cell.strip() for cell in cells[len(names) :]):
        cells = cells[: len(names)]  # delimiters at the end of a line
    if len(cells) != len(names):
        line.refuse(f"{len(cells)} values for {len(names)} columns", hint="quote values that hold commas")
    pairs = zip(names, (written(cell) for cell in cells), strict=True)
    return line._replace(cells={name: cell for name, cell in pairs if name})


def written(cell: str) -> str | None:
    """A cell without spaces around it, and as text where a formula makes it text: ``="007"``, as Excel is made to show.

    >>> written(' 007 '), written('="007"'), written("  ")
    ('007', '007', None)
    """
    text = cell.strip()
    if text.startswith('="') and text.endswith('"') and len(text) > 2:
        text = text[2:-1].replace('""', '"').strip()
    return text or None


def delimiter_of(header: str) -> str:
    """The delimiter that stands most often outside quotes in a header; a comma where none does.

    >>> delimiter_of('"photo, front";"colour, pattern"')
    ';'
    """
    return max(DELIMITERS, key=QUOTED.sub("", header).count)
