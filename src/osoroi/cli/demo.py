"""``osoroi demo``: the whole line on a drawn shop, with nothing to download."""

from pathlib import Path

import click

from osoroi import image, ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import progress
from osoroi.cli.search import table
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.errors import BadRequest
from osoroi.records import Row
from osoroi.report import grid
from osoroi.search import Searcher

ASKED = 4
"""Street photos that search the drawn shop."""

SHOWN = 5
"""Products found for each."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default="demo")
@click.option("--products", type=click.IntRange(min=ASKED), default=120, show_default=True, help="Products to draw.")
def command(folder: Path, products: int) -> None:
    """Draw a small shop, fill the catalog FOLDER/shop, search it with street photos, write FOLDER/results.png.

    \b
    osoroi demo
    """
    encoder = Encoder.open(None, threads=2)
    rows = list(open_dataset(f"drawn:{products}").rows())
    asked = queries(rows)
    with LocalCatalog.open_or_create(folder / "shop", encoder) as catalog:
        with progress.counting("products", total=products) as show:
            count = ingest.add(rows, catalog, encoder, on_progress=lambda so_far: show(so_far.stored))
        click.echo(f"{folder / 'shop'}: {count.stored} products drawn and embedded\n")
        searcher = Searcher(encoder, catalog)
        sheet = [search(searcher, row, folder / "street") for row in asked]
    grid.write(folder / "results.png", grid.sheet(sheet))
    click.echo(f"what was found, as a picture: {folder / 'results.png'}")
    click.echo(f"ask it yourself: osoroi search {folder / 'shop'} {words(asked[0], folder / 'street')}")
    click.echo(f"open the page:   osoroi serve {folder / 'shop'}")


def queries(rows: list[Row]) -> list[Row]:
    """The first street crop of ASKED products of different categories."""
    found: dict[str | None, Row] = {}
    for row in rows:
        if row.crop.domain == "street":
            found.setdefault(row.product.category, row)
    if len(found) < ASKED:
        raise BadRequest(f"the drawn shop has street photos of {len(found)} categories", hint="draw more products")
    return list(found.values())[:ASKED]


def words(row: Row, street: Path) -> str:
    """What the search command takes to ask about this crop."""
    box = f" --box {','.join(map(str, row.crop.box))}" if row.crop.box else ""
    return f"{street / row.product.product_id}.jpg{box}"


def search(searcher: Searcher, row: Row, street: Path) -> list[grid.Cell]:
    """Write the street photo, print what it finds, and frame the right product in its row of the picture."""
    box = row.crop.box
    street.mkdir(parents=True, exist_ok=True)
    photo = street / f"{row.product.product_id}.jpg"
    photo.write_bytes(image.load(row.crop.photo))
    hits = searcher.search(photo, box=box, k=SHOWN)
    click.echo(f"{words(row, street)}  (worn: {row.product.product_id}, {row.product.title})")
    click.echo(table(hits) + "\n")
    cells = grid.search_row(photo, box, hits, searcher.catalog)
    right = [grid.GREEN if hit.product_id == row.product.product_id else None for hit in hits]
    return [cells[0], *(cell._replace(frame=frame) for cell, frame in zip(cells[1:], right, strict=True))]
