"""Tables and folders of one's own: what is read, what is refused and where, and that little is held."""

import ast
import csv
import json
import os
import random
import re
import subprocess
import sys
import tracemalloc
import unicodedata
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pyarrow
import pyarrow.parquet
import pytest

from osoroi import image
from osoroi.data import duplicates, tabular
from osoroi.data.readers import open_dataset
from osoroi.data.readers.table import OURS, Table, TableRecipe, made_id, read_recipe
from osoroi.errors import BadDataset, BadPhoto, MissingExtra
from osoroi.records import Box, Crop, Product, Row

FULL = {
    "photo": "street/one.jpg",
    "crop_id": "c1",
    "product_id": "0071",
    "design_id": "d9",
    "domain": "street",
    "left": 12,
    "top": 40,
    "right": 301,
    "bottom": 420,
    "split": "val",
    "title": "Wide, pleated skirt",
    "category": "skirts",
    "brand": "Ōsoroi",
    "price": 4990.5,
    "currency": "JPY",
    "url": "https://example.com/0071",
    "colour": "navy",
    "sale": True,
    "season": 24,
}
"""Every column, and three of the user's own."""


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    """The same lines as CSV, JSON Lines or Parquet."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(lines), path)
    return path


def read(path: Path, options: str = "") -> list[Row]:
    return list(open_dataset(f"table:{path}{options}").rows())


def text(tmp_path: Path, content: str | bytes, name: str = "shop.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_column_is_read_alike_from_every_format(tmp_path: Path, suffix: str) -> None:
    (row,) = read(write(tmp_path / f"shop.{suffix}", [FULL]))
    assert row.crop == Crop("c1", "0071", "street", tmp_path / "street/one.jpg", Box(12, 40, 301, 420), "val")
    assert row.product == Product(
        product_id="0071",
        title="Wide, pleated skirt",
        category="skirts",
        brand="Ōsoroi",
        price=4990.5,
        currency="JPY",
        url="https://example.com/0071",
        design_id="d9",
        attributes={"colour": "navy", "sale": True, "season": 24.0},
    )
    assert set(FULL) - OURS == set(row.product.attributes)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_photo_is_enough(tmp_path: Path, suffix: str) -> None:
    first, second = read(write(tmp_path / f"shop.{suffix}", [{"photo": "a.jpg"}, {"photo": "/far/b.jpg"}]))
    assert first.product == Product("a.jpg")
    assert first.crop == Crop(made_id("a.jpg", "shop", "a.jpg", None), "a.jpg", "shop", tmp_path / "a.jpg")
    assert second.crop.photo == Path("/far/b.jpg")


def test_a_made_id_tells_products_photos_domains_and_boxes_apart_and_stays_when_the_table_moves(tmp_path: Path) -> None:
    content = "photo,product_id,domain,left,top,right,bottom\n" + "\n".join(
        ("a.jpg,p,,,,,", "a.jpg,q,,,,,", "b.jpg,p,,,,,", "a.jpg,p,street,,,,", "a.jpg,p,,0,0,5,6", "a.jpg,p,,0,0,5,7")
    )
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    ids = [row.crop.crop_id for row in read(text(here, content))]
    assert len(set(ids)) == 6
    assert ids == [row.crop.crop_id for row in read(text(there, content))]


def test_a_street_crop_of_two_products_keeps_one_id(tmp_path: Path) -> None:
    rows = read(text(tmp_path, "photo,product_id,domain\nx.jpg,coat,street\nx.jpg,skirt,street\n"))
    assert len({row.crop.crop_id for row in rows}) == 1
    assert [row.crop.product_id for row in rows] == ["coat", "skirt"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12.50", 12.5),
        ("-3", -3.0),
        ("0", 0.0),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("  ", None),
        (" navy ", "navy"),
        ("007", "007"),
        ("1e5", "1e5"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("12,50", "12,50"),
        ("4006381333931", 4006381333931.0),
        ("400638133393112345", "400638133393112345"),
        ("yes", "yes"),
        ("٣", "٣"),
    ],
)
def test_an_attribute_is_a_number_only_where_it_is_written_like_one(
    tmp_path: Path, written: str, value: object
) -> None:
    path = tmp_path / "shop.csv"
    (row,) = read(write(path, [{"photo": "a.jpg", "mine": written}]))
    assert row.product.attributes == {"mine": value}
    assert type(row.product.attributes["mine"]) is type(value)


def test_ids_and_names_stay_text_however_numeric_they_look(tmp_path: Path) -> None:
    (row,) = read(text(tmp_path, "photo,crop_id,product_id,category,title\n7.jpg,1,0071,501,1984\n"))
    assert (row.crop.crop_id, row.product.product_id, row.product.category, row.product.title) == (
        *("1", "0071", "501", "1984"),
    )


def test_typed_cells_become_what_an_attribute_may_be(tmp_path: Path) -> None:
    line = {"photo": "a.jpg", "product_id": 71, "since": date(2024, 2, 9), "big": 2**60, "none": float("nan")}
    (row,) = read(write(tmp_path / "shop.parquet", [line]))
    assert row.product.product_id == "71"
    assert row.product.attributes == {"since": "2024-02-09", "big": str(2**60), "none": None}


def test_missing_numbers_of_a_data_frame_leave_ids_and_boxes_whole(tmp_path: Path) -> None:
    """Pandas turns a column of whole numbers with a gap into floats with nan."""
    nan = float("nan")
    lines: list[dict[str, object]] = [
        {"photo": "a.jpg", "product_id": 71.0, "left": 1.0, "top": 2.0, "right": 30.0, "bottom": 40.0},
        {"photo": "b.jpg", "product_id": nan, "left": nan, "top": nan, "right": nan, "bottom": nan},
    ]
    first, second = read(write(tmp_path / "shop.parquet", lines))
    assert (first.product.product_id, first.crop.box) == ("71", Box(1, 2, 30, 40))
    assert (second.product.product_id, second.crop.box) == ("b.jpg", None)


def test_fractions_of_a_box_are_rounded(tmp_path: Path) -> None:
    (row,) = read(text(tmp_path, "photo,left,top,right,bottom\na.jpg,1.4,2.6,30.1,39.9\n"))
    assert row.crop.box == Box(1, 3, 30, 40)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfphoto,title\na.jpg,red\n",  # a byte order mark
        b"photo,title\r\na.jpg,red\r\n",  # lines of Windows
        b"photo;title\na.jpg;red\n",  # Excel where the comma is in numbers
        b"photo\ttitle\na.jpg\tred\n",
        b"title , photo\nred, a.jpg\n",
        b"\nphoto,title\na.jpg,red\n"[1:] + b"\n\n",  # empty lines at the end
        b'"photo","title"\n"a.jpg","red"',  # no line end at the end
        b",photo,title\n0,a.jpg,red\n",  # pandas' nameless first column
    ],
)
def test_dialects_of_csv_read_alike(tmp_path: Path, content: bytes) -> None:
    (row,) = read(text(tmp_path, content))
    assert (row.crop.photo, row.product.title) == (tmp_path / "a.jpg", "red")
    assert row.product.attributes == {}


def test_quotes_hold_commas_quotes_and_line_ends_and_lines_are_still_counted(tmp_path: Path) -> None:
    path = text(tmp_path, 'photo,title,price\na.jpg,"a ""wide"",\nlong skirt",1\nb.jpg,b,much\n')
    rows = open_dataset(f"table:{path}").rows()
    assert next(rows).product.title == 'a "wide",\nlong skirt'
    with pytest.raises(BadDataset, match=r"shop\.csv, line 4: price 'much' is no number"):
        next(rows)


REFUSED = {
    "no file": (None, "there is no table"),
    "empty": ("", r"line 1: no header"),
    "no photo column": ("file,title\na.jpg,x\n", r"line 2: no column photo; the columns are file, title"),
    "no photo": ("photo,title\na.jpg,x\n,y\n", r"line 3: no photo"),
    "header twice": ("photo,title,title\n", r"line 1: the header names title twice"),
    "too many values": ("photo,title\na.jpg,x\nb.jpg,y,z\n", r"line 3: 3 values for 2 columns"),
    "too few values": ("photo,title\na.jpg\n", r"line 2: 1 values for 2 columns"),
    "bad price": ("photo,price\na.jpg,12.5\nb.jpg,cheap\n", r"line 3: price 'cheap' is no number"),
    "infinite price": ("photo,price\na.jpg,inf\n", r"line 2: price 'inf' is no number"),
    "bad box": ("photo,left,top,right,bottom\na.jpg,1,2,x,4\n", r"line 2: right 'x' is no number"),
    "three of four": ("photo,left,top,right,bottom\na.jpg,1,2,,4\n", r"line 2: a box of 3 values: right is empty"),
    "no such column": ("photo,left,top,right\na.jpg,1,2,3\n", r"line 2: a box of 3 values: bottom is empty"),
    "domain": ("photo,domain\na.jpg,model\n", r"line 2: domain 'model'; a domain is street or shop"),
    "split": ("photo,split\na.jpg,valid\n", r"line 2: split 'valid'; a split is one of train, val, test"),
    "crop twice": ("photo,crop_id\na.jpg,1\nb.jpg,2\nc.jpg,1\n", r"line 4: crop_id '1' stands twice"),
    "line twice": ("photo\na.jpg\na.jpg\n", r"line 3: product 'a.jpg' has the photo 'a.jpg' already; an earlier line"),
    "pair twice": (
        "photo,domain\na.jpg,street\na.jpg,street\n",
        r"line 3: product 'a.jpg' has the photo 'a.jpg' already",
    ),
    "shortened": (
        "photo,sku\na.jpg,4.9E+12\n",
        r"line 2: product_id '4.9E\+12' is a number of which a spreadsheet has cut",
    ),
    "no header": ("tee,19.90,tee.jpg\ncoat,39.90,coat.jpg\n", r"line 1: no header: 'tee.jpg' is a photo"),
    "other photo": (
        "photo,domain,crop_id,product_id\na.jpg,street,1,p\nb.jpg,street,1,q\n",
        r"line 3: crop_id '1' stands for another photo or box already",
    ),
    "open quote": ('photo,title\na.jpg,"x\nb.jpg,y\n', r"line 2: unexpected end of data"),
    "stray quote": ('photo,title\na.jpg,"x"y\n', r"line 2: .*expected after"),
    "no text": (b"photo,title\na.jpg,\x81\x8d\x8f\xff\n", r"is neither UTF-8 \(line 2 is not\) nor, surely, any"),
    "a line that is no text": (
        "photo,title\na.jpg,é\nb.jpg,x\n".encode() + b"c.jpg,\x81\x8d\x8f\xff\n",
        r"is neither UTF-8 \(line 4 is not\)",
    ),
    "zero byte": (b"photo,title\na.jpg,\0\n", r"line 2: a zero byte"),
    "a photo": (b"\xff\xd8\xff\xe0" * 9, r"is neither UTF-8 \(line 1 is not\) nor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_with_a_table_is_told_with_file_and_line(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    path = tmp_path / "shop.csv" if content is None else text(tmp_path, content)
    with pytest.raises(BadDataset, match=message) as told:
        read(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"photo": "a.jpg"}\n{"photo": \n', r"line 2: no JSON"),
        ('{"photo": "a.jpg"}\n\n["b.jpg"]\n', r"line 3: list instead of an object"),
        ('{"photo": "a.jpg", "sizes": [1, [2, NaN], {}]}\n', r"line 1: sizes is no single value: {}"),
        ('{"photo": "a.jpg", "photo": "b.jpg"}\n', r"line 1: no JSON: a name stands twice"),
        ('{"photo": "a.jpg", "title": "\\ud800"}\n', r"line 1: title holds half a character"),
        ('{"photo": null}\n', r"line 1: no photo"),
        ('{"photo": "a.jpg", "price": true}\n', r"line 1: price True is no number"),
        ('{"photo": "a.jpg", "mine": Infinity}\n', r"line 1: mine is no single value: inf"),
        ('{"photo": "a.jpg", "mine": ' + "[" * 10**5 + "\n", r"line 1: no JSON"),
    ],
)
def test_what_is_wrong_with_json_lines_is_told_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadDataset, match=message):
        read(text(tmp_path, content, "shop.jsonl"))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = text(tmp_path, b"photo,title\na.jpg," + b"x" * (4 << 20))
    with pytest.raises(BadDataset, match=r"line 2: longer than 1048576 bytes"):
        read(path)
    quoted = text(tmp_path, b'photo,title\na.jpg,"' + b"x\n" * (1 << 20))
    with pytest.raises(BadDataset, match=r"line 2: field larger than field limit"):
        read(quoted)


def test_parquet_names_the_row_and_a_damaged_file_itself(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [{"photo": "a.jpg", "price": "1"}, {"photo": "b.jpg", "price": "x"}]
    path = write(tmp_path / "shop.parquet", lines)
    with pytest.raises(BadDataset, match=r"shop\.parquet, row 2: price 'x' is no number"):
        read(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadDataset, match=r"shop\.parquet is no readable Parquet file"):
        read(path)


def test_parquet_without_its_extra_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "shop.parquet", [{"photo": "a.jpg"}])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'osoroi[parquet]'")):
        read(path)


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"shop\.dbf is no table; a table's name ends in one of: \.csv, \.tsv"):
        read(text(tmp_path, b"PK", "shop.dbf"))
    with pytest.raises(BadDataset, match=r"shop\.xls is no table; save it as \.xlsx"):
        read(text(tmp_path, b"PK", "shop.xls"))
    with pytest.raises(BadDataset, match=r"shop\.xlsx is no readable Excel workbook"):
        read(text(tmp_path, b"PK", "shop.xlsx"))


def test_rows_can_be_read_again_in_the_same_order(tmp_path: Path) -> None:
    path = text(tmp_path, "photo\nb.jpg\na.jpg\n")
    reader = open_dataset(f"table:{path}")
    assert list(reader.rows()) == list(reader.rows())
    assert [row.product.product_id for row in reader.rows()] == ["b.jpg", "a.jpg"]


# Folders


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_a_folder_of_photos_is_one_product_a_file_called_as_the_file(tmp_path: Path) -> None:
    touch(tmp_path, "b 2.PNG", "a.jpg", ".hidden.jpg", "Thumbs.db", "notes.txt", "empty/readme.md")
    rows = read(tmp_path)
    assert [(row.product.product_id, row.crop.crop_id) for row in rows] == [("a", "a.jpg"), ("b 2", "b 2.PNG")]
    assert rows[1].crop == Crop("b 2.PNG", "b 2", "shop", tmp_path / "b 2.PNG")


def test_a_folder_of_folders_is_one_product_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "coat/2.jpg", "coat/1.webp", "skirt/1.jpg", "empty/readme.md", ".git/x.jpg", "list.txt")
    rows = read(tmp_path)
    assert [(row.product.product_id, row.crop.crop_id) for row in rows] == [
        ("coat", "coat/1.webp"),
        ("coat", "coat/2.jpg"),
        ("skirt", "skirt/1.jpg"),
    ]
    assert rows[1].crop.photo == tmp_path / "coat/2.jpg"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.jpg", "coat/1.jpg"), r"holds both photos \(a\.jpg\) and folders of photos \(coat\)"),
        (("a.txt", "deep/er/1.txt"), r"holds no photos, nor folders of photos"),
        (("a.jpg", "deep/er/1.jpg"), r"holds both photos \(a\.jpg\) and folders of photos \(deep\)"),
        (("a.jpg", "a-b.jpg", "a.png"), r"a\.jpg and a\.png would be one product"),
    ],
)
def test_a_folder_that_can_be_read_two_ways_or_none_is_refused(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadDataset, match=message):
        read(touch(tmp_path, *names))


# Recipes


THEIRS = "path,type,role,adult\na.jpg,Blouse,model,no\nb.jpg,Bag,packshot,no\nc.jpg,Top,packshot,no\n"


def test_a_recipe_renames_then_replaces_then_sets_and_keeps_lines_by_their_own_names(tmp_path: Path) -> None:
    path = text(tmp_path, THEIRS, "theirs.csv")
    recipe = tmp_path / "theirs.toml"
    recipe.write_text(
        '[columns]\nphoto = "path"\ndomain = "role"\nkind = "type"\n'
        '[values.domain]\nmodel = "street"\npackshot = "shop"\n'
        '[set]\ncategory = "tops"\nadult = true\n[keep]\ntype = ["Blouse", "Top"]\n'
    )
    first, last = read(path, f"?recipe={recipe}")
    assert (first.crop.domain, first.crop.photo) == ("street", tmp_path / "a.jpg")
    assert (last.crop.domain, last.crop.photo) == ("shop", tmp_path / "c.jpg")
    assert first.product.category == "tops"
    assert first.product.attributes == {"kind": "Blouse", "adult": True}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[columns]\nphoto = "file"\n', r"line 2: the recipe asks for file; the table has path"),
        ('[keep]\nkind = ["Top"]\n', r"line 2: the recipe asks for kind"),
        ('[column]\nphoto = "path"\n', r"column is none of its tables"),
        ("[other]\n", r"other is none of its tables"),
        ("[columns]\nphoto = 3\n", r"columns is none of its tables, or not filled as it must be"),
        ("[columns\n", r"is no TOML"),
    ],
)
def test_a_recipe_that_does_not_fit_says_so(tmp_path: Path, content: str, message: str) -> None:
    recipe = tmp_path / "theirs.toml"
    recipe.write_text(content)
    with pytest.raises(BadDataset, match=message):
        read(text(tmp_path, "path\na.jpg\n"), f"?recipe={recipe}")


def test_an_unknown_recipe_names_those_that_ship() -> None:
    with pytest.raises(
        BadDataset,
        match=r"there is no recipe zara; .* ships: clothing_cc0, clothing_cc0_all, google, hm, hm_all, hm_garments",
    ):
        read_recipe("zara")
    assert read_recipe("hm") != TableRecipe()


def test_the_tops_of_hm_are_as_many_as_the_recipe_says(data: Path) -> None:
    rows = read(data / "hm/manifest.csv", "?recipe=hm")
    with (data / "hm/manifest.csv").open(encoding="utf-8") as file:
        upper = [line for line in csv.DictReader(file) if line["product_group"] == "Garment Upper body"]
    outer = ("Jacket", "Blazer", "Coat", "Outdoor Waistcoat", "Tailored Waistcoat", "Bodysuit")
    theirs = [line for line in upper if line["category"] not in outer]
    assert [row.product.product_id for row in rows] == [line["item_id"] for line in theirs]
    assert len(rows) == 1104
    assert {row.product.category for row in rows} == {"tops"}
    assert all(isinstance(row.crop.photo, Path) and row.crop.photo.is_file() for row in rows)
    assert len({row.product.design_id for row in rows}) == len({line["product_code"] for line in theirs})


# Splits and options


def test_a_table_without_splits_is_dealt_by_design_and_one_with_them_keeps_its_own(tmp_path: Path) -> None:
    body = "".join(f"{n}.jpg,p{n},d{n // 2},{'test' if n == 0 else ''}\n" for n in range(400))
    path = text(tmp_path, "photo,product_id,design_id,split\n" + body)
    rows = read(path, "?split=3:1&seed=4")
    assert rows[0].crop.split == "test"
    assert all(one.crop.split == two.crop.split for one, two in zip(rows[2::2], rows[3::2], strict=True))
    train = sum(row.crop.split == "train" for row in rows)
    assert 260 < train < 340  # 300 of 400; pairs move together: a deviation of 2 * sqrt(200 * .75 * .25) = 12
    assert [row.crop.split for row in rows] != [row.crop.split for row in read(path, "?split=3:1&seed=5")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?shuffle=1", r"table has no option 'shuffle'; its options: recipe, split, seed, encoding, sheet"),
        ("?split", r"'split' in .* is no option"),
        ("?split=1:1&split=1:1", r"is no option"),
        ("?split=", r"is no option"),
        ("?split=a:b", r"'a:b' are no shares"),
    ],
)
def test_an_option_acts_or_is_refused(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(BadDataset, match=message):
        read(text(tmp_path, "photo\na.jpg\n"), options)


def test_a_path_may_hold_a_question_mark(tmp_path: Path) -> None:
    assert len(read(text(tmp_path, "photo\na.jpg\n", "what?.csv"), "?")) == 1


def test_a_recipe_is_refused_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"is a folder, and the recipe hm is for a table"):
        read(touch(tmp_path, "a.jpg"), "?recipe=hm")


# What is held


def test_ids_of_crops_are_told_apart_like_a_set_does() -> None:
    dice, oracle, ours = random.Random(3), set[int](), duplicates.CropIds(recent=7)
    for _ in range(2000):
        number = dice.randrange(900) << dice.choice((0, 54))
        assert ours.add_key(number) is (number not in oracle)
        oracle.add(number)
    assert len(ours.recent) < 7 < len(ours.sorted)


def peak(rows: Iterator[object]) -> int:
    """Bytes held at most while rows are read."""
    next(rows)  # what is imported is not held for the rows
    tracemalloc.start()
    try:
        assert sum(1 for _ in rows) > 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def many(path: Path, count: int) -> Path:
    with path.open("w") as file:
        file.write("photo,product_id,title\n")
        file.writelines(f"photos/{n}.jpg,p{n},a coat that is long and has a long title {n}\n" for n in range(count))
    return path


def test_ten_times_the_lines_take_little_more_memory(tmp_path: Path) -> None:
    few, more = (peak(Table(many(tmp_path / f"{count}.csv", count), recent_ids=64).rows()) for count in (100, 1000))
    assert more - few < 900 * 8 * 4  # 8 bytes a line are kept, and twice copied when sorted in


READ = """
import resource, sys
from osoroi.data.readers import open_dataset
rows = open_dataset("table:" + sys.argv[1]).rows()
next(rows)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in rows)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_million_lines_are_never_held(tmp_path: Path) -> None:
    path = many(tmp_path / "million.csv", 10**6)
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    count, grown_kib = map(int, done.stdout.split())
    assert count == 10**6 - 1
    assert grown_kib < 64 * 1024  # 31 MiB were measured; a million rows kept in a list take 980


