"""A catalog in PostgreSQL that keeps its photos in a bucket: where they are, when they go, and what fails how."""

import logging
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

import s3
import web
from osoroi import ingest
from osoroi.catalog.address import Address, Place, place_of
from osoroi.catalog.maintenance import bucket_photos
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.copy import copy
from osoroi.catalog.opening import is_catalog, open_catalog, open_or_create
from osoroi.catalog.postgres.bucket import LOOKUPS, OWNER, Bucket
from osoroi.catalog.postgres.schema import TABLES
from osoroi.catalog.store.photos import BucketPhoto, hash_of
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import BadPhoto, BadRequest, CatalogUnavailable, OsoroiError
from osoroi.image import load
from shop import SeeingEncoder, goods, picture, serving
from shops import create, entry, found, put

FAILURES: dict[object, tuple[type[OsoroiError], str]] = {
    403: (CatalogUnavailable, "refuses the key"),
    500: (CatalogUnavailable, "cannot be .* just now"),
    s3.SILENCE: (CatalogUnavailable, "cannot be .* just now"),
}
"""A status, or silence."""


def bucket_of(catalog: Any, place: Place, failure: object) -> Bucket:
    """The bucket of a catalog for a client that waits long, but for silence."""
    assert isinstance(place, Address)
    assert place.photos is not None
    timeout_s = 0.2 if failure == s3.SILENCE else 60.0
    return Bucket(place.photos, catalog.identity, catalog.bucket.owner, timeout_s=timeout_s)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3.Store]:
    with s3.running(monkeypatch) as store:
        yield store


@pytest.fixture
def place(postgres_address: str, store: s3.Store) -> Place:
    return place_of(f"{postgres_address}&photos=s3://photos/shop/summer")


@pytest.fixture
def catalog(place: Place) -> Iterator[StoredCatalog]:
    with create(place, entry("a", [1, 0, 0, 0], photo=b"pixels"), entry("b", [0.5, 0, 0, 0], photo=b"others")) as made:
        yield made


