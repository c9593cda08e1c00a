"""Catalogs at odd places and times: names in any bytes, links, disks that cannot be written, clocks that go back."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osoroi import files
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.copy import copy
from osoroi.catalog.opening import is_catalog, open_catalog
from osoroi.errors import CatalogReplaced, CatalogUnavailable
from shops import SMALL, create, entry, found, put

ODD = [
    b"sh\xffop",
    b"two\nlines",
    b"a?b#c%41&d",
    b"'quoted' \"twice\"",
    b" spaces ",
    b"-option",
    b"[glob]*",
    b"\xe3\x81\x8a",
]


@pytest.mark.parametrize("name", ODD)
def test_a_catalog_at_a_path_of_any_bytes(tmp_path: Path, name: bytes) -> None:
    shop = tmp_path / os.fsdecode(name) / "shop"
    with create(shop, entry("a", [1, 0, 0, 0], photo=b"a"), entry("b", [2, 0, 0, 0])) as catalog:
        catalog.compact()
        with LocalCatalog.open(shop, readonly=True) as reader:
            assert found(reader) == "ba"
            put(catalog, entry("c", [3, 0, 0, 0]))
            assert found(reader) == "cba"
    backup(shop, shop.with_name("b.tar"))
    (shop.with_name("again")).mkdir()
    subprocess.run(["tar", "-xf", "b.tar", "-C", "again"], cwd=shop.parent, check=True)
    copy(shop, shop.with_name("copy"))
    for place in ("shop", "again", "copy"):
        assert check(shop.with_name(place)) == []
        with open_catalog(shop.with_name(place)) as catalog:
            assert found(catalog) == "cba"


def test_a_catalog_behind_a_link_is_the_one_that_the_link_leads_to(tmp_path: Path) -> None:
    create(tmp_path / "real", entry("a", [1, 0, 0, 0])).close()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    with LocalCatalog.open(tmp_path / "link") as by_link, LocalCatalog.open(tmp_path / "real") as direct:
        put(by_link, entry("b", [2, 0, 0, 0], photo=b"kept"))
        put(direct, entry("c", [3, 0, 0, 0]))
        assert found(by_link) == found(direct) == "cba"
        by_link.compact()
        assert found(direct) == "cba"
    for name in ("link", "real"):
        assert check(tmp_path / name) == []


def test_a_link_that_is_led_to_another_catalog_is_noticed(tmp_path: Path) -> None:
    create(tmp_path / "first", entry("a", [1, 0, 0, 0])).close()
    create(tmp_path / "second", entry("b", [1, 0, 0, 0])).close()
    (tmp_path / "link").symlink_to("first", target_is_directory=True)
    with LocalCatalog.open(tmp_path / "link") as catalog:
        assert found(catalog) == "a"
        (tmp_path / "next").symlink_to("second", target_is_directory=True)
        os.replace(tmp_path / "next", tmp_path / "link")
        with pytest.raises(CatalogReplaced):
            put(catalog, entry("lost", [1, 0, 0, 0]))
    with LocalCatalog.open(tmp_path / "link") as catalog:
        assert found(catalog) == "b"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    if os.name != "posix" or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs root and mount")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_disk_that_cannot_be_written_is_searched_and_never_written(disk: Path) -> None:
    create(disk / "shop", entry("a", [1, 0, 0, 0]), settings=SMALL).close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with LocalCatalog.open(disk / "shop", readonly=True) as reader:
        assert found(reader) == "a"
    assert check(disk / "shop") == []
    works: tuple[Callable[[], object], ...] = (
        lambda: LocalCatalog.open(disk / "shop"),
        lambda: create(disk / "new"),
        lambda: backup(disk / "shop", disk / "b.tar"),
        lambda: copy(disk / "shop", disk / "copy"),
    )
    for work in works:
        with pytest.raises(CatalogUnavailable, match="cannot be written"):
            work()
    assert not is_catalog(disk / "new")


def test_a_clock_that_goes_back_changes_no_order_and_loses_nothing(place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    with create(place, entry("a", [1, 0, 0, 0], price=1.0), settings=SMALL) as catalog:
        with open_catalog(place, readonly=True, settings=SMALL) as reader:
            assert found(reader) == "a"
            for step, days in enumerate((-2, 30, -400), start=2):
                monkeypatch.setattr(time, "time", lambda days=days: real() + 86_400 * days)
                assert put(catalog, entry(f"p{step}", [1.0 + step, 0, 0, 0])) == catalog.seq
                catalog.patch("a", {"price": float(step)})
                catalog.compact()
                assert (reader.seq, reader.get("a").price) == (catalog.seq, step)
                assert found(reader) == found(catalog)
        assert len(catalog) == 4
        catalog.info()
    assert check(place) == []


def test_parts_of_files_from_the_future_stay_and_are_in_nobodys_way(tmp_path: Path) -> None:
    part = tmp_path / f".run.json.0000{files.PART}"
    part.write_bytes(b"half")
    os.utime(part, (time.time() + 86_400, time.time() + 86_400))
    files.write_atomically(tmp_path / "run.json", b"{}")
    assert (tmp_path / "run.json").read_bytes() == b"{}"
    assert part.exists()
