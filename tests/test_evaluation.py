"""Evaluation on a data set of plain colours, where every score can be worked out by hand or by a slow loop."""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osoroi import image
from osoroi.errors import BadDataset, BadRequest, Mismatch
from osoroi.evaluation import evaluate, queries, results
from osoroi.evaluation.corruption import corrupt
from osoroi.evaluation.results import Protocol, Task
from osoroi.records import Box, Crop, Product, Row
from tiny import TinyEncoder

RED, ORANGE, GREEN, BLUE, GREY = (220, 30, 30), (230, 120, 20), (20, 200, 40), (20, 40, 210), (128, 128, 128)


class Weighable(TinyEncoder):
    """The tiny encoder with other weights."""

    def __init__(self, weights=(0.5, 0.5)) -> None:
        super().__init__()
        parts = tuple(replace(part, weight=weight) for part, weight in zip(self.metadata.parts, weights, strict=True))
        self.metadata = replace(self.metadata, parts=parts)

    def weighed(self, weights):
        return Weighable([weights.get(part.name, 0.0) for part in self.parts])


class Rows:
    def __init__(self, rows) -> None:
        self.kept = list(rows)

    def rows(self) -> Iterator[Row]:
        yield from self.kept


def photo(top, bottom=None) -> bytes:
    pixels = np.full((16, 16, 3), top, np.uint8)
    pixels[8:] = bottom or top
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    return data.getvalue()


def row(product_id, domain, source, *, crop_id=None, split="val", category="tops", box=None) -> Row:
    crop_id = crop_id or f"{domain}/{product_id}"
    return Row(Product(product_id, category=category), Crop(crop_id, product_id, domain, source, box, split))


def shop(product_id, *colours, **more) -> Row:
    return row(product_id, "shop", photo(*colours), **more)


def street(product_id, *colours, **more) -> Row:
    return row(product_id, "street", photo(*colours), **more)


def small() -> list[Row]:
    """Two queries find their product first; the one for blue is red, and finds it last."""
    return [
        shop("red", RED),
        shop("green", GREEN),
        shop("blue", BLUE),
        street("red", ORANGE),
        street("green", GREEN),
        street("blue", RED),
    ]


def asked(rows, *more, encoder=None, protocol=None, **task) -> results.Evaluation:
    whole = Task("test:rows", protocol=protocol or Protocol(), **task)
    return evaluate.evaluate_readers([Rows(rows), *map(Rows, more)], encoder or Weighable(), whole)


def ranks(found: results.Evaluation, arm="both") -> list[list[float]]:
    return [[rank for rank in each if not math.isnan(rank)] for each in found.arm(arm).ranks]


def by_loop(encoder, queries, gallery, weights) -> list[list[str]]:
    """Products by falling score of their best crop, for each query photo."""
    orders = []
    for query in queries:
        best: dict[str, float] = {}
        for product_id, source in gallery:
            pair = [encoder.encode([np.asarray(Image.open(io.BytesIO(each)))])[0] for each in (query, source)]
            cosines = [float(pair[0][part] @ pair[1][part]) for part in encoder.columns.values()]
            score = sum(weight * cosine for weight, cosine in zip(weights, cosines, strict=True))
            best[product_id] = max(best.get(product_id, -9), score)
        orders.append(sorted(best, key=lambda name: -best[name]))
    return orders


def test_each_arm_ranks_by_its_own_weights():
    # Queries keep the top half and brighten the bottom half; `deep` sees the top half alone.
    draw = np.random.default_rng(0)
    colours = draw.integers(0, 256, (12, 2, 3))
    rows = [shop(f"p{i}", *map(tuple, pair)) for i, pair in enumerate(colours)]
    near = [(tuple(top), tuple(np.clip(bottom + 60, 0, 255))) for top, bottom in colours]
    rows += [street(f"p{i}", *pair) for i, pair in enumerate(near)]
    found = asked(rows, encoder=Weighable((0.25, 0.75)))
    gallery = [(each.product.product_id, each.crop.photo) for each in rows[:12]]
    for arm, weights in (("deep", (1, 0)), ("detail", (0, 1)), ("both", (0.25, 0.75))):
        orders = by_loop(Weighable(), [each.crop.photo for each in rows[12:]], gallery, weights)
        assert [list(top) for top in found.arm(arm).top] == orders
        assert ranks(found, arm) == [[order.index(f"p{i}") + 1] for i, order in enumerate(orders)]
    assert [arm.name for arm in found.arms] == ["deep", "detail", "both"]
    assert found.main == "both"


