"""What hardly happens to a catalog, and loses nothing when it does."""

import errno
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from osoroi.catalog import Storage, filters
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.catalog.memory import snapshots
from osoroi.catalog.store import database, identity, validation
from osoroi.catalog.store.pool import Pool
from osoroi.cli.check import command as check_command
from osoroi.errors import BadCatalog, BadFilter, BadRequest, NotFound, OtherEncoder
from osoroi.index.codes import Candidates, Codes
from osoroi.index.scan import ScanIndex
from osoroi.index.snapshot import Snapshot
from osoroi.records import Crop
from osoroi.search import Searcher
from shop import file_of, goods
from shops import SMALL, create, entry, found, put, query
from tiny import TinyEncoder


def many(count: int, photos: int, seed: int = 0):
    """Products with so many photos each, at random."""
    rng = np.random.default_rng(seed)
    return [entry(f"{seed}-{at:04}", *rng.standard_normal((photos, 4)).tolist()) for at in range(count)]


def test_a_product_put_anew_while_the_catalog_moves_is_not_dropped_with_its_old_photo(tmp_path):
    old, new = TinyEncoder("old"), TinyEncoder("new")
    folder = tmp_path / "shop"
    first, *rest = goods(old)
    gone = tmp_path / "gone.png"
    photo = first.crops[0].photo
    gone.write_bytes(photo if isinstance(photo, bytes) else file_of(first.crops[0]).read_bytes())
    lost = first._replace(crops=[Crop(one.crop_id, one.product_id, "shop", gone, one.box) for one in first.crops])
    with LocalCatalog.open_or_create(folder, old) as catalog:
        catalog.put([lost, *rest], fingerprint=old.fingerprint)
    gone.unlink()

    def again(done: int) -> None:
        with LocalCatalog.open(folder) as catalog:
            if catalog.fingerprint == old.fingerprint:
                catalog.put([first], fingerprint=old.fingerprint)

    moved = reencode(folder, new, drop=True, crops_per_commit=1, on_progress=again)
    with LocalCatalog.open(folder) as catalog:
        assert catalog.get(first.product.product_id) == first.product
        assert len(catalog) == len(rest) + 1
    assert moved.switched
    assert moved.dropped == ()


def test_dropping_crops_leaves_what_others_changed_and_never_the_last_crop(tmp_path):
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0], [0, 1, 0, 0], price=5.0)) as catalog:
        catalog.patch("a", {"price": 7.0})
        assert catalog.drop("a", ["a/1", "b/0"]) == 1
        assert (catalog.get("a").price, [crop.crop_id for crop in catalog.crops("a")]) == (7.0, ["a/0"])
        (hit,) = catalog.nearest(query(0, 1, 0, 0), 9)
        assert hit.score == pytest.approx(0)
        assert catalog.drop("a", ["a/0"]) == 0
        assert catalog.drop("nobody", ["a/0"]) == 0
        assert found(catalog) == "a"
    assert check(tmp_path / "shop") == []


def test_a_price_of_minus_nothing_is_nothing(tmp_path):
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0], price=-0.0)) as catalog:
        assert str(catalog.get("a").price) == "0.0"
    assert check(tmp_path / "shop") == []


def test_a_disk_without_room_for_the_vectors_beside_it_does_not_stop_a_search(tmp_path, monkeypatch):
    with create(tmp_path / "shop", *many(250, 1), settings=SMALL) as catalog:
        expected = found(catalog)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    shutil.rmtree(tmp_path / "shop" / "index", ignore_errors=True)
    with LocalCatalog.open(tmp_path / "shop", readonly=True, settings=SMALL) as catalog:
        assert found(catalog) == expected
    assert not (tmp_path / "shop" / "index").exists(), "who reads makes no folder"


def test_more_products_than_the_snapshot_holds_are_found_with_those_behind_it(tmp_path):
    with create(tmp_path / "shop", *many(15, 20), settings=SMALL) as catalog:
        assert catalog.compact()
        put(catalog, *many(3, 1, seed=1))
        for k in (10, 17, 18, 99):
            assert len(catalog.nearest(query(1, 0, 0, 0), k)) == min(k, 18)
        every = {hit.product_id: hit.score for hit in catalog.nearest(query(1, 0, 0, 0), 99)}
    best = {one.product.product_id: one.vectors[:, 0].max() for one in [*many(15, 20), *many(3, 1, seed=1)]}
    assert every == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("count", [10, 600])
