"""What a writer does inside one transaction: rows in, rows out, and a line in ``changes`` that says which."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi.catalog import filters
from osoroi.catalog.protocol import Entry
from osoroi.catalog.store import identity, marking, photos
from osoroi.catalog.store.photos import StoredPhoto
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import (
    ChangedKeys,
    ChangeRow,
    CropRow,
    EncoderRow,
    ProductRow,
    StoredEncoder,
    VectorRow,
    attributes_of,
    box_text,
    checksum,
    each,
    facts,
    meta_row,
    product_row,
    slot,
    vector_row,
)
from osoroi.catalog.store.sql import Connection
from osoroi.catalog.store.validation import demand, demand_product
from osoroi.errors import REENCODE, BadRequest, OtherEncoder
from osoroi.records import Crop, Product, Value, with_utc

PUT_META = (
    "INSERT INTO meta VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value,"
    " checksum = excluded.checksum"
)
PUT_VECTOR = (
    "INSERT INTO vectors VALUES (?, ?, ?) ON CONFLICT (slot) DO UPDATE SET vector = excluded.vector,"
    " checksum = excluded.checksum"
)


class Prepared(NamedTuple):
    """An entry whose photos are kept and whose values are sound."""

    product: Product
    crops: Sequence[Crop]
    photos: Sequence[StoredPhoto]
    vectors: Float32[np.ndarray, "n d"]


@dataclass
class Touched:
    """Keys that a commit changed: products and crops put, products and crops that are gone; and its ``seq``."""

    seq: int = 0

    products: list[int] = field(default_factory=list)
    crops: list[int] = field(default_factory=list)
    gone_products: list[int] = field(default_factory=list)
    gone_crops: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.products or self.crops or self.gone_products or self.gone_crops)


def prepared(folder: Path, dim: int, entry: Entry) -> Prepared:
    """An entry after its checks, its photos kept; raises BadRequest and BadPhoto."""
    demand(entry, dim)
    stored = [photos.keep(folder, crop.photo, crop.sha256) for crop in entry.crops]
    return Prepared(entry.product, entry.crops, stored, entry.vectors)


def record(
    connection: Connection, kind_: str, touched: Touched, *, always: bool = False, last: int | None = None
) -> int:
    """The commit's line in ``changes``, where anything was touched (or ``always``); returns the last ``seq``.

    Marks of the run (``marking``) are noted with it.
    ``last`` is the ``seq`` before this one where several write at once, and somebody has to say who is next.
    """
    if last is None:
        last = int(connection.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0])
    if not (touched or always):
        return last
    put_unsettled(connection, marking.CURRENT.get())
    keys = ChangedKeys(touched.products, touched.crops, touched.gone_products, touched.gone_crops)
    values = (last + 1, time.time(), kind_, json.dumps(keys))
    connection.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", ChangeRow(*values, checksum(*values)))
    return last + 1


def demand_encoder_of(location: object, encoder: StoredEncoder, fingerprint: str) -> None:
    """Raise OtherEncoder for vectors of another encoder than the catalog's."""
    if fingerprint != encoder.fingerprint:
        raise OtherEncoder(
            f"the catalog {location} holds vectors of encoder {encoder.fingerprint[:12]}, "
            f"and these are by encoder {fingerprint[:12]}",
            hint=f"use the catalog's encoder, or {REENCODE}",
        )


def put_encoder(connection: Connection, encoder: StoredEncoder) -> int:
    """An encoder whose vectors are going to come; returns its number."""
    number = _next(connection, "encoders")
    parts, about = json.dumps([asdict(part) for part in encoder.parts]), json.dumps(dict(encoder.about))
    values = (number, encoder.fingerprint, encoder.dim, parts, about, time.time())
    connection.execute("INSERT INTO encoders VALUES (?, ?, ?, ?, ?, ?, ?)", EncoderRow(*values, checksum(*values)))
    return number


def use_encoder(connection: Connection, number: int) -> None:
    """Make an encoder the one whose vectors are searched."""
    put_meta(connection, "encoder", str(number))


def put_meta(connection: Connection, name: str, value: str) -> None:
    """One of the values that the catalog keeps about itself."""
    connection.execute(PUT_META, meta_row(name, value))


def put_unsettled(connection: Connection, marks: Mapping[str, str]) -> None:
    """The last marks of runs that write products, see ``marking``."""
    for run, mark in marks.items():
        put_meta(connection, ReadTransaction.UNSETTLED + run, mark)


def remove_unsettled(connection: Connection, marks: Mapping[str, str]) -> None:
    """Remove marks that are still the last of their run."""
    for run, mark in marks.items():
        connection.execute("DELETE FROM meta WHERE name = ? AND value = ?", (ReadTransaction.UNSETTLED + run, mark))


