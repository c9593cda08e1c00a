"""Evaluations as one self-contained HTML page: the view model of the template ``report.html``."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from osoroi import files
from osoroi.data.readers import Reader
from osoroi.evaluation import compare
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import Difference, SeedGroup, System
from osoroi.evaluation.metrics import STANDARD
from osoroi.evaluation.results import Evaluation
from osoroi.report import charts, grid, results_grid, street
from osoroi.report.charts import Series
from osoroi.report.results_grid import ACROSS, ResultGrid

HEADLINE = {
    "hit@5": "hit@5, often printed as Recall@5: a relevant product is among the first five",
    "nDCG@5": "nDCG@5, its ideal over all relevant products",
}
"""Metrics with a table by category, and their definitions."""

CURVE = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
TICKS = (1, 2, 5, 10, 20, 50)

ARMS = 3
"""Arms that a result grid has room for."""


class Stat(NamedTuple):
    """A mean with its interval as text; ``best`` marks the highest of a column."""

    mean: str
    bounds: str
    best: bool


class TableColumn(NamedTuple):
    """A category and its number of queries."""

    name: str
    queries: str


class StatRow(NamedTuple):
    """An arm's values; ``seeds`` describes the spread between seeds, where there are several."""

    name: str
    stats: list[Stat]
    seeds: str = ""


class CategoryTable(NamedTuple):
    """A metric by category (columns) and arm (rows)."""

    metric: str
    note: str
    columns: list[TableColumn]
    rows: list[StatRow]


class Plot(NamedTuple):
    """A caption and a plot as SVG, which is safe to insert."""

    caption: str
    svg: Markup


class ResultSource(NamedTuple):
    """What an evaluation was made by: name, encoder, recipe and version, and the command."""

    facts: list[str]
    command: str


class Page(NamedTuple):
    """Everything that the template shows."""

    facts: Mapping[str, str]
    by_category: list[CategoryTable]
    metrics: Sequence[str]
    all_metrics: list[StatRow]
    plots: list[Plot]
    main: str
    difference_plots: list[Plot]
    difference_rows: list[list[str]]
    grids: list[ResultGrid] | None
    street: list[str]
    across: int
    fingerprint: str
    sources: list[ResultSource]


def write(
    groups: Sequence[SeedGroup],
    folder: str | os.PathLike[str],
    *,
    readers: Iterable[Reader] | None = None,
    count: int = 6,
    seed: int = 0,
) -> Path:
    """Write ``folder/index.html`` atomically and return its path. Without ``readers`` the page has no photos.

    All evaluations must be of the same task (else Mismatch). The other arms are compared with the main arm of the first
    group.
    """
    for group in groups:
        compare.check_comparable(groups[0].evaluations[0], group.evaluations[0])
    page = view(groups, readers=readers, count=count, seed=seed)
    path = Path(folder) / "index.html"
    files.write_atomically(path, render(page).encode("utf-8", "replace"))
    return path


