"""The chance of a product does not depend on whether a search looked further down for others of the query's kind."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.calibration import DEPTH
from osoroi.garments.posterior import part
from osoroi.records import Crop, Product
from osoroi.search import Searcher, is_of_other_kind

TOPS, BAGS = DEPTH - 1, 40


@pytest.fixture(scope="module")
def query() -> np.ndarray:
    """A vector of a top."""
    encoder = Encoder.open()
    vector = np.random.default_rng(0).normal(size=(1, encoder.dim)).astype(np.float32)
    for columns in encoder.columns.values():
        vector[:, columns] /= np.linalg.norm(vector[:, columns])
    vector[:, encoder.columns[KIND]] = part({"top": 1.0})
    return vector


@pytest.fixture
def searcher(tmp_path: Path, query: np.ndarray) -> Iterator[Searcher]:
    """One list of tops that look less and less like the query, and bags that look much like it."""
    encoder, dice, photo = Encoder.open(), np.random.default_rng(1), io.BytesIO()
    Image.new("RGB", (32, 32)).save(photo, "PNG")
    entries = []
    for number in range(TOPS + BAGS):
        noise = dice.normal(size=query.shape) * (0.02 + 0.01 * number if number < TOPS else 0.03)
        vector = (query + noise).astype(np.float32)
        for columns in encoder.columns.values():
            vector[:, columns] /= np.linalg.norm(vector[:, columns])
        vector[:, encoder.columns[KIND]] = part({"top" if number < TOPS else "bag": 1.0})
        name = f"p{number:03}"
        crop = Crop(f"c{number:03}", name, "shop", photo.getvalue())
        entries.append(Entry(Product(name, category="Tops" if number < TOPS else "Bags"), [crop], vector))
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as catalog:
        catalog.put(entries, fingerprint=encoder.fingerprint)
        yield Searcher(encoder, catalog)


def test_chances_are_those_of_the_list_as_long_as_it_was_fitted_on(searcher: Searcher, query: np.ndarray) -> None:
    weighed = searcher.encoder.weigh(query, categorised=searcher.facts().categorised)
    whole = searcher.cosines(searcher.catalog.nearest(weighed, DEPTH), query)
    assert [is_of_other_kind(parts) for parts in whole] == [False] * TOPS + [True], "the list ends in another kind"
    of_whole = searcher.chances(whole)
    assert of_whole is not None
    expected = of_whole.each
    hits = searcher.nearest(query, 5, judged=True)
    assert [hit.probability for hit in hits] == pytest.approx(expected[:5])
    longer = searcher.cosines(searcher.catalog.nearest(weighed, DEPTH + BAGS), query)
    judged = searcher.chances(longer)
    assert judged is not None
    assert judged.each == pytest.approx(expected + [0.0] * (len(longer) - DEPTH))
    assert judged.any_of_them == of_whole.any_of_them
    many = searcher.nearest(query, DEPTH + BAGS, judged=True)
    assert [hit.probability for hit in many[:5]] == pytest.approx(expected[:5]), "whatever the length that is asked for"
