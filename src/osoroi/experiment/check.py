"""What can be known before anything is trained: files, data sets, splits, networks, and what the folder holds already.

A plan runs for hours, and a mistake in its last system would show at their end.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from osoroi.data.readers import open_dataset
from osoroi.errors import BadRequest, OsoroiError
from osoroi.evaluation import queries, results
from osoroi.experiment import run
from osoroi.experiment.plan import PlannedEvaluation, PlannedSystem, Setting
from osoroi.experiment.run import Experiment
from osoroi.training import run as runs
from osoroi.training import selection


def check(experiment: Experiment, systems: Sequence[PlannedSystem]) -> None:
    """Raise the error that some systems would end in, with their name before it."""
    for system in systems:
        with _of(f"system {system.name!r}"):
            _check_files(experiment, system)
            _check_begun(experiment, system)
            _check_evaluated(experiment, system)
    _check_datasets(experiment, systems)


@contextlib.contextmanager
def _of(what: str) -> Iterator[None]:
    """Put before an error what it is about."""
    try:
        yield
    except OsoroiError as error:
        raise type(error)(f"{what}: {error.what}", hint=error.hint) from error


def _check_files(experiment: Experiment, system: PlannedSystem) -> None:
    """Raise BadRequest for a file that is not there, unless the experiment itself will write it."""
    named = {"encoder": system.encoder, "backbone": system.backbone, "foreground": system.foreground}
    for key, path in named.items():
        is_written = path is not None and experiment.out.absolute() in Path(path).absolute().parents
        if path not in (None, "default") and not is_written and not Path(str(path)).exists():
            raise BadRequest(f"{key} = {path} is not there", hint="check the path, and what `folder` names")


def _check_begun(experiment: Experiment, system: PlannedSystem) -> None:
    """Raise BadRun where a run was begun otherwise, and the network's own error where none can be built."""
    if not run.is_trained(system):
        return
    configs = {
        (setting, seed): run.config_of(experiment.plan, system, setting, seed)
        for setting in run.begun(experiment, system)
        for seed in system.seeds
    }
    for (setting, seed), config in configs.items():
        folder = experiment.folder(system, setting, seed)
        if (folder / runs.CONFIG).exists():
            run.require_same(folder, config)
    if not _is_done(experiment, system, run.chosen_setting(experiment, system)):
        first = next(iter(configs.values()))
        if not runs.is_brought(first.backbone):  # is read as a whole to be built
            runs.build_network(first, empty=True)


def _is_done(experiment: Experiment, system: PlannedSystem, setting: Setting | None) -> bool:
    """Whether every seed of the chosen setting is trained."""
    return setting is not None and all(
        (experiment.folder(system, setting, seed) / run.OUTCOME).exists() for seed in system.seeds
    )


def _check_evaluated(experiment: Experiment, system: PlannedSystem) -> None:
    for one in experiment.plan.evaluations_of(system):
        for seed in system.seeds:
            if experiment.evaluation(one.name, system, seed).exists():
                run.read_evaluation(experiment, one, system, seed)


def _is_evaluated(experiment: Experiment, one: PlannedEvaluation, system: PlannedSystem, seed: int) -> bool:
    """Whether an evaluation will stay, as far as is known: that of a network which is not there may not."""
    path = experiment.evaluation(one.name, system, seed)
    now = run.network_of(experiment, system, seed) if path.exists() else ""
    return bool(now) and results.read(path).encoder == now


def _check_datasets(experiment: Experiment, systems: Sequence[PlannedSystem]) -> None:
    """Raise BadDataset where there is nothing to learn from, or no query to evaluate with. Each is read once."""
    plan = experiment.plan
    learned = {
        (one.dataset, one.settings(one.seeds[0]).category)
        for one in systems
        if run.is_trained(one) and not _is_done(experiment, one, run.chosen_setting(experiment, one))
    }
    for name, category in sorted(learned):
        with _of(f"dataset {name!r}"):
            for split in ("train", "val"):
                selection.select([open_dataset(name)], split, category=category, validation_share=plan.validation_share)
    tasks = {
        one.name.removesuffix("-corrupted"): one.task
        for system in systems
        for one in plan.evaluations_of(system)
        if not all(_is_evaluated(experiment, one, system, seed) for seed in system.seeds)
    }
    for name, task in tasks.items():
        with _of(f"evaluation {name!r}"):
            queries.build_evaluation_set(open_dataset(task.dataset), task.protocol)
            for other in task.distractors:
                open_dataset(other)