def test_k_above_what_a_snapshot_holds_gives_all_there_is(count):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3_000 + count, 8)).astype(np.float32)
    index = ScanIndex.build(np.arange(3_000), vectors[:3_000])
    index.add(np.arange(3_000, 3_000 + count), vectors[3_000:])
    keys = index.nearest(vectors[:1], 16_384).keys[0]
    assert sorted(keys.tolist()) == list(range(3_000 + count))


@pytest.mark.parametrize("first", ["x = true", "x = 1", "x in (true)", "x in (1)"])
def test_true_is_never_taken_for_one_in_the_filters_that_are_remembered(tmp_path, first):
    both = entry("t", [1, 0, 0, 0], attributes={"x": True}), entry("n", [0.9, 0, 0, 0], attributes={"x": 1.0})
    with create(tmp_path / "shop", *both) as catalog:
        found(catalog, first)
        for where, expected in {"x = true": "t", "x = 1": "n", "x in (true)": "t", "x in (1)": "n"}.items():
            assert found(catalog, where) == expected, where


@pytest.mark.parametrize(("times", "least"), [(1, 1.0), (-3, 1.0), (-20, 0.95), (-400, 0.95)])
def test_one_vector_far_away_from_all_others_costs_hardly_an_answer(times, least):
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((2_600, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] *= times
    index = ScanIndex.build(np.arange(2_600), vectors)
    asks = np.concatenate([vectors[:20], -vectors[:20]])
    found_ = index.nearest(asks, 10)
    expected = np.sort(asks @ vectors.T, axis=1)[:, -10:]
    assert np.mean(found_.scores >= expected[:, :1] - 1e-3) >= least


def test_a_scan_whose_codes_give_nothing_above_a_cut_compares_with_everything():
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((6_000, 16)).astype(np.float32)
    vectors[100:] = vectors[100]  # equal vectors: more above the cut than candidates

    class Blind(Codes):
        def above(self, *_, **__):
            return Candidates(np.empty(0, np.int64), np.empty(0, np.float32))

    parts = (16,)
    learned = Blind.learn(6_000, parts, vectors.__getitem__)
    index = ScanIndex(Snapshot(np.arange(6_000), vectors, parts, learned))
    for among in (None, np.arange(0, 6_000, 2)):
        keys = index.nearest(vectors[100:101], 20, among=among).keys[0]
        allowed = np.arange(6_000) if among is None else among
        scores = vectors[allowed] @ vectors[100]
        assert keys.tolist() == allowed[np.lexsort((allowed, -scores))][:20].tolist()


def test_commits_in_a_log_that_cannot_be_read_are_never_passed_over(tmp_path, monkeypatch):
    folder = tmp_path / "shop"
    create(folder, entry("a", [1, 0, 0, 0])).close()
    writer = LocalCatalog.open(folder)
    put(writer, entry("b", [0, 1, 0, 0]))
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm"))
    writer.close()
    assert (tmp_path / "copy" / "catalog.sqlite-wal").stat().st_size > 0
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert database.frozen(tmp_path / "copy") is None, "SQLite is to see the log, or to say that it cannot"


def test_a_transaction_that_an_interrupt_left_open_is_closed_with_its_connection(tmp_path):
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    pool = Pool(tmp_path / "shop", readonly=False, wait_s=1.0)
    with pool.connected() as connection:
        connection.execute("BEGIN IMMEDIATE")  # and an interrupt before its end
    del connection
    with pool.commit() as transaction:
        assert transaction.count() == (1, 1)
    pool.close()


def test_a_connection_that_an_interrupt_kept_from_being_given_back_comes_back(tmp_path):
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    pool = Pool(tmp_path / "shop", readonly=False, wait_s=1.0)
    lent = pool.connected()
    lent.__enter__().execute("BEGIN IMMEDIATE")  # and nobody calls __exit__
    del lent
    with pool.commit() as transaction:
        assert transaction.count() == (1, 1)
    begun = time.monotonic()
    pool.close(wait_s=60.0)
    assert time.monotonic() - begun < 30


def test_a_connection_that_was_lent_before_the_file_changed_is_not_lent_again(tmp_path):
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    state = [(1, 1)]
    pool = Pool(tmp_path / "shop", readonly=True, wait_s=1.0, frozen=lambda folder: state[0])
    with pool.connected() as before:
        state[0] = (2, 2)
        with pool.connected():
            pass
    with pool.connected() as after:
        assert after is not before
    pool.close()


@pytest.mark.parametrize(
    "damage", ["UPDATE products SET title = CAST('x' AS BLOB)", "UPDATE vectors SET vector = 'text'"]
)
def test_a_value_of_another_type_is_damage_and_no_crash(tmp_path, damage):
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    with sqlite3.connect(tmp_path / "shop" / "catalog.sqlite") as connection:
        connection.execute(damage)
    connection.close()
    assert {one.what for one in check(tmp_path / "shop")} == {"database"}
    with pytest.raises(BadCatalog, match="is not what was written"):
        LocalCatalog.open(tmp_path / "shop")


def test_check_reads_every_vector_of_a_snapshot_and_mends_it(tmp_path):
    shop = tmp_path / "shop"
    with create(shop, *many(250, 1), settings=SMALL) as catalog:
        assert catalog.compact()
        expected = found(catalog)
    assert check(shop, settings=SMALL) == []
    path = snapshots.current(shop)
    assert path is not None
    data = bytearray((path / "vectors").read_bytes())
    data[4096 + 16 * 177] ^= 1
    (path / "vectors").write_bytes(data)
    findings = check(shop, settings=SMALL)
    assert [one.what for one in findings] == ["index"]
    assert "is damaged" in findings[0].text
    with LocalCatalog.open(shop, settings=SMALL) as catalog:
        health = catalog.health()
        assert health is not None
        assert health.vectors == 250
    told = CliRunner().invoke(check_command, [str(shop)])
    assert told.exit_code == 1
    mended = CliRunner().invoke(check_command, [str(shop), "--mend"])
    assert (mended.exit_code, mended.stdout) == (0, f"{shop} is sound\n")
    with LocalCatalog.open(shop, settings=SMALL) as catalog:
        assert found(catalog) == expected


def test_a_snapshot_from_behind_the_view_is_no_damage(tmp_path):
    shop = tmp_path / "shop"
    with create(shop, *many(250, 1), settings=SMALL) as catalog:
        assert catalog.compact()
        whole = snapshots.current
        raced: list[Path] = []

        def current(folder: Path) -> Path | None:
            if not raced:
                raced.append(folder)
                put(catalog, entry("late", [1, 2, 3, 4]))
                assert catalog.compact()
            return whole(folder)

        assert check(shop, settings=SMALL, current=current) == []
    assert raced


def test_what_is_no_unicode_is_refused_in_words(tmp_path):
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0])) as catalog:
        with pytest.raises(BadRequest, match="no Unicode"):
            put(catalog, entry("b\udce9", [1, 0, 0, 0], photo=b"x"))
        bad = entry("b", [1, 0, 0, 0])
        with pytest.raises(BadRequest, match=r"no Unicode.*rename"):
            put(catalog, bad._replace(crops=[Crop("caf\udce9", "b", "shop", b"x")]))
        with pytest.raises(BadRequest, match="no Unicode"):
            catalog.get("\ud800")
        with pytest.raises(BadFilter, match="no Unicode"):
            catalog.count(where=json.dumps({"column": "title", "=": "\ud800"}))
        with pytest.raises(BadFilter, match="no JSON"):
            filters.parse('{"column": "price", "=": ' + "9" * 5_000 + "}")
        assert found(catalog) == "a"


