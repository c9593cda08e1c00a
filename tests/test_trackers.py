"""Metrics of a run in other places: each epoch once, the same run when resumed, and no training lost to a tracker."""

import importlib.util
import logging
import math
from types import SimpleNamespace
from typing import Any

import pytest

from osoroi.errors import BadRequest
from osoroi.training import loop, run, trackers
from osoroi.training.train import train
from pairs import TINY, Drawn, selecting, tiny_network

LINES = [{"epoch": 0.0, "loss": math.nan, "hit@5": 0.5}, {"epoch": 1.0, "loss": 0.25, "hit@5": 0.75}]


class Kept:
    """A tracker that keeps what it is told, or fails."""

    def __init__(self, fails: bool = False) -> None:
        self.told: list[object] = []
        self.fails = fails

    def log(self, epoch: int, metrics: Any) -> None:
        if self.fails:
            raise ConnectionError("no route to the server")
        self.told.append((epoch, dict(metrics)))

    def close(self) -> None:
        self.told.append("closed")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    tracker = Kept()
    monkeypatch.setitem(trackers.OPENERS, "kept", lambda folder, settings: tracker)
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    return tracker


def test_a_run_gives_every_epoch_to_a_tracker_and_closes_it(tmp_path, kept):
    config = run.RunConfig(("drawn",), TINY)
    callbacks = run.Callbacks(track=trackers.named(("kept",)))
    run.run(config, tmp_path / "run", select=selecting(Drawn(24)), network=tiny_network(), callbacks=callbacks)
    *epochs, last = kept.told
    assert last == "closed"
    assert [epoch for epoch, _ in epochs] == list(range(TINY.epochs + 1))
    assert all({"hit@5", "nDCG@5"} <= set(metrics) for _, metrics in epochs)
    assert "loss" not in epochs[0][1]  # nothing was trained before the first epoch
    assert epochs[-1][1]["loss"] > 0


def test_a_tracker_that_fails_is_said_and_nothing_else(tmp_path, kept, caplog):
    kept.fails = True
    with caplog.at_level(logging.WARNING), trackers.opened(["kept"], tmp_path, {}) as log:
        for line in LINES:
            log(line)
    assert [record.getMessage() for record in caplog.records] == [
        f"tracker kept did not take epoch {epoch} (no route to the server); metrics.csv has it" for epoch in (0, 1)
    ]
    assert kept.told == ["closed"]


def test_a_training_that_ends_by_an_error_closes_its_trackers(tmp_path, kept):
    def stop() -> None:
        with trackers.opened(["kept"], tmp_path, {}) as log:
            log(LINES[0])
            raise loop.Diverged("the loss is nan")

    with pytest.raises(loop.Diverged):
        stop()
    assert kept.told == [(0, {"hit@5": 0.5}), "closed"]


def test_a_run_that_does_not_finish_is_closed_as_failed(tmp_path, kept, monkeypatch):
    told: list[Any] = []
    client = SimpleNamespace(
        get_experiment_by_name=lambda name: SimpleNamespace(experiment_id="1"),
        create_run=lambda *_, **__: SimpleNamespace(info=SimpleNamespace(run_id="7")),
        update_run=lambda *_: None,
        set_terminated=lambda *how: told.append(how),
    )
    begun = SimpleNamespace(finish=lambda **how: told.append(how), define_metric=lambda *_, **__: None)
    module = SimpleNamespace(MlflowClient=lambda: client, init=lambda **_: begun)
    monkeypatch.setattr(trackers, "_module", lambda name: module)

    def stop() -> None:
        with trackers.opened(["mlflow", "wandb", "kept"], tmp_path, {}):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert sorted(told, key=str) == [("7", "FAILED"), {"exit_code": 1}]
    assert kept.told == ["closed"], "one without `fail`"


