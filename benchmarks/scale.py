"""How many machines, and how long an answer takes, for many vectors and queries: arithmetic from what was measured.

Every query goes to all shards at once and waits for the slowest. A shard is a queue of as many servers as its machine
has cores; queries come at random (Poisson) and go to the replicas in turn. What a search costs is measured on a million
products (docs/benchmarks/million.md, decision 0002); that it grows with the vectors of a shard is assumed, and so is
the network.

    python benchmarks/scale.py
"""

import argparse
import heapq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

SCAN_MS = 2.4
"""CPU of a scan of a million vectors without a filter; decision 0002."""

FILTERED_MS = 5.0
"""The same under a filter that allows a tenth; docs/benchmarks/million.md."""

EXACT_MS = 0.6
"""CPU of the exact scores of a search, however many vectors there are; decision 0002."""

SPREAD = np.log(6.1 / 2.92) / 2.326
"""Deviation of the logarithm of a search's time: p99 and median of a million, docs/benchmarks/million.md."""

GB_PER_MILLION = 1.1 + 0.19
"""Snapshot, which the page cache should hold, and memory beyond it; decision 0003."""

NETWORK_MS = 1.0
"""Assumed: a query there, an answer back, and the merge of the best."""

USED = 0.6
"""Share of its cores that a machine may use in the mean."""


@dataclass(frozen=True)
class Plan:
    """Shards of so many million vectors, each on so many machines."""

    shards: int
    replicas: int
    millions: float
    cores: int

    @property
    def machines(self) -> int:
        return self.shards * self.replicas

    @property
    def memory_gb(self) -> float:
        """What a machine's shard takes."""
        return GB_PER_MILLION * self.millions


def service_ms(millions: float, per_million_ms: float) -> float:
    """CPU of one search of one shard."""
    return per_million_ms * millions + EXACT_MS


def planned(vectors: float, shard: float, queries_s: float, cores: int, per_million_ms: float) -> Plan:
    """Shards of at most so many million vectors, and replicas that keep cores used at most as stated."""
    shards = int(np.ceil(vectors / shard))
    millions = vectors / shards
    busy = queries_s * service_ms(millions, per_million_ms) / 1000
    return Plan(shards, int(np.ceil(busy / (USED * cores))), millions, cores)


def answer_ms(
    plan: Plan, queries_s: float, per_million_ms: float, *, count: int = 8000, seed: int = 0
) -> Float64[np.ndarray, "n"]:
    """Times from question to answer of so many queries, by simulation."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1000 / queries_s, count))
    slowest = np.zeros(count)
    mean = service_ms(plan.millions, per_million_ms)
    for _ in range(plan.shards):
        service = mean * np.exp(rng.normal(0, SPREAD, count) - SPREAD**2 / 2)
        queues = [[0.0] * plan.cores for _ in range(plan.replicas)]
        for at in range(count):
            free = queues[at % plan.replicas]
            end = max(free[0], arrivals[at]) + service[at]
            heapq.heapreplace(free, end)
            slowest[at] = max(slowest[at], end - arrivals[at])
    return slowest[count // 10 :] + NETWORK_MS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=float, default=1000, help="queries a second")
    parser.add_argument("--cores", type=int, default=8, help="cores of a machine")
    chosen = parser.parse_args()
    print("| vectors | filter | shards | vectors of a shard | machines | GB each | p50, ms | p99, ms |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for vectors in (1, 10, 100):
        for name, cost in (("none", SCAN_MS), ("a tenth", FILTERED_MS)):
            for shard in (2.5, 5, 10):
                if shard > 2.5 and vectors < shard:
                    continue
                plan = planned(vectors, shard, chosen.queries, chosen.cores, cost)
                times = answer_ms(plan, chosen.queries, cost)
                p50, p99 = np.percentile(times, [50, 99])
                cells = [f"{vectors} million", name, plan.shards, f"{plan.millions:g} million", plan.machines]
                cells += [f"{plan.memory_gb:.1f}", f"{p50:.0f}", f"{p99:.0f}"]
                print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
