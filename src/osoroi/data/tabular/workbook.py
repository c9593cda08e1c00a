"""Excel workbooks (``.xlsx``), row by row: the values that cells show, not their formulas."""

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from osoroi.data.headers import rank_of
from osoroi.data.tabular.line import BadLine, Line, OnError, cells_of, header, report
from osoroi.errors import BadDataset

LARGEST = 4 << 30
"""Bytes of a workbook when unpacked."""

HEADER_ROWS = 10
"""Rows among which the header is looked for: titles and notes may stand above it."""


def excel_lines(path: Path, sheet: str = "", *, on_error: OnError | None = None) -> Iterator[Line]:
    """The rows of a sheet under its header; empty rows are passed over, hidden ones are not."""
    with closing(_workbook(path)) as book:
        rows = _sheet(path, book, sheet).iter_rows()
        head, names = _header(path, rows)
        for number, cells in enumerate(rows, start=head + 1):
            if not any(cell.value is not None for cell in cells):
                continue
            line = Line(path, f"row {number}", {})
            try:
                for cell in cells:
                    if cell.data_type == "e":
                        line.refuse(f"the cell {cell.coordinate} holds the error {cell.value}", hint="mend its formula")
                line = cells_of(line, zip(names, (cell.value for cell in cells), strict=False))
            except BadLine as error:
                report(error, on_error)
                continue
            yield line


def sheet_names(path: Path) -> list[str]:
    """The sheets of a workbook, in order."""
    with closing(_workbook(path)) as book:
        return list(book.sheetnames)


def _header(path: Path, rows: Iterator[Any]) -> tuple[int, list[str]]:
    """The row of the header and its names: the first row that names one of our columns, else the first filled one."""
    first: tuple[int, list[str]] | None = None
    for number, cells in enumerate(rows, start=1):
        names = ["" if cell.value is None else str(cell.value) for cell in cells]
        if sum(bool(name.strip()) for name in names) and first is None:
            first = number, names
        roles = {found[0] for name in names if (found := rank_of(name)) is not None}
        if len(roles) >= 2 or "photo" in roles:
            return number, header(Line(path, f"row {number}", {}), names)
        if number >= HEADER_ROWS:
            break
    if first is None:
        raise BadDataset(f"{path} has no header", hint="a row names the columns")
    if first[0] != number:
        problem = f"{path}: no row among the first {number} names a column that is known"
        raise BadDataset(problem, hint="name the columns photo, product_id, title, price, …, or write a recipe")
    return first[0], header(Line(path, f"row {first[0]}", {}), first[1])


def _sheet(path: Path, book: Any, name: str) -> Any:
    if name and name not in book.sheetnames:
        raise BadDataset(f"{path} has no sheet {name!r}", hint=f"its sheets: {', '.join(book.sheetnames)}")
    sheet = book[name] if name else book.worksheets[0]
    sheet.reset_dimensions()  # what a program wrote there need not be true
    return sheet


def _workbook(path: Path) -> Any:
    import openpyxl

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise BadDataset(f"{path} has {size:,} bytes when unpacked", hint="save it as CSV")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and extensions that it leaves out
            return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise BadDataset(f"{path} is no readable Excel workbook: {error}", hint="save it as .xlsx again") from error
