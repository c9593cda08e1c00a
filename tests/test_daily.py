"""A shop's table from day to day: lines of totals, ids in other capitals, replaced photos, other categories."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import osoroi as api
from osoroi.catalog import Entry
from osoroi.catalog.opening import open_catalog
from osoroi.cli import main
from osoroi.data.readers.totals import is_total
from osoroi.data.tabular import Line

HEADER = ["sku", "image", "title", "category", "price"]
ROWS = [[f"SKU-{number}", f"{number}.png", f"Coat {number}", "coats", f"{1000 + number}"] for number in range(6)]


def osoroi(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def photo(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (100, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)


def entries(shop: Path) -> dict[str, Entry]:
    """What a catalog holds: products, crops and vectors."""
    with open_catalog(shop, readonly=True) as catalog:
        return catalog.entries([row[0] for row in ROWS])


def write(path: Path, *rows: Sequence[str], header: Sequence[str] = HEADER) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def sheet(path: Path, header: Sequence[str], *rows: Sequence[str]) -> Path:
    """A table of text, or a workbook with numbers where cells are digits."""
    if path.suffix != ".xlsx":
        return write(path, *rows, header=header)
    book = openpyxl.Workbook()
    for row in (header, *rows):
        book.active.append([int(cell) if cell.isdecimal() else cell or None for cell in row])
    book.save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("daily")
    for number in range(len(ROWS)):
        photo(root / f"{number}.png", number)
    return root


@pytest.mark.parametrize(
    "total",
    [
        ["", "", "Total", "", "5010"],
        ["Total", "", "", "", "5,010.00"],
        ["合計", "", "5点", "", "¥5,010"],
        ["", "", "Gesamtsumme:", "", "5.010,00 €"],
        ["", "", "Total: 5", "", ""],
    ],
)
def test_a_line_of_totals_is_passed_over_and_products_that_are_gone_still_go(folder, tmp_path, total):
    """It has no id, so that it was not known whose line it is, and a sync removed nothing, day after day."""
    assert osoroi("sync", tmp_path / "shop", write(folder / "t.csv", *ROWS)).exit_code == 0
    run = osoroi("sync", tmp_path / "shop", write(folder / "t.csv", *ROWS[:5], total))
    assert run.exit_code == 0, run.stderr
    assert "5 unchanged, 1 removed, 0 left out" in run.stdout
    assert "1 lines of totals are passed over, such as line 7" in run.stderr
    looked = osoroi("look", folder / "t.csv")
    assert (looked.exit_code, "0 errors" in looked.stdout) == (0, True)


def test_a_line_of_totals_of_a_workbook_and_of_a_table_of_prices_is_passed_over(folder, tmp_path):
    book = openpyxl.Workbook()
    for row in (HEADER, *ROWS, ["Total", None, None, None, 6015]):
        book.active.append(row)
    book.save(folder / "t.xlsx")
    assert osoroi("add", tmp_path / "shop", folder / "t.xlsx").exit_code == 0
    prices = write(folder / "prices.csv", ["SKU-0", "500"], ["Total", "500"], header=["sku", "price"])
    run = osoroi("sync", tmp_path / "shop", prices)
    assert (run.exit_code, "0 added, 1 changed" in run.stdout) == (0, True), run.stderr


@pytest.mark.parametrize(
    "cells",
    [
        {"sku": "t1", "title": "Total"},  # an id
        {"sku": "1001", "title": "Total", "price": "10"},  # one of digits
        {"sku": 1001.0, "title": "Sum", "price": 10.0},
        {"sku": "Total 5", "price": "10"},  # a word and a number
        {"sku": "", "title": "Sum 41", "price": "10"},
        {"sku": "", "title": "合計 41", "price": "10"},
        {"sku": "total", "title": "Total look", "price": "10"},  # a title
        {"sku": "", "title": "12", "price": "3"},  # no word for it
        {"sku": "Total", "image": "total.png", "price": "10"},  # a photo
        {},
    ],
)
def test_what_may_be_a_product_is_no_line_of_totals(cells):
    assert not is_total(Line(Path("t.csv"), "line 2", cells), frozenset(["image"]), frozenset(["sku"]))


@pytest.mark.parametrize("title", ["Sum 41", "Total 90", "Total", "合計", "合計 41", "Total: 5"])
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_product_whose_title_looks_like_a_total_is_none(folder, tmp_path, title, suffix):
    """Its id is a number as well. A sync removed it, though its line was there, and a table of prices left it alone."""
    rows = [[str(1000 + number), *row[1:]] for number, row in enumerate(ROWS)]
    rows[0][2] = title
    assert osoroi("sync", tmp_path / "shop", sheet(folder / f"n.{suffix}", HEADER, *rows)).exit_code == 0
    prices = sheet(folder / f"np.{suffix}", ["sku", "title", "price"], ["1000", title, "1900"])
    run = osoroi("sync", tmp_path / "shop", prices)
    assert (run.exit_code, "0 added, 1 changed" in run.stdout) == (0, True), run.stderr
    rows[0][1] = ""  # its photo is gone: it is left as it is, and that is said
    run = osoroi("sync", tmp_path / "shop", sheet(folder / f"n.{suffix}", HEADER, *rows))
    assert (run.exit_code, " 0 removed" in run.stdout) == (3, True), run.stderr
    assert "totals" not in run.stderr


def test_a_product_that_is_called_total_by_its_id_is_read_where_the_catalog_has_it(folder, tmp_path):
    shop, rows = tmp_path / "shop", [*ROWS[:5], ["Total", "5.png", "", "", "5010"]]
    assert osoroi("add", shop, write(folder / "i.csv", *rows)).exit_code == 0
    prices = write(folder / "ip.csv", ["Total", "90"], ["SKU-1", "80"], header=["sku", "price"])
    run = osoroi("sync", shop, prices)
    assert "0 added, 2 changed" in run.stdout, run.stderr
    assert "lines with the id 'Total' are read as a product: the catalog has it" in run.stderr
    with api.open(shop) as catalog:
        assert catalog["Total"].price == 90
        assert (
            catalog.sync(
                write(folder / "ip.csv", ["Total", "70"], ["SKU-1", "80"], header=["sku", "price"])
            ).count.changed
            == 1
        )
    gone = write(folder / "i.csv", *ROWS[:5], ["Total", "", "", "", "5010"])
    looked = osoroi("look", gone, shop)
    assert "a sync would remove" in looked.stdout
    run = osoroi("sync", shop, gone)
    assert (run.exit_code, " 0 removed" in run.stdout) == (3, True), run.stderr


def test_a_recipe_says_which_columns_are_ids(folder, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[columns]\nphoto = "image"\n[templates]\nproduct_id = "{maker}-{code}"\n')
    header = ["maker", "code", "image", "title"]
    table = write(folder / "r.csv", ["7", "1", "0.png", "Sum"], ["7", "2", "", "Sum"], header=header)
    run = osoroi("look", table, "--recipe", recipe)
    assert "totals" not in run.output
    assert "line 3" in run.output, "it is an error: no photo"


def test_ids_in_other_capitals_are_other_products_and_that_is_said(folder, tmp_path):
    shop, lower = tmp_path / "shop", [[row[0].lower(), *row[1:]] for row in ROWS]
    assert osoroi("add", shop, write(folder / "c.csv", *ROWS)).stderr.count("capitals") == 0
    refused = osoroi("sync", shop, write(folder / "c.csv", *lower))
    assert refused.exit_code == 2
    assert "for instance 'SKU-0'; it has 'sku-0', and ids in other capitals are other products" in refused.stderr
    prices = osoroi("sync", shop, write(folder / "p.csv", ["sku-1", "5"], header=["sku", "price"]))
    assert "not in the catalog: sku-1; it has SKU-1, in other capitals" in prices.stderr
    doubled = osoroi("add", shop, folder / "c.csv")
    assert "6 ids differ from another one by capitals alone, such as 'SKU-0' and 'sku-0'" in doubled.stderr
    assert "capitals" not in osoroi("add", shop, folder / "c.csv").stderr, "said when they come in"


def test_a_photo_that_is_replaced_under_its_name_and_a_category_that_is_renamed_are_noticed(folder, tmp_path):
    for row in ROWS:
        (tmp_path / row[1]).write_bytes((folder / row[1]).read_bytes())
    table = write(tmp_path / "t.csv", *ROWS)
    assert osoroi("sync", tmp_path / "shop", table).exit_code == 0
    before = entries(tmp_path / "shop")
    photo(tmp_path / "0.png", 77)
    assert "1 changed, 5 unchanged" in osoroi("sync", tmp_path / "shop", table).stdout
    write(table, *[[*row[:3], "Mäntel", row[4]] for row in ROWS])
    assert "6 changed, 0 unchanged" in osoroi("sync", tmp_path / "shop", table).stdout
    assert osoroi("add", tmp_path / "fresh", table).exit_code == 0
    mended, fresh = entries(tmp_path / "shop"), entries(tmp_path / "fresh")
    assert {product_id: one.product.category for product_id, one in mended.items()} == {
        row[0]: "Mäntel" for row in ROWS
    }
    sha256 = hashlib.sha256((tmp_path / "0.png").read_bytes()).hexdigest()
    assert [crop.sha256 for crop in mended["SKU-0"].crops] == [sha256]
    for product_id, one in fresh.items():
        np.testing.assert_allclose(mended[product_id].vectors, one.vectors, atol=1e-5, err_msg=product_id)
    assert not np.allclose(before["SKU-0"].vectors, mended["SKU-0"].vectors, atol=0.01), "it is of another photo"


def test_numbers_of_a_workbook_are_shown_as_people_write_them_and_no_note_answers_an_open_question(folder):
    book = openpyxl.Workbook()
    for row in (["sku", "image", "price"], [1001, "0.png", 2990], ["0012", "1.png", "2,990"]):
        book.active.append(row)
    book.save(folder / "n.xlsx")
    looked = osoroi("look", folder / "n.xlsx").stdout
    assert "1001 | 0012" in looked
    assert "2990 | 2,990" in looked
    assert "question: price: `2,990` is thousands or a fraction" in looked
    assert "note: three digits after a sign are thousands" not in looked


def test_links_into_a_private_network_name_the_option_that_allows_them(tmp_path):
    rows = [
        [f"{number:04}", f"http://127.0.0.1:9/{number}.jpg", "コート", "アウター", "￥１２，８００"]
        for number in range(2)
    ]
    header = ["商品番号", "商品画像URL", "商品名", "カテゴリ", "販売価格(税込)"]
    table = tmp_path / "商品.csv"
    with table.open("w", newline="", encoding="cp932") as file:
        csv.writer(file).writerows([header, *rows, ["0009", "", "帽子", "小物", "￥９８０"]])
    run = osoroi("add", tmp_path / "shop", table)
    assert run.exit_code == 1
    assert "127.0.0.1 is an address inside a private network, which --private-links allows" in run.stderr
    assert not (tmp_path / "shop").exists()


def test_a_filter_by_the_header_of_the_table_names_the_column(folder, tmp_path):
    table = write(folder / "s.csv", *ROWS[:2], header=HEADER)
    assert osoroi("add", tmp_path / "shop", table).exit_code == 0
    for wanted, meant in (("価格", "price"), ("sku", "product_id"), ("カテゴリ", "category")):
        run = osoroi("search", tmp_path / "shop", folder / "0.png", "--where", f"{wanted} = 1000")
        assert (run.exit_code, f"did you mean {meant}?" in run.stderr) == (1, True), run.stderr
