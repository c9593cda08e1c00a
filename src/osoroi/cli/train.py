"""``osoroi train``: learn from pairs of street and shop photos."""

import json
import time
from pathlib import Path
from typing import Any

import click

from osoroi.cli import options, progress
from osoroi.errors import extra
from osoroi.recipe import NAMED, changed, named


@click.command()
@click.argument("dataset")
@click.option(
    "--recipe", default="quick", show_default=True, help=f"How to learn: {', '.join(NAMED)} (see docs/recipes.md)."
)
@click.option("--out", required=True, type=options.OUTPUT, help="Folder of the run; made if need be.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one setting of the recipe.")
@click.option("--trunk", type=click.Path(path_type=Path), help="The trunk's weights, where no package brings them.")
@click.option("--probe", type=click.Path(path_type=Path), help="A probe's weights, instead of the one that ships.")
@click.option(
    "--seen",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder where runs share what the frozen half of a network saw; else it is kept in the run's own.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@options.as_json
def command(
    dataset: str,
    recipe: str,
    out: Path,
    changes: tuple[str, ...],
    seen: Path | None,
    resume: bool,
    as_json: bool,
    **files: Any,
) -> None:
    """Learn to match the street photos of DATASET with its shop photos.

    Learns from the split train and states metrics on the split val; a data set without splits is dealt. Prints the
    metrics of what was kept. `osoroi export` makes an encoder of it.

    \b
    osoroi train table:pairs.csv --recipe quick --out run
    osoroi train table:pairs.csv --recipe finetune --set epochs=4 --out run2
    osoroi train table:pairs.csv --recipe finetune --set epochs=4 --out run2 --resume
    """
    extra("torch", "train")
    from osoroi.training import run

    wanted = named(recipe, dict(map(changed, changes)))
    named_files = {name: str(path) for name, path in files.items() if path is not None}
    notes = run.Notes(dataset, wanted, **named_files)
    told: dict[str, Any] = {"on_told": _tell, "on_look": _Looked(), "on_lost": _lament, "on_step": _Stepped()}
    found = run.run(notes, out, resume=resume, seen=seen, **told)
    measured = {name: value for name, value in found.items() if name not in ("epoch", "loss")}
    if as_json:
        click.echo(json.dumps({"run": str(out), "recipe": wanted.name, "metrics": measured}))
        return
    for name, value in measured.items():
        click.echo(f"{name:8} {value:.4f}")


def _tell(told: Any) -> None:
    left = f"; {told.alone} products have one side alone and are left out" if told.alone else ""
    click.echo(f"{told.pairs:,} products to learn from, {told.held:,} held out{left}", err=True)


NAMED_LOST = 5
"""Photos that cannot be read that are named; all are counted."""


def _lament(problems: list[str]) -> None:
    click.echo(f"{len(problems):,} photos cannot be read and are left out:", err=True)
    for problem in problems[:NAMED_LOST]:
        click.echo(f"  {problem}", err=True)


class _Looked:
    """Says how many views were looked at, every so often, and when all will be."""

    def __init__(self) -> None:
        self.began = self.said = time.monotonic()
        self.before = 0

    def __call__(self, done: int, total: int) -> None:
        if done < self.before:  # the products held out come next
            self.began = time.monotonic()
        self.before = done
        if time.monotonic() - self.said > progress.OFTEN_S:
            self.said = time.monotonic()
            left = (self.said - self.began) / done * (total - done)
            click.echo(f"{done:,} of {total:,} views seen, {_lasting(left)} left", err=True)


class _Stepped:
    """Says how far learning is, and when it will be done."""

    def __init__(self) -> None:
        self.said = time.monotonic()

    def __call__(self, step: Any) -> None:
        if time.monotonic() - self.said > progress.OFTEN_S or step.step == step.steps:
            self.said = time.monotonic()
            click.echo(
                f"epoch {step.epoch + 1}/{step.epochs}, step {step.step}/{step.steps}, loss {step.loss:.3f}, "
                f"{_lasting(step.left_s)} left",
                err=True,
            )


def _lasting(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