def test_a_tracker_that_has_begun_is_closed_where_the_next_does_not_begin(tmp_path, kept, monkeypatch):
    monkeypatch.setitem(trackers.OPENERS, "broken", lambda folder, settings: 1 / 0)
    with pytest.raises(BadRequest, match="tracker broken does not begin"):
        trackers.opened(["kept", "broken"], tmp_path, {}).__enter__()
    assert kept.told == ["closed"]


def test_a_tracker_that_does_not_begin_costs_nothing_and_the_same_command_runs_later(tmp_path, kept, monkeypatch):
    config, computed = run.RunConfig(("drawn",), TINY), list[int]()
    begins = trackers.OPENERS["kept"]
    callbacks = run.Callbacks(track=trackers.named(("kept",)), on_features=lambda done, total: computed.append(done))

    def start() -> None:
        run.run(config, tmp_path / "run", select=selecting(Drawn(24)), network=tiny_network(), callbacks=callbacks)

    monkeypatch.setitem(trackers.OPENERS, "kept", lambda folder, settings: 1 / 0)
    with pytest.raises(BadRequest, match="tracker kept does not begin"):
        start()
    assert computed == []
    monkeypatch.setitem(trackers.OPENERS, "kept", begins)
    start()
    assert kept.told[-1] == "closed"


def test_what_is_not_there_is_refused_before_the_run(tmp_path, monkeypatch):
    with pytest.raises(BadRequest, match="no tracker 'wandbb'; trackers: wandb, mlflow"):
        train("drawn:24", out=tmp_path / "run", track=["wandbb"])
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(BadRequest, match="tracker mlflow needs a library that is not installed; pip install mlflow"):
        train("drawn:24", out=tmp_path / "run", track=["mlflow"])
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_does_not_begin_is_an_error_of_ours(tmp_path, monkeypatch):
    def begin(folder: Any, settings: Any) -> Kept:
        raise RuntimeError("api_key not configured")

    monkeypatch.setitem(trackers.OPENERS, "kept", begin)
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    with pytest.raises(BadRequest, match="tracker kept does not begin: api_key not configured"):
        trackers.opened(["kept"], tmp_path, {}).__enter__()


def test_wandb_resumes_the_run_that_it_began(tmp_path, monkeypatch):
    begun: list[dict[str, Any]] = []
    told: list[Any] = []

    def init(**how: Any) -> Any:
        begun.append(how)
        return SimpleNamespace(
            log=told.append, finish=lambda: told.append("finished"), define_metric=lambda *names, **how: None
        )

    monkeypatch.setattr(trackers, "_module", lambda name: SimpleNamespace(init=init))
    monkeypatch.setenv("WANDB_PROJECT", "street")
    for line in LINES:
        tracker = trackers.Wandb(tmp_path, {"lr": 0.001})
        tracker.log(int(line["epoch"]), {"hit@5": line["hit@5"]})
        tracker.close()
    assert told == [{"epoch": 0, "hit@5": 0.5}, "finished", {"epoch": 1, "hit@5": 0.75}, "finished"]
    first, second = begun
    assert first == second
    assert first["project"] == "street"
    assert first["config"] == {"lr": 0.001}
    assert first["resume"] == "allow"
    assert len(first["id"]) == 8


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
def test_mlflow_itself_has_the_metrics(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'store'}")
    for line in LINES:  # the second opens the run again, as a resumed training does
        with trackers.opened(["mlflow"], tmp_path, {"lr": 0.001, "recipe": "tiny"}) as log:
            log(line)
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("osoroi").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params == {"lr": "0.001", "recipe": "tiny"}
    assert [(one.step, one.value) for one in client.get_metric_history(found.info.run_id, "hit_at_5")] == [
        (0, 0.5),
        (1, 0.75),
    ]


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_itself_takes_the_metrics_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with trackers.opened(["wandb"], tmp_path, {"lr": 0.001}) as log:
        for line in LINES:
            log(line)
    (written,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"hit@5" in written.read_bytes()
