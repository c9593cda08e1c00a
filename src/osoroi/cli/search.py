"""``osoroi search``: find products by a photo, or by a product of the catalog."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from osoroi.catalog.local import LocalCatalog
from osoroi.cli import options, text
from osoroi.encoder import Encoder
from osoroi.records import Box, Crop, Hit
from osoroi.search import UNLIKELY, Searcher, chance_among, response
from osoroi.text import number

if TYPE_CHECKING:
    from osoroi.garments import Garment

ALL = "all"
"""Search by every garment of the photo."""


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@click.argument("photo", type=click.Path(path_type=Path), required=False)
@click.option("--like", help="Search by this product of the catalog instead of a photo; it is left out itself.")
@options.box
@click.option(
    "--garment",
    help="Search by a garment that is found in PHOTO: its number, its kind, upper, lower or feet; by each with 'all'.",
)
@click.option("--kind", help="What the garment is: top, skirt, shoes, … Without it, its place and picture tell.")
@options.k
@options.where
@options.detail
@click.option(
    "--detail-from",
    metavar="PHOTO|COLOR",
    help="Take colour and pattern from this photo, or this colour: '#b03a2e', navy, 紺.",
)
@click.option("--grid", type=options.Target(), help="Write the query and the results as one picture (PNG).")
@options.encoder
@options.as_json
def command(
    catalog: Path,
    photo: Path | None,
    like: str | None,
    box: Box | None,
    garment: str | None,
    kind: str | None,
    k: int,
    where: str | None,
    detail: float | None,
    detail_from: str | None,
    grid: Path | None,
    encoder: Path | None,
    as_json: bool,
) -> None:
    """Find the products of CATALOG that look like the garment in PHOTO, or like one of its own.

    \b
    osoroi search shop snap.jpg --box 40,12,300,420 --where 'price <= 5000'
    osoroi search shop snap.jpg --garment lower
    osoroi search shop snap.jpg --detail-from navy
    osoroi search shop --like A-1042 --detail 1
    """
    if (photo is None) == (like is None):
        raise click.UsageError("give a PHOTO, or --like with a product of the catalog, and not both")
    if like is not None and box is not None:
        raise click.UsageError("--box is a garment in a PHOTO; --like searches by the product's own photo")
    if detail_from is not None and (photo is None or garment == ALL):
        raise click.UsageError("--detail-from goes with one garment in a PHOTO; leave --like and --garment all away")
    if garment is not None and (photo is None or box is not None):
        raise click.UsageError("--garment is one that is found in a PHOTO; leave --like and --box away")
    if kind is not None and (photo is None or garment is not None):
        raise click.UsageError("--kind goes with a PHOTO; --garment and --like know the kind")
    chosen = chosen_in(photo, garment) if photo is not None and garment is not None else []
    if photo is not None and garment == ALL:
        with LocalCatalog.open(catalog, readonly=True) as products:
            searcher = Searcher(Encoder.open(encoder), products)
            search_each(searcher, photo, chosen, k, where, detail, grid=grid, as_json=as_json)
        return
    box = chosen[0].box if chosen else box
    with LocalCatalog.open(catalog, readonly=True) as products:
        searcher = Searcher(Encoder.open(encoder), products)
        start = time.perf_counter()
        if photo is not None:
            known = chosen[0].kinds if chosen else kind
            hits = searcher.search(photo, box=box, kind=known, k=k, where=where, detail=detail, detail_from=detail_from)
        else:
            hits = searcher.similar(str(like), k=k, where=where, detail=detail)
        took_s = time.perf_counter() - start
        if grid:
            from osoroi.cli import pictures
            from osoroi.report import grid as grids

            query = products.crops(str(like))[0] if photo is None else Crop("query", "", "street", photo, box)
            grids.write(grid, grids.of_search(query.photo, query.box, hits, products))
            pictures.note_fonts(hit.product.title for hit in hits)
    if as_json:
        text.show_json(response(hits, encoder=searcher.encoder.fingerprint, detail=detail, took_s=took_s))
    else:
        show_hits(hits)


def show_hits(hits: Sequence[Hit]) -> None:
    """Print hits as a table; a note on stderr says where the product itself is probably not among them."""
    text.show(table(hits) if hits else "nothing in the catalog matches")
    chance = chance_among(hits)
    if chance is not None and chance < UNLIKELY:
        text.warn(f"the product itself is probably not in this catalog ({chance:.0%}); these are the nearest")


def chosen_in(photo: Path, wanted: str) -> "Sequence[Garment]":
    """The garments of a photo that a person means; most searches need none of what finds them."""
    from osoroi.garments import choose, find

    return choose(find(photo), wanted)


def search_each(
    searcher: Searcher,
    photo: Path,
    garments: "Sequence[Garment]",
    k: int,
    where: str | None,
    detail: float | None,
    *,
    grid: Path | None,
    as_json: bool,
) -> None:
    """Print one list of products for each garment of a photo; a grid has one row for each."""
    lists = [
        (each, searcher.search(photo, box=each.box, kind=each.kinds, k=k, where=where, detail=detail))
        for each in garments
    ]
    if grid:
        from osoroi.cli import pictures
        from osoroi.report import grid as grids

        grids.write(
            grid, grids.sheet([grids.search_row(photo, each.box, hits, searcher.catalog) for each, hits in lists])
        )
        pictures.note_fonts(hit.product.title for _, hits in lists for hit in hits)
    if as_json:
        answers = [response(hits, encoder="", detail=detail, took_s=0.0)["hits"] for _, hits in lists]
        from osoroi.cli.find import fields

        rows = [fields(each) | {"hits": answer} for (each, _), answer in zip(lists, answers, strict=True)]
        text.show_json({"garments": rows, "encoder": searcher.encoder.fingerprint, "detail": detail})
        return
    for place, (each, hits) in enumerate(lists, start=1):
        text.show(f"{place} {each.kind} {','.join(map(str, each.box))}")
        show_hits(hits)


def table(hits: Sequence[Hit]) -> str:
    """Hits as aligned columns: rank, chance where it is known, score, the parts' cosines, id, title, price."""
    names = list(hits[0].parts)
    chance = ["chance"] if hits[0].probability is not None else []
    rows = [["rank", *chance, "score", *names, "product", "title", "price"]]
    for rank, hit in enumerate(hits, start=1):
        price = "" if hit.product.price is None else f"{number(hit.product.price)} {hit.product.currency or ''}".strip()
        cosines = [f"{hit.parts[name]:.3f}" for name in names]
        chance = [] if hit.probability is None else [f"{hit.probability:.0%}"]
        rows.append([str(rank), *chance, f"{hit.score:.3f}", *cosines, hit.product_id, hit.product.title, price])
    return text.aligned(rows)
