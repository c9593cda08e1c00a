"""DeepFashion Consumer-to-shop: one line a pair, two spellings, whose photo it is, and which gallery is asked."""

from collections import Counter
from pathlib import Path

import pytest

import lookalikes
from osoroi.data.readers import open_dataset
from osoroi.errors import BadDataset
from osoroi.evaluation.queries import build_evaluation_set
from osoroi.evaluation.results import Protocol
from osoroi.records import Box, Row


def folder(item: int) -> str:
    return f"img/DRESSES/Sleeveless_Dress/id_{item:08d}"


def pair(item: int, consumer: int, shop: int, status: str) -> tuple[str, str, str, str]:
    here = folder(item)
    return f"{here}/comsumer_{consumer:02d}.jpg", f"{here}/shop_{shop:02d}.jpg", f"id_{item:08d}", status


PAIRS = [
    pair(3, 1, 1, "train"),
    pair(3, 1, 2, "train"),
    pair(4, 1, 1, "val"),
    pair(4, 2, 1, "val"),
    pair(5, 1, 1, "test"),
    pair(5, 1, 2, "test"),
    pair(5, 2, 1, "test"),
    pair(5, 2, 2, "test"),
]


def read(root: Path) -> list[Row]:
    return list(open_dataset(f"consumer2shop:{root}").rows())


def ids(rows: list[Row], domain: str, split: str) -> list[str]:
    """Short names of the crops: item and photo."""
    chosen = [row.crop.crop_id for row in rows if row.crop.domain == domain and row.crop.split == split]
    return ["/".join(name.rsplit("/", 2)[1:])[10:] for name in chosen]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return lookalikes.consumer2shop(tmp_path, PAIRS)


def test_a_photo_in_several_pairs_is_one_crop(small: Path) -> None:
    counts = Counter(row.crop.crop_id for row in read(small))
    assert set(counts.values()) == {1}
    assert ids(read(small), "street", "train") == ["3/consumer_01.jpg"]
    assert ids(read(small), "shop", "train") == ["3/shop_01.jpg", "3/shop_02.jpg"]


def test_each_split_has_its_own_photos(small: Path) -> None:
    rows = read(small)
    assert ids(rows, "street", "val") == ["4/consumer_01.jpg", "4/consumer_02.jpg"]
    assert ids(rows, "street", "test") == ["5/consumer_01.jpg", "5/consumer_02.jpg"]
    assert ids(rows, "shop", "val") == ["4/shop_01.jpg"]
    assert ids(rows, "shop", "test") == ["5/shop_01.jpg", "5/shop_02.jpg"]


def test_test_may_ask_every_shop_photo_of_val_and_test_once_each(small: Path) -> None:
    reader = open_dataset(f"consumer2shop:{small}")
    evaluation_set = build_evaluation_set(reader, Protocol(split="test", gallery=("val",)))
    shown = [row.crop.crop_id for _, row in evaluation_set.gallery(reader, [])]
    assert shown == [f"{folder(4)}/shop_01.jpg", f"{folder(5)}/shop_01.jpg", f"{folder(5)}/shop_02.jpg"]
    assert len(evaluation_set.queries) == 2


@pytest.mark.parametrize("listed", ["comsumer_", "consumer_"])
@pytest.mark.parametrize("stored", ["comsumer_", "consumer_"])
def test_both_spellings_of_a_photo_are_one_in_lists_and_on_disk(tmp_path: Path, listed: str, stored: str) -> None:
    root = lookalikes.consumer2shop(tmp_path, PAIRS, listed=listed, stored=stored)
    rows = read(root)
    assert all(row.crop.box == Box(10, 20, 90, 140) for row in rows)  # found under the list's spelling
    assert all(isinstance(row.crop.photo, Path) and row.crop.photo.is_file() for row in rows)
    assert {row.crop.crop_id for row in rows} == {
        *(f"{folder(3)}/{name}.jpg" for name in ("consumer_01", "shop_01", "shop_02")),
        *(f"{folder(4)}/{name}.jpg" for name in ("consumer_01", "consumer_02", "shop_01")),
        *(f"{folder(5)}/{name}.jpg" for name in ("consumer_01", "consumer_02", "shop_01", "shop_02")),
    }


def test_source_1_is_a_shop_photo_and_2_a_consumers(small: Path) -> None:
    path = small / "Anno/list_bbox_consumer2shop.txt"
    text = path.read_text()
    line = f"{folder(5)}/shop_01.jpg 1 1 "
    assert line in text
    path.write_text(text.replace(line, line[:-2] + "2 "))
    with pytest.raises(BadDataset, match=r"line 7: .*shop_01\.jpg is a street photo by its box, and a shop photo here"):
        read(small)
    path.write_text(text.replace(line, line[:-2] + "3 "))
    with pytest.raises(BadDataset, match=r"source_type '3'; a source is 1 \(shop\) or 2 \(consumer\)"):
        read(small)


def test_the_category_is_the_folders(small: Path) -> None:
    assert {row.product.category for row in read(small)} == {"Sleeveless_Dress"}


def test_a_photo_without_a_box_is_meant_whole(small: Path) -> None:
    lookalikes.listing(small / "Anno/list_bbox_consumer2shop.txt", "image_name clothes_type source_type ...", [])
    assert {row.crop.box for row in read(small)} == {None}


def test_an_option_is_refused(small: Path) -> None:
    with pytest.raises(BadDataset, match=r"consumer2shop has no option 'gallery'; its options: none"):
        open_dataset(f"consumer2shop:{small}?gallery=val")


def test_what_is_missing_or_wrong_is_named(small: Path) -> None:
    partition = small / "Eval/list_eval_partition.txt"
    partition.write_text(partition.read_text().replace(" val", " valid", 1))
    with pytest.raises(BadDataset, match=r"list_eval_partition\.txt, line 5: status 'valid'"):
        read(small)
    partition.unlink()
    with pytest.raises(BadDataset, match=r"lacks Eval/list_eval_partition\.txt, expected at .*; docs/datasets/"):
        read(small)
    with pytest.raises(BadDataset, match=r"there is no folder"):
        open_dataset(f"consumer2shop:{small}/nowhere")
