"""Files of named cells, line by line: CSV, JSON, Excel, XML feeds, Parquet. What several readers need to read theirs.

A line says where it stands (``line 4`` of a text, ``row 3`` of a workbook), so that an error can name it. Cells of CSV
and XML are text; the other formats bring their own types. An empty cell is None.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from osoroi import files
from osoroi.data.tabular.delimited import LONGEST, csv_lines, texts
from osoroi.data.tabular.documents import json_document, json_lines
from osoroi.data.tabular.encoding import NAMES, Encoding, detect
from osoroi.data.tabular.line import CONTROL, BadLine, Line, OnError, report
from osoroi.data.tabular.parquet import parquet_lines
from osoroi.errors import BadDataset

__all__ = [
    "CONTROL",
    "LONGEST",
    "TYPED",
    "BadLine",
    "Encoding",
    "Line",
    "OnError",
    "TableSource",
    "csv_lines",
    "json_lines",
    "lines",
    "open_source",
    "parquet_lines",
    "report",
    "texts",
]

TYPED = (".json", ".jsonl", ".ndjson", ".parquet")
"""Suffixes of tables whose cells bring their types. In Excel, people type what they like."""

DELIMITED = (".csv", ".tsv", ".txt", ".tab")
FORMATS = (*DELIMITED, ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xml", ".rss", ".parquet")
"""Suffixes of files that are read; each but Excel and Parquet also with ``.gz``."""

ADVICE = {".xls": "save it as .xlsx", ".ods": "save it as .xlsx", ".numbers": "export it as .xlsx or CSV"}


@dataclass(frozen=True)
class TableSource:
    """A file of named cells: its format, and for a text its encoding. ``notes`` say what was decided about it."""

    path: Path
    suffix: str
    encoding: str = "utf-8"
    sheet: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_typed(self) -> bool:
        """Whether cells bring their types."""
        return self.suffix in TYPED

    def lines(self, on_error: OnError | None = None) -> Iterator[Line]:
        """Every line. Lines that cannot be read are handed to ``on_error``, or raised where there is none."""
        if self.suffix == ".parquet":
            return parquet_lines(self.path, on_error=on_error)
        if self.suffix in (".xlsx", ".xlsm"):
            from osoroi.data.tabular.workbook import excel_lines

            return excel_lines(self.path, self.sheet, on_error=on_error)
        if self.suffix in (".xml", ".rss"):
            from osoroi.data.tabular.feed import feed_lines

            return feed_lines(self.path, on_error=on_error)
        if self.suffix in (".jsonl", ".ndjson"):
            return json_lines(self.path, self.encoding, on_error=on_error)
        if self.suffix == ".json":
            return json_document(self.path, self.encoding, on_error=on_error)
        return csv_lines(self.path, self.encoding, on_error=on_error)


def open_source(path: Path, *, encoding: str = "", sheet: str = "") -> TableSource:
    """A file whose format is recognised by its suffix, and whose encoding by its bytes unless it is named."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] == [".gz"]
    suffix = (suffixes[-2:-1] if compressed else suffixes[-1:] or [""])[0] if suffixes else ""
    if suffix not in FORMATS or (compressed and suffix in (".xlsx", ".xlsm", ".parquet")):
        _refuse(path, suffix)
    if not path.is_file():
        what = f"{path} is no ordinary file" if path.exists() else f"there is no table {path}"
        raise BadDataset(what, hint="check the path")
    if files.is_database(path):
        raise BadDataset(f"{path} is the database of a catalog, and no table", hint="give the table it was made from")
    if suffix in (".xlsx", ".xlsm"):
        from osoroi.data.tabular.workbook import sheet_of

        chosen, notes = sheet_of(path, sheet)
        return TableSource(path, suffix, sheet=chosen, notes=notes)
    if suffix in (".xml", ".rss", ".parquet"):
        return TableSource(path, suffix)
    found = _encoding(path, encoding)
    return TableSource(path, suffix, found.codec, notes=(f"encoding: {found.reason}",))


def _refuse(path: Path, suffix: str) -> NoReturn:
    """Raise BadDataset for a path whose name is none of a table."""
    from osoroi import path_types

    if suffix not in ADVICE:
        path_types.require(path, path_types.TABLE, "a table", BadDataset)
        if not path.exists():
            raise BadDataset(f"there is no table or folder {path}", hint="check the path")
    hint = ADVICE.get(suffix, f"a table's name ends in one of: {', '.join(FORMATS)}")
    raise BadDataset(f"{path} is no table", hint=hint)


def _encoding(path: Path, named: str) -> Encoding:
    try:
        if named:
            "".encode(named)
            return Encoding(named, f"{NAMES.get(named, named)}, as named")
        return detect(path)
    except LookupError as error:
        raise BadDataset(f"there is no encoding {named!r}", hint="for instance cp932, euc_jp, gb18030") from error
    except (OSError, EOFError) as error:
        raise BadDataset(f"{path} cannot be read: {error}", hint="check the file") from error


def tables_in(folder: Path) -> list[str]:
    """The names of the files of a folder that may be tables."""
    return sorted(file.name for file in folder.iterdir() if {suffix.lower() for suffix in file.suffixes} & {*FORMATS})


def lines(path: Path) -> Iterator[Line]:
    """Every line of a file of named cells; raises BadDataset naming file and line."""
    yield from open_source(path).lines()
