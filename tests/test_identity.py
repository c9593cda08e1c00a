"""Second handles in one process, and other catalogs in the place of one that is open: nothing acknowledged is lost."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from archives import unpack
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
from osoroi.cli import main
from osoroi.errors import BadCatalog, BadRequest, CatalogReplaced
from shops import ENCODER, create, entry, found, put, query

OTHER_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from osoroi.catalog.local import LocalCatalog
from shops import entry, put
for line in sys.stdin:
    verb, name = line.split()
    with LocalCatalog.open(Path(sys.argv[2])) as catalog:
        if verb == "put":
            print(put(catalog, entry(name, [1, 0, 0, 0])), flush=True)
        elif verb == "remove":
            print(catalog.remove([name]), flush=True)
        else:
            print(*sorted(product.product_id for product in catalog.products()), flush=True)
"""


class OtherProcess:
    """Another process that opens the catalog for each command, and closes it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", OTHER_PROCESS, str(Path(__file__).parent), str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, verb: str, name: str = "-") -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{verb} {name}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self) -> "OtherProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


@pytest.mark.parametrize("how", ["reader", "writer", "check", "backup"])
def test_a_second_handle_in_this_process_drops_no_lock(tmp_path, how):
    """Once any descriptor of the database is closed, the next process that closes deletes the log under us."""
    shop = tmp_path / "shop"
    with create(shop, entry("p1", [1, 0, 0, 0])) as catalog, OtherProcess(shop) as other:
        if how in ("reader", "writer"):
            LocalCatalog.open(shop, readonly=how == "reader").close()
        elif how == "check":
            assert check(shop) == []
        else:
            backup(shop, tmp_path / "b.tar")
        other.ask("put", "p2")
        put(catalog, entry("p3", [1, 0, 0, 0]))
        assert other.ask("list") == "p1 p2 p3"
        other.ask("put", "p4")
        put(catalog, entry("p5", [1, 0, 0, 0]))
        assert found(catalog) == "p1p2p3p4p5"
    with LocalCatalog.open(shop) as catalog:
        assert [product.product_id for product in catalog.products()] == ["p1", "p2", "p3", "p4", "p5"]
    assert check(shop) == []


@pytest.mark.parametrize("seed", range(3))
def test_handles_opened_and_closed_at_random_lose_nothing(tmp_path, seed):
    """Readers, writers, checks and backups of this process, while another one writes and closes; against a set."""
    rng, shop, held = random.Random(seed), tmp_path / "shop", set()
    handles = [create(shop)]
    with OtherProcess(shop) as other:
        for step in range(40):
            move = rng.choice(["open", "close", "check", "backup", "put", "put", "remove", "other", "other", "away"])
            writers = [handle for handle in handles if not handle.readonly]
            name = f"p{rng.randrange(12):02}"
            if move == "open" or not handles:
                handles.append(LocalCatalog.open(shop, readonly=rng.random() < 0.5))
            elif move == "close":
                handles.pop(rng.randrange(len(handles))).close()
            elif move == "check":
                assert check(shop) == []
            elif move == "backup":
                backup(shop, tmp_path / "b.tar")
            elif move == "other":
                other.ask("put", name)
                held.add(name)
            elif move == "away":
                other.ask("remove", name)
                held.discard(name)
            elif writers and move == "put":
                put(rng.choice(writers), entry(name, [1, 0, 0, step]))
                held.add(name)
            elif writers and move == "remove":
                rng.choice(writers).remove([name])
                held.discard(name)
            for handle in handles:
                assert {product.product_id for product in handle.products()} == held, (step, move)
            assert other.ask("list").split() == sorted(held), (step, move)
        for handle in handles:
            handle.close()
    assert check(shop) == []


def move(folder: Path, other: Path, tar: Path) -> None:
    os.rename(folder, folder.with_name("moved"))


def move_and_copy(folder: Path, other: Path, tar: Path) -> None:
    os.rename(folder, folder.with_name("moved"))
    shutil.copytree(other, folder)


def delete(folder: Path, other: Path, tar: Path) -> None:
    shutil.rmtree(folder)


def delete_and_restore(folder: Path, other: Path, tar: Path) -> None:
    shutil.rmtree(folder)
    unpack(tar, folder)


def restore_in_place(folder: Path, other: Path, tar: Path) -> None:
    unpack(tar, folder)


def restore_by_gnu_tar(folder: Path, other: Path, tar: Path) -> None:
    subprocess.run(["tar", "-xf", tar, "-C", folder], check=True)


def rebuild(folder: Path, other: Path, tar: Path) -> None:
    shutil.rmtree(folder)
    create(folder, entry("new", [1, 0, 0, 0])).close()


@pytest.mark.parametrize(
    "replace",
    [move, move_and_copy, delete, delete_and_restore, restore_in_place, restore_by_gnu_tar, rebuild],
    ids=lambda function: function.__name__,
)
def test_another_catalog_in_its_place_is_noticed_before_anything_is_acknowledged(tmp_path, replace):
    shop, tar = tmp_path / "shop", tmp_path / "b.tar"
    create(shop, entry("old", [1, 0, 0, 0])).close()
    shutil.copytree(shop, tmp_path / "other")
    writer, reader = LocalCatalog.open(shop), LocalCatalog.open(shop, readonly=True)
    backup(shop, tar)
    put(writer, entry("n0", [2, 0, 0, 0]))
    assert found(reader) == "n0old"
    replace(shop, tmp_path / "other", tar)
    for catalog in (writer, reader):
        for call in (
            catalog.check_identity,
            lambda catalog=catalog: len(catalog),
            lambda catalog=catalog: list(catalog.products()),
            lambda catalog=catalog: catalog.nearest(query(1, 0, 0, 0), 3),
        ):
            with pytest.raises(CatalogReplaced, match=r"shop (is gone|was replaced)"):
                call()
    for write in (
        lambda: put(writer, entry("n1", [1, 0, 0, 0], photo=b"n1")),
        lambda: writer.patch("old", {"price": 1.0}),
        lambda: writer.remove(["old"]),
        writer.compact,
    ):
        with pytest.raises(CatalogReplaced):
            write()
    there = sorted(path.name for path in shop.rglob("*")) if shop.exists() else None
    if replace in (move, delete):
        assert there is None
        writer.close()
        reader.close()
        with pytest.raises(BadCatalog, match="no catalog at"):
            LocalCatalog.open(shop)
        return
    other = LocalCatalog.open(shop) if replace is not restore_in_place else None  # its log stands beside it now
    if other is not None:
        put(other, entry("n2", [3, 0, 0, 0]))
    writer.close()
    reader.close()
    if other is None:
        other = LocalCatalog.open(shop)
        put(other, entry("n2", [3, 0, 0, 0]))
    assert found(other) == ("n2new" if replace is rebuild else "n2old")
    subprocess.run([sys.executable, "-c", "import os, sys; os.kill(os.getpid(), 0)"], check=True)
    shutil.copytree(shop, tmp_path / "killed")  # as if this process died now: everything is in the files
    other.close()
    for folder in (shop, tmp_path / "killed"):
        assert check(folder) == []
        with LocalCatalog.open(folder, readonly=True) as again:
            assert found(again) == ("n2new" if replace is rebuild else "n2old")


def test_closing_a_replaced_catalog_leaves_the_log_of_the_other_one_alone(tmp_path):
    """The last connection that closes deletes the log by its path: by then another catalog's, with its commits."""
    shop = tmp_path / "shop"
    old = create(shop, entry("old", [1, 0, 0, 0]))
    os.rename(shop, tmp_path / "moved")
    new = create(shop, entry("new", [1, 0, 0, 0]))
    old.close()
    put(new, entry("more", [2, 0, 0, 0]))
    with LocalCatalog.open(shop, readonly=True) as reader:
        assert found(reader) == found(new) == "morenew"
    assert new.identity != old.identity
    new.close()


