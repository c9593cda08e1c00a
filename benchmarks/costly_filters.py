"""Filters that are made to cost, against a service on a large catalog: what each costs, and `/health` meanwhile.

    python benchmarks/costly_filters.py --products 200000              # makes the catalog, then measures
    python benchmarks/costly_filters.py --shop /tmp/large/shop         # a catalog that was made before (--keep)

The encoder costs nothing, so what is measured is the catalog and the service. Each filter is used for the first time.
`/health` is asked every 50 ms by another process; exit code 1 where it took over a second.
"""

import argparse
import concurrent.futures
import hashlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
import numpy as np
from processes import Service

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.records import Crop, Product
from served import TINY
from shop import RED, SeeingEncoder, picture

STEP = 5000

PROBE = """
import sys, time
import httpx
with httpx.Client(base_url=sys.argv[1], timeout=120) as client:
    while True:
        start = time.monotonic()
        status = client.get("/health").status_code
        print(status, time.monotonic() - start, flush=True)
        time.sleep(0.05)
"""


def make(folder: Path, products: int) -> Path:
    """A catalog of products with drawn vectors, titles, 20 categories, 500 brands, a price and a flag; one photo."""
    encoder, rng = SeeingEncoder(), np.random.default_rng(0)
    photo = folder / "a.png"
    photo.write_bytes(picture(RED))
    sha256 = hashlib.sha256(photo.read_bytes()).hexdigest()
    with LocalCatalog.open_or_create(folder / "shop", encoder) as catalog:
        for first in range(0, products, STEP):
            parts = rng.standard_normal((STEP, len(encoder.parts), 4)).astype(np.float32)
            vectors = (parts / np.linalg.norm(parts, axis=2, keepdims=True)).reshape(STEP, -1)
            catalog.put([entry(first + row, photo, sha256, vectors[row : row + 1]) for row in range(STEP)],
                        fingerprint=encoder.fingerprint)  # fmt: skip
        catalog.compact()
    return folder / "shop"


def entry(number: int, photo: Path, sha256: str, vector: np.ndarray) -> Entry:
    """One product."""
    name = f"x{number:06}"
    product = Product(
        name, f"Title number {number} of a thing", f"cat{number % 20}", f"brand{number % 500}", float(number % 9973),
        "JPY", attributes={"sale": number % 3 == 0},
    )  # fmt: skip
    return Entry(product, [Crop(f"{name}/0", name, "shop", photo, sha256=sha256)], vector)


def filters() -> dict[str, str]:
    """Filters by what they are; each names values of its own, so that nothing is remembered of another."""
    return {
        "none, the first search of the service": "",
        "`title = x`": "title = x",
        "ten of `title != a`": " and ".join(f"title != a{i}" for i in range(10)),
        "ten of `not title in (a, b, c)`": " and ".join(f"not title in (a{i}, b{i}, c{i})" for i in range(10)),
        "1,500 titles in one `in`": "title in (" + ", ".join(f"a{i}" for i in range(1500)) + ")",
        "100 of `price != 1`": " and ".join(f"price != {i}" for i in range(100)),
        "100 of `not brand in (a, b)`": " and ".join(f"not brand in (a{i}, b{i})" for i in range(100)),
        "29 brackets": "(" * 29 + "title = y" + ")" * 29,
        "2,400 of `not`": "not " * 2400 + "sale",
        "199 of `title != a`": " and ".join(f"title != a{i}" for i in range(199)),
    }


class Health:
    """Asks for `/health` from a process of its own; ``longest_s`` is the longest answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.longest_s = 0.0

    def __enter__(self) -> "Health":
        self.process = Popen([sys.executable, "-c", PROBE, self.url], stdout=PIPE, text=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.1)
        self.process.terminate()
        lines = self.process.communicate()[0].split("\n")
        answers = [line.split() for line in lines[:-1]]
        assert all(status == "200" for status, _ in answers), answers
        self.longest_s = max((float(seconds) for _, seconds in answers), default=0.0)


def rows(service: Service) -> Iterator[tuple[str, str, float, float, float]]:
    """Of each filter: its name, the statuses, processor seconds of a search and of a list with its total, and the
    longest `/health` meanwhile."""
    client, photo = httpx.Client(base_url=service.url, timeout=120), picture(RED)
    with Health(service.url) as health:
        time.sleep(5)
    yield "nothing to do, 5 s", "", 0.0, 0.0, health.longest_s
    for name, where in filters().items():
        with Health(service.url) as health:
            spent = [service.cpu_s()]
            answers = [client.post("/v1/search", files={"photo": photo}, data={"where": where} if where else {})]
            spent.append(service.cpu_s())
            answers.append(client.get("/v1/products", params={"where": where, "limit": "1", "total": "true"}))
            spent.append(service.cpu_s())
        statuses = " ".join(str(answer.status_code) for answer in answers)
        yield name, statuses, spent[1] - spent[0], spent[2] - spent[1], health.longest_s

    def search(number: int) -> int:
        where = " and ".join(f"title != b{i}-{number}" for i in range(10))
        return httpx.post(
            f"{service.url}/v1/search", files={"photo": photo}, data={"where": where}, timeout=120
        ).status_code

    with Health(service.url) as health, concurrent.futures.ThreadPoolExecutor(8) as pool:
        spent = [service.cpu_s()]
        counted = Counter(pool.map(search, range(8)))
        spent.append(service.cpu_s())
    yield "eight of `ten of title != a` at once", str(dict(counted)), spent[1] - spent[0], 0.0, health.longest_s


def main() -> int:
    """Measure and print; 1 where `/health` took over a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=200_000)
    parser.add_argument("--shop", type=Path)
    parser.add_argument("--keep", type=Path, help="make the catalog in this folder and leave it there")
    options = parser.parse_args()
    slow = False
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place)
        folder.mkdir(exist_ok=True)
        shop = options.shop or make(folder, options.products)
        service = Service([sys.executable, TINY, str(shop), "--port", "0"], Path(place) / "log")
        try:
            print("| filter | answers | processor s of a search | and of a list with its total | longest `/health` s |")
            print("|---|---|---|---|---|")
            for name, statuses, search_s, list_s, health_s in rows(service):
                slow |= health_s > 1
                print(f"| {name} | {statuses} | {search_s:.2f} | {list_s:.2f} | {health_s:.2f} |", flush=True)
        finally:
            print(json.dumps({"sigterm_s": round(service.stop(), 2)}), file=sys.stderr)
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
