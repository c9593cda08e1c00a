"""The metrics of a run, epoch by epoch: as CSV, as JSON, and for TensorBoard where that is installed."""

import csv
import importlib
import importlib.util
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from osoroi import files

NAME = "metrics"


def write(folder: Path, lines: Sequence[Mapping[str, float | int]]) -> None:
    """Write the metrics of all epochs, each file in one step; a value that is no number is empty, or null."""
    names = list(lines[0])
    rows: list[Sequence[object]] = [
        names,
        *(["" if math.isnan(line[name]) else line[name] for name in names] for line in lines),
    ]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    files.write_atomically(folder / f"{NAME}.csv", text.getvalue().encode())
    values = [{name: None if math.isnan(value) else value for name, value in line.items()} for line in lines]
    files.write_atomically(folder / f"{NAME}.json", json.dumps(values, indent=1).encode())
    _write_events(folder, lines[-1])


def _write_events(folder: Path, line: Mapping[str, float | int]) -> None:
    """Events for TensorBoard; without it the two files say the same."""
    if importlib.util.find_spec("tensorboard") is None:
        return
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(folder / "events")
    for name, value in line.items():
        if name != "epoch" and not math.isnan(value):
            writer.add_scalar(name, value, int(line["epoch"]))
    writer.close()
