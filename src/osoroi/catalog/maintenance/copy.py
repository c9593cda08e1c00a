"""Copy a catalog to another place while it is searched and written to: from a folder to PostgreSQL, or back.

Products are compared, and those that differ are put, until a pass over all of them has found no difference but what was
written meanwhile; that pass is the verification. A copy that was stopped goes on where it was.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from osoroi import files
from osoroi.catalog.address import Place
from osoroi.catalog.opening import create_catalog, is_catalog, open_catalog, store_encoder, stored_encoder
from osoroi.catalog.protocol import Entry
from osoroi.catalog.store.photos import BucketPhoto, is_own_copy
from osoroi.catalog.store.rows import ChangedKeys, StoredEncoder
from osoroi.catalog.store.writer import put_meta, put_unsettled, remove_unsettled
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import BadPhoto, BadRequest, Busy, OtherEncoder
from osoroi.records import Crop, with_utc

CHUNK = 200
"""Products that are compared at a time and put in one commit."""

PASSES = 10
"""Passes over all products, at most."""

MARK = "copy"
"""Name of the mark in the target: ``copying ID``, and at the end ``copied ID SEQ``, with the target's own ``seq``."""


class Copied(NamedTuple):
    """What a copy did: products in the target, those that were put and removed, and passes over all of them."""

    products: int
    put: int
    removed: int
    passes: int


def copy(
    source: Place, target: Place, *, chunk: int = CHUNK, on_progress: Callable[[int], None] = lambda done: None
) -> Copied:
    """Make ``target`` a copy of ``source``. ``on_progress`` gets the products compared so far in a pass.

    The target is made where there is none. One that is there must be a copy of this source that nobody has written to
    since: raises BadRequest, OtherEncoder where either is moved to another encoder, and Busy where the source changes
    faster than it is copied. Equal scores keep their order, since products are put by the age of their oldest photo.
    """
    with open_catalog(source, readonly=True) as old, _target(old, target) as new:
        put = removed = 0
        for number in range(1, PASSES + 1):
            before = old.seq
            different, gone = _pass(old, new, chunk, on_progress)
            put, removed = put + len(different), removed + len(gone)
            changed = _changed(old, before)
            if changed is not None and different <= changed:
                with new.commit("copy") as (transaction, _):
                    put_meta(transaction.connection, transaction.CATEGORIES, str(old.trusts_categories()))
                    remove_unsettled(transaction.connection, transaction.unsettled())
                    put_unsettled(transaction.connection, old.unsettled())
                    put_meta(transaction.connection, MARK, f"copied {old.identity} {transaction.seq()}")
                store_encoder(new, stored_encoder(old))
                return Copied(len(new), put, removed, number)
    raise Busy(f"the catalog {source} changes faster than it is copied", hint="copy it while less is written")


@contextlib.contextmanager
def _target(old: StoredCatalog, target: Place) -> Iterator[StoredCatalog]:
    """The catalog that is to become the copy."""
    encoder = old.encoder
    new = open_catalog(target) if is_catalog(target) else _made(target, encoder)
    with new:
        if new.identity == old.identity:
            raise BadRequest(f"{target} is the catalog itself, or a backup of it", hint="name another place")
        if new.fingerprint != old.fingerprint:
            raise OtherEncoder(
                f"the catalog {target} has vectors of encoder {new.fingerprint[:12]}, not of {old.fingerprint[:12]}",
                hint="copy to a new place",
            )
        with new.commit("copy") as (transaction, _):
            mark = transaction.one("SELECT value FROM meta WHERE name = ?", MARK)
            state, whose, *seq = mark[0].split() if mark else ("none", "")
            is_ours = whose == old.identity and (state == "copying" or seq == [str(transaction.seq())])
            if not is_ours and transaction.seq():
                raise BadRequest(
                    f"the catalog {target} is no copy of {old.location}, or was written to since it was copied",
                    hint="copy to a new place",
                )
            put_meta(transaction.connection, MARK, f"copying {old.identity}")
        yield new


def _made(target: Place, encoder: StoredEncoder) -> StoredCatalog:
    return create_catalog(
        target, fingerprint=encoder.fingerprint, dim=encoder.dim, parts=encoder.parts, about=encoder.about
    )