def test_crops_collapse_to_products_before_the_cut():
    # Ten crops of "many" are nearest, so the first ten crops would all be one product: "one" is still second.
    many = [shop("many", RED, crop_id=f"many/{i}") for i in range(10)]
    found = asked([*many, shop("one", ORANGE), shop("far", BLUE), street("one", RED)])
    assert ranks(found) == [[2]]
    assert found.arm("both").top == (("many", "one", "far"),)
    assert (found.data.products, found.data.crops) == (3, 12)


def test_equal_scores_stand_in_the_order_of_reading():
    rows = [shop("z", RED), shop("a", RED), shop("m", RED), street("a", RED), street("m", RED), street("z", RED)]
    assert ranks(asked(rows)) == [[2], [3], [1]]


def test_all_products_of_a_street_crop_are_right():
    rows = [shop("hat", GREEN), shop("coat", RED), shop("bag", BLUE)]
    rows += [street(product, RED, crop_id="one") for product in ("bag", "coat")]
    found = asked(rows)
    assert found.queries == (results.Query("one", ("bag", "coat"), "tops"),)
    assert sorted(ranks(found)[0])[0] == 1
    assert len(ranks(found)[0]) == 2


def test_a_crop_in_several_rows_is_the_query_of_its_first_row():
    rows = [shop("hat", GREEN, category="hats"), shop("coat", RED), shop("bag", BLUE, category="bags")]
    rows += [
        row("coat", "street", photo(RED), crop_id="one"),
        row("hat", "street", photo(GREEN), crop_id="one", category="hats"),
    ]
    found = asked(rows)
    assert found.queries == (results.Query("one", ("coat", "hat"), "tops"),)
    assert found.arm("both").top[0][0] == "coat"  # the photo of the first row is red


def test_only_the_splits_street_crops_ask_and_only_its_products_are_there():
    rows = [
        *small(),
        shop("other", RED, split="train"),
        street("other", RED, split="train"),
        shop("late", RED, split=None),
    ]
    found = asked(rows, protocol=Protocol(split="val"))
    assert [query.crop_id for query in found.queries] == ["street/red", "street/green", "street/blue"]
    assert found.data.products == 3
    wider = asked(rows, protocol=Protocol(split="val", gallery=("train",)))
    assert (len(wider.queries), wider.data.products) == (3, 4)
    assert len(asked(rows).queries) == 4


def test_a_split_that_nobody_asks_names_those_there_are():
    with pytest.raises(BadDataset, match=r"split 'test' has no street crop .* street crops by split: val \(3\)"):
        asked(small(), protocol=Protocol(split="test"))


def test_a_product_in_two_splits_is_refused():
    rows = [*small(), shop("red", RED, crop_id="again", split="train")]
    with pytest.raises(BadDataset, match="stands in val and in train"):
        asked(rows, protocol=Protocol(split="val"))


def test_distractors_stand_in_the_gallery_and_ask_nothing():
    found = asked([shop("red", ORANGE), street("red", RED)], [shop("x", RED), street("x", RED)])
    assert ranks(found) == [[2]]
    assert len(found.queries) == 1
    with pytest.raises(BadDataset, match="distractor 'red' has the id of a product"):
        asked([shop("red", ORANGE), street("red", RED)], [shop("red", RED)])


def test_within_categories_a_query_meets_its_own_kind_alone():
    rows = [
        shop("dress", RED, category="dresses"),
        shop("top", ORANGE),
        street("top", RED),
        street("dress", BLUE, category="dresses"),
    ]
    assert ranks(asked(rows))[0] == [2]
    assert ranks(asked(rows, protocol=Protocol(within=True))) == [[1], [1]]


def test_what_cannot_be_read_is_counted_named_and_a_miss_or_left_out():
    rows = [
        *small(),
        row("gone", "shop", Path("nowhere.jpg")),
        street("gone", RED),
        shop("seen", GREY),
        row("seen", "street", b"no photo"),
        row("red", "shop", b"broken", crop_id="shop/red/2"),
    ]
    found = asked(rows)
    assert ranks(found)[3:] == [[math.inf], [math.inf]]
    assert (found.data.unanswerable, found.data.skipped, len(found.queries)) == (2, 0, 5)
    assert (found.data.unreadable_queries, found.data.unreadable_crops) == (1, 2)
    assert [name.split(":")[0] for name in found.data.unreadable] == ["shop/gone", "shop/red/2", "street/seen"]
    assert found.arm("both").top[4] == ()
    left = asked(rows, protocol=Protocol(skip_unanswerable=True))
    assert (len(left.queries), left.data.skipped, left.data.unanswerable) == (3, 2, 2)
    assert results.means(found, "both")["hit@20"].mean == pytest.approx(3 / 5)
    assert results.means(left, "both")["hit@20"].mean == 1


