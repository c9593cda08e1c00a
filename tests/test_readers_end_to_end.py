"""Every reader trains: from a look-alike of its real files to an encoder file, an evaluation and a report."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import lookalikes
from lookalikes import Garment
from osoroi.cli import main
from osoroi.encoder import Encoder
from osoroi.evaluation import results

PLAN = """
title = "From end to end"
validation_share = {share}
reference = "shallow"
[evaluation.reported]
dataset = '{dataset}'
split = "{split}"
[[system]]
name = "shallow"
dataset = '{dataset}'
recipe = "published-shallow"
set = ["epochs=1", "products=4"]
evaluations = ["reported"]
"""


def street2shop(root: Path) -> str:
    return f"street2shop:{lookalikes.boutique(root, ('bags', 'tops'), products=15)}"


def vasily(root: Path) -> str:
    return street2shop(root) + "?protocol=vasily"


def inshop(root: Path) -> str:
    entries = {}
    for item in range(1, 16):
        for view in range(2):
            status = "train" if item < 12 else ("query", "gallery")[view]
            name = f"img/WOMEN/Dresses/id_{item:08d}/0{view}_1_front.jpg"
            entries[name] = (f"id_{item:08d}", status, (40, 50, 150, 180))
    return f"inshop:{lookalikes.inshop(root, entries)}"


def consumer2shop(root: Path) -> str:
    split = ["train"] * 8 + ["val"] * 3 + ["test"] * 4
    pairs = [
        (
            f"img/DRESSES/Lace_Dress/id_{item:08d}/comsumer_01.jpg",
            f"img/DRESSES/Lace_Dress/id_{item:08d}/shop_01.jpg",
            f"id_{item:08d}",
            split[item],
        )
        for item in range(len(split))
    ]
    return f"consumer2shop:{lookalikes.consumer2shop(root, pairs)}"


def deepfashion2(root: Path) -> str:
    photos = {}
    for pair in range(1, 16):
        folder = "train" if pair < 12 else "validation"
        for place, source in enumerate(("user", "shop")):
            photos[f"{folder}/{2 * pair + place:06d}"] = (source, pair, [Garment(1 + pair % 5, 1)])
    return f"deepfashion2:{lookalikes.deepfashion2(root, photos)}"


def viton(root: Path) -> str:
    lines = ["path,role,item_id,category,split,bbox_left,bbox_top,bbox_width,bbox_height,design_cluster"]
    for item in range(15):
        split = "train" if item < 11 else "val"
        lookalikes.draw(root / f"street/v{item:05d}.jpg", item, at=(30, 40, 60, 80))
        lookalikes.draw(root / f"shop/v{item:05d}.jpg", item)
        lines.append(f"street/v{item:05d}.jpg,street,v{item:05d},tops,{split},30,40,60,80,d{item:05d}")
        lines.append(f"shop/v{item:05d}.jpg,shop,v{item:05d},tops,{split},,,,,d{item:05d}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return f"viton:{root}"


def table(root: Path) -> str:
    lines = ["photo,product_id,domain,left,top,right,bottom,category"]
    for item in range(30):
        lookalikes.draw(root / f"street{item}.jpg", item, at=(30, 40, 60, 80))
        lookalikes.draw(root / f"shop{item}.jpg", item)
        lines += [f"street{item}.jpg,p{item},street,30,40,90,120,tops", f"shop{item}.jpg,p{item},shop,,,,,tops"]
    (root / "pairs.csv").write_text("\n".join(lines) + "\n")
    return f"table:{root / 'pairs.csv'}?split=7:0:3"


def composed(root: Path) -> str:
    lines = ["photo,product_id,category"]
    for item in range(24):
        lookalikes.draw(root / f"shop{item}.jpg", item)
        lines.append(f"shop{item}.jpg,p{item},tops")
    (root / "shop.csv").write_text("\n".join(lines) + "\n")
    return f"composed:{root / 'shop.csv'}?split=7:0:3&views=1&cache={root / 'cut-outs'}"


def drawn(root: Path) -> str:
    return "drawn:24:5"


READERS = {
    "street2shop": (street2shop, "test"),
    "vasily": (vasily, "test"),
    "inshop": (inshop, "test"),
    "consumer2shop": (consumer2shop, "test"),
    "deepfashion2": (deepfashion2, "val"),
    "viton": (viton, "val"),
    "table": (table, "test"),
    "composed": (composed, "test"),
    "drawn": (drawn, "test"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_reader_trains_exports_evaluates_and_reports(tmp_path, name):
    make, split = READERS[name]
    (tmp_path / "data").mkdir()
    dataset = make(tmp_path / "data")
    (tmp_path / "plan.toml").write_text(PLAN.format(dataset=dataset, split=split, share=0.25))
    out = tmp_path / "out"
    result = CliRunner().invoke(
        main, ["experiment", str(tmp_path / "plan.toml"), "--out", str(out), "--queries", "2"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert "held out (25% of train by product, design and photo)" in result.stderr
    evaluation = results.read(out / "evaluations" / "reported" / "shallow-0.json")
    assert len(evaluation.queries) >= 3
    assert not evaluation.data.unreadable
    encoder = Encoder.open(out / "encoders" / "shallow-0.onnx")
    assert [part.name for part in encoder.parts] == ["shallow"]
    assert f"| shallow | {evaluation_mean(evaluation)} [" in result.stdout
    assert json.loads((out / "report" / "report.json").read_text())["evaluations"]["reported"]["rows"]
    assert (out / "report" / "reported.png").is_file()


def evaluation_mean(evaluation):
    """hit@5 of the first category, or of all: as the table writes it."""
    category = evaluation.categories[0] if evaluation.categories else None
    return f"{results.means(evaluation, evaluation.main, ['hit@5'], category)['hit@5'].mean:.3f}".lstrip("0")
