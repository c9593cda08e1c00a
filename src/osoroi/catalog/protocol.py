"""The protocol of a catalog, the values that pass between it and its callers, and how a caller ends a reading."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from osoroi.catalog.filters.nodes import ValueType
from osoroi.records import Crop, Part, Product, Value

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from osoroi.catalog.store.reader import ReadTransaction
    from osoroi.catalog.store.rows import StoredEncoder
    from osoroi.catalog.store.writer import Touched
    from osoroi.index import IndexHealth


class Entry(NamedTuple):
    """A product to store: its shop crops, and one vector for each crop, in the same order."""

    product: Product
    crops: Sequence[Crop]
    vectors: Float32[np.ndarray, "n d"]


class StoredProduct(NamedTuple):
    """A product of a catalog and its crops. Each crop has the ``sha256`` of its photo."""

    product: Product
    crops: list[Crop]


class Neighbor(NamedTuple):
    """One product of a search: its best crop, the score of that crop, and the crop's stored vector.

    All four come from one read transaction, so they belong together whatever is written meanwhile.
    """

    product: Product
    crop_id: str
    score: float
    vector: Float32[np.ndarray, "d"]

    @property
    def product_id(self) -> str:
        """The id of the product."""
        return self.product.product_id


class CommittedSince(Exception):
    """Something was committed since the ``seq`` that a query was made for."""


class Choice(NamedTuple):
    """One value of a column, and the number of products that have it."""

    value: str
    products: int


class Facet(NamedTuple):
    """One column to filter by, under the name that filters use.

    A flag has the values ``yes`` and ``no``. A range has the lowest and the highest value.
    """

    column: str
    kind: Literal["choice", "flag", "range"]
    choices: tuple[Choice, ...] = ()
    least: float | None = None
    most: float | None = None


@runtime_checkable
class EncoderFacts(Protocol):
    """What a catalog must know about the encoder of its vectors. ``osoroi.encoder.Encoder`` has these properties."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides a vector, in hexadecimal."""
        ...

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of a vector, in their order; their sizes add up to ``dim``."""
        ...


@runtime_checkable
class SearchSource(Protocol):
    """An index of a catalog that is not in this process."""

    def nearest(
        self,
        catalog: Any,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        where: str | None,
        without: Sequence[str],
    ) -> list[Neighbor]:
        """See ``StoredCatalog.nearest``."""
        ...

    def health(self) -> "IndexHealth | None":
        """See ``StoredCatalog.health``."""
        ...

    def missing(self) -> list[str]:
        """See ``StoredCatalog.missing``."""
        ...


@runtime_checkable
class Storage(Protocol):
    """Products, crops and vectors of one encoder. A write is durable once its method has returned."""

    @property
    def location(self) -> str:
        """Where the catalog is, as its error messages name it."""
        ...

    @property
    def folder(self) -> Path:
        """Files of the catalog on this machine: the catalog itself, or a cache."""
        ...

    @property
    def encoder(self) -> EncoderFacts:
        """The encoder whose vectors are searched."""
        ...

    @property
    def fingerprint(self) -> str:
        """The fingerprint of that encoder."""
        ...

    @property
    def identity(self) -> str:
        """A random number that the catalog got when it was made; its copies and backups share it."""
        ...

    def missing(self) -> list[str]:
        """What should take part in a search and is away just now, by name; searches do without it."""
        ...

    def check_identity(self) -> None:
        """Raise CatalogReplaced where another catalog, or none, stands where this one was opened; every other method
        does so, too."""
        ...

    @property
    def seq(self) -> int:
        """The number of the last commit; 0 before the first."""
        ...

    def __len__(self) -> int:
        """Number of products."""
        ...

    def close(self) -> None:
        """Release files and connections. A closed catalog refuses every call."""
        ...

    def put(self, entries: Iterable[Entry], *, fingerprint: str) -> int:
        """Store products with exactly these crops, in one commit; replaces products of the same id.

        Returns the ``seq`` of the commit, or the last one where nothing changed. Raises OtherEncoder where
        ``fingerprint`` is not the catalog's.
        """
        ...

    def put_if_unchanged(self, changes: Sequence[tuple[Entry, Entry]], *, fingerprint: str) -> list[str]:
        """Put the second of each two entries of a product in the place of the first, in one commit.

        A product that has other metadata or crops by now than the first entry, or is gone, is left out; the ids of
        these are returned. Raises OtherEncoder as ``put`` does.
        """
        ...

    def apply(
        self,
        entries: Iterable[Entry],
        *,
        fingerprint: str,
        products: Iterable[Product] = (),
        remove: Iterable[str] = (),
    ) -> int:
        """Put entries, change the metadata of ``products`` and remove others, all in one commit: readers see all of it
        or nothing. Entries are taken one by one. A crop may move between products that are put or removed. Returns the
        ``seq``; raises NotFound for products that are not there, BadRequest for a crop that two products claim.
        """
        ...

    def trusts_categories(self) -> bool:
        """Whether the categories of products tell their kinds; else photos do, as the two contradict each other."""
        ...

    def trust_categories(self, trusted: bool) -> None:
        """Say whether categories tell kinds; changes no vector. ``osoroi.categories.review`` decides it."""
        ...

    def unsettled(self) -> dict[str, str]:
        """The last mark of each run that wrote products whose kinds are still to be settled, and is at it or was
        stopped; see ``osoroi.categories.settle`` and ``catalog.store.marking``."""
        ...

    def mark_settled(self, marks: Mapping[str, str]) -> None:
        """Take these marks away from runs that have not got another one since, in one commit."""
        ...

    def product_ids(self) -> list[str]:
        """The ids of all products, from one read transaction."""
        ...

    def patch(self, product_id: str, changes: Mapping[str, Value]) -> int:
        """Change metadata only (``price``, ``title``, ``attributes.sale``, …); embeds nothing. Raises NotFound."""
        ...

    def remove(self, product_ids: Iterable[str]) -> list[str]:
        """Remove products; returns the ids that were there, in the order given."""
        ...

    def drop(self, product_id: str, crop_ids: Iterable[str]) -> int:
        """Remove these crops of a product unless no other crop would be left; returns how many were removed."""
        ...

    def get(self, product_id: str) -> Product:
        """One product; raises NotFound."""
        ...

    def get_many(self, product_ids: Iterable[str]) -> dict[str, StoredProduct]:
        """Product id -> product and crops, for those of these ids that exist; one read transaction."""
        ...

    def entries(self, product_ids: Iterable[str]) -> dict[str, Entry]:
        """Product id -> product, crops and their vectors, for those of these ids that exist; one read transaction."""
        ...

    def products(self, *, where: str | None = None, after: str = "", limit: int | None = None) -> Iterator[Product]:
        """Every matching product with an id above ``after``, in the order of ids; ``limit`` products at most."""
        ...

    def count(self, *, where: str | None = None) -> int:
        """Number of products that match."""
        ...

    def crop(self, crop_id: str) -> Crop:
        """One crop; raises NotFound."""
        ...

    def crops(self, product_id: str) -> list[Crop]:
        """The shop crops of a product, in the order in which they were put; raises NotFound."""
        ...

    def vectors(self, crop_ids: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of these crops, in this order; raises NotFound."""
        ...

    def sample(self, most: int) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of at most so many crops, spread evenly over the catalog; the same until it changes."""
        ...

    def columns(self) -> dict[str, frozenset[ValueType]]:
        """The columns that filters can name, and the kinds of value that each has had."""
        ...

    def facets(self, where_for: Callable[[str], str | None]) -> list[Facet]:
        """The columns to choose by, with counts. ``where_for(column)`` is the filter it is counted under."""
        ...

    def nearest(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        *,
        where: str | None = None,
        without: Sequence[str] = (),
        seq: int | None = None,
    ) -> list[Neighbor]:
        """The k best distinct products for a weighted query, best first; all that match where they are fewer than k.

        ``without`` names products to leave out. Raises BadFilter and BadRequest; and CommittedSince where the last
        commit is not ``seq``, for a query that was made from what the catalog held then.
        """
        ...


@runtime_checkable
class Transactions(Protocol):
    """Begins transactions of one catalog; ``identity`` is the catalog's, and ``folder`` holds its files."""

    identity: str
    folder: Path

    def view(self) -> "AbstractContextManager[ReadTransaction]":
        """One state of the database."""
        ...

    def check_identity(self) -> None:
        """Raise CatalogReplaced where another catalog, or none, stands there now."""
        ...

    def check_writable(self) -> None:
        """Raise BadCatalog where the catalog was opened for reading."""
        ...


