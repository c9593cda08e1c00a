"""PostgreSQL as a shop shares it: behind a pooler, as a replica, with rights, limits and times of somebody else."""

import contextlib
import logging
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import postgres
from osoroi.catalog.address import Address
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import create_catalog, open_catalog
from osoroi.catalog.postgres.follower import POLL_S, RETRY_S
from osoroi.catalog.postgres.transaction import PostgresTransaction
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import Busy, CatalogUnavailable
from shops import create, entry, found, put, query
from tcp_front import TcpFront


@pytest.fixture
def place(postgres_address: str) -> Address:
    return Address.parse(postgres_address)


@pytest.fixture
def catalog(place: Address) -> Iterator[StoredCatalog]:
    with create(place, entry("a", [1, 0, 0, 0], price=1.0), entry("b", [0.5, 0, 0, 0], price=2.0)) as made:
        yield made


class Pooler(TcpFront):
    """Stands before a server, and gives its processes other numbers, as poolers do."""

    def session(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.server) as server:
            back = threading.Thread(target=self._pump, args=(server, client, b"K\0\0\0\x0c"), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, number_after: bytes = b"") -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if number_after and (at := data.find(number_after)) >= 0:
                    at, number_after = at + len(number_after), b""
                    data = data[:at] + b"\0\0\0\1" + data[at + 4 :]
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


def prepared(catalog: StoredCatalog) -> int:
    """Prepared statements of a session that has done the same many times."""
    for _ in range(20):
        found(catalog, "price < 5")
        catalog.get("a")
    with catalog.view() as transaction:
        (count,) = transaction.one("SELECT count(*) FROM pg_prepared_statements")
    return int(count)


def test_nothing_is_prepared_behind_a_pooler_where_the_next_transaction_has_another_session(catalog, place):
    info = psycopg.conninfo.conninfo_to_dict(place.conninfo)
    pooler = Pooler((str(info["host"]), int(info.get("port") or 5432)))
    try:
        behind = place.conninfo.replace(f":{info['port']}", f":{pooler.port}")
        with open_catalog(Address.parse(f"{behind}?schema={place.schema}&sslmode=disable")) as pooled:
            assert prepared(pooled) == 0
            pooled.patch("a", {"price": 3.0})
            assert found(pooled) == "ab"
    finally:
        pooler.close()
    assert prepared(catalog) > 0, "it saves the server work where sessions are our own"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[postgres.Server, postgres.Server]]:
    """A server, and a replica of it."""
    with postgres.running() as primary, tempfile.TemporaryDirectory(prefix="osoroi-pg-") as folder:
        replica = primary.replica(Path(folder))
        replica.start()
        yield primary, replica
        replica.stop()


def test_a_replica_is_searched_and_followed_and_says_that_it_takes_no_writes(pair, caplog):
    primary, replica = pair
    caplog.set_level(logging.INFO)
    there, here = (Address.parse(f"{server.url()}?schema=shop") for server in (primary, replica))
    with create(there, entry("a", [1, 0, 0, 0])) as writer:
        end = time.monotonic() + 60
        while not is_there(here):
            assert time.monotonic() < end, "it does not follow"
            time.sleep(0.05)
        with open_catalog(here) as reader:
            assert [found(reader), found(reader)] == ["a", "a"]  # from the second search on it follows
            put(writer, entry("b", [0.5, 0, 0, 0]))
            while reader._memory is None or reader._memory.seq < writer.seq:
                assert time.monotonic() < end, "the index is not brought up to date between searches"
                time.sleep(0.05)
            assert found(reader) == "ab"
            for work in (lambda: put(reader, entry("c", [1, 0, 0, 0])), lambda: reader.remove(["a"])):
                with pytest.raises(CatalogUnavailable, match=r"cannot be written here.*target_session_attrs"):
                    work()
    assert check(here) == []
    with pytest.raises(CatalogUnavailable, match="target_session_attrs"):
        create_catalog(Address.parse(f"{replica.url()}?schema=new"), fingerprint="f" * 64, dim=4)
    assert "not followed" not in caplog.text
    both = f"postgresql://osoroi:pass%20word@127.0.0.1:{replica.port},127.0.0.1:{primary.port}/postgres"
    with open_catalog(Address.parse(f"{both}?schema=shop&target_session_attrs=read-write")) as catalog:
        catalog.patch("a", {"price": 1.0})


