"""What a process that opens a snapshot needs: seconds, and memory beyond the map. Run in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def anonymous_bytes() -> int:
    """Resident memory that belongs to no file (Linux)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines["RssAnon"].split()[0])


def main() -> None:
    from osoroi.index.scan import ScanIndex

    path, queries = Path(sys.argv[1]), np.load(sys.argv[2])
    ScanIndex.build(np.arange(4_000), np.random.default_rng(0).standard_normal((4_000, 8)).astype(np.float32))
    before, start = anonymous_bytes(), time.perf_counter()
    index = ScanIndex.open(path)
    opened_s, opened = time.perf_counter() - start, anonymous_bytes()
    for query in queries:
        index.nearest(query[None], 10, among=None)
    among = np.arange(len(index)) % 2 == 0
    for query in queries[:20]:
        index.nearest(query[None], 10, among=among)
    facts = {
        "fresh_open_s": opened_s,
        "beyond_map_bytes": anonymous_bytes() - before,
        "beyond_map_after_open_bytes": opened - before,
        "process_bytes": anonymous_bytes(),
    }
    print(json.dumps(facts))


def beyond_the_map(path: Path, queries: np.ndarray) -> dict[str, float]:
    """The figures of a fresh process."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, queries)
        words = [sys.executable, "-m", "benchmarks.million.memory", str(path), file.name]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    facts: dict[str, float] = json.loads(done.stdout)
    return facts


if __name__ == "__main__":
    main()
