"""A catalog in a folder: one SQLite file that holds the database, kept photos beside it, and an index in memory.

Whatever a method has returned from is on the disk. One writer at a time, any number of readers in other processes; each
search looks first whether something was committed since. Threads may share a catalog: they search together.
"""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from osoroi.catalog import filters
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.memory.rwlock import ReadWriteLock
from osoroi.catalog.protocol import EncoderFacts, Entry, Facet, Neighbor, StoredProduct
from osoroi.catalog.store import database, verify
from osoroi.catalog.store.pool import Pool
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder, described
from osoroi.catalog.store.settings import Settings
from osoroi.errors import BadCatalog, BadIndex, BadRequest
from osoroi.index import Health
from osoroi.records import Crop, Part, Product, Value

if TYPE_CHECKING:
    from osoroi.catalog.local_writer import LocalWriter
    from osoroi.catalog.memory.info import Info
    from osoroi.catalog.store.writer import Touched

log = logging.getLogger(__name__)

DEFAULTS = Settings()

PAGE = 500
"""Products read in one view."""


def is_catalog(folder: Path) -> bool:
    """Whether a catalog stands there, of whatever format and in whatever state."""
    return (folder / database.FILE).is_file()


class LocalCatalog:
    """See ``osoroi.catalog.Storage``.

    It belongs to the encoder it was opened with: once ``reencode`` has switched to another, every call raises
    OtherEncoder, and the catalog is opened again with that one.
    """

    def __init__(self, folder: Path, *, readonly: bool, wait_s: float, settings: Settings) -> None:
        folder = folder.absolute()
        database.inspect(folder)
        if not readonly and not os.access(folder, os.W_OK):
            raise BadCatalog(
                f"the catalog {folder} cannot be written", hint="check permissions, or open it for reading"
            )
        self.folder = folder
        self.readonly = readonly
        self._settings = settings
        self._pool = Pool(folder, readonly=readonly, wait_s=wait_s)
        self._lock = ReadWriteLock()
        self._memory: MemoryIndex | None = None  # made by the first search
        try:
            with self.view() as transaction:
                self.encoder = transaction.encoder()
                verify.demand(transaction, up_to=settings.verify_up_to)
        except BaseException:
            self._pool.close()
            raise

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        fingerprint: str,
        dim: int,
        parts: Sequence[Part] = (),
        about: Mapping[str, str] | None = None,
        settings: Settings = DEFAULTS,
    ) -> "LocalCatalog":
        """A new, empty catalog for one encoder's vectors, opened for writing.

        The folder appears complete or not at all. Raises BadCatalog where something stands there already.
        """
        if dim < 1 or (parts and sum(part.size for part in parts) != dim):
            raise BadRequest(f"parts {[(part.name, part.size) for part in parts]} do not make vectors of {dim} numbers")
        return cls._make(folder, StoredEncoder(0, fingerprint, dim, tuple(parts), about or {}, 0.0), settings)

    @classmethod
    def _make(cls, folder: Path, encoder: StoredEncoder, settings: Settings) -> "LocalCatalog":
        from osoroi.catalog.store.writer import initialize

        folder = folder.absolute()
        if is_catalog(folder):
            raise BadCatalog(f"there is a catalog at {folder} already", hint="open it, or name another folder")
        if folder.exists() and not (folder.is_dir() and all(map(database.is_left_over, folder.iterdir()))):
            raise BadCatalog(f"{folder} holds something else", hint="name a folder that is new or empty")
        with database.explained(folder):
            try:
                database.make(folder, lambda connection: initialize(connection, encoder))
            except FileExistsError as error:
                raise BadCatalog(f"another process made a catalog at {folder}", hint="open it") from error
        return cls.open(folder, settings=settings)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        readonly: bool = False,
        wait_s: float = database.WAIT_S,
        settings: Settings = DEFAULTS,
    ) -> "LocalCatalog":
        """A catalog that is there; a writer waits ``wait_s`` seconds for another one and then raises Busy.

        Raises BadCatalog for a folder that is none, for a newer format and for damage, and touches nothing.
        """
        return cls(folder, readonly=readonly, wait_s=wait_s, settings=settings)

    @classmethod
    def open_or_create(cls, folder: Path, encoder: EncoderFacts, *, settings: Settings = DEFAULTS) -> "LocalCatalog":
        """The catalog at ``folder``, opened for writing; a new one for this encoder where there is none.

        A catalog of another encoder is opened as what it is: ``put`` refuses.
        """
        if is_catalog(folder):
            return cls.open(folder, settings=settings)
        return cls._make(folder, described(encoder), settings)

    def close(self) -> None:
        """Give the files back, once a compaction that is under way has ended. What was committed stays."""
        self.settle()
        self._pool.close()

    def __enter__(self) -> "LocalCatalog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def location(self) -> str:
        """The catalog's folder, as error messages name it."""
        return str(self.folder)

    @property
    def identity(self) -> str:
        """A random number that the catalog got when it was made; empty for an older one before its next commit."""
        return self._pool.identity

    def check_identity(self) -> None:
        """Raise CatalogReplaced where another catalog, or none, stands here now. Takes microseconds.

        Every other method does so by itself. Close such a catalog, and open it again.
        """
        self._pool.check_identity()

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder that was the catalog's when it was opened."""
        return self.encoder.fingerprint

    def view(self) -> AbstractContextManager[ReadTransaction]:
        """A read transaction: one state of the database, whatever is committed meanwhile."""
        return self._pool.view()

    def __len__(self) -> int:
        with self.view() as transaction:
            return transaction.count()[0]

    # ---------------------------------------------------------------- writing

    def put(self, entries: Iterable[Entry], *, fingerprint: str) -> int:
        """Put products with exactly these crops; one commit, or none where all of it is so already.

        Photos on disk are remembered by path and SHA-256, others are copied into the folder. Returns the ``seq``.
        """
        return self.writer.put(entries, fingerprint=fingerprint)

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

    @functools.cached_property
    def writer(self) -> "LocalWriter":
        """The writing half; raises BadCatalog where the catalog was opened for reading."""
        from osoroi.catalog.local_writer import LocalWriter

        self._pool.check_writable()
        return LocalWriter(self._pool, self.encoder, self._settings, self._swap)

    def compact(self) -> bool:
        """Fold what changed into a new snapshot while searches go on, and throw out what nobody needs any more.

        It happens by itself as a catalog grows. False where another process is at it.
        """
        return self.writer.compactor.run()

    def settle(self) -> None:
        """Wait until a compaction that this handle began in the background has ended."""
        if "writer" in vars(self):  # it has written something
            self.writer.compactor.wait()

    # ---------------------------------------------------------------- reading

    @property
    def seq(self) -> int:
        """Number of the last commit."""
        with self.view() as transaction:
            return transaction.seq()

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

    def columns(self) -> dict[str, frozenset[filters.Kind]]:
        """What filters can name, and the kinds of value each has had: the columns, then ``attributes.…``."""
        with self.view() as transaction:
            held = transaction.attributes()
        return filters.COLUMNS | {filters.PREFIX + name: kinds for name, kinds in held.items()}

    def facets(self, where_for: Callable[[str], str | None]) -> list[Facet]:
        """What there is to choose from; ``where_for`` says for a column which filters all others set."""
        from osoroi.catalog.store.facets import facets

        with self.view() as transaction, transaction.limited():
            return facets(transaction.connection, lambda column: transaction.compiled(where_for(column)))

    def health(self) -> Health | None:
        """How well the index finds, on a sample, what comparing with everything finds; None where it is exact."""
        try:
            return self._health()
        except BadIndex as error:
            self._build_anew(error)
            return self._health()

    def _health(self) -> Health | None:
        with self._current() as (_, memory):
            return memory.index.health()

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
    ) -> list[Neighbor]:
        """The k best distinct products, best first, ties by key; all that match where they are fewer."""
        if k < 1 or query.shape[1] != self.encoder.dim or not np.isfinite(query).all():
            raise BadRequest(
                f"k={k} and a query of {query.shape[1]} numbers find nothing here",
                hint=f"k is at least 1, and queries are {self.encoder.dim} finite numbers",
            )
        try:
            return self._nearest(query, k, where, without)
        except BadIndex as error:
            self._build_anew(error)
            return self._nearest(query, k, where, without)

    def _build_anew(self, error: BadIndex) -> None:
        """Build the index anew from the database, because a vector of the snapshot is not what was written."""
        log.warning("%s: the index is built anew from the database: %s", self.folder, error)
        with self._lock.exclusive(), self.view() as transaction:
            self._memory = MemoryIndex.build(transaction, self.encoder, self._settings)

    def _nearest(
        self, query: Float32[np.ndarray, "1 d"], k: int, where: str | None, without: Sequence[str]
    ) -> list[Neighbor]:
        with self._current() as (transaction, memory):
            with transaction.limited():
                among = memory.allowed(transaction, transaction.filter(where)) if where and where.strip() else None
            rows = [transaction.one("SELECT product FROM products WHERE product_id = ?", one) for one in without]
            best = memory.nearest(query, k, among=among, without=[row[0] for row in rows if row])
            return [transaction.neighbor(self.encoder, one) for one in best]

    @contextlib.contextmanager
    def _current(self) -> Iterator[tuple[ReadTransaction, MemoryIndex]]:
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

    def _swap(self, memory: MemoryIndex) -> None:
        """Take a fresh memory in place of the one there is, once it has caught up."""
        with self._lock.exclusive(), self.view() as transaction:
            if memory.follow(transaction):
                self._memory = memory
