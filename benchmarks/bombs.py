"""Photos that ask for more work than they are worth, against a running service: what each costs and holds up.

    python benchmarks/bombs.py                      # every file, then ten at once
    python benchmarks/bombs.py --markdown           # as the table of docs/serve.md

The service is started on a small shop of its own. While a file is sent, `/health` is asked every 50 ms and an ordinary
search runs again and again; processor time and memory are those of the service with all its processes.
"""

import argparse
import concurrent.futures
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from PIL import Image
from processes import Service

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from costly_photos import COSTLY, REFUSED

ROOT = Path(__file__).parents[1]


class Row(NamedTuple):
    """One file: its size, what it cost, and what it held up."""

    name: str
    kib: float
    answer: str
    wall_s: float
    cpu_s: float
    memory_mb: float
    health_s: float
    search_s: float


def small_shop(folder: Path) -> Service:
    """A service on a shop of one product, which is made in the folder."""
    photo = folder / "a.jpg"
    Image.new("RGB", (300, 400), (200, 30, 40)).save(photo)
    (folder / "shop.csv").write_text("photo,product_id\na.jpg,p\n", encoding="utf-8")
    osoroi = [sys.executable, "-c", "from osoroi.cli import main; main()"]
    subprocess.run([*osoroi, "add", str(folder / "shop"), f"table:{folder}/shop.csv"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    return Service([*osoroi, "serve", str(folder / "shop"), "--port", "0"], folder / "log")


class Watch:
    """Threads that ask meanwhile, and the longest that each waited."""

    def __init__(self, service: Service, photo: bytes) -> None:
        self.health_s, self.search_s, self.memory_mb = 0.0, 0.0, 0.0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work, pause))
            for work, pause in ((self._health, 0.05), (self._search, 0.1), (self._memory, 0.05))
        ]
        self.service, self.photo = service, photo
        self.clients = [httpx.Client(base_url=service.url, timeout=60) for _ in range(2)]

    def _repeat(self, work: Callable[[], None], pause: float) -> None:
        while not self._stop.wait(pause):
            work()

    def _health(self) -> None:
        start = time.monotonic()
        self.clients[0].get("/health").raise_for_status()
        self.health_s = max(self.health_s, time.monotonic() - start)

    def _search(self) -> None:
        start = time.monotonic()
        self.clients[1].post("/v1/search", files={"photo": self.photo}).raise_for_status()
        self.search_s = max(self.search_s, time.monotonic() - start)

    def _memory(self) -> None:
        try:
            self.memory_mb = max(self.memory_mb, self.service.memory_mb())
        except OSError:
            return  # a worker ended between two reads

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for client in self.clients:
            client.close()


def measure(service: Service, name: str, photos: list[bytes], ordinary: bytes) -> Row:
    """Send the photos at once and wait for all answers."""

    def send(photo: bytes) -> str:
        answer = httpx.post(f"{service.url}/v1/search", files={"photo": photo}, timeout=120)
        return str(answer.status_code)

    start, cpu = time.monotonic(), service.cpu_s()
    with Watch(service, ordinary) as watch, concurrent.futures.ThreadPoolExecutor(len(photos)) as pool:
        statuses = sorted(set(pool.map(send, photos)))
        wall_s = time.monotonic() - start
    cpu_s = service.cpu_s() - cpu
    kib = sum(map(len, photos)) / 1024
    return Row(name, kib, " ".join(statuses), wall_s, cpu_s, watch.memory_mb, watch.health_s, watch.search_s)


def rows() -> Iterator[Row]:
    """Every file by itself, then ten costly ones at once, then the end of the service."""
    file = io.BytesIO()
    Image.new("RGB", (800, 800), (30, 60, 200)).save(file, "JPEG")
    ordinary = file.getvalue()
    makers: dict[str, Callable[[], bytes]] = {name: make for name, (make, _) in REFUSED.items()} | COSTLY
    with tempfile.TemporaryDirectory() as name:
        service = small_shop(Path(name))
        try:
            yield measure(service, "an ordinary photo", [ordinary], ordinary)
            for bomb, make in makers.items():
                yield measure(service, bomb, [make()], ordinary)
            costly = [make() for make in COSTLY.values()][:10]
            yield measure(service, "ten of these at once", costly, ordinary)
        finally:
            took = service.stop()
        print(json.dumps({"sigterm_s": took}), file=sys.stderr)


def main() -> None:
    """Measure and print. Exit 1 where `/health` took over a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    slow = False
    if options.markdown:
        print("| photo | KiB | answer | s | processor s | memory MB | slowest `/health` s | slowest search s |")
        print("|---|---|---|---|---|---|---|---|")
    for row in rows():
        slow |= row.health_s > 1
        values: list[Any] = [value if isinstance(value, str) else f"{value:,.2f}" for value in row]
        values[1], values[5] = f"{row.kib:,.0f}", f"{row.memory_mb:,.0f}"
        print(f"| {' | '.join(values)} |" if options.markdown else json.dumps(row._asdict()), flush=True)
    sys.exit(slow)


if __name__ == "__main__":
    main()
