"""``osoroi backup``: copy a live catalog into one file."""

from pathlib import Path

import click

from osoroi.catalog.address import Place
from osoroi.catalog.maintenance.backup import backup
from osoroi.cli import options, text
from osoroi.errors import BadRequest


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.argument("file", type=options.Target())
@options.as_json
def command(catalog: Place, file: Path, as_json: bool) -> None:
    """Copy CATALOG into FILE, a tar archive, while it is searched and written to. The copy is verified.

    `mkdir new && tar -xf FILE -C new` restores it. Photos of a table are not part of the archive.

    \b
    osoroi backup shop shop.tar
    """
    if not isinstance(catalog, Path):
        raise BadRequest(
            f"{catalog} is in PostgreSQL, whose own tools make backups",
            hint=f"pg_dump --schema={catalog.schema} …; docs/postgres.md says how to restore one",
        )
    copied = backup(catalog, file)
    if as_json:
        text.show_json(copied._asdict())
    else:
        text.show(f"{file}: {copied.products:,} products, {copied.photos:,} stored photos, {copied.bytes:,} bytes")
