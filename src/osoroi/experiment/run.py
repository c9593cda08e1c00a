"""Run a plan: search over settings, train with every seed, export, evaluate. What is done is not done again.

``FOLDER/runs/SYSTEM/SETTING-SEED`` are runs as `osoroi train` writes them, ``FOLDER/encoders/SYSTEM-SEED.onnx``
encoder files, ``FOLDER/evaluations/EVALUATION/SYSTEM-SEED.json`` evaluations as `osoroi evaluate --json` writes them.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from osoroi import files
from osoroi.encoder import DEFAULT, Encoder
from osoroi.errors import BadRequest, BadRun
from osoroi.evaluation import results
from osoroi.evaluation.results import Evaluation
from osoroi.experiment import cached_crops, per_category
from osoroi.experiment.plan import Plan, PlannedEvaluation, PlannedSystem, Setting
from osoroi.training import loop, train
from osoroi.training import run as runs
from osoroi.training.distributed import Place

OUTCOME, COST = "outcome.json", "cost.json"

SAY_EVERY_S = 60.0
"""Seconds between two lines about one training."""

METRICS = ("hit@1", "hit@5", "nDCG@5")
"""Metrics that lines about a system name."""

Say = Callable[[str], None]
"""Called with a line about what has been done."""


class Cost(NamedTuple):
    """Seconds of a run, those of them that computed features which runs share, and what it ran on."""

    seconds: float
    features_s: float
    device: str


@dataclass(frozen=True)
class Outcome:
    """A finished run: the setting that was tried, its seed, metrics on the validation split (none where the training
    diverged), and its cost."""

    setting: Setting
    seed: int
    metrics: dict[str, float]
    cost: Cost


@dataclass(frozen=True)
class Experiment:
    """A plan and the folder where it is run; ``device`` is what trains."""

    plan: Plan
    out: Path
    say: Say = lambda line: None
    device: str | None = None

    def folder(self, system: PlannedSystem, setting: Setting, seed: int) -> Path:
        """The folder of a run."""
        return self.out / "runs" / system.name / f"{','.join(setting) or 'as-planned'}-{seed}"

    def encoder(self, system: PlannedSystem, seed: int) -> Path:
        """The encoder file of a system."""
        return self.out / "encoders" / f"{system.name}-{seed}.onnx"

    def evaluation(self, evaluation: str, system: PlannedSystem, seed: int) -> Path:
        """The file of an evaluation."""
        return self.out / "evaluations" / evaluation / f"{system.name}-{seed}.json"


def run(experiment: Experiment, only: Sequence[str] = ()) -> None:
    """Run every system of a plan, or those whose name contains one of some words."""
    for system in experiment.plan.systems:
        if not only or any(word in system.name for word in only):
            run_system(experiment, system)


def run_system(experiment: Experiment, system: PlannedSystem) -> None:
    """Search, train with every seed, export the first and evaluate, where that has not been done."""
    setting = choose(experiment, system)
    for seed in system.seeds:
        missing = [
            one
            for one in experiment.plan.evaluations_of(system)
            if not experiment.evaluation(one.name, system, seed).exists()
        ]
        if not system.by_category and system.encoder is None:
            train_once(experiment, system, setting, seed)
            if experiment.plan.export and seed == system.seeds[0] and not experiment.encoder(system, seed).exists():
                export(experiment, system, setting, seed)
        if missing:
            evaluate(experiment, system, setting, seed, missing)


def choose(experiment: Experiment, system: PlannedSystem) -> Setting:
    """The setting with the best monitored metric on the validation split, trained with the first seed."""
    axes = system.search.axes
    if not axes:
        return ()
    if system.search.grid:
        return _chosen(experiment, system, best(experiment, system, system.search.combinations()))
    setting = tuple(f"{key}={values[0]}" for key, values in axes)
    for place, (key, values) in enumerate(axes):
        tried = [(*setting[:place], f"{key}={value}", *setting[place + 1 :]) for value in values]
        setting = best(experiment, system, tried)
    return _chosen(experiment, system, setting)


def _chosen(experiment: Experiment, system: PlannedSystem, setting: Setting) -> Setting:
    """The setting that a search chose; it is written down for the report."""
    path = experiment.out / "settings" / f"{system.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, json.dumps(setting).encode())
    experiment.say(f"{system.name}: {' '.join(setting)} is best on the validation split")
    return setting


def chosen_setting(experiment: Experiment, system: PlannedSystem) -> Setting | None:
    """The setting that a finished search chose; None where it has not finished."""
    path = experiment.out / "settings" / f"{system.name}.json"
    if not system.search.axes:
        return ()
    if not path.exists():
        return None
    try:
        return tuple(files.from_json(files.content(path)))
    except (OSError, ValueError, TypeError) as error:
        raise BadRun(f"{path} holds no settings ({error})", hint="remove it, and run the experiment again") from error


def best(experiment: Experiment, system: PlannedSystem, settings: Sequence[Setting]) -> Setting:
    """The best of some settings; of ties the first. One whose training diverges is last."""
    monitor = system.settings(0).monitor
    scores = [
        train_once(experiment, system, setting, system.seeds[0]).metrics.get(monitor, -1.0) for setting in settings
    ]
    return settings[scores.index(max(scores))]


def train_once(experiment: Experiment, system: PlannedSystem, setting: Setting, seed: int) -> Outcome:
    """The outcome of one training, which is done now or gone on with if need be."""
    folder = experiment.folder(system, setting, seed)
    config = _config(experiment.plan, system, setting, seed)
    if (folder / OUTCOME).exists():
        if replace(runs.read_config(folder), version=config.version) != config:
            raise BadRun(f"{folder} was trained otherwise", hint="give each plan an --out of its own")
        return read_outcome(folder)
    with _timed(folder) as clock:
        try:
            metrics = runs.run(
                config,
                folder,
                resume=(folder / runs.CONFIG).exists(),
                cache=experiment.out / "features",
                callbacks=_callbacks(experiment, f"{system.name} {' '.join(setting)} seed {seed}", clock),
                on=Place(experiment.device),
            )
        except loop.Diverged as error:
            if not system.search.axes:
                raise
            experiment.say(f"{system.name} {' '.join(setting)}: {error.what}")
            metrics = {}
    cost = Cost(clock.spent_s(), clock.features_s, _device())
    outcome = Outcome(setting, seed, metrics, cost)
    files.write_atomically(folder / OUTCOME, json.dumps(asdict(outcome) | {"cost": cost._asdict()}).encode())
    (folder / loop.LAST).unlink(missing_ok=True)  # the optimiser's state, which is only for resuming
    experiment.say(f"{system.name} {' '.join(setting)} seed {seed}: {cost.seconds:.0f} s, {_text(metrics)}")
    return outcome


def export(experiment: Experiment, system: PlannedSystem, setting: Setting, seed: int) -> None:
    """Write the encoder file; it is checked against the network on crops of the validation split."""
    path = experiment.encoder(system, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    train.export_run(experiment.folder(system, setting, seed), path, licence=experiment.plan.licence)
    experiment.say(f"{system.name} seed {seed}: exported")


def evaluate(
    experiment: Experiment,
    system: PlannedSystem,
    setting: Setting,
    seed: int,
    evaluations: Sequence[PlannedEvaluation],
) -> None:
    """Write the evaluations of a system."""
    encoder = None if system.by_category else open_encoder(experiment, system, setting, seed)
    for one in evaluations:
        began = time.monotonic()
        if encoder is None:
            parts = [experiment.plan.system(name) for name in system.by_category]
            paths = {each.settings(seed).category: experiment.evaluation(one.name, each, seed) for each in parts}
            evaluation = per_category.joined(paths)
        else:
            task = one.task if system.encoder is None else replace(one.task, encoder=system.encoder)
            evaluation = cached_crops.evaluate(encoder, task, experiment.out / "crops")
        path = experiment.evaluation(one.name, system, seed)
        results.save(evaluation, path)
        means = results.means(evaluation, evaluation.main, METRICS)
        figures = ", ".join(f"{name} {interval.mean:.3f}" for name, interval in means.items())
        experiment.say(f"{system.name} seed {seed}, {one.name}: {figures} ({time.monotonic() - began:.0f} s)")


def open_encoder(experiment: Experiment, system: PlannedSystem, setting: Setting, seed: int) -> Encoder:
    """The encoder of a system: a file as it is, or the network of a run."""
    if system.encoder is not None:
        return Encoder.open(DEFAULT if system.encoder == "default" else Path(system.encoder))
    network, config = runs.load(experiment.folder(system, setting, seed))
    return cached_crops.NetworkEncoder(network, config.recipe, system.dataset)


def read_evaluation(experiment: Experiment, one: PlannedEvaluation, system: PlannedSystem, seed: int) -> Evaluation:
    """A stored evaluation; raises BadRun where it is of another task than the plan's."""
    path = experiment.evaluation(one.name, system, seed)
    evaluation = results.read(path)
    if replace(evaluation.task, encoder=None) != replace(one.task, encoder=None):
        raise BadRun(
            f"{path} is of another task than the plan's: {evaluation.task}",
            hint="remove it to evaluate anew, or give each plan an --out of its own",
        )
    return evaluation


