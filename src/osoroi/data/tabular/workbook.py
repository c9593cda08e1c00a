"""Excel workbooks (``.xlsx``), row by row: the values that cells show, not their formulas."""

import contextlib
import io
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from openpyxl.utils import range_boundaries

from osoroi import files
from osoroi.data.tabular.line import (
    HEADER_ROWS,
    BadLine,
    Line,
    OnError,
    cells_of,
    columns_named,
    header,
    header_at,
    report,
)
from osoroi.errors import BadDataset

LARGEST = 4 << 30
"""Bytes of a workbook when unpacked."""

BROKEN: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, SyntaxError),
    *(LookupError, ValueError, TypeError, AttributeError, OverflowError, OSError),
)
"""What a broken archive, broken XML, and cells that contradict each other become in openpyxl."""

MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^<>]*?\bref\s*=\s*["']([A-Z]+[0-9]+:[A-Z]+[0-9]+)["']""")
UNCOMPUTED = re.compile(rb"(?:</f>|<f[^<>]*/>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>")
DIGITS = 15
"""Significant digits of a number that Excel shows, and computes with when it compares."""

ZEROS = re.compile("0{2,}")
"""A format that fills a number with zeros."""


def excel_lines(path: Path, sheet: str = "", *, on_error: OnError | None = None) -> Iterator[Line]:
    """The rows of a sheet under its header; empty rows are passed over, hidden ones are not."""
    with _readable(path), closing(_workbook(path)) as book:
        page = _sheet(path, book, sheet)
        merged = Merged(path, page)
        rows = page.iter_rows()
        top = list(islice(rows, HEADER_ROWS))
        head, names = _header(path, top)
        for number, cells in enumerate(chain(top, rows), start=1):
            values = merged.values(number, cells, len(names))
            if number <= head or not any(value is not None for value in values):
                continue
            line = Line(path, f"row {number}", {})
            try:
                for cell in cells:
                    if cell.data_type == "e":
                        line.refuse(f"the cell {cell.coordinate} holds the error {cell.value}", hint="mend its formula")
                line = cells_of(line, zip(names, values, strict=False))
            except BadLine as error:
                report(error, on_error)
                continue
            yield line


class Merged:
    """The values of a sheet's cells, row by row; each row of cells that are merged downwards has their value."""

    def __init__(self, path: Path, sheet: Any) -> None:
        self.last: dict[tuple[int, int], int] = {}
        self.held: dict[int, tuple[int, object]] = {}
        for left, top, _, bottom in map(range_boundaries, merged_ranges(path, sheet)):
            if bottom > top:
                self.last[top, left] = bottom

    def values(self, number: int, cells: Sequence[Any], width: int) -> list[object]:
        """The values of a row, as many as the header has names: a file may leave out the empty cells at its end."""
        values = [shown(cell) for cell in cells]
        values += [None] * (width - len(values))
        if not self.last:
            return values
        for place, value in enumerate(values):
            if (number, place + 1) in self.last:
                self.held[place] = self.last[number, place + 1], value
        for place, (last, value) in self.held.items():
            if number <= last and place < len(values) and values[place] is None:
                values[place] = value
        return values


def merged_ranges(path: Path, sheet: Any) -> list[str]:
    """The merged cells of a sheet; openpyxl passes over them where it reads row by row."""
    with files.archive(path) as archive, archive.open(sheet._worksheet_path) as file:
        return [found[1].decode() for block in overlapping(file) for found in MERGED.finditer(block)]


def overlapping(file: io.BufferedIOBase | IO[bytes]) -> Iterator[bytes]:
    """A file in blocks that end where an element does, so that none is cut in two."""
    rest = b""
    while block := file.read(1 << 20):
        whole, mark, rest = (rest + block).rpartition(b"</c>" if b"</c>" in block else b">")
        yield whole + mark
    yield rest


def shown(cell: Any) -> object:
    """The value of a cell; a number whose format fills it with zeros as text, since it is an id.

    Its format decides what people see: 12 in the format ``00000`` is ``00012``. Of a fraction it is the 15 significant
    digits that Excel shows: what a formula computes may differ in the sixteenth, as 72.85000000000001 does.
    """
    value = cell.value
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, int) and not isinstance(value, bool) and ZEROS.fullmatch(cell.number_format or ""):
        return f"{value:0{len(cell.number_format)}}"
    return value


