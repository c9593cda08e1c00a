"""A disk that fills up at many points of every kind of work: the old state or the new one, sound, and nothing left."""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import BESIDE, backup
from osoroi.catalog.maintenance.check import check
from osoroi.errors import OsoroiError
from shops import create, entry, found, put

FREE_KIB = (0, 8, 16, 40, 72, 120, 200, 400, 800)
"""Room on the disk at the points."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    if os.name != "posix" or not hasattr(os, "posix_fallocate"):
        pytest.skip("needs a file system of its own")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a file system of its own needs root and mount")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def photo(number: int) -> bytes:
    return random.Random(number).randbytes(3_000)


def putting(shop: Path) -> None:
    with LocalCatalog.open(shop) as catalog:
        put(catalog, *(entry(f"n{number:02}", [1, number, 0, 0], photo=photo(100 + number)) for number in range(30)))


def patching(shop: Path) -> None:
    with LocalCatalog.open(shop) as catalog:
        catalog.patch("p01", {"price": 9.0, "note": "z" * 30_000})


def removing(shop: Path) -> None:
    with LocalCatalog.open(shop) as catalog:
        catalog.remove([f"p{number:02}" for number in range(10)])


def compacting(shop: Path) -> None:
    with LocalCatalog.open(shop) as catalog:
        catalog.compact()


def searching(shop: Path) -> None:
    with LocalCatalog.open(shop) as catalog:
        assert len(found(catalog, k=3)) == 9


def backing_up(shop: Path) -> None:
    backup(shop, shop.parent / "b.tar")


def creating(shop: Path) -> None:
    create(shop.parent / "new", entry("a", [1, 0, 0, 0])).close()


def state(shop: Path) -> list[tuple[str, float | None]]:
    with LocalCatalog.open(shop, readonly=True) as catalog:
        return [(product.product_id, product.price) for product in catalog.products()]


def refusal(work: Callable[[Path], None], shop: Path) -> str:
    """What an error of ours says; empty where the work is done."""
    try:
        work(shop)
    except OsoroiError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("work", [putting, patching, removing, compacting, searching, backing_up, creating])
def test_work_on_a_disk_that_fills_up_is_done_or_not_begun(disk: Path, work: Callable[[Path], None]) -> None:
    base, shop, ballast = disk / "base", disk / "shop", disk / "ballast"
    with create(
        base, *(entry(f"p{number:02}", [1, number, 0, 0], photo=photo(number)) for number in range(30))
    ) as catalog:
        catalog.compact()
    before, outcomes = state(base), []
    for kib in FREE_KIB:
        shutil.copytree(base, shop)
        free = os.statvfs(disk)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - kib * 1024))
        message = refusal(work, shop)
        outcomes.append("refused" if message else "done")
        assert not message or re.search("no room|No space|cannot be written", message), message
        assert work is not backing_up or not message or "b.tar" in message or BESIDE in message, message
        ballast.unlink()
        assert check(shop) == [], kib
        if outcomes[-1] == "refused" or work in (compacting, searching, backing_up, creating):
            assert state(shop) == before, kib
        left = {path.name for path in disk.iterdir()} - {"base", "shop"}
        assert left <= ({"b.tar", "new"} if outcomes[-1] == "done" else set()), kib
        assert not [path for path in shop.rglob("*") if path.name.startswith(".") or path.suffix in (".part", ".new")]
        for path in (shop, disk / "new"):
            shutil.rmtree(path, ignore_errors=True)
        (disk / "b.tar").unlink(missing_ok=True)
    assert outcomes[-1] == "done"
    assert work is searching or outcomes[0] == "refused"