def read_outcome(folder: Path) -> Outcome:
    """The outcome of a finished run; raises BadRun where there is none."""
    try:
        fields = files.from_json(files.content(folder / OUTCOME))
        return Outcome(tuple(fields["setting"]), fields["seed"], fields["metrics"], Cost(**fields["cost"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(f"{folder} holds no outcome ({error})", hint="run the experiment again: it goes on") from error


def outcomes(experiment: Experiment, system: PlannedSystem) -> list[Outcome]:
    """Every finished run of a system, by setting and seed."""
    folders = sorted((experiment.out / "runs" / system.name).glob(f"*/{OUTCOME}"))
    return [read_outcome(path.parent) for path in folders]


def _config(plan: Plan, system: PlannedSystem, setting: Setting, seed: int) -> runs.RunConfig:
    if not system.dataset:
        raise BadRequest(f"system {system.name!r} has no dataset to train on")
    return runs.RunConfig(
        (system.dataset,),
        system.settings(seed, setting),
        backbone=system.backbone,
        foreground=system.foreground,
        validation_share=plan.validation_share,
    )


class Clock:
    """Seconds since it was made, added to those of before a run was stopped; and those until features were there."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.began = self.said = time.monotonic()
        self.features_s = 0.0

    def spent_s(self) -> float:
        """Seconds of all attempts."""
        return self.before + time.monotonic() - self.began


@contextmanager
def _timed(folder: Path) -> Iterator[Clock]:
    """Adds up the seconds of a run over the times that it was stopped, unless it was killed outright."""
    path = folder / COST
    try:
        before_s = float(files.from_json(files.content(path))["seconds"]) if path.exists() else 0.0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(f"{path} holds no cost ({error})", hint="remove it, and run the experiment again") from error
    clock = Clock(before_s)
    try:
        yield clock
    finally:
        if folder.exists():
            files.write_atomically(path, json.dumps({"seconds": clock.spent_s()}).encode())


def _callbacks(experiment: Experiment, name: str, clock: Clock) -> runs.Callbacks:
    def on_counts(counts: runs.PairCounts) -> None:
        origins = "; ".join(dict.fromkeys(counts.origins))
        experiment.say(
            f"{name}: {counts.training:,} products to learn from, {counts.validation:,} held out ({origins})"
        )

    def on_features(done: int, total: int) -> None:
        clock.features_s = time.monotonic() - clock.began
        _progress(f"{done:,} of {total:,} views cached")

    def on_step(step: loop.Step) -> None:
        _progress(f"epoch {step.epoch + 1}/{step.epochs}, {step.left_s:.0f} s left")

    def _progress(text: str) -> None:
        if time.monotonic() - clock.said > SAY_EVERY_S:
            clock.said = time.monotonic()
            experiment.say(f"{name}: {text}")

    return runs.Callbacks(on_counts=on_counts, on_features=on_features, on_step=on_step)


def _device() -> str:
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{torch.get_num_threads()} CPU threads"


def _text(metrics: dict[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if "@" in name)
    return f"held out {figures or 'nothing: it diverged'}"
