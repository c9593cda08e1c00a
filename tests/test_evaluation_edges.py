"""An evaluation at the edges of its limits, and the values that it takes where a caller gives none."""

import inspect
import math
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from osoroi.errors import BadPhoto, BadRequest, Mismatch, OsoroiError
from osoroi.evaluation import boxes, calibration, evaluate, results
from osoroi.evaluation.boxes import BoxCount
from osoroi.evaluation.compare import read_seed_group
from osoroi.evaluation.results import Arm, Data, Evaluation, Protocol, Query, Task
from osoroi.records import Box, Crop
from tiny import TinyEncoder


def made(rank: float, *products: str, top: tuple[tuple[str, ...], ...] = (), data: str = "d") -> Evaluation:
    """An evaluation of one query for each product, whose product has this rank."""
    count = len(products)
    top = top or ((),) * count
    return Evaluation(
        task=Task("test:made"),
        data=Data(data * 64, 100, 100, 0, 0, 0, 0, ()),
        encoder="e" * 64,
        recipe="made",
        queries=tuple(Query(f"q{at}", (product,), "tops") for at, product in enumerate(products)),
        arms=(Arm("both", {}, None, np.full((count, 1), rank), top, tuple((0.5,) * len(row) for row in top)),),
        version="0",
    )


def test_a_mean_may_differ_by_what_two_machines_differ_by_and_by_no_more() -> None:
    never = made(math.inf, "p")
    assert "both RR 0.0000 0.0029" in evaluate.check(never, made(345.0, "p"))
    with pytest.raises(Mismatch, match=r"2 of 8 numbers differ: both AP 0.0000 0.0032; both RR"):
        evaluate.check(never, made(310.0, "p"))


def test_the_first_hundred_unreadable_photos_are_named_and_all_are_counted() -> None:
    reading = evaluate.CropEncoder(TinyEncoder(), 1, None, lambda done: None)
    for number in range(102):
        reading.add_problem(Crop(f"c{number}", "p", "street", b""), BadPhoto("no photo"))
    assert reading.unreadable == {"street": 102, "shop": 0}
    assert (len(reading.problems), reading.problems[-1]) == (100, "c99: no photo")


def test_a_setting_that_is_left_out_is_the_protocols_own() -> None:
    given = {name: each.default for name, each in inspect.signature(evaluate.evaluate).parameters.items()}
    given["within"] = given.pop("within_category")
    left_out = {field.name: field.default for field in fields(Protocol)}
    assert {name: given[name] for name in left_out} == left_out
    assert (given["sample_detail"], given["threads"], given["top_k"]) == (Task("any").sample_detail, 1, 20)


@pytest.mark.parametrize("edge", [{"detail": 0.0}, {"detail": 1.0}, {"corrupt": 0}, {"threads": 1}, {"top_k": 1}])
def test_a_setting_at_the_edge_of_its_range_is_taken(edge: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(OsoroiError, match=r"none\.onnx"):  # the settings passed, and the encoder is not there
        evaluate.evaluate("drawn:1", encoder=tmp_path / "none.onnx", **edge)  # type: ignore[arg-type]


def test_a_setting_just_outside_its_range_is_refused() -> None:
    for name, value in (("detail", -0.01), ("detail", 1.01), ("corrupt", -1), ("threads", 0), ("top_k", 0)):
        with pytest.raises(BadRequest, match=f"{name} is {value}"):
            evaluate.evaluate("drawn:1", **{name: value})  # type: ignore[arg-type]


def test_boxes_that_share_just_half_of_their_area_match() -> None:
    assert boxes.matched([Box(0, 0, 4, 2)], [Box(0, 0, 4, 4)]) == [(0, 0)]
    assert boxes.matched([Box(0, 0, 40, 19)], [Box(0, 0, 40, 40)]) == []


def test_a_share_of_boxes_has_the_interval_of_a_share_of_photos() -> None:
    right = np.repeat([1.0, 0.0], [75, 25])  # one box a photo: a deviation of sqrt(.75 x .25 / 100)
    mean, low, high = boxes.share(right, np.ones(100))
    half = 1.96 * math.sqrt(0.75 * 0.25 / 100)
    assert (mean, low, high) == pytest.approx((0.75, 0.75 - half, 0.75 + half), abs=0.015)
    assert boxes.share(right, 2 * np.ones(100)).mean == 0.375
    one = boxes.share(np.array([0.0, 2.0]), np.array([0.0, 4.0]))  # some draws have the empty photo alone
    assert tuple(one) == (0.5, 0.0, 0.5)
    assert all(map(math.isnan, boxes.share(np.zeros(2), np.zeros(2))))


def test_recall_counts_the_main_kinds_and_precision_every_kind() -> None:
    bag = BoxCount(Counter(bag=1), Counter(), Counter(bag=1), Counter(bag=1), Counter())
    top = BoxCount(Counter(top=2), Counter(top=1), Counter(top=1), Counter(top=1), Counter(top=1))
    lines = boxes.summary([bag, top])
    assert [lines[name].mean for name in ("recall", "precision", "right kind")] == [0.5, 1.0, 0.5]
    assert list(lines)[3:] == ["recall of bag", "recall of top", "precision of bag", "precision of top"]


def test_two_products_are_enough_to_take_half_of_them_away() -> None:
    lists = calibration.lists_of(made(1.0, "a", "b", top=(("a", "b"), ("b", "a"))))
    assert len(lists.scores) == 2 * calibration.SEEDS
    assert lists.answerable.sum() == calibration.SEEDS, "one product of the two is taken away each time"
    assert lists.right.sum() == calibration.SEEDS


def test_a_photo_without_any_product_left_has_no_list() -> None:
    lists = calibration.lists_of(made(1.0, "a", "b", top=(("a", "b"), ())), seeds=1)
    assert len(lists.scores) == len(lists.right) == len(lists.answerable) == 1


def test_seeds_of_other_data_are_no_group(tmp_path: Path) -> None:
    for name, data in (("a", "1"), ("b", "2")):
        results.save(made(1.0, "p", top=(("p",),), data=data), tmp_path / f"{name}.json")
    with pytest.raises(Mismatch, match="differ in data"):
        read_seed_group(f"{tmp_path}/a.json,{tmp_path}/b.json")
    assert read_seed_group(f"mine={tmp_path}/a.json")[:2] == ("mine", True)
    odd = tmp_path / "x=1"
    odd.mkdir()
    results.save(made(1.0, "p", top=(("p",),)), odd / "c.json")
    assert read_seed_group(f"{odd}/c.json")[:2] == ("c", False), "an equals sign in a folder's name is no name"


def test_a_file_has_twenty_products_a_query_and_the_command(tmp_path: Path) -> None:
    one = made(math.inf, "p", top=(("x",) * 22,))
    results.save(replace(one, command="osoroi evaluate"), tmp_path / "one.json")
    again = results.read(tmp_path / "one.json")
    assert math.isinf(again.arm("both").ranks[0, 0])
    assert [len(row) for row in (*again.arm("both").top, *again.arm("both").scores)] == [20, 20]
    assert again.command == "osoroi evaluate"
