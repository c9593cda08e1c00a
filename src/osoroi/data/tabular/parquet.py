"""Parquet files, a batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from osoroi.data.tabular.line import BadLine, Line, OnError, cells_of, header, report
from osoroi.errors import BadDataset, extra

BATCH = 4096
"""Rows of a Parquet file that are held at a time."""


def parquet_lines(path: Path, *, on_error: OnError | None = None, batch_rows: int = BATCH) -> Iterator[Line]:
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
                    try:
                        line = cells_of(line, cells)
                    except BadLine as error:
                        report(error, on_error)
                        continue
                    yield line
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
