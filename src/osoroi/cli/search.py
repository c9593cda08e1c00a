"""``osoroi search``: find products by a photo, or by a product of the catalog."""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from osoroi.catalog.local import LocalCatalog
from osoroi.cli import options, pictures, text
from osoroi.encoder import Encoder
from osoroi.records import Box, Crop, Hit
from osoroi.report import grid as grids
from osoroi.search import Searcher, response
from osoroi.text import number


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@click.argument("photo", type=click.Path(path_type=Path), required=False)
@click.option("--like", help="Search by this product of the catalog instead of a photo; it is left out itself.")
@options.box
@options.k
@options.where
@options.detail
@click.option("--grid", type=options.Target(), help="Write the query and the results as one picture (PNG).")
@options.encoder
@options.as_json
def command(
    catalog: Path,
    photo: Path | None,
    like: str | None,
    box: Box | None,
    k: int,
    where: str | None,
    detail: float | None,
    grid: Path | None,
    encoder: Path | None,
    as_json: bool,
) -> None:
    """Find the products of CATALOG that look like the garment in PHOTO, or like one of its own.

    \b
    osoroi search shop snap.jpg --box 40,12,300,420 --where 'price <= 5000'
    osoroi search shop --like A-1042 --detail 1
    """
    if (photo is None) == (like is None):
        raise click.UsageError("give a PHOTO, or --like with a product of the catalog, and not both")
    if like is not None and box is not None:
        raise click.UsageError("--box is a garment in a PHOTO; --like searches by the product's own photo")
    with LocalCatalog.open(catalog, readonly=True) as products:
        searcher = Searcher(Encoder.open(encoder), products)
        start = time.perf_counter()
        if photo is not None:
            hits = searcher.search(photo, box=box, k=k, where=where, detail=detail)
        else:
            hits = searcher.similar(str(like), k=k, where=where, detail=detail)
        took_s = time.perf_counter() - start
        if grid:
            query = products.crops(str(like))[0] if photo is None else Crop("query", "", "street", photo, box)
            grids.write(grid, grids.of_search(query.photo, query.box, hits, products))
            pictures.note_fonts(hit.product.title for hit in hits)
    if as_json:
        text.show_json(response(hits, encoder=searcher.encoder.fingerprint, detail=detail, took_s=took_s))
    else:
        text.show(table(hits) if hits else "nothing in the catalog matches")


def table(hits: Sequence[Hit]) -> str:
    """Hits as aligned columns: rank, score, the parts' cosines, id, title, price."""
    names = list(hits[0].parts)
    rows = [["rank", "score", *names, "product", "title", "price"]]
    for rank, hit in enumerate(hits, start=1):
        price = "" if hit.product.price is None else f"{number(hit.product.price)} {hit.product.currency or ''}".strip()
        cosines = [f"{hit.parts[name]:.3f}" for name in names]
        rows.append([str(rank), f"{hit.score:.3f}", *cosines, hit.product_id, hit.product.title, price])
    return text.aligned(rows)
