"""What a run has measured, epoch by epoch: as CSV, as JSON, and for TensorBoard where that is installed."""

import csv
import importlib
import importlib.util
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = "metrics"


def write(folder: Path, lines: Sequence[Mapping[str, float | int]]) -> None:
    """Write all lines anew, each file in one step; a value that is no number is empty, or null."""
    names = list(lines[0])
    rows: list[Sequence[object]] = [
        names,
        *(["" if math.isnan(line[name]) else line[name] for name in names] for line in lines),
    ]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    put(folder / f"{NAME}.csv", text.getvalue().encode())
    told = [{name: None if math.isnan(value) else value for name, value in line.items()} for line in lines]
    put(folder / f"{NAME}.json", json.dumps(told, indent=1).encode())
    _show(folder, lines[-1])


def put(path: Path, data: bytes) -> None:
    """Write a file of a run in one step."""
    draft = path.with_name(path.name + ".draft")
    draft.write_bytes(data)
    os.replace(draft, path)


def _show(folder: Path, line: Mapping[str, float | int]) -> None:
    """Events for TensorBoard; without it the two files say the same."""
    if importlib.util.find_spec("tensorboard") is None:
        return
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(folder / "events")
    for name, value in line.items():
        if name != "epoch" and not math.isnan(value):
            writer.add_scalar(name, value, int(line["epoch"]))
    writer.close()