def render(page: Page) -> str:
    """The page as HTML. Every text is escaped by the template engine."""
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    style = Markup((here / "report.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html").render(page=page, style=style)


def view(groups: Sequence[SeedGroup], *, readers: Iterable[Reader] | None, count: int, seed: int) -> Page:
    """The view model of evaluations of the same task."""
    systems = compare.systems(groups)
    first = groups[0].evaluations[0]
    main = next(each for each in systems if each.arm == first.main and each.evaluations == groups[0].evaluations)
    plots, rows = _differences(main, [each for each in systems if each != main])
    shown = _shown(systems, groups)
    readers = None if readers is None else list(readers)
    street_photos = [] if readers is None else street.pictures(first, readers, count=count, seed=seed)
    return Page(
        facts=_facts(first),
        by_category=[_category_table(systems, metric) for metric in HEADLINE],
        metrics=STANDARD,
        all_metrics=_all_metrics(systems),
        plots=_plots(systems, groups),
        main=main.name,
        difference_plots=plots,
        difference_rows=rows,
        grids=None if readers is None else results_grid.grids(shown, readers, count=count, seed=seed),
        street=[results_grid.uri(grid.jpeg(each, width=1000, height=1600)) for each in street_photos],
        across=ACROSS,
        fingerprint=first.data.fingerprint[:12],
        sources=[
            ResultSource([group.name, each.encoder[:12], each.recipe, each.version], each.command)
            for group in groups
            for each in group.evaluations
        ],
    )


def _shown(systems: Sequence[System], groups: Sequence[SeedGroup]) -> list[System]:
    """The systems in the result grids: all arms of the first group, then the main arm of each other group."""
    first = [each for each in systems if each.evaluations == groups[0].evaluations]
    others = [each for each in systems if each not in first and each.arm == each.evaluations[0].main]
    return [*first, *others][:ARMS]


def _facts(evaluation: Evaluation) -> dict[str, str]:
    data, protocol = evaluation.data, evaluation.task.protocol
    corrupted = "" if protocol.corrupt is None else f", corrupted (seed {protocol.corrupt})"
    return {
        "Data": " + ".join([evaluation.task.dataset, *evaluation.task.distractors]),
        "Queries": f"{len(evaluation.queries):,} street crops of {protocol.split or 'all splits'}{corrupted}",
        "Gallery": f"{data.products:,} products in {data.crops:,} photos"
        + (", each query among its own category" if protocol.within else ""),
        "Unreadable": f"{data.unreadable_queries:,} query photos, {data.unreadable_crops:,} gallery photos; "
        f"{data.unanswerable:,} queries are unanswerable and "
        + ("are skipped" if protocol.skip_unanswerable else "count as misses"),
        "Intervals": "95%, bootstrap over clusters of products and designs",
    }


def _category_table(systems: Sequence[System], metric: str) -> CategoryTable:
    first = systems[0].evaluations[0]
    categories = [None, *(first.categories if len(first.categories) > 1 else [])]
    overall = first.categories[0] if len(first.categories) == 1 else "all"
    columns = [_stats([each.means([metric], category)[0] for each in systems]) for category in categories]
    heads = [TableColumn(each or overall, f"{int(first.in_category(each).sum()):,}") for each in categories]
    rows = [StatRow(system.name, [column[row] for column in columns]) for row, system in enumerate(systems)]
    return CategoryTable(metric, HEADLINE[metric], heads, rows)


def _all_metrics(systems: Sequence[System]) -> list[StatRow]:
    means = [each.means(STANDARD) for each in systems]
    columns = [_stats(list(column)) for column in zip(*means, strict=True)]
    return [
        StatRow(system.name, [column[row] for column in columns], _seeds(system)) for row, system in enumerate(systems)
    ]


def _seeds(system: System) -> str:
    if len(system.evaluations) == 1:
        return ""
    spread = compare.seed_spread(system, "nDCG@5")
    return f"{len(system.evaluations)} seeds; nDCG@5 ± {spread.deviation:.3f} between them"


def _stats(column: Sequence[Interval]) -> list[Stat]:
    highest = max(each.mean for each in column)
    return [
        Stat(
            _number(each.mean), f"[{_number(each.low)}, {_number(each.high)}]", len(column) > 1 and each.mean == highest
        )
        for each in column
    ]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".removeprefix("0") if value < 1 else "1"


def _plots(systems: Sequence[System], groups: Sequence[SeedGroup]) -> list[Plot]:
    curve = [Series(each.name, CURVE, each.means([f"hit@{k}" for k in CURVE])) for each in systems]
    caption = "hit@k: a relevant product is among the first k"
    plots = [Plot(caption, charts.lines(curve, title=caption, x="k", ticks=TICKS, log=True))]
    by_detail = [series for group in groups for series in _by_detail(group, alone=len(groups) == 1)]
    if by_detail:
        caption = f"{' and '.join(HEADLINE)} over the detail weight: 0 is shape alone, 1 color and pattern alone"
        ticks = (0, 0.2, 0.4, 0.6, 0.8, 1)
        plots.append(Plot(caption, charts.lines(by_detail, title=caption, x="detail", ticks=ticks)))
    return plots


def _by_detail(group: SeedGroup, *, alone: bool) -> list[Series]:
    steps = compare.systems([group], sampled=True)
    weights = [each.evaluations[0].arm(each.arm).detail or 0.0 for each in steps]
    names = [metric if alone else f"{group.name} {metric}" for metric in HEADLINE] if steps else []
    points = zip(*(each.means(list(HEADLINE)) for each in steps), strict=True)
    return [Series(name, weights, list(line)) for name, line in zip(names, points, strict=True)]


def _differences(main: System, others: Sequence[System]) -> tuple[list[Plot], list[list[str]]]:
    """The main arm against each other one: a plot per metric, and all numbers as rows."""
    plots, rows = [], []
    for other in others:
        differences = compare.compare(main, other, metrics=list(HEADLINE)).differences
        for metric in HEADLINE:
            chosen = [each for each in differences if each.metric == metric]
            caption = f"{metric}: {main.name} minus {other.name}"
            bars = [(each.category or "all", each.interval, each.verdict != "not shown") for each in chosen]
            plots.append(Plot(caption, charts.differences(bars, title=caption, x="right: the first is better")))
            rows += [_difference_row(main, other, each) for each in chosen]
    return plots, rows


def _difference_row(main: System, other: System, each: Difference) -> list[str]:
    low, high = (f"{end:+.3f}" if math.isfinite(end) else "–" for end in each.interval[1:])
    return [
        each.metric,
        f"{main.name} against {other.name}",
        each.category or "all",
        f"{each.interval.mean:+.3f} [{low}, {high}]",
        f"{each.p:.4f}",
        each.verdict,
    ]
