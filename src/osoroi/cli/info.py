"""``osoroi info``: describe a catalog or an encoder."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from osoroi import categories, path_types
from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_catalog, runtimes
from osoroi.catalog.stored import StoredCatalog
from osoroi.cli import options, text
from osoroi.encoder import KIND, Encoder, choice
from osoroi.encoder.metadata import EncoderMetadata
from osoroi.errors import BadCatalog
from osoroi.garments import read_category
from osoroi.text import number, printable

NO_CATEGORY = "(no category)"
BY_PICTURE = "by_picture"


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
            if name not in ("kinds", "photos_agree", "photos_contradict", "trusts_categories"):
                text.show(f"{name.removesuffix('_s'):{width}}  {printable(plain(name, value))}")
        for kind, words in facts.get("kinds", {}).items():
            text.show(f"{'by picture' if kind == BY_PICTURE else f'{kind} is':{width}}  {printable(plain('', words))}")
        show_agreement(facts, width)


def show_agreement(facts: Mapping[str, Any], width: int) -> None:
    """How well photos and categories agree, and the products where they do not."""
    if "photos_agree" not in facts:
        return
    share, chance, products = (facts["photos_agree"][name] for name in ("share", "chance", "products"))
    text.show(f"{'photos agree':{width}}  with {share:.0%} of {products:,} categories; {chance:.0%} by chance")
    if not facts["trusts_categories"]:
        text.show(f"{'':{width}}  that is too little: categories are not believed, and photos tell the kinds")
    for one in facts["photos_contradict"]:
        said = f"{one['product_id']}: {one['category']} is {one['kind']}, and the photo looks like {one['predicted']}"
        text.show(f"{'contradicting':{width}}  {printable(said)}")


def of_file(path: Path) -> dict[str, Any]:
    """Facts of a catalog in a folder, or of an encoder file. Raises BadCatalog where there is neither."""
    if not path.exists():
        raise BadCatalog(f"there is no catalog and no encoder at {path}", hint="osoroi add CATALOG DATASET makes one")
    if path.is_dir():
        return of_catalog(path)
    path_types.require(path, path_types.ENCODER, "a catalog or an encoder", BadCatalog)
    return of_encoder(Encoder.open(path))


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
        "runs": [str(way) for way in choice.remembered(encoder, runtimes())] or ["not measured yet"],
    } | {name: plain for name, plain in _optional(encoder.metadata).items() if plain}


def _optional(metadata: EncoderMetadata) -> dict[str, Any]:
    return {"backbone": dict(metadata.backbone), "quantization": metadata.quantization}


def of_catalog(place: Place) -> dict[str, Any]:
    """Contents of the catalog, and the state of its index."""
    with open_catalog(place, readonly=True) as catalog:
        facts: dict[str, Any] = {"kind": "catalog", **asdict(catalog.info())}
        return facts | (kind_facts(catalog) if KIND in facts["parts"] else {})


def kind_facts(catalog: StoredCatalog) -> dict[str, Any]:
    """The kind of each category, which categories photos decided, and which ones photos contradict."""
    kinds = kinds_of(catalog.categories())
    learned = {
        category: kind
        for category in kinds.get(BY_PICTURE, {})
        if category != NO_CATEGORY and (kind := categories.learned_kind(catalog, category)) is not None
    }
    kinds = kinds | {BY_PICTURE: {word: n for word, n in kinds.get(BY_PICTURE, {}).items() if word not in learned}}
    facts: dict[str, Any] = {"kinds": {kind: words for kind, words in kinds.items() if words}}
    if learned:
        facts["learned"] = learned
    if (judged := categories.agreement(catalog)) is not None:
        facts["photos_agree"] = {"products": judged.products, "share": judged.share, "chance": judged.chance}
        facts["trusts_categories"] = catalog.trusts_categories()
        facts["photos_contradict"] = [one._asdict() for one in judged.contradictions]
    return facts


def kinds_of(categories: Mapping[str | None, int]) -> dict[str, Any]:
    """What the shop's categories are read as; ``by_picture`` are those that are not understood, with their products.

    >>> kinds_of({"Skirts": 4, "Vareuse": 2, None: 1, "Mini skirts": 1})
    {'skirt': {'Skirts': 4, 'Mini skirts': 1}, 'by_picture': {'Vareuse': 2, '(no category)': 1}}
    """
    kinds: dict[str, Any] = {}
    for category, products in categories.items():
        kind = read_category(category) if category else None
        kinds.setdefault(kind or BY_PICTURE, {})[category or NO_CATEGORY] = products
    unread = kinds.pop(BY_PICTURE, None)
    return kinds | ({} if unread is None else {BY_PICTURE: unread})


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
