"""Disks fill up, flip bits and are mounted for reading: clear errors, and never a wrong answer in silence."""

import logging
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.memory import snapshots
from osoroi.catalog.store import database
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import BadCatalog, BadRequest, Busy, CatalogDamaged, CatalogUnavailable
from shops import create, entry, found, put, query


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """Forty products, a snapshot, and commits behind it; closed."""
    return stocked(tmp_path_factory.mktemp("sound") / "shop", seed=4)


def stocked(folder: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    entries = [
        entry(
            f"p{place:02}",
            *rng.standard_normal((place % 3 + 1, 4)),
            price=float(place),
            category=["skirts", "tops"][place % 2],
            attributes={"sale": place % 5 == 0, "size": ["M", float(place % 3)][place % 2]},
        )
        for place in range(40)
    ]
    with create(folder, *entries[:30]) as catalog:
        catalog.compact()
        put(catalog, *entries[30:])
        catalog.patch("p03", {"price": 77.0})
        catalog.remove(["p07"])
    return folder


@pytest.fixture
def shop(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "shop"))


TINY = CatalogSettings(snapshot_from=5)
"""Snapshots of a few products."""


def answers(folder: Path, **how) -> list:
    """Everything a catalog says."""
    with LocalCatalog.open(folder, **{"settings": TINY, **how}) as catalog:
        products = list(catalog.products())
        crops = [
            (crop, catalog.crop(crop.crop_id).sha256) for one in products for crop in catalog.crops(one.product_id)
        ]
        vectors = catalog.vectors([crop.crop_id for crop, _ in crops]).tolist()
        wheres = (None, "sale", "price > 20 and not size = M", "category = tops", "size <= 1", "brand is missing")
        hits = [catalog.nearest(query(1, -1, 0.5, 2), 9, where=where) for where in wheres]
        counts = [catalog.count(where=where) for where in wheres]
        return [products, crops, vectors, hits, counts, len(catalog), catalog.fingerprint]


def here(said: list, folder: Path, original: Path) -> str:
    """What was said, with the folder's name as it was."""
    return repr(said).replace(str(folder), str(original))


def flips(sound: Path, shop: Path, places: list[int], rng: random.Random) -> int:
    """Flip one bit at each of these places in turn; how often the catalog was refused. It never says anything else."""
    expected, path, refused = repr(answers(sound)), shop / "catalog.sqlite", 0
    whole = path.read_bytes()
    for at in places:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        for beside in shop.glob("catalog.sqlite-*"):
            beside.unlink()
        try:
            assert here(answers(shop), shop, sound) == expected, f"byte {at} was flipped, and nobody noticed"
        except BadCatalog as error:
            refused += str(shop) in str(error)
    return refused


def test_a_bit_flipped_in_the_truth_is_a_clear_error_or_changes_no_answer(sound, shop):
    rng, size = random.Random(1), (shop / "catalog.sqlite").stat().st_size
    assert flips(sound, shop, [7, 17, 50, *(rng.randrange(size) for _ in range(14))], rng) > 2


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_any_bit_flipped_in_the_truth_is_a_clear_error_or_changes_no_answer(sound, shop):
    rng, size = random.Random(2), (shop / "catalog.sqlite").stat().st_size
    assert flips(sound, shop, [*range(100), *(rng.randrange(size) for _ in range(900))], rng) > 100


def test_a_truncated_truth_is_a_clear_error(shop):
    whole = (shop / "catalog.sqlite").read_bytes()
    for length in (0, 50, 99, 100, 4000, 8192, len(whole) // 2, len(whole) - 8192, len(whole) - 1):
        (shop / "catalog.sqlite").write_bytes(whole[:length])
        with pytest.raises(BadCatalog, match=str(shop)):
            answers(shop)


@pytest.mark.parametrize("name", ["vectors", "owners", "columns", "manifest.json", "../current"])
@pytest.mark.parametrize("how", ["flipped", "truncated", "gone"])
def test_a_damaged_snapshot_is_built_anew_from_the_truth_and_the_log_says_so(sound, shop, name, how, caplog):
    expected, path = repr(answers(sound)), snapshots.current(shop) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(data if how == "flipped" else data[: len(data) // 2])
    with caplog.at_level(logging.WARNING, "osoroi"):
        assert here(answers(shop), shop, sound) == expected
    said = [record.message for record in caplog.records]
    assert said or (name, how) == ("../current", "gone"), "without a pointer there is no snapshot, and nothing to say"
    assert all("anew" in text and str(shop) in text for text in said)


def test_a_snapshot_of_another_past_is_not_believed(sound, shop, tmp_path, caplog):
    """As after a backup was brought back: the index beside it is whole, of as many crops and commits, and of others."""
    other = stocked(tmp_path / "other", seed=5)
    shutil.rmtree(shop / "index")
    shutil.copytree(other / "index", shop / "index")
    with caplog.at_level(logging.WARNING, "osoroi"):
        assert here(answers(shop), shop, sound) == repr(answers(sound))
    assert "is not of this catalog's past, and is built anew" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE products SET title = 'x' WHERE product_id = 'p02'",
        "UPDATE crops SET split = 'x' WHERE crop_id = 'p02/0'",
        "UPDATE crops SET product = 2 WHERE crop_id = 'p02/0'",
        "UPDATE vectors SET vector = zeroblob(16)",
        "UPDATE changes SET kind = 'x' WHERE seq = 3",
    ],
)
def test_what_is_read_is_verified_in_catalogs_too_large_to_verify_whole(shop, damage):
    connection = sqlite3.connect(shop / "catalog.sqlite", isolation_level=None)
    connection.execute(damage)
    connection.close()
    with pytest.raises(BadCatalog, match="is not what was written"):
        answers(shop, settings=replace(TINY, verify_up_to=0))


def test_a_stored_vector_that_rots_while_it_is_mapped_is_replaced_by_the_truth(tmp_path, caplog):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, 8)).astype(np.float32)
    with create(tmp_path / "shop", dim=8, settings=replace(TINY, scan_from=50)) as catalog:
        put(catalog, *(entry(f"p{place:03}", row, photo=b"one") for place, row in enumerate(vectors)))
        catalog.compact()
        assert catalog.info().snapshot.startswith("scan, 300 vectors")
        expected = [hit.product_id for hit in catalog.nearest(vectors[:1], 20)]
        current = snapshots.current(catalog.folder)
        assert current is not None
        path = current / "vectors"
        with path.open("r+b") as file:
            file.seek(4096)
            data = bytearray(file.read(300 * 32))
            data[::32] = bytes(255 - byte for byte in data[::32])  # in every vector
            file.seek(4096)
            file.write(data)
        with caplog.at_level(logging.WARNING, "osoroi"):
            assert [hit.product_id for hit in catalog.nearest(vectors[:1], 20)] == expected
        assert "built anew from the database" in caplog.text


