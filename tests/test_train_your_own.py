"""The page about training on your own pairs, followed line by line on drawn products; and what goes wrong, in words."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from osoroi import image
from osoroi.cli import main
from osoroi.data.readers import open_dataset

PAGE = Path(__file__).parents[1] / "docs" / "train-your-own.md"
COLUMNS = ["photo", "product_id", "domain", "left", "top", "right", "bottom", "category", "design_id"]


def lines_of_the_page():
    text = PAGE.read_text(encoding="utf-8")
    return [line for block in re.findall(r"```\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with pairs.csv, products.csv, snap.jpg and the photos they name: 60 drawn products."""
    folder, pairs = tmp_path_factory.mktemp("own"), []
    for number, (product, crop) in enumerate(open_dataset("drawn:60:4").rows()):
        (folder / f"{number}.jpg").write_bytes(image.load(crop.photo))
        row: dict[str, object] = {"photo": f"{number}.jpg", "product_id": product.product_id, "domain": crop.domain}
        row |= {"category": product.category, "design_id": product.design_id}
        pairs.append(row | (crop.box._asdict() if crop.box else {}))
    write(folder / "pairs.csv", pairs)
    write(folder / "products.csv", [row for row in pairs if row["domain"] == "shop"])
    street = next(row["photo"] for row in pairs if row["domain"] == "street")
    (folder / "snap.jpg").write_bytes((folder / street).read_bytes())
    return folder


def osoroi(folder, *words):
    program = str(Path(sys.executable).with_name("osoroi"))
    return subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_of_the_page_does_what_the_page_says(shop):
    said = {}
    for line in lines_of_the_page():
        if line.startswith("osoroi "):
            command, _, note = line.partition("  # ")
            run = osoroi(shop, *shlex.split(command)[1:])
            assert run.returncode == (1 if note.startswith("refused") else 0), line + run.stdout + run.stderr
            said[line] = run.stdout + run.stderr
    compared = next(text for line, text in said.items() if " compare " in line)
    assert "95% interval" in compared
    assert re.search(
        r"nDCG@5: (no difference between .* is shown|mine:both is (better|worse) than default:both)", compared
    )
    refused = next(text for line, text in said.items() if "# refused" in line)
    assert "osoroi reencode CATALOG --encoder FILE" in refused
    learned = next(text for line, text in said.items() if "--recipe quick" in line)
    assert re.search(r"\d+ products to learn from, \d+ held out", learned)
    assert len(re.findall(r"(?m)^\d+ +-?\d", next(text for line, text in said.items() if " search " in line))) == 10


def test_the_columns_of_the_page_are_those_of_a_table(shop):
    head = next(line for line in lines_of_the_page() if line.startswith("photo,"))
    assert head.split(",") == COLUMNS


def rows_of(shop):
    with (shop / "pairs.csv").open() as file:
        return list(csv.DictReader(file))


def train(shop, name, rows, *words):
    write(shop / f"{name}.csv", rows)
    dataset = f"table:{shop / name}.csv?split=8:2"
    return CliRunner().invoke(main, ["train", dataset, "--out", str(shop / f"run-{name}"), *words])


@pytest.mark.parametrize(
    ("name", "keep", "said"),
    [
        ("shop-only", lambda row: row["domain"] == "shop", "0 of them with a street and a shop photo"),
        ("one", lambda row: row["product_id"] == "p00000", "no 2 products can be held out"),
    ],
)
def test_an_empty_split_says_what_was_there_and_what_to_do(shop, name, keep, said):
    found = train(shop, name, [row for row in rows_of(shop) if keep(row)])
    assert found.exit_code == 1
    assert said in str(found.exception or found.output) + found.output


def test_a_setting_that_is_none_and_a_folder_that_holds_a_run_are_refused(shop, monkeypatch):
    monkeypatch.chdir(shop)
    words = ["train", "table:pairs.csv", "--out"]
    wrong = CliRunner().invoke(main, [*words, "run-x", "--set", "epoch=3"])
    assert wrong.exit_code == 2
    assert "a recipe has no setting 'epoch'" in wrong.stderr
    (shop / "run-y").mkdir()
    (shop / "run-y" / "run.json").write_text("{}")
    again = CliRunner().invoke(main, [*words, "run-y"])
    assert again.exit_code == 1
    assert "go on with --resume, or give another --out" in again.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_missing_photo_and_a_product_without_a_partner_are_left_out_and_said(shop):
    rows = rows_of(shop)
    rows[0] |= {"photo": "gone.jpg"}
    alone = rows[-1]["product_id"]
    rows = [row for row in rows if row["product_id"] != alone or row["domain"] == "shop"]
    write(shop / "holes.csv", rows)
    found = osoroi(shop, "train", "table:holes.csv?split=8:2", "--out", "run-holes")
    assert found.returncode == 0, found.stderr
    assert "products have one side alone and are left out" in found.stderr
    assert "gone.jpg" in found.stderr
    assert json.loads((shop / "run-holes" / "metrics.json").read_text())
