"""What it costs to look at a mapped file's size before reading from it, beside no look and beside ``pread``.

python benchmarks/mapped.py
"""

import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROWS, DIM, TAKEN, ROUNDS = 200_000, 512, 256, 300


def median_us(work: Callable[[np.ndarray], object], places: list[np.ndarray]) -> float:
    """Median time of ``work`` over the rounds, in microseconds."""
    times = []
    for taken in places:
        start = time.perf_counter()
        work(taken)
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times)


def main() -> None:
    """Print the table of docs/decisions/0007-mapped-files.md."""
    rng = np.random.default_rng(0)
    places = [rng.choice(ROWS, TAKEN, replace=False) for _ in range(ROUNDS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors"
        rng.standard_normal((ROWS, DIM)).astype("<f4").tofile(path)
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            vectors, width = np.frombuffer(mapping, "<f4").reshape(ROWS, DIM), 4 * DIM
            ways: dict[str, Callable[[np.ndarray], object]] = {
                "mapping, unchecked": lambda taken: vectors[taken],
                "mapping after `fstat`": lambda taken: (mapping.size(), vectors[taken]),
                "one `pread` for each vector": lambda taken: [
                    os.pread(file.fileno(), width, width * int(place)) for place in taken
                ],
            }
            for name, work in ways.items():
                median_us(work, places)  # once, to have it all in memory
                print(f"| {name} | {median_us(work, places):.0f} µs |")
            del vectors


if __name__ == "__main__":
    main()
