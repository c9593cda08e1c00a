"""Shards beside one machine: whether they answer alike, and what Ray takes of a search.

    python benchmarks/cluster.py equal --out equal.json
    python benchmarks/cluster.py overhead --out overhead.json

Products are drawn by a seed: each has one to three vectors near one of many centres, so that good answers are close to
one another, and attributes to filter by. One catalog is searched by one index over all of it and by shards, with and
without filters, grouping, offsets and products left out; keys and the bits of scores are compared. ``overhead`` asks
the same shards in this process and as actors of Ray, in turn, and states the difference in processor time: that of
this process (sends, receives, merges), and that of the searchers' processes together.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # as Ray sets it for its processes

import numpy as np
from jaxtyping import Float32
from processes import cpu_s

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi.catalog import Entry
from osoroi.catalog.address import Place
from osoroi.catalog.opening import create_catalog, is_catalog, open_catalog
from osoroi.catalog.store.reader import BestCrop
from osoroi.catalog.store.settings import CatalogSettings, Shard
from osoroi.catalog.stored import StoredCatalog
from osoroi.cluster.merging import merged
from osoroi.cluster.messages import ShardAnswer, ShardQuery
from osoroi.cluster.shard import ShardSearcher
from osoroi.records import Crop, Part, Product

DIM = 128
PARTS = (Part("deep", 96, 0.6), Part("detail", 32, 0.4))
FINGERPRINT = "f" * 64
BATCH = 2_000
PHOTO = b"one photo for all"
WHERES = (
    "price <= 50", "price > 90", "category = c3", "category in (c1, c2) and sale", "not sale", "brand = b7",
    "brand = b7 and price < 20", "size = 40 or size = 41", "price > 98 and category = c1", "price > 1000",
)  # fmt: skip


class World:
    """Vectors near centres, in two parts of unit length."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.centres = self.rng.standard_normal((400, DIM)).astype(np.float32)

    def vectors(self, count: int) -> Float32[np.ndarray, "n d"]:
        """Stored vectors."""
        near = self.centres[self.rng.integers(len(self.centres), size=count)]
        rows = near + self.rng.standard_normal((count, DIM)).astype(np.float32) * 0.7
        for start, end in ((0, 96), (96, DIM)):
            rows[:, start:end] /= np.linalg.norm(rows[:, start:end], axis=1, keepdims=True)
        return rows

    def query(self) -> Float32[np.ndarray, "1 d"]:
        """A weighed query."""
        share = self.rng.random()
        return (self.vectors(1) * np.repeat([1 - share, share], [96, 32])).astype(np.float32)

    def entry(self, number: int, photo: Path) -> Entry:
        """A product."""
        vectors = self.vectors(int(self.rng.integers(1, 4)))
        category, brand, price, size, sale = (
            int(one) for one in self.rng.integers((0, 0, 0, 34, 0), (10, 60, 100, 48, 2))
        )
        attributes = {"size": float(size), "sale": bool(sale)}
        name = f"p{number}"
        product = Product(
            name, f"garment {number}", f"c{category}", f"b{brand}", float(price), "EUR", attributes=attributes
        )
        crops = [Crop(f"{name}/{at}", name, "shop", photo) for at in range(len(vectors))]
        return Entry(product, crops, vectors)


def fill(place: Place, products: int, folder: Path, seed: int = 0) -> World:
    """A catalog with so many products; one that was begun is continued."""
    world, photo = World(seed), folder / "photo.jpg"
    photo.write_bytes(PHOTO)
    settings = CatalogSettings(compacts=False)
    if not is_catalog(place):
        create_catalog(place, fingerprint=FINGERPRINT, dim=DIM, parts=PARTS, settings=settings).close()
    with open_catalog(place, settings=settings) as catalog:
        for start in range(len(catalog), products, BATCH):
            world.rng = np.random.default_rng((seed, start))
            numbers = range(start, min(start + BATCH, products))
            catalog.put([world.entry(number, photo) for number in numbers], fingerprint=FINGERPRINT)
    world.rng = np.random.default_rng((seed, products))
    return world


class Question(NamedTuple):
    """One search; ``without`` are keys of products."""

    query: Float32[np.ndarray, "1 d"]
    k: int
    where: str | None
    without: tuple[int, ...]


