"""Which recipe makes a brought backbone better, from few pairs: the table of docs/backbones.md.

    python benchmarks/brought.py DATA/viton OUT --backbone efficientnet_lite0 --backbone efficientnet_lite2=lite2.pth

Each backbone is trained by every recipe of ``benchmarks/brought.toml`` on the same pairs of ``train`` and
judged on ``val``, clean and corrupted. `as brought` is the mean of its last maps, untrained. What is done stays.
"""

import argparse
import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from osoroi.evaluation import compare, results
from osoroi.evaluation.compare import Comparison
from osoroi.experiment import cached_crops, check, plan, run
from osoroi.experiment.run import Experiment
from osoroi.model.build import packaged
from osoroi.training import run as runs

PLAN = Path(__file__).with_suffix(".toml")

UNFROZEN = {"efficientnet_lite0": 8, "efficientnet_lite2": 10, "vit_tiny_patch16_224": 12}
"""Blocks of a backbone that are trained: half of a large one, and all of the ViT, which cannot be cut."""

AS_BROUGHT, METRICS = "as brought", ("hit@5", "nDCG@5")


def subset(data: Path, folder: Path, sizes: dict[str, int | None]) -> Path:
    """A data set like ``data`` with so many products of each of these splits, drawn by seed 0; None takes all."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    chosen: set[str] = set()
    for split, size in sizes.items():
        items = sorted({line["item_id"] for line in lines if line["split"] == split})
        chosen.update(items if size is None else random.Random(0).sample(items, size))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows(line for line in lines if line["item_id"] in chosen)
    for role in ("street", "shop"):
        if not (folder / role).exists():
            (folder / role).symlink_to((data / role).resolve())
    return folder


def experiment_of(backbone: str, data: Path, out: Path, epochs: int) -> Experiment:
    """The plan for ``NAME`` or ``NAME=FILE``."""
    name, _, weights = backbone.partition("=")
    file = weights or packaged(name)
    folders = {"name": name, "blocks": str(UNFROZEN[name]), "weights": str(file), "data": str(data)}
    folders["epochs"] = str(epochs)
    return Experiment(plan.read(PLAN, **folders, out=str(out / name)), out / name, lambda line: print(line, flush=True))


def evaluate_as_brought(experiment: Experiment) -> None:
    """Evaluate the backbone's own vectors: the mean of its last maps, at unit length."""
    quick = experiment.plan.system("quick")
    network, config = runs.load(experiment.folder(quick, (), 0))
    head = network.heads["deep"]
    features = len(head.centre)
    head.centre.zero_(), head.spread.fill_(1.0)
    head.linear = nn.Linear(features, features)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(features)), head.linear.bias.zero_()
    network.parts = (replace(network.parts[0], size=features, weight=1.0), replace(network.parts[1], weight=0.0))
    encoder = cached_crops.NetworkEncoder(network, config.recipe, quick.dataset)
    for one in experiment.plan.evaluations_of(quick):
        path = experiment.out / "evaluations" / one.name / f"{AS_BROUGHT}-0.json"
        if not path.exists():
            results.save(cached_crops.evaluate(encoder, one.task, experiment.out / "crops"), path)


def gains(comparison: Comparison) -> dict[str, list[float]]:
    """The difference over all queries in each metric, with its interval."""
    return {row.metric: [round(side, 4) for side in row.interval] for row in comparison.differences if not row.category}


def table(experiment: Experiment) -> dict[str, object]:
    """For each evaluation and system: means of `deep` and of both parts, gains over as brought and over quick."""
    found: dict[str, object] = {}
    for one in experiment.plan.evaluations.values():
        files = {system.name: experiment.evaluation(one.name, system, 0) for system in experiment.plan.systems}
        files[AS_BROUGHT] = experiment.out / "evaluations" / one.name / f"{AS_BROUGHT}-0.json"
        read = {name: results.read(path) for name, path in files.items() if path.exists()}
        rows: dict[str, object] = {}
        for name, evaluation in read.items():
            arms = [arm.name for arm in evaluation.plain_arms]
            row: dict[str, object] = {
                arm: {metric: [round(side, 4) for side in interval] for metric, interval in shown.items()}
                for arm in arms
                if (shown := results.means(evaluation, arm, METRICS))
            }
            if name != AS_BROUGHT:
                first, quick = (compare.system(each, "deep", [read[each]]) for each in (name, AS_BROUGHT))
                row["deep over as brought"] = gains(compare.compare(first, quick, metrics=METRICS))
            if name not in (AS_BROUGHT, "quick"):
                row["over quick"] = gains(compare.compare(evaluation, read["quick"], metrics=METRICS))
            rows[name] = row
        found[one.name] = rows
    return found


def main() -> None:
    """Train and evaluate what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--val", type=int, help="products of val; all without it")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data = subset(arguments.data, arguments.out / "pairs", {"train": arguments.pairs, "val": arguments.val})
    tables: dict[str, object] = {"pairs": arguments.pairs, "val": arguments.val, "epochs": arguments.epochs}
    for backbone in arguments.backbone:
        experiment = experiment_of(backbone, data, arguments.out, arguments.epochs)
        check.check(experiment, run.selected(experiment.plan, ()))
        run.run(experiment)
        evaluate_as_brought(experiment)
        costs = {system.name: run.outcomes(experiment, system)[0].cost.seconds for system in experiment.plan.systems}
        tables[backbone.partition("=")[0]] = {"seconds": costs} | table(experiment)
        if arguments.json:
            arguments.json.write_text(json.dumps(tables, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