def initialize(connection: Connection, encoder: StoredEncoder) -> None:
    """What a new catalog begins with."""
    use_encoder(connection, put_encoder(connection, encoder))
    put_meta(connection, "created_s", repr(time.time()))
    put_meta(connection, "identity", identity.new())


def put(connection: Connection, encoder: int, entry: Prepared, touched: Touched) -> None:
    """One product with exactly these crops; what is the same already is not written again."""
    key = put_product(connection, entry.product, touched)
    old: dict[str, int] = dict(connection.execute("SELECT crop_id, crop FROM crops WHERE product = ?", (key,)))
    for place, (crop, photo, vector) in enumerate(zip(entry.crops, entry.photos, entry.vectors, strict=True)):
        number = old.pop(crop.crop_id, None)
        if number is None:
            number = _new_crop(connection, crop.crop_id)
        values = (number, crop.crop_id, key, place, photo.sha256, photo.path, box_text(crop.box), crop.split)
        row = CropRow(*values, checksum(*values))
        _put_crop(connection, row, vector_row(slot(encoder, number), vector), touched)
    remove_crops(connection, list(old.values()), touched)


def apply(
    transaction: ReadTransaction,
    encoder: StoredEncoder,
    entries: Iterable[Entry],
    products: Iterable[Product],
    remove_ids: Iterable[str],
    touched: Touched,
) -> None:
    """Put entries one by one, change metadata, and remove products.

    A crop may move from a product that is put later on, or removed. Raises BadRequest where its product keeps it.
    """
    connection = transaction.connection
    settled: set[str] = set()  # products that were put
    robbed: dict[str, str] = {}  # product -> a crop that another one has taken from it
    for entry in entries:
        one = prepared(transaction.folder, encoder.dim, entry)
        robbed |= _take(connection, one, settled, touched)
        put(connection, encoder.encoder, one, touched)
        photos.ensure(transaction.folder, one.photos)
        settled.add(one.product.product_id)
        robbed.pop(one.product.product_id, None)
    for product in products:
        transaction.row(product.product_id)  # raises NotFound
        demand_product(product)
        put_product(connection, product, touched)
    for product_id in remove_ids:
        remove(connection, product_id, touched)
        robbed.pop(product_id, None)
    for product_id, crop_id in robbed.items():
        raise taken(crop_id, product_id)


def _take(connection: Connection, entry: Prepared, settled: set[str], touched: Touched) -> dict[str, str]:
    """Remove crops of the entry's ids from other products that were not put yet; gives those products."""
    robbed: dict[str, str] = {}
    for crop in entry.crops:
        row = connection.execute(OWNER, (crop.crop_id,)).fetchone()
        if row and row[0] != entry.product.product_id and row[0] not in settled:
            robbed[row[0]] = crop.crop_id
            remove_crops(connection, [row[1]], touched)
    return robbed