def test_parquet_is_read_a_batch_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    lines: list[dict[str, object]] = [{"photo": f"{n}.jpg", "title": "t" * 20_000} for n in range(250)]
    write(path, lines)
    assert peak(tabular.parquet_lines(path, batch_rows=5)) < 1_500_000  # all titles together are 5 MB


# Names, numbers and folders as people have them


def test_a_photo_is_found_in_either_unicode_form_and_its_id_is_composed(tmp_path: Path) -> None:
    forms: tuple[tuple[Literal["NFC", "NFD"], Literal["NFC", "NFD"]], ...] = (("NFC", "NFD"), ("NFD", "NFC"))
    for form, other in forms:
        folder = tmp_path / form / unicodedata.normalize(form, "が")
        folder.mkdir(parents=True)
        (folder / unicodedata.normalize(other, "ガウン.jpg")).write_bytes(b"photo")
        written_name = unicodedata.normalize(form, "が/ガウン.jpg")
        (row,) = read(text(tmp_path / form, f"photo\n{written_name}\n"))
        assert image.load(row.crop.photo) == b"photo"
        assert row.product.product_id == "が/ガウン.jpg"
    (first,), (second,) = (read(tmp_path / form / "shop.csv") for form in ("NFC", "NFD"))
    assert first.crop.crop_id == second.crop.crop_id


