"""DeepFashion2: what pairs with what, style 0, several garments a photo, and the folders of its splits."""

import json
from pathlib import Path

import pytest

import lookalikes
from lookalikes import Garment
from osoroi.data.readers import open_dataset
from osoroi.errors import BadDataset
from osoroi.records import Box, Row

SMALL = {
    "train/000001": ("user", 1, [Garment(1, 1, (10, 20, 80, 100)), Garment(2, 0)]),
    "train/000002": ("shop", 1, [Garment(1, 1), Garment(1, 2), Garment(2, 0), Garment(2, 1), Garment(3, 1)]),
    "train/000003": ("shop", 2, [Garment(1, 1)]),
    "validation/000001": ("user", 1, [Garment(3, 1)]),
    "validation/000010": ("shop", 1, [Garment(3, 1)]),
    "validation/000002": ("shop", 1, [Garment(3, 1)]),
}


def read(root: Path) -> list[Row]:
    return list(open_dataset(f"deepfashion2:{root}").rows())


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return lookalikes.deepfashion2(tmp_path, SMALL)


def right(rows: list[Row], query: str) -> list[str]:
    """The shop crops that answer a query."""
    asked = {row.product.product_id for row in rows if row.crop.crop_id == query}
    return [row.crop.crop_id for row in rows if row.crop.domain == "shop" and row.product.product_id in asked]


def test_a_garment_is_answered_by_the_same_pair_category_and_style_of_a_shop(small: Path) -> None:
    """Not by another style (item2), another category (item4), nor another pair (photo 3)."""
    assert right(read(small), "train/000001/item1") == ["train/000002/item1"]


def test_style_0_never_pairs(small: Path) -> None:
    """The user's asks nothing; the shop's stands in the gallery as a product of its own."""
    rows = {row.crop.crop_id: row for row in read(small)}
    assert "train/000001/item2" not in rows
    alone = rows["train/000002/item3"]
    assert alone.product.product_id == "train/000002/item3"
    assert alone.product.design_id is None


def test_pairs_of_two_splits_are_not_one_however_they_are_numbered(small: Path) -> None:
    """Pair 1, category 3, style 1 is in both."""
    assert right(read(small), "val/000001/item1") == ["val/000002/item1", "val/000010/item1"]


def test_styles_of_one_pair_are_one_design(small: Path) -> None:
    rows = {row.crop.crop_id: row for row in read(small)}
    first, second = rows["train/000002/item1"].product, rows["train/000002/item2"].product
    assert first.design_id == second.design_id != rows["train/000003/item1"].product.design_id
    assert first.product_id != second.product_id
    assert rows["train/000002/item4"].product.design_id != first.design_id  # trousers are no design of a top


def test_corners_domain_category_and_photo_are_read(small: Path) -> None:
    row = read(small)[0]
    assert row.crop.box == Box(10, 20, 10 + 80, 20 + 100)
    assert (row.crop.domain, row.crop.split) == ("street", "train")
    assert row.product.category == "short sleeve top"
    assert row.crop.photo == small / "train/image/000001.jpg"
    assert row.crop.photo.is_file()


def test_a_photo_of_ten_garments_keeps_their_order(tmp_path: Path) -> None:
    root = lookalikes.deepfashion2(tmp_path, {"train/000001": ("shop", 1, [Garment(1, n) for n in range(1, 12)])})
    assert [row.crop.crop_id for row in read(root)] == [f"train/000001/item{n}" for n in range(1, 12)]


def test_validation_is_val_and_one_of_the_folders_is_enough(tmp_path: Path) -> None:
    root = lookalikes.deepfashion2(tmp_path, {"validation/000001": ("shop", 1, [Garment(1, 1)])})
    assert [row.crop.split for row in read(root)] == ["val"]


def test_no_folder_of_annotations_says_where_they_are_expected(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"has neither train/annos nor validation/annos; expected .*/000001\.json"):
        read(tmp_path)
    with pytest.raises(BadDataset, match=r"there is no folder"):
        open_dataset(f"deepfashion2:{tmp_path}/nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "model"}, r"KeyError\('model'\)"),
        ({"pair_id": None}, r"TypeError"),
        ({"item1": {"style": 1}}, r"KeyError\('category_id'\)"),
        ({"item1": {"style": 1, "category_id": 1, "bounding_box": [1, 2, 3]}}, r"ValueError"),
    ],
)
def test_annotations_that_are_none_are_refused_by_file(small: Path, change: dict[str, object], message: str) -> None:
    path = small / "train/annos/000002.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadDataset, match=rf"train/annos/000002\.json is not as DeepFashion2 has it: {message}"):
        read(small)
    path.write_text("{")
    with pytest.raises(BadDataset, match=r"train/annos/000002\.json is not as DeepFashion2 has it: JSONDecodeError"):
        read(small)
