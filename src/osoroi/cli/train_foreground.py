"""``osoroi train-foreground``: train the head that finds the garment in a crop."""

import json
from pathlib import Path

import click

from osoroi.cli import options
from osoroi.cli.train import Countdown
from osoroi.errors import BadRequest, extra
from osoroi.recipes import NAMED, named


@click.command()
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True)
@click.option("--out", required=True, type=options.PathParameter(dir_okay=False), help="File to write.")
@click.option(
    "--recipe", default="default", show_default=True, help=f"Recipe whose backbone it is for: {', '.join(NAMED)}."
)
@click.option("--backbone", type=options.PathParameter(), help="Weights of the backbone, where no package has them.")
@options.as_json
def command(datasets: tuple[str, ...], out: Path, recipe: str, backbone: Path | None, as_json: bool) -> None:
    """Train a foreground head on the masks of every DATASET and write its weights as a file.

    Masks come with composed photos (`composed:…`); other photos are left out. The head is for
    `osoroi train … --foreground HEAD`. Prints the mean error of the mask on crops that it was not trained on.

    \b
    osoroi train-foreground 'composed:shop.csv?views=3' --out head.safetensors
    """
    extra("torch", "train")
    from osoroi.data.readers import open_dataset
    from osoroi.model import backbones, build
    from osoroi.training import foreground

    chosen = named(recipe)
    if not chosen.backbone:
        raise BadRequest(f"recipe {recipe!r} has no backbone", hint="give another --recipe")
    if out.suffix != ".safetensors":
        raise BadRequest(f"--out {out} does not end in .safetensors", hint="name the file head.safetensors")
    network = backbones.build(chosen.backbone, backbone or build.packaged(chosen.backbone))
    readers = [open_dataset(name) for name in datasets]
    fit = foreground.train_foreground(readers, chosen, network, out, on_progress=Countdown("crops computed"))
    if as_json:
        click.echo(json.dumps({"head": str(out)} | fit._asdict()))
        return
    unreadable = f", {fit.unreadable:,} could not be read" if fit.unreadable else ""
    click.echo(f"{fit.crops:,} crops{unreadable}; mean error of the mask {fit.error:.4f}")
