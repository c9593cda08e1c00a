"""``osoroi evaluate`` on a table of plain photos: what it prints, writes, checks and refuses."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi.cli import main
from osoroi.encoder import Encoder
from tiny import TinyEncoder

COLOURS = {"red": (220, 30, 30), "green": (20, 200, 40), "blue": (20, 40, 210), "grey": (128, 128, 128)}


class Weighable(TinyEncoder):
    def weighed(self, weights):
        made = Weighable()
        parts = tuple(replace(part, weight=weights.get(part.name, 0.0)) for part in self.parts)
        made.metadata = replace(self.metadata, parts=parts)
        return made


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Four products with a street and a shop photo each, all alike but blue, whose street photo is red."""
    monkeypatch.setattr(Encoder, "open", lambda path, threads: Weighable())
    Image.fromarray(np.full((20, 20, 3), COLOURS["red"], np.uint8)).save(tmp_path / "blue_worn.png")
    lines = [["photo", "product_id", "domain", "category", "split"]]
    for name, colour in COLOURS.items():
        Image.fromarray(np.full((20, 20, 3), colour, np.uint8)).save(tmp_path / f"{name}.png")
        augment = "blue_worn" if name == "blue" else name
        category = "bags" if name == "blue" else "tops"
        lines += [[f"{name}.png", name, "shop", category, "val"], [f"{augment}.png", name, "street", category, "val"]]
    with (tmp_path / "shop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def osoroi(*words) -> str:
    run = CliRunner().invoke(main, ["evaluate", *words])
    assert run.exit_code == 0, run.output
    return run.stdout


def test_the_path_of_a_table_is_a_data_set(shop):
    by_path, by_name = (osoroi(name, "--split", "val").splitlines() for name in ("shop.csv", "table:shop.csv"))
    assert by_path[1:] == by_name[1:]
    refused = CliRunner().invoke(main, ["evaluate", "tabel:shop.csv"])
    assert "no reader is called 'tabel'" in refused.stderr


def test_it_prints_a_metric_a_row_and_an_arm_a_column(shop):
    printed = osoroi("table:shop.csv", "--split", "val", "--by", "category", "--sample-detail").splitlines()
    assert printed[0].startswith("table:shop.csv · split val · 4 queries · 4 products in 4 photos · encoder tiny")
    assert printed[1].split() == ["deep", "detail", "both"]
    assert printed[2].startswith("hit@1            0.750 [.")
    assert [line.split()[0] for line in printed if line.startswith(("bags", "tops"))] == [
        "bags",
        "tops",
    ] * 3  # hit@5, nDCG@5, kind@5
    bags = [line.split()[:4] for line in printed if line.startswith("bags")]
    assert bags == [["bags", "1", "1.000", "[–,"], ["bags", "1", "0.431", "[–,"], ["bags", "1", "0.200", "[–,"]]
    # found last: 1/log2(5); of the first five products, of which there are four, one is a bag; no interval
    assert sum(line[:2] in ("0.", "1.") for line in printed) == 11


def test_what_it_wrote_can_be_checked_and_drift_is_an_error(shop):
    osoroi("table:shop.csv", "--json", "out.json", "--corrupt", "--seed", "4")
    told = json.loads((shop / "out.json").read_text())
    assert told["task"]["protocol"]["corrupt"] == 4
    assert told["seeds"] == {"bootstrap": 0, "corrupt": 4}
    assert "24 numbers of out.json are reproduced" in osoroi("--check", "out.json")
    Image.fromarray(np.full((20, 20, 3), COLOURS["blue"], np.uint8)).save(shop / "grey.png")  # same ids, another photo
    run = CliRunner().invoke(main, ["evaluate", "--check", "out.json"])
    assert run.exit_code == 1
    assert "numbers differ" in run.stderr


def test_check_takes_its_protocol_from_the_file(shop):
    osoroi("table:shop.csv", "--json", "out.json")
    run = CliRunner().invoke(main, ["evaluate", "--check", "out.json", "--split", "val"])
    assert (run.exit_code, "split cannot be given" in run.stderr) == (2, True)
    run = CliRunner().invoke(main, ["evaluate"])
    assert (run.exit_code, "no DATASET is given" in run.stderr) == (2, True)


def test_the_grid_has_a_query_a_column_and_an_arm_a_row(shop):
    osoroi("table:shop.csv", "--grid", "grid.png")
    picture = np.asarray(Image.open(shop / "grid.png"))
    wide, high = 160 + 8, 160 + 2 * 16 + 8
    assert picture.shape == (8 + 4 * high, 8 + 5 * wide, 3)
    asked = [tuple(picture[8 + 80, 8 + column * wide + 80]) for column in range(1, 5)]
    framed = [tuple(picture[8 + 3 * high, 8 + column * wide + 80]) == (18, 140, 74) for column in range(1, 5)]
    assert asked == [COLOURS["red"], COLOURS["green"], COLOURS["red"], COLOURS["grey"]]
    assert framed == [True, True, False, True]  # the third wears red and is blue


def test_run_files_are_written_for_trec_eval(shop):
    osoroi("table:shop.csv", "--run", "run")
    assert (shop / "run" / "both.run").read_text().splitlines()[0].split()[1::2] == ["Q0", "1", "both"]
    assert len((shop / "run" / "qrels.txt").read_text().splitlines()) == 4


def test_unreadable_photos_are_said(shop):
    (shop / "green.png").write_bytes(b"not a photo")
    printed = osoroi("table:shop.csv")
    assert "unreadable: 1 query photos, 1 gallery photos; 1 queries are unanswerable" in printed
    assert "count as misses" in printed
    assert "green.png" in printed
    assert "3 queries" in osoroi("table:shop.csv", "--skip-unanswerable")
