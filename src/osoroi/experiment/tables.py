"""Tables of an experiment: systems by categories, with intervals, gains and the published figures beside.

A system is a planned system and an arm of it. The mean is over queries and seeds, with a 95% interval over products
(over designs, where they are known); over all categories the lowest and the highest seed stand behind it. The gain over
the reference is paired by query, and corrected by Holm over categories, not over rows: each is a comparison that the
plan stated before. Gains that `osoroi compare` would not call shown stand in parentheses.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from osoroi.evaluation import compare
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import Difference, Spread, System
from osoroi.experiment import published
from osoroi.experiment.plan import ExperimentPlan, PlannedEvaluation, PlannedSystem
from osoroi.experiment.run import Experiment, is_current, read_evaluation

METRICS = ("hit@5", "nDCG@5")
"""Metrics of the tables."""

ALL = "all"
"""Name of the column of all queries."""


@dataclass(frozen=True)
class ArmCell:
    """One system in one category: queries, mean and interval, spread between seeds, and gain over the reference."""

    queries: int
    interval: Interval
    spread: Spread
    gain: Difference | None = None


@dataclass(frozen=True)
class ArmRow:
    """One system: its cells by metric and category; ``ALL`` stands for all queries."""

    name: str
    system: System
    cells: dict[str, dict[str, ArmCell]]


Gains = dict[tuple[str, str], Difference]
"""Differences by metric and category; ``ALL`` stands for all queries."""


@dataclass(frozen=True)
class GainRow:
    """The gains of one system over another that is not the reference."""

    name: str
    over: str
    gains: Gains


@dataclass(frozen=True)
class ResultTable:
    """Systems of one evaluation by categories, and the further comparisons of the plan."""

    evaluation: str
    columns: list[str]
    reference: str | None
    rows: list[ArmRow]
    comparisons: list[GainRow]


def systems_of(experiment: Experiment, evaluation: PlannedEvaluation, *, arms: bool = False) -> list[System]:
    """Every planned system that was evaluated with all its seeds, and has the same networks still: its main arm, or
    with ``arms`` each of its arms."""
    plan, chosen = experiment.plan, []
    for planned in plan.systems:
        if evaluation not in plan.evaluations_of(planned) or missing_seeds(experiment, evaluation, planned):
            continue
        if all(_is_current(experiment, evaluation, planned, seed) for seed in planned.seeds):
            evaluations = [read_evaluation(experiment, evaluation, planned, seed) for seed in planned.seeds]
            label = planned.label or planned.name
            for arm in evaluations[0].plain_arms:
                if arm.name == evaluations[0].main:
                    chosen.append(compare.system(label, arm.name, evaluations))
                elif arms:
                    chosen.append(compare.system(f"{label}: {arm.name}", arm.name, evaluations))
    return chosen


def missing_seeds(experiment: Experiment, evaluation: PlannedEvaluation, planned: PlannedSystem) -> list[int]:
    """The seeds of a system that this evaluation has not been made with."""
    return [seed for seed in planned.seeds if not experiment.evaluation(evaluation.name, planned, seed).exists()]


def _is_current(experiment: Experiment, evaluation: PlannedEvaluation, planned: PlannedSystem, seed: int) -> bool:
    current = is_current(experiment, evaluation, planned, seed)
    if not current:
        path = experiment.evaluation(evaluation.name, planned, seed)
        experiment.say(f"{path} is of another network than the one that there is now, and is not reported")
    return current


def in_rows(experiment: Experiment, systems: Sequence[System]) -> list[System]:
    """The systems that are rows of the tables, in the order of the plan's ``rows``."""
    plan = experiment.plan
    labels = [plan.system(name).label or name for name in plan.rows]
    return [one for label in labels for one in systems if one.name == label] if labels else list(systems)


def table_of(
    experiment: Experiment,
    evaluation: PlannedEvaluation,
    systems: Sequence[System],
    every: Sequence[System] = (),
) -> ResultTable:
    """The table of some systems, all of the same evaluation; the plan's comparisons are of ``every`` system, whether it
    is a row or not."""
    plan = experiment.plan
    categories = systems[0].evaluations[0].categories
    columns = [name for name in plan.columns or categories if name in categories]
    label = None if plan.reference is None else plan.system(plan.reference).label or plan.reference
    reference = next((one for one in systems if one.name == label), None)
    rows = [_row(one, reference, [*columns, ALL]) for one in systems]
    further = _compared(plan, every or systems)
    return ResultTable(evaluation.name, [*columns, ALL], None if reference is None else reference.name, rows, further)


def _compared(plan: ExperimentPlan, systems: Sequence[System]) -> list[GainRow]:
    """The comparisons of a plan, of the systems that were evaluated."""
    by_name = {one.name: one for one in systems}
    pairs = [[by_name.get(plan.system(name).label or name) for name in pair] for pair in plan.comparisons]
    return [GainRow(one.name, other.name, _gains(one, other)) for one, other in pairs if one and other]


