"""A writer dies while PostgreSQL is at its commit, which ends without it: what others acknowledge afterwards stays."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
from waiting import LONG_S, until

DYING = "dying"
"""The name under which the writer connects that is to die."""

GATE = secrets.randbelow(2**31)
"""The advisory lock at which its commit waits in the server; a test holds it."""

WRITER = f"""
import sys
sys.path[:0] = {sys.path!r}
from osoroi.catalog.address import Address
from osoroi.catalog.opening import open_catalog
from shops import entry, put
with open_catalog(Address.parse(sys.argv[1]), wait_s={LONG_S}) as catalog:
    put(catalog, entry("a", [0, 2, 0, 0], price=2.0), entry("b", [0, 2, 0, 0], price=2.0))
print("acknowledged")
"""

HELD = f"""
CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('application_name') = '{DYING}' THEN PERFORM pg_advisory_xact_lock({GATE}); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER held AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION held();
"""
"""A trigger that runs inside COMMIT."""

AT_COMMIT = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND query LIKE '%%COMMIT' AND wait_event = 'advisory'"
)
WAIT_FOR = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


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
        connection.execute(HELD)
        connection.execute("SELECT pg_advisory_lock(%s)", (GATE,))
        yield connection


def killed_at_its_commit(address: str, server: "psycopg.Connection[tuple[object, ...]]") -> int:
    """Start a writer, and kill it once the server is at its commit; the number of its session, which stays there."""
    command = [sys.executable, "-c", WRITER, f"{address}&application_name={DYING}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    sessions: list[int] = []

    def at_commit() -> bool:
        assert process.poll() is None, "it ended by itself"
        sessions.extend(pid for (pid,) in server.execute(AT_COMMIT, (DYING,)) if isinstance(pid, int))
        return bool(sessions)

    until(at_commit)
    os.kill(process.pid, signal.SIGKILL)
    out, _ = process.communicate()
    assert (out, process.returncode) == (b"", -signal.SIGKILL), "it never had an answer"
    return sessions[0]


def waiting_for(server: "psycopg.Connection[tuple[object, ...]]", session: int) -> object:
    """How many sessions wait for this one."""
    (count,) = server.execute(WAIT_FOR, (session,)).fetchone() or (0,)
    return count


def let_it_commit(server: "psycopg.Connection[tuple[object, ...]]", session: int) -> None:
    """Let the dead writer's commit go on, to the end of its session."""
    server.execute("SELECT pg_advisory_unlock(%s)", (GATE,))
    until(lambda: server.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (session,)).fetchone() is None)


def test_a_put_that_is_acknowledged_after_a_writer_died_at_its_commit_is_never_overwritten(
    catalog, server, postgres_address, place
):
    dead = killed_at_its_commit(postgres_address, server)
    assert catalog.seq == 1, "it is not committed yet"
    later = entry("a", [0, 0, 3, 0], price=3.0)
    with open_catalog(place, wait_s=LONG_S) as other, ThreadPoolExecutor(1) as threads:
        work = threads.submit(put, other, later)
        until(lambda: waiting_for(server, dead) == 1)
        let_it_commit(server, dead)
        assert work.result() == 3, "the dead writer's commit came first, and this one after it"
    assert catalog.get("b").price == 2.0, "which is there whole"
    with open_catalog(place, readonly=True) as reader:
        assert reader.get("a").price == 3.0
        assert np.array_equal(reader.vectors(["a/0"]), later.vectors)
    assert [row for (row,) in server.execute("SELECT kind FROM changes ORDER BY seq")] == ["put", "put", "put"]
    assert check(place) == []


def test_others_that_patch_remove_and_sync_meanwhile_come_after_it(catalog, server, postgres_address, place):
    dead = killed_at_its_commit(postgres_address, server)
    with (
        open_catalog(place, wait_s=LONG_S) as first,
        open_catalog(place, wait_s=LONG_S) as second,
        ThreadPoolExecutor(2) as threads,
    ):
        patch = threads.submit(first.patch, "a", {"brand": "x"})
        removal = threads.submit(second.remove, ["b"])
        until(lambda: waiting_for(server, dead) == 2)
        let_it_commit(server, dead)
        patch.result()
        removal.result()
    assert (catalog.get("a").price, catalog.get("a").brand) == (2.0, "x"), "the patch is of what the dead one put"
    assert catalog.product_ids() == ["a"], "what it put is removed by who came later"
    assert check(place) == []


def test_a_state_read_in_several_transactions_meanwhile_may_be_of_two_commits(catalog, server, postgres_address):
    """Why whoever compares a catalog with what was acknowledged has to wait until dead writers' sessions are gone."""
    dead = killed_at_its_commit(postgres_address, server)
    prices = [product.price for product in catalog.products()]
    let_it_commit(server, dead)
    assert (prices, catalog.vectors(["a/0"]).tolist()) == ([1.0], [[0, 2, 0, 0]])
