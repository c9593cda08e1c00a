"""Text tables: a header, then one line each, by comma, semicolon, tab or bar."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from osoroi.data.tabular.encoding import opened
from osoroi.data.tabular.line import BadLine, Line, OnError, header, report
from osoroi.errors import BadDataset

LONGEST = 1 << 20
"""Bytes of the longest line: what has longer ones is no table (a photo, an unclosed quote)."""

DELIMITERS = ",;\t|"

QUOTED = re.compile(r'"(?:[^"]|"")*("|$)')
"""A quoted value, or one whose quote closes on a later line."""

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
        number = 0
        while raw := file.readline(LONGEST):
            number += 1
            here = f"{path}, line {number}"
            if len(raw) >= LONGEST:
                raise BadDataset(f"{here}: longer than {LONGEST} bytes", hint="is this a table at all?")
            try:
                if number == 1 and raw.startswith(codecs.BOM_UTF8):
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                text = raw.decode(encoding)
            except UnicodeDecodeError as error:
                name = "UTF-8" if encoding.startswith("utf-8") else encoding
                problem = f"byte {raw[error.start]:#04x} is not {name}"
                report(BadLine(path, f"line {number}", problem, hint="save the table as UTF-8"), on_error)
                text = UNREADABLE + raw.decode(encoding, "replace")
            if "\0" in text:
                raise BadDataset(f"{here}: a zero byte", hint="save the table as UTF-8 text")
            yield number, text


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


def csv_lines(path: Path, encoding: str = "utf-8", *, on_error: OnError | None = None) -> Iterator[Line]:
    """A header, then one line each; columns without a name (pandas writes one) are passed over."""
    source = texts(path, encoding, on_error)
    first, head = next(source, (1, ""))
    stated = STATED.fullmatch(head)
    if stated:
        first, head = next(source, (2, ""))
    delimiter = stated[1] if stated else delimiter_of(head)
    names: list[str] | None = None
    reader = csv.reader((text for _, text in _again((first, head), source)), delimiter=delimiter, strict=True)
    start = first
    try:
        for cells in reader:
            line = Line(path, f"line {start}", {})
            start = reader.line_num + first
            if names is None:
                names = header(line, cells)
            elif cells and not cells[0].startswith(UNREADABLE):
                try:
                    line = filled(line, names, cells)
                except BadLine as error:
                    report(error, on_error)
                    continue
                yield line
    except csv.Error as error:
        hint = "close every quote, and double a quote inside quotes"
        raise BadDataset(f"{path}, line {start}: {error}", hint=hint) from error


def filled(line: Line, names: list[str], cells: list[str]) -> Line:
    """The line with its cells; raises BadLine where there are too many or too few."""
    if len(cells) != len(names):
        line.refuse(f"{len(cells)} values for {len(names)} columns", hint="quote values that hold commas")
    pairs = zip(names, (cell.strip() or None for cell in cells), strict=True)
    return line._replace(cells={name: cell for name, cell in pairs if name})


def delimiter_of(header: str) -> str:
    """The delimiter that stands most often outside quotes in a header; a comma where none does.

    >>> delimiter_of('"photo, front";"colour, pattern"')
    ';'
    """
    return max(DELIMITERS, key=QUOTED.sub("", header).count)


def _again(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest
