"""A catalog in PostgreSQL: what many writers, a server and a network bring. What all do: ``test_contract``."""

import logging
import threading
import time
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner

import postgres
import web
from osoroi.catalog.address import Address
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import encoder_of, is_catalog, open_catalog, open_or_create, store_encoder
from osoroi.catalog.postgres import schema
from osoroi.catalog.postgres.catalog import PostgresCatalog, bring_up_to_date
from osoroi.catalog.postgres.connection import PostgresConnection
from osoroi.catalog.postgres.follower import Follower
from osoroi.catalog.postgres.pool import PostgresPool
from osoroi.catalog.postgres.transaction import PostgresTransaction
from osoroi.catalog.store.photos import hash_of
from osoroi.cli import main
from osoroi.errors import BadCatalog, BadRequest, CatalogReplaced, CatalogUnavailable
from shop import file_of, goods, serving
from shops import SMALL, create, entry, found, put, query
from tiny import TinyEncoder


@pytest.fixture
def place(postgres_address: str) -> Address:
    return Address.parse(postgres_address)


@pytest.fixture
def catalog(place: Address):
    with create(place) as catalog:
        yield catalog


def sql(place: Address, statement: str, *values):
    """Run a statement in the catalog's schema, past osoroi."""
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema.quoted(place.schema)}")
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else None


def test_a_slow_commit_hides_no_other_and_is_passed_over_by_no_reader(catalog, place):
    with open_catalog(place) as other, open_catalog(place, readonly=True) as reader:
        assert found(reader) == ""
        with catalog.writer.commit("put", ["a"]) as (_, touched):
            touched.products += [10_001]  # it writes, and its end is slow
            assert put(other, entry("b", [1, 0, 0, 0])) == 1, "nobody waits for it"
            assert found(reader) == "b"
            touched.products.clear()
        assert put(catalog, entry("a", [2, 0, 0, 0])) == 2
        assert found(reader) == "ab"


def test_the_number_of_a_commit_is_seen_only_after_all_before_it(catalog, place):
    """Between the number and the end of a commit nobody else gets a number."""
    done: list[int] = []
    with open_catalog(place) as other, open_catalog(place, readonly=True) as reader:
        put(catalog, entry("a", [1, 0, 0, 0]))
        with catalog.writer.commit("slow", ["x"]) as (transaction, touched):
            assert catalog._pool.seal(transaction.connection) == 1
            thread = threading.Thread(target=lambda: done.append(put(other, entry("b", [2, 0, 0, 0]))))
            thread.start()
            time.sleep(0.3)
            assert (done, reader.seq, found(reader)) == ([], 1, "a")
            touched.gone_products.append(10_001)
        thread.join()
        assert done == [3]
        assert found(reader) == "ba"
    assert [seq for (seq,) in sql(place, "SELECT seq FROM changes ORDER BY seq")] == [1, 2, 3]


def test_many_writers_at_once_lose_nothing_and_number_without_a_gap(catalog, place):
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with open_catalog(place, wait_s=60.0) as mine:
                for round_ in range(6):
                    both = entry("both", [0, 0, 1, number], price=float(round_), attributes={f"a{number}": "x"})
                    put(mine, entry(f"{number}-{round_}", [1, 0, 0, round_], attributes={"n": float(round_)}), both)
                    mine.patch(f"{number}-{round_}", {"sale": True, "price": 1.0 + number})
        except BaseException as error:  # noqa: BLE001  reported below
            errors.append(error)

    with open_catalog(place, readonly=True) as reader:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            found(reader)
            time.sleep(0.02)
        assert not errors
        names = {f"{number}-{round_}" for number in range(4) for round_ in range(6)}
        assert {hit.product_id for hit in reader.nearest(query(1, 0, 0, 0), 99)} == {*names, "both"}
        assert reader.count(where="sale and price >= 1") == 24
    numbers = [seq for (seq,) in sql(place, "SELECT seq FROM changes ORDER BY seq")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert check(place) == []


def test_two_writers_that_claim_one_crop_cannot_both_have_it(catalog, place):
    claims = [entry(name, [1, 0, 0, 0]) for name in ("a", "b")]
    claims = [
        one._replace(crops=[one.crops[0].__class__("same", one.product.product_id, "shop", b"x")]) for one in claims
    ]
    outcomes: list[object] = []

    def claim(one) -> None:
        with open_catalog(place) as mine:
            try:
                outcomes.append(put(mine, one))
            except BadRequest as error:
                outcomes.append(str(error))

    threads = [threading.Thread(target=claim, args=(one,)) for one in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes))[0] == "1"
    assert "belongs to product" in sorted(map(str, outcomes))[1]
    assert len(catalog) == 1


