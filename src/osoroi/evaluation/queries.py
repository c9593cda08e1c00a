"""The evaluation set: which street crops are queries, which products are relevant to each, and the gallery."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from osoroi.data import splits
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset
from osoroi.evaluation.labels import Label
from osoroi.evaluation.results import Protocol, Query
from osoroi.garments.part import known_kind
from osoroi.records import Product, Row


class QueryCrop(NamedTuple):
    """A query with its relevant products, and the row of the street crop whose pixels are searched."""

    query: Query
    row: Row


class EvaluationSet:
    """Queries, product keys and a fingerprint of a data set under a protocol.

    A key is a product's position in reading order, distractors last, as in a catalog that is filled in that order.
    Memory holds ids and query crops; the gallery is read as a stream.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.queries: list[QueryCrop] = []
        self.keys: dict[str, int] = {}
        self.categories: list[str | None] = []
        self.labels: list[Label] = []
        self.designs: dict[str, str] = {}
        self._hash = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of domain, ids, category and box of every row read so far, in reading order."""
        return self._hash.hexdigest()

    def register(self, row: Row) -> int:
        """Key of the row's product, assigned at its first row. The row becomes part of the fingerprint."""
        crop, product = row.crop, row.product
        fields = [crop.domain, crop.crop_id, product.product_id, product.category, crop.box]
        self._hash.update(json.dumps(fields).encode() + b"\n")
        if product.product_id not in self.keys:
            self.keys[product.product_id] = len(self.keys)
            self.categories.append(product.category)
            self.labels.append(label_of(product))
            if product.design_id is not None:
                self.designs[product.product_id] = product.design_id
        return self.keys[product.product_id]

    def gallery(self, reader: Reader, distractors: Sequence[Reader]) -> Iterator[tuple[int, Row]]:
        """Key and row of every shop photo in the gallery, distractors last.

        Raises BadDataset where a distractor has the id of a product of the data set.
        """
        for row in reader.rows():
            if row.crop.domain == "shop" and row.product.product_id in self.keys:
                yield self.register(row), row
        own = len(self.keys)
        for distractor in distractors:
            for row in distractor.rows():
                if self.keys.get(row.product.product_id, own) < own:
                    raise BadDataset(
                        f"distractor {row.product.product_id!r} has the id of a product of the data set",
                        hint="distractors must be other products, under ids of their own",
                    )
                if row.crop.domain == "shop":
                    yield self.register(row), row

    def registered(self, readers: Iterable[Reader]) -> Iterator[tuple[int, Row]]:
        """Key and row of every shop photo that is in the gallery already, in the same order."""
        for reader in readers:
            for row in reader.rows():
                if row.crop.domain == "shop" and row.product.product_id in self.keys:
                    yield self.keys[row.product.product_id], row

    def relevant_keys(self) -> Int64[np.ndarray, "q r"]:
        """Keys of each query's relevant products; short rows are filled with -1."""
        rows = [[self.keys[product] for product in each.query.product_ids] for each in self.queries]
        filled = np.full((len(rows), max(map(len, rows), default=0)), -1, dtype=np.int64)
        for filled_row, row in zip(filled, rows, strict=True):
            filled_row[: len(row)] = row
        return filled

    def category_groups(self) -> tuple[Int64[np.ndarray, "q"], Int64[np.ndarray, "p"]] | None:
        """Category numbers of the queries, and of the products by key; None where categories do not matter."""
        if not self.protocol.within:
            return None
        numbers = {name: number for number, name in enumerate(dict.fromkeys(self.categories))}
        queries = [numbers[each.query.category] for each in self.queries]
        return np.array(queries, dtype=np.int64), np.array([numbers[name] for name in self.categories], dtype=np.int64)


COLORS = ("color", "colour")
"""Attributes that hold a product's color."""


def label_of(product: Product) -> Label:
    """Kind and color of a product as its shop says them.

    >>> label_of(Product("p", category="T-shirts", attributes={"color": "Navy"}))
    Label(kind='top', color='navy')
    """
    colors = (product.attributes.get(name) for name in COLORS)
    color = next((each.casefold() for each in colors if isinstance(each, str)), None)
    return Label(known_kind(product), color)


def build_evaluation_set(reader: Reader, protocol: Protocol) -> EvaluationSet:
    """Take the street crops of the protocol's split as queries, and the products of its splits as the gallery.

    A product belongs to a split through any of its crops. Every product that a street crop shows is relevant to it
    (the rows of one crop are merged); within categories, only those of its first row's category. Raises BadDataset
    where the split has no street crop, or where a product stands in two splits.
    """
    evaluation_set = EvaluationSet(protocol)
    street: dict[str, list[Row]] = {}
    counts: Counter[str] = Counter()
    gallery_splits = {protocol.split, *protocol.gallery}
    for row in reader.rows() if protocol.split is None else splits.checked(reader.rows()):
        is_street = row.crop.domain == "street"
        counts[str(row.crop.split)] += is_street
        if protocol.split is None or row.crop.split in gallery_splits:
            evaluation_set.register(row)
        if is_street and protocol.split in (None, row.crop.split):
            street.setdefault(row.crop.crop_id, []).append(row)
    if not street:
        available = ", ".join(f"{name} ({count})" for name, count in counts.items() if count)
        available = available or "none at all; a column domain says street or shop of each photo"
        which = "the data set" if protocol.split is None else f"split {protocol.split!r}"
        raise BadDataset(f"{which} has no street crop to use as a query", hint=f"street crops by split: {available}")
    evaluation_set.queries = [_merged(rows, within=protocol.within) for rows in street.values()]
    return evaluation_set


def _merged(rows: Sequence[Row], *, within: bool) -> QueryCrop:
    category = rows[0].product.category
    relevant: Iterable[Row] = (row for row in rows if not within or row.product.category == category)
    products = tuple(dict.fromkeys(row.product.product_id for row in relevant))
    return QueryCrop(Query(rows[0].crop.crop_id, products, category), rows[0])