@runtime_checkable
class CatalogWriter(Protocol):
    """The writing half of a catalog: each method is one commit. See ``Storage`` for what they do."""

    def commit(
        self, kind: str, products: Sequence[str] | None = None
    ) -> "AbstractContextManager[tuple[ReadTransaction, Touched]]": ...
    def put(self, entries: Iterable[Entry], *, fingerprint: str) -> int: ...
    def put_if_unchanged(self, changes: Sequence[tuple[Entry, Entry]], *, fingerprint: str) -> list[str]: ...
    def apply(
        self, entries: Iterable[Entry], products: Iterable[Product], remove: Iterable[str], *, fingerprint: str
    ) -> int: ...
    def patch(self, product_id: str, changes: Mapping[str, Value]) -> int: ...
    def remove(self, product_ids: Iterable[str]) -> list[str]: ...
    def drop(self, product_id: str, crop_ids: Iterable[str]) -> int: ...
    def put_encoder(self, transaction: "ReadTransaction", encoder: "StoredEncoder") -> int: ...
    def remove_product(self, transaction: "ReadTransaction", product_id: str, touched: "Touched") -> None: ...


class CatalogFiles:
    """Files that a catalog keeps beside its products, such as that of its encoder."""

    def store_file(self, name: str, source: Path | None) -> None:
        """Keep a copy of a file with the catalog under a name, in place of an earlier one; None removes that."""
        raise NotImplementedError

    def fetch_file(self, name: str) -> Path | None:
        """The file that is kept under a name, as a file on this machine; None where there is none."""
        raise NotImplementedError


INTERRUPTION: Final[ContextVar[threading.Event | None]] = ContextVar("interruption", default=None)
"""What ends the readings of a thread: a thread reads on behalf of a request, and another one (the event loop) learns
that the client is gone, that its time is over, or that the service ends."""


@contextlib.contextmanager
def interrupted_by(event: threading.Event) -> Iterator[None]:
    """Let statements that are limited (see ``ReadTransaction.limited``) end once the event is set.

    >>> event = threading.Event()
    >>> with interrupted_by(event):
    ...     before = is_interrupted()
    ...     event.set()
    ...     before, is_interrupted()
    (False, True)
    """
    token = INTERRUPTION.set(event)
    try:
        yield
    finally:
        INTERRUPTION.reset(token)


def is_interrupted() -> bool:
    """Whether nobody waits any more for what this thread reads: the database then ends its statement."""
    event = INTERRUPTION.get()
    return event is not None and event.is_set()
