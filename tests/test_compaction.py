"""An index that no longer fits what a catalog holds is noticed, and made anew in the background."""

from pathlib import Path

import numpy as np
import pytest

from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.records import Crop, Product
from shops import create, put

DIM = 16
COUNT = 3_000
SCANNED = CatalogSettings(snapshot_from=1_000, scan_from=2_000)


def entries(prefix: str, vectors: np.ndarray) -> list[Entry]:
    """One product for each vector, all with one photo."""
    return [
        Entry(Product(f"{prefix}{at}"), [Crop(f"{prefix}{at}", f"{prefix}{at}", "shop", b"one photo")], row[None])
        for at, row in enumerate(vectors)
    ]


@pytest.fixture
def catalog(tmp_path: Path):
    rng = np.random.default_rng(0)
    flat = (rng.standard_normal((COUNT, 4)) @ rng.standard_normal((4, DIM))).astype(np.float32)  # 4 axes of 16
    with create(tmp_path / "shop", *entries("a", flat), dim=DIM, settings=SCANNED) as made:
        assert isinstance(made, LocalCatalog)
        made.settle()
        yield made


def test_info_notices_drift_and_a_compaction_in_the_background_learns_anew(catalog: LocalCatalog) -> None:
    index = catalog.info().index
    assert index == {"vectors": COUNT, "tail": 0, "gone": 0, "recall": 1.0, "drift": pytest.approx(1, abs=0.1)}
    strange = 3 * np.random.default_rng(1).standard_normal((900, DIM)).astype(np.float32)
    put(catalog, *entries("b", strange))  # too few for a new snapshot
    catalog.settle()
    index = catalog.info().index
    assert index is not None
    assert (index["tail"], index["recall"]) == (900, 1.0)
    assert index["drift"] > 2
    put(catalog, *entries("c", strange[:600]))
    catalog.settle()
    index = catalog.info().index
    assert index is not None
    assert (index["vectors"], index["tail"], index["recall"]) == (COUNT + 1_500, 0, 1.0)
    assert index["drift"] == pytest.approx(1, abs=0.1)


def test_info_of_a_small_catalog_has_nothing_to_say_about_its_index(tmp_path: Path) -> None:
    with create(tmp_path / "shop", *entries("a", np.eye(4, DIM, dtype=np.float32)), dim=DIM) as catalog:
        assert catalog.info().index is None
