"""A writer that is killed, and a catalog that anything may happen to, against a plain dictionary."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

import postgres
from osoroi.catalog.address import place_of
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.store.settings import CatalogSettings
from shops import ENCODER, create, entry

TORTURE = Path(__file__).parents[1] / "benchmarks" / "torture.py"


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed():
    command = [sys.executable, str(TORTURE), "--kills", "12", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("12 of 12 kills survived"), done.stderr


names = st.sampled_from([f"p{place}" for place in range(12)])
TINY = CatalogSettings(snapshot_from=4, scan_from=8)
coordinates = st.integers(-3, 3).map(float)
vectors = st.lists(st.tuples(*[coordinates] * 4), min_size=1, max_size=3)
prices = st.none() | st.integers(0, 9).map(float)


class AnyHistory(RuleBasedStateMachine):
    """A writer and a reader of one catalog, in any order of steps; ``held`` is what has to be in it."""

    url: str | None = None  # of a server of PostgreSQL; without one the catalog is in a folder

    ids = Bundle("ids")

    @initialize()
    def create(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="osoroi-any-"))
        self.place = place_of(postgres.schema_of(self.url)) if self.url else self.folder / "shop"
        self.writer = create(self.place, settings=TINY)
        self.reader = open_catalog(self.place, readonly=True, settings=TINY)
        self.held: dict[str, tuple[float | None, list[tuple[float, ...]]]] = {}

    @rule(target=ids, name=names, price=prices, rows=vectors)
    def put(self, name, price, rows):
        seq = self.writer.seq
        changes = self.held.get(name) != (price, rows)
        one = entry(name, *rows, price=price, photo=name.encode())
        assert self.writer.put([one], fingerprint=ENCODER) == seq + changes
        self.held[name] = (price, rows)
        return name

    @rule(name=ids, price=prices)
    def patch(self, name, price):
        if name in self.held:
            self.writer.patch(name, {"price": price})
            self.held[name] = (price, self.held[name][1])

    @rule(name=consumes(ids))
    def remove(self, name):
        assert self.writer.remove([name, "none"]) == ([name] if self.held.pop(name, None) else [])

    @rule()
    def compact(self):
        assert self.writer.compact()

    @rule()
    def reopen(self):
        self.writer.close()
        self.reader.close()
        self.writer = open_catalog(self.place, settings=TINY)
        self.reader = open_catalog(self.place, readonly=True, settings=TINY)

    @rule(axis=st.tuples(*[coordinates] * 4), k=st.integers(1, 9), least=st.integers(0, 9))
    def search(self, axis, k, least):
        query = np.array([axis], np.float32)
        for where, allowed in (
            (None, self.held),
            (
                f"not price < {least}",
                {name for name, (price, _) in self.held.items() if not (least if price is None else price) < least},
            ),
        ):
            best = {name: max(float(np.dot(axis, row)) for row in rows) for name, (_, rows) in self.held.items()}
            scores = sorted((best[name] for name in best if name in allowed), reverse=True)[:k]
            for catalog in (self.writer, self.reader):
                hits = catalog.nearest(query, k, where=where)
                assert [hit.score for hit in hits] == scores, "whole numbers add up exactly"
                assert all(best[hit.product_id] == hit.score for hit in hits)
                assert len({hit.product_id for hit in hits} & set(allowed)) == len(hits)

    @invariant()
    def holds_what_was_acknowledged(self):
        if not hasattr(self, "held"):
            return
        products = {product.product_id: product.price for product in self.reader.products()}
        assert products == {name: price for name, (price, _) in self.held.items()}
        for name, (_, rows) in self.held.items():
            ids = [crop.crop_id for crop in self.reader.crops(name)]
            assert self.reader.vectors(ids).tolist() == [list(row) for row in rows]

    def teardown(self):
        if hasattr(self, "writer"):
            self.writer.close()
            self.reader.close()
            assert check(self.place, settings=TINY) == []
            shutil.rmtree(self.folder)


class TestAnyHistory(AnyHistory.TestCase):  # type: ignore[valid-type, misc]  # a property, to mypy
    settings = settings(max_examples=4, stateful_step_count=15, deadline=None)


class InPostgres(AnyHistory):
    """The same histories of a catalog in PostgreSQL."""


class TestAnyHistoryInPostgres(InPostgres.TestCase):  # type: ignore[valid-type, misc]  # a property, to mypy
    settings = settings(max_examples=3, stateful_step_count=12, deadline=None)

    @pytest.fixture(autouse=True)
    def server(self, postgres_url, tmp_path, monkeypatch):
        monkeypatch.setenv("OSOROI_CACHE", str(tmp_path))
        monkeypatch.setattr(InPostgres, "url", postgres_url)


@pytest.mark.slow
class TestLongHistories(AnyHistory.TestCase):  # type: ignore[valid-type, misc]  # a property, to mypy
    settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
