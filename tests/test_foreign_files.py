"""A path that somebody gives may lead to a catalog's own database: only SQLite opens that, or its locks are gone."""

import ast
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

import osoroi
from osoroi import files, image
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.copy import copy
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.data.readers import open_dataset
from osoroi.data.readers.table_recipe import read_recipe
from osoroi.encoder import Encoder, text_tower
from osoroi.errors import BadDataset, BadEncoder, BadPhoto, OsoroiError
from osoroi.evaluation import results
from osoroi.experiment import plan
from osoroi.pretrained.check import from_npz
from osoroi.pretrained.settings import from_toml
from osoroi.records import Row
from osoroi.server import configuration, keyring
from shops import create, entry, found, put


def locks(shop: Path) -> int:
    """Locks that this process holds on the catalog's files, by the list of the kernel."""
    inodes = {str(path.stat().st_ino) for path in shop.glob("catalog.sqlite*")}
    lines = (line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines())
    return sum(line[4] == str(os.getpid()) and line[5].split(":")[-1] in inodes for line in lines if line[1] != "->")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    if not Path("/proc/locks").exists():
        pytest.skip("needs /proc/locks")
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    return tmp_path / "shop"


@pytest.mark.parametrize("name", ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "soft", "hard"])
def test_no_reader_of_paths_opens_a_database(shop, tmp_path, name):
    with LocalCatalog.open(shop) as catalog:
        put(catalog, entry("b", [0, 1, 0, 0]))
        held = locks(shop)
        assert held
        links = {suffix: shop / f"link{suffix}" for suffix in (".jpg", ".csv", ".onnx")}
        for link in links.values():
            if name == "hard":
                os.link(shop / "catalog.sqlite", link)
            else:
                link.symlink_to(shop / ("catalog.sqlite" if name == "soft" else name))
        for photo in (links[".jpg"], shop / (name if name not in ("soft", "hard") else "catalog.sqlite")):
            with pytest.raises(BadPhoto, match="it is the database of a catalog"):
                image.load(photo)
            with pytest.raises(BadPhoto, match="it is the database of a catalog"):
                put(catalog, entry("c", [1, 0, 0, 0], photo=photo))
        with pytest.raises(BadDataset, match="is the database of a catalog, and no table"):
            list(open_dataset(f"table:{links['.csv']}").rows())
        with pytest.raises(BadEncoder, match="it is the database of a catalog"):
            Encoder.open(links[".onnx"])
        with pytest.raises(PermissionError):
            files.sha256(links[".jpg"])
        assert locks(shop) == held


def test_a_control_without_the_rule_loses_the_locks(shop):
    """What the test above would see: one plain open and close."""
    with LocalCatalog.open(shop) as catalog:
        put(catalog, entry("b", [0, 1, 0, 0]))
        held = locks(shop)
        (shop / "catalog.sqlite").open("rb").close()
        assert locks(shop) < held


def test_a_folder_of_photos_that_holds_a_catalog_is_read_without_it(shop, tmp_path):
    """The catalog's kept photos are no products, and its database is not looked into."""
    photo = image.as_source(image.read(picture_of(tmp_path)))
    assert isinstance(photo, bytes)
    (tmp_path / "coats").mkdir()
    (tmp_path / "coats" / "c1.png").write_bytes(photo)
    with LocalCatalog.open(shop) as catalog:
        put(catalog, entry("kept", [1, 0, 0, 0], photo=photo))
        held = locks(shop)
        rows = list(open_dataset(f"table:{tmp_path}").rows())
        assert [row.product.product_id for row in rows] == ["coats"]
        assert locks(shop) == held


def picture_of(folder: Path) -> Path:
    path = folder / ".photo.png"
    Image.new("RGB", (40, 50), (200, 30, 40)).save(path, "PNG")
    return path


def test_a_crop_whose_photo_became_a_link_to_the_database_is_a_finding(shop, tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"a")
    with LocalCatalog.open(shop) as catalog:
        put(catalog, entry("b", [0, 1, 0, 0], photo=photo))
        photo.unlink()
        photo.symlink_to(shop / "catalog.sqlite")
        held = locks(shop)
        assert [finding.what for finding in check(shop)] == ["photo"]
        assert locks(shop) == held


