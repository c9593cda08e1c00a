"""``osoroi check``: verify a catalog."""

import click

from osoroi.catalog.address import Place
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_catalog
from osoroi.cli import options, text
from osoroi.errors import BadCatalog
from osoroi.text import printable

REMEDIES = {
    "database": "go back to a backup, or add the products to a new catalog",
    "index": "nothing is lost; `osoroi check --mend` writes it anew from the database",
    "photo": "searches do not need it; pictures and `osoroi reencode` do",
}


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.option("--mend", is_flag=True, help="Write the index anew from the database, where that alone is wrong.")
@options.as_json
def command(catalog: Place, mend: bool, as_json: bool) -> None:
    """Verify everything in CATALOG: rows, vectors, kept photos, and the index against the truth.

    Changes nothing without --mend. Ends with exit code 1 where something is damaged or a photo is gone.

    \b
    osoroi check shop
    osoroi check shop --mend
    """
    findings = check(catalog)
    kinds = {finding.what for finding in findings}
    if mend and "index" in kinds and "database" not in kinds:
        with open_catalog(catalog) as writer:
            writer.compact()
        findings = check(catalog)
    if as_json:
        text.show_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            text.show(f"{finding.what}: {printable(finding.text)}")
    if findings:
        hint = "; ".join(f"{kind}: {REMEDIES[kind]}" for kind in sorted({finding.what for finding in findings}))
        raise BadCatalog(f"{len(findings)} things are wrong with {catalog}", hint=hint)
    if not as_json:
        text.show(f"{catalog} is sound")
