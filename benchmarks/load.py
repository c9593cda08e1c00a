"""What the service costs and what it bears: one client, then many with writers beside them, on this machine's loopback.

    python benchmarks/load.py                       # a minute of 32 clients and 2 writers
    python benchmarks/load.py --seconds 10 --batch 1

The shop is made for the run: photos of the folder OSOROI_DATA/clothing_cc0 where they are, drawn ones elsewhere, made
800 pixels long; their vectors with a little noise make up the number of products. Requests are bounded in number and
time.
"""

import argparse
import asyncio
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import processes
from PIL import Image

from osoroi import image
from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.records import Clues, Crop, Hit, Input, Product
from osoroi.search import Searcher, response

SIDE = 800
DATA = Path(os.environ.get("OSOROI_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


def photos(count: int) -> tuple[str, list[bytes]]:
    """Photos of garments, 800 pixels on the longer side, as JPEG; and what they are."""
    folder = DATA / "clothing_cc0" / "images"
    files = sorted(folder.glob("*.jpg"))[:count]
    if files:
        return "clothing_cc0", [_sized(image.read(file)) for file in files]
    rows = [row for row in open_dataset(f"drawn:{count}").rows() if row.crop.domain == "street"]
    return "drawn", [_sized(image.read(row.crop.photo)) for row in rows[:count]]


def _sized(pixels: image.Photo) -> bytes:
    picture, file = Image.fromarray(pixels), io.BytesIO()
    scale = SIDE / max(picture.size)
    picture.resize([round(side * scale) for side in picture.size]).save(file, "JPEG", quality=88)
    return file.getvalue()


def fill(folder: Path, encoder: Encoder, shots: Sequence[bytes], products: int) -> None:
    """A catalog of so many products: the photos' vectors, repeated with noise of a tenth of their length."""
    rng = np.random.default_rng(0)
    base = encoder.encode([image.crop(shot, None, encoder.preprocessing["shop"]) for shot in shots])
    thumbnail = image.thumbnail(shots[0], 80)
    with LocalCatalog.open_or_create(folder, encoder) as catalog:
        for start in range(0, products, 1000):
            numbers = range(start, min(start + 1000, products))
            noisy = base[[n % len(base) for n in numbers]] + rng.normal(0, 0.1 / 11, (len(numbers), encoder.dim))
            catalog.put([_entry(encoder, n, row, thumbnail) for n, row in zip(numbers, noisy, strict=True)],
                        fingerprint=encoder.fingerprint)  # fmt: skip


def _entry(encoder: Encoder, number: int, vector: Any, photo: bytes) -> Entry:
    for columns in encoder.columns.values():
        vector[columns] /= np.linalg.norm(vector[columns])
    product = Product(f"P{number}", f"Product {number}", price=float(number % 90 * 100 + 900), currency="JPY")
    crop = Crop(f"P{number}/0", product.product_id, "shop", photo)
    return Entry(product, [crop], vector.astype(np.float32)[None])


# -------------------------------------------------------------------- the service, in a process of its own


def serve(folder: Path, batch: int, workers: int, hollow: bool) -> None:
    """Serve ``folder``. A hollow service answers every photo with the same hits, and so costs what HTTP costs."""
    from osoroi.server.run import run
    from osoroi.server.service import Service
    from osoroi.server.settings import Settings

    encoder = Encoder.open()
    with LocalCatalog.open(folder) as catalog:
        searcher = Searcher(encoder, catalog)
        if hollow:
            hits = searcher.similar("P0")

            async def nothing(self: Service, request: object) -> list[Hit]:
                return hits

            Service.search = nothing  # type: ignore[method-assign]
        run(searcher, replace(Settings(), batch=batch, workers=workers), "127.0.0.1", 0)


class Process:
    """A service of its own, and what it has used."""

    def __init__(self, folder: Path, batch: int, *, workers: int = 1, hollow: bool = False) -> None:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import load, pathlib, logging; "
        code += "logging.basicConfig(level=logging.INFO); logging.getLogger('osoroi').setLevel(logging.WARNING); "
        code += f"load.serve(pathlib.Path({str(folder)!r}), {batch}, {workers}, {hollow})"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by stop; a pipe that nobody reads would fill up and stop the service
        self.process = subprocess.Popen([sys.executable, "-c", code], stderr=self.log)
        self.port = self._port()

    def _port(self) -> int:
        for _ in range(600):
            self.log.seek(0)
            lines = [line for line in self.log if "running on" in line]
            if lines:
                return int(lines[0].split("127.0.0.1:")[1].split()[0])
            time.sleep(0.1)
        raise SystemExit("the service did not start")

    def cpu_s(self) -> float:
        """Processor seconds so far, of all its threads."""
        return processes.cpu_s(self.process.pid)

    def memory_bytes(self) -> int:
        """Resident memory."""
        return processes.memory_bytes(self.process.pid)

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        self.log.seek(0)
        print(*[line for line in self.log if "Error" in line or "WARNING" in line][-5:], sep="", file=sys.stderr)
        self.log.close()


# -------------------------------------------------------------------- clients


class Client:
    """HTTP over one connection, as cheap as it can be: the machine is the service's."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> "Client":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request, and take status and body of the answer."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)


def request(method: str, path: str, parts: Sequence[tuple[str, bytes, bool]] = ()) -> bytes:
    """A request with a form: name, content, and whether it is a file."""
    body = b""
    for name, content, is_file in parts:
        file = '; filename="a.jpg"' if is_file else ""
        body += f'--BOUND\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
    body += b"--BOUND--\r\n" if parts else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: multipart/form-data; boundary=BOUND\r\n\r\n".encode() + body


async def search(port: int, asked: Sequence[bytes], until: float, seed: int) -> list[tuple[int, float]]:
    """One client until the time is over: status and seconds of every search."""
    rng, took = random.Random(seed), []
    async with Client(port) as client:
        while time.perf_counter() < until:
            start = time.perf_counter()
            status, _ = await client.ask(rng.choice(asked))
            took.append((status, time.perf_counter() - start))
            if status == 503:
                await asyncio.sleep(1)
    return took


async def write(port: int, photo: bytes, until: float, name: str) -> tuple[Counter[str], set[str], set[str]]:
    """One writer: puts, looks, and removes every other; counts, and what must and must not be there at the end."""
    counts: Counter[str] = Counter()
    there, gone = set(), set()
    async with Client(port) as client:
        number = 0
        while time.perf_counter() < until:
            number += 1
            product_id = f"{name}-{number}"
            status, _ = await client.ask(request("PUT", f"/v1/products/{product_id}", [("photo", photo, True)]))
            counts[f"put {status}"] += 1
            if status != 200:
                continue
            there.add(product_id)
            fields = [("photo", photo, True), ("k", b"200", False)]
            _, body = await client.ask(request("POST", "/v1/search", fields))
            found = {hit["product_id"] for hit in json.loads(body).get("hits", [])}
            counts["seen at once" if product_id in found else "not seen at once"] += 1
            if number % 2:
                status, _ = await client.ask(request("DELETE", f"/v1/products/{product_id}"))
                counts[f"delete {status}"] += 1
                there.discard(product_id)
                gone.add(product_id)
    return counts, there, gone


async def crowd(service: Process, asked: Sequence[bytes], clients: int, writers: int, seconds: float) -> dict[str, Any]:
    """Everybody at once; what they met, and what the service held and used meanwhile."""
    start, cpu = time.perf_counter(), service.cpu_s()
    until = start + seconds
    photo = asked[0].partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[2].rpartition(b"\r\n--BOUND--")[0]
    writing = [asyncio.create_task(write(service.port, photo, until, f"W{n}")) for n in range(writers)]
    searching = [asyncio.create_task(search(service.port, asked, until, n)) for n in range(clients)]
    memory = []
    while time.perf_counter() < until:
        memory.append((time.perf_counter() - start, service.memory_bytes()))
        await asyncio.sleep(min(1.0, seconds / 10))
    took = [one for task in searching for one in await task]
    wrote = [await task for task in writing]
    wall, used = time.perf_counter() - start, service.cpu_s() - cpu
    lost = [await missing(service.port, there, gone) for _, there, gone in wrote]
    seconds_ = [spent for status, spent in took if status == 200]
    after = [held for at, held in memory if at >= min(10.0, seconds / 3)]
    return {
        "searches": len(took), "statuses": Counter(status for status, _ in took), "per_s": len(seconds_) / wall,
        "p50_ms": 1000 * statistics.median(seconds_), "p99_ms": 1000 * float(np.quantile(seconds_, 0.99)),
        "cpu_ms_per_search": 1000 * used / max(1, len(seconds_)), "writes": sum((one[0] for one in wrote), Counter()),
        "writes_lost": sum(lost), "memory_mb_after_10_s": after[0] / 1e6, "memory_mb_at_end": after[-1] / 1e6,
        "memory_mb_most": max(after) / 1e6,
    }  # fmt: skip


async def missing(port: int, there: set[str], gone: set[str]) -> int:
    """Acknowledged writes that the catalog does not show."""
    async with Client(port) as client:
        statuses = {one: (await client.ask(request("GET", f"/v1/products/{one}")))[0] for one in there | gone}
    return sum(statuses[one] != 200 for one in there) + sum(statuses[one] != 404 for one in gone)


# -------------------------------------------------------------------- the bare parts


def bare(folder: Path, shots: Sequence[bytes], seconds: float) -> dict[str, float]:
    """Processor milliseconds of each step of a search, on one thread, without any service."""
    encoder = Encoder.open()
    spent: dict[str, list[float]] = {"decode": [], "encode": [], "search": [], "render": []}
    with LocalCatalog.open(folder, readonly=True) as catalog:
        searcher, until, number = Searcher(encoder, catalog), time.perf_counter() + seconds, 0
        while time.perf_counter() < until or number < 5:
            shot, number = shots[number % len(shots)], number + 1
            marks = [time.process_time()]
            crop = image.crop(shot, None, encoder.preprocessing["street"])
            marks.append(time.process_time())
            vector = searcher.encode([Input(crop, Clues(is_query=True))])  # a product's kind takes a second network
            marks.append(time.process_time())
            hits = searcher.nearest(vector, 10, judged=True)
            marks.append(time.process_time())
            json.dumps(response(hits, encoder=encoder.fingerprint, detail=None, took_s=0.0))
            marks.append(time.process_time())
            for name, before, after in zip(spent, marks, marks[1:], strict=False):
                spent[name].append(1000 * (after - before))
    return {name: statistics.median(times[2:]) for name, times in spent.items()}


def alone(folder: Path, asked: Sequence[bytes], batch: int, seconds: float, *, hollow: bool = False) -> dict[str, Any]:
    """One client."""
    service = Process(folder, batch, hollow=hollow)
    try:
        asyncio.run(crowd(service, asked, 1, 0, 2))  # warm
        return asyncio.run(crowd(service, asked, 1, 0, seconds))
    finally:
        service.stop()


def steps(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Every measurement, in one run and so on one machine in one state."""
    kind, shots = photos(64)
    asked = [request("POST", "/v1/search", [("photo", shot, True)]) for shot in shots]
    sizes = statistics.mean(len(shot) for shot in shots) / 1000
    yield "photos", f"{len(shots)} of {kind}, {SIDE} pixels, {sizes:.0f} kB on average"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shop"
        fill(folder, Encoder.open(), shots, options.products)
        yield "products", options.products
        yield "bare_cpu_ms", bare(folder, shots, options.alone)
        yield "one_client", alone(folder, asked, options.batch, options.alone)
        yield "one_client_hollow", alone(folder, asked, options.batch, options.alone, hollow=True)
        yield "bare_cpu_ms_again", bare(folder, shots, options.alone)
        service = Process(folder, options.batch)
        try:
            asyncio.run(crowd(service, asked, 1, 0, 2))
            yield "crowd", asyncio.run(crowd(service, asked, options.clients, options.writers, options.seconds))
        finally:
            service.stop()
        if options.compare:
            arms = {
                "no_batching": (1, 1),
                "batching": (8, 1),
                "no_batching_2_threads": (1, 2),
                "batching_2_threads": (8, 2),
            }
            for arm, (batch, workers) in arms.items():
                service = Process(folder, batch, workers=workers)
                try:
                    asyncio.run(crowd(service, asked, 1, 0, 2))
                    yield arm, asyncio.run(crowd(service, asked, options.clients, 0, options.seconds / 4))
                finally:
                    service.stop()


def main() -> None:
    """Measure, print, and exit with 1 where something was lost or failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the crowd; 300 at most")
    parser.add_argument("--alone", type=float, default=8.0, help="seconds of one client, and of the bare parts")
    parser.add_argument("--clients", type=int, default=32, help="128 at most")
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--products", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--compare", action="store_true", help="the crowd without writers, batched or not, on one or two threads"
    )
    options = parser.parse_args()
    options.seconds, options.clients = min(options.seconds, 300.0), min(options.clients, 128)
    results: dict[str, Any] = {}
    for name, value in steps(options):
        results[name] = value
        print(json.dumps({name: value}), flush=True)
    crowd_ = results["crowd"]
    parts = (sum(results["bare_cpu_ms"].values()) + sum(results["bare_cpu_ms_again"].values())) / 2
    whole = results["one_client"]["cpu_ms_per_search"]
    verdict = {
        "service_adds_cpu_ms": whole - parts,
        "http_share_of_cpu": results["one_client_hollow"]["cpu_ms_per_search"] / whole,
        "p50_crowd_over_one": crowd_["p50_ms"] / results["one_client"]["p50_ms"],
        "p99_crowd_over_one": crowd_["p99_ms"] / results["one_client"]["p99_ms"],
        "memory_growth": crowd_["memory_mb_at_end"] / crowd_["memory_mb_after_10_s"],
    }
    print(json.dumps({"verdict": verdict}))
    failed = crowd_["writes_lost"] or crowd_["writes"]["not seen at once"] or set(crowd_["statuses"]) - {200, 503}
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