HIDDEN = """
import os, sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "fcntl":
            raise ModuleNotFoundError("No module named 'fcntl'")
sys.meta_path.insert(0, Hide())
del os.posix_fallocate
from pathlib import Path
from osoroi import files
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
sys.path.insert(0, sys.argv[1])
from shops import create, entry, found, put
from osoroi.catalog.memory import memory_index
memory_index.SNAPSHOT_FROM = 5
shop = Path(sys.argv[2])
with create(shop, *(entry(f"p{n}", [1, n, 0, 0], photo=b"%d" % n) for n in range(20))) as catalog:
    assert catalog.compact()
    put(catalog, entry("late", [9, 0, 0, 0]))
    catalog.remove(["p3"])
    assert found(catalog, k=2) == "latep0", found(catalog, k=2)
with LocalCatalog.open(shop, readonly=True) as catalog:
    assert len(catalog) == 20
    assert found(catalog, k=1) == "late"
assert backup(shop, shop.parent / "b.tar").products == 20
assert check(shop) == []
with files.lock(shop.parent / "lock") as first, files.lock(shop.parent / "lock") as second:
    assert (first, second) == (True, False)
assert "fcntl" not in sys.modules
print("works")
"""


def test_a_catalog_works_without_fcntl_and_posix_fallocate(tmp_path):
    """As on Windows and macOS, in a process that cannot import the one and lacks the other."""
    command = [sys.executable, "-c", HIDDEN, str(Path(__file__).parent), str(tmp_path / "shop")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "works\n", done.stderr
    with LocalCatalog.open(tmp_path / "shop") as catalog:  # the other platform's files are ours
        assert len(catalog) == 20


@pytest.fixture(params=["pipe", "device", "socket", "folder"])
def odd(request, tmp_path):
    """A path to something that is no ordinary file: to read it would wait for ever, or never end."""
    if os.name != "posix":
        pytest.skip("needs pipes")
    path = tmp_path / "odd"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(tmp_path):  # its path may be too long
            one.bind("odd")
    return path


def rows_of(path: Path) -> list[Row]:
    return list(open_dataset(f"table:{path}").rows())


def test_no_reader_waits_for_what_is_no_file(tmp_path, odd):
    with create(tmp_path / "shop", entry("a", [1, 0, 0, 0])):
        pass
    for suffix in (".jpg", ".csv", ".csv.gz", ".jsonl", ".xlsx", ".xml", ".parquet", ".onnx", ".toml", ".json", ".npz"):
        (tmp_path / f"odd{suffix}").symlink_to(odd)
    path = {link.suffix: link for link in tmp_path.glob("odd.*")}
    readers: dict[str, Callable[[], object]] = {
        "photo": lambda: image.load(path[".jpg"]),
        "encoder": lambda: Encoder.open(path[".onnx"]),
        "keys": lambda: keyring.read(path[".toml"]),
        "settings": lambda: configuration.limits_in(path[".toml"]),
        "recipe": lambda: read_recipe(str(path[".toml"])),
        "plan": lambda: plan.read(path[".toml"]),
        "evaluation": lambda: results.read(path[".json"]),
        "backbone": lambda: from_toml(path[".toml"]),
        "reference": lambda: from_npz(path[".npz"]),
        "text tower": lambda: text_tower.unpack(path[".onnx"], ""),
        **{
            f"table{suffix}": partial(rows_of, path[suffix])
            for suffix in (".csv", ".gz", ".jsonl", ".xlsx", ".xml", ".parquet")
        },
    }
    for name, read in readers.items():
        with in_time(), pytest.raises(OsoroiError) as error:
            read()
        assert "Traceback" not in str(error.value), name
    with in_time(), pytest.raises(OSError, match=r"a folder, not a file|not an ordinary file"):
        files.open_foreign(odd)


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Fail where the block waits: an alarm interrupts it after some seconds."""

    def late(*_: object) -> None:
        raise AssertionError("it waited")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_a_photo_whose_place_a_pipe_took_is_missing_at_once(tmp_path, odd):
    """In a backup with photos, a check, and where a kept photo should be."""
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"a")
    create(tmp_path / "shop", entry("b", [0, 1, 0, 0], photo=photo), entry("c", [1, 0, 0, 0], photo=b"kept")).close()
    photo.unlink()
    photo.symlink_to(odd)
    with in_time():
        assert backup(tmp_path / "shop", tmp_path / "b.tar", photos=True).missing == 1
        assert [finding.what for finding in check(tmp_path / "shop")] == ["photo"]
    (kept,) = (path for path in (tmp_path / "shop" / "photos").rglob("*") if path.is_file())
    kept.unlink()
    kept.symlink_to(odd)
    with in_time(), pytest.raises(OsoroiError):
        backup(tmp_path / "shop", tmp_path / "c.tar")
    with in_time(), pytest.raises(BadPhoto):
        copy(tmp_path / "shop", tmp_path / "copy")
    with in_time():
        assert [finding.what for finding in check(tmp_path / "shop")] == ["photo", "photo"]


@pytest.mark.parametrize("name", ["current", "manifest.json", "owners", "columns", "vectors"])
def test_a_snapshot_with_a_pipe_in_it_is_built_anew(tmp_path, name):
    if os.name != "posix":
        pytest.skip("needs pipes")
    small = CatalogSettings(snapshot_from=4, scan_from=100)
    with create(tmp_path / "shop", *(entry(f"p{n}", [1, n, 0, 0]) for n in range(9)), settings=small) as catalog:
        assert catalog.compact()
    (path,) = (tmp_path / "shop" / "index").rglob(name)
    path.unlink()
    os.mkfifo(path)
    with in_time(), LocalCatalog.open(tmp_path / "shop", settings=small) as catalog:
        assert len(found(catalog)) == 18


def test_a_device_in_the_place_of_a_target_stays(tmp_path):
    """To put a file in its place would take it away from everybody."""
    if os.name != "posix":
        pytest.skip("needs pipes")
    target = tmp_path / "target"
    os.mkfifo(target)
    create(tmp_path / "shop", entry("a", [1, 0, 0, 0])).close()
    with pytest.raises(OSError, match="not an ordinary file"):
        files.write_atomically(target, b"content")
    with pytest.raises(OsoroiError, match="not an ordinary file"):
        backup(tmp_path / "shop", target)
    assert target.is_fifo()
    assert {path.name for path in tmp_path.iterdir()} == {"shop", "target"}


def test_only_one_module_opens_paths_for_reading():
    """Readers go through ``files``; those listed read what lies in the package, or what they have just made."""
    allowed = {
        *("garments/runtime.py", "server/pages/routes.py", "report/html.py", "doctor/installation.py"),
        *("doctor/stored.py", "data/readers/composed.py", "data/download.py", "catalog/memory/columns.py"),
        *("training/feature_cache.py", "files.py", "encoder/choice.py"),
    }
    root = Path(osoroi.__file__).parent
    opening = set()
    for module in root.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in ("read_bytes", "read_text", "open"):
                modes = [
                    arg.value
                    for arg in (*node.args, *(key.value for key in node.keywords))
                    if isinstance(arg, ast.Constant)
                ]
                is_module = isinstance(called.value, ast.Name) and called.value.id in ("tarfile", "Image", "os", "gzip")
                by_mode = called.attr == "open" and not is_module and any(m in ("r", "rb", "utf-8") for m in modes)
                if called.attr == "read_bytes" or by_mode or (called.attr == "read_text" and modes):
                    opening.add(module.relative_to(root).as_posix())
    assert opening <= allowed


def test_opening_a_file_of_several_names_does_not_list_its_folder(tmp_path):
    """A folder of 100,000 photos with hard links, as backups make them, was listed once for each photo."""
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    os.link(tmp_path / "photo.jpg", tmp_path / "again.jpg")
    listed, is_watched = [], True

    def watch(event: str, arguments: tuple) -> None:
        if is_watched and event in ("os.scandir", "os.listdir"):
            listed.append(arguments)

    sys.addaudithook(watch)
    try:
        os.listdir(tmp_path)
        assert listed, "the hook sees it"
        listed.clear()
        assert files.content(tmp_path / "again.jpg") == b"a photo"
        assert listed == []
    finally:
        is_watched = False
