"""``osoroi evaluate``: ask every street crop of a data set, print how often the right product came."""

import math
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from osoroi.cli import options, progress, text
from osoroi.data.readers import open_dataset
from osoroi.errors import BadRequest
from osoroi.evaluation import evaluate, results
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.metrics import STANDARD
from osoroi.evaluation.results import Evaluation, Protocol, Task
from osoroi.report import examples, grid

BY_CATEGORY = ("hit@5", "nDCG@5")
DEEP_ENOUGH = 1000
"""Products a query's list holds in a run file, as is usual with trec_eval."""


@click.command()
@click.argument("dataset", required=False)
@click.option("--split", help="The split that asks; without it, all do.")
@click.option("--gallery", multiple=True, help="A further split whose products stand in the gallery.")
@click.option("--distractors", multiple=True, help="A data set whose shop photos stand there, though nobody asks.")
@options.encoder
@options.detail
@click.option("--dial", is_flag=True, help="Sample the dial from 0 to 1 too.")
@click.option("--within-category", "within", is_flag=True, help="A query meets products of its own category alone.")
@click.option("--spoil", is_flag=True, help="Spoil the queries: JPEG 40, box, light and white balance off.")
@click.option("--seed", default=0, show_default=True, help="Seed of the spoiling, and of the draw for --grid.")
@click.option("--leave-out", is_flag=True, help="Leave out queries that nothing readable answers: no misses.")
@click.option("--by", type=click.Choice(["category"]), help="Print numbers for each category too.")
@click.option("--grid", type=options.OUTPUT, help="Write the result picture: a query a column, an arm a row.")
@click.option("--json", "file", type=options.OUTPUT, help="Write all, answers included, as JSON.")
@click.option("--run", type=options.OUTPUT, help="Write qrels and run files for trec_eval to this folder.")
@click.option("--check", type=click.Path(path_type=Path), help="Make the numbers of such a JSON file again, compare.")
@options.threads
def command(dataset: str | None, by: str | None, check: Path | None, **how: Any) -> None:
    """Ask every street crop of DATASET for its product, among the shop photos of all.

    Prints each metric's mean, with its 95% interval, for each part of the vector alone and for both.

    \b
    osoroi evaluate drawn:40 --by category --json drawn.json
    osoroi evaluate viton:data/viton --split val --distractors 'table:data/hm/manifest.csv?recipe=hm'
    osoroi evaluate --check drawn.json
    """
    before = None if check is None else results.read(check)
    task = _task(dataset, how) if before is None else _again(dataset, how, before)
    depth = DEEP_ENOUGH if how["run"] else results.KEPT
    with progress.counting("crops read") as show:
        found = evaluate.evaluate(task, threads=how["threads"], depth=depth, on_progress=show)
    found = replace(found, command=shlex.join(["osoroi", *sys.argv[1:]]))
    _write(found, how)
    click.echo(heading(found))
    click.echo(table(found))
    if by:
        click.echo(by_category(found))
    if before is not None:
        click.echo(f"{len(evaluate.check(before, found))} numbers of {check} came out again")


def _task(dataset: str | None, how: dict[str, Any]) -> Task:
    if dataset is None:
        raise BadRequest("no DATASET to evaluate", hint="name one, such as drawn:40, or give --check FILE")
    protocol = Protocol(
        split=how["split"],
        gallery=how["gallery"],
        within=how["within"],
        spoil=how["seed"] if how["spoil"] else None,
        leave_out=how["leave_out"],
        detail=how["detail"],
    )
    encoder = None if how["encoder"] is None else str(how["encoder"])
    return Task(dataset, how["distractors"], encoder, protocol, how["dial"])


def _again(dataset: str | None, how: dict[str, Any], before: Evaluation) -> Task:
    """The task of a file; files may have moved, so where they lie may be said anew, and nothing else."""
    given = [name for name in ("split", "gallery", "within", "spoil", "leave_out", "detail", "dial") if how[name]]
    if given:
        raise BadRequest(f"--check takes the protocol from its file, and was given {', '.join(given)}")
    task = replace(before.task, dataset=dataset or before.task.dataset)
    if how["encoder"] is not None:
        task = replace(task, encoder=str(how["encoder"]))
    return replace(task, distractors=how["distractors"]) if how["distractors"] else task


def _write(found: Evaluation, how: dict[str, Any]) -> None:
    if how["file"]:
        results.save(found, how["file"])
    if how["run"]:
        results.export_run(found, how["run"])
    if how["grid"]:
        readers = [open_dataset(name) for name in (found.task.dataset, *found.task.distractors)]
        grid.write(how["grid"], examples.field(found, readers, seed=how["seed"]))


def heading(found: Evaluation) -> str:
    """What was asked, of what, and what could not be read."""
    protocol, data = found.task.protocol, found.data
    facts = [
        " + ".join([found.task.dataset, *found.task.distractors]),
        f"split {protocol.split}" if protocol.split else "all splits",
        f"{len(found.queries):,} queries" + (", spoilt" if protocol.spoil is not None else ""),
        f"{data.products:,} products in {data.crops:,} photos",
        f"encoder {found.encoder[:12]}",
    ]
    lines = [" · ".join(facts)]
    if protocol.within:
        lines.append("each query meets products of its own category alone")
    if data.unreadable_queries or data.unreadable_crops or data.unanswerable:
        what = "left out" if protocol.leave_out else "counted as misses"
        lines.append(
            f"unreadable: {data.unreadable_queries:,} photos that ask, {data.unreadable_crops:,} of the gallery; "
            f"{data.unanswerable:,} queries cannot be answered and are {what}"
        )
        lines += [f"  {problem}" for problem in data.unreadable[:3]]
    return "\n".join(lines)


def table(found: Evaluation) -> str:
    """A metric a row, an arm a column; then the dial, where it was sampled."""
    columns = {arm.name: results.means(found, arm.name) for arm in found.plain_arms}
    rows = [["", *columns], *([name, *(_interval(each[name]) for each in columns.values())] for name in STANDARD)]
    steps = [arm for arm in found.arms if arm.detail is not None]
    dial = [["detail", *BY_CATEGORY]] if steps else []
    for arm in steps:
        dial.append([f"{arm.detail:.1f}", *map(_interval, results.means(found, arm.name, BY_CATEGORY).values())])
    return text.aligned(rows) + ("\n\n" + text.aligned(dial) if dial else "")


def by_category(found: Evaluation) -> str:
    """A category a row, and for each metric of the seed's table an arm a column."""
    arms = [arm.name for arm in found.plain_arms]
    blocks = []
    for metric in BY_CATEGORY:
        rows = [[metric, "queries", *arms]]
        for category in found.categories:
            cells = [_interval(results.means(found, arm, [metric], category)[metric]) for arm in arms]
            rows.append([category, str(int(found.of(category).sum())), *cells])
        blocks.append(text.aligned(rows))
    return "\n" + "\n\n".join(blocks)


def _interval(interval: Interval) -> str:
    low, high = (f"{side:.3f}".lstrip("0") if math.isfinite(side) else "–" for side in interval[1:])
    return f"{interval.mean:.3f} [{low}, {high}]"
