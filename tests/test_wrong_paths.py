"""Every command that takes a path, given another sort of thing: what is wrong, where, and what to do."""

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from osoroi.cli import main
from osoroi.encoder import DEFAULT
from osoroi.errors import BadDataset
from osoroi.path_types import DOCUMENTS, TABLE, path_type, require

WEB = "https://shop.example/products.csv"

SORTS = {
    "photo": ("coat.jpg", "a photo"),
    "photos": ("photos", "folder"),
    "table": ("products.csv", "a table"),
    "catalog": ("shop", "a catalog"),
    "empty_folder": ("empty", "folder"),
    "missing": ("nowhere", "there is no"),
    "zip": ("shop.zip", "an archive"),
    "xls": ("shop.xls", "save it"),
    "pdf": ("list.pdf", "a PDF document"),
    "page": ("page.html", "a web page"),
    "empty_file": ("blank.jpg", "empty"),
    "encoder": ("mine.onnx", "an encoder file"),
    "vectors": ("vectors.npz", "an archive of NumPy"),
    "web": (WEB, "an address of the web"),
}
"""Sort -> the path of one, and what a message calls it."""

COMMANDS = {
    "look": ("look {}", {"table"}),
    "look_catalog": ("look products.csv {}", {"catalog"}),
    "add": ("add new {}", {"table", "photos"}),
    "add_catalog": ("add {} products.csv", {"catalog", "empty_folder", "missing"}),
    "sync": ("sync shop {}", {"table", "photos"}),
    "sync_catalog": ("sync {} products.csv", {"catalog", "empty_folder", "missing"}),
    "load": ("load shop {}", set()),
    "remove": ("remove {} p0", {"catalog"}),
    "find": ("find {}", {"photo"}),
    "search": ("search {} coat.jpg", {"catalog"}),
    "search_photo": ("search shop {}", {"photo"}),
    "detail_from": ("search shop coat.jpg --detail-from {}", {"photo"}),
    "serve": ("serve {}", {"catalog"}),
    "info": ("info {}", {"catalog", "encoder"}),
    "check": ("check {}", {"catalog"}),
    "backup": ("backup {} out.tar", {"catalog"}),
    "copy": ("copy {} copied", {"catalog"}),
    "reencode": ("reencode {}", {"catalog"}),
    "encoder": ("add new products.csv --encoder {}", {"encoder"}),
    "embed": ("embed {} out.npz --side shop", {"table", "photos"}),
    "evaluate": ("evaluate {}", set()),
    "calibrate": ("calibrate {}", set()),
    "audit": ("audit {}", {"table", "photos"}),
    "compare": ("compare {0} {0}", set()),
    "report": ("report {} --out out.html", set()),
    "recipe": ("look products.csv --recipe {}", set()),
    "photos": ("look products.csv --photos {}", {"photos", "catalog", "empty_folder"}),
}
"""Command -> its words, and the sorts of things that it takes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each sort of thing."""
    root = tmp_path_factory.mktemp("paths")
    (root / "photos").mkdir()
    (root / "empty").mkdir()
    for place in (root / "coat.jpg", root / "photos/p0.jpg"):
        Image.new("RGB", (60, 80), (200, 40, 60)).save(place)
    write_table(root / "products.csv")
    with zipfile.ZipFile(root / "shop.zip", "w") as archive:
        archive.write(root / "products.csv", "products.csv")
    (root / "shop.xls").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
    (root / "list.pdf").write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    (root / "page.html").write_text("<!doctype html><html><body>products</body></html>")
    (root / "blank.jpg").write_bytes(b"")
    (root / "mine.onnx").write_bytes(DEFAULT.read_bytes())
    np.savez(root / "vectors.npz", numbers=np.zeros(3))
    return root


def write_table(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["photo", "product_id", "price"], ["coat.jpg", "p0", "10"]])


def osoroi(words: str) -> Result:
    return CliRunner().invoke(main, words.split())


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all things, as the working directory, with a catalog."""
    monkeypatch.chdir(folder)
    if not (folder / "shop").exists():
        assert osoroi("add shop products.csv").exit_code == 0
    return folder


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_gets_another_sort_of_thing_says_which_and_what_to_do(
    here: Path, command: str, sort: str
) -> None:
    words, taken = COMMANDS[command]
    path, called = SORTS[sort]
    if sort in taken:
        pytest.skip(f"{command} takes it")
    before = sorted(one.name for one in here.iterdir())
    result = osoroi(words.format(path))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2), result.stderr
    message = result.stderr.strip().splitlines()[-1]
    name = path.removeprefix("https://")
    assert name in message or "https://" in message or command in NAMELESS
    assert "; " in message, "it says what to do"
    assert not any(word in message for word in ("Errno", "Traceback", "codec", "UnicodeDecodeError", "wire type"))
    if command in NAMING and sort not in ADVISED.get(command, ()):
        assert called in message, message
    assert sorted(one.name for one in here.iterdir()) == before, "nothing was made"


NAMING = {"look", "add", "sync", "load", "info", "encoder"}
"""Commands that know each sort of thing by its name."""

NAMELESS = {"evaluate", "calibrate"}
"""Commands that read the table or the folder, and miss something in it."""

ADVISED = {
    "load": {"vectors", "xls"},  # an archive of NumPy without vectors; "save its table"
    "info": {"web", "xls"},
    "encoder": {"web", "xls", "missing", "photos", "catalog", "empty_folder"},
}
"""Things that are refused in other words, which the other tests of those commands hold."""


def test_the_advice_for_vectors_that_are_a_table_is_the_command_that_embeds(here: Path) -> None:
    result = osoroi("load shop products.csv")
    assert "products.csv is a table of products, without vectors" in result.stderr
    assert "'osoroi add CATALOG products.csv' embeds and stores" in result.stderr


def test_every_kind_of_office_document_is_named(tmp_path: Path) -> None:
    for suffix in DOCUMENTS:
        path = tmp_path / f"shop{suffix}"
        path.write_bytes(b"PK\x03\x04 and so on")
        with pytest.raises(
            BadDataset, match=r"is a document of an office program, not a table; save its table as \.xlsx"
        ):
            require(path, TABLE, "a table", BadDataset)


def test_a_file_that_nobody_may_read_is_left_to_whom_opens_it(tmp_path: Path) -> None:
    assert path_type(tmp_path / "absent") is None
    (tmp_path / "notes").write_text("neither this nor that")
    require(tmp_path / "notes", TABLE, "a table", BadDataset)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("recipe", "detail_from")])
def test_an_empty_text_is_no_path(here: Path, command: str) -> None:
    before = sorted(one.name for one in here.iterdir())
    result = CliRunner().invoke(main, [word.format("") for word in COMMANDS[command][0].split()])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2), result.stderr
    assert "no path was given; an empty text may be a variable of the shell that is not set" in result.stderr
    assert sorted(one.name for one in here.iterdir()) == before, "nothing was made"
