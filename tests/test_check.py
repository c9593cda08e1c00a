"""``check`` finds whatever was changed behind the catalog's back, and ``backup`` copies what is sound and only that."""

import os
import sqlite3
import threading
import time

import pytest
from click.testing import CliRunner

from archives import unpack
from osoroi import files
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import BEGINNING_S, BESIDE, LOCK, backup
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.migration import Migration
from osoroi.catalog.memory import memory_index, snapshots
from osoroi.catalog.store import identity
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.cli.backup import command as backup_command
from osoroi.cli.check import command as check_command
from osoroi.encoder import beside
from osoroi.errors import BadCatalog, Busy
from osoroi.index.exact import ExactIndex
from shop import file_of
from shops import create, entry, found, put


@pytest.fixture
def shop(tmp_path):
    """Two products, a snapshot, and a commit behind it."""
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0], attributes={"sale": True, "n": 2.0})) as catalog:
        put(catalog, entry("gone", [3, 0, 0, 0]))
        assert catalog.compact()
        catalog.remove(["gone"])
        put(catalog, entry("b", [0.5, 0, 0, 0], [0, 0, 1, 0], attributes={"sale": False}))
    return tmp_path / "shop"


def test_a_sound_catalog_has_no_findings(shop):
    assert check(shop) == []
    done = CliRunner().invoke(check_command, [str(shop)])
    assert (done.exit_code, done.stdout) == (0, f"{shop} is sound\n")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE products SET price = 1 WHERE product_id = 'a'", "product 'a' is not what was written"),
        ("UPDATE crops SET place = 5 WHERE crop_id = 'b/1'", "crop 'b/1' is not what was written"),
        ("UPDATE vectors SET vector = zeroblob(16)", "the vector of crop 1 by encoder 1 is not what was written"),
        ("UPDATE vectors SET slot = slot + 50 WHERE slot % 2 = 1", "is not what was written"),
        ("DELETE FROM vectors WHERE slot % 2 = 1", "crop 'a/0' has no vector"),
        ("DELETE FROM crops WHERE crop_id = 'a/0'", "product 'a' has no crop"),
        ("DELETE FROM crops WHERE crop_id = 'a/0'", "1 vectors have no crop"),
        ("DELETE FROM products WHERE product_id = 'b'", "crop 'b/0' belongs to no product"),
        ("DELETE FROM facts WHERE value = 2.0", "filters see 2 attributes, and products have 3"),
        ("UPDATE facts SET value = 3.0 WHERE value = 2.0", "filters see 3 attributes, and products have 3, or others"),
        ("UPDATE facts SET value = 1.0 WHERE value = 1", "filters see 3 attributes, and products have 3, or others"),
        ("INSERT INTO facts VALUES (1, 1, 99)", "filters see 4 attributes, and products have 3"),
        ("UPDATE names SET kinds = 'text' WHERE name = 'n'", "filters do not know attribute 'n'"),
        ("UPDATE meta SET value = '2' WHERE name = 'encoder'", "'encoder' is not what was written"),
        ("UPDATE encoders SET fingerprint = 'x'", "its encoder is not what was written"),
        ("DROP INDEX crops_of_product", "its tables are not those that were made"),
        ("DELETE FROM changes WHERE seq = 3", "the numbers of the changes have a gap"),
        ("UPDATE changes SET detail = '[]' WHERE seq = 2", "change 2 is not what was written"),
    ],
)
def test_what_contradicts_itself_is_found(shop, damage, says):
    connection = sqlite3.connect(shop / "catalog.sqlite", isolation_level=None)
    connection.execute(damage)
    connection.close()
    findings = check(shop)
    assert says in " | ".join(finding.text for finding in findings)
    assert {finding.what for finding in findings} == {"database"}
    with pytest.raises(BadCatalog, match="is damaged"):
        LocalCatalog.open(shop)
    with pytest.raises(BadCatalog, match="is damaged"):
        backup(shop, shop.parent / "bad.tar")
    assert not list(shop.parent.glob("*bad.tar*")), "nothing half done is left"


def test_photos_that_are_gone_or_changed_are_found(shop):
    with LocalCatalog.open(shop, readonly=True) as catalog:
        first, second = (file_of(crop) for crop in catalog.crops("b"))
    first.unlink()
    second.write_bytes(b"something else")
    assert [finding.what for finding in check(shop)] == ["photo", "photo"]
    done = CliRunner().invoke(check_command, [str(shop)])
    assert isinstance(done.exception, BadCatalog)
    assert "b/0' cannot be read" in done.stdout
    assert "b/1' is no longer the photo" in done.stdout


@pytest.mark.parametrize("name", ["vectors", "owners", "columns", "manifest.json"])
def test_a_damaged_snapshot_is_found(shop, name):
    path = snapshots.current(shop) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert [finding.what for finding in check(shop)] == ["index"]


def test_a_snapshot_that_is_whole_and_of_other_vectors_is_found(shop):
    with LocalCatalog.open(shop) as catalog, catalog.view() as truth:
        mirror = memory_index.MemoryIndex.build(truth, catalog.encoder, CatalogSettings())
        assert isinstance(mirror.index, ExactIndex)
        mirror.index.add(mirror.index.keys.copy(), -mirror.index.vectors(mirror.index.keys))
        mirror.save(shop)
    (finding,) = check(shop)
    assert finding.what == "index"
    assert "of what comparing with everything finds" in finding.text