def test_a_photo_whose_name_is_no_unicode_is_left_out_by_name_and_the_rest_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    first, second = read(tmp_path)
    assert (first.product.product_id, second.product.product_id) == ("a", "caf\\xe9")
    assert image.load(first.crop.photo) == b"x"
    with pytest.raises(BadPhoto, match=r"caf\\xe9\.jpg is not UTF-8; rename"):
        image.load(second.crop.photo)


def test_folders_of_categories_and_of_details_are_read(tmp_path: Path) -> None:
    touch(tmp_path, "p1/1.jpg", "shirts/p2/1.jpg", "shirts/long/p3/1.jpg", "p4/front.jpg", "p4/details/zip.jpg")
    assert [(row.product.product_id, row.product.category, row.crop.crop_id) for row in read(tmp_path)] == [
        ("p1", None, "p1/1.jpg"),
        ("p4", None, "p4/front.jpg"),
        ("p4", None, "p4/details/zip.jpg"),
        ("shirts/long/p3", "shirts/long", "shirts/long/p3/1.jpg"),
        ("shirts/p2", "shirts", "shirts/p2/1.jpg"),
    ]


def test_photos_of_rare_names_or_none_are_read_by_their_first_bytes(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jfif", "c.JPE", "readme.md", "Makefile")
    for name in ("d.JPG.old", "e"):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 and so on")
    assert [row.crop.crop_id for row in read(tmp_path)] == ["a.jpg", "b.jfif", "c.JPE", "d.JPG.old", "e"]


def test_a_folder_that_holds_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "again").symlink_to(tmp_path / "p")
    with pytest.raises(BadDataset, match=r"folders deep|cannot be read"):
        read(tmp_path)