def test_a_crop_whose_owner_is_removed_while_it_is_claimed_is_refused_in_words(catalog, place, monkeypatch):
    put(catalog, entry("a", [1, 0, 0, 0]))
    claim = entry("b", [2, 0, 0, 0])
    claim = claim._replace(crops=[replace(claim.crops[0], crop_id="a/0")])
    with open_catalog(place) as other:
        read = PostgresTransaction.all

        def after_a_removal(self, statement, *values):  # the crops were read, and this is the statement behind them
            if "crop" in statement or "FROM products WHERE product =" in statement or "FROM vectors" in statement:
                monkeypatch.undo()
                other.remove(["a"])
            return read(self, statement, *values)

        monkeypatch.setattr(PostgresTransaction, "all", after_a_removal)
        with pytest.raises(BadRequest, match="belongs to product 'a'"):
            put(catalog, claim)
    assert catalog.product_ids() == []
    put(catalog, claim)
    assert (found(catalog), check(place)) == ("b", [])


class Silent(PostgresPool):
    """Behind a pooler that drops every notification."""

    def notify(self, connection: PostgresConnection, seq: int) -> None:
        pass


@pytest.mark.parametrize("pool", [PostgresPool, Silent])
def test_a_follower_hears_of_a_commit_or_sees_it_when_it_looks(catalog, place, pool, tmp_path):
    heard = threading.Event()
    listening = pool(place, tmp_path, readonly=False, wait_s=60.0)
    catalog.writer._pool = listening
    calls: list[float] = []

    def catch_up() -> None:
        calls.append(time.monotonic())
        if catalog.seq:
            heard.set()

    follower = Follower(listening, catch_up)
    try:
        while not calls:
            time.sleep(0.01)
        put(catalog, entry("a", [1, 0, 0, 0]))
        assert heard.wait(60)
    finally:
        follower.stop()
        listening.close()


def test_whoever_listens_gets_the_number_of_each_commit(catalog):
    with catalog._pool.listening() as connection:
        put(catalog, entry("a", [1, 0, 0, 0]))
        catalog.remove(["a"])
        assert [one.payload for one in connection.notifies(timeout=60, stop_after=2)] == ["1", "2"]


def test_a_searcher_brings_its_index_up_to_date_before_the_next_search(catalog, place):
    with open_catalog(place, readonly=True) as reader:
        found(reader)
        found(reader)  # from the second search on it follows
        put(catalog, entry("a", [1, 0, 0, 0]))
        start = time.monotonic()
        while reader._memory is None or reader._memory.seq < 1:
            time.sleep(0.01)
            assert time.monotonic() - start < 60
        assert found(reader) == "a"


def test_a_connection_that_is_cut_in_mid_transaction_leaves_nothing(catalog, place):
    put(catalog, entry("a", [1, 0, 0, 0]))

    def cut() -> None:
        with catalog.writer.commit("put") as (transaction, touched):
            transaction.connection.execute("DELETE FROM products")
            (pid,) = transaction.one("SELECT pg_backend_pid()")
            sql(place, "SELECT pg_terminate_backend(%s)", pid)
            touched.gone_products.append(1)

    with pytest.raises(CatalogUnavailable, match="may or may not be there"):
        cut()
    assert found(catalog) == "a"
    sql(
        place,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'",
    )
    assert put(catalog, entry("b", [2, 0, 0, 0])) == 2, "cut while they lay idle, connections are replaced"
    assert found(catalog) == "ba"


def test_a_server_that_is_killed_and_comes_back_has_all_that_was_acknowledged(tmp_path, monkeypatch):
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path))
    with postgres.running() as server:
        place = Address.parse(postgres.schema_of(server.url()))
        with create(place, entry("a", [1, 0, 0, 0])) as catalog:
            assert found(catalog) == "a"
            server.kill()
            with pytest.raises(CatalogUnavailable):
                put(catalog, entry("lost", [9, 0, 0, 0]))
            server.start()
            assert found(catalog) == "a"
            assert put(catalog, entry("b", [2, 0, 0, 0])) == 2
            assert found(catalog) == "ba"