def texts_of(rows: Iterable[Any]) -> list[list[str]]:
    """The cells of rows as text."""
    return [["" if cell.value is None else str(cell.value) for cell in cells] for cells in rows]


def sheet_of(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """The sheet that is read, and what is said of it: the one named, else the first visible one with a header."""
    with _readable(path), closing(_workbook(path)) as book:
        names = list(book.sheetnames)
        chosen = name or _first_with_header(path, book)
        formulas = open_formulas(path, _sheet(path, book, chosen))
    others = ", ".join(repr(each) for each in names if each != chosen)
    said = [f"sheet {chosen!r}" + (f", not {others}: ?sheet=NAME reads another" if others else "")]
    if formulas:
        said.append(
            f"{formulas:,} formulas have no value and are read as empty: open the file in Excel and save it once"
        )
    return chosen, tuple(said)


def _first_with_header(path: Path, book: Any) -> str:
    """The first visible sheet whose header names our columns; where none does, the one that names most."""
    visible = [each for each in book.sheetnames if getattr(book[each], "sheet_state", "visible") == "visible"]
    counts = {each: _columns_of(path, book, each) for each in visible or book.sheetnames}
    most = max(counts, key=lambda each: counts[each])
    return next((each for each, count in counts.items() if header_at([count]) == 0), most)


def _columns_of(path: Path, book: Any, name: str) -> int:
    """How many of our columns the header of a sheet names."""
    if not hasattr(book[name], "iter_rows"):  # a sheet of a chart alone
        return -1
    return max(map(columns_named, texts_of(islice(_sheet(path, book, name).iter_rows(), HEADER_ROWS))), default=0)


def open_formulas(path: Path, sheet: Any) -> int:
    """Formulas without a value: a program wrote them, and nobody has computed them yet."""
    with files.archive(path) as archive, archive.open(sheet._worksheet_path) as file:
        return sum(len(UNCOMPUTED.findall(block)) for block in overlapping(file))


def _header(path: Path, rows: list[Any]) -> tuple[int, list[str]]:
    """The header among the first rows and its names: the row that names most of our columns, else the first filled."""
    texts = texts_of(rows)
    number = header_at([columns_named(names) for names in texts])
    if number is None:
        number = next((place for place, names in enumerate(texts) if any(name.strip() for name in names)), None)
    if number is None:
        raise BadDataset(f"{path} has no header", hint="a row names the columns")
    return number + 1, header(Line(path, f"row {number + 1}", {}), texts[number])


def _sheet(path: Path, book: Any, name: str) -> Any:
    if name and name not in book.sheetnames:
        raise BadDataset(f"{path} has no sheet {name!r}", hint=f"its sheets: {', '.join(book.sheetnames)}")
    sheet = book[name] if name else book.worksheets[0]
    sheet.reset_dimensions()  # what a program wrote there need not be true
    return sheet


def _workbook(path: Path) -> Any:
    import openpyxl

    with files.archive(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise BadDataset(f"{path} has {size:,} bytes when unpacked", hint="save it as CSV")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # styles and extensions that it leaves out
        return openpyxl.load_workbook(path, read_only=True, data_only=True)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say that a workbook cannot be read, whatever the library stumbles over: it reads cells as they are asked for."""
    try:
        yield
    except BROKEN as error:
        raise BadDataset(f"{path} is no readable Excel workbook: {error}", hint="save it as .xlsx again") from error
