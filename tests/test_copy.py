"""A catalog is copied to another kind of place and back: live, verified, and continued where it was stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from osoroi.catalog.address import place_of
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.copy import copy
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.store import marking
from osoroi.cli import main
from osoroi.errors import BadPhoto, BadRequest
from shop import file_of
from shops import create, entry, put, query


def shop(place, tmp_path: Path):
    """Forty products with ties, kept photos, and one photo on the disk."""
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"pixels")
    names = [f"p{place:02}" for place in np.random.default_rng(1).permutation(40)]
    entries = [
        entry(
            name,
            [1, 0, 0, at % 3],
            [0, 1, 0, 0],
            price=float(at),
            brand="Ａoi",
            attributes={"n": float(at), "sale": at > 3},
        )
        for at, name in enumerate(names)
    ]
    with create(place, *entries, entry("disk", [1, 0, 0, 0], photo=photo)) as catalog:
        catalog.remove([names[7]])
        catalog.patch(names[3], {"title": "É"})


def answers(place) -> list[object]:
    """Searches, to the last bit and in their order; and products with their crops but for where photos are."""
    with open_catalog(place, readonly=True) as catalog:
        rows: list[object] = []
        for where in (None, "sale", "price > 20 and brand = aoi", "title contains é"):
            hits = catalog.nearest(query(1, 0.25, 0, 0.1), 30, where=where)
            rows += [(hit.product_id, hit.crop_id, hit.score, hit.vector.tobytes()) for hit in hits]
        for product in catalog.products():
            crops = catalog.crops(product.product_id)
            rows += [product, [(replace(crop, photo=Path()), file_of(crop).read_bytes()) for crop in crops]]
        return rows


def test_a_copy_answers_as_its_source_and_so_does_the_copy_of_the_copy(postgres_address, tmp_path):
    first, second, third = tmp_path / "shop", place_of(postgres_address), tmp_path / "back"
    shop(first, tmp_path)
    with open_catalog(first) as catalog:
        catalog.trust_categories(False)
        with marking.noted("a run", "7"):
            catalog.patch("p00", {"price": 7.5})
    assert copy(first, second).products == 40
    assert copy(second, third).put == 40
    assert answers(first) == answers(second) == answers(third)
    assert check(second) == check(third) == []
    with open_catalog(third, readonly=True) as catalog:
        assert not catalog.trusts_categories()
        assert catalog.unsettled() == {"a run": "7"}
    with open_catalog(first) as catalog:
        catalog.mark_settled({"a run": "7"})
        catalog.remove(["p00"])
        put(catalog, entry("new", [3, 0, 0, 0]))
    again = copy(first, second)
    assert (again.put, again.removed) == (1, 1), "what changed is brought over"
    assert answers(first) == answers(second)
    with open_catalog(second, readonly=True) as catalog:
        assert catalog.unsettled() == {}


def test_a_copy_that_was_stopped_goes_on(postgres_address, tmp_path):
    first, second = tmp_path / "shop", place_of(postgres_address)
    shop(first, tmp_path)

    def stop(done: int) -> None:
        if done >= 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(first, second, chunk=15, on_progress=stop)
    with open_catalog(second) as half:
        assert len(half) == 30
    assert copy(first, second).put == 10
    assert answers(first) == answers(second)


def test_what_is_written_meanwhile_is_copied_too(place, tmp_path):
    first = tmp_path / "first"
    shop(first, tmp_path)
    written: list[int] = []

    def write(done: int) -> None:
        if len(written) < 2:
            written.append(done)
            with open_catalog(first) as catalog:
                put(catalog, entry(f"late{len(written)}", [5, 0, 0, 0]))
                catalog.patch("p01", {"price": 1000.0 + len(written)})

    copied = copy(first, place, on_progress=write)
    assert copied.passes > 1
    assert answers(first) == answers(place)


def test_a_crop_of_a_product_that_is_gone_comes_to_its_new_one(place, tmp_path):
    first = tmp_path / "first"
    create(first, entry("a", [1, 0, 0, 0]), entry("z", [0, 1, 0, 0], attributes={"sale": True})).close()
    copy(first, place)
    with open_catalog(first) as catalog:
        catalog.remove(["a"])
        one = entry("b", [2, 0, 0, 0])
        put(catalog, one._replace(crops=[replace(one.crops[0], crop_id="a/0")]))
    copied = copy(first, place)
    assert (copied.put, copied.removed) == (1, 1)
    assert answers(first) == answers(place)


def test_a_crop_comes_from_a_product_that_stays(place, tmp_path):
    """The product that has the crop now is older, and so comes before the one that had it."""
    first = tmp_path / "first"
    sale = {"sale": True}
    create(first, entry("b", [0, 1, 0, 0]), entry("a", [1, 0, 0, 0], [0, 0, 1, 0], attributes=sale)).close()
    copy(first, place, chunk=1)
    with open_catalog(first) as catalog:
        catalog.drop("a", ["a/0"])
        one = entry("b", [0, 1, 0, 0], [2, 0, 0, 0])
        put(catalog, one._replace(crops=[one.crops[0], replace(one.crops[1], crop_id="a/0")]))
    copy(first, place, chunk=1)
    assert answers(first) == answers(place)
    assert check(place) == []


@pytest.mark.parametrize(
    "values", [{"title": "x\0"}, {"attributes": {"sizes": ("S", "\0")}}, {"attributes": {"a\0": "b"}}], ids=repr
)
def test_text_that_postgresql_cannot_store_is_named_with_its_product(postgres_address, tmp_path, values):
    create(tmp_path / "shop", entry("good", [1, 0, 0, 0]), entry("odd one", [1, 0, 0, 0], **values)).close()
    with pytest.raises(BadRequest, match=r"product 'odd one' has a NUL character in .*PostgreSQL stores no NUL"):
        copy(tmp_path / "shop", place_of(postgres_address))


def test_a_kept_photo_that_is_gone_is_named_with_its_product(tmp_path):
    with create(tmp_path / "first", entry("a", [1, 0, 0, 0])) as catalog:
        photo = file_of(catalog.crop("a/0"))
    photo.unlink()
    with pytest.raises(BadPhoto, match="of product 'a' cannot be read") as raised:
        copy(tmp_path / "first", tmp_path / "second")
    assert str(photo) in str(raised.value)


def test_a_catalog_with_products_of_its_own_is_never_overwritten(place, tmp_path):
    first, other = tmp_path / "first", tmp_path / "other"
    shop(first, tmp_path)
    create(other, entry("mine", [1, 0, 0, 0])).close()
    with pytest.raises(BadRequest, match="is no copy of"):
        copy(first, other)
    copy(first, place)
    with open_catalog(place) as catalog:
        put(catalog, entry("mine", [1, 0, 0, 0]))
    with pytest.raises(BadRequest, match="written to since it was copied"):
        copy(first, place)
    with pytest.raises(BadRequest, match="the catalog itself"):
        copy(first, first)


def test_the_command_says_what_was_copied(address, tmp_path):
    shop(tmp_path / "first", tmp_path)
    run = CliRunner().invoke(main, ["copy", str(tmp_path / "first"), address])
    assert run.exit_code == 0, run.output
    assert "40 products; 40 copied, 0 removed, and all of them compared" in run.output
