"""Rows that one commit changes in PostgreSQL: read together, changed in memory, written together.

The rules are those of ``store.writer``; what differs is that a commit of many products takes ten round trips or so
instead of ten for each product.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32

from osoroi import files
from osoroi.catalog.filters import fold
from osoroi.catalog.postgres.schema import TEXTS
from osoroi.catalog.postgres.transaction import PostgresTransaction
from osoroi.catalog.store.photos import StoredPhoto, place
from osoroi.catalog.store.rows import (
    SLOTS,
    CropRow,
    ProductRow,
    VectorRow,
    attributes_of,
    box_text,
    checksum,
    each,
    facts,
    product_row,
    slot,
    vector_row,
)
from osoroi.catalog.store.writer import PUT_VECTOR, Prepared, Touched, taken
from osoroi.errors import BadPhoto
from osoroi.records import Product, with_utc


def _put(table: str, key: str, columns: Sequence[str]) -> str:
    """A statement that inserts a row, or replaces the one with its key."""
    marks, changes = ", ".join("?" * len(columns)), ", ".join(f"{name} = excluded.{name}" for name in columns)
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}"  # noqa: S608


PUT_PRODUCT = _put("products", "product", [*ProductRow._fields, *(f"{name}_folded" for name in TEXTS)])
PUT_CROP = _put("crops", "crop", CropRow._fields)
PUT_FACT = "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_KIND = "UPDATE names SET kinds = kinds || ' ' || ? WHERE name_id = ? AND NOT ? = ANY(string_to_array(kinds, ' '))"
CROPS = (
    "SELECT crops.*, products.product_id FROM crops JOIN products USING (product) WHERE crop_id = ANY(?)"
    " OR crops.product = ANY(ARRAY(SELECT product FROM products WHERE product_id = ANY(?)))"
)
"""Crops with their owners, in one statement: a later one may see that another writer has removed an owner."""
NAMES = "SELECT name, name_id, kinds FROM names WHERE name = ANY(?)"
KEYS = (
    "SELECT ARRAY(SELECT nextval('product_keys') FROM generate_series(1, ?)),"
    " ARRAY(SELECT nextval('crop_keys') FROM generate_series(1, ?))"
)


def halfvec_text(vector: Float32[np.ndarray, "d"]) -> str:
    """A vector as pgvector reads it.

    >>> halfvec_text(np.array([0.5, -1], np.float32))
    '[0.5,-1.0]'
    """
    return f"[{','.join(map(str, vector.tolist()))}]"


@dataclass
class ChangedRows:
    """The rows of some products, with what a commit makes of them. ``flush`` writes; ``touched`` notes keys."""

    transaction: PostgresTransaction
    encoder: int
    touched: Touched
    products: dict[str, ProductRow] = field(default_factory=dict)
    crops: dict[str, CropRow] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)  # key of a product -> its id
    vectors: dict[int, VectorRow] = field(default_factory=dict)
    photos: dict[str, StoredPhoto] = field(default_factory=dict)
    new_products: dict[int, ProductRow] = field(default_factory=dict)
    new_crops: dict[int, CropRow] = field(default_factory=dict)
    new_vectors: dict[int, VectorRow] = field(default_factory=dict)
    stale: set[int] = field(default_factory=set)  # crops whose vectors by any encoder go
    gone: set[int] = field(default_factory=set)
    old_attributes: dict[int, str] = field(default_factory=dict)
    product_keys: list[int] = field(default_factory=list)
    crop_keys: list[int] = field(default_factory=list)
    names: dict[str, tuple[int, str]] = field(default_factory=dict)  # of attributes -> number, kinds

    def load(self, product_ids: Iterable[str], crop_ids: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        """Read these products, all of their crops, crops of these ids whosever they are, and names of attributes."""
        read, ids, wanted = self.transaction, list(product_ids), list(crop_ids)
        with read.connection.pipeline():
            of_products = read.connection.execute("SELECT * FROM products WHERE product_id = ANY(?)", (ids,))
            of_crops = read.connection.execute(CROPS, (wanted, ids))
            of_names = read.connection.execute(NAMES, (list(names),))
        products = [ProductRow._make(row[: len(ProductRow._fields)]) for row in of_products]
        owned = [(CropRow._make(row), owner) for *row, owner in of_crops]
        crops = [row for row, _ in owned]
        self.products = {row.product_id: row for row in products}
        self.crops = {row.crop_id: row for row in crops}
        self.owners = {row.product: row.product_id for row in products} | {row.product: owner for row, owner in owned}
        self.names = {name: (number, kinds) for name, number, kinds in of_names}
        again = set(wanted)
        slots = [slot(self.encoder, row.crop) for row in crops if row.crop_id in again]
        stored = read.rows(VectorRow, "SELECT * FROM vectors WHERE slot = ANY(?)", slots) if slots else []
        self.vectors = {row.slot % SLOTS: row for row in stored}
        self._take_keys(len(set(ids)) - len(products), len([name for name in wanted if name not in self.crops]))

    def _take_keys(self, products: int, crops: int) -> None:
        """Keys for so many new products and crops, that nobody else gets."""
        if products or crops:
            for_products, for_crops = self.transaction.one(KEYS, products, crops)
            self.product_keys += for_products[::-1]
            self.crop_keys += for_crops[::-1]

    def owner(self, crop_id: str) -> str | None:
        """The product that a crop belongs to, as things stand in this commit."""
        row = self.crops.get(crop_id)
        return None if row is None else self.owners[row.product]

    def put(self, entry: Prepared) -> None:
        """One product with exactly these crops; what is the same already is not written again."""
        key = self.put_product(entry.product)
        old = {crop_id: row for crop_id, row in self.crops.items() if row.product == key}
        for place_, (crop, photo, vector) in enumerate(zip(entry.crops, entry.photos, entry.vectors, strict=True)):
            before = old.pop(crop.crop_id, None)
            if before is None and (owner := self.owner(crop.crop_id)) is not None:
                raise taken(crop.crop_id, owner)
            if before is None and not self.crop_keys:  # crops that move get new keys, too
                self._take_keys(0, len(entry.crops))
            number = before.crop if before else self.crop_keys.pop()
            values = (number, crop.crop_id, key, place_, photo.sha256, photo.path, box_text(crop.box), crop.split)
            row, stored = CropRow(*values, checksum(*values)), vector_row(slot(self.encoder, number), vector)
            if before == row and self.vectors.get(number) == stored:
                if photo.data is not None:  # the catalog may have lost it
                    self.photos[photo.sha256] = photo
                continue
            if before and (before.sha256, before.box) != (row.sha256, row.box):
                self.stale.add(number)  # another photo: another encoder's vector is of the old one
            self.crops[crop.crop_id], self.vectors[number] = row, stored
            self.new_crops[number], self.new_vectors[number] = row, stored
            self.photos[photo.sha256] = photo
            self.touched.crops.append(number)
        self.remove_crops(list(old.values()))

    def put_product(self, product: Product) -> int:
        """A product's columns and attributes; returns its key."""
        old = self.products.get(product.product_id)
        key = old.product if old else self.product_keys.pop()
        row = product_row(key, with_utc(product))
        if old != row:
            self.old_attributes.setdefault(key, old.attributes if old else "{}")
            self.products[product.product_id] = self.new_products[key] = row
            self.owners[key] = product.product_id
            self.touched.products.append(key)
        return key

    def remove_crops(self, rows: Sequence[CropRow]) -> None:
        """Forget crops and their vectors."""
        for row in rows:
            del self.crops[row.crop_id]
            self.new_crops.pop(row.crop, None)
            self.new_vectors.pop(row.crop, None)
            self.gone.add(row.crop)
            self.touched.gone_crops.append(row.crop)

    def remove(self, product_id: str) -> bool:
        """Forget a product and its crops; False where it is not held. Writes at once."""
        row = self.products.pop(product_id, None)
        if row is None:
            return False
        self.remove_crops([crop for crop in self.crops.values() if crop.product == row.product])
        self.touched.gone_products.append(row.product)
        return True

    def flush(self) -> None:
        """Write what was changed."""
        with self.transaction.connection.pipeline():
            self._write()
        for done in (self.new_products, self.new_crops, self.new_vectors, self.stale, self.gone, self.photos):
            done.clear()
        self.old_attributes.clear()

    def _write(self) -> None:
        connection = self.transaction.connection
        without = [*self.gone, *self.stale]
        if without:
            encoders = [number for (number,) in self.transaction.all("SELECT encoder FROM encoders")]
            slots = [slot(encoder, crop) for encoder in encoders for crop in without]
            connection.execute("DELETE FROM vectors WHERE slot = ANY(?)", (slots,))
        if self.gone:
            connection.execute("DELETE FROM crops WHERE crop = ANY(?)", (list(self.gone),))
        if self.new_products:
            folded = (
                (*row, *(None if (text := getattr(row, name)) is None else fold(text) for name in TEXTS))
                for row in self.new_products.values()
            )
            connection.execute_many(PUT_PRODUCT, list(folded))
            self._put_facts()
        self._put_photos()
        connection.execute_many(PUT_CROP, list(self.new_crops.values()))
        connection.execute_many(PUT_VECTOR, list(self.new_vectors.values()))
        if self.transaction.halfvecs is not None and self.new_vectors:
            put = _put(self.transaction.halfvecs, "crop", ["crop", "product", "vector"])
            halves = [
                (crop, self.new_crops[crop].product, halfvec_text(np.frombuffer(row.vector, "<f4")))
                for crop, row in self.new_vectors.items()
            ]
            connection.execute_many(put, halves)

    def delete_products(self) -> None:
        """Write the removal of products."""
        if self.touched.gone_products:
            gone = (self.touched.gone_products,)
            self.transaction.connection.execute("DELETE FROM facts WHERE product = ANY(?)", gone)
            self.transaction.connection.execute("DELETE FROM products WHERE product = ANY(?)", gone)

    def _put_facts(self) -> None:
        """The attributes of products as filters see them, where they have changed."""
        changed = [key for key, row in self.new_products.items() if self.old_attributes[key] != row.attributes]
        if old := [key for key in changed if self.old_attributes[key] != "{}"]:
            self.transaction.connection.execute("DELETE FROM facts WHERE product = ANY(?)", (old,))
        attributes = {key: attributes_of(self.new_products[key].attributes) for key in changed}
        values = {key: facts(Product("", attributes=one)) for key, one in attributes.items()}
        kinds = sorted({(name, kind) for row in values.values() for name, of in row.items() for _, kind in each(of)})
        numbers = self._names(kinds)
        rows = [(numbers[name], key, *cells) for key, row in values.items() for name, cells in _cells(row)]
        self.transaction.connection.execute_many(PUT_FACT, rows)

    def _names(self, kinds: Sequence[tuple[str, str]]) -> dict[str, int]:
        """The numbers of attributes' names, with a note of every kind of value that each has had."""
        connection, wanted = self.transaction.connection, sorted({name for name, _ in kinds})
        if not wanted:
            return {}
        known = {name: self.names[name] for name in wanted if name in self.names}
        if new := [name for name in wanted if name not in known]:
            first = dict(reversed(kinds))
            insert = "INSERT INTO names (name, kinds) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
            connection.execute_many(insert, [(name, first[name]) for name in new])
            known |= {name: (number, noted) for name, number, noted in self.transaction.all(NAMES, new)}
        missing = [(kind, known[name][0], kind) for name, kind in kinds if kind not in known[name][1].split()]
        connection.execute_many(ADD_KIND, missing)
        return {name: number for name, (number, _) in known.items()}

    def _put_photos(self) -> None:
        """Kept photos that are not there yet: in the bucket before this commit says so, or in the database."""
        kept = {photo.sha256: photo for photo in self.photos.values() if photo.path is None}
        if not kept:
            return
        statement = "SELECT sha256 FROM photos WHERE sha256 = ANY(?)"
        there = {sha256 for (sha256,) in self.transaction.all(statement, list(kept))}
        new = {sha256: self._data(photo) for sha256, photo in kept.items() if sha256 not in there}
        if (bucket := self.transaction.bucket) is not None:
            brought = {name: photo.data for name, photo in kept.items() if name in there and photo.data is not None}
            bucket.put(new | bucket.lacking(brought))
        rows = [(sha256, data if self.transaction.bucket is None else None) for sha256, data in new.items()]
        insert = "INSERT INTO photos VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING"
        self.transaction.connection.execute_many(insert, rows)

    def _data(self, photo: StoredPhoto) -> bytes:
        if photo.data is not None:
            return photo.data
        path = place(self.transaction.folder, photo.sha256)
        try:
            return files.content(path)
        except OSError as error:
            raise BadPhoto(f"the kept photo {path} is gone", hint="put the product with its photos") from error


FactCells = tuple[str | None, str | None, float | None, bool | None, bool]
"""Text, folded text, number and flag of a fact, and whether it is of a list."""


def _cells(values: Mapping[str, Any]) -> Iterator[tuple[str, FactCells]]:
    """Name and cells of each value of a product's attributes."""
    for name, value in values.items():
        is_listed = isinstance(value, tuple)
        for one, _ in each(value):
            if isinstance(one, str):
                yield name, (one, fold(one), None, None, is_listed)
            elif isinstance(one, bool):
                yield name, (None, None, None, one, is_listed)
            else:
                yield name, (None, None, float(one) + 0.0, None, is_listed)
