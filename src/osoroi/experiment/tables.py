"""Tables of an experiment: systems by categories, with intervals, gains and the published figures beside.

A system is a planned system and an arm of it. The mean is over queries and seeds, with a 95% interval over products;
the gain over the reference is paired by query, and corrected by Holm over categories. Gains that `osoroi compare`
would not call shown stand in parentheses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from osoroi.evaluation import compare
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import Difference, Spread, System
from osoroi.experiment import published
from osoroi.experiment.plan import PlannedEvaluation
from osoroi.experiment.run import Experiment, read_evaluation

METRICS = ("hit@5", "nDCG@5")
"""Metrics of the tables."""

ALL = "all"
"""Name of the column of all queries."""


@dataclass(frozen=True)
class Cell:
    """One system in one category: queries, mean and interval, spread between seeds, and gain over the reference."""

    queries: int
    interval: Interval
    spread: Spread
    gain: Difference | None = None


@dataclass(frozen=True)
class Row:
    """One system: its cells by metric and category; ``ALL`` stands for all queries."""

    name: str
    system: System
    cells: dict[str, dict[str, Cell]]


@dataclass(frozen=True)
class Table:
    """Systems of one evaluation by categories."""

    evaluation: str
    columns: list[str]
    reference: str | None
    rows: list[Row]


def systems_of(experiment: Experiment, evaluation: PlannedEvaluation, *, arms: bool = False) -> list[System]:
    """Every planned system that was evaluated with all its seeds: its main arm, or with ``arms`` each of its arms."""
    plan, chosen = experiment.plan, []
    for planned in plan.systems:
        paths = [experiment.evaluation(evaluation.name, planned, seed) for seed in planned.seeds]
        if evaluation in plan.evaluations_of(planned) and all(path.exists() for path in paths):
            evaluations = [read_evaluation(experiment, evaluation, planned, seed) for seed in planned.seeds]
            label = planned.label or planned.name
            for arm in evaluations[0].plain_arms:
                if arm.name == evaluations[0].main:
                    chosen.append(compare.system(label, arm.name, evaluations))
                elif arms:
                    chosen.append(compare.system(f"{label}: {arm.name}", arm.name, evaluations))
    return chosen


def in_rows(experiment: Experiment, systems: Sequence[System]) -> list[System]:
    """The systems that are rows of the tables, in the order of the plan's ``rows``."""
    plan = experiment.plan
    labels = [plan.system(name).label or name for name in plan.rows]
    return [one for label in labels for one in systems if one.name == label] if labels else list(systems)


def table_of(experiment: Experiment, evaluation: PlannedEvaluation, systems: Sequence[System]) -> Table:
    """The table of some systems, all of the same evaluation."""
    plan = experiment.plan
    categories = systems[0].evaluations[0].categories
    columns = [name for name in plan.columns or categories if name in categories]
    label = None if plan.reference is None else plan.system(plan.reference).label or plan.reference
    reference = next((one for one in systems if one.name == label), None)
    rows = [_row(one, reference, [*columns, ALL]) for one in systems]
    return Table(evaluation.name, [*columns, ALL], None if reference is None else reference.name, rows)


def _row(system: System, reference: System | None, columns: Sequence[str]) -> Row:
    gains: dict[tuple[str, str], Difference] = {}
    if reference is not None and system is not reference:
        differences = compare.compare(system, reference, metrics=METRICS).differences
        gains = {(each.metric, each.category or ALL): each for each in differences}
    first = system.evaluations[0]
    cells: dict[str, dict[str, Cell]] = {metric: {} for metric in METRICS}
    for column in columns:
        category = None if column == ALL else column
        for metric, interval in zip(METRICS, system.means(METRICS, category), strict=True):
            cells[metric][column] = Cell(
                int(first.in_category(category).sum()),
                interval,
                compare.seed_spread(system, metric, category),
                gains.get((metric, column)),
            )
    return Row(system.name, system, cells)


def markdown(table: Table, metric: str, *, with_published: bool = True) -> str:
    """One metric: a system per row, a category per column, then gains and the published figures."""
    first = table.rows[0].cells[metric]
    title = "hit@5 (“Recall@5”)" if metric == "hit@5" else metric
    lines = [[f"{title} · queries", *(f"{name} · {first[name].queries:,}" for name in table.columns)]]
    lines.append(["---"] * len(lines[0]))
    for row in table.rows:
        lines.append([row.name, *(_mean(row.cells[metric][name]) for name in table.columns)])
    for row in table.rows:
        if table.reference and row.name != table.reference:
            cells = [_gain(row.cells[metric][name].gain) for name in table.columns]
            lines.append([f"{row.name}: gain over {table.reference}, points", *cells])
    known = with_published and any(name in published.CATEGORIES for name in table.columns)
    for each in published.ROWS if known else ():
        figures = each.figures.get(metric, {})
        cells = [f"{figures[name]:.2f}".lstrip("0") if name in figures else "" for name in table.columns]
        lines.append([f"*published, Street2Shop: {each.name}*", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _mean(cell: Cell) -> str:
    mean, low, high = (f"{value:.3f}".lstrip("0") for value in cell.interval)
    return f"{mean} [{low}, {high}]"


def _gain(gain: Difference | None) -> str:
    if gain is None:
        return ""
    mean, low, high = (f"{100 * value:+.1f}" for value in gain.interval)
    text = f"{mean} [{low}, {high}]"
    return text if gain.verdict != "not shown" else f"({text})"


def to_json(table: Table) -> dict[str, Any]:
    """The same for machines: shares of 1, rounded."""
    return {
        "reference": table.reference,
        "rows": [
            {
                "system": row.name,
                "seeds": len(row.system.evaluations),
                "encoders": [each.encoder[:12] for each in row.system.evaluations],
                "cells": {
                    metric: {name: _plain(cell) for name, cell in cells.items()} for metric, cells in row.cells.items()
                },
            }
            for row in table.rows
        ],
    }


def _plain(cell: Cell) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "queries": cell.queries,
        "mean": [round(value, 4) for value in cell.interval],
        "seeds": [round(value, 4) for value in (cell.spread.low, cell.spread.high)],
    }
    if cell.gain is not None:
        gain = [round(value, 4) for value in cell.gain.interval]
        plain |= {"gain": gain, "p": round(cell.gain.p, 4), "verdict": cell.gain.verdict}
    return plain
