"""``osoroi reencode``: a catalog moves to another encoder."""

import json
from pathlib import Path

import click

from osoroi.catalog.maintenance.reencode import reencode
from osoroi.cli import options, progress
from osoroi.encoder import Encoder


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@options.encoder
@options.threads
@click.option("--drop", is_flag=True, help="Remove crops whose photo is gone or changed, rather than refuse.")
@options.as_json
def command(catalog: Path, encoder: Path | None, threads: int, drop: bool, as_json: bool) -> None:
    """Embed every crop of CATALOG with another encoder, beside the old vectors, then switch in one step.

    Searches go on with the old encoder until then. Stopped at any point, the catalog is the old encoder's, and the
    same command goes on where it was.

    \b
    osoroi reencode shop --encoder better.onnx
    """
    model = Encoder.open(encoder, threads=threads)
    with progress.counting("crops") as show:
        moved = reencode(catalog, model, threads=threads, drop=drop, on_progress=show)
    for one in moved.dropped:
        click.echo(f"dropped: crop {one.crop_id} of product {one.product_id}: {one.reason}", err=True)
    if as_json:
        facts = {"embedded": moved.embedded, "dropped": [one._asdict() for one in moved.dropped]}
        click.echo(json.dumps(facts | {"switched": moved.switched, "encoder": model.fingerprint}, ensure_ascii=False))
    elif moved.switched:
        click.echo(f"{catalog} is now of encoder {model.fingerprint[:12]}; {moved.embedded} crops embedded")
    else:
        click.echo(f"{catalog} is of encoder {model.fingerprint[:12]} already")
