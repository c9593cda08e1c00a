"""Shards of a catalog answer as one index over all of it does: the same products, order, scores and vectors."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shops
from osoroi.catalog.maintenance.migration import Migration
from osoroi.catalog.memory.columns import Columns
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.postgres.transaction import PostgresTransaction
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings, Shard
from osoroi.catalog.stored import StoredCatalog
from osoroi.cluster import searchers
from osoroi.cluster.merging import merged
from osoroi.cluster.messages import ShardAnswer, ShardQuery
from osoroi.cluster.shard import ShardSearcher
from osoroi.errors import BadFilter, Busy, CatalogUnavailable, OtherEncoder
from osoroi.index import ScanSettings
from osoroi.index.exact import ExactIndex
from shards import sharded
from shops import create, entry, put

WHERES = (
    None,
    "price > 2",
    "not price > 2",
    "sale",
    "size in (S, M)",
    "title contains 1",
    "price > 2 or size = L",
    "price > 99",
)
SIZES = ("S", "M", "L")


def drawn(rng: np.random.Generator, name: str):
    """A product with one to three crops whose few coordinates make many scores equal."""
    vectors = rng.integers(-1, 2, (rng.integers(1, 4), shops.DIM)).tolist()
    attributes = {"size": SIZES[rng.integers(3)]} | ({"sale": True} if rng.integers(2) else {})
    return entry(name, *vectors, price=float(rng.integers(5)), title=f"no {name}", attributes=attributes)


def answers(catalog, query_, k, where, without):
    hits = catalog.nearest(query_, k, where=where, without=without)
    return [(hit.product, hit.crop_id, hit.score, hit.vector.tobytes()) for hit in hits]


def change(catalog, rng: np.random.Generator) -> None:
    """One commit of some kind."""
    names = [f"p{number}" for number in range(40)]
    held = sorted(catalog.product_ids())
    match rng.integers(6):
        case 0:
            catalog.remove(rng.choice(held, min(3, len(held)), replace=False).tolist())
        case 1:
            catalog.patch(rng.choice(held), {"price": float(rng.integers(5)), "attributes.sale": bool(rng.integers(2))})
        case 2:
            several = [name for name in held if len(catalog.crops(name)) > 1]
            if several:
                catalog.drop(several[0], [catalog.crops(several[0])[0].crop_id])
        case 3:  # other vectors, the same metadata
            (old,) = catalog.entries([rng.choice(held)]).values()
            put(catalog, old._replace(vectors=rng.integers(-1, 2, old.vectors.shape).astype(np.float32)))
        case 4:  # a crop moves to another product
            taken, taker = rng.choice(held, 2, replace=False)
            old = catalog.entries([taken, taker])
            crop = old[taken].crops[0]
            moved = old[taker]._replace(
                crops=[*old[taker].crops, crop.__class__(crop.crop_id, taker, "shop", crop.photo)],
                vectors=np.concatenate([old[taker].vectors, old[taken].vectors[:1]]),
            )
            catalog.apply([moved], fingerprint=shops.ENCODER, remove=[taken])
        case _:
            moved = {crop.crop_id.partition("/")[0] for name in held for crop in catalog.crops(name)} - set(held)
            free = [name for name in names if name not in moved]
            put(catalog, *(drawn(rng, name) for name in rng.choice(free, 3, replace=False)))


def asked(rng: np.random.Generator, held: list[str]):
    return (
        rng.integers(-1, 2, (1, shops.DIM)).astype(np.float32),
        int(rng.choice([1, 2, 5, 40])),
        WHERES[rng.integers(len(WHERES))],
        rng.choice(held, rng.integers(3)).tolist(),
    )


def in_memory(shard: Shard, keys, vectors, owners) -> MemoryIndex:
    """The index of a shard, made by hand."""
    index = ExactIndex(shops.DIM)
    own = shard.holds(owners[keys])
    index.add(keys[own], vectors[own])
    encoder = StoredEncoder(1, shops.ENCODER, shops.DIM, (), {}, 0.0)
    held = np.where(shard.holds(owners), owners, 0)
    return MemoryIndex(encoder, 1, 11, index, held, Columns(0, {}, set()), CatalogSettings(shard=shard))


@pytest.mark.parametrize("of", [1, 2, 4, 7])
def test_the_best_of_all_shards_are_the_best_of_the_whole(of):
    rng = np.random.default_rng(of)
    keys = np.arange(1, 401)
    owners = np.concatenate([[0], rng.integers(1, 150, 400)])
    vectors = rng.integers(-2, 3, (400, shops.DIM)).astype(np.float32)  # of few values, so that many scores are equal
    whole = in_memory(Shard(), keys, vectors, owners)
    shards = [in_memory(Shard(number, of), keys, vectors, owners) for number in range(of)]
    ties = 0
    for _ in range(120):
        query = rng.integers(-2, 3, (1, shops.DIM)).astype(np.float32)
        k, without = int(rng.choice([1, 3, 10, 60, 400])), rng.integers(1, 150, rng.integers(4)).tolist()
        among = None if rng.integers(2) else rng.random(401) < rng.choice([0.02, 0.3, 0.9])
        expected = whole.nearest(query, k, among=among, without=without)
        found = []
        for one in shards:
            best = one.nearest(query, k, among=among if among is None else among & (one.owners > 0), without=without)
            columns = np.array(best).reshape(-1, 3)
            parts = columns[:, 0].astype(np.int64), columns[:, 1].astype(np.int64), columns[:, 2].astype(np.float32)
            found.append(ShardAnswer(*parts, frozenset()))
        assert merged(found, k) == expected
        ties += len(expected) - len({one.score for one in expected})
    assert ties > 500


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), of=st.sampled_from([1, 2, 3, 5]))
def test_shards_answer_as_the_whole_does_whatever_is_committed(tmp_path_factory, seed, of):
    rng = np.random.default_rng(seed)
    place = tmp_path_factory.mktemp("shop") / "shop"
    with create(place, *(drawn(rng, f"p{number}") for number in range(30))) as whole, sharded(place, of) as shards:
        for _ in range(6):
            for _ in range(4):
                question = asked(rng, whole.product_ids())
                assert answers(shards, *question) == answers(whole, *question), question
            change(whole, rng)


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), of=st.sampled_from([2, 3]))
def test_a_shard_that_has_gone_further_answers_as_of_the_view(tmp_path_factory, seed, of):
    rng = np.random.default_rng(seed)
    place = tmp_path_factory.mktemp("shop") / "shop"
    commits = 0

    def between() -> None:
        for _ in range(commits):
            change(whole, rng)

    with (
        create(place, *(drawn(rng, f"p{number}") for number in range(30))) as whole,
        sharded(place, of, between=between) as shards,
    ):
        for commits in rng.integers(0, 4, 6).tolist():  # noqa: B007  ``between`` reads it
            question = asked(rng, whole.product_ids())
            expected = answers(whole, *question)
            assert answers(shards, *question) == expected, question


def test_a_search_begins_again_where_a_shard_no_longer_knows_the_commit_of_its_view(tmp_path):
    more = [0, 3]  # the first view is left behind by three commits, the second by none
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0])) as whole:

        def between() -> None:
            for _ in range(more.pop()):
                put(whole, entry("b", [2, 0, 0, len(more)]))
                put(whole, entry("b", [2, 0, 0, 0]))

        with sharded(tmp_path / "shop", 2, between=between, history=1) as shards:
            assert shops.found(shards) == "ba"
            assert more == []


def test_a_catalog_that_never_rests_is_busy_and_not_answered_wrongly(tmp_path):
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0]), entry("b", [0.5, 0, 0, 0])) as whole:
        price = iter(range(10_000))

        def between() -> None:
            for _ in range(3):
                for name in "ab":
                    whole.patch(name, {"price": float(next(price))})

        with sharded(tmp_path / "shop", 2, between=between, history=1) as shards, pytest.raises(Busy, match="faster"):
            shops.found(shards)


def test_every_product_is_in_one_shard_and_the_index_of_a_shard_holds_it_alone(tmp_path):
    rng = np.random.default_rng(3)
    entries = [drawn(rng, f"p{number}") for number in range(50)]
    with create(tmp_path / "shop", *entries), sharded(tmp_path / "shop", 3) as shards:
        sizes = []
        for number in range(3):
            with contextlib.closing(ShardSearcher(tmp_path / "shop", Shard(number, 3))) as searcher:
                sizes.append(searcher.status().vectors)
        assert sum(sizes) == sum(len(one.crops) for one in entries)
        assert min(sizes) > 10
        assert shards.health() is None, "so few are compared one by one"


def test_a_scan_in_shards_finds_what_one_scan_does(place):
    rng = np.random.default_rng(5)
    dim = 16
    several = rng.standard_normal((300, 2, dim)).astype(np.float32)
    entries = [entry(f"p{number}", *rows, price=float(number % 7)) for number, rows in enumerate(several)]
    sizes: dict[str, Any] = {
        "snapshot_from": 100,
        "scan_from": 100,
        "scan": ScanSettings(coded_from=100, exact_up_to=60),
    }
    with (
        create(place, *entries, dim=dim),
        sharded(place, 2, **sizes) as shards,
        open_catalog(place, settings=CatalogSettings(**sizes)) as whole,
    ):
        for row in rng.standard_normal((10, 1, dim)).astype(np.float32):
            for where in (None, "price < 2", "price = 6 or price = 1"):
                assert answers(shards, row, 20, where, []) == answers(whole, row, 20, where, [])
        health = shards.health()
        assert health is not None
        assert (health.vectors, health.recall > 0.99) == (600, True)
        snapshots = [] if isinstance(place, Path) else ["shard-0-of-2", "shard-1-of-2"]  # nobody writes into a folder
        assert sorted(path.name for path in shards.folder.glob("shard-*")) == snapshots


def test_who_measures_how_well_a_shard_finds_holds_up_no_search(tmp_path, monkeypatch):
    """It reads all vectors; the shard follows the next commit meanwhile, and is searched."""
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0])) as whole, sharded(tmp_path / "shop", 1) as shards:
        begun, go_on = threading.Event(), threading.Event()

        def health(_: object) -> None:
            begun.set()
            assert go_on.wait(60)

        monkeypatch.setattr(ExactIndex, "health", health)
        with ThreadPoolExecutor(1) as pool:
            measured = pool.submit(shards.health)
            assert begun.wait(60)
            shops.put(whole, entry("b", [2, 0, 0, 0]))
            try:
                with ThreadPoolExecutor(1) as other:
                    assert other.submit(shops.found, shards).result(timeout=60) == "ba"
                assert not measured.done()
            finally:
                go_on.set()


def test_a_shard_is_opened_again_where_the_catalog_moved_to_another_encoder(tmp_path):
    place = tmp_path / "shop"
    with create(place, entry("a", [1, 0, 0, 0]), entry("b", [0.5, 0, 0, 0])) as whole, sharded(place, 2) as shards:
        assert shops.found(shards) == "ab"
        migration = Migration.begin(whole, StoredEncoder(0, shops.OTHER, shops.DIM, (), {}, 0.0))
        (crops,) = migration.pending(limit=10)
        migration.store(crops, np.array([[crop.product.product_id == "b", 0, 0, 0] for crop in crops], np.float32))
        assert migration.switch()
        with pytest.raises(OtherEncoder):
            shops.found(shards)
        with open_catalog(place) as again:
            assert shards._elsewhere is not None
            again.search_elsewhere(shards._elsewhere)
            assert shops.found(again) == "ba"


@pytest.mark.parametrize("sizes", [{}, {"snapshot_from": 10, "scan_from": 20}], ids=["in memory", "as a snapshot"])
def test_a_shard_is_ready_before_the_catalog_moves_to_another_encoder(place, monkeypatch, sizes):
    rng = np.random.default_rng(0)
    settings = CatalogSettings(shard=Shard(0, 2), history=10, **sizes)

    def built(*_) -> MemoryIndex:
        raise AssertionError("an index was built after the switch")

    def query(seq: int, commit: int) -> ShardQuery:
        return ShardQuery(np.eye(1, shops.DIM, dtype=np.float32), 5, None, (), shops.OTHER, seq, commit)

    with create(place, *(drawn(rng, f"p{number}") for number in range(40))) as whole:
        migration = Migration.begin(whole, StoredEncoder(0, shops.OTHER, shops.DIM, (), {}, 0.0))
        searcher = ShardSearcher(place, settings.shard, settings=settings)
        assert not searcher.prepare(), "no vectors"
        turn(whole, migration)
        assert searcher.prepare()
        put(whole, *(drawn(rng, f"q{number}") for number in range(6)))
        whole.remove(["p3", "p4"])
        assert not searcher.prepare(), "new products without vectors"
        turn(whole, migration)
        assert searcher.prepare()
        put(whole, drawn(rng, "last"))
        turn(whole, migration)
        assert migration.switch()
        with open_catalog(place) as moved:
            expected = ShardSearcher(place, settings.shard, settings=replace(settings, snapshot_from=1000))
            with moved.view() as transaction:
                head = transaction.head()
            answer = expected.search(query(*head))
            monkeypatch.setattr(MemoryIndex, "build", built)
            assert same(searcher.search(query(*head)), answer)
            if sizes:  # a searcher that starts now finds the snapshot
                again = ShardSearcher(place, settings.shard, settings=settings)
                assert same(again.search(query(*head)), answer)
                again.close()
            expected.close()
        searcher.close()


@pytest.mark.parametrize("sizes", [{}, {"snapshot_from": 10, "scan_from": 20}], ids=["in memory", "as a snapshot"])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_searcher_that_starts_while_others_write_is_ready_before_the_switch_too(place, monkeypatch, sizes, restarts):
    """Crops without a vector of the next encoder are there all the time then; they join its index later."""
    rng = np.random.default_rng(1)
    settings = CatalogSettings(shard=Shard(0, 2), history=10, **sizes)
    with create(place, *(drawn(rng, f"p{number}") for number in range(40))) as whole:
        migration = Migration.begin(whole, StoredEncoder(0, shops.OTHER, shops.DIM, (), {}, 0.0))
        turn(whole, migration)
        put(whole, *(drawn(rng, f"q{number}") for number in range(9)), drawn(rng, "p1"))
        searcher = ShardSearcher(place, settings.shard, settings=settings)
        assert not searcher.prepare()
        assert searcher.status().prepared == shops.OTHER
        whole.remove(["q3", "q4", "p5"])
        put(whole, drawn(rng, "p2"), drawn(rng, "q5"))
        if restarts:
            searcher.close()
            searcher = ShardSearcher(place, settings.shard, settings=settings)
        assert not searcher.prepare()
        turn(whole, migration)
        put(whole, drawn(rng, "last"), drawn(rng, "p6"))
        assert not searcher.prepare()
        turn(whole, migration)
        assert migration.switch()
        with open_catalog(place) as moved, moved.view() as transaction:
            query = ShardQuery(np.eye(1, shops.DIM, dtype=np.float32), 99, None, (), shops.OTHER, *transaction.head())
        with contextlib.closing(
            ShardSearcher(place, settings.shard, settings=replace(settings, snapshot_from=1000))
        ) as expected:
            answer = expected.search(query)
        monkeypatch.setattr(MemoryIndex, "build", None)
        found = searcher.search(query)
        for at in range(3):
            assert np.array_equal(np.asarray(found[at]), np.asarray(answer[at]))
        searcher.close()


@pytest.mark.parametrize("fails", ["pending_of", "vectors_at"])
def test_crops_that_were_to_come_join_after_the_database_failed_once(place, monkeypatch, fails):
    rng = np.random.default_rng(2)
    settings = CatalogSettings(shard=Shard(0, 1), history=10)
    with create(place, *(drawn(rng, f"p{number}") for number in range(20))) as whole:
        migration = Migration.begin(whole, StoredEncoder(0, shops.OTHER, shops.DIM, (), {}, 0.0))
        turn(whole, migration)
        put(whole, *(drawn(rng, f"q{number}") for number in range(9)))
        with contextlib.closing(ShardSearcher(place, settings.shard, settings=settings)) as searcher:
            assert not searcher.prepare()
            turn(whole, migration)
            kind = ReadTransaction if isinstance(place, Path) else PostgresTransaction
            with monkeypatch.context() as broken:
                broken.setattr(kind, fails, cut)
                with pytest.raises(CatalogUnavailable):
                    searcher.prepare()
            assert searcher.prepare()
            assert migration.switch()
            with open_catalog(place) as moved, moved.view() as transaction:
                head, count = transaction.head(), len(moved)
            monkeypatch.setattr(MemoryIndex, "build", None)
            query = ShardQuery(np.eye(1, shops.DIM, dtype=np.float32), 99, None, (), shops.OTHER, *head)
            assert len(searcher.search(query).products) == count == 29


def cut(*_: object) -> NoReturn:
    raise CatalogUnavailable("the server closed the connection", hint="try again")


def test_a_prepared_index_that_lacks_a_crop_does_not_take_over(tmp_path):
    rng = np.random.default_rng(3)
    settings = CatalogSettings(shard=Shard(0, 1), history=10)
    with create(tmp_path / "shop", *(drawn(rng, f"p{number}") for number in range(9))) as whole:
        migration = Migration.begin(whole, StoredEncoder(0, shops.OTHER, shops.DIM, (), {}, 0.0))
        turn(whole, migration)
        with contextlib.closing(ShardSearcher(tmp_path / "shop", settings.shard, settings=settings)) as searcher:
            assert searcher.prepare()
            assert searcher._prepared is not None
            searcher._prepared.index.remove(np.arange(1, 6))
            assert migration.switch()
            with open_catalog(tmp_path / "shop") as moved, moved.view() as transaction:
                head = transaction.head()
            query = ShardQuery(np.eye(1, shops.DIM, dtype=np.float32), 99, None, (), shops.OTHER, *head)
            assert len(searcher.search(query).products) == 9


def turn(catalog: StoredCatalog, migration: Migration) -> None:
    """Vectors of the other encoder for all that have none: the old ones turned around."""
    for crops in migration.pending(limit=10):
        migration.store(crops, -catalog.vectors([one.crop.crop_id for one in crops]))


def same(one: ShardAnswer, other: ShardAnswer) -> bool:
    return all(np.array_equal(np.asarray(one[at]), np.asarray(other[at])) for at in range(3)) and len(one.products) == 5


def test_a_move_that_was_given_up_leaves_no_index_behind(tmp_path):
    settings = CatalogSettings(shard=Shard(0, 1), history=10, snapshot_from=2)
    with create(tmp_path / "shop", *(entry(name, [1, 0, 0, 0]) for name in "abc")) as whole:
        searcher = ShardSearcher(tmp_path / "shop", settings.shard, settings=settings)
        for fingerprint in ("1" * 64, "2" * 64):
            turn(whole, Migration.begin(whole, StoredEncoder(0, fingerprint, shops.DIM, (), {}, 0.0)))
            assert searcher.prepare()
            (folder,) = (tmp_path / "shop").glob("prepared-*")
            assert folder.name.endswith(fingerprint[:16])
        searcher.close()


def test_a_filter_that_is_wrong_is_refused_before_any_shard_is_asked(tmp_path):
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0])), sharded(tmp_path / "shop", 2) as shards:
        with pytest.raises(BadFilter, match="colour"):
            shops.found(shards, "colour = red")
        assert shops.found(shards, "price is missing") == "a"


def test_there_is_no_shard_beyond_the_last():
    with pytest.raises(ValueError, match="shard 4 of 4"):
        Shard(4, 4)


class Unprepared(ShardSearcher):
    """A shard that cannot be prepared at first, for reasons of any kind."""

    def __init__(self) -> None:
        self.problems: list[Exception] = [MemoryError(), Busy("busy"), OSError("too many open files")]
        self.prepared = threading.Event()

    def prepare(self) -> bool:
        """See ``ShardSearcher.prepare``."""
        if self.problems:
            raise self.problems.pop()
        if self.prepared.is_set():
            threading.Event().wait()  # the thread sleeps until the process ends
        self.prepared.set()
        return True


def test_a_searcher_tries_again_whatever_kept_its_shard_from_opening_or_being_prepared(monkeypatch):
    shard = Unprepared()
    outcomes = iter([OSError("too many open files"), MemoryError(), Busy("busy"), shard])

    def opened(*_):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(searchers, "ShardSearcher", opened)
    searcher = searchers.SearcherActor(Path("shop"), Shard(0, 1), retry_s=0.0, prepare_s=(0.05, 0.1))
    assert searcher._opened.wait(60)
    assert searcher.is_open()
    assert shard.prepared.wait(60)
