"""What is compared, one system a file. Keys are row numbers; the metric is the inner product."""

import os
from typing import Any, Protocol

import numpy as np
from benchmarks.million.questions import Columns, Filter


class System(Protocol):
    """Something that holds vectors and finds the K nearest under a filter."""

    name: str
    asked: int
    """Queries it can be asked for each filter in reasonable time."""
    threads: bool
    """Whether two threads may ask at once."""

    def build(self, vectors: np.ndarray, columns: Columns) -> None: ...

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        """What a filter costs once and not for every query; ``mask`` has a bit for every row ever held."""
        ...

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        """At most K keys."""
        ...

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        """Delete rows, then add others under keys that follow those held; ``columns`` are of the new rows alone."""
        ...

    def close(self) -> None: ...


def cpu_s() -> float:
    """CPU time of this process and its ended children."""
    times = os.times()
    return times.user + times.system
