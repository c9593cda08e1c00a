"""Tables without photos: several lines of one product, and what `osoroi look` says of such a table."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from osoroi.cli import main
from osoroi.tables import open_incoming


def osoroi(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def write(path: Path, *rows: Sequence[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two products with photos."""
    root = tmp_path_factory.mktemp("prices")
    for name, colour in (("red", (200, 30, 30)), ("green", (30, 160, 40))):
        Image.new("RGB", (60, 80), colour).save(root / f"{name}.png")
    write(
        root / "products.csv",
        ["product_id", "photo", "price", "category"],
        ["red", "red.png", "10", "Skirts"],
        ["green", "green.png", "20", "Skirts"],
    )
    return root


@pytest.mark.parametrize(
    ("lines", "stated", "contradicting"),
    [
        (["A,100,1", "B,5,5", "A,,9"], {"price": 100.0, "stock": 1.0}, 1),
        (["A,100,1", "A,200,1", "A,300,"], {"price": 100.0, "stock": 1.0}, 2),
        (["A,¥ 700,", "A,800,3"], {"price": 700.0, "currency": "JPY", "stock": 3.0}, 1),
        (["A,,3", "A,¥ 700,", "A,,"], {"price": 700.0, "currency": "JPY", "stock": 3.0}, 0),
        (["A,700,3", "A,700,3"], {"price": 700.0, "stock": 3.0}, 0),
        (["A,,3", "B,1,1", "A,,"], {"price": None, "stock": 3.0}, 0),
    ],
)
def test_the_first_line_that_fills_a_column_decides_it_and_empty_cells_take_nothing_away(
    tmp_path: Path, lines: list[str], stated: dict[str, object], contradicting: int
) -> None:
    (tmp_path / "p.csv").write_text("\n".join(["sku,price,stock", *lines]))
    incoming = open_incoming(f"table:{tmp_path / 'p.csv'}")
    assert incoming.changes()["A"] == stated
    assert (incoming.contradicting, incoming.bad_lines) == (contradicting, [])


@pytest.mark.parametrize(
    ("lines", "stated"),
    [
        (["A,,JPY", "A,5,USD"], {"price": 5.0, "currency": "USD"}),
        (["A,700,", "A,800,USD"], {"price": 700.0}),
        (["A,700,", "A,,JPY"], {"price": 700.0, "currency": "JPY"}),
        (["A,700,", "A,700,JPY"], {"price": 700.0, "currency": "JPY"}),
    ],
)
def test_a_currency_goes_with_the_price_of_its_line(
    tmp_path: Path, lines: list[str], stated: dict[str, object]
) -> None:
    (tmp_path / "p.csv").write_text("\n".join(["sku,price,currency", *lines]))
    incoming = open_incoming(f"table:{tmp_path / 'p.csv'}")
    assert incoming.changes()["A"] == stated
    assert all(set(one.differs) == {"price"} for one in incoming.conflicts)


def test_lines_that_contradict_each_other_are_named_by_the_line_that_decides_and_counted(
    folder: Path, tmp_path: Path
) -> None:
    shop = tmp_path / "shop"
    assert osoroi("add", shop, folder / "products.csv").exit_code == 0
    rows = ["red", "", "1"], ["red", "700", "2"], ["red", "800", "1"], ["green", "9", ""]
    prices = write(tmp_path / "p.csv", ["sku", "Price in yen", "stock"], *rows)
    said = [
        "product red: line 3 has stock 2, and line 2 has 1, which decides",
        "product red: line 4 has Price in yen 800, and line 3 has 700, which decides",
    ]
    looked = osoroi("look", prices, shop, "--json")
    assert json.loads(looked.stdout)["warnings"][:2] == said
    assert json.loads(looked.stdout)["changes"] == {"changed": 2, "unchanged": 0, "not_in_catalog": 0}
    run = osoroi("sync", shop, prices, "--json")
    assert (run.exit_code, json.loads(run.stdout)["contradicting"]) == (0, 2), run.stderr
    assert all(one in run.stderr for one in said)


