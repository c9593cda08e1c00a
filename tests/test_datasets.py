"""The field's data sets asked from end to end, on look-alikes in their real formats: one command, the same for all."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import lookalikes
from lookalikes import Garment
from osoroi.cli import main


def in_shop(root: Path) -> str:
    entries = {
        f"img/WOMEN/Dresses/id_{item:08d}/0{photo}_1_front.jpg": (f"id_{item:08d}", status, (40, 30 + item, 170, 180))
        for item in (2, 3, 5, 9)
        for photo, status in enumerate(("query", "gallery", "gallery"))
    }
    return f"inshop:{lookalikes.inshop(root, entries)}"


def consumer_to_shop(root: Path) -> str:
    lines = []
    for item, status in ((2, "train"), (3, "val"), (5, "test"), (9, "test")):
        here = f"img/DRESSES/Lace_Dress/id_{item:08d}"
        lines.append((f"{here}/comsumer_01.jpg", f"{here}/shop_01.jpg", f"id_{item:08d}", status))
    return f"consumer2shop:{lookalikes.consumer2shop(root, lines)}"


def deep_fashion_2(root: Path) -> str:
    photos = {}
    for pair in range(1, 5):
        photos[f"validation/{pair:06d}"] = ("user", pair, [Garment(1, 1), Garment(2, 0)])
        photos[f"validation/{pair + 50:06d}"] = ("shop", pair, [Garment(1, 1, (15, 25, 150, 160))])
    return f"deepfashion2:{lookalikes.deepfashion2(root, photos)}"


def street_to_shop(root: Path) -> str:
    return f"street2shop:{lookalikes.boutique(root, ('bags', 'tops'), products=5)}"


ASKED = {  # data set: builder, options, queries, products and photos in the gallery
    # each category: products 0 and 3 are asked with two street photos, 0, 3 and the unasked 5 stand in two shop photos
    "street2shop": (street_to_shop, ["--split", "test", "--within-category"], 8, 6, 12),
    "inshop": (in_shop, ["--split", "test"], 4, 4, 8),
    "consumer2shop": (consumer_to_shop, ["--split", "test", "--gallery", "val"], 2, 3, 3),
    "deepfashion2": (deep_fashion_2, ["--split", "val"], 4, 4, 4),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_look_alike_is_asked_by_one_command(tmp_path: Path, name: str) -> None:
    build, options, queries, products, crops = ASKED[name]
    file = tmp_path / "out.json"
    arguments = ["evaluate", build(tmp_path / name), *options, "--by", "category", "--json", str(file)]
    run = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert run.exit_code == 0, run.output
    told = json.loads(file.read_text())
    assert (len(told["queries"]), told["data"]["products"], told["data"]["crops"]) == (queries, products, crops)
    assert told["data"]["unanswerable"] == 0
    for arm in ("deep", "detail", "both"):
        assert arm in run.stdout