def test_a_query_is_answerable_while_one_of_its_products_is_in_the_gallery():
    rows = [*small(), row("gone", "shop", Path("nowhere.jpg"))]
    rows += [street(product, RED, crop_id="two") for product in ("red", "gone")]
    found = asked(rows, protocol=Protocol(skip_unanswerable=True))
    assert (found.data.unanswerable, found.data.skipped, len(found.queries)) == (0, 0, 4)


def test_the_slider_is_sampled_between_the_parts_alone():
    found = asked(small(), sample_detail=True)
    assert [arm.detail for arm in found.arms] == [None] * 3 + [step / 10 for step in range(11)]
    assert found.main == "both"
    assert found.arm("detail=0.0").top == found.arm("deep").top
    assert found.arm("detail=1.0").top == found.arm("detail").top
    assert found.arm("detail=0.5").scores == found.arm("both").scores


def test_the_slider_can_be_set():
    found = asked(small(), protocol=Protocol(detail=1.0))
    assert found.arm("both").scores == found.arm("detail").scores


def test_corruption_changes_queries_alone_and_is_the_same_for_the_same_seed():
    rows = small()
    clean, once, again, other = (asked(rows, protocol=Protocol(corrupt=seed)) for seed in (None, 1, 1, 2))
    assert once.arm("both").scores == again.arm("both").scores
    assert once.arm("both").scores != clean.arm("both").scores
    assert once.arm("both").scores != other.arm("both").scores
    alone = asked([*rows[:3], rows[4]], protocol=Protocol(corrupt=1))
    assert alone.arm("both").scores[0] == once.arm("both").scores[1]  # whoever else asks
    assert clean.data.fingerprint == once.data.fingerprint


def test_corruption_leaves_the_gallery_as_it_is():
    encoder, (shop_row, street_row) = Weighable(), (shop("a", RED, BLUE), street("a", ORANGE, GREEN))
    view = encoder.preprocessing["street"]
    data, box = corrupt(image.read(street_row.crop.photo), None, seed=1, crop_id="street/a")
    query, clean = encoder.encode([image.crop(data, box, view), image.crop(shop_row.crop.photo, None, view)])
    found = asked([shop_row, street_row], protocol=Protocol(corrupt=1))
    assert found.arm("both").scores[0][0] == pytest.approx(float(query @ clean) / 2, abs=1e-6)  # weights of one half


def test_corruption_does_not_mend_a_box_outside_the_photo():
    rows = [shop("a", RED), street("a", RED, box=Box(0, 0, 99, 99))]
    assert asked(rows, protocol=Protocol(corrupt=1)).data.unreadable_queries == 1


def test_the_fingerprint_of_the_data_depends_on_ids_boxes_and_order_of_what_was_asked():
    rows = small()
    same = queries.build_evaluation_set(Rows(rows), Protocol()).fingerprint
    assert same == queries.build_evaluation_set(Rows(small()), Protocol()).fingerprint
    boxed = [*rows[:5], street("blue", RED, box=Box(0, 0, 9, 9))]
    others = [rows[:5], rows[::-1], boxed, [*rows[:5], street("blue", RED, category="hats")]]
    assert len({same, *(queries.build_evaluation_set(Rows(each), Protocol()).fingerprint for each in others)}) == 5


def test_an_evaluation_comes_back_from_its_file_and_the_file_is_the_same_each_time(tmp_path):
    rows = [
        *small(),
        row("gone", "shop", b""),
        street("gone", RED),
        street("green", GREY, crop_id="2", category="hats"),
    ]
    found = replace(asked(rows, sample_detail=True, protocol=Protocol(corrupt=3)), command="osoroi evaluate test:rows")
    results.save(found, tmp_path / "a.json")
    back = results.read(tmp_path / "a.json")
    assert (back.task, back.data, back.queries, back.command) == (found.task, found.data, found.queries, found.command)
    for arm in found.arms:
        np.testing.assert_array_equal(back.arm(arm.name).ranks, arm.ranks)
        assert back.arm(arm.name).top == arm.top
    results.save(back, tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["metrics"]["both"]["hit@1"][0] == pytest.approx(results.means(found, "both")["hit@1"].mean, abs=1e-6)
    assert set(told["categories"]) == {"tops", "hats"}


def test_queries_of_one_design_are_one_cluster_as_they_were_evaluated_and_from_the_file(tmp_path):
    designs = {"red": "coat", "blue": "coat", "green": None}
    rows = [
        each._replace(product=replace(each.product, design_id=designs[each.product.product_id])) for each in small()
    ]
    found = asked(rows)
    results.save(found, tmp_path / "a.json")
    for each in (found, results.read(tmp_path / "a.json")):
        assert each.labels.designs == {"red": "coat", "blue": "coat"}
        assert each.clusters().tolist() == [0, 1, 0]  # red, green, blue
    assert asked(small()).clusters().tolist() == [0, 1, 2]
    before = json.loads((tmp_path / "a.json").read_text())
    del before["labels"]["designs"]  # as files were written before there were designs
    (tmp_path / "before.json").write_text(json.dumps(before))
    assert results.read(tmp_path / "before.json").clusters().tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', "null", '{"format": 99}'])
def test_a_file_that_is_no_evaluation_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadDataset, match=r"x\.json"):
        results.read(tmp_path / "x.json")


