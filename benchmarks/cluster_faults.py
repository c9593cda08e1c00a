"""What a search and a write notice while parts of a cluster die: a real Ray of three nodes, a real PostgreSQL.

    python benchmarks/cluster_faults.py --products 20000 --out faults.json
    python benchmarks/cluster_faults.py --products 200000 --folder FOLDER --fill  # and again without --fill

Two threads search and one puts products, one after another, while a searcher is killed, a node is killed and another
one joins, a shard is built anew from the database, PostgreSQL is stopped and started, and the catalog moves to another
encoder. Each answer is compared with that of one index over the whole catalog, to the last bit of a score. A product
that was put is searched for at once, and at the end all that were acknowledged have to be there. A search that lost its
connection, or met the other encoder, is done once more, as the service does; one that fails then has failed.

The other encoder turns every vector and every query around, so that scores stay what they are. Its vectors of what was
filled in are there before the load begins, as the first run of ``osoroi reencode --prepare`` leaves them; those of what
is put meanwhile are made during the move.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from benchmarks.cluster import DIM, FINGERPRINT, PARTS, WHERES, World, fill, tell

import clusters
from osoroi.catalog import Entry
from osoroi.catalog.address import Place, folder_of, place_of
from osoroi.catalog.maintenance.migration import Migration
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.postgres.transaction import PostgresTransaction
from osoroi.catalog.store.rows import StoredEncoder, slot, vector_row
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.catalog.store.writer import PUT_VECTOR
from osoroi.catalog.stored import StoredCatalog
from osoroi.cluster.merging import ShardedSearch
from osoroi.errors import CatalogUnavailable, OsoroiError, OtherEncoder
from osoroi.records import Crop, Product
from postgres import Server, running

OTHER = "e" * 64
K = 10
STEP = 4_000
"""Products between two looks at the clock while the catalog is filled."""
ROUTER = CatalogSettings(compacts=False)
MOVE = "the catalog moves to another encoder"
EVERYDAY = [None, *WHERES[:-1]]
"""Filters; a query with fewer than K answers is left out, so that none of those put meanwhile is among the best."""


@dataclass
class Counts:
    """What was seen; every list holds what went wrong."""

    searches: int = 0
    again: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    put: list[str] = field(default_factory=list)
    puts_again: int = 0
    not_found: list[str] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)  # when a search began, and how long it took


class Router:
    """A handle of the catalog that is searched in shards; it is opened again after a move to another encoder."""

    def __init__(self, place: Place, search: ShardedSearch) -> None:
        self._place = place
        self._search = search
        self._lock = threading.Lock()
        self.catalog = self._open()

    def _open(self) -> StoredCatalog:
        catalog = open_catalog(self._place, settings=ROUTER)
        catalog.search_elsewhere(self._search)
        return catalog

    def again(self, stale: StoredCatalog) -> None:
        """Open the catalog again in place of a stale one."""
        with self._lock:
            if self.catalog is stale:
                self.catalog = self._open()

    def nearest(self, query: np.ndarray, k: int, where: str | None) -> list[tuple[str, float]]:
        """Products and scores for a query of the first encoder."""
        catalog = self.catalog
        sign = 1 if catalog.fingerprint == FINGERPRINT else -1
        return [(hit.product_id, hit.score) for hit in catalog.nearest(sign * query, k, where=where)]


class Load:
    """Threads that search and write until they are told to stop."""

    def __init__(self, router: Router, world: World, expected: list[tuple[Any, ...]], photo: Path) -> None:
        self.router, self.world, self.expected, self.photo = router, world, expected, photo
        self.counts = Counts()
        self._ended = threading.Event()
        works = [self._search, self._search, self._write]
        self._threads = [threading.Thread(target=work, args=(at,)) for at, work in enumerate(works)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _asked(self, query: np.ndarray, k: int, where: str | None) -> list[tuple[str, float]] | None:
        """An answer, by a second attempt where the first met what the service does again, too; None for a failure."""
        start = time.monotonic()
        self.counts.searches += 1
        for attempt in range(2):
            catalog = self.router.catalog
            try:
                answer = self.router.nearest(query, k, where)
                self.counts.pauses.append((start, time.monotonic() - start))
                return answer
            except OtherEncoder as error:
                self.router.again(catalog)
                problem: OsoroiError = error
            except CatalogUnavailable as error:
                problem = error
            self.counts.again += attempt == 0
        self.counts.failed.append(f"{type(problem).__name__}: {problem}")
        self.counts.pauses.append((start, time.monotonic() - start))
        return None

    def _search(self, at: int) -> None:
        while not self._ended.is_set():
            query, where, right = self.expected[at % len(self.expected)]
            at += 2
            answer = self._asked(query, K, where)
            if answer is not None and answer != right:
                self.counts.wrong.append(f"{where}: {answer} and not {right}")

    def _write(self, _: int) -> None:
        number = 0
        while not self._ended.wait(0.1):
            number += 1
            name = f"new{number}"
            while not self._put(name) and not self._ended.wait(0.2):
                self.counts.puts_again += 1
            if name in self.counts.put[-1:]:
                found = self._asked(np.ones((1, DIM), np.float32), K, f"brand = {name}")
                if found is not None and [one for one, _ in found] != [name]:
                    self.counts.not_found.append(name)

    def _put(self, name: str) -> bool:
        """Put a product with a vector that is near no query; whether that was acknowledged."""
        catalog = self.router.catalog
        sign = 1 if catalog.fingerprint == FINGERPRINT else -1
        product = Product(name, name, brand=name, price=10.0)
        vectors = np.full((1, DIM), sign * 1e-3, np.float32)
        try:
            catalog.put(
                [Entry(product, [Crop(f"{name}/0", name, "shop", self.photo)], vectors)],
                fingerprint=catalog.fingerprint,
            )
        except OtherEncoder:
            self.router.again(catalog)
            return False
        except OsoroiError:  # it may be there or not: put again
            return False
        self.counts.put.append(name)
        return True


def prepare(place: Place) -> None:
    """Begin to move to the other encoder: its vectors, many at a time."""
    with open_catalog(place, settings=ROUTER) as catalog:
        Migration.begin(catalog, StoredEncoder(0, OTHER, DIM, PARTS, {}, 0.0))
        with catalog.view() as transaction:
            (number,) = transaction.one("SELECT encoder FROM encoders WHERE fingerprint = ?", OTHER)
            batches = [(keys, -rows) for keys, rows in transaction.every_vector(catalog.encoder)]
            there = {key for (key,) in transaction.all("SELECT slot FROM vectors WHERE slot >= ?", slot(number, 0))}
        for keys, rows in batches:
            new = [vector_row(slot(number, key), row) for key, row in zip(keys, rows, strict=True)]
            with catalog.commit("store") as (transaction, _):
                assert isinstance(transaction, PostgresTransaction)
                transaction.connection.execute_many(PUT_VECTOR, [row for row in new if row.slot not in there])


def move(place: Place) -> None:
    """Move the catalog to the other encoder, as ``osoroi reencode`` does."""
    with open_catalog(place, settings=ROUTER) as catalog:
        migration = Migration.begin(catalog, StoredEncoder(0, OTHER, DIM, PARTS, {}, 0.0))
        while True:
            for crops in migration.pending(limit=2000):
                migration.store(crops, -catalog.vectors([one.crop.crop_id for one in crops]))
            if migration.switch():
                return


def expected_of(place: Place, world: World, count: int) -> list[tuple[Any, ...]]:
    """Queries, filters, and the answers of one index over the whole catalog."""
    with open_catalog(place, readonly=True, settings=ROUTER) as whole:
        made = []
        for at in range(count):
            query, where = world.query(), EVERYDAY[at % len(EVERYDAY)]
            hits = whole.nearest(query, K, where=where)
            if len(hits) == K:
                made.append((query, where, [(hit.product_id, hit.score) for hit in hits]))
    return made


def events(nodes: clusters.Nodes, searchers: Any, server: Server, place: Place) -> dict[str, Callable[[], None]]:
    """What happens, one after another."""
    import ray

    def rebuild() -> None:
        shutil.rmtree(folder_of(place) / "shard-1-of-4")
        for replica in (0, 1):
            ray.kill(searchers._actors[1, replica], no_restart=False)
            whole_again(searchers)

    def restart() -> None:
        server.stop()
        server.start()

    def move_prepared() -> None:
        prepared(searchers)
        move(place)

    return {
        "a searcher is killed": lambda: ray.kill(searchers._actors[0, 0], no_restart=False),
        "a node is killed": nodes.kill,
        "a node joins": nodes.add,
        "a shard is built anew, one searcher after the other": rebuild,
        "PostgreSQL is stopped and started": restart,
        MOVE: move_prepared,
    }


def whole_again(searchers: Any) -> None:
    """Wait until every searcher answers; what was killed a moment ago may have one more answer in it."""
    time.sleep(1)
    end = time.monotonic() + 300
    while searchers.absent():
        assert time.monotonic() < end, f"{searchers.absent()} stay away"
        time.sleep(0.1)


def filled(arguments: argparse.Namespace, folder: Path, server: Server) -> tuple[Place, World, int]:
    """The catalog of the trial with its products, and with vectors of both encoders; one that is there is continued."""
    place = place_of(f"{server.url()}?schema=shop")
    end = time.monotonic() + 60 * arguments.minutes
    products = 0
    while products < arguments.products and time.monotonic() < end:
        world = fill(place, min(products + STEP, arguments.products), folder)
        with open_catalog(place, readonly=True) as catalog:
            products = len(catalog)
    print(f"{products} products", flush=True)
    if arguments.move:
        prepare(place)
        print("vectors of the other encoder", flush=True)
    return place, world, products


def prepared(searchers: Any) -> None:
    """Wait until every searcher has an index of the other encoder."""
    end = time.monotonic() + 300
    while any(about.prepared != OTHER for about in searchers.statuses()):
        assert time.monotonic() < end, "searchers are not prepared"
        time.sleep(0.5)


def under_load(
    arguments: argparse.Namespace, happenings: dict[str, Callable[[], None]], searchers: Any, counts: Counts
) -> dict[str, dict[str, float]]:
    """What each event took, and the longest search that it delayed."""
    rows = {}
    for name, happen in happenings.items():
        if name == MOVE and not arguments.move:
            continue
        time.sleep(arguments.rest_s)
        start = time.monotonic()
        happen()
        done = time.monotonic()
        whole_again(searchers)
        recovered = time.monotonic()
        time.sleep(arguments.rest_s)
        pauses = [took for began, took in counts.pauses if began + took > start]
        rows[name] = {
            "took_s": round(done - start, 1),
            "until every searcher answers again_s": round(recovered - done, 1),
            "longest search_s": round(max(pauses), 2),
        }
        print(name, rows[name], len(counts.wrong), len(counts.failed), flush=True)
    return rows


def trial(arguments: argparse.Namespace, folder: Path, server: Server) -> dict[str, Any]:
    """The whole trial; see the module."""
    place, world, products = filled(arguments, folder, server)
    expected = expected_of(place, world, 200)
    print("expected", flush=True)
    with clusters.nodes() as nodes:
        for _ in range(2):
            nodes.add()
        import ray

        from osoroi.cluster.plan import ClusterPlan
        from osoroi.cluster.run import connect
        from osoroi.cluster.searchers import Searchers

        connect(nodes.address)
        searchers = Searchers(ClusterPlan(place, shards=4, replicas=2, cpus=1))
        whole_again(searchers)
        if arguments.move:
            prepared(searchers)
        print("searchers", flush=True)
        load = Load(
            Router(place, ShardedSearch(searchers.search, searchers.healths)), world, expected, folder / "photo.jpg"
        )
        try:
            rows = under_load(arguments, events(nodes, searchers, server, place), searchers, load.counts)
        finally:
            load.stop()
        held = set(load.router.catalog.product_ids())
        searchers.stop()
        ray.shutdown()
    return {"products": products, **summary(load.counts, held), "events": rows}


def summary(counts: Counts, held: Set[str]) -> dict[str, Any]:
    """What became of the searches and puts of a load; ``held`` are the products that the catalog has at its end."""
    return {
        "searches": counts.searches,
        "done once more": counts.again,
        "failed": len(counts.failed),
        "wrong": len(counts.wrong),
        "puts acknowledged": len(counts.put),
        "puts done again": counts.puts_again,
        "lost": len(set(counts.put) - held),
        "not found at once": len(counts.not_found),
        "median search_s": round(float(np.median([took for _, took in counts.pauses])), 3),
        "examples": [*counts.failed[:3], *counts.wrong[:3]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=200_000)
    parser.add_argument("--rest-s", type=float, default=5.0, help="Seconds of load before and after each event.")
    parser.add_argument("--no-move", dest="move", action="store_false", help="Leave out the move to another encoder.")
    parser.add_argument("--folder", type=Path, help="Keep the filled database here, and try it on a copy.")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="Fill for so long at most; then take what is there."
    )
    parser.add_argument("--fill", action="store_true", help="Fill the database of --folder, and no more.")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osoroi-") as temporary:
        os.environ["OSOROI_CACHE"] = f"{temporary}/cache"
        data = arguments.folder and arguments.folder / "postgres"
        if arguments.fill:
            data.mkdir(parents=True, exist_ok=True)
            with running(data) as server:
                filled(arguments, Path(temporary), server)
            return
        if data:
            shutil.copytree(data, f"{temporary}/postgres")
            Path(temporary).chmod(0o755)
            subprocess.run(["chown", "-R", "nobody", f"{temporary}/postgres"], check=os.geteuid() == 0)
            data = Path(temporary) / "postgres"
        with running(data) as server:
            found = trial(arguments, Path(temporary), server)
    tell(found, arguments.out)


if __name__ == "__main__":
    main()
