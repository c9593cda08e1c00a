"""The metrics of a run in other places: Weights & Biases, MLflow, and what packages register as ``osoroi.trackers``.

``metrics.csv`` has every figure in any case: a tracker that fails is said once for each epoch, and training goes on.
"""

import importlib
import logging
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from osoroi import files, plugins
from osoroi.errors import BadRequest

PROJECT = "osoroi"
"""Project of W&B and experiment of MLflow, where WANDB_PROJECT and MLFLOW_EXPERIMENT_NAME name none."""

_LOG = logging.getLogger(__name__)


@runtime_checkable
class Tracker(Protocol):
    """Gets the metrics of each epoch; epoch 0 is what was measured before the first step.

    One that has a method ``fail()`` gets it in place of ``close()`` where an error or an interruption ended the run.
    """

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Called once an epoch, and once more for an epoch in which the run was stopped."""

    def close(self) -> None:
        """Called when the run ends, whether it finished or not."""


Opener = Callable[[Path, Mapping[str, Any]], Tracker]
"""Makes a tracker of the folder of a run and of what the run began with, flat and of numbers and texts."""


class Wandb:
    """Weights & Biases; a resumed run goes on as the same one."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        module = _module("wandb")
        self.run = module.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            id=_run_id(folder, "wandb", lambda: uuid.uuid4().hex[:8]),
            dir=str(folder),
            config=dict(settings),
            resume="allow",
        )
        self.run.define_metric("*", step_metric="epoch")

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of an epoch; the library does it in the background."""
        self.run.log({"epoch": epoch, **metrics})

    def close(self) -> None:
        """Send what is left."""
        self.run.finish()

    def fail(self) -> None:
        """Send what is left of a run that did not finish."""
        self.run.finish(exit_code=1)


class Mlflow:
    """MLflow, at the address of MLFLOW_TRACKING_URI; a resumed run goes on as the same one."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.client = _module("mlflow").MlflowClient()
        self.run = _run_id(folder, "mlflow", lambda: self._begin(folder, settings))
        self.client.update_run(self.run, "RUNNING")

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of an epoch. MLflow takes no @ in names: ``hit@5`` is there ``hit_at_5``."""
        for name, value in metrics.items():
            self.client.log_metric(self.run, name.replace("@", "_at_"), value, step=epoch)

    def close(self) -> None:
        """Say that the run has ended."""
        self.client.set_terminated(self.run)

    def fail(self) -> None:
        """Say that the run did not finish."""
        self.client.set_terminated(self.run, "FAILED")

    def _begin(self, folder: Path, settings: Mapping[str, Any]) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self.client.get_experiment_by_name(name)
        experiment = self.client.create_experiment(name) if known is None else known.experiment_id
        run: str = self.client.create_run(experiment, run_name=folder.name).info.run_id
        for key, value in settings.items():
            self.client.log_param(run, key, value)
        return run


Tracking = AbstractContextManager[Callable[[Mapping[str, float]], None]]
"""A function that gives a line of metrics to trackers, which are closed at the end."""

OPENERS: dict[str, Opener] = {"wandb": Wandb, "mlflow": Mlflow}
"""The trackers that are known here."""


def named(names: Sequence[str]) -> Callable[[Path, Mapping[str, Any]], Tracking]:
    """What opens the trackers of these names for a run. Raises BadRequest for a wrong name before the run begins."""
    for name in names:
        opener(name)
    return partial(opened, names)


@contextmanager
def opened(
    names: Sequence[str], folder: Path, settings: Mapping[str, Any]
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """A function that gives a line of metrics to each of some trackers, which are closed at the end.

    Raises BadRequest for a name that nobody registers, for a library that is not installed, and for a tracker that
    does not begin (no account, no server); those that have begun are closed then.
    """
    trackers: dict[str, Tracker] = {}

    def log(line: Mapping[str, float]) -> None:
        metrics = {name: float(value) for name, value in line.items() if name != "epoch" and not math.isnan(value)}
        for name, tracker in trackers.items():
            with _said(name, f"epoch {line['epoch']:.0f}"):
                tracker.log(int(line["epoch"]), metrics)

    with ExitStack() as ends:
        for name in names:
            trackers[name] = _open(name, folder, settings)
            ends.push(partial(_end, name, trackers[name]))
        yield log


def _end(name: str, tracker: Tracker, error: type[BaseException] | None, *_: object) -> None:
    """Close a tracker, which learns whether an error ended the run."""
    end = tracker.close if error is None else getattr(tracker, "fail", tracker.close)
    with _said(name, "the end of the run"):
        end()


def opener(name: str) -> Opener:
    """The opener of a name; raises BadRequest where nobody registers it, or its library is not installed."""
    if name in OPENERS:
        if find_spec(name) is None:
            raise BadRequest(f"tracker {name} needs a library that is not installed", hint=f"pip install {name}")
        return OPENERS[name]
    known = (*OPENERS, *plugins.names("trackers"))
    if name not in known:
        raise BadRequest(f"no tracker {name!r}", hint=f"trackers: {', '.join(known)}")
    loaded: Opener = plugins.load("trackers", name)
    return loaded


def _open(name: str, folder: Path, settings: Mapping[str, Any]) -> Tracker:
    make = opener(name)
    try:
        return make(folder, settings)
    except Exception as error:
        raise BadRequest(
            f"tracker {name} does not begin: {error}", hint="mend its settings, or leave it out"
        ) from error


@contextmanager
def _said(name: str, what: str) -> Iterator[None]:
    """Say what a tracker raises, and go on: hours of training are worth more than one line elsewhere."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever the library of a tracker raises
        _LOG.warning("tracker %s did not take %s (%s); metrics.csv has it", name, what, error)


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _run_id(folder: Path, name: str, begin: Callable[[], str]) -> str:
    """The tracker's own name of the run in a folder, which a resumed run finds there."""
    path = folder / f"{name}.txt"
    if path.exists():
        return files.content(path).decode("ascii", "replace").strip()
    begun = begin()
    files.write_atomically(path, begun.encode())
    return begun
