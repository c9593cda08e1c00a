"""``osoroi evaluate``: search for every street crop of a data set, print how often the product is found."""

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
from osoroi.evaluation.labels import LABELLED
from osoroi.evaluation.results import Evaluation, Protocol, Task
from osoroi.report import examples, grid, street
from osoroi.text import printable

BY_CATEGORY = ("hit@5", "nDCG@5")
RUN_TOP_K = 1000
"""Products per query in a run file, as is usual with trec_eval."""


@click.command()
@click.argument("dataset", required=False)
@click.option("--split", help="Split whose street crops are the queries; without it, all are.")
@click.option("--gallery", multiple=True, help="A further split whose products are in the gallery.")
@click.option("--distractors", multiple=True, help="A data set whose shop photos are added to the gallery.")
@options.encoder
@options.detail
@click.option("--sample-detail", is_flag=True, help="Also evaluate the detail weights 0, 0.1, … 1.")
@click.option("--within-category", "within", is_flag=True, help="Rank only products of the query's category.")
@click.option("--corrupt", is_flag=True, help="Corrupt the queries: JPEG 40; box, light and white balance are off.")
@click.option(
    "--seed", type=options.SEED, default=0, show_default=True, help="Seed of --corrupt, and of the sample for --grid."
)
@click.option(
    "--skip-unanswerable", is_flag=True, help="Skip queries without a readable relevant photo; else they are misses."
)
@click.option("--find", is_flag=True, help="Find the garments of the photos; one that is missed retrieves nothing.")
@click.option(
    "--no-categories", is_flag=True, help="Products' kinds are told by their photos, not by their categories."
)
@click.option("--by", type=click.Choice(["category"]), help="Print numbers for each category too.")
@click.option(
    "--grid",
    type=options.Target(),
    help="Write a picture: a query per column, an arm per row; with --find photos, boxes and lists.",
)
@click.option("--json", "file", type=options.Target(), help="Write everything, results included, as JSON.")
@click.option("--run", type=options.Target(folder=True), help="Write qrels and run files for trec_eval to this folder.")
@click.option("--check", type=options.PathParameter(), help="Reproduce the numbers of such a JSON file.")
@options.threads
def command(dataset: str | None, by: str | None, check: Path | None, **how: Any) -> None:
    """Search for the product of every street crop of DATASET among all its shop photos.

    Prints each metric's mean with its 95% interval, for each part of the vector alone and for both.

    \b
    osoroi evaluate drawn:40 --by category --json drawn.json
    osoroi evaluate viton:data/viton --split val --distractors 'table:data/hm/manifest.csv?recipe=hm'
    osoroi evaluate ccp:data/ccp --split test --find --distractors 'table:data/hm/manifest.csv?recipe=hm_all'
    osoroi evaluate --check drawn.json
    """
    before = None if check is None else results.read(check)
    task = _task(dataset, how) if before is None else _same_task(dataset, how, before)
    top_k = RUN_TOP_K if how["run"] else results.TOP_K
    with progress.counting("crops read") as show:
        evaluation = evaluate.run(task, threads=how["threads"], top_k=top_k, on_progress=show)
    evaluation = replace(evaluation, command=shlex.join(["osoroi", *sys.argv[1:]]))
    _write(evaluation, how)
    text.show(heading(evaluation))
    text.show(table(evaluation))
    if evaluation.boxes:
        text.show(boxes(evaluation))
    if by:
        text.show(by_category(evaluation))
    if before is not None:
        text.show(f"{len(evaluate.check(before, evaluation))} numbers of {check} are reproduced")


def _task(dataset: str | None, how: dict[str, Any]) -> Task:
    if dataset is None:
        raise BadRequest("no DATASET is given", hint="name one, such as drawn:40, or give --check FILE")
    protocol = Protocol(
        split=how["split"],
        gallery=how["gallery"],
        within=how["within"],
        corrupt=how["seed"] if how["corrupt"] else None,
        skip_unanswerable=how["skip_unanswerable"],
        detail=how["detail"],
        find=how["find"],
        categories=not how["no_categories"],
    )
    encoder = None if how["encoder"] is None else str(how["encoder"])
    return Task(dataset, how["distractors"], encoder, protocol, how["sample_detail"])