def questions(world: World, count: int, products: int) -> Iterator[Question]:
    """Half with a filter, a quarter with products left out; k is a page and its offset together."""
    for number in range(count):
        where = WHERES[number // 2 % len(WHERES)] if number % 2 else None
        without = tuple(world.rng.integers(1, products, 2).tolist()) if number % 4 == 0 else ()
        yield Question(world.query(), int(world.rng.choice([1, 10, 50, 200])), where, without)


def whole(catalog: StoredCatalog, one: Question) -> list[BestCrop]:
    """The answer of one index over all of the catalog."""
    with catalog.current() as (transaction, memory):
        among = memory.allowed(transaction, transaction.filter(one.where)) if one.where else None
        return memory.nearest(one.query, one.k, among=among, without=one.without)


def exact(catalog: StoredCatalog, vectors: Any, one: Question) -> list[float]:
    """The scores of the right answer, by comparing with everything."""
    keys, rows, owners, allowed = vectors
    kept = (allowed(one.where) if one.where else np.ones(len(keys), bool)) & ~np.isin(owners, one.without)
    scores = np.einsum("nd,d->n", rows[kept], one.query[0], dtype=np.float32)
    order = np.lexsort((keys[kept], -scores))
    first = np.sort(np.unique(owners[kept][order], return_index=True)[1])[: one.k]
    return scores[order][first].tolist()


class Everything(NamedTuple):
    """All vectors of a catalog with their products, and which of them match a filter."""

    keys: np.ndarray
    rows: np.ndarray
    owners: np.ndarray
    allowed: Callable[[str], np.ndarray]


def everything(catalog: StoredCatalog) -> Everything:
    """What comparing with everything needs."""
    with catalog.current() as (transaction, memory):
        batches = list(transaction.every_vector(catalog.encoder))
        keys = np.concatenate([np.array(one) for one, _ in batches])
        owners = memory.owners[keys]

    def allowed(where: str) -> np.ndarray:
        with catalog.current() as (transaction, memory):
            return memory.allowed(transaction, transaction.filter(where))[keys]

    return Everything(keys, np.concatenate([rows for _, rows in batches]), owners, allowed)


def asked(catalog: StoredCatalog, one: Question) -> ShardQuery:
    """The question to each shard."""
    with catalog.view() as transaction:
        filter_ = transaction.filter(one.where) if one.where else None
        return ShardQuery(one.query, one.k, filter_, one.without, FINGERPRINT, *transaction.head())


def equal(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Answers of shards beside those of one index."""
    place = folder / "shop"
    world = fill(place, arguments.products, folder)
    settings = [CatalogSettings(shard=Shard(at, arguments.shards), history=10) for at in range(arguments.shards)]
    searchers = [ShardSearcher(place, one.shard, settings=one) for one in settings]
    with open_catalog(place, readonly=True) as catalog:
        kind = [one.status() for one in searchers]
        compared = everything(catalog)
        counts = {"plain": [0, 0], "filtered": [0, 0]}
        wrong = {"one index": 0, "shards": 0}
        for one in questions(world, arguments.queries, arguments.products):
            expected = whole(catalog, one)
            query = asked(catalog, one)
            found = merged([searcher.search(query) for searcher in searchers], one.k)
            count = counts["filtered" if one.where else "plain"]
            count[0] += 1
            count[1] += found == expected
            if found != expected:
                right = exact(catalog, compared, one)
                wrong["one index"] += [crop.score for crop in expected] != right
                wrong["shards"] += [crop.score for crop in found] != right
        vectors = len(compared.keys)
    return {
        "products": arguments.products,
        "vectors": vectors,
        "shards": [one.vectors for one in kind],
        "queries and equal answers": counts,
        "of the others, not the right answer": wrong,
    }


def overhead(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Processor time of searches in actors beside the same searches in this process, in turns of a hundred."""
    import clusters

    place = folder / "shop"
    world = fill(place, arguments.products, folder)
    with clusters.nodes() as nodes, open_catalog(place, readonly=True) as catalog:
        import ray

        from osoroi.cluster.plan import ClusterPlan
        from osoroi.cluster.run import connect
        from osoroi.cluster.searchers import Searchers

        connect(nodes.address)
        searchers = Searchers(ClusterPlan(place, arguments.shards, replicas=1, cpus=0.1))
        while searchers.absent():
            time.sleep(0.5)
        processes = [about.process for about in searchers.statuses()]
        here = [ShardSearcher(place, Shard(at, arguments.shards)) for at in range(arguments.shards)]
        ways: dict[str, Callable[[ShardQuery], Sequence[ShardAnswer]]] = {
            "in this process": lambda query: [one.search(query) for one in here],
            "Ray": searchers.search,
        }
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        different = 0
        for _ in range(arguments.queries // 100):
            several = [asked(catalog, one) for one in questions(world, 100, arguments.products)]
            answers = []
            for name, ask in ways.items():
                before = time.process_time(), sum(map(cpu_s, processes))
                answers.append([merged(ask(query), query.k) for query in several])
                spent[name].append((time.process_time() - before[0], sum(map(cpu_s, processes)) - before[1]))
            different += sum(one != other for one, other in zip(*answers, strict=True))
        searchers.stop()
        ray.shutdown()
    ms = {name: (10 * np.array(rows)).tolist() for name, rows in spent.items()}  # of 100 queries, in ms of one
    own, beside = np.array(ms["in this process"])[1:, 0], np.array(ms["Ray"])[1:]
    return {
        "queries": 100 * len(own),
        "different answers": different,
        "search of all shards, ms": spread(own),
        "Ray, this process, ms": spread(beside[:, 0]),
        "Ray, the searchers beyond the search, ms": spread(beside[:, 1] - own),
        "Ray, all of it, ms": spread(beside.sum(1) - own),
    }


def spread(values: np.ndarray) -> dict[str, float]:
    """The mean over turns and its 95% interval (bootstrap)."""
    means = values[np.random.default_rng(0).integers(0, len(values), (2000, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": round(float(values.mean()), 2), "low": round(float(low), 2), "high": round(float(high), 2)}


def tell(found: object, out: Path | None) -> None:
    """Print what was found as JSON, and write it to a file where one is named."""
    text = json.dumps(found, indent=1)
    print(text)
    if out:
        out.write_text(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["equal", "overhead"])
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osoroi-") as folder:
        found = {"equal": equal, "overhead": overhead}[arguments.part](arguments, Path(folder))
    tell(found, arguments.out)


if __name__ == "__main__":
    main()
