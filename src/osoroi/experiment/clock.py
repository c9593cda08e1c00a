"""Seconds of a run, over the times that it was stopped and gone on with."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from osoroi import files
from osoroi.errors import BadRun

COST = "cost.json"


class Cost(NamedTuple):
    """Seconds of a run, those of them that computed features which runs share, and what it ran on."""

    seconds: float
    features_s: float
    device: str


class Clock:
    """Seconds since it was made, added to those of before a run was stopped; and those until features were there."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.began = self.said = time.monotonic()
        self.features_s = 0.0

    def spent_s(self) -> float:
        """Seconds of all attempts."""
        return self.before + time.monotonic() - self.began

    def cost(self) -> Cost:
        """What the run has cost so far."""
        if torch.cuda.is_available():
            device = str(torch.cuda.get_device_name())
        else:
            device = f"{torch.get_num_threads()} CPU threads"
        return Cost(self.spent_s(), self.features_s, device)


@contextmanager
def timed(folder: Path) -> Iterator[Clock]:
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
