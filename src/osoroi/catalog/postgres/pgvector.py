"""Searching inside PostgreSQL by its extension pgvector, for catalogs that no searcher should keep an index of.

Each encoder has a table ``halfvecs_N`` of its crops' vectors in half precision, all parts as one vector, which every
commit keeps up to date. A query is scaled by its weights, so one inner product is the score here, too. Up to
``CatalogSettings.scan_from`` vectors, or vectors that a filter allows, all are compared; beyond that pgvector walks its
graph (HNSW) by an iterative scan. What it gives is scored again by the exact vectors, and collapsed to products.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Float32
from psycopg import errors, sql

from osoroi.catalog.address import Address
from osoroi.catalog.memory.memory_index import RUNG
from osoroi.catalog.postgres.catalog import PostgresCatalog
from osoroi.catalog.postgres.pool import PostgresPool
from osoroi.catalog.postgres.rows import halfvec_text
from osoroi.catalog.postgres.transaction import PostgresTransaction, halfvecs_of
from osoroi.catalog.protocol import CommittedSince, Neighbor
from osoroi.catalog.store.reader import BestCrop
from osoroi.catalog.store.rows import CropRow, StoredEncoder
from osoroi.catalog.store.settings import WAIT_S, CatalogSettings
from osoroi.errors import BadCatalog, BadRequest, CatalogUnavailable
from osoroi.index import IndexHealth

MOST_NUMBERS: Final = 4000
"""Numbers in a vector that pgvector can index in half precision."""

SETTINGS = (
    "SET LOCAL hnsw.iterative_scan = strict_order; SET LOCAL hnsw.max_scan_tuples = 2147483647;"
    " SET LOCAL enable_sort = off"
)
"""The graph is walked until there are as many rows as are wanted, or no more; nothing else gives them in order."""

MORE: Final = 8
"""Products beyond those wanted that are scored again, at least."""

EFFORT: Final = (40, 1000)
"""Least and most of ``hnsw.ef_search``: candidates that the first step of a walk keeps."""

SAMPLE: Final = 32
"""Queries on which the graph is compared with everything."""


class PgvectorCatalog(PostgresCatalog):
    """A catalog that is searched inside PostgreSQL: no index in memory, nothing to follow."""

    def __init__(self, address: Address, *, readonly: bool, wait_s: float = WAIT_S, settings: CatalogSettings) -> None:
        super().__init__(address, readonly=readonly, wait_s=wait_s, settings=settings)
        try:
            self._extension = _prepare(self._pool, self.encoder, readonly=readonly)
        except BaseException:
            self._pool.close()
            raise

    def compact(self) -> bool:
        """Throw out what nobody needs any more: old changes, vectors of encoders that left, photos."""
        self._pool.check_writable()
        self._sweep(self.seq)
        return True

    def _committed(self) -> None:
        """No snapshot is written."""

    def _nearest(
        self, query: Float32[np.ndarray, "1 d"], k: int, where: str | None, without: Sequence[str], seq: int | None
    ) -> list[Neighbor]:
        with self._pool.view() as transaction:
            if seq is not None and transaction.seq() != seq:
                raise CommittedSince
            transaction.demand_encoder(self.encoder)
            transaction.connection.together(self._path())
            search = _Search(transaction, self.encoder, query[0], self._settings.scan_from)
            if where and where.strip():
                condition = transaction.compiled(where)
                with transaction.limited():
                    best = search.best(k, condition, without)
            else:
                best = search.best(k, None, without)
            return transaction.neighbors(self.encoder, best)

    def _path(self) -> str:
        names = sql.SQL(", ").join(map(sql.Identifier, dict.fromkeys([self.address.schema, self._extension])))
        return f"SET LOCAL search_path TO {names.as_string()}"

    def _health(self) -> IndexHealth | None:
        """The share of the ten best crops that a walk of the graph finds; None where everything is compared."""
        sample = self.sample(SAMPLE)
        with self._pool.view() as transaction:
            transaction.connection.together(self._path())
            searches = [_Search(transaction, self.encoder, row, self._settings.scan_from) for row in sample]
            if not searches or searches[0].is_small(None):
                return None
            shares = []
            for search in searches:
                exact = {crop for crop, _ in search.rows(10, None, (), graph=False)}
                walked = {crop for crop, _ in search.rows(10, None, (), graph=True)}
                shares.append(len(exact & walked) / max(1, len(exact)))
            return IndexHealth(transaction.count()[1], 0, 0, float(np.mean(shares)), 1.0)


SqlCondition = tuple[str, tuple[Any, ...]] | None
"""A filter as SQL over ``products``, and its values."""

Rows = list[tuple[int, int]]
"""Crops and their products, by keys, the best first."""


class _Search:
    """One search in one transaction, whose search path has the schema of the extension."""

    def __init__(
        self, transaction: PostgresTransaction, encoder: StoredEncoder, query: Float32[np.ndarray, "d"], small: int
    ) -> None:
        self._transaction = transaction
        self._encoder = encoder
        self._query = query
        self._table = halfvecs_of(encoder)
        self._small = small

    def best(self, k: int, condition: SqlCondition, without: Sequence[str]) -> list[BestCrop]:
        """The best crop of each of the k best products; of all that match where they are fewer.

        More crops are taken until they are of enough products. Where the graph has no more to give, everything is
        compared: an approximate walk may have missed some.
        """
        graph, width, wanted = not self.is_small(condition), max(RUNG, 2 * k), k + max(MORE, k // 4)
        while True:
            rows = self.rows(width, condition, without, graph=graph)
            products = {product for _, product in rows}
            if len(rows) == width and len(products) < wanted:
                width *= 4
            elif graph and len(products) < k:
                graph = False
            else:
                return self._rescored(rows, k, wanted)

    def is_small(self, condition: SqlCondition) -> bool:
        """Whether so few crops match that all of them are compared."""
        text, values = self._matching(condition, (), graph=False)
        count = f"SELECT count(*) FROM (SELECT 1 FROM {self._table} WHERE {text} LIMIT ?) AS few"  # noqa: S608 (ours)
        return bool(self._transaction.one(count, *values, self._small)[0] < self._small)

    def rows(self, width: int, condition: SqlCondition, without: Sequence[str], *, graph: bool) -> Rows:
        """At most so many of the best crops, by half precision."""
        text, values = self._matching(condition, without, graph=graph)
        vector = halfvec_text(self._query)
        if graph:
            effort = min(max(EFFORT[0], width), EFFORT[1])
            self._transaction.connection.together(f"{SETTINGS}; SET LOCAL hnsw.ef_search = {effort}")
            order = "vector <#> ?::halfvec"
        else:
            self._transaction.connection.together("SET LOCAL enable_sort = on")
            order = "(vector <#> ?::halfvec) + 0, crop"  # no index has this sum, so the graph is not used
        statement = f"SELECT crop, product FROM {self._table} WHERE {text} ORDER BY {order} LIMIT ?"  # noqa: S608 (ours)
        return self._transaction.all(statement, *values, vector, width)

    def _matching(self, condition: SqlCondition, without: Sequence[str], *, graph: bool) -> tuple[str, tuple[Any, ...]]:
        """Which crops may be found. A walk looks up the product of each crop that it meets, by a subquery that the
        server cannot turn into a join: a join would sort everything, and an array of all that match is as long as a
        broad filter lets through."""
        parts = ["TRUE"]
        values: list[Any] = []
        if condition is not None:
            text, of_filter = condition
            if graph:
                own = f"products.product = {self._table}.product AND ({text})"
                parts.append(f"EXISTS (SELECT 1 FROM products WHERE {own} OFFSET 0)")  # noqa: S608 (values are parameters)
            else:
                parts.append(f"product IN (SELECT product FROM products WHERE {text})")  # noqa: S608 (values are parameters)
            values += of_filter
        if without:
            parts.append("product <> ALL(ARRAY(SELECT product FROM products WHERE product_id = ANY(?)))")
            values.append(list(without))
        return " AND ".join(parts), tuple(values)

    def _rescored(self, rows: Rows, k: int, products: int) -> list[BestCrop]:
        """The best products by exact vectors, of somewhat more than are wanted: half precision may swap neighbours."""
        first: dict[int, None] = {}
        taken = []
        for crop, product in rows:
            first.setdefault(product)
            if len(first) > products:
                break
            taken.append((crop, product))
        vectors = self._transaction.vectors_at(self._encoder, [crop for crop, _ in taken])
        scores = vectors @ self._query
        best: dict[int, BestCrop] = {}
        for at in sorted(range(len(taken)), key=lambda at: (-scores[at], taken[at][0])):
            crop, product = taken[at]
            best.setdefault(product, BestCrop(product, crop, float(scores[at])))
        return list(best.values())[:k]


def _prepare(pool: PostgresPool, encoder: StoredEncoder, *, readonly: bool) -> str:
    """Make the table and the graph where they are missing; returns the schema of the extension."""
    if encoder.dim > MOST_NUMBERS:
        raise BadRequest(f"pgvector indexes vectors of up to {MOST_NUMBERS} numbers, and these have {encoder.dim}")
    with pool.view() as transaction:
        found = transaction.one(EXTENSION)
        if found is not None and transaction.one("SELECT to_regclass(?)", halfvecs_of(encoder))[0] is not None:
            return str(found[0])
    if readonly:
        raise BadCatalog(
            f"the catalog {pool.address} has no table of vectors for pgvector",
            hint="'osoroi serve ADDRESS --search pgvector' makes it, or open the catalog for writing",
        )
    with pool.commit() as transaction:
        extension = _extension(transaction)
        _build(transaction, encoder)
    return extension


EXTENSION = (
    "SELECT nspname::text FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'vector'"
)
"""The schema of pgvector, by its plain name: ``regnamespace`` as text would have quotes of SQL around it."""


VERSION = "SELECT string_to_array(extversion, '.')::int[] FROM pg_extension WHERE extname = 'vector'"


def _extension(transaction: PostgresTransaction) -> str:
    """The schema of pgvector, which is installed in the database where it is not. Raises CatalogUnavailable."""
    if transaction.one("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'") is None:
        raise CatalogUnavailable(
            f"the server of {transaction.location} has no extension pgvector",
            hint="install it there, or search another way than by pgvector",
        )
    if transaction.one(EXTENSION) is None:
        try:
            transaction.connection.together("CREATE EXTENSION vector SCHEMA public")
        except errors.InsufficientPrivilege as error:
            raise CatalogUnavailable(
                f"this role may not install pgvector in the database of {transaction.location}",
                hint="have an administrator run: CREATE EXTENSION vector",
            ) from error
    if transaction.one(VERSION)[0] < [0, 8]:
        raise CatalogUnavailable(
            f"pgvector in the database of {transaction.location} is older than 0.8",
            hint="ALTER EXTENSION vector UPDATE; iterative scans came with 0.8",
        )
    return str(transaction.one(EXTENSION)[0])


def _build(transaction: PostgresTransaction, encoder: StoredEncoder) -> None:
    """Fill the table of an encoder, and its graph, in the transaction of a commit; those of others go."""
    transaction.demand_encoder(encoder)
    name, connection = halfvecs_of(encoder), transaction.connection
    if transaction.one("SELECT to_regclass(?)", name)[0] is not None:
        return  # another process has just made it
    for (other,) in transaction.all("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
        if other.startswith("halfvecs_") and other != name:
            connection.together(f"DROP TABLE {other}")
    (schema,) = transaction.one("SELECT current_schema()::text")
    path = sql.SQL(", ").join(map(sql.Identifier, [schema, transaction.one(EXTENSION)[0]]))
    connection.together(f"SET LOCAL search_path TO {path.as_string()}")
    connection.together(
        f"CREATE TABLE {name} (crop BIGINT PRIMARY KEY REFERENCES crops ON DELETE CASCADE, product BIGINT NOT NULL,"
        f" vector halfvec({encoder.dim}) NOT NULL)"
    )
    owners = {row.crop: row.product for rows in transaction.batches_of(CropRow, "SELECT * FROM crops") for row in rows}
    put = f"INSERT INTO {name} VALUES (?, ?, ?)"  # noqa: S608 (ours)
    for crops, vectors in transaction.every_vector(encoder):
        rows = [(crop, owners[crop], halfvec_text(vector)) for crop, vector in zip(crops, vectors, strict=True)]
        connection.execute_many(put, rows)
    connection.together(f"CREATE INDEX {name}_product ON {name} (product)")
    connection.together(f"CREATE INDEX {name}_graph ON {name} USING hnsw (vector halfvec_ip_ops)")
    connection.together(f"ANALYZE {name}")
