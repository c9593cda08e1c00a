"""``osoroi load``: store vectors that were made elsewhere."""

from pathlib import Path

import click

from osoroi import precomputed
from osoroi.catalog.address import Place
from osoroi.cli import new_catalog, options, progress, text


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.argument("file", type=options.PathParameter())
@options.encoder
@options.as_json
def command(catalog: Place, file: Path, encoder: Path | None, as_json: bool) -> None:
    """Store the products of FILE (npz or Parquet) in CATALOG with ready-made vectors; nothing is embedded.

    FILE has ids (of products), vectors [n, d] and the fingerprint of the encoder that made them, which must be the
    catalog's; optionally crop_ids, photo (paths) and columns of products, all others being attributes. A product with
    several vectors has several rows. CATALOG is created if it is missing.

    \b
    osoroi load shop vectors.npz
    osoroi load 'postgresql://user@host/db?schema=shop' vectors.parquet
    """
    rows = precomputed.read(file)
    with (
        new_catalog.opened(catalog, encoder, threads=1) as (products, model),
        progress.counting("products", len(set(rows.product_ids))) as show,
    ):
        loaded = precomputed.load(rows, products, model, name=str(file), on_progress=show)
    if as_json:
        text.show_json(loaded._asdict())
    else:
        text.show(f"{loaded.products:,} products with {loaded.vectors:,} vectors; {loaded.commits:,} commits")
