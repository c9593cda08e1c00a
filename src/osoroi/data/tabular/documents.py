"""JSON: one object a line, or one document that holds a list of objects."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from osoroi.data.tabular.delimited import texts
from osoroi.data.tabular.encoding import opened
from osoroi.data.tabular.line import BadLine, Line, OnError, cells_of, report, require_plain
from osoroi.errors import BadDataset

LARGEST = 1 << 30
"""Bytes of a document of JSON, which is read whole; JSON Lines has no such limit."""


def json_lines(path: Path, encoding: str = "utf-8", *, on_error: OnError | None = None) -> Iterator[Line]:
    """One JSON object a line; empty lines are passed over."""
    for number, text in texts(path, encoding):
        if not text.strip():
            continue
        line = Line(path, f"line {number}", {})
        try:
            try:
                item = json.loads(text, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                line.refuse(f"no JSON: {error}", hint="one object a line")
            line = object_line(line, item)
        except BadLine as error:
            report(error, on_error)
            continue
        yield line


def json_document(path: Path, encoding: str = "utf-8", *, on_error: OnError | None = None) -> Iterator[Line]:
    """The objects of a list, or of the one list inside an object (``{"products": [...]}``)."""
    with opened(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise BadDataset(f"{path} has more than {LARGEST:,} bytes", hint="write one object a line, as .jsonl")
    try:
        document = json.loads(data.decode(encoding), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"{path} is no JSON: {error}", hint="one object a line is .jsonl") from error
    for number, item in enumerate(items(path, document), start=1):
        line = Line(path, f"item {number}", {})
        try:
            line = object_line(line, item)
        except BadLine as error:
            report(error, on_error)
            continue
        yield line


def items(path: Path, document: Any) -> list[Any]:
    """The list of a document."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        lists = {name: value for name, value in document.items() if isinstance(value, list)}
        if len(lists) == 1:
            return next(iter(lists.values()))
        raise BadDataset(f"{path} holds {len(lists)} lists", hint="a document is a list of objects, or holds one list")
    raise BadDataset(f"{path} holds {type(document).__name__}", hint="a document is a list of objects")


def object_line(line: Line, item: Any) -> Line:
    """The line of an object; objects inside it give columns like ``variants.price``."""
    if not isinstance(item, dict):
        line.refuse(f"{type(item).__name__} instead of an object", hint="one object a line")
    flat = dict(flattened(item))
    require_plain(line, flat)
    return cells_of(line, flat.items())


def flattened(item: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Columns of an object: an inner object's under ``name.key``, those of a list of objects as lists.

    >>> dict(flattened({"id": 1, "images": [{"src": "a.jpg"}, {"src": "b.jpg"}], "seo": {"title": "x"}}))
    {'id': 1, 'images.src': ['a.jpg', 'b.jpg'], 'seo.title': 'x'}
    """
    for name, value in item.items():
        if isinstance(value, dict) and depth < 8:
            yield from flattened(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            keys = dict.fromkeys(key for one in value for key in one)
            for key in keys:
                each = [one.get(key) for one in value]
                if not any(isinstance(one, dict | list) for one in each):
                    yield f"{prefix}{name}.{key}", each
        else:
            yield f"{prefix}{name}", value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