def _same_task(dataset: str | None, how: dict[str, Any], before: Evaluation) -> Task:
    """The task of a file. Only the paths of data sets and encoder may be given anew, since files may have moved."""
    names = (
        "split",
        "gallery",
        "within",
        "corrupt",
        "skip_unanswerable",
        "detail",
        "sample_detail",
        "find",
        "no_categories",
    )
    given = [name for name in names if how[name] not in (None, False, ())]
    if given:
        raise BadRequest(f"--check takes the protocol from its file; {', '.join(given)} cannot be given with it")
    task = replace(before.task, dataset=dataset or before.task.dataset)
    if how["encoder"] is not None:
        task = replace(task, encoder=str(how["encoder"]))
    return replace(task, distractors=how["distractors"]) if how["distractors"] else task


def _write(evaluation: Evaluation, how: dict[str, Any]) -> None:
    if how["file"]:
        results.save(evaluation, how["file"])
    if how["run"]:
        results.write_trec(evaluation, how["run"])
    if how["grid"]:
        readers = [open_dataset(name) for name in (evaluation.task.dataset, *evaluation.task.distractors)]
        found = street.pictures(evaluation, readers, seed=how["seed"]) if evaluation.task.protocol.find else []
        overview = street.stacked(found) if found else examples.overview(evaluation, readers, seed=how["seed"])
        grid.write(how["grid"], overview)


def heading(evaluation: Evaluation) -> str:
    """The data, the number of queries, and what could not be read."""
    protocol, data = evaluation.task.protocol, evaluation.data
    facts = [
        " + ".join([evaluation.task.dataset, *evaluation.task.distractors]),
        f"split {protocol.split}" if protocol.split else "all splits",
        f"{len(evaluation.queries):,} queries" + (", corrupted" if protocol.corrupt is not None else ""),
        f"{data.products:,} products in {data.crops:,} photos",
        f"encoder {evaluation.encoder[:12]}",
    ]
    lines = [printable(" · ".join(facts))]
    if protocol.within:
        lines.append("each query ranks only products of its category")
    if data.unreadable_queries or data.unreadable_crops or data.unanswerable:
        what = "are skipped" if protocol.skip_unanswerable else "count as misses"
        lines.append(
            f"unreadable: {data.unreadable_queries:,} query photos, {data.unreadable_crops:,} gallery photos; "
            f"{data.unanswerable:,} queries are unanswerable and {what}"
        )
        lines += [f"  {printable(problem)}" for problem in data.unreadable[:3]]
    return "\n".join(lines)


def table(evaluation: Evaluation) -> str:
    """A metric per row, an arm per column; then the sampled detail weights, if any."""
    names = results.shown(evaluation)
    columns = {arm.name: results.means(evaluation, arm.name, names) for arm in evaluation.plain_arms}
    rows = [["", *columns], *([name, *(_interval(each[name]) for each in columns.values())] for name in names)]
    steps = [arm for arm in evaluation.arms if arm.detail is not None]
    by_detail = [["detail", *BY_CATEGORY]] if steps else []
    for arm in steps:
        by_detail.append(
            [f"{arm.detail:.1f}", *map(_interval, results.means(evaluation, arm.name, BY_CATEGORY).values())]
        )
    return text.aligned(rows) + ("\n\n" + text.aligned(by_detail) if by_detail else "")


def by_category(evaluation: Evaluation) -> str:
    """A category per row and an arm per column, and the mean of all categories, for some of the metrics shown."""
    arms = [arm.name for arm in evaluation.plain_arms]
    blocks = []
    for metric in (name for name in results.shown(evaluation) if name in (*BY_CATEGORY, *LABELLED)):
        rows = [[metric, "queries", *arms]]
        for category in evaluation.categories:
            cells = [_interval(results.means(evaluation, arm, [metric], category)[metric]) for arm in arms]
            rows.append([category, str(int(evaluation.in_category(category).sum())), *cells])
        rows.append(["mean of these", "", *(f"{_mean_of_categories(evaluation, arm, metric):.3f}" for arm in arms)])
        blocks.append(text.aligned(rows))
    return "\n" + "\n\n".join(blocks)


def _mean_of_categories(evaluation: Evaluation, arm: str, metric: str) -> float:
    means = [results.means(evaluation, arm, [metric], category)[metric].mean for category in evaluation.categories]
    return sum(means) / max(len(means), 1)


def boxes(evaluation: Evaluation) -> str:
    """Recall, precision and right kinds of the garments that were looked for, at IoU .5."""
    return "\n" + text.aligned(
        [["boxes at IoU .5", ""], *([name, _interval(each)] for name, each in evaluation.boxes.items())]
    )


def _interval(interval: Interval) -> str:
    low, high = (f"{end:.3f}".lstrip("0") if math.isfinite(end) else "–" for end in interval[1:])
    return f"{interval.mean:.3f} [{low}, {high}]"