def _gains(system: System, other: System) -> Gains:
    differences = compare.compare(system, other, metrics=METRICS).differences
    return {(each.metric, each.category or ALL): each for each in differences}


def _row(system: System, reference: System | None, columns: Sequence[str]) -> ArmRow:
    gains = {} if reference is None or system is reference else _gains(system, reference)
    first = system.evaluations[0]
    cells: dict[str, dict[str, ArmCell]] = {metric: {} for metric in METRICS}
    for column in columns:
        category = None if column == ALL else column
        for metric, interval in zip(METRICS, system.means(METRICS, category), strict=True):
            cells[metric][column] = ArmCell(
                int(first.in_category(category).sum()),
                interval,
                compare.seed_spread(system, metric, category),
                gains.get((metric, column)),
            )
    return ArmRow(system.name, system, cells)


def markdown(table: ResultTable, metric: str, *, with_published: bool = True) -> str:
    """One metric: a system per row, a category per column, then gains and the published figures."""
    first = table.rows[0].cells[metric]
    title = "hit@5 (“Recall@5”)" if metric == "hit@5" else metric
    lines = [[f"{title} · queries", *(f"{name} · {first[name].queries:,}" for name in table.columns)]]
    lines.append(["---"] * len(lines[0]))
    for row in table.rows:
        several = len(row.system.evaluations) > 1
        means = [_mean(row.cells[metric][name], seeds=several and name == ALL) for name in table.columns]
        lines.append([row.name, *means])
    for row in table.rows:
        if table.reference and row.name != table.reference:
            cells = [_gain(row.cells[metric][name].gain) for name in table.columns]
            lines.append([f"{row.name}: gain over {table.reference}, points", *cells])
    for each in table.comparisons:
        cells = [_gain(each.gains.get((metric, name))) for name in table.columns]
        lines.append([f"{each.name}: gain over {each.over}, points", *cells])
    known = with_published and any(name in published.CATEGORIES for name in table.columns)
    for source in published.ROWS if known else ():
        figures = source.figures.get(metric, {})
        cells = [f"{figures[name]:.2f}".lstrip("0") if name in figures else "" for name in table.columns]
        lines.append([f"*published, Street2Shop: {source.name}*", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def note(table: ResultTable) -> str:
    """What the gains of a table are corrected for, where there are several; empty where there are not."""
    gains = len(table.comparisons) + sum(bool(table.reference) and row.name != table.reference for row in table.rows)
    if gains < 2:
        return ""
    return (
        f"The {gains} rows of gains are comparisons that the plan states. Each is corrected by Holm over its "
        "categories; over rows and metrics there is no correction."
    )


def _mean(cell: ArmCell, *, seeds: bool) -> str:
    """A mean with its interval over products, and with ``seeds`` the lowest and the highest seed."""

    def written(value: float) -> str:
        return f"{value:.3f}".lstrip("0")

    spread = f"; seeds {written(cell.spread.low)} to {written(cell.spread.high)}" if seeds else ""
    return with_ends(cell.interval, written) + spread


def _gain(gain: Difference | None) -> str:
    if gain is None:
        return ""
    text = with_ends(gain.interval, lambda value: f"{100 * value:+.1f}")
    return text if gain.verdict != "not shown" else f"({text})"


def with_ends(interval: Interval, written: Callable[[float], str]) -> str:
    """A mean with the ends of its interval, or alone where a single cluster of queries gives none.

    >>> with_ends(Interval(0.5, 0.25, 0.75), str), with_ends(Interval(0.5, math.nan, math.nan), str)
    ('0.5 [0.25, 0.75]', '0.5')
    """
    mean, low, high = map(written, interval)
    return mean if math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def rounded(interval: Interval) -> list[float | None]:
    """A mean and the ends of its interval, which are None where there are none: JSON has no nan."""
    return [None if math.isnan(value) else round(value, 4) for value in interval]


def to_json(table: ResultTable) -> dict[str, Any]:
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
        "comparisons": [
            {
                "system": each.name,
                "over": each.over,
                "gains": {
                    metric: {
                        name: _plain_gain(each.gains[metric, name])
                        for name in table.columns
                        if (metric, name) in each.gains
                    }
                    for metric in METRICS
                },
            }
            for each in table.comparisons
        ],
    }


def _plain(cell: ArmCell) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "queries": cell.queries,
        "mean": rounded(cell.interval),
        "seeds": [round(value, 4) for value in (cell.spread.low, cell.spread.high)],
    }
    if cell.gain is not None:
        plain |= _plain_gain(cell.gain)
    return plain


def _plain_gain(gain: Difference) -> dict[str, Any]:
    return {"gain": rounded(gain.interval), "p": round(gain.p, 4), "verdict": gain.verdict}
