"""A writer dies while PostgreSQL is at its commit, which ends without it: what others acknowledge afterwards stays."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import psycopg
import pytest

from osoroi.catalog.address import Address
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.postgres import schema
from osoroi.catalog.stored import StoredCatalog
from shops import create, entry, put

DYING = "dying"
"""The name under which the writer connects that is to die."""

COMMIT_S = 1.0
"""Seconds that its commit takes in the server."""

WRITER = f"""
import sys
sys.path[:0] = {sys.path!r}
from osoroi.catalog.address import Address
from osoroi.catalog.opening import open_catalog
from shops import entry, put
with open_catalog(Address.parse(sys.argv[1])) as catalog:
    put(catalog, entry("a", [0, 2, 0, 0], price=2.0), entry("b", [0, 2, 0, 0], price=2.0))
print("acknowledged")
"""

SLOW = f"""
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('application_name') = '{DYING}' THEN PERFORM pg_sleep({COMMIT_S}); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow();
"""
"""A trigger that runs inside COMMIT."""

AT_COMMIT = "SELECT wait_event FROM pg_stat_activity WHERE application_name = %s AND query LIKE '%%COMMIT'"


@pytest.fixture
def place(postgres_address: str) -> Address:
    return Address.parse(postgres_address)


@pytest.fixture
def catalog(place: Address) -> Iterator[StoredCatalog]:
    with create(place, entry("a", [1, 0, 0, 0], price=1.0)) as catalog:
        yield catalog


@pytest.fixture
def server(place: Address) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with closing(psycopg.connect(place.conninfo, autocommit=True)) as connection:
        connection.execute(f"SET search_path TO {schema.quoted(place.schema)}")
        connection.execute(SLOW)
        yield connection


def killed_at_its_commit(address: str, server: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Start a writer, and kill it once the server is at its commit."""
    command = [sys.executable, "-c", WRITER, f"{address}&application_name={DYING}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    end = time.monotonic() + 60
    while server.execute(AT_COMMIT, (DYING,)).fetchone() != ("PgSleep",):
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    out, _ = process.communicate()
    assert (out, process.returncode) == (b"", -signal.SIGKILL), "it never had an answer"


def test_a_put_that_is_acknowledged_after_a_writer_died_at_its_commit_is_never_overwritten(
    catalog, server, postgres_address, place
):
    killed_at_its_commit(postgres_address, server)
    assert catalog.seq == 1, "it is not committed yet"
    later = entry("a", [0, 0, 3, 0], price=3.0)
    assert put(catalog, later) == 3, "the dead writer's commit came first, and this one after it"
    assert catalog.get("b").price == 2.0, "which is there whole"
    time.sleep(COMMIT_S / 2)
    with open_catalog(place, readonly=True) as reader:
        assert reader.get("a").price == 3.0
        assert np.array_equal(reader.vectors(["a/0"]), later.vectors)
    assert [row for (row,) in server.execute("SELECT kind FROM changes ORDER BY seq")] == ["put", "put", "put"]
    assert check(place) == []


def test_others_that_patch_remove_and_sync_meanwhile_come_after_it(catalog, server, postgres_address, place):
    killed_at_its_commit(postgres_address, server)
    done: list[object] = []
    with open_catalog(place, wait_s=30.0) as first, open_catalog(place, wait_s=30.0) as second:
        works = [
            threading.Thread(target=lambda: done.append(first.patch("a", {"brand": "x"}))),
            threading.Thread(target=lambda: done.append(second.remove(["b"]))),
        ]
        for work in works:
            work.start()
        for work in works:
            work.join()
    assert len(done) == 2
    assert (catalog.get("a").price, catalog.get("a").brand) == (2.0, "x"), "the patch is of what the dead one put"
    assert catalog.product_ids() == ["a"], "what it put is removed by who came later"
    assert check(place) == []


def test_a_state_read_in_several_transactions_meanwhile_may_be_of_two_commits(catalog, server, postgres_address):
    """Why whoever compares a catalog with what was acknowledged has to wait until dead writers' sessions are gone."""
    killed_at_its_commit(postgres_address, server)
    prices = [product.price for product in catalog.products()]
    while server.execute(AT_COMMIT, (DYING,)).fetchone():
        time.sleep(0.01)
    assert (prices, catalog.vectors(["a/0"]).tolist()) == ([1.0], [[0, 2, 0, 0]])
