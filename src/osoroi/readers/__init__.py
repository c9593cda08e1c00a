"""One data set format per file; each yields rows of product and crop, and holds no more than it must.

A data set is named ``name:path``, for instance ``table:shop.csv``, ``drawn:200`` or ``viton:data/viton``.
"""

import importlib
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from osoroi.errors import BadDataset
from osoroi.records import Row

READERS = {
    "table": "a CSV, JSON Lines or Parquet file, a folder of photos, or a folder of folders",
    "drawn": "garments drawn by us: drawn:200 draws 200 products, drawn:200:7 with seed 7",
    "viton": "the folder of the VITON pairs: street and shop photos of tops",
}
"""Name -> what its path is. Each stands in the module of its name and has ``open_reader(path) -> Reader``."""


@runtime_checkable
class Reader(Protocol):
    """A data set that can be read again and again, in the same order."""

    def rows(self) -> Iterator[Row]:
        """Every crop with its product; raises BadDataset naming the file and the row that cannot be read."""
        ...


def open_dataset(dataset: str) -> Reader:
    """The reader of ``name:path``.

    >>> open_dataset("atlas:shop")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: no reader is called 'atlas'; a data set is name:path with one of: table, drawn, viton
    """
    name, _, path = dataset.partition(":")
    if name not in READERS or not path:
        problem = f"no reader is called {name!r}" if name not in READERS else f"{dataset!r} names no path"
        raise BadDataset(problem, hint=f"a data set is name:path with one of: {', '.join(READERS)}")
    reader: Reader = importlib.import_module(f"osoroi.readers.{name}").open_reader(path)
    return reader
