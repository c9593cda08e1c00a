"""``osoroi remove``: products out of a catalog."""

import json
from pathlib import Path

import click

from osoroi.catalog.local import LocalCatalog
from osoroi.cli import options
from osoroi.errors import NotFound


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@click.argument("product_ids", metavar="ID...", nargs=-1, required=True)
@options.as_json
def command(catalog: Path, product_ids: tuple[str, ...], as_json: bool) -> None:
    """Remove the products ID... from CATALOG, with their crops and vectors. The photos of a table stay.

    \b
    osoroi remove shop p00001 p00002
    """
    with LocalCatalog.open(catalog) as products:
        removed = products.remove(product_ids)
    missing = [product_id for product_id in product_ids if product_id not in set(removed)]
    if as_json:
        click.echo(json.dumps({"removed": removed, "not_held": missing}, ensure_ascii=False))
    else:
        click.echo(f"{len(removed)} removed")
    if missing:
        raise NotFound(f"{catalog} holds no product called {', '.join(missing)}", hint="ids are those of the table")