def test_a_backup_is_a_catalog_again(shop, tmp_path):
    copied = backup(shop, tmp_path / "shop.tar")
    assert (copied.products, copied.photos, copied.bytes) == (2, 3, (tmp_path / "shop.tar").stat().st_size)
    unpack(tmp_path / "shop.tar", tmp_path / "again")
    assert check(tmp_path / "again") == []
    with LocalCatalog.open(tmp_path / "again") as catalog:
        assert (found(catalog), file_of(catalog.crops("a")[0]).read_bytes()) == ("ab", b"photo of a/0")
        put(catalog, entry("c", [0.1, 0, 0, 0]))


def test_a_backup_holds_the_encoder_that_the_catalog_keeps(shop, tmp_path):
    (shop / beside.FILE).write_bytes(b"an encoder")
    assert backup(shop, tmp_path / "shop.tar").encoder
    unpack(tmp_path / "shop.tar", tmp_path / "again")
    assert (tmp_path / "again" / beside.FILE).read_bytes() == b"an encoder"


def test_a_backup_with_photos_needs_no_table_any_more(tmp_path):
    """Three crops of two files, one of which is changed later: the other one belongs to the restored catalog."""
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(f"photo {name}".encode())
    of = {name: entry(name, [1, 0, 0, 0], photo=tmp_path / name[:3]) for name in ("one", "one again", "two")}
    create(tmp_path / "shop", *of.values()).close()
    assert backup(tmp_path / "shop", tmp_path / "plain.tar")[1] == 0
    (tmp_path / "two").write_bytes(b"another photo")
    copied = backup(tmp_path / "shop", tmp_path / "shop.tar", photos=True)
    assert (copied.products, copied.photos, copied.missing) == (3, 1, 1)
    (tmp_path / "one").unlink()
    unpack(tmp_path / "shop.tar", tmp_path / "again")
    assert [finding.what for finding in check(tmp_path / "again")] == ["photo"]  # the changed one
    with LocalCatalog.open(tmp_path / "again", readonly=True) as catalog:
        assert [file_of(catalog.crops(name)[0]).read_bytes() for name in ("one", "one again")] == [b"photo one"] * 2
    done = CliRunner().invoke(backup_command, [str(tmp_path / "shop"), str(tmp_path / "c.tar"), "--photos"])
    assert (done.exit_code, "3 crops have a photo that is gone" in done.stderr) == (3, True)


def test_what_a_killed_backup_left_goes_and_what_another_backup_is_at_stays(shop, tmp_path):
    """However old they are: the copy of a large catalog takes long, and a killed one may be young."""
    killed, running = (tmp_path / f"{BESIDE}{name}" for name in ("killed", "running"))
    for folder in (killed, running):
        folder.mkdir()
        (folder / "catalog.sqlite").write_bytes(b"half a copy")
        (folder / LOCK).touch()
    with files.lock(running / LOCK):
        for folder, age_s in ((killed, 2 * BEGINNING_S), (running, 1e6)):
            os.utime(folder, (time.time() - age_s,) * 2)
        backup(shop, tmp_path / "shop.tar")
        assert (killed.exists(), running.exists()) == (False, True)
    os.utime(running, (time.time(),) * 2)
    backup(shop, tmp_path / "shop.tar")
    assert running.exists(), "it may be a moment before its lock"


def test_a_backup_never_has_another_encoder_than_its_vectors(shop, tmp_path, monkeypatch):
    content = identity.content

    def moved() -> bytes:
        """The catalog moves once its database was copied."""
        with LocalCatalog.open(shop) as catalog:
            migration = Migration.begin(catalog, StoredEncoder(0, "e" * 64, 4, (), {}, 0.0))
            for crops in migration.pending(limit=10):
                migration.store(crops, -catalog.vectors([one.crop.crop_id for one in crops]))
            assert migration.switch()
        (shop / beside.FILE).write_bytes(b"the next encoder")
        return content()

    monkeypatch.setattr(identity, "content", moved)
    with pytest.raises(Busy, match="moved to another encoder"):
        backup(shop, tmp_path / "shop.tar")
    assert not (tmp_path / "shop.tar").exists()


def test_a_backup_of_a_catalog_that_is_written_to_is_one_of_its_states(shop, tmp_path):
    stop = threading.Event()

    def write() -> None:
        with LocalCatalog.open(shop) as catalog:
            price = 0.0
            while not stop.is_set():
                price += 1
                put(catalog, *(entry(name, [1, 0, 0, 0], price=price) for name in ("x", "y")))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            backup(shop, tmp_path / f"{number}.tar")
    finally:
        stop.set()
        writer.join()
    for number in range(3):
        unpack(tmp_path / f"{number}.tar", tmp_path / str(number))
        assert check(tmp_path / str(number)) == []
        with LocalCatalog.open(tmp_path / str(number), readonly=True) as catalog:
            held = catalog.get_many(["x", "y"])
            assert len({one.product.price for one in held.values()}) == (1 if held else 0)


def test_the_command_says_what_was_copied(shop, tmp_path):
    done = CliRunner().invoke(backup_command, [str(shop), str(tmp_path / "s.tar")])
    assert done.stdout.startswith(f"{tmp_path / 's.tar'}: 2 products, 3 stored photos, ")
    with pytest.raises(BadCatalog, match="there is no catalog"):
        check(tmp_path / "none")
