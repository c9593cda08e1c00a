"""``osoroi reencode``: move a catalog to another encoder."""

from collections.abc import Sequence
from pathlib import Path

import click

from osoroi import categories
from osoroi.catalog.address import Place
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.catalog.opening import open_catalog
from osoroi.cli import options, progress, text
from osoroi.encoder import Encoder


@click.command()
@click.argument("catalog", type=options.CATALOG)
@options.encoder
@options.threads
@options.device
@click.option("--drop", is_flag=True, help="Remove crops whose photo is missing or changed, instead of refusing.")
@click.option(
    "--prepare", is_flag=True, help="Stop before the switch: searchers of a cluster build their index meanwhile."
)
@options.as_json
def command(
    catalog: Place,
    encoder: Path | None,
    threads: int,
    providers: Sequence[str] | None,
    drop: bool,
    prepare: bool,
    as_json: bool,
) -> None:
    """Embed every crop of CATALOG with another encoder, beside the old vectors, then switch in one step.

    Until then, searches use the old encoder. If the command is interrupted, the catalog stays with the old encoder, and
    the same command continues where it stopped.

    \b
    osoroi reencode shop --encoder better.onnx
    osoroi reencode 'postgresql://user@host/db?schema=shop' --encoder better.onnx --prepare
    """
    model = Encoder.open(encoder, threads=threads, providers=providers)

    def renew() -> None:
        with open_catalog(catalog) as products:
            categories.renew(products, model)

    with progress.counting("crops") as show:
        moved = reencode(catalog, model, threads=threads, drop=drop, prepare=prepare, on_progress=show, on_switch=renew)
    if not (moved.switched or moved.prepared):
        renew()
    for dropped in moved.dropped:
        text.warn(f"dropped: crop {dropped.crop_id} of product {dropped.product_id}: {dropped.reason}")
    if as_json:
        facts = {"embedded": moved.embedded, "dropped": [dropped._asdict() for dropped in moved.dropped]}
        text.show_json(facts | {"switched": moved.switched, "prepared": moved.prepared, "encoder": model.fingerprint})
    elif moved.switched:
        text.show(f"{catalog} now uses encoder {model.fingerprint[:12]}; {moved.embedded:,} crops embedded")
    elif moved.prepared:
        text.show(
            f"{catalog} has vectors of encoder {model.fingerprint[:12]}; {moved.embedded:,} crops embedded. "
            "The same command without --prepare switches"
        )
    else:
        text.show(f"{catalog} already uses encoder {model.fingerprint[:12]}")
