"""A path that somebody gives may lead to a catalog's own database: only SQLite opens that, or its locks are gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from osoroi import files, image
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.errors import BadDataset, BadEncoder, BadPhoto
from shops import create, entry, put


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
