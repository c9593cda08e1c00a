"""One data set format per file; each yields rows of product and crop, and holds no more than it must.

A data set is named ``name:path``, for instance ``table:shop.csv``, ``drawn:200`` or ``viton:data/viton``. Options
follow a question mark, as in an address: ``table:manifest.csv?recipe=hm&split=8:1:1``; ``&`` in a value is ``%26``.
Where the path itself holds a question mark, end it with another: ``table:what?.csv?``.
"""

import importlib
import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import unquote

from osoroi.errors import NO_PATH, UNSET, BadDataset
from osoroi.records import Row

READERS = {
    "table": "a CSV, Excel, JSON, XML or Parquet file, a folder of photos, or a folder of folders",
    "drawn": "garments drawn by us: drawn:200 draws 200 products, drawn:200:7 with seed 7",
    "composed": "a table of product photos, and street photos composed from them",
    "viton": "the folder of the VITON pairs: street and shop photos of tops",
    "street2shop": "the folder of Exact Street2Shop: meta/json and images",
    "inshop": "the folder of DeepFashion's In-shop Clothes Retrieval: Anno, Eval, Img",
    "consumer2shop": "the folder of DeepFashion's Consumer-to-shop Clothes Retrieval: Anno, Eval, Img",
    "ccp": "a folder of street photos with the boxes of all garments: garments.csv and photos",
    "deepfashion2": "the folder of DeepFashion2: train and validation, each with image and annos",
    "lookbench": "the folder of LookBench: Parquet files of each subset and of noise",
}
"""Name -> what its path is. Each stands in the module of its name and has
``open_reader(path, *, option="default") -> Reader``; every keyword of it is an option, given as text."""


@runtime_checkable
class Reader(Protocol):
    """A data set that can be read again and again, in the same order."""

    def rows(self) -> Iterator[Row]:
        """Every crop with its product; raises BadDataset naming the file and the row that cannot be read."""
        ...


NAMED = re.compile(r"[a-z0-9]{2,}:")
"""The name of a reader, known or not, before its path."""


def dataset_name(dataset: str | os.PathLike[str]) -> str:
    """A data set as ``name:path``; a plain path is that of a table or folder. Raises BadDataset for an empty text.

    >>> dataset_name("drawn:40"), dataset_name("shop/products.csv")
    ('drawn:40', 'table:shop/products.csv')
    """
    name = os.fspath(dataset)
    if not name:
        raise BadDataset(NO_PATH, hint=UNSET)
    reader = name.partition(":")[0]
    known = reader in READERS or (reader != name and reader in _of_plugins())
    is_unknown_reader = NAMED.match(name) and not Path(name).exists()  # left as it is, so that it is refused by name
    return name if known or is_unknown_reader else f"table:{name}"


def _of_plugins() -> tuple[str, ...]:
    """Names of the readers that other packages register."""
    from osoroi import plugins

    return plugins.names("readers")


def open_dataset(dataset: str) -> Reader:
    """The reader of ``name:path?key=value&key=value``; a plain path is that of a table or folder.

    >>> open_dataset("atlas:shop")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    osoroi.errors.BadDataset: no reader is called 'atlas'; a data set is name:path with one of: table, drawn, ...
    >>> open_dataset("table:shop.csv?recipes=hm")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: table has no option 'recipes'; its options: recipe, split, seed, encoding, sheet, photos
    """
    name, _, rest = dataset_name(dataset).partition(":")
    path, options = parsed(rest)
    names = tuple(READERS) if name in READERS else (*READERS, *_of_plugins())
    if name not in names:
        from osoroi import path_types

        path_types.require(dataset, path_types.TABLE, "a data set", BadDataset)
    if name not in names or not path:
        problem = f"no reader is called {name!r}" if name not in names else f"{dataset!r} names no path"
        raise BadDataset(problem, hint=f"a data set is name:path with one of: {', '.join(names)}")
    open_reader = _opener(name)
    parameters = inspect.signature(open_reader).parameters.values()
    known = [option.name for option in parameters if option.kind is option.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise BadDataset(f"{name} has no option {option!r}", hint=f"its options: {', '.join(known) or 'none'}")
    reader: Reader = open_reader(path, **options)
    return reader


def _opener(name: str) -> Callable[..., Reader]:
    """What opens a reader of ours, or of a package."""
    opener: Callable[..., Reader]
    if name in READERS:
        opener = importlib.import_module(f"osoroi.data.readers.{name}").open_reader
    else:
        from osoroi import plugins

        opener = plugins.load("readers", name)
    return opener


def quoted(value: str) -> str:
    """The value of an option as ``parsed`` reads it back.

    >>> quoted("R&D 100%"), parsed(f"p.csv?photos={quoted('R&D 100%')}")
    ('R%26D 100%25', ('p.csv', {'photos': 'R&D 100%'}))
    """
    return value.replace("%", "%25").replace("&", "%26").replace("?", "%3F")


def parsed(rest: str) -> tuple[str, dict[str, str]]:
    """Path and options of what follows the reader's name.

    >>> parsed("s2s?protocol=vasily&category=bags")
    ('s2s', {'protocol': 'vasily', 'category': 'bags'})
    >>> parsed("what?.csv?")
    ('what?.csv', {})
    """
    path, mark, after = rest.rpartition("?")
    if not mark:
        return rest, {}
    options: dict[str, str] = {}
    for pair in filter(None, after.split("&")):
        key, equals, value = pair.partition("=")
        if not equals or not key or not value or key in options:
            hint = "options are key=value, each once, joined by &; end a path that holds a question mark with another"
            raise BadDataset(f"{pair!r} in {rest!r} is no option", hint=hint)
        options[key] = unquote(value)
    return path, options
