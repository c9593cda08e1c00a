"""A catalog in PostgreSQL that is searched by pgvector keeps the contract of every other, and gives k products."""

import numpy as np
import pytest
from click.testing import CliRunner

import test_contract
from osoroi.catalog.address import Address, Place, place_of
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.postgres.pgvector import PgvectorCatalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.cli import main
from osoroi.errors import BadCatalog, BadRequest
from shops import create, entry, found, put, query

AGAIN = (
    "test_equal_scores_come_in_the_order_in_which_they_were_put_and_small_k_is_a_prefix",
    "test_filters_reach_columns_and_attributes_and_follow_every_change",
    "test_k_distinct_products_come_however_many_photos_each_has",
    "test_no_string_of_a_user_reaches_sql",
    "test_products_are_found_once_by_their_best_crop",
    "test_queries_that_do_not_fit_are_refused",
    "test_threads_search_while_another_writes_and_see_whole_commits_alone",
    "test_what_is_removed_is_gone_and_what_is_put_again_is_replaced",
)
"""Tests of the contract that run here once more, with the fixtures below."""

globals().update({name: getattr(test_contract, name) for name in AGAIN})

GRAPH = CatalogSettings(scan_from=50)
"""Every search of more vectors walks the graph."""


@pytest.fixture
def address(postgres_address: str) -> str:
    return f"{postgres_address}&search=pgvector"


@pytest.fixture
def catalog(place: Place):
    with create(place) as catalog:
        yield catalog


def drawn(count: int, per_product: int, seed: int = 0) -> list:
    """Products of unit vectors."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, per_product, 4))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return [
        entry(f"p{at:03}", *row.tolist(), price=float(at), photo=b"one", attributes={"even": at % 2 == 0})
        for at, row in enumerate(rows)
    ]


def ids(catalog, axis, k, where=None):
    return [hit.product_id for hit in catalog.nearest(axis, k, where=where)]


def test_it_is_the_catalog_that_an_address_names(place):
    with create(place) as catalog:
        assert isinstance(catalog, PgvectorCatalog)
    with pytest.raises(BadRequest, match="search is scan or pgvector"):
        place_of("postgresql:///x?search=magic")


def test_a_graph_finds_k_products_as_a_comparison_with_everything_does(place):
    entries = drawn(150, 3)
    with create(place, *entries, settings=GRAPH) as walked, open_catalog(place) as compared:
        health = walked.health()
        assert health is not None
        assert health.recall > 0.9
        assert compared.health() is None
        rng = np.random.default_rng(1)
        shared = []
        for where in (None, "even", "price >= 140", "price < 0"):
            for _ in range(5):
                axis = rng.standard_normal((1, 4)).astype(np.float32) * np.array([1, 1, 0, 2], np.float32)
                want, have = ids(compared, axis, 7, where), ids(walked, axis, 7, where)
                assert len(set(have)) == len(have) == len(want)
                shared += [name in have for name in want]
        assert np.mean(shared) > 0.95
        assert len(ids(walked, axis, 1000)) == 150, "all there are, where they are fewer than k"
        assert len(ids(walked, axis, 1000, "even")) == 75


def test_a_graph_that_gives_too_few_is_not_the_end(place):
    """One product has nearly all of the crops that are near."""
    near = np.c_[np.ones(400), np.random.default_rng(0).random((400, 3)) / 100]
    far = [entry(f"far{at}", [-1, 0, 0, at / 10]) for at in range(5)]
    with create(place, entry("near", *near.tolist(), photo=b"one"), *far, settings=GRAPH) as catalog:
        for k in range(1, 8):
            hits = [hit.product_id for hit in catalog.nearest(query(1, 0, 0, 0), k)]
            assert (hits[0], len(hits), len(set(hits))) == ("near", min(k, 6), min(k, 6))
        left = catalog.nearest(query(1, 0, 0, 0), 99, without=["near"])
        assert {hit.product_id for hit in left} == {f"far{at}" for at in range(5)}


def test_scores_are_those_of_the_exact_vectors(place):
    entries = drawn(20, 1)
    with create(place, *entries) as catalog:
        axis = query(0.3, 0.1, 0.5, 0.7)
        want = sorted((-float(one.vectors[0] @ axis[0]), one.product.product_id) for one in entries)[:5]
        hits = catalog.nearest(axis, 5)  # half precision errs by 1e-4
        assert [hit.product_id for hit in hits] == [name for _, name in want]
        assert [-hit.score for hit in hits] == pytest.approx([score for score, _ in want], abs=1e-6), (
            "not rounded to half"
        )


def test_writers_that_know_nothing_of_it_keep_it_up_to_date(place, postgres_address):
    create(place, *drawn(10, 2)).close()
    with create_again(postgres_address) as writer, open_catalog(place, readonly=True) as reader:
        put(writer, entry("new", [9, 0, 0, 0]))
        assert found(reader, k=1) == "new"
        put(writer, entry("new", [-9, 0, 0, 0]))
        assert found(reader).endswith("new")
        writer.remove(["new", "p001"])
        assert len(found(reader)) == 4 * 9
    assert check(place) == []


def create_again(address: str):
    """The same catalog, by an address that says nothing of pgvector."""
    return open_catalog(place_of(address))


def test_a_table_that_is_missing_is_made_by_a_writer_alone(postgres_address):
    plain = place_of(postgres_address)
    create(plain, *drawn(10, 2)).close()
    place = Address.parse(f"{postgres_address}&search=pgvector")
    with pytest.raises(BadCatalog, match=r"no table of vectors for pgvector.*serve ADDRESS --search pgvector"):
        open_catalog(place, readonly=True)
    with open_catalog(place) as catalog:
        assert len(ids(catalog, query(1, 0, 0, 0), 99)) == 10
    run = CliRunner().invoke(main, ["search", "shop", "--like", "p001", "--search", "pgvector"])
    assert (run.exit_code, "shop is a folder" in run.output) == (2, True)