def test_a_size_among_letters_is_text_in_every_line(tmp_path: Path) -> None:
    body = "photo,size,waist,sale\na.jpg,S,30,true\nb.jpg,38,32,\nc.jpg,M,34.5,false\n"
    sizes, waists, sales = zip(*(row.product.attributes.values() for row in read(text(tmp_path, body))), strict=True)
    assert (sizes, waists, sales) == (("S", "38", "M"), (30.0, 32.0, 34.5), (True, None, False))


def test_text_of_typed_tables_stays_text(tmp_path: Path) -> None:
    for suffix in ("jsonl", "parquet"):
        (row,) = read(write(tmp_path / f"shop.{suffix}", [{"photo": "a.jpg", "size": "38", "waist": 30}]))
        assert row.product.attributes == {"size": "38", "waist": 30.0}


@pytest.mark.parametrize("number", ["0.1234567890123456789", "12345678901234567.5", "1234567890123456"])
def test_numbers_that_no_float_holds_stay_text_of_all_their_digits(tmp_path: Path, number: str) -> None:
    (row,) = read(text(tmp_path, f"photo,ean\na.jpg,{number}\n"))
    assert row.product.attributes == {"ean": number}
    (row,) = read(write(tmp_path / "shop.parquet", [{"photo": "a.jpg", "ean": Decimal(number)}]))
    exact = Decimal(repr(float(number))) == Decimal(number)
    assert row.product.attributes == {"ean": float(number) if exact else number}


