"""``osoroi demo``: a drawn shop from catalog to search results, with nothing to download."""

import shutil
import sys
from pathlib import Path

import click

from osoroi import image, ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import options, progress, text
from osoroi.cli.search import table
from osoroi.cli.serve import PORT
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.errors import BadRequest
from osoroi.records import Row
from osoroi.report import grid
from osoroi.search import Searcher

QUERIES = 4
"""Street photos that are searched for."""

K = 5
"""Products returned for each."""


@click.command()
@click.argument("folder", type=options.Target(folder=True), default="demo")
@click.option(
    "--products", type=click.IntRange(QUERIES, 100_000), default=120, show_default=True, help="Products to draw."
)
def command(folder: Path, products: int) -> None:
    """Draw a small shop, fill the catalog FOLDER/shop, search it with street photos, write FOLDER/results.png.

    \b
    osoroi demo
    """
    encoder = Encoder.open(None, threads=2)
    rows = list(open_dataset(f"drawn:{products}").rows())
    street = queries(rows)
    with LocalCatalog.open_or_create(folder / "shop", encoder) as catalog:
        with progress.counting("products", total=products) as show:
            count = ingest.add(rows, catalog, encoder, on_progress=lambda so_far: show(so_far.stored))
        text.show(f"{folder / 'shop'}: {count.stored:,} products drawn and embedded\n")
        searcher = Searcher(encoder, catalog)
        sheet = [search(searcher, row, folder / "street") for row in street]
    grid.write(folder / "results.png", grid.sheet(sheet))
    text.show(f"results as a picture: {folder / 'results.png'}")
    text.show(f"search it yourself:   {program()} search {folder / 'shop'} {words(street[0], folder / 'street')}")
    text.show(f"open the page:        {program()} serve {folder / 'shop'}, then http://127.0.0.1:{PORT}/ in a browser")


def program() -> str:
    """The command as a shell here understands it: by its path where it is not among those that shells know."""
    called = sys.argv[0]
    known = shutil.which("osoroi")
    is_path = Path(called).name == "osoroi" and Path(called).is_file()
    return called if is_path and (known is None or not Path(known).samefile(called)) else "osoroi"


def queries(rows: list[Row]) -> list[Row]:
    """The first street crop of QUERIES products of different categories."""
    by_category: dict[str | None, Row] = {}
    for row in rows:
        if row.crop.domain == "street":
            by_category.setdefault(row.product.category, row)
    if len(by_category) < QUERIES:
        raise BadRequest(
            f"the drawn shop has street photos of {len(by_category)} categories", hint="draw more products"
        )
    return list(by_category.values())[:QUERIES]


def words(row: Row, street: Path) -> str:
    """The arguments of the search command for this crop."""
    box = f" --box {','.join(map(str, row.crop.box))}" if row.crop.box else ""
    return f"{street / row.product.product_id}.jpg{box}"


def search(searcher: Searcher, row: Row, street: Path) -> list[grid.GridCell]:
    """Write the street photo, print its results, and frame the relevant product in its row of the picture."""
    box = row.crop.box
    street.mkdir(parents=True, exist_ok=True)
    photo = street / f"{row.product.product_id}.jpg"
    photo.write_bytes(image.load(row.crop.photo))
    hits = searcher.search(photo, box=box, k=K)
    text.show(f"{words(row, street)}  (worn: {row.product.product_id}, {row.product.title})")
    text.show(table(hits) + "\n")
    cells = grid.search_row(photo, box, hits, searcher.catalog)
    frames = [grid.GREEN if hit.product_id == row.product.product_id else None for hit in hits]
    return [cells[0], *(cell._replace(frame=frame) for cell, frame in zip(cells[1:], frames, strict=True))]
