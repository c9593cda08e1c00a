"""``osoroi backup``: copy a live catalog into one file."""

import sys
from pathlib import Path

import click

from osoroi.catalog.address import Place
from osoroi.catalog.maintenance.backup import backup
from osoroi.cli import options, text
from osoroi.errors import PARTLY, BadRequest


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.argument("file", type=options.Target())
@click.option("--photos", is_flag=True, help="Pack the photos that a table names too; nothing else is needed then.")
@options.as_json
def command(catalog: Place, file: Path, photos: bool, as_json: bool) -> None:
    """Copy CATALOG into FILE, a tar archive, while it is searched and written to. The copy is verified.

    `mkdir new && tar -xf FILE -C new` restores it. The catalog's own encoder file and photos are in it; photos that a
    table names are with --photos alone. Where one of those is gone, the rest is written, and the exit code is 3.

    \b
    osoroi backup shop shop.tar --photos
    """
    if not isinstance(catalog, Path):
        raise BadRequest(
            f"{catalog} is in PostgreSQL, whose own tools make backups",
            hint=f"pg_dump --schema={catalog.schema} …; docs/postgres.md says how to restore one",
        )
    copied = backup(catalog, file, photos=photos)
    if as_json:
        text.show_json(copied._asdict())
    else:
        text.show(f"{file}: {copied.products:,} products, {copied.photos:,} stored photos, {copied.bytes:,} bytes")
    if copied.missing:
        text.warn(f"{copied.missing:,} crops have a photo that is gone or changed; `osoroi check {catalog}` names them")
        sys.exit(PARTLY)
