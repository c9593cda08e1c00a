"""Who asks and what may be found: a data set under a protocol, ready to be asked."""

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
from osoroi.evaluation.results import Protocol, Query
from osoroi.records import Crop, Row


class Asked(NamedTuple):
    """A query and the crop that asks it."""

    query: Query
    crop: Crop


class Questions:
    """The queries of a data set, the products that may be found under keys, and a hash of all ids and boxes.

    A key is a product's place in the order of reading, distractors last, as in a catalog filled in that order.
    Nothing but ids, and the crops that ask, is held.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.asked: list[Asked] = []
        self.keys: dict[str, int] = {}
        self.categories: list[str | None] = []
        self._hash = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of domain, ids, category and box of every crop so far, in the order of reading."""
        return self._hash.hexdigest()

    def know(self, row: Row) -> int:
        """The key of a row's product, given at its first row; the fingerprint takes the row in."""
        crop, product = row.crop, row.product
        told = [crop.domain, crop.crop_id, product.product_id, product.category, crop.box]
        self._hash.update(json.dumps(told).encode() + b"\n")
        if product.product_id not in self.keys:
            self.keys[product.product_id] = len(self.keys)
            self.categories.append(product.category)
        return self.keys[product.product_id]

    def gallery(self, reader: Reader, distractors: Sequence[Reader]) -> Iterator[tuple[int, Crop]]:
        """Key and crop of every shop photo that stands in the gallery; raises BadDataset where a distractor is one of
        the data set's own products."""
        for row in reader.rows():
            if row.crop.domain == "shop" and row.product.product_id in self.keys:
                yield self.know(row), row.crop
        own = len(self.keys)
        for other in distractors:
            for row in other.rows():
                if self.keys.get(row.product.product_id, own) < own:
                    raise BadDataset(
                        f"distractor {row.product.product_id!r} has the id of a product of the data set",
                        hint="distractors must be other products, under ids of their own",
                    )
                if row.crop.domain == "shop":
                    yield self.know(row), row.crop

    def right(self) -> Int64[np.ndarray, "q r"]:
        """The keys of each query's right products, filled with -1."""
        keys = [[self.keys[product] for product in asked.query.product_ids] for asked in self.asked]
        filled = np.full((len(keys), max(map(len, keys), default=0)), -1, dtype=np.int64)
        for row, each in zip(filled, keys, strict=True):
            row[: len(each)] = each
        return filled

    def groups(self) -> tuple[Int64[np.ndarray, "q"], Int64[np.ndarray, "p"]] | None:
        """The category of each query and of each product as numbers, where queries stay within theirs."""
        if not self.protocol.within:
            return None
        numbers = {name: number for number, name in enumerate(dict.fromkeys(self.categories))}
        queries = [numbers[asked.query.category] for asked in self.asked]
        return np.array(queries, dtype=np.int64), np.array([numbers[name] for name in self.categories], dtype=np.int64)


def gather(reader: Reader, protocol: Protocol) -> Questions:
    """The street crops of the split as queries, and the products that their answers are looked for among.

    A product belongs to a split by any of its crops. All products that a street crop shows are right, its rows
    joined; within categories, those of its first row's category. Raises BadDataset where nothing asks, or where a
    product stands in two splits.
    """
    questions = Questions(protocol)
    street: dict[str, list[Row]] = {}
    seen: Counter[str] = Counter()
    wanted = {protocol.split, *protocol.gallery}
    for row in reader.rows() if protocol.split is None else splits.checked(reader.rows()):
        asks = row.crop.domain == "street"
        seen[str(row.crop.split)] += asks
        if protocol.split is None or row.crop.split in wanted:
            questions.know(row)
        if asks and protocol.split in (None, row.crop.split):
            street.setdefault(row.crop.crop_id, []).append(row)
    if not street:
        there = ", ".join(f"{name} ({count})" for name, count in seen.items() if count) or "none at all"
        which = "" if protocol.split is None else f" of split {protocol.split!r}"
        raise BadDataset(f"no street crop{which} asks", hint=f"street crops by split: {there}")
    questions.asked = [_joined(rows, within=protocol.within) for rows in street.values()]
    return questions


def _joined(rows: Sequence[Row], *, within: bool) -> Asked:
    category = rows[0].product.category
    mine: Iterable[Row] = (row for row in rows if not within or row.product.category == category)
    products = tuple(dict.fromkeys(row.product.product_id for row in mine))
    return Asked(Query(rows[0].crop.crop_id, products, category), rows[0].crop)