def test_a_password_is_in_no_error_no_text_and_no_log(place, postgres_url, caplog):
    caplog.set_level(logging.DEBUG)
    wrong = Address.parse("postgresql://osoroi:tops3cret@127.0.0.1:1/x?sslmode=disable&password=also%20s3cret")
    with pytest.raises(CatalogUnavailable) as refused:
        PostgresCatalog.open(wrong)
    with create(place) as catalog:
        texts = [str(refused.value), repr(wrong), str(wrong), f"{wrong}", repr(catalog), catalog.location, caplog.text]
        texts += [str(catalog.info()), str(vars(refused.value)), repr(place)]
    assert not [text for text in texts if "s3cret" in text or "pass word" in text or "pass%20word" in text]
    run = CliRunner().invoke(main, ["info", "postgresql://osoroi:tops3cret@127.0.0.1:1/x"])
    assert run.exit_code == 1
    assert "s3cret" not in run.output


def test_an_address_that_cannot_be_read_is_refused_in_words():
    for text in ("postgresql://h/db?schema=", f"postgresql://h/db?schema={'x' * 64}", "postgresql://[h/db"):
        with pytest.raises(BadRequest, match=r"schema|address"):
            Address.parse(text)


def test_a_newer_version_is_refused_and_an_older_one_brought_up_to_date(catalog, place):
    put(catalog, entry("a", [1, 0, 0, 0]))
    steps = (*schema.STEPS, "ALTER TABLE photos ADD COLUMN seen BIGINT")
    with psycopg.connect(place.conninfo, autocommit=True) as native:
        with pytest.raises(BadCatalog, match=f"has version {len(schema.STEPS)}"):
            bring_up_to_date(native, place, readonly=True, steps=steps)
        for _ in range(2):
            bring_up_to_date(native, place, readonly=False, steps=steps)
    assert sql(place, "SELECT count(seen) FROM photos") == [(0,)]
    assert found(catalog) == "a"
    with pytest.raises(
        BadCatalog, match=f"has version {len(steps)}, and this osoroi reads version {len(schema.STEPS)}"
    ):
        PostgresCatalog.open(place)


def test_a_schema_that_holds_something_else_is_left_alone(place):
    sql(place, f"CREATE SCHEMA {schema.quoted(place.schema)}; CREATE TABLE {schema.quoted(place.schema)}.crops (x INT)")
    assert not is_catalog(place)
    with pytest.raises(BadCatalog, match="tables of the same names"):
        create(place)
    with pytest.raises(BadCatalog, match="there is no catalog at"):
        open_catalog(place)
    assert sql(place, "SELECT count(*) FROM crops") == [(0,)]


def test_another_catalog_at_the_address_is_noticed(catalog, place):
    put(catalog, entry("a", [1, 0, 0, 0]))
    postgres.drop(f"{place.conninfo}?schema={place.schema}")
    with pytest.raises(CatalogReplaced, match="is gone"):
        found(catalog)
    with create(place), pytest.raises(CatalogReplaced, match="replaced by another"):
        put(catalog, entry("b", [1, 0, 0, 0]))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE products SET title = 'other'", "product 'a' is not what was written"),
        ("UPDATE products SET category_folded = 'x'", "filters see other text of product 'a'"),
        ("UPDATE vectors SET vector = vector || 'x'", "vector of crop"),
        ("DELETE FROM facts", "filters see 0 attributes"),
        ("DROP TABLE photos", "tables are missing: photos"),
        ("DELETE FROM crops", "has no crop"),
    ],
)
def test_check_names_what_was_changed_past_osoroi(catalog, place, damage, says):
    put(catalog, entry("a", [1, 0, 0, 0], category="Tops", attributes={"size": "M"}))
    assert check(place) == []
    sql(place, damage)
    assert any(says in finding.text for finding in check(place)), check(place)


def test_kept_photos_come_to_every_machine_and_go_with_their_crops(catalog, place, monkeypatch, tmp_path):
    put(catalog, entry("a", [1, 0, 0, 0], photo=b"pixels"), entry("b", [1, 0, 0, 0], photo=b"others"))
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "another machine"))
    with open_catalog(place) as elsewhere:
        assert file_of(elsewhere.crops("a")[0]).read_bytes() == b"pixels"
        elsewhere.remove(["b"])
        elsewhere.compact()
    assert sql(place, "SELECT sha256 FROM photos") == [(hash_of(b"pixels"),)]


def test_the_encoder_of_a_catalog_comes_to_every_machine(catalog, place, monkeypatch, tmp_path):
    from osoroi.encoder.onnx import DEFAULT

    mine = tmp_path / "mine.onnx"
    mine.write_bytes(DEFAULT.read_bytes())
    (tmp_path / "mine.onnx.text").write_bytes(b"words")
    store_encoder(catalog, mine)
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "another machine"))
    with open_catalog(place) as elsewhere:
        assert encoder_of(elsewhere).path == elsewhere.folder / "encoder.onnx"
        assert (elsewhere.folder / "encoder.onnx").read_bytes() == mine.read_bytes()
        assert (elsewhere.folder / "encoder.onnx.text").read_bytes() == b"words"
        store_encoder(elsewhere, None)
        assert encoder_of(elsewhere).path != elsewhere.folder / "encoder.onnx"
        assert not list(elsewhere.folder.glob("encoder*"))


