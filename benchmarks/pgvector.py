"""Searching inside PostgreSQL by pgvector beside our scan: what is found, and the CPU of client and server.

The catalog holds the product photos of ``benchmarks.million.embed``, two of them a product; the queries are its street
photos, weighted by the encoder and, in turn, with the second part weighted 0. What counts as right is a comparison
with everything in single precision. The graph is forced in one way, and so is the comparison inside PostgreSQL in
another. CPU is that of this process and of the server's processes, from ``/proc``.

    python benchmarks/pgvector.py REAL.npz --products 4000 --queries 100
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi.catalog import Entry
from osoroi.catalog.address import place_of
from osoroi.catalog.opening import create_catalog, open_catalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.catalog.stored import StoredCatalog
from osoroi.index import ScanSettings
from osoroi.records import Crop, Part, Product
from postgres import running, schema_of

K = 10
WHERES = (None, "price < 90", "price < 50", "price < 10", "price < 1")
"""All products, nine tenths, half, a tenth, and a hundredth."""
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def server_s(url: str) -> float:
    """Seconds of CPU that the server's processes for clients have taken."""
    with psycopg.connect(url, autocommit=True) as one:
        pids = [
            pid
            for (pid,) in one.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        ]
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def entries(vectors: np.ndarray, products: int, rng: np.random.Generator) -> list[Entry]:
    """Two photos a product, and a price that says which filter lets it through."""
    made = []
    for at in range(products):
        name = f"p{at:06}"
        crops = [Crop(f"{name}/{place}", name, "shop", b"photo") for place in range(2)]
        made.append(Entry(Product(name, price=float(rng.random() * 100)), crops, vectors[2 * at : 2 * at + 2]))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--products", type=int, default=4000)
    parser.add_argument("--queries", type=int, default=100)
    chosen = parser.parse_args()
    real = np.load(chosen.real)
    rng = np.random.default_rng(0)
    shop = real["shop"][rng.permutation(len(real["shop"]))[: 2 * chosen.products]].astype(np.float32)
    sizes, weights = real["parts"].tolist(), real["weights"].tolist()
    parts = [Part(f"part{at}", size, weight) for at, (size, weight) in enumerate(zip(sizes, weights, strict=True))]
    street = real["street"][rng.permutation(len(real["street"]))[: chosen.queries]].astype(np.float32)
    scales = np.repeat(np.array(weights, np.float32), sizes)
    without = np.repeat(np.array([w if at != 1 else 0 for at, w in enumerate(weights)], np.float32), sizes)
    scan = CatalogSettings(scan_from=1, snapshot_from=1, scan=ScanSettings(coded_from=100, exact_up_to=500))
    with tempfile.TemporaryDirectory() as folder, running() as server:
        os.environ["OSOROI_CACHE"] = folder
        text = schema_of(server.url())
        with create_catalog(
            place_of(text),
            fingerprint="f" * 64,
            dim=shop.shape[1],
            parts=parts,
            settings=CatalogSettings(compacts=False),
        ) as catalog:
            made = entries(shop, len(shop) // 2, rng)
            for start in range(0, len(made), 500):
                catalog.put(made[start : start + 500], fingerprint="f" * 64)
        begin = time.process_time()
        ways = {
            "scan": open_catalog(place_of(text), settings=scan),
            "pgvector, compared": open_catalog(
                place_of(f"{text}&search=pgvector"), settings=CatalogSettings(scan_from=10**9)
            ),
            "pgvector, graph": open_catalog(place_of(f"{text}&search=pgvector"), settings=CatalogSettings(scan_from=1)),
        }
        took_s = time.process_time() - begin
        vectors = f"{len(shop)} vectors of {shop.shape[1]} numbers"
        print(f"{len(made)} products, {vectors}; opened in {took_s:.1f} s of CPU here", flush=True)
        for name, scale in (("the encoder's weights", scales), ("one part weighted 0", without)):
            for where in WHERES:
                report(name, where, ways, made, street * scale, lambda: server_s(server.url()))
        for one in ways.values():
            one.close()


def report(
    name: str,
    where: str | None,
    ways: dict[str, StoredCatalog],
    made: list[Entry],
    queries: np.ndarray,
    server: Callable[[], float],
) -> None:
    """Print recall and CPU of each way, for one filter and one weighting."""
    limit = float(where.rpartition("<")[2]) if where else np.inf
    allowed = [one for one in made if (one.product.price or 0) < limit]
    matrix = np.concatenate([one.vectors for one in allowed])
    shared: dict[str, list[float]] = {way: [] for way in ways}
    spent = {way: np.zeros(2) for way in ways}
    for way, catalog in ways.items():
        catalog.nearest(queries[:1], K, where=where)
        before = server()
        for query in queries:
            best = np.argsort(-(matrix @ query).reshape(-1, 2).max(1), kind="stable")[:K]
            right = {allowed[at].product.product_id for at in best}
            begin = time.process_time()
            hits = catalog.nearest(query[None], K, where=where)
            spent[way][0] += time.process_time() - begin
            assert len({hit.product_id for hit in hits}) == min(K, len(allowed)), "not k products"
            shared[way].append(len(right & {hit.product_id for hit in hits}) / len(right))
        spent[way][1] = server() - before
    for way in ways:
        client, served = 1000 * spent[way] / len(queries)
        print(
            f"{name}; {where or 'no filter'}; {way}: recall@{K} {np.mean(shared[way]):.4f}, "
            f"CPU {client:.1f} ms here, {served:.1f} ms in the server",
            flush=True,
        )


if __name__ == "__main__":
    main()
