"""Every command that writes, on a disk that is full or fills up: done, or refused in words; what was there stays."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import is_catalog, open_catalog
from osoroi.cli import main
from osoroi.image.swatch import swatch

FREE_KIB = (0, 24, 200)
"""Room on the disk."""

COMMANDS: dict[str, list[str]] = {
    "add": ["add", "{disk}/shop", "{base}/more.csv"],
    "add to a new one": ["add", "{disk}/new", "{base}/more.csv"],
    "sync": ["sync", "{disk}/shop", "{base}/more.csv", "--yes"],
    "prices": ["sync", "{disk}/shop", "{base}/prices.csv"],
    "load": ["load", "{disk}/shop", "{base}/v.npz"],
    "remove": ["remove", "{disk}/shop", "p0"],
    "copy": ["copy", "{disk}/shop", "{disk}/copy"],
    "backup": ["backup", "{disk}/shop", "{disk}/b.tar", "--photos"],
    "embed": ["embed", "{base}/more.csv", "{disk}/v.npz", "--side", "shop"],
    "look": ["look", "{base}/more.csv", "--write", "{disk}/recipe.toml"],
    "evaluate": [
        "evaluate",
        "{base}/more.csv",
        "--json",
        "{disk}/e.json",
        "--run",
        "{disk}/run",
        "--grid",
        "{disk}/e.png",
    ],
    "audit": ["audit", "{base}/more.csv", "--grid", "{disk}/a.png"],
    "search": ["search", "{disk}/shop", "{base}/navy.png", "--grid", "{disk}/s.png"],
    "keys": ["keys", "new", "{disk}/keys.toml", "cashier"],
    "demo": ["demo", "{disk}/demo", "--products", "12"],
}

TARGETS = ("v.npz", "b.tar", "recipe.toml", "e.png", "a.png", "s.png", "keys.toml")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of two products, tables, and vectors."""
    base = tmp_path_factory.mktemp("base")
    for color in ("navy", "red"):
        Image.fromarray(swatch(color)).save(base / f"{color}.png")
    rows = [f"p{n},{color}.png,Bags,street" for n, color in enumerate(("navy", "red"))]
    head = "product_id,photo,category,domain"
    shop = [row.replace("street", "shop") for row in rows]
    (base / "first.csv").write_text("\n".join([head, *shop]))
    (base / "more.csv").write_text("\n".join([head, *shop, "p2,red.png,Skirts,shop", *rows]))
    (base / "prices.csv").write_text("product_id,price,note\np0,5," + "z" * 30_000 + "\np1,7,\n")
    for command in (
        ["add", base / "shop", base / "first.csv"],
        ["embed", base / "more.csv", base / "v.npz", "--side", "shop"],
    ):
        assert CliRunner().invoke(main, [str(word) for word in command]).exit_code == 0
    return base


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    if os.name != "posix" or not hasattr(os, "posix_fallocate"):
        pytest.skip("needs a file system of its own")
    mounted = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(path)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs root and mount")
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "cache"))
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)  # also where a test that failed has files open


def state(shop: Path) -> list[str]:
    with open_catalog(shop, readonly=True) as catalog:
        return [repr(product) for product in catalog.products()]


SLOW = {"evaluate", "audit", "demo"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in COMMANDS]
)
def test_a_command_on_a_full_disk_is_done_or_refused_in_words(disk: Path, base: Path, name: str) -> None:
    arguments = [word.format(disk=disk, base=base) for word in COMMANDS[name]]
    refused = 0
    for kib in FREE_KIB:
        shutil.copytree(base / "shop", disk / "shop")
        before, free = state(disk / "shop"), os.statvfs(disk)
        with (disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - kib * 1024))
        run = CliRunner().invoke(main, arguments)
        assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
        said = run.output + run.stderr
        assert run.exit_code in (0, 1, 3), said
        if run.exit_code == 1:
            refused += 1
            assert "No space left" in said or "no room" in said or "cannot be written" in said, said
            assert not [target for target in TARGETS if (disk / target).is_file()], "half of a file"
            if (disk / "e.json").exists():  # the first of several files
                json.loads((disk / "e.json").read_text())
        (disk / "ballast").unlink()
        for shop in ("shop", "new", "copy", "demo/shop"):
            if is_catalog(disk / shop):
                assert check(disk / shop) == []
        if run.exit_code == 1:
            assert state(disk / "shop") == before or name in ("add", "load"), "what was committed stays"
            assert "nothing was changed" not in said or state(disk / "shop") == before
        left = [str(path) for path in disk.rglob("*") if path.name.endswith((".part", ".new"))]
        assert not left
        for path in disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert refused, "the disk was never full"