def test_a_whole_number_too_large_for_a_float_is_none_that_can_be_stored():
    assert not validation.is_finite(10**400)
    assert not validation.is_finite(float("nan"))
    assert validation.is_finite(10**300)


def test_a_backup_into_no_folder_says_so(tmp_path):
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    with pytest.raises(BadCatalog, match=r"there is no folder .*nowhere"):
        backup(tmp_path / "shop", tmp_path / "nowhere" / "x.tar")


@pytest.mark.parametrize("there", [False, True])
def test_of_two_that_make_a_catalog_in_one_folder_the_second_overwrites_nothing(tmp_path, there, monkeypatch):
    folder, mark = tmp_path / "shop", identity.mark
    if there:
        folder.mkdir()

    def another(beside):
        """While the second is at work, the first makes the catalog and acknowledges a product."""
        monkeypatch.setattr(identity, "mark", mark)
        with create(folder) as catalog:
            put(catalog, entry("kept", [1, 0, 0, 0]))
        mark(beside)

    monkeypatch.setattr(identity, "mark", another)
    with pytest.raises(BadCatalog, match="another process made a catalog"):
        create(folder)
    with LocalCatalog.open(folder) as catalog:
        assert catalog.get("kept").product_id == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_a_catalog_is_made_where_one_stands_and_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "here")
    for folder in (Path(), tmp_path / "link"):
        with create(folder, entry("a", [1, 0, 0, 0])) as catalog:
            assert found(catalog) == "a"
    assert (tmp_path / "real" / "catalog.sqlite").is_file()
    assert [path.name for path in (tmp_path / "here").iterdir() if ".new" in path.name] == []


