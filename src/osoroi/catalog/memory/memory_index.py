"""What a search needs in memory, derived from the database: an index of vectors, and the product of each crop.

It knows the ``seq`` it stands at; ``follow`` replays what was committed later.
"""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int64

from osoroi.catalog.filters import Condition, Filter
from osoroi.catalog.memory import snapshots
from osoroi.catalog.memory.columns import Columns, grown
from osoroi.catalog.store.reader import BestCrop, ReadTransaction
from osoroi.catalog.store.rows import ChangedKeys, ChangeRow, CropRow, StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.index import Index

if TYPE_CHECKING:
    from osoroi.catalog.memory.history import History

log = logging.getLogger(__name__)

RUNG = 64
"""Crops that the index gives at first; four times as many each time they collapse to too few products."""

RECENT = 8
"""Filters whose crops are remembered, at one byte a crop, until the next commit."""


class NeedsDatabase(Exception):
    """A condition of a filter that no column in memory answers."""


class MemoryIndex:
    """Vectors, owners and the columns of filters, as of ``seq``."""

    def __init__(
        self,
        encoder: StoredEncoder,
        seq: int,
        commit: int,
        index: Index,
        owners: Int64[np.ndarray, "c"],
        columns: Columns,
        settings: CatalogSettings,
    ) -> None:
        self.encoder = encoder
        self._settings = settings
        self.seq = seq
        self.commit = commit  # of that seq: another file may have as many commits
        self.index = index
        self.owners = owners  # crop -> its product, 0 where there is none
        self.columns = columns
        self.pending: set[int] = set()  # crops without a vector of an encoder that the catalog is still to move to
        self._allowed: OrderedDict[str, Bool[np.ndarray, "m"]] = OrderedDict()  # filter as text -> its crops, marked
        self._matching = threading.Lock()
        self._history: "History | None" = None
        if settings.history:
            from osoroi.catalog.memory.history import History

            self._history = History(seq, commit, settings.history)

    @classmethod
    def open(cls, transaction: ReadTransaction, encoder: StoredEncoder, settings: CatalogSettings) -> "MemoryIndex":
        """From the snapshot and what was committed since, or, without one that holds, from the database alone."""
        count = transaction.crop_count(settings.shard)
        has_snapshot = count >= settings.snapshot_from
        folder = transaction.folder / settings.shard.folder
        snapshot = snapshots.read(folder, encoder.encoder, settings) if has_snapshot else None
        if snapshot is None:
            return cls.build(transaction, encoder, settings)
        memory = cls.of_snapshot(encoder, snapshot, settings)
        if not memory.follow(transaction) or len(memory) != count:
            log.warning(
                "%s: the snapshot of the index is not of this catalog's past, and is built anew", transaction.location
            )
            return cls.build(transaction, encoder, settings)
        return memory

    @classmethod
    def of_snapshot(
        cls, encoder: StoredEncoder, snapshot: snapshots.OpenedSnapshot, settings: CatalogSettings
    ) -> "MemoryIndex":
        """As of the commit of a snapshot."""
        manifest = snapshot.manifest
        index, owners, columns = snapshot.index, snapshot.owners, snapshot.columns
        memory = cls(encoder, manifest.seq, manifest.commit, index, owners, columns, settings)
        memory.pending = set(manifest.pending)
        return memory

    @classmethod
    def build(
        cls,
        transaction: ReadTransaction,
        encoder: StoredEncoder,
        settings: CatalogSettings,
        *,
        pending: Collection[int] = (),
    ) -> "MemoryIndex":
        """From the database alone, without the crops that have no vector yet."""
        shard = settings.shard
        count = transaction.crop_count(shard) - len(pending)
        owners = np.zeros(1024, np.int64)
        for rows in transaction.every_crop(shard):
            owners = _with_crops(owners, transaction, rows)
        owners = _owned(owners, np.array(sorted(pending), np.int64), np.zeros(len(pending), np.int64))
        vectors = transaction.every_vector(encoder, shard)
        index = snapshots.built(transaction.folder, count, encoder, vectors, settings)
        if len(index) != count or np.count_nonzero(owners) != count:
            raise transaction.damaged(f"{count} crops have {len(index)} vectors")
        seq = transaction.seq()
        columns = Columns.read(transaction, words=settings.words, shard=shard)
        memory = cls(encoder, seq, transaction.commit(seq), index, owners, columns, settings)
        memory.pending = set(pending)
        return memory

    def save(self, folder: Path) -> "MemoryIndex":
        """Write a snapshot, and return the same memory read from it, which takes less memory."""
        commit = self.commit
        number = self.encoder.encoder
        parts = (self.index, self.owners, self.columns)
        snapshots.write(folder, *parts, encoder=number, seq=self.seq, commit=commit, pending=self.pending)
        again = snapshots.read(folder, number, self._settings)
        if again is None or again.manifest.seq != self.seq:
            return self
        return MemoryIndex.of_snapshot(self.encoder, again, self._settings)

    def __len__(self) -> int:
        return len(self.index)

    def follow(self, transaction: ReadTransaction) -> bool:
        """Replay what was committed since; False where the log does not reach back, or has another past, or another
        encoder took over. Crops that have no vector yet, of an encoder that the catalog is still to move to, are left
        out and ``pending``."""
        if transaction.commit(self.seq) != self.commit:
            return False
        rows = transaction.changes(self.seq)
        last = transaction.seq()
        if [row.seq for row in rows] != list(range(self.seq + 1, last + 1)):
            return False
        if any(row.kind == "switch" for row in rows) and transaction.encoder() != self.encoder:
            return False
        changed = [ChangedKeys(*json.loads(row.detail)) for row in rows]
        before = self.owners if self._history is None else self.owners.copy()
        self._replay_crops(
            transaction,
            {key for keys in changed for key in keys.crops} | self.pending,
            gone={key for keys in changed for key in keys.gone_crops},
        )
        self._replay_products(
            transaction,
            set(self._of_shard([key for keys in changed for key in keys.products])),
            gone={key for keys in changed for key in keys.gone_products},
        )
        if self._history is not None:
            self._remember(self._history, rows, changed, before)
        self.seq, self.commit = last, transaction.commit(last)
        return True

    def is_of(self, transaction: ReadTransaction) -> bool:
        """Whether it shows just this state."""
        return transaction.head() == (self.seq, self.commit)

    def changed_since(self, seq: int, commit: int) -> frozenset[int] | None:
        """The products of the shard that changed since a commit; None where that commit is not remembered."""
        return None if self._history is None else self._history.changed_since(seq, commit)

    def _remember(
        self,
        history: "History",
        rows: Sequence[ChangeRow],
        changed: Sequence[ChangedKeys],
        before: Int64[np.ndarray, "c"],
    ) -> None:
        """Which products each commit changed: those it names, and the owners of the crops that it names."""
        products: list[set[int]] = []
        for keys in changed:
            owners = [*_owners_of(before, [*keys.crops, *keys.gone_crops]), *_owners_of(self.owners, keys.crops)]
            products.append(set(self._of_shard([*keys.products, *keys.gone_products, *owners])) - {0})
        put = {key for keys in changed for key in keys.crops}
        passing = [key for keys in changed for key in keys.gone_crops if key in put]
        if 0 in _owners_of(before, passing):  # put and removed since, nobody knows of what: nothing is known in between
            rows, products = rows[-1:], [set().union(*products)]
        for row, keys_ in zip(rows, products, strict=True):
            history.add(row.seq, row.checksum, keys_)

    def _of_shard(self, products: Sequence[int]) -> list[int]:
        """Those of these products that the index holds."""
        keys = np.array(products, np.int64)
        return keys[self._settings.shard.holds(keys)].tolist()

    def _replay_crops(self, transaction: ReadTransaction, changed: set[int], *, gone: set[int]) -> None:
        """Bring these crops to their present state, whatever happened to them on the way. Keys are never used twice.

        Everything is read before anything changes: where the database fails, all of it is done again the next time.
        """
        rows = transaction.crop_rows(sorted(changed - gone))
        own = set(self._of_shard([row.product for row in rows]))
        rows = [row for row in rows if row.product in own]
        pending: set[int] = set()
        if rows and transaction.encoder() != self.encoder:
            pending = transaction.pending_of(self.encoder, [row.crop for row in rows])
            rows = [row for row in rows if row.crop not in pending]
        crops = [row.crop for row in rows]
        vectors = transaction.vectors_at(self.encoder, crops)
        owners = _with_crops(self.owners, transaction, rows) if rows else self.owners
        if removed := sorted(gone | pending):
            self.index.remove(np.array(removed, np.int64))
            owners = _owned(owners, np.array(removed, np.int64), np.zeros(len(removed), np.int64))
        if crops:
            self.index.add(np.array(crops, np.int64), vectors)
        self.owners, self.pending = owners, pending

    def nearest(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        *,
        among: Bool[np.ndarray, "m"] | None,
        without: Sequence[int] = (),
    ) -> list[BestCrop]:
        """The best crop of each of the k best products.

        Asks for more crops until k products are found or there are no more crops: the crops come best first, so no
        product that is left out is better. Every k begins at the same rung, so that a smaller k gives a prefix.
        """
        if among is not None and np.count_nonzero(among) == len(self):
            among = None  # everything matches
        width = RUNG
        while width < k + len(without):
            width *= 4
        left_out = frozenset(without)  # of a shard it has all that changed since, up to thousands
        while True:
            (keys,), (scores,) = self.index.nearest(query, width, among=among)
            best: dict[int, BestCrop] = {}
            rows = zip(self.owners[keys].tolist(), keys.tolist(), scores.tolist(), strict=True)
            for product, crop, score in rows:
                if product not in best and product not in left_out:
                    best[product] = BestCrop(product, crop, score)
                    if len(best) == k:
                        return list(best.values())
            if len(keys) < width:  # there are no more crops
                return list(best.values())
            width *= 4

    def allowed(self, transaction: ReadTransaction | None, filter_: Filter) -> Bool[np.ndarray, "m"]:
        """Marks of the crops whose products match; raises NeedsDatabase where that takes a transaction."""

        def by_database(condition: Condition) -> Int64[np.ndarray, "m"]:
            if transaction is None:
                raise NeedsDatabase
            sql, values = transaction.sql(condition)
            inside = self._settings.shard.condition("product")
            statement = " ".join(["SELECT product FROM products WHERE", inside, "AND (", sql, ")"])
            rows = transaction.all(statement, *values)
            return np.fromiter((key for (key,) in rows), np.int64, len(rows))

        text = repr(filter_)  # as values, true and 1 are the same
        with self._matching:
            if text not in self._allowed:
                matches = self.columns.matching(filter_, by_database)
                matches[0] = False  # whose crop is nobody's
                self._allowed[text] = matches[self.owners]
                if len(self._allowed) > RECENT:
                    self._allowed.popitem(last=False)
            self._allowed.move_to_end(text)
            return self._allowed[text]

    def _replay_products(self, transaction: ReadTransaction, changed: set[int], *, gone: set[int]) -> None:
        """Bring the columns of filters to the present state of these products."""
        rows = transaction.product_rows(sorted(changed - gone))
        self.columns.follow({row.product: transaction.product_of(row) for row in rows})
        self._allowed.clear()


def _owners_of(owners: Int64[np.ndarray, "c"], crops: Sequence[int]) -> list[int]:
    """The products of these crops, 0 where there is none."""
    keys = np.array(crops, np.int64)
    return np.where(keys < len(owners), owners[np.minimum(keys, len(owners) - 1)], 0).tolist()


def _with_crops(
    owners: Int64[np.ndarray, "c"], transaction: ReadTransaction, rows: Iterable[CropRow]
) -> Int64[np.ndarray, "m"]:
    """Owners with the crops of these rows; raises BadCatalog for a row that is not what was written."""
    crops, products = [], []
    for row in rows:
        transaction.demand_whole(row)
        crops.append(row.crop)
        products.append(row.product)
    return _owned(owners, np.array(crops, np.int64), np.array(products, np.int64))


def _owned(
    owners: Int64[np.ndarray, "c"], crops: Int64[np.ndarray, "n"], products: Int64[np.ndarray, "n"]
) -> Int64[np.ndarray, "m"]:
    """Owners with these crops and their products put in."""
    owners = grown(owners, int(crops.max(initial=0)) + 1, 0)
    owners[crops] = products
    return owners
