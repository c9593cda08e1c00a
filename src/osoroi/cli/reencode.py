"""``osoroi reencode``: move a catalog to another encoder."""

from functools import partial
from pathlib import Path

import click

from osoroi.catalog.address import Place
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.catalog.opening import store_encoder
from osoroi.cli import options, progress, text
from osoroi.encoder import Encoder


@click.command()
@click.argument("catalog", type=options.CATALOG)
@options.encoder
@options.threads
@click.option("--drop", is_flag=True, help="Remove crops whose photo is missing or changed, instead of refusing.")
@options.as_json
def command(catalog: Place, encoder: Path | None, threads: int, drop: bool, as_json: bool) -> None:
    """Embed every crop of CATALOG with another encoder, beside the old vectors, then switch in one step.

    Until then, searches use the old encoder. If the command is interrupted, the catalog stays with the old encoder, and
    the same command continues where it stopped.

    \b
    osoroi reencode shop --encoder better.onnx
    """
    model = Encoder.open(encoder, threads=threads)
    with progress.counting("crops") as show:
        keep = partial(store_encoder, catalog, encoder)
        moved = reencode(catalog, model, threads=threads, drop=drop, on_progress=show, on_switch=keep)
    if not moved.switched:
        keep()
    for dropped in moved.dropped:
        text.warn(f"dropped: crop {dropped.crop_id} of product {dropped.product_id}: {dropped.reason}")
    if as_json:
        facts = {"embedded": moved.embedded, "dropped": [dropped._asdict() for dropped in moved.dropped]}
        text.show_json(facts | {"switched": moved.switched, "encoder": model.fingerprint})
    elif moved.switched:
        text.show(f"{catalog} now uses encoder {model.fingerprint[:12]}; {moved.embedded:,} crops embedded")
    else:
        text.show(f"{catalog} already uses encoder {model.fingerprint[:12]}")
