"""Names of schemas that SQL has to quote: capitals, spaces, digits, quotes, umlauts."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

import postgres
import s3
from osoroi.catalog.address import Address
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import is_catalog, open_catalog
from osoroi.catalog.postgres.bucket import OWNER
from osoroi.catalog.postgres.transaction import PostgresTransaction
from shops import create, entry, found, put

NAMES = ["Sommer24", "my shop", "124", "user", 'a "b" c', "it's", "Größe Ä", "a.b", "100%?"]


@pytest.fixture(params=NAMES)
def address(request: pytest.FixtureRequest, postgres_url: str, tmp_path, monkeypatch) -> Iterator[str]:
    """An address of a schema with such a name."""
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "cache"))
    address = f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={quote(request.param, safe='')}"
    postgres.drop(address)
    yield address
    postgres.drop(address)


def lives(place: Address) -> None:
    """Make a catalog there, read, write, measure, compact and check it."""
    with create(place, entry("a", [1, 0, 0, 0], photo=b"pixels")) as catalog:
        assert found(catalog) == "a"
        with catalog.view() as transaction:
            assert isinstance(transaction, PostgresTransaction)
            assert transaction.size_bytes() > 0
            _, database, schema = map(int, transaction.database().split("-"))
            oid = transaction.one("SELECT oid FROM pg_namespace WHERE nspname = ?", place.schema)[0]
            assert (database > 0, schema) == (True, oid)
        catalog.compact()
    assert is_catalog(place)
    with open_catalog(place) as catalog:
        assert put(catalog, entry("b", [0.5, 0, 0, 0], photo=b"others")) == 2
        assert found(catalog) == "ab"
    assert check(place) == []


def test_a_catalog_lives_in_a_schema_of_any_name(address):
    lives(Address.parse(address))


def test_a_catalog_with_a_bucket_lives_in_a_schema_of_any_name(address, monkeypatch):
    with s3.running(monkeypatch) as store:
        place = Address.parse(f"{address}&photos=s3://photos/shop")
        lives(place)
        (owner,) = [key for key in store.buckets["photos"] if key.endswith(OWNER)]
        del store.buckets["photos"][owner]  # of a version that wrote none
        with open_catalog(place) as catalog:
            put(catalog, entry("c", [0.2, 0, 0, 0], photo=b"third"))
            with catalog.view() as transaction:
                assert isinstance(transaction, PostgresTransaction)
                assert store.photos[OWNER].decode() == transaction.database()
            catalog.remove(["c"])
            catalog.compact()
        assert check(place) == []
