"""Tables as programs and people write them, where a wrong value would be taken in silence."""

import json
import re
import sqlite3
import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi.catalog.store.rows import product_row
from osoroi.cli import main
from osoroi.data.markup import without_markup
from osoroi.data.readers.table_recipe import read_recipe, recognised
from osoroi.data.tabular.workbook import excel_lines
from osoroi.records import Product
from osoroi.tables import Incoming, open_incoming

SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
WHOLE: list[list[object]] = [["sku", "photo", "size", "price"], ["a", "a.jpg", "S", 39]]


def text(folder: Path, content: str, name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def workbook(path: Path, rows: Sequence[Sequence[object]], merge: str, how: Sequence[tuple[str, str]]) -> Path:
    """A workbook with merged cells; its sheet is written anew with patterns replaced."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    book.active.merge_cells(merge)
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"].decode()
    for pattern, other in how:
        sheet = re.sub(pattern, other, sheet)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else content)
    return path


@pytest.mark.parametrize(
    "how",
    [
        [(r'<c r="D[34]"[^>]*/>', "")],
        [(r'<mergeCell ref="([^"]*)"', r"<mergeCell ref='\1'")],
        [
            (r"<(/?)mergeCell", r"<\1x:mergeCell"),
            ("<worksheet ", f'<worksheet xmlns:x="{SPREADSHEET}" '),
        ],
    ],
    ids=["empty cells left out", "single quotes", "a prefix"],
)
def test_merged_cells_of_the_last_column_fill_each_row(tmp_path: Path, how: list[tuple[str, str]]) -> None:
    rows: list[list[object]] = [*WHOLE, ["b", "b.jpg", "M", None], ["c", "c.jpg", "L", None]]
    path = workbook(tmp_path / "m.xlsx", rows, "D2:D4", how)
    assert [line.cells["price"] for line in excel_lines(path)] == [39.0, 39.0, 39.0]


def ids(incoming: Incoming) -> list[str]:
    return [row.product.product_id for row in incoming.rows()]


def test_a_hidden_sheet_is_passed_over_and_the_first_with_a_header_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Spring collection"])
    sheets = {"Products": ["new"], "Archive": ["2020", "title"], "old 2019": ["old", "title", "brand"]}
    for name, (product_id, *more) in sheets.items():
        sheet = book.create_sheet(name)
        sheet.append(["sku", "photo", "price", *more])
        sheet.append([product_id, "a.jpg", 10, *more])
    book["old 2019"].sheet_state = "hidden"
    book.save(tmp_path / "h.xlsx")
    assert ids(open_incoming(str(tmp_path / "h.xlsx"))) == ["new"]


def test_two_paths_of_windows_that_end_at_one_file_are_no_two_photos(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    photos = {"coat": "coat", "dress": "dress", "belt": "coat"}
    lines = "sku,photo\n" + "".join(f"{name},D:\\fotos\\{folder}\\1.jpg\n" for name, folder in photos.items())
    incoming = open_incoming(str(text(tmp_path, lines)))
    assert ids(incoming) == ["coat", "belt"]
    (bad,) = incoming.bad_lines
    assert bad.product_id == "dress"
    assert "of an earlier line are found at the same file" in bad.problem


SHOPIFY = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Image Src,Status,Published"


def test_drafts_and_what_is_not_published_are_left_out_in_whatever_capitals(tmp_path: Path) -> None:
    states = {"tee": "Active,TRUE", "coat": "Draft,TRUE", "cap": "ARCHIVED,TRUE", "belt": "active,FALSE"}
    lines = [f"{name},{name},Size,S,9,{name}.jpg,{state}" for name, state in states.items()]
    assert ids(open_incoming(str(text(tmp_path, "\n".join([SHOPIFY, *lines]))))) == ["tee"]


def test_a_table_is_recognised_only_where_all_that_its_recipe_needs_is_there() -> None:
    names = SHOPIFY.split(",")
    assert recognised(names) == "shopify"
    assert recognised([name for name in names if name != "Title"]) is None


def test_what_a_recognised_recipe_leaves_out_is_said_and_none_keeps_it(tmp_path: Path) -> None:
    table = text(tmp_path, f"{SHOPIFY},Material\ntee,Tee,Size,S,9,tee.jpg,active,true,cotton\n")
    layout = open_incoming(str(table)).layout
    assert layout is not None
    assert "columns that are not read: Material; with `recipe` none they are attributes" in layout.notes
    (row,) = open_incoming(f"table:{table}?recipe=none").rows()
    assert row.product.attributes["Material"] == "cotton"


def test_a_folder_of_photos_may_have_an_ampersand(tmp_path: Path) -> None:
    folder = tmp_path / "R&D 100%?"
    folder.mkdir()
    Image.new("RGB", (120, 120), (200, 40, 60)).save(folder / "a.jpg")
    table = text(tmp_path, "sku,photo\na,a.jpg\n")
    result = CliRunner().invoke(main, ["look", str(table), "--photos", str(folder)])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("title", ["A<B and C>D", "I <love> you", "Size <M, waist> 30"])
def test_what_is_no_tag_of_html_stays_in_a_title(title: str) -> None:
    assert without_markup(title) == title


@pytest.mark.parametrize("title", ["<p class='x'>Tee</p>", "<BR/>Tee", "<o:p>Tee</o:p>", "<!-- > -->Tee", "<h2 >Tee"])
def test_tags_of_html_are_left_out_of_a_title(title: str) -> None:
    assert without_markup(title) == "Tee"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.csv", "sku,title,photo,size,price\nx,Tee,a.jpg,S,39.90\nx,Tee,a.jpg,M,12.00\nx,Tee,a.jpg,L,sold out\n"),
        ("v.csv", f"{SHOPIFY}\nx,Tee,Size,S,39.90,a.jpg,,\nx,,,M,12.00,,,\n"),
        ("v.json", '[{"id": "x", "image": "a.jpg", "variants": [{"price": "39.90"}, {"price": "12.00"}]}]'),
    ],
    ids=["lines", "shopify", "json"],
)
def test_of_several_prices_of_a_product_the_lowest_is_taken_and_said(tmp_path: Path, name: str, content: str) -> None:
    incoming = open_incoming(str(text(tmp_path, content, name)))
    assert [row.product.price for row in incoming.rows()] == [12.0]
    assert incoming.layout is not None
    assert "of several prices the lowest is taken, in 1 products" in incoming.layout.notes


def test_prices_of_several_currencies_are_not_compared(tmp_path: Path) -> None:
    lines = "sku,title,photo,size,price,currency\nx,Tee,a.jpg,S,39.90,EUR\nx,Tee,a.jpg,M,12.00,USD\n"
    (row,) = open_incoming(str(text(tmp_path, lines))).rows()
    assert (row.product.price, row.product.currency) == (39.9, "EUR")


def test_a_drafted_recipe_keeps_replacements_by_nothing(tmp_path: Path) -> None:
    table = text(tmp_path, f"{SHOPIFY}\ntee,Default Title,Size,S,9,tee.jpg,active,true\n")
    (tmp_path / "tee.jpg").write_bytes(b"x")
    CliRunner().invoke(main, ["look", str(table), "--write", str(tmp_path / "r.toml")])
    assert read_recipe(str(tmp_path / "r.toml")) == read_recipe("shopify")


TOKYO, BERLIN, LONDON = "2026-07-02T06:00:00+09:00", "2026-07-01T23:30:00+02:00", "2026-07-01T22:00:00+01:00"
"""Half past nine on the evening of 1 July in UTC is that of Berlin; the others are half an hour earlier."""


def times(folder: Path, name: str, cells: Sequence[str]) -> Path:
    """A table with a product for each time, as CSV or JSON."""
    rows = [{"sku": f"p{at}", "photo": f"{at}.jpg", "since": cell} for at, cell in enumerate(cells)]
    if name.endswith(".json"):
        return text(folder, json.dumps(rows), name)
    return text(folder, "\n".join(["sku,photo,since", *(",".join(row.values()) for row in rows)]), name)


def read(table: Path) -> tuple[list[object], list[str]]:
    """The values of ``since``, and what is said of that column."""
    incoming = open_incoming(str(table))
    assert incoming.layout is not None
    values: list[object] = [row.product.attributes["since"] for row in incoming.rows()]
    return values, [note for note in incoming.layout.notes if "`since`" in note]


@pytest.mark.parametrize("name", ["t.csv", "t.json"])
def test_times_of_several_zones_are_read_as_utc_so_that_their_order_is_that_of_time(tmp_path: Path, name: str) -> None:
    values, notes = read(times(tmp_path, name, [TOKYO, BERLIN, LONDON, "2026-07-01"]))
    assert values == [
        "2026-07-01T21:00:00+00:00",
        "2026-07-01T21:30:00+00:00",
        "2026-07-01T21:00:00+00:00",
        "2026-07-01",
    ]
    assert notes == ["`since`: times in several time zones (+01:00, +02:00, +09:00) are read as UTC"]


@pytest.mark.parametrize("name", ["t.csv", "t.json"])
@pytest.mark.parametrize(
    "cells",
    [
        [TOKYO, "2026-07-01T10:00:00+09:00"],
        ["2026-07-01T10:00:00Z", "2026-07-01T11:00:00+00:00"],
        ["2026-07-01T10:00:00", "2026-07-01"],
        [BERLIN, "2026-07-01"],
    ],
)
def test_times_of_one_zone_are_read_as_utc_too_since_another_table_may_have_another(
    tmp_path: Path, name: str, cells: list[str]
) -> None:
    values, notes = read(times(tmp_path, name, cells))
    assert values == [
        datetime.fromisoformat(cell).astimezone(UTC).isoformat() if "T" in cell and len(cell) > 19 else cell
        for cell in cells
    ]
    zones = {cell[19:] for cell in cells} - {"", "Z", "+00:00"}
    assert notes == [f"`since`: times in the time zone ({zone}) are read as UTC" for zone in zones]


@pytest.mark.parametrize("other", ["2026-07-01T10:00:00", "2026-07-01T10:00:00 JST"])
def test_times_without_a_zone_among_others_are_named_and_stay(tmp_path: Path, other: str) -> None:
    values, (note,) = read(times(tmp_path, "t.csv", [TOKYO, BERLIN, other]))
    assert values == ["2026-07-01T21:00:00+00:00", "2026-07-01T21:30:00+00:00", other]
    assert note.startswith("`since`: some times are in +02:00, +09:00, and read as UTC; others state no time zone, and")


def test_a_catalog_filters_and_sorts_times_of_several_zones_by_the_moment(tmp_path: Path) -> None:
    table = times(tmp_path, "t.csv", [TOKYO, BERLIN, LONDON])
    for at in range(3):
        Image.new("RGB", (120, 160), (60 * at, 90, 120)).save(tmp_path / f"{at}.jpg")
    run = CliRunner().invoke(main, ["add", str(tmp_path / "shop"), str(table)])
    assert run.exit_code == 0
    assert "`since`: times in several time zones" in run.stderr
    words = ["search", str(tmp_path / "shop"), str(tmp_path / "0.jpg"), "--json"]
    run = CliRunner().invoke(main, [*words, "--where", "since = 2026-07-01", "--sort", "-since"])
    found = [hit["product_id"] for hit in json.loads(run.stdout)["hits"]]
    assert (found[0], sorted(found)) == ("p1", ["p0", "p1", "p2"])


def test_a_sync_of_another_zone_is_ordered_among_what_is_stored_and_filtered_by_its_moment(tmp_path: Path) -> None:
    shop = str(tmp_path / "shop")
    for at in range(3):
        Image.new("RGB", (120, 160), (60 * at, 90, 120)).save(tmp_path / f"{at}.jpg")
    run = CliRunner().invoke(main, ["add", shop, str(times(tmp_path, "t.csv", [TOKYO, BERLIN, LONDON]))])
    assert run.exit_code == 0, run.output
    later = text(tmp_path, "sku,since\np0,2026-07-02T00:00:00+02:00\n", "later.csv")  # 22:00 in UTC, the latest
    synced = CliRunner().invoke(main, ["sync", shop, str(later)])
    assert "`since`: times in the time zone (+02:00) are read as UTC" in synced.stderr
    assert CliRunner().invoke(main, ["sync", shop, str(later)]).stdout.startswith("0 added, 0 changed, 1 unchanged")
    words = ["search", shop, str(tmp_path / "0.jpg"), "--json", "--sort", "-since", "--where"]
    for where, expected in {
        'since >= "2026-07-01T23:30:00+02:00"': ["p0", "p1"],
        'since > "2026-07-02T06:30:00+09:00"': ["p0"],
        'since = "2026-07-01T17:30-04:00"': ["p1"],
        'not since in ("2026-07-02T07:00+09:00")': ["p1", "p2"],
        '{"column": "since", "<": "2026-07-01T23:30+02:00"}': ["p2"],
    }.items():
        found = CliRunner().invoke(main, [*words, where])
        assert [hit["product_id"] for hit in json.loads(found.stdout)["hits"]] == expected, where


def test_a_catalog_that_holds_other_zones_is_brought_to_utc_by_one_sync(tmp_path: Path) -> None:
    """As a catalog has them that was written before times became those of UTC."""
    shop = tmp_path / "shop"
    Image.new("RGB", (120, 160), (60, 90, 120)).save(tmp_path / "0.jpg")
    table = times(tmp_path, "t.csv", [BERLIN])
    assert CliRunner().invoke(main, ["add", str(shop), str(table)]).exit_code == 0
    with closing(sqlite3.connect(shop / "catalog.sqlite")) as connection, connection:
        (key,) = connection.execute("SELECT product FROM products").fetchone()
        row = product_row(key, Product("p0", attributes={"since": BERLIN}))
        connection.execute("UPDATE products SET attributes = ?, checksum = ?", (row.attributes, row.checksum))
        assert connection.execute("UPDATE facts SET value = ?", (BERLIN,)).rowcount == 1
    assert CliRunner().invoke(main, ["check", str(shop)]).exit_code == 0
    said = [CliRunner().invoke(main, ["sync", str(shop), str(table)]).stdout for _ in range(2)]
    assert [one.split(", ")[1:3] for one in said] == [["1 changed", "0 unchanged"], ["0 changed", "1 unchanged"]]
    assert CliRunner().invoke(main, ["check", str(shop)]).exit_code == 0
    words = ["search", str(shop), str(tmp_path / "0.jpg"), "--json", "--where", f'since = "{BERLIN}"']
    assert len(json.loads(CliRunner().invoke(main, words).stdout)["hits"]) == 1


@pytest.mark.parametrize(
    ("row", "title", "said"),
    [
        ({"name": {"ja": "白いシャツ"}}, "白いシャツ", "`name.ja` read as title"),
        ({"product_name_en": "White shirt"}, "White shirt", "`product_name_en` read as title"),
        ({"Title": {"en-US": "White shirt"}}, "White shirt", "`Title.en-US` read as title"),
        ({"name_en": "White shirt", "name": "Shirt"}, "Shirt", "`name` read as title"),
        ({"title_en": "White shirt", "name": "Shirt"}, "Shirt", "`name` read as title"),
        ({"name_id": "7"}, "", "no column is read as title: products have none"),
    ],
)
def test_a_title_in_one_language_is_read_as_title_and_none_is_said(
    tmp_path: Path, row: dict[str, object], title: str, said: str
) -> None:
    incoming = open_incoming(str(text(tmp_path, json.dumps([{"sku": "p0", "photo": "0.jpg", **row}]), "t.json")))
    assert incoming.layout is not None
    assert said in incoming.layout.notes
    assert [one.product.title for one in incoming.rows()] == [title]


def test_of_titles_in_several_languages_the_first_is_read_and_the_others_are_said(tmp_path: Path) -> None:
    row = {"sku": "p0", "photo": "0.jpg", "title": {"en": "White shirt", "ja": "白いシャツ"}}
    incoming = open_incoming(str(text(tmp_path, json.dumps([row]), "t.json")))
    assert incoming.layout is not None
    assert incoming.layout.undecided == ()
    assert "`title.en` read as title" in incoming.layout.notes
    said = "`title.ja`: title in another language, an attribute; a recipe says otherwise"
    assert said in incoming.layout.notes
    (one,) = incoming.rows()
    assert (one.product.title, one.product.attributes) == ("White shirt", {"title.ja": "白いシャツ"})


def test_a_computed_number_of_excel_has_the_digits_that_excel_shows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for cells in (
        ["sku", "photo", "price", "weight"],
        ["a", "a.jpg", 72.85000000000001, 0.1 + 0.2],
        ["b", "b.jpg", 5, 1e-7],
    ):
        book.active.append(cells)
    book.save(tmp_path / "t.xlsx")
    products = [row.product for row in open_incoming(str(tmp_path / "t.xlsx")).rows()]
    values = [(product.price, product.attributes["weight"]) for product in products]
    assert values == [(72.85, 0.3), (5.0, 1e-07)]
