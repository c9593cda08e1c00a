"""Run a plan: search over settings, train with every seed, export, evaluate. What is done is not done again.

What is of another network than the present one is removed or done anew: each evaluation says which encoder it is of,
and the outcome of a run what its network and its exported file are.

``FOLDER/runs/SYSTEM/SETTING-SEED`` are runs as `osoroi train` writes them, ``FOLDER/encoders/SYSTEM-SEED.onnx``
encoder files, ``FOLDER/evaluations/EVALUATION/SYSTEM-SEED.json`` evaluations as `osoroi evaluate --json` writes them.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from osoroi import files
from osoroi.encoder import DEFAULT, Encoder
from osoroi.errors import BadRequest, BadRun
from osoroi.evaluation import results
from osoroi.evaluation.results import Evaluation
from osoroi.experiment import cached_crops, per_category
from osoroi.experiment.clock import Clock, Cost, timed
from osoroi.experiment.plan import ExperimentPlan, PlannedEvaluation, PlannedSystem, Setting
from osoroi.training import loop, train
from osoroi.training import run as runs
from osoroi.training.distributed import Launch
from osoroi.training.selection import Datasets

OUTCOME = "outcome.json"

SAY_EVERY_S = 60.0
"""Seconds between two lines about one training."""

METRICS = ("hit@1", "hit@5", "nDCG@5")
"""Metrics that lines about a system name."""

Say = Callable[[str], None]
"""Called with a line about what has been done."""


@dataclass(frozen=True)
class RunOutcome:
    """A finished run: the setting that was tried, its seed, metrics on the validation split (none where the training
    diverged), and its cost.

    ``network`` is the fingerprint of its network, ``exported`` the SHA-256 of its encoder file, where they are known.
    """

    setting: Setting
    seed: int
    metrics: dict[str, float]
    cost: Cost
    network: str = ""
    exported: str = ""


@dataclass(frozen=True)
class Experiment:
    """A plan and the folder where it is run; ``device`` is what trains."""

    plan: ExperimentPlan
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


def run(experiment: Experiment, only: Sequence[str] = (), seeds: Sequence[int] = ()) -> None:
    """Run every system of a plan, or those whose name contains one of some words; with all its seeds, or some."""
    for system in selected(experiment.plan, only, seeds):
        run_system(experiment, system, seeds)


def selected(plan: ExperimentPlan, only: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[PlannedSystem]:
    """Every system of a plan, or those whose name contains one of some words; raises BadRequest where none does, and
    where none of them has one of some seeds."""
    systems = [one for one in plan.systems if not only or any(word in one.name for word in only)]
    if not systems:
        names = ", ".join(one.name for one in plan.systems)
        raise BadRequest(f"no system's name contains {' or '.join(map(repr, only))}", hint=f"the plan has {names}")
    there = sorted({seed for one in systems for seed in one.seeds})
    if unknown := sorted(set(seeds).difference(there)):
        raise BadRequest(f"no system has seed {unknown[0]}", hint=f"these systems have {', '.join(map(str, there))}")
    return systems


def run_system(experiment: Experiment, system: PlannedSystem, seeds: Sequence[int] = ()) -> None:
    """Search, train with every seed or with some of them, export the first and evaluate, where that has not been done
    with the network that there is now. A system that has none of these seeds is left alone."""
    own = [seed for seed in system.seeds if not seeds or seed in seeds]
    setting = choose(experiment, system) if own else ()
    for seed in own:
        if is_trained(system):
            train_once(experiment, system, setting, seed)
            _export_anew(experiment, system, setting, seed)
        missing = [
            one for one in experiment.plan.evaluations_of(system) if not _evaluated(experiment, one, system, seed)
        ]
        if missing:
            evaluate(experiment, system, setting, seed, missing)


def is_trained(system: PlannedSystem) -> bool:
    """Whether a system is trained, and no file and no set of others."""
    return system.encoder is None and not system.by_category


def network_of(experiment: Experiment, system: PlannedSystem, seed: int) -> str:
    """The fingerprint of what a system is now, as its evaluations name it; empty where that is not there."""
    if system.by_category:
        parts = [network_of(experiment, experiment.plan.system(name), seed) for name in system.by_category]
        return per_category.named(parts) if all(parts) else ""
    if system.encoder is not None:
        there = system.encoder == "default" or Path(system.encoder).exists()
        return open_encoder(experiment, system, (), seed).fingerprint if there else ""
    setting = chosen_setting(experiment, system)
    if setting is None:
        return ""
    folder = experiment.folder(system, setting, seed)
    if not (folder / OUTCOME).exists():
        return ""
    outcome = read_outcome(folder)
    if not outcome.network and (folder / loop.BEST).exists():
        outcome = replace(outcome, network=open_encoder(experiment, system, setting, seed).fingerprint)
        write_outcome(folder, outcome)
    return outcome.network


def is_current(experiment: Experiment, one: PlannedEvaluation, system: PlannedSystem, seed: int) -> bool:
    """Whether a stored evaluation is of what the system is now; so is every one whose system is not there."""
    now = network_of(experiment, system, seed)
    return now in ("", results.read(experiment.evaluation(one.name, system, seed)).encoder)


def _evaluated(experiment: Experiment, one: PlannedEvaluation, system: PlannedSystem, seed: int) -> bool:
    path = experiment.evaluation(one.name, system, seed)
    if not path.exists():
        return False
    if not is_current(experiment, one, system, seed):
        experiment.say(f"{path} is of another network than the one that there is now, and is done anew")
        return False
    return True


def _export_anew(experiment: Experiment, system: PlannedSystem, setting: Setting, seed: int) -> None:
    """Remove an encoder file that is not known to be of this run, and export the first seed where there is none."""
    path, folder = experiment.encoder(system, seed), experiment.folder(system, setting, seed)
    if path.exists() and read_outcome(folder).exported != sha256(files.content(path)).hexdigest():
        experiment.say(f"{path} is not known to be of the network that there is now, and is removed")
        path.unlink()
    if experiment.plan.export and seed == system.seeds[0] and not path.exists():
        export(experiment, system, setting, seed)
        exported = sha256(files.content(path)).hexdigest()
        write_outcome(folder, replace(read_outcome(folder), exported=exported))


def choose(experiment: Experiment, system: PlannedSystem) -> Setting:
    """The setting with the best monitored metric on the validation split, trained with the first seed."""
    search = system.search
    if not search.axes:
        return ()
    if search.grid:
        return _chosen(experiment, system, best(experiment, system, search.combinations()))
    setting = search.first
    for axis in range(len(search.axes)):
        setting = best(experiment, system, search.along(axis, setting))
    return _chosen(experiment, system, setting)


def begun(experiment: Experiment, system: PlannedSystem) -> list[Setting]:
    """The settings that a search has begun with, as far as it is, and those it tries next; one without any setting
    where nothing is searched."""
    search = system.search
    if search.grid or not search.axes:
        return search.combinations()
    setting, settings = search.first, dict[Setting, None]()
    for axis in range(len(search.axes)):
        tried = search.along(axis, setting)
        settings |= dict.fromkeys(tried)
        if not all((experiment.folder(system, one, system.seeds[0]) / OUTCOME).exists() for one in tried):
            break
        setting = best(experiment, system, tried)
    return list(settings)


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


def train_once(experiment: Experiment, system: PlannedSystem, setting: Setting, seed: int) -> RunOutcome:
    """The outcome of one training, which is done now or gone on with if need be."""
    folder = experiment.folder(system, setting, seed)
    config = config_of(experiment.plan, system, setting, seed)
    if (folder / OUTCOME).exists():
        require_same(folder, config)
        return read_outcome(folder)
    with timed(folder) as clock:
        try:
            metrics = runs.run(
                config,
                folder,
                select=Datasets(config).select,
                resume=(folder / runs.CONFIG).exists(),
                cache=experiment.out / "features",
                callbacks=_callbacks(experiment, f"{system.name} {' '.join(setting)} seed {seed}", clock),
                on=Launch(experiment.device),
            )
        except loop.Diverged as error:
            if not system.search.axes:
                raise
            experiment.say(f"{system.name} {' '.join(setting)}: {error.what}")
            metrics = {}
    outcome = RunOutcome(setting, seed, metrics, cost := clock.cost())
    write_outcome(folder, outcome)
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
    if encoder is not None and is_trained(system):
        folder = experiment.folder(system, setting, seed)
        outcome = read_outcome(folder)
        if outcome.network != encoder.fingerprint:
            write_outcome(folder, replace(outcome, network=encoder.fingerprint))
    for one in evaluations:
        began = time.monotonic()
        if encoder is None:
            parts = [experiment.plan.system(name) for name in system.by_category]
            _require_current(experiment, one, parts, seed)
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


def _require_current(experiment: Experiment, one: PlannedEvaluation, parts: Sequence[PlannedSystem], seed: int) -> None:
    """Raise BadRun where an evaluation of one of several systems is of another network than it has now."""
    for part in parts:
        if not is_current(experiment, one, part, seed):
            path = experiment.evaluation(one.name, part, seed)
            raise BadRun(f"{path} is of another network than the one that there is now", hint=f"run {part.name} first")


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
    before, now = (asdict(replace(task, encoder=None)) for task in (evaluation.task, one.task))
    if before != now:
        changed = runs.differences(before | before.pop("protocol"), now | now.pop("protocol"))
        raise BadRun(
            f"{path} is of another task than the plan's: {changed}",
            hint="remove it to evaluate anew, or give each plan an `out` of its own",
        )
    return evaluation


def read_outcome(folder: Path) -> RunOutcome:
    """The outcome of a finished run; raises BadRun where there is none."""
    try:
        fields = files.from_json(files.content(folder / OUTCOME))
        return RunOutcome(**(fields | {"setting": tuple(fields["setting"]), "cost": Cost(**fields["cost"])}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(f"{folder} holds no outcome ({error})", hint="run the experiment again: it goes on") from error


def write_outcome(folder: Path, outcome: RunOutcome) -> None:
    """Write the outcome of a finished run down."""
    fields = asdict(outcome) | {"cost": outcome.cost._asdict()}
    files.write_atomically(folder / OUTCOME, json.dumps(fields).encode())


def outcomes(experiment: Experiment, system: PlannedSystem) -> list[RunOutcome]:
    """Every finished run of a system, by setting and seed."""
    folders = sorted((experiment.out / "runs" / system.name).glob(f"*/{OUTCOME}"))
    return [read_outcome(path.parent) for path in folders]


def require_same(folder: Path, config: runs.RunConfig) -> None:
    """Raise BadRun where the run in a folder began with something else."""
    if (told := runs.begun_otherwise(folder, config)) is not None:
        raise BadRun(
            f"{folder} was trained otherwise: {told}",
            hint="give each plan an `out` of its own, or remove this folder to train it anew",
        )


def config_of(plan: ExperimentPlan, system: PlannedSystem, setting: Setting, seed: int) -> runs.RunConfig:
    """What one training of a system begins with."""
    if not system.dataset:
        raise BadRequest(f"system {system.name!r} has no dataset to train on")
    return runs.RunConfig(
        (system.dataset,),
        system.settings(seed, setting),
        backbone=system.backbone,
        foreground=system.foreground,
        validation_share=plan.validation_share,
    )


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


def _text(metrics: dict[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if "@" in name)
    return f"held out {figures or 'nothing: it diverged'}"