def put_product(connection: Connection, product: Product, touched: Touched) -> int:
    """The product's row and its attributes as facts; returns its key."""
    stored = connection.execute("SELECT * FROM products WHERE product_id = ?", (product.product_id,)).fetchone()
    old = None if stored is None else ProductRow._make(stored)
    key = old.product if old else _next(connection, "products")
    product = with_utc(product)
    row = product_row(key, product)
    if old == row:
        return key
    before = facts(Product("", attributes=attributes_of(old.attributes))) if old else {}
    connection.execute("INSERT OR REPLACE INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    _put_facts(connection, key, before, facts(product))
    touched.products.append(key)
    return key


HIGHEST = {
    "products": "SELECT max(product) FROM products",
    "crops": "SELECT max(crop) FROM crops",
    "encoders": "SELECT max(encoder) FROM encoders",
}


def _next(connection: Connection, table: str) -> int:
    """A key that was never given before, since what replays changes goes by keys."""
    given = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()[0]
    highest = connection.execute(HIGHEST[table]).fetchone()[0]
    return max(given or 0, highest or 0) + 1


def _put_facts(connection: Connection, key: int, old: dict[str, Any], new: dict[str, Any]) -> None:
    statement = "DELETE FROM facts WHERE name_id = ? AND value = ? AND product = ?"
    for name, value in old.items():
        if name in new and _same_kind(value, new[name]):
            continue
        for one, _ in each(value):
            connection.execute(statement, (_name(connection, name, None), one, key))
    for name, value in new.items():
        if name in old and _same_kind(old[name], value):
            continue
        for one, kind_ in each(value):
            connection.execute("INSERT INTO facts VALUES (?, ?, ?)", (_name(connection, name, kind_), one, key))


def _same_kind(one: Any, other: Any) -> bool:
    """Whether two values are the same and of one kind: a flag equals a number for Python, and not for a filter."""
    return repr(one) == repr(other)


def _name(connection: Connection, name: str, kind_: str | None) -> int:
    """The number of an attribute's name, and a note of every kind of value it has had."""
    row = connection.execute("SELECT name_id, kinds FROM names WHERE name = ?", (name,)).fetchone()
    if row is None:
        cursor = connection.execute("INSERT INTO names (name, kinds) VALUES (?, ?)", (name, kind_))
        return int(cursor.lastrowid or 0)
    name_id, kinds = row
    if kind_ and kind_ not in kinds.split():
        connection.execute("UPDATE names SET kinds = ? WHERE name_id = ?", (f"{kinds} {kind_}", name_id))
    return int(name_id)


def _new_crop(connection: Connection, crop_id: str) -> int:
    owner = connection.execute(OWNER, (crop_id,)).fetchone()
    if owner:
        raise taken(crop_id, owner[0])
    return _next(connection, "crops")


OWNER = "SELECT product_id, crop FROM crops JOIN products USING (product) WHERE crop_id = ?"


def taken(crop_id: str, product_id: str) -> BadRequest:
    """The error for a crop that two products claim."""
    return BadRequest(
        f"crop {crop_id!r} belongs to product {product_id!r} already", hint="every crop needs an id of its own"
    )


def _put_crop(connection: Connection, crop: CropRow, vector: VectorRow, touched: Touched) -> None:
    stored = connection.execute("SELECT * FROM crops WHERE crop = ?", (crop.crop,)).fetchone()
    old = None if stored is None else CropRow._make(stored)
    if old == crop and connection.execute("SELECT * FROM vectors WHERE slot = ?", (vector.slot,)).fetchone() == vector:
        return
    if old and (old.sha256, old.box) != (crop.sha256, crop.box):  # another photo: another encoder's vector is stale
        _remove_vectors(connection, crop.crop)
    connection.execute("INSERT OR REPLACE INTO crops VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", crop)
    put_vector(connection, vector)
    touched.crops.append(crop.crop)


def _remove_vectors(connection: Connection, crop: int) -> None:
    for (encoder,) in connection.execute("SELECT encoder FROM encoders").fetchall():
        connection.execute("DELETE FROM vectors WHERE slot = ?", (slot(encoder, crop),))


def remove_crops(connection: Connection, crops: Sequence[int], touched: Touched) -> None:
    for crop in crops:
        _remove_vectors(connection, crop)
        connection.execute("DELETE FROM crops WHERE crop = ?", (crop,))
        touched.gone_crops.append(crop)


def put_vector(connection: Connection, vector: VectorRow) -> None:
    """A crop's vector, in place of what was there."""
    connection.execute(PUT_VECTOR, vector)


def remove(connection: Connection, product_id: str, touched: Touched) -> bool:
    """Forget a product, its crops and their vectors; False where it is not held."""
    row = connection.execute("SELECT product, attributes FROM products WHERE product_id = ?", (product_id,)).fetchone()
    if row is None:
        return False
    key, attributes = row
    _put_facts(connection, key, facts(Product("", attributes=attributes_of(attributes))), {})
    crops = connection.execute("SELECT crop FROM crops WHERE product = ?", (key,)).fetchall()
    remove_crops(connection, [crop for (crop,) in crops], touched)
    connection.execute("DELETE FROM products WHERE product = ?", (key,))
    touched.gone_products.append(key)
    return True


def parted(
    before: Sequence[Entry], prepared: Sequence[Prepared], transaction: ReadTransaction
) -> tuple[list[Prepared], list[str]]:
    """What was prepared for products that stand as they were read before, and the ids of the others."""
    now = transaction.get_many([entry.product.product_id for entry in before])
    as_read, stale = [], []
    for entry, one in zip(before, prepared, strict=True):
        product, crops = now.get(entry.product.product_id, (None, []))
        if product == entry.product and list(crops) == list(entry.crops):
            as_read.append(one)
        else:
            stale.append(entry.product.product_id)
    return as_read, stale


def patched(product: Product, changes: Mapping[str, Value]) -> Product:
    """A product with some of its metadata changed.

    >>> cheaper = patched(Product("p", price=10.0), {"price": 8.0, "attributes.sale": True})
    >>> cheaper.price, cheaper.attributes
    (8.0, {'sale': True})
    """
    if "product_id" in changes:
        raise BadRequest("a product keeps its id", hint="put it under the new id, and remove the old one")
    columns: dict[str, Any] = {name: value for name, value in changes.items() if name in filters.COLUMNS}
    attributes = {
        name.removeprefix(filters.PREFIX): value for name, value in changes.items() if name not in filters.COLUMNS
    }
    if "title" in columns and columns["title"] is None:
        columns["title"] = ""
    return replace(product, **columns, attributes={**product.attributes, **attributes})
