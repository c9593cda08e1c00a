"""``osoroi remove``: remove products from a catalog."""

import click

from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_catalog
from osoroi.cli import options, text
from osoroi.errors import NotFound


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.argument("product_ids", metavar="ID...", nargs=-1, required=True)
@options.as_json
def command(catalog: Place, product_ids: tuple[str, ...], as_json: bool) -> None:
    """Remove the products ID... from CATALOG, with their crops and vectors. Photos of a table stay where they are.

    \b
    osoroi remove shop p00001 p00002
    """
    with open_catalog(catalog) as products:
        removed = products.remove(product_ids)
    missing = [product_id for product_id in product_ids if product_id not in set(removed)]
    if as_json:
        text.show_json({"removed": removed, "missing": missing})
    else:
        text.show(f"{len(removed):,} removed")
    if missing:
        raise NotFound(f"{catalog} has no product called {', '.join(missing)}", hint="ids are those of the table")
