"""DeepFashion In-shop: the heads of its lists, its boxes, its roles, and what is missing."""

from pathlib import Path

import pytest

import lookalikes
from osoroi.data.readers import open_dataset
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Product, Row

DRESS = "img/WOMEN/Dresses/id_00000002"
TEE = "img/MEN/Tees_Tanks/id_00000007"
SMALL = {
    f"{DRESS}/02_1_front.jpg": ("id_00000002", "train", (50, 49, 158, 181)),
    f"{DRESS}/02_2_side.jpg": ("id_00000002", "train", (119, 48, 17, 200)),
    f"{DRESS}/02_3_back.jpg": ("id_00000002", "train", (60, 50, 90, 100)),
    f"{TEE}/01_7_additional.jpg": ("id_00000007", "query", (10, 20, 100, 120)),
    f"{TEE}/01_1_front.jpg": ("id_00000007", "gallery", (11, 21, 101, 121)),
    f"{TEE}/02_1_front.jpg": ("id_00000007", "gallery", (12, 22, 102, 122)),
}


def read(root: Path) -> list[Row]:
    return list(open_dataset(f"inshop:{root}").rows())


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return lookalikes.inshop(tmp_path, SMALL)


def test_two_lines_of_head_are_skipped_and_no_photo_with_them(small: Path) -> None:
    rows = read(small)
    assert [row.crop.crop_id for row in rows] == list(SMALL)
    assert all(isinstance(row.crop.photo, Path) and row.crop.photo.is_file() for row in rows)


def test_corners_are_left_top_right_bottom(small: Path) -> None:
    assert read(small)[0].crop.box == Box(50, 49, 50 + 158, 49 + 181)


def test_queries_ask_and_the_gallery_is_found(small: Path) -> None:
    query, *gallery = read(small)[3:]
    assert query == Row(
        Product("id_00000007", category="Tees_Tanks", attributes={"for": "men"}),
        Crop(
            *(f"{TEE}/01_7_additional.jpg", "id_00000007", "street", small / "Img" / TEE / "01_7_additional.jpg"),
            Box(10, 20, 110, 140),
            "test",
        ),
    )
    assert [(row.crop.domain, row.crop.split) for row in gallery] == [("shop", "test")] * 2


def test_training_photos_have_no_role_so_every_second_one_of_an_item_asks(small: Path) -> None:
    train = [row.crop for row in read(small) if row.crop.split == "train"]
    assert [crop.domain for crop in train] == ["shop", "street", "shop"]


def test_the_list_of_items_has_one_line_of_head(tmp_path: Path) -> None:
    """Were two skipped, the first item would be unknown and its photos refused."""
    root = lookalikes.inshop(tmp_path, SMALL)
    assert (root / "Anno/list_item_inshop.txt").read_text().splitlines() == ["2", "id_00000002", "id_00000007"]
    assert len(read(root)) == 6


def test_an_item_that_is_not_listed_is_refused_and_a_missing_list_is_not(tmp_path: Path) -> None:
    root = lookalikes.inshop(tmp_path, SMALL, items=["id_00000002"])
    with pytest.raises(BadDataset, match=r"list_eval_partition\.txt, line 6: item id_00000007 is not in list_item"):
        read(root)
    (root / "Anno/list_item_inshop.txt").unlink()
    assert len(read(root)) == 6


def test_photos_may_lie_beside_the_lists_without_the_folder_img(small: Path) -> None:
    (small / "Img" / "img").rename(small / "img")
    assert read(small)[0].crop.photo == small / DRESS / "02_1_front.jpg"


@pytest.mark.parametrize("name", ["Eval/list_eval_partition.txt", "Anno/list_bbox_inshop.txt"])
def test_a_missing_list_is_named_with_its_place_and_may_lie_at_the_top(small: Path, name: str) -> None:
    path = small / name
    path.rename(small / path.name)
    assert len(read(small)) == 6
    (small / path.name).unlink()
    with pytest.raises(BadDataset, match=rf"lacks {name}, expected at {path}; docs/datasets/inshop\.md shows"):
        read(small)


def test_no_folder_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"there is no folder"):
        open_dataset(f"inshop:{tmp_path}/nowhere")


def test_a_list_that_was_cut_off_is_refused(small: Path) -> None:
    path = small / "Eval/list_eval_partition.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(BadDataset, match=r"counts 6 entries in its first line and holds 5; the file was cut off"):
        read(small)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("6\n", "img/a.jpg id_1 train\n", r"line 1: 'img/a.jpg id_1 train' is no count"),
        ("    query", "    asks", r"line 6: status 'asks'; a status is train, query or gallery"),
        ("    query", "", r"line 6: 2 words instead of image_name item_id evaluation_status"),
    ],
)
def test_what_is_no_entry_is_refused_by_line(small: Path, old: str, new: str, message: str) -> None:
    path = small / "Eval/list_eval_partition.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BadDataset, match=message):
        read(small)


def test_a_corner_that_is_no_number_is_refused_by_line(small: Path) -> None:
    path = small / "Anno/list_bbox_inshop.txt"
    path.write_text(path.read_text().replace("119", "wide"))
    with pytest.raises(BadDataset, match=r"list_bbox_inshop\.txt, line 4: x_1 'wide' is no number"):
        read(small)
