"""``osoroi export``: a run becomes an encoder file."""

from pathlib import Path

import click

from osoroi.cli import options
from osoroi.errors import extra


@click.command()
@click.argument("run", type=options.PathParameter())
@click.argument("encoder", type=options.Target())
@click.option("--licence", default="unknown", show_default=True, help="What the photos it learned from allow.")
def command(run: Path, encoder: Path, licence: str) -> None:
    """Write the network of RUN as the file ENCODER, which searching needs nothing else than.

    Refused unless the file gives the network's vectors on crops the run kept.

    \b
    osoroi export run shop.onnx
    """
    extra("torch", "train")
    from osoroi.training.train import export_run

    made = export_run(run, encoder, licence=licence)
    click.echo(f"{encoder} {made.fingerprint[:12]}")