def _pass(
    old: StoredCatalog, new: StoredCatalog, size: int, on_progress: Callable[[int], None]
) -> tuple[set[str], list[str]]:
    """Compare every product; those that were put because they differed, and those that were removed.

    What is gone goes first, since its crops may be another product's now; and what goes meanwhile at the end.
    """
    gone = _without(old, new)
    ids, different, done = _by_age(old), set(), 0
    while done < len(ids):
        chunk = ids[done : done + size]
        here, there = old.entries(chunk), new.entries(chunk)
        wanted = [entry for name, entry in here.items() if not _same(old, entry, new, there.get(name))]
        if wanted:
            ids += _released(new, wanted)
            new.put([_carried(old, entry) for entry in wanted], fingerprint=new.fingerprint)
            different |= {entry.product.product_id for entry in wanted}
        done += len(chunk)
        on_progress(done)
    return different, gone + _without(old, new)


def _released(new: StoredCatalog, wanted: Sequence[Entry]) -> list[str]:
    """Remove products that hold a crop which is another's now; they have to be put again."""
    owners = {crop.crop_id: entry.product.product_id for entry in wanted for crop in entry.crops}
    ids, holders = list(owners), set[str]()
    with new.view() as transaction:
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK]
            held = transaction.all(f"{OWNERS} ({', '.join('?' * len(some))})", *some)
            holders |= {holder for crop_id, holder in held if holder != owners[crop_id]}
    return new.remove(sorted(holders)) if holders else []


OWNERS = "SELECT crop_id, product_id FROM crops JOIN products USING (product) WHERE crop_id IN"


def _without(old: StoredCatalog, new: StoredCatalog) -> list[str]:
    """Remove products that the source does not hold."""
    return new.remove(sorted(set(new.product_ids()) - set(old.product_ids())))


def _by_age(catalog: StoredCatalog) -> list[str]:
    """The ids of all products, by the age of their oldest crop."""
    statement = (
        "SELECT product_id FROM products"
        " JOIN (SELECT product, min(crop) AS oldest FROM crops GROUP BY product) AS first USING (product)"
        " ORDER BY oldest"
    )
    with catalog.view() as transaction:
        return [name for (name,) in transaction.all(statement)]


def _changed(catalog: StoredCatalog, after: int) -> set[str] | None:
    """The ids of products that were written after a commit and are there; None where that is not known any more."""
    with catalog.view() as transaction:
        rows = transaction.changes(after)
        if [row.seq for row in rows] != list(range(after + 1, transaction.seq() + 1)):
            return None
        keys = [ChangedKeys(*json.loads(row.detail)) for row in rows]
        products = {key for one in keys for key in one.products}
        crops = {key for one in keys for key in one.crops}
        names = {transaction.one("SELECT product_id FROM products WHERE product = ?", key) for key in products}
        names |= {transaction.one(OWNER, key) for key in crops}
    return {name[0] for name in names if name is not None}


OWNER = "SELECT product_id FROM crops JOIN products USING (product) WHERE crop = ?"


def _same(old: StoredCatalog, entry: Entry, new: StoredCatalog, copied: Entry | None) -> bool:
    """Whether a product is in both catalogs with the same columns, crops, photos and vectors."""
    return (
        copied is not None
        and repr(with_utc(entry.product)) == repr(copied.product)  # for Python, True is 1.0
        and np.array_equal(entry.vectors, copied.vectors)
        and _crops(old, entry.crops) == _crops(new, copied.crops)
    )


def _crops(catalog: StoredCatalog, crops: Sequence[Crop]) -> list[tuple[object, ...]]:
    return [
        (crop.crop_id, crop.sha256, crop.box, crop.split, None if _is_kept(catalog, crop) else crop.photo)
        for crop in crops
    ]


def _is_kept(catalog: StoredCatalog, crop: Crop) -> bool:
    """Whether a crop's photo is kept in its catalog."""
    return is_own_copy(catalog.folder, crop.photo, crop.sha256)


def _carried(catalog: StoredCatalog, entry: Entry) -> Entry:
    """A product with the bytes of its kept photos."""
    crops = [replace(crop, photo=_bytes(crop)) if _is_kept(catalog, crop) else crop for crop in entry.crops]
    return Entry(entry.product, crops, entry.vectors)


def _bytes(crop: Crop) -> bytes:
    """A kept photo; raises BadPhoto where it is gone."""
    if isinstance(crop.photo, BucketPhoto):
        return crop.photo.read()
    assert isinstance(crop.photo, Path)
    try:
        return files.content(crop.photo)
    except OSError as error:
        raise BadPhoto(
            f"the kept photo {crop.photo} of product {crop.product_id!r} cannot be read: {error.strerror}",
            hint="put the product with its photos, or remove it; 'osoroi check' names every photo that is gone",
        ) from error