def test_the_delimiter_is_judged_outside_quotes(tmp_path: Path) -> None:
    (row,) = read(text(tmp_path, '"photo";"colour, pattern, material"\na.jpg;"red, dotted"\n'))
    assert row.product.attributes == {"colour, pattern, material": "red, dotted"}


@pytest.mark.parametrize("column", ["product_id", "crop_id", "design_id"])
def test_a_control_character_in_an_id_is_refused(tmp_path: Path, column: str) -> None:
    with pytest.raises(BadDataset, match=rf"line 2: {column} 'a\\x1b\[2J' holds a control character"):
        read(text(tmp_path, f"photo,{column}\nb.jpg,a\x1b[2J\n"))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_control_character_in_the_name_of_a_column_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(BadDataset, match="holds a control character"):
        read(write(tmp_path / f"shop.{suffix}", [{"photo": "a.jpg", "colour\x1b[31m": "red"}]))


def test_times_of_any_unit_and_year_are_text_without_pandas(tmp_path: Path) -> None:
    columns = {
        "ns": pyarrow.array([1700000000123456789, None], pyarrow.timestamp("ns")),
        "zone": pyarrow.array([1700000000500, None], pyarrow.timestamp("ms", tz="Asia/Tokyo")),
        "far": pyarrow.array([2**40, None], pyarrow.timestamp("s")),
        "day": pyarrow.array([10**7, None], pyarrow.date32()),
    }
    path = tmp_path / "shop.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"photo": ["a.jpg", "b.jpg"], **columns}), path)
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from osoroi.data.readers import open_dataset\n"
        "print([dict(row.product.attributes) for row in open_dataset('table:' + sys.argv[1]).rows()])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    first, second = ast.literal_eval(done.stdout)
    assert first == {
        "ns": "2023-11-14T22:13:20.123456789",
        "zone": "2023-11-14T22:13:20.5+00:00",
        "far": "36812-02-20T00:36:16",
        "day": "29349-01-26",
    }
    assert set(second.values()) == {None}


