"""The report of an experiment: tables, costs and distances as Markdown and JSON, the pictures, and one HTML page for
each evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osoroi import __version__, files
from osoroi.data.readers import open_dataset
from osoroi.errors import BadRequest
from osoroi.evaluation.compare import SeedGroup, System
from osoroi.experiment import appearance, picture, tables
from osoroi.experiment.plan import PlannedEvaluation, PlannedSystem
from osoroi.experiment.run import Experiment, RunOutcome, chosen_setting, outcomes
from osoroi.experiment.tables import METRICS, ResultTable
from osoroi.report import grid, html


def write(experiment: Experiment, *, photos: bool = True, arms: bool = False, queries: int = 6) -> str:
    """Write ``report.md`` and ``report.json``, and with ``photos`` distances of color and outline, ``EVALUATION.png``
    and ``EVALUATION/index.html``; gives the Markdown.

    Evaluations of a part of the systems are reported as far as they are there. Raises BadRequest where there is none.
    """
    folder = experiment.out / "report"
    lines, summary = [f"# {experiment.plan.title}", ""], dict[str, Any]()
    for evaluation in experiment.plan.evaluations.values():
        every = tables.systems_of(experiment, evaluation, arms=arms)
        systems = every if arms else tables.in_rows(experiment, every)
        if not systems:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        text, plain = _evaluation(experiment, evaluation, systems, every, photos=photos)
        lines += text
        summary[evaluation.name] = plain
        if photos:
            _pictures(experiment, evaluation, every, folder, queries)
    if not summary:
        raise BadRequest(
            f"{experiment.out} holds no evaluations of this plan with all the seeds of a system",
            hint="run it without `report_only`",
        )
    costs = [cost for system in experiment.plan.systems if (cost := cost_of(experiment, system))]
    lines += ["## Settings and cost", "", *_cost_table(costs)]
    page = "\n".join(lines) + "\n"
    files.write_atomically(folder / "report.md", page.encode())
    written = {"version": __version__, "title": experiment.plan.title, "evaluations": summary, "systems": costs}
    files.write_atomically(folder / "report.json", (json.dumps(written, indent=1, allow_nan=False) + "\n").encode())
    return page


def incomplete(experiment: Experiment) -> dict[str, list[int]]:
    """The systems of which some seeds are evaluated and others are not, which no report has, and the missing seeds."""
    seeds: dict[str, list[int]] = {}
    for planned in experiment.plan.systems:
        for evaluation in experiment.plan.evaluations_of(planned):
            missing = tables.missing_seeds(experiment, evaluation, planned)
            if missing and len(missing) < len(planned.seeds):
                seeds[planned.name] = sorted({*seeds.get(planned.name, ()), *missing})
    return seeds


def is_due(experiment: Experiment) -> bool:
    """Whether a row of the report has an evaluation of every seed."""
    plan = experiment.plan
    rows = [plan.system(name) for name in plan.rows] or plan.systems
    return any(
        not tables.missing_seeds(experiment, evaluation, planned)
        for planned in rows
        for evaluation in plan.evaluations_of(planned)
    )


def _evaluation(
    experiment: Experiment,
    evaluation: PlannedEvaluation,
    systems: Sequence[System],
    every: Sequence[System],
    *,
    photos: bool,
) -> tuple[list[str], dict[str, Any]]:
    """One evaluation's section, as lines of Markdown and for machines; ``systems`` are the rows among all of them."""
    table = tables.table_of(experiment, evaluation, systems, every)
    first = systems[0].evaluations[0]
    heading = f"{len(first.queries):,} queries, {first.data.products:,} products"
    lines = [f"## {evaluation.name}: {heading}", ""]
    absent = [name for name in experiment.plan.columns if name not in first.categories]
    if absent:
        there = ", ".join(first.categories) or "none"
        lines += [f"No query has the category {', '.join(absent)}; there is {there}.", ""]
    for metric in METRICS:
        lines += [tables.markdown(table, metric, with_published=evaluation.task.protocol.corrupt is None), ""]
    if note := tables.note(table):
        lines += [note, ""]
    plain = tables.to_json(table) | {"fingerprint": first.data.fingerprint[:12], "products": first.data.products}
    if photos:
        names, measured = list(appearance.Distances._fields), _distances(evaluation, systems, table)
        lines += [*_appearance_table(measured, names, table.reference), ""]
        plain["appearance"] = {
            system: {name: _plain(each) for name, each in own.items()} for system, own in measured.items()
        }
    return lines, plain


