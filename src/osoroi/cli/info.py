"""``osoroi info``: describe a catalog or an encoder."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_catalog
from osoroi.cli import options, text
from osoroi.encoder import KIND, Encoder
from osoroi.garments import read_category
from osoroi.text import number, printable


@click.command()
@click.argument("path", metavar="CATALOG|ENCODER", type=options.CATALOG)
@options.as_json
def command(path: Place, as_json: bool) -> None:
    """Describe a catalog (a folder, or an address of PostgreSQL) or an encoder (a file).

    Says its contents, their origin and dates.

    \b
    osoroi info shop
    """
    facts = of_file(path) if isinstance(path, Path) else of_catalog(path)
    if as_json:
        text.show_json(facts)
    else:
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            if name != "kinds":
                text.show(f"{name.removesuffix('_s'):{width}}  {printable(plain(name, value))}")
        for kind, categories in facts.get("kinds", {}).items():
            text.show(f"{kind + ' is':{width}}  {printable(plain('', categories))}")


def of_file(path: Path) -> dict[str, Any]:
    """Facts of a catalog in a folder, or of an encoder file."""
    return of_catalog(path) if path.is_dir() else of_encoder(Encoder.open(path))


def of_encoder(encoder: Encoder) -> dict[str, Any]:
    """The metadata of the encoder file."""
    return {
        "kind": "encoder",
        "fingerprint": encoder.fingerprint,
        "parts": {part.name: {"size": part.size, "weight": part.weight} for part in encoder.parts},
        "input": f"{encoder.preprocessing['street'].height} x {encoder.preprocessing['street'].width}",
        "recipe": encoder.recipe,
        "training": encoder.training,
        "licence": encoder.licence,
    } | ({"backbone": dict(encoder.metadata.backbone)} if encoder.metadata.backbone else {})


def of_catalog(place: Place) -> dict[str, Any]:
    """Contents of the catalog, and the state of its index."""
    with open_catalog(place, readonly=True) as catalog:
        facts: dict[str, Any] = {"kind": "catalog", **asdict(catalog.info())}
        return facts | ({"kinds": kinds_of(catalog.categories())} if KIND in facts["parts"] else {})


def kinds_of(categories: Mapping[str | None, int]) -> dict[str, Any]:
    """What the shop's categories are read as; ``by_picture`` are those that are not understood, with their products.

    >>> kinds_of({"Skirts": 4, "Vareuse": 2, None: 1, "Mini skirts": 1})
    {'skirt': {'Skirts': 4, 'Mini skirts': 1}, 'by_picture': {'Vareuse': 2, '(no category)': 1}}
    """
    kinds: dict[str, Any] = {}
    for category, products in categories.items():
        kind = read_category(category) if category else None
        kinds.setdefault(kind or "by_picture", {})[category or "(no category)"] = products
    unread = kinds.pop("by_picture", None)
    return kinds | ({} if unread is None else {"by_picture": unread})


def plain(name: str, value: Any) -> str:
    """A fact for people: seconds since 1970 as a date, bytes as megabytes, numbers without an exponent.

    >>> plain("changed_s", 0.0), plain("bytes", 2_113_536)
    ('1970-01-01 00:00:00 UTC', '2.1 MB')
    """
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(key, inner)}" for key, inner in value.items())
    if name.endswith("_s") and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if name.endswith("bytes") and isinstance(value, int):
        return f"{value / 1e6:,.1f} MB"
    if isinstance(value, float):
        return number(value)
    return "–" if value is None else str(value)
