"""Does Ray start more servers and encoders where searches queue, and end them again? A real Ray, a real PostgreSQL.

    python benchmarks/cluster_scaling.py --clients 24 --busy-s 60 --out scaling.json

A small catalog is served on one node of Ray by one server and one encoder, up to three of each. So many clients search
by photos, one search after another, and then leave. Every second it is noted how many of each run, and how long the
searches of that second took. ``--quiet-s`` is how long it is watched afterwards: Ray ends processes that have too
little to do after five minutes.
"""

import argparse
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from benchmarks.cluster import tell

import clusters
import osoroi
from osoroi.catalog.address import place_of
from osoroi.cluster import run as cluster
from osoroi.cluster.plan import ClusterPlan
from osoroi.image.swatch import swatch
from postgres import running

COLORS = ("navy", "red", "green", "grey", "mustard", "brown")
MOST = 3
START_S = 180.0


class Clients:
    """Threads that search by a photo, one search after another, until they are stopped."""

    def __init__(self, url: str, photo: bytes, count: int) -> None:
        self._url, self._photo = url, photo
        self._ended = threading.Event()
        self.took: list[float] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._search) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _search(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._ended.is_set():
                start = time.monotonic()
                answer = client.post("/v1/search", files={"photo": self._photo})
                if answer.status_code == 200:
                    self.took.append(time.monotonic() - start)
                else:
                    self.failed.append(f"{answer.status_code} {answer.text[:80]}")
                    self._ended.wait(1)

    def taken(self) -> list[float]:
        """How long the searches took since this was called last."""
        took, self.took = self.took, []
        return took

    def stop(self) -> None:
        """Let them leave."""
        self._ended.set()
        for thread in self._threads:
            thread.join()


def counts(name: str) -> dict[str, int]:
    """How many processes of each deployment run."""
    from ray import serve
    from ray.serve.schema import ReplicaState

    deployments = serve.status().applications[name].deployments
    return {kind: about.replica_states.get(ReplicaState.RUNNING, 0) for kind, about in sorted(deployments.items())}


def watched(plan: ClusterPlan, clients: Clients | None, seconds: float, since: float) -> list[dict[str, Any]]:
    """What runs, whenever that changes, and the median search until then."""
    rows: list[dict[str, Any]] = []
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = counts(plan.name)
        took += clients.taken() if clients else []
        if not rows or rows[-1]["runs"] != now:
            median = round(statistics.median(took), 3) if took else None
            rows.append({"after_s": round(time.monotonic() - since, 1), "runs": now, "median search before_s": median})
            print(rows[-1], flush=True)
            took = []
        time.sleep(1)
    if took:
        rows.append(
            {
                "after_s": round(seconds, 1),
                "runs": counts(plan.name),
                "median search before_s": round(statistics.median(took), 3),
            }
        )
        print(rows[-1], flush=True)
    return rows


def trial(arguments: argparse.Namespace, folder: Path, url: str) -> dict[str, Any]:
    """The whole trial; see the module."""
    for name in COLORS:
        Image.fromarray(swatch(name)).save(folder / f"{name}.png")
    address = f"{url}?schema=shop"
    with osoroi.create(address) as shop:
        shop.add([{"product_id": name, "photo": folder / f"{name}.png"} for name in COLORS])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plan = ClusterPlan(
        place_of(address),
        servers=1,
        max_servers=MOST,
        encoders=1,
        max_encoders=MOST,
        replicas=1,
        cpus=0.5,
    )
    ended, started = threading.Event(), threading.Event()
    with clusters.nodes() as nodes:
        serving = threading.Thread(
            target=cluster.run,
            args=(plan, nodes.address, "127.0.0.1", port),
            kwargs={"ended": ended, "on_start": lambda searchers: started.set()},
        )
        serving.start()
        assert started.wait(START_S), "it does not start"
        since = time.monotonic()
        clients = Clients(f"http://127.0.0.1:{port}", (folder / "red.png").read_bytes(), arguments.clients)
        try:
            busy = watched(plan, clients, arguments.busy_s, since)
        finally:
            clients.stop()
        quiet = watched(plan, None, arguments.quiet_s, since)
        ended.set()
        serving.join()
    return {"clients": arguments.clients, "busy": busy, "quiet": quiet, "failed": clients.failed[:3]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--busy-s", type=float, default=60.0, help="Seconds of searches.")
    parser.add_argument("--quiet-s", type=float, default=330.0, help="Seconds to watch afterwards.")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osoroi-") as temporary, running() as server:
        os.environ["OSOROI_CACHE"] = f"{temporary}/cache"
        found = trial(arguments, Path(temporary), server.url())
    tell(found, arguments.out)


if __name__ == "__main__":
    main()
