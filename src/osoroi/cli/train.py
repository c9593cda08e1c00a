"""``osoroi train``: learn from pairs of street and shop photos."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from osoroi.cli import options, progress, text
from osoroi.errors import extra
from osoroi.recipes import NAMED, changed, named


@click.command()
@click.argument("datasets", metavar="DATASET...", nargs=-1)
@click.option(
    "--recipe", default="quick", show_default=True, help=f"How to train: {', '.join(NAMED)} (see docs/recipes.md)."
)
@click.option("--out", required=True, type=options.Target(folder=True), help="Folder of the run; made if need be.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one setting of the recipe.")
@click.option(
    "--backbone",
    type=options.PathParameter(),
    help="A folder or ONNX file that `osoroi encoder make` reads, to give the part deep; or weights of the recipe's "
    "backbone: a file, or `best.safetensors` of another run, whose backbone this one begins with, or `default`, for "
    "that of the encoder that ships.",
)
@click.option(
    "--foreground",
    type=options.PathParameter(),
    help="Weights of the foreground head (see `osoroi train-foreground`), instead of the packaged ones.",
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    metavar="ENCODER",
    type=options.PathParameter(dir_okay=False),
    help="Encoder file that teaches which photos are alike (distillation); several are averaged.",
)
@click.option(
    "--photos",
    multiple=True,
    metavar="DATASET",
    help="Photos to learn from without pairs, such as a folder; needs --teacher.",
)
@click.option(
    "--feature-cache",
    "cache",
    type=options.PathParameter(file_okay=False),
    help="Folder of features of frozen backbones that runs share; without it they are kept in the run's own folder.",
)
@click.option(
    "--validation-share",
    type=options.Share(0, 1, min_open=True, max_open=True),
    help="Hold out this share of train for validation, instead of the split val; without val, 0.1 is held out.",
)
@click.option("--device", help="Device to train on: cpu, cuda, cuda:1, mps; without it a GPU where there is one.")
@click.option(
    "--track",
    multiple=True,
    metavar="NAME",
    help="Send the metrics of each epoch to wandb or mlflow, where installed, or to a tracker of another package; may "
    "be repeated.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@options.as_json
def command(
    datasets: tuple[str, ...],
    recipe: str,
    out: Path,
    changes: tuple[str, ...],
    teachers: tuple[Path, ...],
    photos: tuple[str, ...],
    cache: Path | None,
    validation_share: float | None,
    device: str | None,
    track: tuple[str, ...],
    resume: bool,
    as_json: bool,
    **weights: Any,
) -> None:
    """Train a network to match the street photos of every DATASET with its shop photos.

    Trains on the split train and measures on the split val. A dataset without val loses a tenth of train to it: whole
    products, and no design and no photo stands in both; one without splits is split 9:1. Several datasets are one,
    and a batch holds products of one of them. Prints the metrics of the network that was kept.
    `osoroi export` makes an encoder of it. With a teacher the network also learns the similarities that the teacher
    computes (distillation), of pairs, of photos alone, or of both.

    \b
    osoroi train table:pairs.csv --recipe quick --out run
    osoroi train table:pairs.csv --recipe finetune --set epochs=4 --out run2
    osoroi train table:pairs.csv --recipe finetune --set epochs=4 --out run2 --resume
    osoroi train table:pairs.csv --recipe quick --backbone fashion-siglip --out run5
    osoroi train table:pairs.csv --recipe distill --teacher large.onnx --photos snaps --out run4
    torchrun --nproc-per-node 2 --no-python osoroi train table:pairs.csv --recipe finetune --out run3
    """
    extra("torch", "train")
    from osoroi.data.readers import dataset_name
    from osoroi.training import distributed, run, trackers
    from osoroi.training.selection import Datasets

    chosen = named(recipe, dict(map(changed, changes)))
    files: dict[str, Any] = {name: str(path) for name, path in weights.items() if path is not None}
    config = run.RunConfig(
        datasets,
        chosen,
        validation_share=validation_share,
        teachers=tuple(map(str, teachers)),
        photos=tuple(map(dataset_name, photos)),
        **files,
    )
    with distributed.world() as world:
        callbacks = run.Callbacks()
        if world.is_first:
            show = _print_counts, Countdown("views cached"), print_unreadable, _StepPrinter()
            callbacks = run.Callbacks(*show, trackers.named(track))
        place = distributed.Launch(device, world)
        with _interruptible(out / run.CONFIG):
            select = Datasets(config).select
            metrics = run.run(config, out, select=select, resume=resume, cache=cache, callbacks=callbacks, on=place)
    if not world.is_first:
        return
    if as_json:
        click.echo(json.dumps({"run": str(out), "recipe": chosen.name, "metrics": metrics}))
        return
    for name, value in metrics.items():
        click.echo(f"{name:8} {value:.4f}")


@contextmanager
def _interruptible(begun: Path) -> Iterator[None]:
    """Say after Ctrl-C how to go on, where a run has begun."""
    try:
        yield
    except KeyboardInterrupt:
        if begun.exists():
            text.warn("what is done stays; the same command with --resume goes on from there")
        raise


def _print_counts(counts: Any) -> None:
    dropped = f"; {counts.dropped} products have one side alone and are left out" if counts.dropped else ""
    held_out = f"{counts.validation:,} held out ({'; '.join(dict.fromkeys(counts.origins))})"
    click.echo(f"{counts.training:,} products to learn from, {held_out}{dropped}", err=True)


NAMED_UNREADABLE = 5
"""Number of photos that cannot be read that are named; all are counted."""


def print_unreadable(problems: list[str]) -> None:
    """Count photos that cannot be read, and name the first on stderr."""
    click.echo(f"{len(problems):,} photos cannot be read and are left out:", err=True)
    for problem in problems[:NAMED_UNREADABLE]:
        click.echo(f"  {problem}", err=True)


class Countdown:
    """Prints on stderr how many of something are done, every few seconds, and when all will be."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.began = self.printed = time.monotonic()
        self.before = 0

    def __call__(self, done: int, total: int) -> None:
        if done < self.before:  # the next split has begun
            self.began = time.monotonic()
        self.before = done
        if time.monotonic() - self.printed > progress.OFTEN_S:
            self.printed = time.monotonic()
            left_s = (self.printed - self.began) / done * (total - done)
            click.echo(f"{done:,} of {total:,} {self.noun}, {_duration(left_s)} left", err=True)


class _StepPrinter:
    """Prints how far training is, and when it will be done."""

    def __init__(self) -> None:
        self.printed = time.monotonic()

    def __call__(self, step: Any) -> None:
        if time.monotonic() - self.printed > progress.OFTEN_S or step.step == step.steps:
            self.printed = time.monotonic()
            click.echo(
                f"epoch {step.epoch + 1}/{step.epochs}, step {step.step}/{step.steps}, loss {step.loss:.3f}, "
                f"{_duration(step.left_s)} left",
                err=True,
            )


def _duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours, whichever is read most easily."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
