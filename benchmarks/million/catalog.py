"""What a whole catalog of many products costs: the truth, the index and the arrays that filters ask, in one folder.

    python -m benchmarks.million.catalog REAL.npz --vectors 1000000 --cache FOLDER --out RESULTS.json

Vectors are those of ``benchmarks.million.run``; every product has one photo, a category, brand, price, size and stock.
The folder is filled once and kept in ``--cache``. Each figure of opening and searching is of a fresh process, whose
files the system may hold in memory.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.million.memory import anonymous_bytes
from benchmarks.million.multiply import Real
from benchmarks.million.run import command, machine
from benchmarks.million.world import World

from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog, is_catalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.records import Crop, Part, Product

BATCH = 2_000
PHOTO = b"one photo for all"
FILTERS = {
    "half, never asked before": "price <= {}",
    "half and half of that": "price > {} and in_stock",
    "a tenth": "category = c3",
    "a hundredth": "brand in (b7, b8, b9, b10) and size = 40",
    "all": "not price > 1000000{}",
    "no array: one title": "title = 'garment {}'",
    "no array: half of the titles": "title > 'garment 5{}'",
}
"""Each is asked with several numbers in its place, so that none was ever asked."""
AGAIN = 20


def products(world: World, rng: np.random.Generator) -> Iterator[list[Entry]]:
    """Batches of entries."""
    for start in range(0, world.count, BATCH):
        vectors = np.array(world.vectors[start : min(start + BATCH, world.count)])
        yield [_entry(start + at, vector[None], rng) for at, vector in enumerate(vectors)]


def _entry(number: int, vector: np.ndarray, rng: np.random.Generator) -> Entry:
    category, brand, size, stock = (int(one) for one in rng.integers((0, 0, 34, 0), (10, 300, 48, 10)))
    product = Product(
        f"p{number}",
        f"garment {number}",
        category=f"c{category}",
        brand=f"b{brand}",
        price=float(rng.integers(100, 20_000)),
        attributes={"size": float(size), "in_stock": stock > 4},
    )
    return Entry(product, [Crop(f"p{number}/0", f"p{number}", "shop", PHOTO)], vector)


def fill(folder: Path, world: World) -> dict[str, float]:
    """Make the catalog; seconds of adding and of one compaction."""
    parts = [Part(f"part{at}", size, weight) for at, (size, weight) in enumerate(_parts(world))]
    dim = sum(part.size for part in parts)
    by_hand = CatalogSettings(compacts=False)  # one compaction at the end, so that it can be timed
    catalog = LocalCatalog.create(folder, fingerprint=world.real.fingerprint, dim=dim, parts=parts, settings=by_hand)
    start = time.perf_counter()
    for entries in products(world, np.random.default_rng(0)):
        catalog.put(entries, fingerprint=world.real.fingerprint)
    added_s = time.perf_counter() - start
    start = time.perf_counter()
    catalog.compact()
    facts = {"adding_s": added_s, "compaction_s": time.perf_counter() - start}
    catalog.close()
    return facts


def _parts(world: World) -> Iterator[tuple[int, float]]:
    return zip((int(size) for size in world.real.parts), (float(one) for one in world.real.weights), strict=True)


def look(folder: Path, queries: np.ndarray) -> dict[str, Any]:
    """What a process that opens the catalog pays, in milliseconds."""
    before = anonymous_bytes()
    facts: dict[str, Any] = {}

    def timed(name: str, do: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        value = do()
        facts[name] = {"wall_ms": _ms(time.perf_counter() - wall), "cpu_ms": _ms(time.process_time() - cpu)}
        return value

    catalog = timed("open", lambda: LocalCatalog.open(folder))
    timed("first search", lambda: catalog.nearest(queries[:1], 10))
    facts["beyond_map_bytes"] = anonymous_bytes() - before
    facts["search"] = _all(catalog, queries, "", "")
    for name, where in FILTERS.items():
        facts[name] = {"first use": _all(catalog, queries, where, "{}"), "again": _all(catalog, queries, where, "9500")}
    hit = catalog.nearest(queries[:1], 1)[0]
    timed("price patched", lambda: catalog.patch(hit.product_id, {"price": 1.0}))
    timed("search after a change", lambda: catalog.nearest(queries[:1], 10))
    timed("the same filter after a change", lambda: catalog.nearest(queries[:1], 10, where="price <= 9500"))
    catalog.close()
    return facts


def _all(catalog: LocalCatalog, queries: np.ndarray, where: str, number: str) -> dict[str, float]:
    """Of ``AGAIN`` searches; ``{}`` asks with another number each time."""
    took, cpu = [], time.process_time()
    for at in range(AGAIN):
        filled = where.format(9_000 + at if number == "{}" else number)
        start = time.perf_counter()
        catalog.nearest(queries[at : at + 1], 10, where=filled)
        took.append(time.perf_counter() - start)
    used = (time.process_time() - cpu) / AGAIN
    return {"median_ms": _ms(float(np.median(took))), "worst_ms": _ms(max(took)), "cpu_ms": _ms(used)}


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 2)


def seen_elsewhere(folder: Path, queries: np.ndarray) -> dict[str, float]:
    """How long after ``put`` another process, which looks again and again, finds the new product."""
    words = [sys.executable, "-m", "benchmarks.million.catalog", "--watch", str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin
        assert reader.stdout
        reader.stdin.write(json.dumps(queries[0].tolist()) + "\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "ready\n"
        with LocalCatalog.open(folder) as catalog:
            entry = _entry(10**9, 2 * queries[:1], np.random.default_rng(1))
            start = time.perf_counter()
            catalog.put([entry], fingerprint=catalog.fingerprint)
            put_s = time.perf_counter() - start
            reader.stdout.readline()
            seen_s = time.perf_counter() - start
            catalog.remove([entry.product.product_id])
    return {"put_ms": _ms(put_s), "seen_ms": _ms(seen_s)}


def watch(folder: Path) -> None:
    """The other process: say ``ready``, and then when the new product comes first."""
    query = np.array([json.loads(sys.stdin.readline())], np.float32)
    with LocalCatalog.open(folder, readonly=True) as catalog:
        catalog.nearest(query, 1)
        print("ready", flush=True)
        while catalog.nearest(query, 1)[0].product_id != f"p{10**9}":
            time.sleep(0.001)
        print("seen", flush=True)


def main() -> None:
    if sys.argv[1:2] in (["--watch"], ["--look"]):
        folder = Path(sys.argv[2])
        if sys.argv[1] == "--watch":
            watch(folder)
        else:
            print(json.dumps(look(folder, np.load(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    world = World(Real.read(chosen.real), chosen.vectors, chosen.queries, chosen.cache)
    folder = chosen.cache / f"shop_{chosen.vectors}_{world.real.fingerprint[:8]}"
    facts_path = folder.with_suffix(".json")
    if not is_catalog(folder) or not facts_path.exists():
        facts_path.write_text(json.dumps(fill(folder, world)))
    queries_path = folder.with_suffix(".queries.npy")
    np.save(queries_path, world.weighed(None)[:AGAIN])
    words = [sys.executable, "-m", "benchmarks.million.catalog", "--look", str(folder), str(queries_path)]
    looked = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    results = {
        "command": command("catalog"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_after": os.getloadavg(),
        "products": chosen.vectors,
        "filling": json.loads(facts_path.read_text()),
        "file_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "a process": looked,
        "added, seen by another process": seen_elsewhere(folder, world.weighed(None)[:1]),
    }
    chosen.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