def test_a_duration_is_refused_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    worn = pyarrow.array([None, 1700000000123456789], pyarrow.duration("ns"))
    pyarrow.parquet.write_table(pyarrow.table({"photo": ["a.jpg", "b.jpg"], "worn": worn}), path)
    with pytest.raises(BadDataset, match=r"shop\.parquet"):
        read(path)


def test_a_seed_without_a_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="seed deals nothing without split"):
        read(text(tmp_path, "photo\na.jpg\n"), "?seed=3")


IDS = "Item No|Item No.|Product No|Product Number|Article|Article No|Article No.|Art.-Nr.|Item Number|商品No.|品番"


@pytest.mark.parametrize("header", IDS.split("|"))
@pytest.mark.parametrize("photo", ["Image file", "Photo file"])
def test_numbers_of_items_and_files_of_photos_go_by_many_names(tmp_path: Path, header: str, photo: str) -> None:
    (row,) = read(text(tmp_path, f"{header},{photo}\n0071,a.jpg\n"))
    assert (row.product.product_id, row.crop.photo) == ("0071", tmp_path / "a.jpg")


def test_less_sure_names_stay_attributes_beside_surer_ones(tmp_path: Path) -> None:
    (row,) = read(text(tmp_path, "code,Article No,Article,Item No,image,Image file 2\n7,8,9,10,a.jpg,b.jpg\n"))
    assert (row.product.product_id, row.crop.photo) == ("7", tmp_path / "a.jpg")
    assert set(row.product.attributes) == {"Article No", "Article", "Item No", "Image file 2"}