@pytest.mark.parametrize("writes", [1, 30, 300])
def test_a_restored_backup_is_what_is_read_whatever_lies_about(tmp_path, writes):
    """A writer that was killed leaves a log, which SQLite would replay into the restored database."""
    shop, tar = tmp_path / "shop", tmp_path / "b.tar"
    create(shop, *(entry(f"p{place:02}", [1, 0, 0, place], price=-1.0) for place in range(20))).close()
    backup(shop, tar)
    catalog = LocalCatalog.open(shop)
    for place in range(writes):
        catalog.patch(f"p{place % 20:02}", {"price": float(place)})
    shutil.copytree(shop, tmp_path / "killed")
    catalog.close()
    assert (tmp_path / "killed" / "catalog.sqlite-wal").stat().st_size > 0
    unpack(tar, tmp_path / "killed")
    assert check(tmp_path / "killed") == []
    with LocalCatalog.open(tmp_path / "killed") as catalog:
        assert {product.price for product in catalog.products()} == {-1.0}
        assert catalog.seq == 1


def test_a_catalog_without_an_identity_gets_one_with_its_first_commit(tmp_path):
    shop = tmp_path / "shop"
    with create(shop, entry("a", [1, 0, 0, 0])) as catalog, catalog.commit("damage") as (transaction, _):
        transaction.connection.execute("DELETE FROM meta WHERE name = 'identity'")
    (shop / "catalog.id").unlink()
    reader = LocalCatalog.open(shop, readonly=True)
    with LocalCatalog.open(shop) as one, LocalCatalog.open(shop) as other:
        assert one.identity == reader.identity == ""
        put(one, entry("b", [2, 0, 0, 0]))
        put(other, entry("c", [3, 0, 0, 0]))
        assert len(one.identity) == 32
        assert (found(reader), found(one), found(other)) == ("cba", "cba", "cba")
    reader.close()
    with LocalCatalog.open(shop) as again:
        assert again.identity == one.identity
    assert check(shop) == []