def test_neighbors_carry_the_vectors_they_were_scored_by(tmp_path):
    """A product that is removed, or put again with another vector, right after a search changes nothing in its hits."""
    encoder = TinyEncoder()
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as catalog:
        catalog.put(goods(encoder), fingerprint=encoder.fingerprint)
        vector = catalog.vectors([catalog.crops("P1")[0].crop_id])
        query = encoder.weigh(vector, None)
        neighbors = catalog.nearest(query, 99)
        assert isinstance(catalog, Storage)
        stored = catalog.vectors([neighbor.crop_id for neighbor in neighbors])
        assert np.array_equal(np.stack([neighbor.vector for neighbor in neighbors]), stored)
        assert np.allclose([neighbor.score for neighbor in neighbors], stored @ query[0], atol=1e-6)
        before = Searcher(encoder, catalog).cosines(neighbors, vector)
        catalog.remove([neighbor.product_id for neighbor in neighbors])
        assert Searcher(encoder, catalog).cosines(neighbors, vector) == before
        with pytest.raises(NotFound):
            Searcher(encoder, catalog).similar("nobody")


def test_an_old_handle_does_not_compact_a_catalog_that_has_moved(tmp_path):
    old, new = TinyEncoder("old"), TinyEncoder("new")
    with LocalCatalog.open_or_create(tmp_path / "shop", old) as catalog:
        catalog.put(goods(old), fingerprint=old.fingerprint)
        assert reencode(tmp_path / "shop", new).switched
        with pytest.raises(OtherEncoder, match="was moved from encoder"):
            catalog.compact()
    assert check(tmp_path / "shop") == []


def test_what_another_handle_commits_while_vectors_are_compared_is_in_the_answer(tmp_path, monkeypatch):
    """A search compares vectors before it asks the database, which then has to be as the index was."""
    shop = tmp_path / "shop"
    with (
        create(shop, entry("a", [1, 0, 0, 0]), entry("b", [0.8, 0.6, 0, 0])) as catalog,
        LocalCatalog.open(shop) as other,
    ):
        assert found(catalog, k=1) == "a"
        with catalog.current() as (_, memory):
            index = memory.index
        nearest = index.nearest
        removed: list[str] = []

        def nearest_while_others_write(*queries, **arguments):
            neighbors = nearest(*queries, **arguments)
            if not removed:
                removed.extend(other.remove(["a"]))
                put(other, entry("c", [0.9, 0.1, 0, 0]))
            return neighbors

        monkeypatch.setattr(index, "nearest", nearest_while_others_write)
        assert found(catalog, k=1) == "c"
        assert removed == ["a"]