def test_looking_at_a_table_without_photos_says_what_a_sync_would(folder: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    assert osoroi("add", shop, folder / "products.csv").exit_code == 0
    prices = write(tmp_path / "p.csv", ["product_id", "price"], ["red", "5"], ["green", "6"], ["nobody", "7"])
    alone = osoroi("look", prices)
    assert (alone.exit_code, "0 errors, 0 questions" in alone.stdout) == (0, True), alone.stdout
    assert "warning: no column is one of photos: 'osoroi sync' changes products" in alone.stdout
    looked = osoroi("look", prices, shop)
    assert "a sync would change 2 and leave 0 as they are; 1 are not in the catalog" in looked.stdout
    assert "an add would" not in looked.stdout
    assert osoroi("sync", shop, prices).stdout.startswith("0 added, 2 changed, 0 unchanged, 0 removed, 1 left out")


def test_a_table_without_photos_and_ids_is_for_nothing(folder: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    assert osoroi("add", shop, folder / "products.csv").exit_code == 0
    prices = write(tmp_path / "p.csv", ["price", "stock"], ["5", "1"], ["6", "2"])
    for result in (osoroi("look", prices), osoroi("look", prices, shop)):
        assert (result.exit_code, "1 errors, 0 questions" in result.stdout) == (3, True)
        assert f"error: {prices}: no column is one of photos, and none that of a product_id" in result.stdout
        assert "would change" not in result.stdout
    assert osoroi("sync", shop, prices).exit_code == 1


def test_a_table_of_prices_is_read_once_however_often_its_changes_are_asked_for(tmp_path: Path) -> None:
    table = write(tmp_path / "p.csv", ["product_id", "price"], ["a", "1"], ["a", "2"], ["b", "free"], ["Total", "3"])
    incoming = open_incoming(f"table:{table}")
    before = incoming.changes()
    assert (list(before), len(incoming.bad_lines), incoming.contradicting) == (["a"], 1, 1)
    assert incoming.keep_stored(lambda ids: []) == []
    table.unlink()
    assert incoming.changes() is before
    assert (len(incoming.bad_lines), incoming.contradicting, len(incoming.conflicts)) == (1, 1, 1)


def test_lines_of_totals_that_are_products_are_among_the_changes_once_that_is_known(tmp_path: Path) -> None:
    table = write(tmp_path / "p.csv", ["product_id", "price"], ["a", "1"], ["Total", "3"])
    incoming = open_incoming(f"table:{table}")
    assert list(incoming.changes()) == ["a"]
    assert incoming.keep_stored(lambda ids: ids) == ["Total"]
    assert list(incoming.changes()) == ["a", "Total"]


@pytest.mark.parametrize(
    ("lines", "stated"),
    [
        (["A,$39.90,CAD", "B,$12.50,AUD"], [(39.9, "CAD"), (12.5, "AUD")]),
        (["A,39.90,USD", 'B,"¥3,990",JPY', "C,¥5000,JPY"], [(39.9, "USD"), (3990.0, "JPY"), (5000.0, "JPY")]),
        (['A,"1,299",JPY'], [(1299.0, "JPY")]),  # yen have no fractions, whatever other lines hold
        (["A,39.90 €,€"], [(39.9, "€")]),
    ],
)
def test_the_currency_of_a_line_decides_what_its_sign_means(
    tmp_path: Path, lines: list[str], stated: list[tuple[float, str]]
) -> None:
    (tmp_path / "p.csv").write_text("\n".join(["sku,price,currency", *lines]))
    incoming = open_incoming(f"table:{tmp_path / 'p.csv'}")
    assert incoming.layout is not None
    assert incoming.layout.undecided == ()
    assert [(one["price"], one["currency"]) for one in incoming.changes().values()] == stated
    assert incoming.bad_lines == []


def test_a_sign_that_cannot_be_the_stated_currency_is_refused_with_the_hint_of_its_line(tmp_path: Path) -> None:
    Image.new("RGB", (60, 80), (200, 30, 30)).save(tmp_path / "a.png")
    table = write(tmp_path / "p.csv", ["sku", "photo", "price", "currency"], ["A", "a.png", "€39.90", "USD"])
    run = osoroi("add", tmp_path / "shop", table)
    assert run.exit_code == 1
    assert "price '€39.90' is in EUR, and its currency is USD" in run.stderr
    assert "write one of them" in run.stderr
    assert "check the paths" not in run.stderr
