"""The VITON folder: boxes, designs and splits, on a drawn folder and, where they are, on the real photos."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from osoroi.data.readers import open_dataset
from osoroi.data.splits import checked
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Product, Row

HEADER = "path,role,item_id,category,split,bbox_left,bbox_top,bbox_width,bbox_height,design_cluster"
LINES = (
    "street/v00000.jpg,street,v00000,tops,train,72,91,92,115,d00000",
    "shop/v00000.jpg,shop,v00000,tops,train,,,,,d00000",
    "street/v00007.jpg,street,v00007,tops,val,10,20,5,8,d00003",
    "shop/v00007.jpg,shop,v00007,tops,val,,,,,d00003",
)


def folder(root: Path, *lines: str) -> Path:
    """A folder in the real format: the manifest, and photos of 192 x 256."""
    (root / "manifest.csv").write_text("\n".join((HEADER, *lines)) + "\n")
    for line in lines:
        photo = root / line.split(",")[0]
        photo.parent.mkdir(exist_ok=True)
        Image.new("RGB", (192, 256), "teal").save(photo)
    return root


def read(root: Path) -> list[Row]:
    return list(open_dataset(f"viton:{root}").rows())


def test_width_and_height_become_right_and_bottom_and_designs_are_kept(tmp_path: Path) -> None:
    street, shop, *_ = read(folder(tmp_path, *LINES))
    assert street.product == shop.product == Product("v00000", category="tops", design_id="d00000")
    assert street.crop == Crop(
        *("street/v00000.jpg", "v00000", "street", tmp_path / "street/v00000.jpg"),
        Box(72, 91, 72 + 92, 91 + 115),
        "train",
    )
    assert shop.crop == Crop("shop/v00000.jpg", "v00000", "shop", tmp_path / "shop/v00000.jpg", None, "train")


def test_both_splits_are_read_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    rows = read(folder(tmp_path, *LINES))
    assert [row.crop.split for row in rows] == ["train", "train", "val", "val"]
    assert [row.crop.domain for row in rows] == ["street", "shop", "street", "shop"]
    assert all(isinstance(row.crop.photo, Path) and row.crop.photo.is_file() for row in rows)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,model,v1,tops,val,1,2,3,4,d1", r"line 3: role 'model'; a role is street or shop"),
        ("a.jpg,street,v1,tops,valid,1,2,3,4,d1", r"line 3: split 'valid'"),
        ("a.jpg,street,v1,tops,val,1,2,,4,d1", r"line 3: a box of 3 values: bbox_width is empty"),
        ("a.jpg,street,v1,tops,val,,,,,d1", r"line 3: a street photo without a box"),
        ("a.jpg,shop,v1,tops,val,1,2,3,4,d1", r"line 3: a shop photo with a box"),
        ("a.jpg,street,,tops,val,1,2,3,4,d1", r"line 3: no item_id"),
        ("a.jpg,street,v1,tops,val,1,2,wide,4,d1", r"line 3: bbox_width 'wide' is no number"),
        ("a.jpg,street,v1,tops,val,1,2,3,4", r"line 3: 9 values for 10 columns"),
    ],
)
def test_a_line_that_is_not_vitons_is_refused_by_number(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"{HEADER}\n{LINES[0]}\n{line}\n")
    with pytest.raises(BadDataset, match=message):
        read(tmp_path)


def test_a_missing_column_and_a_missing_manifest_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"has no manifest\.csv; viton: wants the folder that holds it"):
        read(tmp_path)
    (tmp_path / "manifest.csv").write_text("path,role,item_id,category,split\na.jpg,shop,v1,tops,val\n")
    with pytest.raises(BadDataset, match=r"line 2: no column bbox_left, .*, design_cluster; the columns are path"):
        read(tmp_path)


def test_the_real_pairs_are_read_as_the_manifest_has_them(data: Path) -> None:
    rows = list(checked(read(data / "viton")))  # no item and no design stands in two splits
    with (data / "viton/manifest.csv").open() as file:
        manifest = list(csv.DictReader(file))
    assert len(rows) == len(manifest) == 11_480
    pairs: dict[str, list[Row]] = defaultdict(list)
    for row, line in zip(rows, manifest, strict=True):
        assert (row.crop.domain, row.crop.split, row.product.design_id) == (
            *(line["role"], line["split"], line["design_cluster"]),
        )
        pairs[row.product.product_id].append(row)
    assert len(pairs) == 4_740 + 1_000
    assert all({row.crop.domain for row in pair} == {"street", "shop"} for pair in pairs.values())
    for row in rows[:4000:97]:
        if row.crop.box is not None:
            assert isinstance(row.crop.photo, Path)
            with Image.open(row.crop.photo) as photo:
                assert 0 <= row.crop.box.left < row.crop.box.right <= photo.width
                assert 0 <= row.crop.box.top < row.crop.box.bottom <= photo.height
