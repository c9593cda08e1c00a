"""``osoroi check``: verify a catalog."""

import click

from osoroi.catalog.address import Place
from osoroi.catalog.maintenance import bucket_photos
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_catalog
from osoroi.cli import options, text
from osoroi.errors import BadCatalog
from osoroi.text import printable

REMEDIES = {
    "database": "go back to a backup, or add the products to a new catalog",
    "index": "nothing is lost; `osoroi check --mend` writes it anew from the database",
    "photo": "searches do not need it; pictures and `osoroi reencode` do; add the product again, or, of a bucket, "
    "`osoroi check --mend` where this machine has it in its cache",
}


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.option(
    "--mend",
    is_flag=True,
    help="Write the index anew from the database, where that alone is wrong, and send photos that a bucket has lost "
    "from the cache of this machine.",
)
@click.option(
    "--own-photos",
    is_flag=True,
    help="Take over the photos in the bucket of a restored database, where the one it was dumped from is gone.",
)
@options.as_json
def command(catalog: Place, mend: bool, own_photos: bool, as_json: bool) -> None:
    """Verify everything in CATALOG: rows, vectors, kept photos, and the index against the database.

    Changes nothing without --mend and --own-photos. Ends with exit code 1 where something is damaged or a photo is
    gone.

    \b
    osoroi check shop
    osoroi check shop --mend
    """
    if own_photos:
        bucket_photos.own(catalog)
    findings = check(catalog)
    kinds = {finding.what for finding in findings}
    if mend and "index" in kinds and "database" not in kinds:
        with open_catalog(catalog) as writer:
            writer.compact()
        findings = check(catalog)
    if mend and "photo" in kinds and bucket_photos.resend(catalog):
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
