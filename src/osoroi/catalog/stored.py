"""What every stored catalog does: reads by transactions, and searches with an index in memory that follows ``seq``.

``local`` and ``postgres`` say where the database is, how a transaction begins, and how a commit is written.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Bool, Float32

from osoroi.catalog import filters
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.memory.rwlock import ReadWriteLock
from osoroi.catalog.protocol import (
    CatalogFiles,
    CatalogWriter,
    CommittedSince,
    Entry,
    Facet,
    Neighbor,
    SearchSource,
    StoredProduct,
    Transactions,
)
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.errors import BadIndex, BadRequest
from osoroi.index import IndexHealth
from osoroi.records import Crop, Product, Value

if TYPE_CHECKING:
    from osoroi.catalog.memory.compaction import Compactor
    from osoroi.catalog.memory.info import Info
    from osoroi.catalog.store.writer import Touched

log = logging.getLogger(__name__)

C = TypeVar("C", bound="StoredCatalog")
T = TypeVar("T")

PAGE = 500
"""Products read in one view."""


class StoredCatalog(CatalogFiles):
    """The half of a catalog that its database does not change; see ``osoroi.catalog.Storage``.

    It belongs to the encoder it was opened with: once ``reencode`` has switched to another, every call raises
    OtherEncoder, and the catalog is opened again with that one.
    """

    def __init__(
        self, pool: Transactions, location: str, encoder: StoredEncoder, settings: CatalogSettings, *, readonly: bool
    ) -> None:
        self.location = location
        self.folder = pool.folder
        self.encoder = encoder
        self.readonly = readonly
        self._transactions = pool
        self._settings = settings
        self._lock = ReadWriteLock()
        self._memory: MemoryIndex | None = None  # made by the first search
        self._elsewhere: SearchSource | None = None

    @property
    def writer(self) -> CatalogWriter:
        """The writing half; raises BadCatalog where the catalog was opened for reading."""
        raise NotImplementedError

    @property
    def compactor(self) -> "Compactor":
        """What writes snapshots of the index."""
        raise NotImplementedError

    def close(self) -> None:
        """Release files and connections."""
        raise NotImplementedError

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> str:
        """A random number that the catalog got when it was made; empty for an older one before its next commit."""
        return self._transactions.identity

    def check_identity(self) -> None:
        """Raise CatalogReplaced where another catalog, or none, stands here now. Takes microseconds.

        Every other method does so by itself. Close such a catalog, and open it again.
        """
        self._transactions.check_identity()

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder that was the catalog's when it was opened."""
        return self.encoder.fingerprint

    def view(self) -> AbstractContextManager[ReadTransaction]:
        """A read transaction: one state of the database, whatever is committed meanwhile."""
        return self._transactions.view()

    def __len__(self) -> int:
        with self.view() as transaction:
            return transaction.count()[0]

    def remove_empty(self) -> bool:
        """Remove the catalog where it holds no product; whether it is gone."""
        raise NotImplementedError

    # ---------------------------------------------------------------- writing

    def put(self, entries: Iterable[Entry], *, fingerprint: str) -> int:
        """Put products with exactly these crops; one commit, or none where all of it is so already.

        Photos on disk are remembered by path and SHA-256, others are copied into the folder. Returns the ``seq``.
        """
        return self.writer.put(entries, fingerprint=fingerprint)

    def put_if_unchanged(self, changes: Sequence[tuple[Entry, Entry]], *, fingerprint: str) -> list[str]:
        """Put what follows from what was read, unless others changed it meanwhile, see ``Storage``."""
        return self.writer.put_if_unchanged(changes, fingerprint=fingerprint)

    def apply(
        self,
        entries: Iterable[Entry],
        *,
        fingerprint: str,
        products: Iterable[Product] = (),
        remove: Iterable[str] = (),
    ) -> int:
        """Put entries, change metadata and remove products in one commit; see ``Storage.apply``."""
        return self.writer.apply(entries, products, remove, fingerprint=fingerprint)

    def patch(self, product_id: str, changes: Mapping[str, Value]) -> int:
        """Change metadata alone: ``price``, ``title``, ``attributes.sale``, or ``sale`` where that is no column.

        None makes a value missing. Returns the ``seq``; raises NotFound and BadRequest.
        """
        return self.writer.patch(product_id, changes)

    def remove(self, product_ids: Iterable[str]) -> list[str]:
        """Remove products with their crops; returns the ids that were there, in the order given."""
        return self.writer.remove(product_ids)

    def drop(self, product_id: str, crop_ids: Iterable[str]) -> int:
        """Remove these crops of a product, unless no other would be left; returns how many went."""
        return self.writer.drop(product_id, crop_ids)

    def commit(self, kind: str) -> "AbstractContextManager[tuple[ReadTransaction, Touched]]":
        """One commit by hand, for what maintains a catalog: a transaction, and what it has to note as touched."""
        return self.writer.commit(kind)

    def trust_categories(self, trusted: bool) -> None:
        """Say whether the categories of products tell their kinds, see ``Storage``."""
        from osoroi.catalog.store.writer import put_meta

        with self.commit("flag") as (transaction, _):
            put_meta(transaction.connection, ReadTransaction.CATEGORIES, str(trusted))

    def mark_settled(self, marks: Mapping[str, str]) -> None:
        """Note that the kinds are settled of what was written under these marks, see ``Storage``."""
        from osoroi.catalog.store.writer import remove_unsettled

        with self.writer.commit("flag", []) as (transaction, _):
            remove_unsettled(transaction.connection, marks)

    def compact(self) -> bool:
        """Fold what changed into a new snapshot while searches go on, and throw out what nobody needs any more.

        It happens by itself as a catalog grows. False where another process is at it.
        """
        self._transactions.check_writable()
        return self.compactor.run()

    # ---------------------------------------------------------------- reading

    @property
    def seq(self) -> int:
        """Number of the last commit."""
        with self.view() as transaction:
            return transaction.seq()

    def trusts_categories(self) -> bool:
        """Whether the categories of products tell their kinds."""
        with self.view() as transaction:
            return transaction.trusts_categories()

    def unsettled(self) -> dict[str, str]:
        """The marks of runs whose kinds are still to be settled, see ``Storage``."""
        with self.view() as transaction:
            return transaction.unsettled()

    def product_ids(self) -> list[str]:
        """The ids of all products, from one transaction."""
        with self.view() as transaction:
            return [row[0] for row in transaction.all("SELECT product_id FROM products")]

    def get(self, product_id: str) -> Product:
        """One product; raises NotFound."""
        with self.view() as transaction:
            return transaction.product(product_id)

    def get_many(self, product_ids: Iterable[str]) -> dict[str, StoredProduct]:
        """Those of these products that are held, by id; their crops carry the hash of their photo."""
        with self.view() as transaction:
            return transaction.get_many(product_ids)

    def entries(self, product_ids: Iterable[str]) -> dict[str, Entry]:
        """Product id -> product, crops and vectors of those of these products that exist, from one transaction."""
        with self.view() as transaction:
            transaction.demand_encoder(self.encoder)
            return {
                product_id: Entry(product, crops, transaction.vectors(self.encoder, [crop.crop_id for crop in crops]))
                for product_id, (product, crops) in transaction.get_many(product_ids).items()
            }

    def products(self, *, where: str | None = None, after: str = "", limit: int | None = None) -> Iterator[Product]:
        """Every product that matches, in the order of ids, behind ``after``; every 500 are one view of the database."""
        while limit is None or limit > 0:
            wanted = PAGE if limit is None else min(limit, PAGE)
            with self.view() as transaction:
                page = transaction.page(where, after, wanted)
            yield from page
            if len(page) < wanted:
                return
            after, limit = page[-1].product_id, None if limit is None else limit - wanted

    def count(self, *, where: str | None = None) -> int:
        """How many products match."""
        with self.view() as transaction:
            return transaction.matching(where)

    def crops(self, product_id: str) -> list[Crop]:
        """The shop crops of a product, in the order they were put; photos are paths. Raises NotFound."""
        with self.view() as transaction:
            return transaction.crops(transaction.row(product_id))

    def crop(self, crop_id: str) -> Crop:
        """One crop; raises NotFound."""
        with self.view() as transaction:
            return transaction.crop(crop_id)

    def vectors(self, crop_ids: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of these crops, in this order; raises NotFound."""
        with self.view() as transaction:
            transaction.demand_encoder(self.encoder)
            return transaction.vectors(self.encoder, crop_ids)

    def categories(self) -> dict[str | None, int]:
        """Each category with its number of products, the commonest first; None is for those without one."""
        with self.view() as transaction:
            return dict(
                transaction.all("SELECT category, count(*) FROM products GROUP BY category ORDER BY count(*) DESC")
            )

    def sample(self, most: int) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of at most so many crops, spread evenly over the catalog; the same until it changes."""
        with self.view() as transaction:
            transaction.demand_encoder(self.encoder)
            return transaction.vectors(self.encoder, transaction.spread(most))

    def columns(self) -> dict[str, frozenset[filters.ValueType]]:
        """What filters can name, and the kinds of value each has had: the columns, then ``attributes.…``."""
        with self.view() as transaction:
            held = transaction.attributes()
        return filters.COLUMNS | {filters.PREFIX + name: kinds for name, kinds in held.items()}

    def facets(self, where_for: Callable[[str], str | None]) -> list[Facet]:
        """What there is to choose from; ``where_for`` says for a column which filters all others set."""
        from osoroi.catalog.store.facets import facets

        with self.view() as transaction, transaction.limited():
            return facets(transaction, lambda column: transaction.compiled(where_for(column)))

    def health(self) -> IndexHealth | None:
        """How well the index finds, on a sample, what comparing with everything finds; None where it is exact."""
        return self._elsewhere.health() if self._elsewhere is not None else self._sound(self._health)

    def _health(self) -> IndexHealth | None:
        with self.current() as (_, memory):
            index = memory.index
        return index.health()  # it reads all vectors: what follows the catalog does not wait for it

    def info(self) -> "Info":
        """What the catalog holds, from what, since when, and how well its index does; reads every vector of a scan."""
        from osoroi.catalog.memory.info import info

        health = self.health()
        with self.view() as transaction:
            return info(transaction, self.encoder, health)

    # ---------------------------------------------------------------- searching

    def nearest(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        *,
        where: str | None = None,
        without: Sequence[str] = (),
        seq: int | None = None,
    ) -> list[Neighbor]:
        """The k best distinct products, best first, ties by key; all that match where they are fewer. Raises
        CommittedSince where the last commit is not ``seq``."""
        if k < 1 or query.shape[1] != self.encoder.dim or not np.isfinite(query).all():
            raise BadRequest(
                f"k={k} and a query of {query.shape[1]} numbers find nothing here",
                hint=f"k is at least 1, and queries are {self.encoder.dim} finite numbers",
            )
        if self._elsewhere is not None:
            if seq is not None and self.seq != seq:
                raise CommittedSince
            return self._elsewhere.nearest(self, query, k, where, without)
        return self._sound(lambda: self._nearest(query, k, where, without, seq))

    def _sound(self, work: Callable[[], T]) -> T:
        """Do work with the index; once more where the index is found to be damaged, after it was built anew."""
        try:
            return work()
        except BadIndex as error:
            self.build_anew(error)
            return work()

    def search_elsewhere(self, source: SearchSource) -> None:
        """Search in an index outside this process from now on, and keep none here."""
        self._elsewhere = source

    def missing(self) -> list[str]:
        """What should take part in a search and is away just now, by name; searches do without it."""
        return self._elsewhere.missing() if self._elsewhere is not None else []

    @contextlib.contextmanager
    def memory_at(self, seq: int, commit: int) -> Iterator[tuple[MemoryIndex, ReadTransaction | None]]:
        """The memory index where it has reached a commit, else brought up to date in the transaction that is given.

        Nothing changes it while the block runs.
        """
        with self._lock.shared():
            if self._memory is not None and self._memory.changed_since(seq, commit) is not None:
                yield self._memory, None
                return
        with self.current() as (transaction, memory):
            yield memory, transaction

    def build_anew(self, error: BadIndex) -> None:
        """Build the index anew from the database, because a vector of the snapshot is not what was written."""
        log.warning("%s: the index is built anew from the database: %s", self.location, error)
        with self._lock.exclusive(), self.view() as transaction:
            self._memory = MemoryIndex.build(transaction, self.encoder, self._settings)

    def _nearest(
        self, query: Float32[np.ndarray, "1 d"], k: int, where: str | None, without: Sequence[str], seq: int | None
    ) -> list[Neighbor]:
        with self.current() as (transaction, memory):
            if seq is not None and memory.seq != seq:
                raise CommittedSince
            among = self._allowed(transaction, memory, where) if where and where.strip() else None
            rows = [transaction.one("SELECT product FROM products WHERE product_id = ?", one) for one in without]
            best = memory.nearest(query, k, among=among, without=[row[0] for row in rows if row])
            return transaction.neighbors(self.encoder, best)

    def _allowed(self, transaction: ReadTransaction, memory: MemoryIndex, where: str) -> Bool[np.ndarray, "m"]:
        with transaction.limited():
            return memory.allowed(transaction, transaction.filter(where))

    @contextlib.contextmanager
    def current(self) -> Iterator[tuple[ReadTransaction, MemoryIndex]]:
        """A read transaction, and the memory index at its state, which nothing changes while the block runs."""
        with self._lock.shared(), self.view() as transaction:
            if self._memory is not None and self._memory.is_of(transaction):
                yield transaction, self._memory
                return
        with self._lock.exclusive(), self.view() as transaction:
            if self._memory is None or not self._memory.follow(transaction):
                transaction.demand_encoder(self.encoder)
                self._memory = MemoryIndex.open(transaction, self.encoder, self._settings)
            yield transaction, self._memory

    def swap(self, memory: MemoryIndex) -> None:
        """Take a fresh memory in place of the one there is, once it has caught up."""
        with self._lock.exclusive(), self.view() as transaction:
            if memory.follow(transaction):
                self._memory = memory
