"""``osoroi copy``: copy a live catalog to another place."""

import click

from osoroi.catalog.address import Place
from osoroi.catalog.maintenance.copy import copy
from osoroi.cli import options, progress, text


@click.command()
@click.argument("source", type=options.CATALOG)
@click.argument("target", type=options.CATALOG)
@options.as_json
def command(source: Place, target: Place, as_json: bool) -> None:
    """Copy the catalog SOURCE to TARGET, a folder or an address of PostgreSQL, while it is searched and written to.

    Every product is compared, with its vectors and photos. If the command is interrupted, the same command continues
    where it stopped. Run again later, it brings the copy up to date, unless somebody has written to the copy.

    \b
    osoroi copy shop 'postgresql://user@host/db?schema=shop'
    osoroi copy 'postgresql://user@host/db?schema=shop' shop
    """
    with progress.counting("products") as show:
        copied = copy(source, target, on_progress=show)
    if as_json:
        text.show_json(copied._asdict())
    else:
        text.show(
            f"{target}: {copied.products:,} products; {copied.put:,} copied, {copied.removed:,} removed, "
            "and all of them compared"
        )