def test_text_with_a_nul_is_refused_and_nothing_of_its_batch_stays(catalog):
    for wrong in (entry("a", [1, 0, 0, 0], title="x\0"), entry("a", [1, 0, 0, 0], attributes={"n": "x\0"})):
        with pytest.raises(BadRequest, match="NUL"):
            put(catalog, entry("good", [1, 0, 0, 0]), wrong)
    assert (len(catalog), catalog.seq) == (0, 0)


def test_a_snapshot_in_the_cache_is_used_and_never_of_another_catalog(place, monkeypatch, tmp_path):
    rng = np.random.default_rng(3)
    entries = [entry(f"p{at:04}", rng.standard_normal(4).tolist()) for at in range(120)]
    with create(place, *entries, settings=SMALL) as catalog:
        assert catalog.compact()
        before = catalog.nearest(query(1, 2, 3, 4), 5)
        assert "120 vectors" in catalog.info().snapshot
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "another machine"))
    with open_catalog(place, readonly=True, settings=SMALL) as elsewhere:
        assert [hit.crop_id for hit in elsewhere.nearest(query(1, 2, 3, 4), 5)] == [hit.crop_id for hit in before]
        assert "120 vectors" in elsewhere.info().snapshot, "the first search saves what it has built"
    postgres.drop(f"{place.conninfo}?schema={place.schema}")
    with create(place, *entries[:110], settings=SMALL) as other:
        assert len(other.nearest(query(1, 2, 3, 4), 200)) == 110
        assert "110 vectors" in other.info().snapshot


def test_commands_take_an_address(postgres_address, tmp_path):
    def osoroi(*words: str, code: int = 0) -> str:
        run = CliRunner().invoke(main, list(words))
        assert run.exit_code == code, run.output
        return run.output

    osoroi("search", postgres_address, "--like", "p00001", code=1)
    assert "6 added" in osoroi("add", postgres_address, "drawn:6")
    assert "6 unchanged" in osoroi("add", postgres_address, "drawn:6")
    assert "products     6" in osoroi("info", postgres_address)
    assert "is sound" in osoroi("check", postgres_address)
    assert '"product_id"' in osoroi("search", postgres_address, "--like", "p00001", "-k", "2", "--json")
    assert "1 removed" in osoroi("sync", postgres_address, "drawn:5")
    assert "1 removed" in osoroi("remove", postgres_address, "p00000")
    assert "pg_dump" in osoroi("backup", postgres_address, str(tmp_path / "x.tar"), code=2)
    assert "not" not in osoroi("reencode", postgres_address)


def test_the_service_searches_and_writes_and_names_no_host_and_no_password(place):
    encoder = TinyEncoder()
    with open_or_create(place, encoder) as catalog:
        catalog.put(goods(encoder), fingerprint=encoder.fingerprint)
        with serving(encoder, catalog) as address, web.Client(base_url=address) as client:
            hits = client.post("/v1/search", data={"product_id": "P1", "where": "category = tops"}).json()["hits"]
            assert {hit["product_id"] for hit in hits} == {"P3", "P4"}
            assert client.patch("/v1/products/P3", json={"price": 1.0}).json()["price"] == 1.0
            answers = [
                client.get(path) for path in ("/health", "/", "/v1/products/P3", "/v1/products/none", "/metrics")
            ]
            postgres.drop(f"{place.conninfo}?schema={place.schema}")
            answers.append(client.get("/v1/products/P3"))
            assert answers[-1].status_code >= 500
            text = "".join(answer.text for answer in answers)
            assert not [word for word in ("pass%20word", "pass word", "osoroi@", "127.0.0.1:") if word in text]


def test_a_run_that_fails_leaves_no_empty_catalog(postgres_address, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("product_id,photo\na,gone.jpg\n")
    run = CliRunner().invoke(main, ["add", postgres_address, str(table)])
    assert run.exit_code == 1
    assert not is_catalog(Address.parse(postgres_address))


def test_no_server_is_a_plain_error():
    with pytest.raises(CatalogUnavailable, match="see whether the server runs"):
        open_catalog(Address.parse("postgresql://osoroi@127.0.0.1:1/x"))