def rows(place: Place) -> list[tuple[str, bytes | None]]:
    """The table of photos."""
    assert isinstance(place, Address)
    with psycopg.connect(place.conninfo) as connection:
        return connection.execute(f'SELECT sha256, data FROM "{place.schema}".photos ORDER BY data').fetchall()  # noqa: S608


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Go to another machine, where nothing is cached."""
    monkeypatch.setenv("OSOROI_CACHE", str(folder / "another machine"))


def test_a_photo_is_in_the_bucket_alone_and_comes_from_there_once(catalog, place, store, monkeypatch, tmp_path):
    key = f"shop/summer/{catalog.identity}/{hash_of(b'pixels')[:2]}/{hash_of(b'pixels')}"
    assert store.buckets["photos"][key] == b"pixels"
    assert {data for _, data in rows(place)} == {None}
    elsewhere(monkeypatch, tmp_path)
    with open_catalog(place) as other:
        assert [load(crop.photo) for crop in other.crops("a") * 3] == [b"pixels"] * 3
    assert store.requests.count("GET") == 3, "one when it was made, one for whose photos they are, one for the photo"


def test_a_photo_goes_with_its_last_crop(catalog, store):
    put(catalog, entry("c", [1, 0, 0, 0], photo=b"pixels"))
    assert store.requests.count("PUT") == 3, "two and the owner; the same photo is not sent again"
    store.buckets["photos"][f"shop/summer/{catalog.identity}/00/{'0' * 64}"] = b"of a writer that was killed"
    store.buckets["photos"]["shop/summer/somebody/else"] = b"theirs"
    catalog.remove(["a", "b"])
    catalog.compact()
    assert set(store.photos) == {hash_of(b"pixels"), "else", OWNER}


@pytest.mark.parametrize("lost", [None, b"half a pict"])
def test_a_photo_that_the_bucket_has_lost_is_sent_again_with_its_product(catalog, store, lost: bytes | None):
    store.spoil(lost)
    put(catalog, entry("a", [1, 0, 0, 0], photo=b"pixels"))
    assert store.photos[hash_of(b"pixels")] == b"pixels"
    catalog.remove(["b"])
    put(catalog, entry("b", [0.5, 0, 0, 0], photo=b"others"))
    assert store.photos[hash_of(b"others")] == b"others"


def test_what_cannot_be_swept_stays_and_is_told(catalog, store, caplog):
    catalog.remove(["b"])
    store.failure = 403
    with caplog.at_level(logging.WARNING):
        assert catalog.compact()
    assert "photos that nobody needs stay" in caplog.text
    assert len(store.photos) == 3


def test_a_sweep_that_failed_is_repeated(catalog, place, store):
    catalog.remove(["b"])
    store.failure = 403
    catalog.compact()
    store.failure = 0
    with open_catalog(place) as other:
        other.compact()
        assert set(store.photos) == {hash_of(b"pixels"), OWNER}
        before = len(store.requests)
        other.compact()
        assert len(store.requests) == before, "once is enough"


@pytest.mark.parametrize("failure", FAILURES)
def test_a_product_whose_photo_is_not_durable_is_not_acknowledged(catalog, place, store, failure):
    store.failure = failure
    error, says = FAILURES[failure]
    catalog._pool.bucket = bucket_of(catalog, place, failure)
    with pytest.raises(error, match=says) as caught:
        put(catalog, entry("c", [1, 0, 0, 0], photo=b"new"))
    store.failure = 0
    catalog._pool.bucket = bucket_of(catalog, place, 0)
    assert found(catalog) == "ab"
    assert len(rows(place)) == 2
    said = f"{caught.value!r} {caught.value.__cause__!r}"
    assert s3.KEY not in said
    assert s3.SECRET not in said
    put(catalog, entry("c", [1, 0, 0, 0], photo=b"new"))
    assert store.photos[hash_of(b"new")] == b"new"


@pytest.mark.parametrize("failure", [*FAILURES, "gone", "other bytes", "no bucket"])
def test_a_photo_that_cannot_be_had_is_an_error_and_searches_go_on(place, catalog, store, failure):
    outcomes: dict[object, tuple[type[OsoroiError], str]] = {
        **FAILURES,
        "gone": (BadPhoto, "is not in s3://photos"),
        "other bytes": (BadPhoto, "is not what was put"),
        "no bucket": (CatalogUnavailable, "see whether it exists"),
    }
    error, says = outcomes[failure]
    if failure == "no bucket":
        store.buckets.clear()
    elif isinstance(failure, str):
        store.spoil(None if failure == "gone" else b"junk")
    else:
        store.failure = failure
    bucket = bucket_of(catalog, place, failure)
    with pytest.raises(error, match=says):
        BucketPhoto(Path("nowhere"), hash_of(b"pixels"), bucket.get).read()
    assert found(catalog) == "ab"
    assert [crop.sha256 for crop in catalog.crops("a")] == [hash_of(b"pixels")]


def test_check_names_photos_that_are_gone_or_changed_and_knows_when_it_cannot_know(catalog, place, store):
    assert check(place) == []
    store.spoil(b"junk")
    assert [finding.what for finding in check(place)] == ["photo", "photo"]
    assert "is not what was put" in check(place)[0].text
    store.spoil(None)
    assert "is not in s3://photos/shop/summer" in check(place)[0].text
    store.failure = 403
    with pytest.raises(CatalogUnavailable, match="refuses the key"):
        check(place)


def test_copies_and_backups_hold_the_photos(catalog, place, store, postgres_address, tmp_path):
    copy(place, tmp_path / "shop")
    copied = backup(tmp_path / "shop", tmp_path / "shop.tar", photos=True)
    assert (copied.photos, copied.missing) == (2, 0)
    with tarfile.open(tmp_path / "shop.tar") as archive:
        assert sum(name.endswith(hash_of(b"pixels")) for name in archive.getnames()) == 1
    again = place_of(f"{postgres_address}_again&photos=s3://photos/again")
    store.buckets["photos"].clear()
    copy(tmp_path / "shop", again)
    assert sorted(data for name, data in store.photos.items() if name != OWNER) == [b"others", b"pixels"]
    assert all(key.startswith("again/") for key in store.buckets["photos"])
    with open_catalog(again) as made:
        made.remove(["a", "b"])
        assert made.remove_empty()


def dumped(place: Place) -> Place:
    """The catalog as a dump that was restored into another schema."""
    assert isinstance(place, Address)
    new = f"{place.schema}_restored"
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{new}"')
        for name in TABLES:
            connection.execute(f'CREATE TABLE "{new}".{name} (LIKE "{place.schema}".{name} INCLUDING ALL)')
            insert = f'INSERT INTO "{new}".{name} OVERRIDING SYSTEM VALUE SELECT * FROM "{place.schema}".{name}'  # noqa: S608
            connection.execute(insert)
        for name in ("encoder_keys", "product_keys", "crop_keys"):
            connection.execute(f'CREATE SEQUENCE "{new}".{name} START 1000')
    return replace(place, schema=new, shown=place.shown.replace(place.schema, new))


def test_a_restored_copy_removes_no_photo_of_the_first_and_loses_none_to_it(catalog, place, store):
    second = dumped(place)
    with open_catalog(second) as other:
        assert other.identity == catalog.identity
        assert [load(crop.photo) for crop in other.crops("a")] == [b"pixels"]
        other.remove(["a"])
        other.compact()
        assert set(store.photos) == {hash_of(b"pixels"), hash_of(b"others"), OWNER}
        with pytest.raises(CatalogUnavailable, match=r"copy of another one.*osoroi copy.*--own-photos"):
            put(other, entry("c", [1, 0, 0, 0], photo=b"new"))
        other.patch("b", {"price": 5.0})
        assert found(other) == "b"
    put(catalog, entry("c", [1, 0, 0, 0], photo=b"new"))
    assert store.photos[hash_of(b"new")] == b"new"


def test_a_restored_copy_takes_the_photos_over_and_the_first_leaves_them_alone(catalog, place, store):
    second = dumped(place)
    bucket_photos.own(second)
    with open_catalog(second) as other:
        put(other, entry("c", [1, 0, 0, 0], photo=b"new"))
        catalog.remove(["a", "b"])
        catalog.compact()
        with pytest.raises(CatalogUnavailable, match="copy of another one"):
            put(catalog, entry("d", [1, 0, 0, 0], photo=b"late"))
        assert {hash_of(one) for one in (b"pixels", b"others", b"new")} < set(store.photos)
        other.remove(["b"])
        other.compact()
        assert set(store.photos) == {hash_of(b"pixels"), hash_of(b"new"), OWNER}


def test_only_a_catalog_with_a_bucket_has_photos_to_take_over(postgres_address, tmp_path):
    for place in (place_of(postgres_address), tmp_path / "shop"):
        create(place, entry("a", [1, 0, 0, 0])).close()
        with pytest.raises(BadRequest, match="keeps no photos in a bucket"):
            bucket_photos.own(place)


def test_what_the_bucket_has_lost_is_sent_again_from_the_cache_when_asked(catalog, place, store, monkeypatch, tmp_path):
    [load(crop.photo) for name in "ab" for crop in catalog.crops(name)]  # now the cache has them
    store.spoil(b"junk")
    assert [finding.what for finding in check(place)] == ["photo", "photo"]
    assert bucket_photos.resend(place) == 2
    assert check(place) == []
    store.spoil(None)
    elsewhere(monkeypatch, tmp_path)
    assert bucket_photos.resend(place) == 0, "another machine has no copy"


def test_a_change_of_metadata_neither_sends_nor_fetches_a_photo(place, store):
    encoder = SeeingEncoder()
    with open_or_create(place, encoder) as catalog:
        catalog.put(goods(encoder), fingerprint=encoder.fingerprint)
        before = len(store.requests)
        ingest.update(catalog, encoder, "P1", {"price": 1.0})
        old = catalog.entries(["P1"])["P1"]
        assert catalog.put_if_unchanged([(old, old)], fingerprint=encoder.fingerprint) == []
        assert len(store.requests) == before


def test_many_unchanged_photos_cost_the_bucket_one_listing(place, store, catalog):
    """Each cost a request, one after the other: hours for a large shop."""
    some = [entry(f"p{at}", [1, 0, 0, 0], photo=f"photo {at}".encode()) for at in range(LOOKUPS + 200)]
    put(catalog, *some)
    with open_catalog(place) as other:
        start = len(store.requests)
        for at in range(0, len(some), 64):
            put(other, *some[at : at + 64])
        looked = LOOKUPS + 64
        assert store.requests[start:].count("HEAD") <= looked
        assert len(store.requests) - start <= looked + 1, "and a listing"
        objects = store.buckets["photos"]
        (key,) = [key for key in objects if key.endswith(hash_of(b"photo 7"))]
        objects.pop(key)
        start = len(store.requests)
        put(other, *some)
        assert len(store.requests) == start, "for an hour the listing is believed"
    with open_catalog(place) as other:
        put(other, *some[:64])
        assert store.photos[hash_of(b"photo 7")] == b"photo 7"


def test_photos_are_looked_up_several_at_one_time(place, store, catalog):
    some = [entry(f"p{at}", [1, 0, 0, 0], photo=f"photo {at}".encode()) for at in range(64)]
    put(catalog, *some)
    store.delay_s, store.most_at_once = 0.1, 0
    put(catalog, *some)
    assert store.most_at_once > 1


@pytest.mark.parametrize("photos", ["photos", "s3://", "s3://UPPER", "https://photos", "s3://photos/a b"])
def test_a_place_for_photos_that_is_none_is_refused(postgres_address, photos):
    with pytest.raises(BadRequest, match="write s3://BUCKET"):
        create(place_of(f"{postgres_address}&photos={photos}"))


def test_the_place_of_photos_is_chosen_once(catalog, place, postgres_address):
    open_catalog(place).close()
    open_catalog(place_of(postgres_address)).close()
    with pytest.raises(BadRequest, match=r"keeps its photos in s3://photos/shop/summer, not in s3://photos/other"):
        open_catalog(place_of(f"{postgres_address}&photos=s3://photos/other"))


def test_no_catalog_is_made_for_a_bucket_that_cannot_be_used(postgres_address, store):
    place = place_of(f"{postgres_address}&photos=s3://nowhere")
    with pytest.raises(CatalogUnavailable, match="cannot be listed just now: the bucket s3://nowhere"):
        create(place)
    assert not is_catalog(place)


def test_a_service_names_no_bucket(place, store):
    encoder = SeeingEncoder()
    with open_or_create(place, encoder) as catalog:
        catalog.put(goods(encoder), fingerprint=encoder.fingerprint)
        with serving(encoder, catalog) as url, web.Client(base_url=url) as client:
            store.failure = 403
            shutil.rmtree(catalog.folder / "photos", ignore_errors=True)
            link = client.post("/v1/search", data={"product_id": "P1"}).json()["hits"][0]["photo"]
            answers = [
                client.get(link),
                client.put("/v1/products/P9", files={"photo": ("a.png", picture((9, 99, 199)))}),
            ]
            assert [answer.status_code for answer in answers] == [503, 503]
            assert all("photos cannot be" in answer.text for answer in answers)
            assert not any(word in answer.text for answer in answers for word in ("s3://", "summer", s3.KEY))
