"""Adding products: what goes in, what is said of the rest, and that doing it again changes nothing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi import ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.errors import BadDataset, OtherEncoder
from osoroi.ingest import Count, Problem
from osoroi.records import Box, Crop, Product, Row
from tiny import TinyEncoder


class CountingEncoder(TinyEncoder):
    """Remembers how many crops it was given."""

    encoded = 0

    def encode(self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, "b d"]:
        self.encoded += len(crops)
        return super().encode(crops)


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def catalog(tmp_path: Path, encoder: CountingEncoder) -> Iterator[LocalCatalog]:
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as catalog:
        yield catalog


def photo(path: Path, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (24, 20), colour).save(path)
    return path


def row(product_id: str, path: Path, crop_id: str | None = None, **product: object) -> Row:
    return Row(
        Product(product_id, title=f"coat {product_id}", **product),  # type: ignore[arg-type]
        Crop(crop_id or f"{product_id}/1", product_id, "shop", path),
    )


def ids(catalog: LocalCatalog) -> list[str]:
    return [product.product_id for product in catalog.products()]


def test_a_thousand_photos_of_which_fifty_are_broken_leave_950_in_and_50_named(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    rng = np.random.default_rng(7)
    rows, broken = [], set()
    for number in range(1000):
        path = photo(tmp_path / f"{number:04}.jpg", tuple(rng.integers(0, 256, 3).tolist()))
        if number % 20 == 3:
            broken.add(f"p{number:04}")
            whole = path.read_bytes()
            match number // 20 % 5:
                case 0:
                    path.write_bytes(whole[: len(whole) // 2])
                case 1:
                    path.write_bytes(b"")
                case 2:
                    path.write_text("<html>404 not found</html>")
                case 3:
                    path.unlink()
                case 4:
                    photo(path, (0, 0, 0))
                    Image.new("RGB", (8, 8)).save(path)
        rows.append(row(f"p{number:04}", path))
    problems: list[Problem] = []
    count = ingest.add(rows, catalog, encoder, on_problem=problems.append)
    assert (count.added, count.left_out, count.unreadable) == (950, 50, 50)
    assert set(ids(catalog)) == {f"p{number:04}" for number in range(1000)} - broken
    assert {problem.product_id for problem in problems} == broken
    assert all(problem.photo in problem.reason for problem in problems), "each reason names the file"
    assert len({problem.reason.replace(problem.photo, "") for problem in problems}) >= 5, "five kinds of broken"


def test_adding_the_same_again_changes_nothing_and_embeds_nothing(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    rows = [row(name, photo(tmp_path / f"{name}.png", (40 * at, 9, 200))) for at, name in enumerate("abc")]
    ingest.add(rows, catalog, encoder)
    before = catalog.info()
    count = ingest.add(rows, catalog, encoder)
    assert count == Count(unchanged=3)
    assert encoder.encoded == 3
    assert catalog.info() == before


def test_a_run_that_was_stopped_goes_on_without_embedding_twice(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    rows = [row(name, photo(tmp_path / f"{name}.png", (40 * at, 9, 200))) for at, name in enumerate("abcde")]

    def stopped() -> Iterator[Row]:
        yield from rows[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest.add(stopped(), catalog, encoder, products_per_commit=2)
    assert ids(catalog) == ["a", "b"], "one whole chunk was committed"
    count = ingest.add(rows, catalog, encoder)
    assert (count.added, count.unchanged, count.embedded) == (3, 2, 3)
    assert encoder.encoded == 2 + 3


def test_a_changed_price_is_stored_without_embedding(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    path = photo(tmp_path / "a.png", (200, 9, 9))
    ingest.add([row("a", path, price=10.0)], catalog, encoder)
    count = ingest.add([row("a", path, price=8.0)], catalog, encoder)
    assert (count.changed, count.embedded) == (1, 0)
    assert catalog.get("a").price == 8.0


def test_new_bytes_under_the_same_path_are_embedded_again(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    rows = [row("a", photo(tmp_path / "a.png", (200, 9, 9)))]
    ingest.add(rows, catalog, encoder)
    red = catalog.vectors(["a/1"])
    photo(tmp_path / "a.png", (9, 9, 200))
    count = ingest.add(rows, catalog, encoder)
    assert (count.changed, count.embedded) == (1, 1)
    assert not np.allclose(catalog.vectors(["a/1"]), red)


def test_another_box_is_another_crop(tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder) -> None:
    product, crop = row("a", photo(tmp_path / "a.png", (200, 9, 9)))
    ingest.add([Row(product, crop)], catalog, encoder)
    boxed = Crop(crop.crop_id, "a", "shop", crop.photo, Box(0, 0, 10, 12))
    assert ingest.add([Row(product, boxed)], catalog, encoder).embedded == 1
    assert catalog.crops("a")[0].box == Box(0, 0, 10, 12)


def test_a_photo_that_broke_since_keeps_its_vector(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    rows = [row("a", photo(tmp_path / "a.png", (200, 9, 9))), row("b", photo(tmp_path / "b.png", (9, 200, 9)))]
    ingest.add(rows, catalog, encoder)
    held = catalog.vectors(["a/1"])
    (tmp_path / "a.png").write_bytes(b"gone")
    problems: list[Problem] = []
    count = ingest.add(rows, catalog, encoder, on_problem=problems.append)
    assert [problem.product_id for problem in problems] == ["a"]
    assert (count.unchanged, count.unreadable) == (2, 1)
    assert np.array_equal(catalog.vectors(["a/1"]), held)


def test_rows_of_a_product_that_come_apart_are_joined(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    red, blue = photo(tmp_path / "r.png", (200, 9, 9)), photo(tmp_path / "b.png", (9, 9, 200))
    rows = [row("a", red, "a/front"), row("b", blue), row("a", blue, "a/back")]
    ingest.add(rows, catalog, encoder, products_per_commit=1)
    assert [crop.crop_id for crop in catalog.crops("a")] == ["a/front", "a/back"]
    assert ingest.add(rows, catalog, encoder, products_per_commit=1).embedded == 0


def test_a_crop_that_left_the_table_leaves_the_catalog(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    red, blue = photo(tmp_path / "r.png", (200, 9, 9)), photo(tmp_path / "b.png", (9, 9, 200))
    ingest.add([row("a", red, "a/front"), row("a", blue, "a/back")], catalog, encoder)
    count = ingest.add([row("a", blue, "a/back")], catalog, encoder)
    assert (count.dropped, count.embedded) == (1, 0)
    assert [crop.crop_id for crop in catalog.crops("a")] == ["a/back"]


def test_street_crops_are_counted_and_not_sold(tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder) -> None:
    product, crop = row("a", photo(tmp_path / "a.png", (200, 9, 9)))
    street = Crop("a/street", "a", "street", crop.photo)
    count = ingest.add([Row(product, crop), Row(product, street)], catalog, encoder)
    assert (count.added, count.street, count.embedded) == (1, 1, 1)


def test_two_crops_of_one_name_are_refused(tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder) -> None:
    twice = row("a", photo(tmp_path / "a.png", (200, 9, 9)))
    with pytest.raises(BadDataset, match="two shop crops called 'a/1'"):
        ingest.add([twice, twice], catalog, encoder)


def test_another_encoders_vectors_are_refused_by_name(tmp_path: Path, catalog: LocalCatalog) -> None:
    with pytest.raises(OtherEncoder, match=r"encoder tiny0+, not of other0+"):
        ingest.add([], catalog, TinyEncoder("other"))
