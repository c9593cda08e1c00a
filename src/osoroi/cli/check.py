"""``osoroi check``: does a catalog hold what it says?"""

import json
from pathlib import Path

import click

from osoroi.catalogs._check import check
from osoroi.cli import _options
from osoroi.errors import BadCatalog

REMEDIES = {
    "truth": "go back to a backup, or add the products to a new catalog",
    "derived": "the next opening builds it anew from the truth; nothing is lost",
    "photo": "searches do not need it; pictures and `osoroi reencode` do",
}


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@_options.as_json
def command(catalog: Path, as_json: bool) -> None:
    """Verify everything in CATALOG: rows, vectors, kept photos, and the index against the truth. Changes nothing.

    Ends with exit code 1 where something is damaged or a photo is gone.

    \b
    osoroi check shop
    """
    findings = check(catalog)
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(f"{finding.what}: {finding.text}")
    if findings:
        kinds = sorted({finding.what for finding in findings})
        hint = "; ".join(f"{kind}: {REMEDIES[kind]}" for kind in kinds)
        raise BadCatalog(f"{len(findings)} things are wrong with {catalog}", hint=hint)
    if not as_json:
        click.echo(f"{catalog} is sound")
