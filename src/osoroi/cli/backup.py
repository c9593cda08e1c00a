"""``osoroi backup``: a live catalog as one file."""

import json
from pathlib import Path

import click

from osoroi.catalog.maintenance.backup import backup
from osoroi.cli import options


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.as_json
def command(catalog: Path, file: Path, as_json: bool) -> None:
    """Copy CATALOG into FILE, a tar archive, while it is searched and written to. The copy is checked before it counts.

    `mkdir new && tar -xf FILE -C new` brings it back. Photos of a table stay where they are, and are not in it.

    \b
    osoroi backup shop shop.tar
    """
    copied = backup(catalog, file)
    if as_json:
        click.echo(json.dumps(copied._asdict()))
    else:
        click.echo(f"{file}: {copied.products} products, {copied.photos} kept photos, {copied.bytes:,} bytes")