@pytest.mark.parametrize("replace", [delete, rebuild], ids=lambda function: function.__name__)
def test_a_new_connection_is_to_no_other_catalog_where_the_idle_ones_have_just_gone(tmp_path, monkeypatch, replace):
    """As a fork in another thread closes them, or another thread takes the last one."""
    shop = tmp_path / "shop"
    with create(shop, entry("a", [1, 0, 0, 0])) as catalog:
        pool: Any = vars(catalog)["_pool"]
        usable = pool._demand_usable
        found(catalog)

        def closed_meanwhile() -> None:
            pool._close_idle()
            usable()

        replace(shop, tmp_path / "other", tmp_path / "b.tar")
        monkeypatch.setattr(pool, "_demand_usable", closed_meanwhile)
        with pytest.raises(CatalogReplaced, match=r"shop (is gone|was replaced)"):
            len(catalog)


def test_a_catalog_is_found_when_the_process_changes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with create(Path("shop"), entry("a", [1, 0, 0, 0])) as catalog:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        put(catalog, entry("b", [2, 0, 0, 0], photo=b"b"))
        assert found(catalog) == "ba"
        assert all(isinstance(crop.photo, Path) and crop.photo.is_file() for crop in catalog.crops("b"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_a_killed_creation_left_does_not_keep_a_folder_from_being_used(tmp_path):
    (tmp_path / "shop" / ".shop-abc.new").mkdir(parents=True)
    (tmp_path / "shop" / "catalog.id").write_text("x")
    old = tmp_path / "shop" / ".shop-old.new"
    old.mkdir()
    os.utime(old, (0, 0))
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    assert not old.exists()
    assert check(tmp_path / "shop") == []


def test_many_handles_agree(tmp_path):
    """Stamps cost little: a thousand reads of a small catalog take no longer than a second or two."""
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0])) as catalog:
        assert all(len(catalog) == 1 for _ in range(1000))
        assert np.allclose(catalog.vectors(["a/0"]), [[1, 0, 0, 0]])
        assert catalog.fingerprint == ENCODER


@pytest.mark.parametrize("name", ["catalog.sqlite", "x.tar", "photos/x.tar", "index/deep/x.tar"])
def test_a_backup_into_a_catalog_is_refused(tmp_path, name):
    shop = tmp_path / "shop"
    create(shop, entry("a", [1, 0, 0, 0], photo=b"a")).close()
    (tmp_path / "link").symlink_to(shop)
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    for folder in (shop, tmp_path / "link"):
        with pytest.raises(BadRequest, match="lies inside the catalog"):
            backup(shop, folder / name)
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "words",
    [
        ["search", "shop", "--like", "a", "--grid", "shop/catalog.sqlite"],
        ["embed", "table:t.csv", "shop/catalog.sqlite", "--side", "shop"],
        ["backup", "shop", "shop/b.tar"],
        ["evaluate", "table:t.csv", "--json", "shop/index/out.json"],
        ["audit", "table:t.csv", "--grid", "shop/photos/a.png"],
        ["find", "a.jpg", "--grid", "shop/a.png"],
        ["report", "x.json", "--out", "shop"],
    ],
    ids=lambda words: words[0],
)
def test_no_command_writes_into_a_catalog(tmp_path, monkeypatch, words):
    shop = tmp_path / "shop"
    create(shop, entry("a", [1, 0, 0, 0], photo=b"a")).close()
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    assert "inside the catalog" in result.output
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before
