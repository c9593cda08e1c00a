"""Photos of the next commit are read while this one is embedded and written; what was read too early is not used."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from osoroi import ingest, prefetch
from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.errors import BadDataset
from osoroi.ingest import Count
from osoroi.records import Crop, Problem, Product, Row
from tiny import TinyEncoder

WAIT_S = 20
"""How long a commit waits for a photo to be read, at most."""


@pytest.fixture
def encoder() -> TinyEncoder:
    return TinyEncoder()


@pytest.fixture
def catalog(tmp_path: Path, encoder: TinyEncoder) -> Iterator[LocalCatalog]:
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as catalog:
        yield catalog


def row(name: str, photo: Path, crop_id: str | None = None) -> Row:
    return Row(Product(name), Crop(crop_id or f"{name}/1", name, "shop", photo))


def photo(path: Path, color: tuple[int, int, int]) -> Path:
    Image.new("RGB", (40, 40), color).save(path)
    return path


def rows_of(folder: Path, names: str) -> list[Row]:
    return [row(name, photo(folder / f"{name}.png", (40 * at, 9, 200))) for at, name in enumerate(names)]


def before_first_commit(catalog: LocalCatalog, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[], object]) -> None:
    """Call ``meddle`` just before the first commit of a run."""
    put = catalog.put
    done: list[bool] = []

    def first(entries: list[Entry], *, fingerprint: str) -> int:
        if not done:
            done.append(True)
            meddle()
        return put(entries, fingerprint=fingerprint)

    monkeypatch.setattr(catalog, "put", first)


def test_photos_of_the_next_commit_are_read_before_this_one_is_written(
    tmp_path: Path, catalog: LocalCatalog, encoder: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_read = Event()
    of_file = prefetch.ChunkReader.read

    def read(reader: prefetch.ChunkReader, crop: Crop) -> object:
        if crop.product_id == "b":
            was_read.set()
        return of_file(reader, crop)

    monkeypatch.setattr("osoroi.prefetch.ChunkReader.read", read)
    waited: list[bool] = []
    before_first_commit(catalog, monkeypatch, lambda: waited.append(was_read.wait(WAIT_S)))
    assert ingest.add(rows_of(tmp_path, "ab"), catalog, encoder, products_per_commit=1).added == 2
    assert waited == [True]


def test_a_vector_that_another_writer_removed_meanwhile_is_made_anew(
    tmp_path: Path, catalog: LocalCatalog, encoder: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(tmp_path, "abc")
    ingest.add(rows[1:], catalog, encoder)
    held = catalog.vectors(["b/1"])
    before_first_commit(catalog, monkeypatch, lambda: catalog.remove(["b"]))
    count = ingest.add(rows, catalog, encoder, products_per_commit=1)
    assert count == Count(added=2, unchanged=1, embedded=2)
    assert np.array_equal(catalog.vectors(["b/1"]), held)


def test_a_photo_that_was_not_read_ahead_and_is_gone_at_its_turn_is_a_problem(
    tmp_path: Path, catalog: LocalCatalog, encoder: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(tmp_path, "ab")
    ingest.add(rows[1:], catalog, encoder)

    def meddle() -> None:
        catalog.remove(["b"])
        (tmp_path / "b.png").unlink()

    before_first_commit(catalog, monkeypatch, meddle)
    problems: list[Problem] = []
    count = ingest.add(rows, catalog, encoder, products_per_commit=1, on_problem=problems.append)
    assert (count.added, count.left_out, count.unreadable) == (1, 1, 1)
    assert [problem.product_id for problem in problems] == ["b"]


def test_what_another_writer_stored_meanwhile_is_not_embedded_again(
    tmp_path: Path, catalog: LocalCatalog, encoder: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(tmp_path, "ab")
    before_first_commit(catalog, monkeypatch, lambda: ingest.add(rows[1:], catalog, encoder))
    assert ingest.add(rows, catalog, encoder, products_per_commit=1) == Count(added=1, unchanged=1, embedded=1)


@pytest.mark.parametrize("good", [0, 1, 2, 3])
def test_what_came_before_rows_that_cannot_be_read_is_committed(
    tmp_path: Path, catalog: LocalCatalog, encoder: TinyEncoder, good: int
) -> None:
    def broken() -> Iterator[Row]:
        yield from rows_of(tmp_path, "abc")[:good]
        raise BadDataset("line 7 is cut off")

    with pytest.raises(BadDataset, match="line 7"):
        ingest.add(broken(), catalog, encoder, products_per_commit=1)
    whole = max(0, good - 1)  # the last product may have further rows
    assert sorted(product.product_id for product in catalog.products()) == list("abc"[:whole])


def test_products_whose_rows_stand_apart_are_joined_though_both_were_read_ahead(
    tmp_path: Path, catalog: LocalCatalog, encoder: TinyEncoder
) -> None:
    red, blue = photo(tmp_path / "r.png", (200, 9, 9)), photo(tmp_path / "b.png", (9, 9, 200))
    rows = [row("a", red, "a/1"), row("b", blue), row("a", blue, "a/2"), row("c", red), row("a", red, "a/3")]
    assert ingest.add(rows, catalog, encoder, products_per_commit=1) == Count(added=3, embedded=5)
    assert [crop.crop_id for crop in catalog.crops("a")] == ["a/1", "a/2", "a/3"]
    assert ingest.add(rows, catalog, encoder, products_per_commit=1) == Count(unchanged=3)
