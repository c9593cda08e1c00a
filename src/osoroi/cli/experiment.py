"""``osoroi experiment``: train, export, evaluate and compare several systems by one plan file."""

import time
from pathlib import Path

import click

from osoroi.cli import options, text
from osoroi.errors import BadRequest, extra


@click.command()
@click.argument("plan", type=options.PathParameter(dir_okay=False))
@click.option("--out", required=True, type=options.Target(folder=True), help="Folder of the experiment; it is resumed.")
@click.option(
    "--folder", "folders", multiple=True, metavar="NAME=PATH", help="The folder that {NAME} in the plan stands for."
)
@click.option("--only", multiple=True, metavar="WORD", help="Run only systems whose name contains this word.")
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Run only this seed of each system, so that several processes share a plan.",
)
@click.option("--device", help="Device to train on: cpu, cuda, cuda:1, mps; without it a GPU where there is one.")
@click.option("--reference", help="System that the report compares the others with, instead of the plan's.")
@click.option("--report-only", is_flag=True, help="Train and evaluate nothing; report what is there.")
@click.option("--arms", is_flag=True, help="Report each part of an encoder alone too.")
@click.option("--photos/--no-photos", default=True, show_default=True, help="Measure and show photos of results.")
@click.option(
    "--queries", type=click.IntRange(1, 1000), default=6, show_default=True, help="Queries in each picture of results."
)
def command(
    plan: Path,
    out: Path,
    folders: tuple[str, ...],
    only: tuple[str, ...],
    seeds: tuple[int, ...],
    device: str | None,
    reference: str | None,
    report_only: bool,
    arms: bool,
    photos: bool,
    queries: int,
) -> None:
    """Train, export, evaluate and compare the systems of PLAN, a TOML file (docs/experiment-plans.md).

    Prints a table of systems by categories with 95% intervals, gains over the plan's reference, and the published
    figures beside. Writes --out/report with the tables, a picture of results and an HTML page. A command that was
    stopped goes on where it was; what is done is not done again.

    \b
    osoroi experiment plan.toml --out experiment --folder data=photos
    osoroi experiment plan.toml --out experiment --folder data=photos --report-only --arms
    """
    extra("torch", "train")
    from osoroi.experiment import check, report, run
    from osoroi.experiment import plan as plans

    named = dict(_folder(one) for one in folders)
    read = plans.read(plan, **(named | {"out": str(out)}))
    if reference is not None:
        read = plans.with_reference(read, reference)
    experiment = run.Experiment(read, out, _say, device)
    if not report_only:
        try:
            check.check(experiment, run.selected(read, only, seeds))
            run.run(experiment, only, seeds)
        except KeyboardInterrupt:
            text.warn("what is done stays; the same command goes on from there")
            raise
    for name, missing in report.incomplete(experiment).items():
        text.warn(f"{name} is not reported yet: not evaluated with seed {', '.join(map(str, missing))}")
    if (only or seeds) and not report_only and not report.is_due(experiment):
        text.warn("this share of the plan is done; the command without --only and --seed does the rest and reports")
        return
    text.show(report.write(experiment, photos=photos, arms=arms, queries=queries))
    pictures = ", pictures of results (*.png) and pages (*/index.html)" if photos else ""
    text.warn(f"{out / 'report'} holds these tables (report.md, report.json){pictures}")


def _folder(option: str) -> tuple[str, str]:
    name, equals, path = option.partition("=")
    if not equals or not name.isidentifier() or name == "out":
        raise BadRequest(f"--folder {option} names no folder", hint="write it like --folder data=PATH; out is --out")
    return name, path


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {line}", err=True)