def is_there(place: Address) -> bool:
    """Whether a replica has come so far."""
    with psycopg.connect(place.conninfo) as connection:
        row = connection.execute(f"SELECT to_regclass('{place.schema}.crops')").fetchone()
        return row is not None and row[0] is not None and bool(count(connection, place))


def count(connection: psycopg.Connection[tuple[int, ...]], place: Address) -> int:
    row = connection.execute(f"SELECT count(*) FROM {place.schema}.crops").fetchone()  # noqa: S608 (ours)
    return row[0] if row else 0


@contextlib.contextmanager
def role(place: Address, rights: str, *settings: str) -> Iterator[Address]:
    """The address with a role of its own that may read, and ``rights``, under such settings."""
    name = f"osoroi_{secrets.token_hex(4)}"
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' {rights}")
        connection.execute(f'GRANT USAGE ON SCHEMA "{place.schema}" TO {name}')
        connection.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{place.schema}" TO {name}')
        for one in settings:
            connection.execute(f"ALTER ROLE {name} SET {one}")
        host = place.conninfo.rpartition("@")[2]
        yield Address.parse(f"postgresql://{name}:x@{host}?schema={place.schema}")
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_role_that_may_only_read_searches_and_is_refused_in_words(catalog, place):
    with role(place, "") as reading, open_catalog(reading) as reader:
        assert found(reader, "price < 5") == "ab"
        assert check(reading) == []
        for work in (lambda: reader.patch("a", {"price": 9.0}), lambda: reader.remove(["a"])):
            with pytest.raises(CatalogUnavailable, match=r"permission denied.*check the role's permissions"):
                work()
        assert found(reader) == "ab"


def test_a_role_with_one_connection_searches_and_its_follower_says_once_that_it_has_none(catalog, place, caplog):
    with role(place, "CONNECTION LIMIT 1") as limited, open_catalog(limited) as reader:
        for _ in range(3):
            assert found(reader) == "ab"
        time.sleep(2 * RETRY_S + POLL_S)
        put(catalog, entry("c", [0.7, 0, 0, 0]))
        assert found(reader) == "acb", "searches look for themselves"
    assert caplog.text.count("commits are not followed just now") == 1


def test_a_time_limit_of_the_role_is_no_fault_of_a_filter(catalog, place):
    with role(place, "", "statement_timeout = '2s'") as hasty, open_catalog(hasty) as reader:
        assert found(reader) == "ab"
        with (
            pytest.raises(CatalogUnavailable, match="see whether the role or the database has a statement_timeout"),
            reader.view() as transaction,
        ):
            transaction.one("SELECT pg_sleep(600)")
        assert len(reader.nearest(query(1, 0, 0, 0), 1)) == 1


def test_a_refusal_of_the_server_is_told_at_once_and_not_taken_for_a_lost_connection(catalog, place):
    """Connections that were cut are replaced for as long as a writer may wait; one that is refused is there."""
    with role(place, "", "lock_timeout = '100ms'") as hasty, open_catalog(hasty, wait_s=60.0) as reader:
        assert found(reader) == "ab"
        with psycopg.connect(place.conninfo) as connection:
            connection.execute(f'LOCK TABLE "{place.schema}".meta IN ACCESS EXCLUSIVE MODE')
            start = time.monotonic()
            with pytest.raises(Busy), reader.view():
                pass
            assert time.monotonic() - start < 30
        assert found(reader) == "ab"


def test_a_role_that_may_not_know_the_number_of_its_server_has_the_rest_of_the_name(catalog, place):
    with catalog.view() as transaction:
        assert isinstance(transaction, PostgresTransaction)
        whole = transaction.database()
    assert not whole.startswith("0-")
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        try:
            with role(place, "") as other, open_catalog(other) as reader, reader.view() as transaction:
                assert isinstance(transaction, PostgresTransaction)
                assert transaction.database() == f"0-{whole.partition('-')[2]}"
        finally:
            connection.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
