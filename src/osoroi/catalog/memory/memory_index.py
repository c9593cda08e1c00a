"""What a search needs in memory, derived from the database: an index of vectors, and the product of each crop.

It knows the ``seq`` it stands at; ``follow`` replays what was committed later.
"""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from osoroi.catalog.filters import Condition, Filter
from osoroi.catalog.memory import snapshots
from osoroi.catalog.memory.columns import Columns, grown
from osoroi.catalog.store.database import damaged
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder, slot
from osoroi.catalog.store.where import compiled
from osoroi.index import Index

log = logging.getLogger(__name__)

SNAPSHOT_FROM = 5000
"""Crops from which on the index is kept in a snapshot; fewer are read from the database in no time."""

RUNG = 64
"""Crops asked of the index at first; four times as many each time they collapse to too few products."""

RECENT = 8
"""Filters whose crops are remembered, at eight bytes a crop, until the next commit."""


class MemoryIndex:
    """Vectors, owners and what filters ask about, as of ``seq``."""

    def __init__(
        self,
        encoder: StoredEncoder,
        seq: int,
        commit: int,
        index: Index,
        owners: Int64[np.ndarray, "c"],
        columns: Columns,
    ) -> None:
        self._encoder = encoder
        self.seq = seq
        self.commit = commit  # of that seq: another file may have as many commits
        self.index = index
        self.owners = owners  # crop -> its product, 0 where there is none
        self.columns = columns
        self._allowed: OrderedDict[str, Int64[np.ndarray, "m"]] = OrderedDict()  # filter as text -> its crops
        self._matching = threading.Lock()

    @classmethod
    def open(cls, transaction: ReadTransaction, encoder: StoredEncoder) -> "MemoryIndex":
        """From the snapshot and what was committed since, or, without one that holds, from the database alone."""
        _, count = transaction.count()
        found = snapshots.read(transaction.folder, encoder.encoder) if count >= SNAPSHOT_FROM else None
        if found is None:
            return cls.build(transaction, encoder)
        manifest, index, owners, columns = found
        memory = cls(encoder, manifest.seq, manifest.commit, index, owners, columns)
        if not memory.follow(transaction) or len(memory) != count:
            log.warning(
                "%s: the snapshot of the index is not of this catalog's past, and is built anew", transaction.folder
            )
            return cls.build(transaction, encoder)
        return memory

    @classmethod
    def build(cls, transaction: ReadTransaction, encoder: StoredEncoder) -> "MemoryIndex":
        """From the database alone."""
        _, count = transaction.count()
        owners = np.zeros(1024, np.int64)
        for rows in transaction.batches("SELECT * FROM crops"):
            owners = _owned(owners, [transaction.owner(row) for row in rows])
        index = snapshots.built(transaction.folder, count, encoder, transaction.every_vector(encoder))
        if len(index) != count or np.count_nonzero(owners) != count:
            raise damaged(transaction.folder, f"{count} crops have {len(index)} vectors")
        seq = transaction.seq()
        return cls(encoder, seq, transaction.commit(seq), index, owners, Columns.read(transaction))

    def save(self, transaction: ReadTransaction) -> "MemoryIndex":
        """Write a snapshot, and return the same memory read from it, which takes less memory."""
        commit = self.commit
        number = self._encoder.encoder
        parts = (self.index, self.owners, self.columns)
        snapshots.write(transaction.folder, *parts, encoder=number, seq=self.seq, commit=commit)
        again = snapshots.read(transaction.folder, number)
        return MemoryIndex(self._encoder, self.seq, commit, *again[1:]) if again and again[0].seq == self.seq else self

    def __len__(self) -> int:
        return len(self.index)

    def follow(self, transaction: ReadTransaction) -> bool:
        """Replay what was committed since; False where the log does not reach back, or has another past, or another
        encoder took over."""
        if transaction.commit(self.seq) != self.commit:
            return False
        rows = transaction.changes(self.seq)
        last = transaction.seq()
        if [row[0] for row in rows] != list(range(self.seq + 1, last + 1)) or any(row[2] == "switch" for row in rows):
            return False
        products, crops, gone_products, gone_crops = (
            sorted({key for row in rows for key in json.loads(row[3])[place]}) for place in range(4)
        )
        self._replay(transaction, crops, gone_crops)
        self._retell(transaction, products, gone_products)
        self.seq, self.commit = last, transaction.commit(last)
        return True

    def is_of(self, transaction: ReadTransaction) -> bool:
        """Whether it shows just this state."""
        seq = transaction.seq()
        return self.seq == seq and self.commit == transaction.commit(seq)

    def _replay(self, transaction: ReadTransaction, crops: Sequence[int], gone: Sequence[int]) -> None:
        """Bring these crops to their present state, whatever happened to them on the way. Keys are never used twice."""
        if gone:
            self.index.remove(np.array(gone, np.int64))
            self.owners = _owned(self.owners, [(crop, 0) for crop in gone])
        crops = sorted(set(crops) - set(gone))
        if not crops:
            return
        rows = [transaction.one("SELECT * FROM crops WHERE crop = ?", crop) for crop in crops]
        if None in rows:
            raise damaged(transaction.folder, "a crop that was put is not there")
        places = [slot(self._encoder.encoder, crop) for crop in crops]
        vectors = [transaction.one("SELECT * FROM vectors WHERE slot = ?", place) for place in places]
        self.owners = _owned(self.owners, [transaction.owner(row) for row in rows])
        self.index.add(np.array(crops, np.int64), transaction.vectors_of(self._encoder, vectors))

    def nearest(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        *,
        among: Int64[np.ndarray, "m"] | None,
        without: Sequence[int] = (),
    ) -> list[tuple[int, int, float]]:
        """Product, its best crop and that crop's score, for the k best products.

        Asks for more crops until k products are found or there are no more crops: the crops come best first, so no
        product that is left out is better. Every k begins at the same rung, so that a smaller k gives a prefix.
        """
        if among is not None and len(among) == len(self):
            among = None  # everything matches
        candidates = len(self) if among is None else len(among)
        width = RUNG
        while width < k + len(without):
            width *= 4
        while candidates:
            keys, scores = self.index.nearest(query, width, among=among)
            products = self.owners[keys[0]]
            first = np.sort(np.unique(products, return_index=True)[1])
            found = first[~np.isin(products[first], np.array(without, np.int64))][:k]
            if len(found) == k or width >= candidates:
                return [(int(products[at]), int(keys[0, at]), float(scores[0, at])) for at in found]
            width *= 4
        return []

    def allowed(self, transaction: ReadTransaction, filter_: Filter) -> Int64[np.ndarray, "m"]:
        """Crops of the products that match, rising."""

        def ask(condition: Condition) -> Int64[np.ndarray, "m"]:
            text, values = compiled(condition)
            rows = transaction.all(" ".join(["SELECT product FROM products WHERE", text]), *values)
            return np.fromiter((key for (key,) in rows), np.int64, len(rows))

        told = repr(filter_)  # as values, true and 1 are the same
        with self._matching:
            if told not in self._allowed:
                matches = self.columns.matching(filter_, ask)
                matches[0] = False  # whose crop is nobody's
                self._allowed[told] = np.flatnonzero(matches[self.owners])
                if len(self._allowed) > RECENT:
                    self._allowed.popitem(last=False)
            self._allowed.move_to_end(told)
            return self._allowed[told]

    def _retell(self, transaction: ReadTransaction, products: Sequence[int], gone: Sequence[int]) -> None:
        """Bring what filters ask about to the present state of these products."""
        rows = {key: transaction.one("SELECT * FROM products WHERE product = ?", key) for key in {*products} - {*gone}}
        if None in rows.values():
            raise damaged(transaction.folder, "a product that was put is not there")
        self.columns.follow({key: transaction.product_of(row) for key, row in rows.items()})
        self._allowed.clear()


def _owned(owners: Int64[np.ndarray, "c"], rows: Sequence[tuple[int, int]]) -> Int64[np.ndarray, "m"]:
    """Owners with these crops and their products put in."""
    pairs = np.array(rows, np.int64).reshape(-1, 2)
    owners = grown(owners, int(pairs[:, 0].max(initial=0)) + 1, 0)
    owners[pairs[:, 0]] = pairs[:, 1]
    return owners
