"""The answers of an experiment as tables: each system's mean over seeds, and what it gains over one of them.

    python -m benchmarks.experiment.tables viton.toml --out FOLDER --against frozen:both [--json FILE] [--by-category]

A system is a trial and an arm of it, ``TRIAL:ARM``. The mean is over queries and seeds, with the lowest and highest
seed behind it; the difference is paired by query, each query's mean over seeds, with its 95% interval over products.
Differences that `osoroi compare` would not call shown stand in brackets.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.experiment.plan import Plan, Question
from benchmarks.experiment.run import opened_plan, path_of

from osoroi.evaluation import compare, results
from osoroi.evaluation.compare import Difference, Spread, System

METRICS = ("hit@1", "hit@5", "nDCG@5")


@dataclass(frozen=True)
class Line:
    """What one system did in one question, and against the one it is compared with."""

    system: System
    spreads: dict[str, Spread]
    gains: dict[str, Difference]


def systems_of(experiment: Plan, question: Question, out: Path, arms: Sequence[str] | None) -> list[System]:
    """Every arm of every trial that has answered with all its seeds; some arms, or where none are named all."""
    found = []
    for trial in experiment.trials:
        paths = [path_of(out, question.name, trial, seed) for seed in trial.seeds]
        if question in experiment.asked(trial) and all(path.exists() for path in paths):
            answers = [results.read(path) for path in paths]
            for arm in answers[0].plain_arms:
                if arms is None or arm.name in arms or arm.name == answers[0].main:
                    found.append(compare.system(f"{trial.name}:{arm.name}", arm.name, answers))
    return found


def lines_of(systems: Sequence[System], against: str | None, category: str | None = None) -> list[Line]:
    """A line for each system; gains over the one called ``against``, where it is among them."""
    other = next((one for one in systems if one.name == against), None)
    found = []
    for one in systems:
        gains = {}
        if other is not None and one is not other:
            gains = {
                each.metric: each
                for each in compare.compare(one, other, metrics=METRICS).differences
                if each.category == category
            }
        found.append(Line(one, {name: compare.seed_spread(one, name, category) for name in METRICS}, gains))
    return found


def table(lines: Sequence[Line]) -> str:
    """Markdown."""
    rows = ["| system | seeds | " + " | ".join(f"{name} | gain" for name in METRICS) + " |"]
    rows.append("|---" * (2 + 2 * len(METRICS)) + "|")
    for line in lines:
        cells = [line.system.name, str(len(line.system.evaluations))]
        for name in METRICS:
            cells += [_mean(line.spreads[name]), _gain(line.gains.get(name))]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _mean(spread: Spread) -> str:
    mean, low, high = (f"{value:.3f}".lstrip("0") for value in (spread.mean, spread.low, spread.high))
    return mean if low == high else f"{mean} ({low}–{high})"


def _gain(gain: Difference | None) -> str:
    if gain is None:
        return ""
    mean, low, high = (f"{100 * value:+.1f}" for value in gain.interval)
    told = f"{mean} [{low}, {high}]"
    return told if gain.verdict != "not shown" else f"({told})"


def summary(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The same for machines: shares of 1, rounded."""
    return [
        {
            "system": line.system.name,
            "seeds": len(line.system.evaluations),
            "encoders": [each.encoder[:12] for each in line.system.evaluations],
            "metrics": {
                name: [round(value, 4) for value in (one.mean, one.low, one.high)] for name, one in line.spreads.items()
            },
            "gains": {name: [round(value, 4) for value in one.interval] for name, one in line.gains.items()},
        }
        for line in lines
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", help="TRIAL:ARM that all others are compared with")
    parser.add_argument("--arms", nargs="*", help="arms to show beside each trial's own mix; all where none is named")
    parser.add_argument("--by-category", action="store_true")
    parser.add_argument("--json", type=Path, help="a file to add the figures to, under the plan's name")
    arguments = parser.parse_args()
    experiment = opened_plan(arguments.plan, arguments.out)
    told: dict[str, Any] = {}
    for question in experiment.questions.values():
        systems = systems_of(experiment, question, arguments.out, arguments.arms)
        if not systems:
            continue
        categories = systems[0].evaluations[0].categories if arguments.by_category else []
        for category in [None, *categories]:
            lines = lines_of(systems, arguments.against, category)
            name = question.name if category is None else f"{question.name}, {category}"
            queries = int(systems[0].evaluations[0].in_category(category).sum())
            print(f"\n{name}: {queries:,} queries, {systems[0].evaluations[0].data.products:,} products\n")
            print(table(lines))
            told[name] = {"queries": queries, "against": arguments.against, "systems": summary(lines)}
    if arguments.json:
        held = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else {}
        held[arguments.plan.stem] = told
        arguments.json.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
