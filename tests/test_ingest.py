"""Adding products: what goes in, what is said of the rest, and that doing it again changes nothing."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi import ingest
from osoroi.catalog import Entry
from osoroi.catalog.address import Address
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_or_create
from osoroi.catalog.store import database
from osoroi.encoder import KIND, Encoder
from osoroi.errors import BadDataset, CatalogUnavailable, OtherEncoder
from osoroi.image import load
from osoroi.ingest import Count
from osoroi.records import Box, Clues, Crop, Problem, Product, Row
from tiny import TinyEncoder


class CountingEncoder(TinyEncoder):
    """Remembers how many crops it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    @property
    def encoded(self) -> int:
        return sum(self.batches)

    def encode(
        self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], clues: Sequence[Clues] | None = None
    ) -> Float32[np.ndarray, "b d"]:
        self.batches.append(len(crops))
        return super().encode(crops, clues)


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


def test_the_encoder_waits_for_few_photos_at_the_start_of_a_run(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    rows = [row(f"p{number}", photo(tmp_path / f"{number}.png", (number, 9, 9))) for number in range(90)]
    ingest.add(rows, catalog, encoder, products_per_commit=60)
    assert encoder.batches == [4, 8, 16, 16, 16, 16, 14]


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


def test_a_disk_that_fills_up_after_a_commit_keeps_it_and_the_same_again_goes_on(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(f"p{number}", photo(tmp_path / f"{number}.png", (number, 9, 9))) for number in range(4)]
    put, commits = catalog.put, list[int]()

    def full(entries: Sequence[Entry], *, fingerprint: str) -> int:
        if commits:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            with database.explained(catalog.folder):
                raise error
        commits.append(put(entries, fingerprint=fingerprint))
        return commits[-1]

    monkeypatch.setattr(catalog, "put", full)
    with pytest.raises(CatalogUnavailable) as caught:
        ingest.add(rows, catalog, encoder, products_per_commit=2)
    assert caught.value.hint == "what was committed before stays; free some room, and do the same again"
    assert ids(catalog) == ["p0", "p1"]
    monkeypatch.undo()
    count = ingest.add(rows, catalog, encoder, products_per_commit=2)
    assert (count.added, count.unchanged, encoder.encoded) == (2, 2, 4 + 2), "two were embedded in vain"


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


@pytest.mark.parametrize("between", [0, 1, 70])
def test_the_first_row_of_a_product_decides_its_metadata_however_far_the_others_are(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder, between: int
) -> None:
    red, blue = photo(tmp_path / "r.png", (200, 9, 9)), photo(tmp_path / "b.png", (9, 9, 200))
    others = [row(f"x{place}", red) for place in range(between)]
    rows = [row("p", red, "p/front", price=10.0), *others, row("p", blue, "p/back", price=12.0)]
    count = ingest.add(rows, catalog, encoder)
    assert count == Count(added=1 + between, embedded=2 + between, contradicting=1)
    for _ in range(2):
        assert ingest.add(rows, catalog, encoder) == Count(unchanged=1 + between, contradicting=1)
    assert catalog.get("p").price == 10.0
    assert [crop.crop_id for crop in catalog.crops("p")] == ["p/front", "p/back"]
    cheaper = [row("p", red, "p/front", price=9.0), *others, row("p", blue, "p/back", price=9.0)]
    assert ingest.add(cheaper, catalog, encoder) == Count(changed=1, unchanged=between)
    assert catalog.get("p").price == 9.0


@pytest.mark.parametrize("per_commit", [1, 64])
def test_the_first_row_decides_even_where_its_photo_cannot_be_read(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder, per_commit: int
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    red = photo(tmp_path / "r.png", (200, 9, 9))
    rows = [row("p", tmp_path / "broken.png", "p/1", price=1.0), row("x", red), row("p", red, "p/2", price=2.0)]
    count = ingest.add(rows, catalog, encoder, products_per_commit=per_commit)
    assert count == Count(added=2, embedded=2, unreadable=1, contradicting=1)
    assert catalog.get("p").price == 1.0
    again = ingest.add(rows, catalog, encoder, products_per_commit=per_commit)
    assert again == Count(unchanged=2, unreadable=1, contradicting=1)


def test_a_crop_that_is_named_twice_far_apart_is_refused_too(
    tmp_path: Path, catalog: LocalCatalog, encoder: CountingEncoder
) -> None:
    red, blue = photo(tmp_path / "r.png", (200, 9, 9)), photo(tmp_path / "b.png", (9, 9, 200))
    with pytest.raises(BadDataset, match="two shop crops called 'p/1'"):
        ingest.add([row("p", red), row("x", red), row("p", blue)], catalog, encoder, products_per_commit=1)


class MeddlingEncoder(TinyEncoder):
    """While crops are encoded, another writer removes, patches and replaces products of the same chunk."""

    meddle = staticmethod(lambda: None)

    def encode(
        self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], clues: Sequence[Clues] | None = None
    ) -> Float32[np.ndarray, "b d"]:
        self.meddle()
        return super().encode(crops, clues)


def test_add_goes_on_while_others_change_and_remove_its_products(tmp_path: Path) -> None:
    encoder = MeddlingEncoder()
    red, blue = photo(tmp_path / "r.png", (200, 9, 9)), photo(tmp_path / "b.png", (9, 9, 200))
    rows = [row(name, red, f"{name}/1") for name in "abcd"]
    more = [Row(product, crop) for name in "abcd" for product, crop in [row(name, blue, f"{name}/2")]]
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as catalog:
        ingest.add(rows, catalog, encoder)
        with LocalCatalog.open(tmp_path / "shop") as other:

            def meddle() -> None:
                other.remove(["a"])
                other.drop("b", ["b/1"])
                other.patch("c", {"price": 3.0})

            encoder.meddle = meddle
            count = ingest.add([*rows, *more], catalog, encoder)
        assert (count.stored, count.left_out) == (4, 0)
        assert ids(catalog) == list("abcd")
        for name in "abcd":
            crops = catalog.crops(name)
            assert [crop.crop_id for crop in crops] == [f"{name}/1", f"{name}/2"]
            assert np.allclose(catalog.vectors([f"{name}/1"]), catalog.vectors(["d/1"]))
        encoder.meddle = lambda: None
        assert ingest.add([*rows, *more], catalog, encoder) == Count(unchanged=4)


def test_add_goes_on_when_a_stored_photo_vanishes_meanwhile(tmp_path: Path) -> None:
    """A product put with bytes is removed, and its photo thrown out, while its next photo is encoded."""
    encoder = MeddlingEncoder()
    data = photo(tmp_path / "r.png", (200, 9, 9)).read_bytes()
    blue = photo(tmp_path / "b.png", (9, 9, 200))
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as catalog:
        ingest.add([Row(Product("a"), Crop("a/bytes", "a", "shop", data))], catalog, encoder)
        with LocalCatalog.open(tmp_path / "shop") as other:

            def meddle() -> None:
                if other.remove(["a"]):
                    other.compact()

            encoder.meddle = meddle
            assert ingest.add([row("a", blue)], catalog, encoder).added == 1
        assert [crop.crop_id for crop in catalog.crops("a")] == ["a/1"]


def test_adding_again_writes_photos_that_the_catalog_has_lost(place, encoder, tmp_path):
    data = photo(tmp_path / "r.png", (200, 9, 9)).read_bytes()
    rows = [Row(Product("a"), Crop("a/1", "a", "shop", data)), row("b", photo(tmp_path / "b.png", (9, 9, 200)))]
    with open_or_create(place, encoder) as catalog:
        ingest.add(rows, catalog, encoder)
        before, encoded = catalog.seq, encoder.encoded
        lose_photos(catalog, place)
        assert [finding.what for finding in check(place)] == ["photo"]
        assert ingest.add(rows, catalog, encoder) == Count(unchanged=2)
        assert check(place) == []
        assert (catalog.seq, encoder.encoded) == (before, encoded), "it changes nothing else"
        assert load(catalog.crops("a")[0].photo) == data


def test_bytes_of_a_photo_that_stands_on_disk_change_nothing(place, encoder, tmp_path):
    """The product was put anew with a copy of its photo, and its path was forgotten."""
    file = photo(tmp_path / "r.png", (200, 9, 9))
    with open_or_create(place, encoder) as catalog:
        ingest.add([row("a", file)], catalog, encoder)
        (before,) = catalog.crops("a")
        again = [Row(row("a", file).product, Crop(before.crop_id, "a", "shop", file.read_bytes()))]
        assert ingest.add(again, catalog, encoder) == Count(unchanged=1)
        assert (catalog.seq, catalog.crops("a")) == (1, [before])
        assert before.photo == file


def test_of_a_product_with_both_the_kept_photo_alone_is_written_again(place, encoder, tmp_path):
    file, data = photo(tmp_path / "r.png", (200, 9, 9)), photo(tmp_path / "b.png", (9, 9, 200)).read_bytes()
    first = row("a", file)
    both = [first, Row(first.product, Crop("a/kept", "a", "shop", data))]
    with open_or_create(place, encoder) as catalog:
        ingest.add(both, catalog, encoder)
        before = catalog.crops("a")
        lose_photos(catalog, place)
        as_bytes = [Row(first.product, replace(first.crop, photo=file.read_bytes())), both[1]]
        assert ingest.add(as_bytes, catalog, encoder) == Count(unchanged=1)
        assert (catalog.seq, catalog.crops("a"), check(place)) == (1, before, [])


def test_a_lost_photo_that_does_not_come_again_stops_nothing(place, encoder, tmp_path):
    photos = [photo(tmp_path / f"{red}.png", (red, 9, 9)).read_bytes() for red in (50, 200)]
    rows = [Row(Product("a"), Crop(f"a/{at}", "a", "shop", data)) for at, data in enumerate(photos)]
    others = [row("b", photo(tmp_path / "b.png", (9, 9, 200)))]
    with open_or_create(place, encoder) as catalog:
        ingest.add(rows, catalog, encoder)
        lose_photos(catalog, place)
        assert ingest.add([rows[0], *others], catalog, encoder) == Count(unchanged=1, added=1, embedded=1, dropped=1)


def lose_photos(catalog, place):
    """Remove what a catalog keeps of photos, in its folder and in the database."""
    shutil.rmtree(catalog.folder / "photos", ignore_errors=True)
    if isinstance(place, Address):
        import psycopg

        with psycopg.connect(place.conninfo) as connection:
            connection.execute(f'DELETE FROM "{place.schema}".photos')  # noqa: S608 (ours)


def test_an_update_by_another_encoder_changes_nothing(tmp_path, catalog, encoder):
    ingest.add([row("p", photo(tmp_path / "p.png", (200, 30, 30)))], catalog, encoder)
    with pytest.raises(OtherEncoder, match="not of other0"):
        ingest.update(catalog, TinyEncoder("other"), "p", {"price": 1.0, "category": "skirts"})
    assert (catalog.get("p").price, catalog.seq) == (None, 1)


def test_a_kind_that_the_shop_no_longer_says_is_told_by_the_photo_again(tmp_path: Path) -> None:
    """A kind that is known is written into the vector that is there; one that is not needs the picture."""
    encoder = Encoder.open()
    path = photo(tmp_path / "a.png", (200, 9, 9))
    plain, skirt = row("a", path), row("a", path, category="Skirts")
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as shop:
        assert ingest.add([plain], shop, encoder, settles=False).embedded == 1
        by_picture = shop.vectors(["a/1"])
        assert ingest.add([skirt], shop, encoder, settles=False) == Count(changed=1)
        said = shop.vectors(["a/1"])
        assert not np.allclose(said[:, encoder.columns[KIND]], by_picture[:, encoder.columns[KIND]])
        assert ingest.add([plain], shop, encoder, settles=False) == Count(changed=1, embedded=1)
        assert np.allclose(shop.vectors(["a/1"]), by_picture, atol=1e-6)