def mounted(path: Path, *arguments: str) -> bool:
    """Whether this machine lets us mount something here."""
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(path)], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "disk"
    if not mounted(path, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        pytest.skip("a file system of its own needs root and mount")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def fill(catalog: StoredCatalog) -> int:
    """Put products until the disk is full; how many were acknowledged."""
    for place in range(2000):
        try:
            put(catalog, entry(f"p{place:03}", [1, 0, 0, place], photo=random.Random(place).randbytes(9_000)))
        except BadCatalog as error:
            return place if "no room left" in str(error) or "No space left" in str(error) else -1
    raise AssertionError("the disk is larger than it should be")


def test_a_full_disk_is_a_clear_error_and_all_that_was_acknowledged_stays(small_disk):
    with create(small_disk / "shop") as catalog:
        acknowledged = fill(catalog)
        assert acknowledged > 20
        assert len(catalog) == acknowledged
    with LocalCatalog.open(small_disk / "shop") as catalog:
        held = [product.product_id for product in catalog.products()]
        assert held == [f"p{place:03}" for place in range(acknowledged)]
        assert catalog.nearest(query(0, 0, 0, 1), 1)[0].product_id == held[-1]
        catalog.remove(held[20:])
        catalog.compact()
        put(catalog, entry("after", [2, 0, 0, 0]))
        assert found(catalog, k=1) == "after", "and goes on once there is room"


def test_a_folder_mounted_for_reading_can_be_searched_and_refuses_writers(sound, tmp_path):
    path = tmp_path / "shop"
    if not mounted(path, "--bind", "-o", "ro", str(sound)):
        pytest.skip("mounting for reading needs root and mount")
    try:
        assert here(answers(path, readonly=True), path, sound) == repr(answers(sound))
        with pytest.raises(BadCatalog, match="cannot be written"):
            LocalCatalog.open(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)


SHRINKING = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.memory import snapshots
from osoroi.catalog.store.settings import CatalogSettings
folder = Path(sys.argv[1])
with LocalCatalog.open(folder, settings=CatalogSettings(snapshot_from=5, scan_from=8)) as catalog:
    catalog.compact()
    before = [(hit.product_id, hit.score) for hit in catalog.nearest(np.eye(1, 4, dtype="f4"), 9)]
    vectors = snapshots.current(folder) / "vectors"
    with vectors.open("r+b") as file:
        file.truncate(100)
    after = [(hit.product_id, hit.score) for hit in catalog.nearest(np.eye(1, 4, dtype="f4"), 9)]
    print(before == after)
"""


def test_a_mapped_file_that_becomes_shorter_is_no_signal(shop):
    done = subprocess.run([sys.executable, "-c", SHRINKING, shop], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr[-500:]
    assert "has become shorter" in done.stderr


LIMITED = """
import resource, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from osoroi.catalog.local import LocalCatalog
from osoroi.errors import OsoroiError
from shops import entry, put
folder, limit = Path(sys.argv[2]), int(sys.argv[3])
with LocalCatalog.open(folder) as catalog:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for place in range(4000):
        try:
            put(catalog, entry(f"q{place:04}", [1, 0, 0, 0], title="x" * 3000, photo=Path(__import__("os").__file__)))
        except OsoroiError as error:
            print(type(error).__name__, place, error)
            break
"""


@pytest.mark.parametrize("limit", [200_000, 300_000, "the size of the database"])
def test_a_file_that_may_not_grow_is_not_called_damage(shop, limit):
    """As with a quota, or a network volume that hiccups: SQLITE_IOERR, and nothing is damaged.

    In the last case commits fit into the log, and folding it into the database at the end stops half way.
    """
    if isinstance(limit, str):
        limit = (shop / database.FILE).stat().st_size + 8192
    command = [sys.executable, "-c", LIMITED, str(Path(__file__).parent), str(shop), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    name, place, said = done.stdout.split(maxsplit=2)
    assert name == "CatalogUnavailable", done.stdout + done.stderr
    assert f"{shop} cannot be written: disk I/O error" in said
    assert "go back to a backup" not in said
    assert "is damaged" not in said
    assert check(shop) == []
    with LocalCatalog.open(shop) as catalog:
        assert len(catalog) == 39 + int(place), "what was acknowledged is there"
        put(catalog, entry("after", [2, 0, 0, 0]))


def test_a_log_that_is_half_folded_into_the_database_is_no_damage(shop, tmp_path):
    """A process that ends while it folds leaves a first page that speaks of pages that are in the log alone."""
    half = tmp_path / "half"
    with LocalCatalog.open(shop) as catalog:
        put(catalog, *(entry(f"q{place:03}", [1, 0, 0, 0], title="x" * 3000) for place in range(40)))
        subprocess.run(["cp", "-r", str(shop), str(half)], check=True)  # by another process: it drops no lock of ours
        log = (half / f"{database.FILE}-wal").read_bytes()
        (page,) = struct.unpack_from(">I", log, 8)
        frames = [log[at : at + 24 + page] for at in range(32, len(log) - page, 24 + page)]
        first = next(frame[24:] for frame in reversed(frames) if frame[:4] == b"\0\0\0\1")
        with (half / database.FILE).open("r+b") as file:
            file.write(first)
        expected = here(answers(shop), shop, half)
    with (
        pytest.raises(sqlite3.DatabaseError),
        closing(sqlite3.connect(f"{(half / database.FILE).as_uri()}?immutable=1", uri=True)) as alone,
    ):
        alone.execute("PRAGMA user_version")
    assert repr(answers(half, readonly=True)) == expected
    assert check(half) == []
    (half / f"{database.FILE}-wal").unlink()
    with pytest.raises(CatalogDamaged):
        LocalCatalog.open(half)


@pytest.mark.parametrize(
    ("code", "name", "kind", "says"),
    [
        (10, "SQLITE_IOERR_READ", CatalogUnavailable, "cannot be read: message"),
        (10, "SQLITE_IOERR_FSYNC", CatalogUnavailable, "cannot be written: message"),
        (10, "SQLITE_IOERR_NOMEM", CatalogUnavailable, "more memory than there is"),
        (7, "SQLITE_NOMEM", CatalogUnavailable, "more memory than there is"),
        (15, "SQLITE_PROTOCOL", CatalogUnavailable, "cannot be written: message"),
        (13, "SQLITE_FULL", CatalogUnavailable, "no room left"),
        (14, "SQLITE_CANTOPEN", CatalogUnavailable, "cannot be written or opened here: message"),
        (8, "SQLITE_READONLY", CatalogUnavailable, "cannot be written or opened here: message"),
        (5, "SQLITE_BUSY", Busy, "another writer"),
        (18, "SQLITE_TOOBIG", BadRequest, "larger than the catalog"),
        (11, "SQLITE_CORRUPT", CatalogDamaged, "is damaged: message"),
        (26, "SQLITE_NOTADB", CatalogDamaged, "is damaged: message"),
    ],
)
def test_only_damage_is_called_damage(tmp_path, code, name, kind, says):
    error = sqlite3.OperationalError("message")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    with pytest.raises(kind, match=says) as caught, database.explained(tmp_path):
        raise error
    assert (kind is CatalogDamaged) == ("is damaged" in str(caught.value))
    assert "nothing was changed" not in str(caught.value), "a command may have made commits before"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(122, "Disk quota exceeded", "f"), r"cannot be written: Disk quota exceeded \(f\)"),
        (OSError(27, "File too large"), "cannot be written: File too large"),
        (OSError(37, "No locks available"), "cannot be written: No locks available"),
        (OSError(5, "Input/output error", "f"), r"cannot be read: Input/output error \(f\)"),
        (MemoryError(), "needs more memory than there is"),
    ],
)
def test_what_the_system_refuses_is_said_with_its_cause(tmp_path, error, says):
    with pytest.raises(CatalogUnavailable, match=says) as caught, database.explained(tmp_path):
        raise error
    assert caught.value.hint.startswith("what was committed before stays; ")


def test_a_snapshot_that_cannot_be_written_leaves_nothing_behind(shop, monkeypatch):
    before = sorted(path.relative_to(shop) for path in shop.rglob("*"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with LocalCatalog.open(shop, settings=TINY) as catalog:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CatalogUnavailable, match="No space left"):
            catalog.compact()
    assert sorted(path.relative_to(shop) for path in shop.rglob("*") if path.name != "lock") == [
        path for path in before if path.name != "lock"
    ]
