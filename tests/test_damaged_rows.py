"""Rows that rot and folders that cannot be looked at, while a catalog is open: each is said by its own name."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.store import database
from osoroi.errors import CatalogDamaged, CatalogUnavailable
from shops import create, entry, found, put


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three products of one crop each."""
    entries = [entry(f"p{at:02}", [1, at, 0, 0], price=float(at), attributes={"sale": True}) for at in range(3)]
    create(tmp_path / "shop", *entries).close()
    return tmp_path / "shop"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE products SET title = CAST(x'80' AS TEXT) WHERE product_id = 'p00'",
        "UPDATE crops SET crop_id = CAST(x'80' AS TEXT) WHERE crop_id = 'p00/0'",
        "UPDATE crops SET sha256 = CAST(x'80' AS TEXT) WHERE crop_id = 'p00/0'",
        "UPDATE crops SET product = (SELECT product FROM products WHERE product_id = 'p02') WHERE crop_id = 'p00/0'",
        "UPDATE products SET attributes = '{}' WHERE product_id = 'p00'",
        "UPDATE products SET checksum = checksum + 1 WHERE product_id = 'p00'",
        "DELETE FROM products WHERE product_id = 'p00'",
        "DELETE FROM crops WHERE crop_id = 'p00/0'",
        "DELETE FROM vectors WHERE slot % (1 << 40) = (SELECT crop FROM crops WHERE crop_id = 'p00/0')",
        "UPDATE vectors SET checksum = checksum + 1",
        "UPDATE vectors SET vector = 'text'",
        "ALTER TABLE products ADD COLUMN more",
        "ALTER TABLE crops ADD COLUMN more",
        "ALTER TABLE vectors ADD COLUMN more",
    ],
)
def test_rows_that_rot_while_they_are_searched_are_called_damaged(shop: Path, statement: str) -> None:
    with LocalCatalog.open(shop) as catalog:
        found(catalog)
        with closing(sqlite3.connect(shop / database.FILE, isolation_level=None)) as other:
            other.execute(statement)
        with pytest.raises(CatalogDamaged, match="is damaged: "):
            found(catalog)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM products WHERE product_id = 'p00'", "a product that was put is not there"),
        ("DELETE FROM crops WHERE crop_id = 'p00/0'", "a crop that was put is not there"),
        ("DELETE FROM vectors WHERE slot % (1 << 40) = 1", "a vector is not there"),
        ("UPDATE crops SET product = 2 WHERE crop = 1", "crop 1 and product 1 do not belong together"),
    ],
)
def test_a_search_says_which_row_is_not_there(shop: Path, statement: str, what: str) -> None:
    with LocalCatalog.open(shop) as catalog:
        found(catalog)
        with closing(sqlite3.connect(shop / database.FILE, isolation_level=None)) as other:
            assert other.execute(statement).rowcount == 1
        with pytest.raises(CatalogDamaged, match=what):
            found(catalog)


def test_a_folder_that_cannot_be_looked_at_is_said_by_every_use_and_can_be_closed(shop: Path, tmp_path: Path) -> None:
    catalog = LocalCatalog.open(shop)
    found(catalog)
    shop.rename(tmp_path / "moved")
    shop.symlink_to(shop)
    for use in (
        lambda: found(catalog),
        lambda: put(catalog, entry("new", [1, 0, 0, 0])),
        lambda: catalog.patch("p02", {"price": 1.0}),
        lambda: catalog.remove(["p02"]),
        catalog.check_identity,
    ):
        with pytest.raises(CatalogUnavailable, match="cannot be read: Too many levels of symbolic links"):
            use()
    catalog.close()
    with LocalCatalog.open(tmp_path / "moved") as again:
        assert again.get("p02").price == 2.0
    assert check(tmp_path / "moved") == []
