"""JSON: one object a line, or one document that holds a list of objects."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from osoroi.data.headers import role_of
from osoroi.data.tabular.delimited import texts
from osoroi.data.tabular.encoding import opened
from osoroi.data.tabular.line import BadLine, Line, OnError, cells_of, report, require_plain
from osoroi.errors import BadDataset

PRODUCTS = "products items data results rows entries records 商品 produkte artikel produits"
"""Names of the list of products where a document has several lists."""

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
        if _is_object(data.lstrip().partition(b"\n")[0], encoding):  # one object a line, whatever its name says
            yield from json_lines(path, encoding, on_error=on_error)
            return
        raise BadDataset(f"{path} is no JSON: {error}", hint="one object a line is .jsonl") from error
    for number, item in enumerate(items(path, document), start=1):
        line = Line(path, f"item {number}", {})
        try:
            line = object_line(line, item)
        except BadLine as error:
            report(error, on_error)
            continue
        yield line


def _is_object(line: bytes, encoding: str) -> bool:
    try:
        return isinstance(json.loads(line.decode(encoding)), dict)
    except (ValueError, RecursionError):
        return False


def items(path: Path, document: Any) -> list[Any]:
    """The products of a document: its list, the one list of objects inside it, however deep, or objects by their id.

    >>> items(Path("t.json"), {"data": {"products": [{"id": "a"}]}, "errors": []})
    [{'id': 'a'}]
    >>> items(Path("t.json"), {"a": {"price": 1}, "b": {"price": 2}})
    [{'id': 'a', 'price': 1}, {'id': 'b', 'price': 2}]
    """
    if isinstance(document, list):
        return document
    level = {"the document": document}
    if not isinstance(document, dict):
        raise BadDataset(f"{path} holds {type(document).__name__}", hint="a document is a list of objects")
    while level := {f"{name}.{key}": value for name, inner in level.items() for key, value in _entries(inner)}:
        lists = {name: each for name, value in level.items() if (each := _objects(value))}
        named = {name: each for name, each in lists.items() if name.rpartition(".")[2].casefold() in PRODUCTS.split()}
        found = named if len(named) == 1 else lists
        if len(found) > 1:
            names = ", ".join(name.partition(".")[2] for name in found)
            raise BadDataset(f"{path} holds {len(found)} lists: {names}", hint="keep the one of products")
        if found:
            return next(iter(found.values()))
        if _are_alike(values := [value for value in level.values() if isinstance(value, dict)]):
            ids = [name.rpartition(".")[2] for name, value in level.items() if isinstance(value, dict)]
            return [{"id": each} | value for each, value in zip(ids, values, strict=True)]
    raise BadDataset(f"{path} holds no list of objects", hint="a document is a list of objects, or holds one list")


def _entries(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _objects(value: Any) -> list[Any]:
    """A list with objects; those that GraphQL wraps in a node are taken out of it."""
    if not isinstance(value, list) or not any(isinstance(one, dict) for one in value):
        return []
    return [one["node"] if isinstance(one, dict) and isinstance(one.get("node"), dict) else one for one in value]


def _are_alike(values: list[dict[str, Any]]) -> bool:
    """Whether objects are products by their ids: several, with names in common that mean something here."""
    shared = set.intersection(*map(set, values)) if len(values) > 1 else set()
    return any(role_of(name) for name in shared)


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
            flat = [dict(flattened(one, depth=depth + 1)) for one in _objects(value)] if depth < 8 else []
            for key in dict.fromkeys(key for one in flat for key in one):
                each = [one.get(key) for one in flat]
                if not any(isinstance(one, list) for one in each):
                    yield f"{prefix}{name}.{key}".replace(".edges.", "."), each
        else:
            yield f"{prefix}{name}", value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