def test_checking_finds_other_data_and_other_numbers():
    before = asked(small())
    assert len(evaluate.check(before, asked(small()))) == 3 * 8
    with pytest.raises(Mismatch, match="not the same data"):
        evaluate.check(before, asked(small()[:5]))
    with pytest.raises(Mismatch, match="not the same protocol"):
        evaluate.check(before, asked(small(), protocol=Protocol(corrupt=1)))
    worse = replace(before.arms[2], ranks=before.arms[2].ranks + 1)
    with pytest.raises(Mismatch, match="numbers differ: both hit@1"):
        evaluate.check(before, replace(before, arms=(*before.arms[:2], worse)))


def test_an_arm_or_a_category_that_is_not_there_names_those_that_are():
    found = asked(small())
    with pytest.raises(BadRequest, match="has deep, detail, both"):
        found.arm("shallow")
    with pytest.raises(BadRequest, match="the categories are tops"):
        results.means(found, "both", category="hats")


def test_metrics_on_exported_run_files_are_those_of_pytrec_eval(tmp_path):
    import pytrec_eval

    draw = np.random.default_rng(5)
    shades = draw.choice([0, 120, 255], (40, 2, 3))  # many ties
    rows = [shop(f"p {i}", *map(tuple, pair)) for i, pair in enumerate(shades)]
    for i in range(30):
        pair = [tuple(each) for each in draw.choice([0, 100, 255], (2, 3))]
        rows += [
            street(f"p {j}", *pair, crop_id=f"query {i}") for j in draw.choice(40, draw.integers(1, 4), replace=False)
        ]
    task = Task("test:rows")
    found = evaluate.evaluate_readers([Rows(rows)], Weighable(), task, top_k=40)
    paths = results.write_trec(found, tmp_path / "run")
    assert [path.name for path in paths] == ["qrels.txt", "deep.run", "detail.run", "both.run"]
    with paths[0].open() as file:
        judge = pytrec_eval.RelevanceEvaluator(
            pytrec_eval.parse_qrel(file), {"map", "recip_rank", "ndcg_cut.5", "success.1,5,20", "recall.5"}
        )
    pairs = {"AP": "map", "RR": "recip_rank", "nDCG@5": "ndcg_cut_5", "recall@5": "recall_5", "hit@1": "success_1"}
    for arm, path in zip(("deep", "detail", "both"), paths[1:], strict=True):
        with path.open() as file:
            theirs = judge.evaluate(pytrec_eval.parse_run(file))
        for name, their in pairs.items():
            expected = [theirs[query.crop_id.replace(" ", "%20")][their] for query in found.queries]
            np.testing.assert_allclose(results.values(found.arm(arm), [name])[:, 0], expected, atol=1e-9)


def test_results_are_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    found = asked([*small(), shop("hat", GREY, category="hats"), street("hat", GREY, category="hats")])
    table = found.to_dataframe(["hit@1", "RR"])
    assert isinstance(table, pandas.DataFrame)
    assert table.shape == (3 * 3 * 2, 8)  # arms, all and two categories, metrics
    both = table[(table["arm"] == "both") & (table["metric"] == "hit@1")].set_index("category", drop=False)
    assert both["mean"].tolist() == [0.75, 1.0, pytest.approx(2 / 3)]  # all, hats, tops: blue is found last
    assert both["queries"].tolist() == [4, 1, 3]
    queries = found.queries_dataframe(["hit@1"])
    assert queries[queries["arm"] == "both"]["first_rank"].tolist()[:2] == [1, 1]
    assert len(queries) == 3 * 4


def test_the_public_function_takes_plain_settings_and_refuses_those_without_meaning():
    done: list[int] = []
    found = evaluate.evaluate("drawn:4:1", corrupt=3, top_k=2, on_progress=done.append)
    assert done == sorted(done)
    assert done[-1] >= 4, "crops, each counted once"
    assert found.task.protocol == Protocol(corrupt=3)
    assert {len(row) for row in found.arm("both").top} == {2}
    for wrong in ({"threads": 0}, {"top_k": 0}, {"detail": 1.5}, {"detail": math.nan}, {"corrupt": -1}):
        with pytest.raises(BadRequest, match=next(iter(wrong))):
            evaluate.evaluate("gone:nowhere", **wrong)
