"""What a run has measured, in the three forms it is kept in."""

import csv
import importlib
import importlib.util
import json
import math
from types import SimpleNamespace

import pytest

from osoroi.training import log

LINES = [{"epoch": 0.0, "loss": math.nan, "nDCG@5": 0.5}, {"epoch": 1.0, "loss": 0.25, "nDCG@5": 0.75}]


def test_csv_and_json_hold_all_lines_and_say_what_is_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    log.write(tmp_path, LINES)
    with (tmp_path / "metrics.csv").open() as file:
        assert list(csv.reader(file)) == [["epoch", "loss", "nDCG@5"], ["0.0", "", "0.5"], ["1.0", "0.25", "0.75"]]
    assert json.loads((tmp_path / "metrics.json").read_text())[0] == {"epoch": 0.0, "loss": None, "nDCG@5": 0.5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "metrics.json"]


def test_tensorboard_gets_each_epoch_once_where_it_is_installed(tmp_path, monkeypatch):
    told: list[tuple[object, ...]] = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step):
            told.append((self.folder.name, name, value, step))

        def close(self):
            told.append(("closed",))

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "tensorboard" else None)
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(SummaryWriter=Writer))
    for count in (1, 2):
        log.write(tmp_path, LINES[:count])
    first, second = (
        [("events", "nDCG@5", 0.5, 0), ("closed",)],
        [("events", "loss", 0.25, 1), ("events", "nDCG@5", 0.75, 1)],
    )
    assert told == [*first, *second, ("closed",)]


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_itself_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log.write(tmp_path, LINES)
    read = EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert [(one.step, one.value) for one in read.Scalars("loss")] == [(1, 0.25)]