def _distances(
    evaluation: PlannedEvaluation, systems: Sequence[System], table: ResultTable
) -> dict[str, dict[str, appearance.AppearanceComparison]]:
    readers = [open_dataset(name) for name in (evaluation.task.dataset, *evaluation.task.distractors)]
    reference = next((one for one in systems if one.name == table.reference), None)
    return appearance.compared(systems, appearance.measure(readers, systems), reference)


def _plain(each: appearance.AppearanceComparison) -> dict[str, Any]:
    plain: dict[str, Any] = {"mean": tables.rounded(each.mean)}
    if each.difference is not None:
        plain |= {"difference": tables.rounded(each.difference), "p": round(each.p, 4)}
    return plain


def _appearance_table(
    measured: dict[str, dict[str, appearance.AppearanceComparison]], names: Sequence[str], reference: str | None
) -> list[str]:
    """A system per row; the difference from the reference behind each mean, in parentheses where it is not shown."""
    against = f" · difference from {reference}" if reference else ""
    lines = [f"| results | {' | '.join(appearance.NAMES[name] + against for name in names)} |"]
    lines.append("|---" * (1 + len(names)) + "|")
    for system, own in measured.items():
        cells = [_distance(own[name], name) if name in own else "" for name in names]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return lines


def _distance(each: appearance.AppearanceComparison, name: str) -> str:
    digits = 3 if name == "result_outline" else 1
    text = f"{each.mean.mean:.{digits}f}"
    if each.difference is None:
        return text
    gap = tables.with_ends(each.difference, lambda value: f"{value:+.{digits}f}")
    return f"{text} · {gap if each.p < 0.05 else f'({gap})'}"


def _pictures(
    experiment: Experiment, evaluation: PlannedEvaluation, systems: Sequence[System], folder: Path, queries: int
) -> None:
    """The picture of the plan's arms one below the other, and the HTML page of all systems."""
    plan = experiment.plan
    readers = [open_dataset(name) for name in (evaluation.task.dataset, *evaluation.task.distractors)]
    labels = [plan.system(name).label or name for name in plan.picture]
    shown = [one for label in labels for one in systems if one.name == label] if labels else list(systems)[:4]
    if shown:
        drawn = picture.results_picture(shown, readers, count=queries)
        grid.write(folder / f"{evaluation.name}.png", drawn)
    groups = [SeedGroup(one.name, True, one.evaluations) for one in systems if ": " not in one.name]
    html.write(groups, folder / evaluation.name, readers=readers, count=queries)


def cost_of(experiment: Experiment, system: PlannedSystem) -> dict[str, Any]:
    """What a system was searched over and what all of its runs cost; empty where it was not trained."""
    every = outcomes(experiment, system)
    if not every:
        return {}
    monitor = system.settings(0).monitor
    first = [one for one in every if one.seed == system.seeds[0]]
    setting = chosen_setting(experiment, system)
    chosen = next((one for one in every if one.setting == setting), every[0])
    return {
        "system": system.name,
        "recipe": system.settings(0).name,
        "set": list(system.changes),
        "chosen": None if setting is None else list(setting),
        "tried": {" ".join(one.setting): one.metrics.get(monitor) for one in first},
        "monitor": monitor,
        "seconds": round(sum(one.cost.seconds for one in every)),
        "run_seconds": round(_seconds(chosen)),
        "runs": len(every),
        "device": chosen.cost.device,
    }


def _seconds(outcome: RunOutcome) -> float:
    """Of one training, without the features that runs share."""
    return max(0.0, outcome.cost.seconds - outcome.cost.features_s)


def _cost_table(costs: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| system | chosen on the validation split | tried there | one run | all runs |", "|---|---|---|---|---|"]
    for each in costs:
        tried = [f"{name or 'as planned'}: {_score(value)}" for name, value in each["tried"].items()]
        lines.append(
            f"| {each['system']} | {_setting(each['chosen'])} | {'; '.join(tried)} | "
            f"{each['run_seconds']:,} s | {each['seconds']:,} s in {each['runs']} on {each['device']} |"
        )
    return lines


def _setting(chosen: list[str] | None) -> str:
    return "not chosen yet" if chosen is None else " ".join(chosen) or "as planned"


def _score(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.3f}".lstrip("0")
