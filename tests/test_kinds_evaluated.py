"""Right kinds among the first products, and garments that are found instead of boxes that are given."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import osoroi
from kinds import photo_of
from osoroi.data.readers import open_dataset
from osoroi.data.synthetic.outfits import outfits
from osoroi.encoder import Encoder
from osoroi.evaluation import boxes, results, shop_kinds
from osoroi.evaluation.labels import Label, Labels
from osoroi.evaluation.ranking import Gallery
from osoroi.evaluation.results import Arm
from osoroi.records import Box


def test_kind_at_k_is_the_share_of_the_first_k_and_what_is_not_retrieved_counts_as_wrong() -> None:
    top = (("a", "b", "c"), ("b",), ())
    arm = Arm("all", {}, None, np.full((3, 1), np.inf), top, ((), (), ()))
    products = {"a": Label("top", "red"), "b": Label("skirt", "red"), "c": Label(None, "blue")}
    labels = Labels((Label("top", "red"), Label("skirt", None), Label("top", "red")), products)
    values = results.values(arm, ["kind@2", "kind@3", "color@2"], labels)
    assert values[:, 0].tolist() == [1 / 2, 1 / 2, 0]
    assert values[:, 1].tolist() == [1 / 3, 1 / 3, 0]
    assert values[[0, 2], 2].tolist() == [1, 0]
    assert np.isnan(values[1, 2])  # a query without a color


def test_a_found_box_matches_one_true_box_and_right_kinds_are_counted_apart() -> None:
    true = [("top", Box(0, 0, 10, 10)), ("skirt", Box(0, 10, 10, 20)), ("shoes", Box(0, 20, 10, 24))]
    found = [("outerwear", Box(0, 0, 10, 9)), ("top", Box(0, 0, 10, 6)), ("skirt", Box(0, 11, 10, 20))]
    lines = boxes.summary([boxes.count(found, true)])
    assert [round(lines[name].mean, 4) for name in ("recall", "precision", "right kind")] == [0.6667, 0.6667, 0.3333]
    assert (lines["recall of shoes"].mean, lines["precision of top"].mean) == (0, 0)


def boxes_folder(folder: Path) -> Path:
    (folder / "photos").mkdir(parents=True)
    rows = ["photo,label,left,top,width,height"]
    for number in range(2):
        made = outfits(0, number)
        Image.fromarray(made.photo).save(folder / "photos" / f"{number:04}.jpg", quality=95)
        rows += [
            f"{number:04},{garment.kind},{left},{top},{right - left},{bottom - top}"
            for garment in made.garments
            for left, top, right, bottom in [garment.box]
            if garment.kind in ("top", "skirt", "shoes", "dress")
        ]
    rows.append("0001,hair,1,2,3,4")
    (folder / "garments.csv").write_text("\n".join(rows))
    return folder


def test_boxes_of_garments_are_queries_whose_product_is_their_photo(tmp_path: Path) -> None:
    rows = list(open_dataset(f"ccp:{boxes_folder(tmp_path / 'ccp')}").rows())
    assert {row.crop.split for row in rows if row.product.product_id == "0000"} == {"test"}
    assert {row.crop.split for row in rows if row.product.product_id == "0001"} == {"val"}
    first = outfits(0, 0).garments[0]
    assert (rows[0].product.category, rows[0].crop.box) == (first.kind, first.box)
    assert "hair" not in {row.product.category for row in rows}


def test_evaluate_tells_kinds_and_with_find_how_boxes_were_found(tmp_path: Path) -> None:
    folder = boxes_folder(tmp_path / "ccp")
    shop = tmp_path / "shop.csv"
    names = ["Skirts", "Tops", "Shoes", "Dresses"]
    Image.fromarray(photo_of(120)).save(tmp_path / "p.png")
    shop.write_text("photo,product_id,category\n" + "".join(f"p.png,{name},{name}\n" for name in names))
    run = osoroi.evaluate(f"ccp:{folder}", distractors=[shop], find=True)
    assert results.shown(run) == ("kind@5",)
    skirts = {name: label for name, label in run.labels.products.items() if label.kind == "skirt"}
    assert skirts
    one_kind = replace(run, labels=Labels(run.labels.queries, skirts))
    assert results.shown(one_kind) == (), "which says nothing"
    assert run.boxes["recall"].mean > 0.5
    kinds = results.values(run.arm("all"), ["kind@1"], run.labels)[:, 0]
    for top, label, share in zip(run.arm("all").top, run.labels.queries, kinds, strict=True):
        assert share == (bool(top) and run.labels.products[top[0]].kind == label.kind)  # a missed garment counts as 0
    results.save(run, tmp_path / "run.json")
    again = results.read(tmp_path / "run.json")
    assert again.labels == run.labels
    assert again.boxes["precision"] == pytest.approx(run.boxes["precision"], abs=1e-6)
    given = osoroi.evaluate(f"ccp:{folder}", distractors=[shop])
    assert not given.boxes
    assert (
        results.means(given, "all", ["kind@1"])["kind@1"].mean > results.means(given, "both", ["kind@1"])["kind@1"].mean
    )


def test_queries_of_which_only_a_picture_speaks_are_judged_by_the_shops_own_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first query its place on somebody speaks, too; of the second and third nothing does."""
    made = outfits(0, 0)
    box = ",".join(map(str, made.garments[0].box))
    Image.fromarray(made.photo).save(tmp_path / "worn.jpg", quality=95)
    for name in ("b", "c"):
        Image.fromarray(photo_of(90 + ord(name))).save(tmp_path / f"{name}.png")
    lines = [f"a,worn.jpg,street,{box}", "b,b.png,street,,,,", "c,c.png,street,,,,"]
    lines += [f"{name},{name if name != 'a' else 'b'}.png,shop,,,," for name in "abc"]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(["product_id,photo,domain,left,top,right,bottom", *lines]))
    judged: list[list[int]] = []

    def noted(gallery: Gallery, encoder: Encoder, queries: np.ndarray, alone: Sequence[int]) -> np.ndarray:
        judged.append(list(alone))
        return queries

    monkeypatch.setattr(shop_kinds, "taught", noted)
    run = osoroi.evaluate(str(table))
    order = [query.product_ids[0] for query in run.queries]
    assert [[order[number] for number in numbers] for numbers in judged] == [["b", "c"]]
