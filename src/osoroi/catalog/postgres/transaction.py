"""One state of a catalog in PostgreSQL: the statements of the store, fewer round trips, and filters in its dialect."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from psycopg import errors

from osoroi import files
from osoroi.catalog import filters
from osoroi.catalog.address import Address
from osoroi.catalog.postgres.bucket import Bucket
from osoroi.catalog.postgres.connection import PostgresConnection, translated
from osoroi.catalog.protocol import Neighbor, StoredProduct, is_interrupted
from osoroi.catalog.store.photos import BucketPhoto, hash_of, place
from osoroi.catalog.store.reader import BestCrop, ReadTransaction
from osoroi.catalog.store.rows import CropRow, ProductRow, StoredEncoder, slot
from osoroi.catalog.store.settings import Shard
from osoroi.catalog.store.sql import BATCH, R
from osoroi.catalog.store.where import Dialect
from osoroi.errors import BadFilter, NotFound, TooMuch

DIALECT = Dialect(
    fold="{}_folded",
    find="strpos({}, ?) > 0",
    facts={
        "text": ("text IS NOT NULL", "text"),
        "number": ("number IS NOT NULL", "number"),
        "flag": ("flag IS NOT NULL", "flag"),
    },
    is_listed="listed",
)

FILTER_MS = 10_000
"""Milliseconds that one filter may take."""

PLACE = (
    "SELECT pg_database.oid, pg_namespace.oid FROM pg_database, pg_namespace"
    " WHERE datname = current_database() AND nspname = current_schema()"
)
"""The numbers of the database and the schema; a name is compared as it is, where a cast would take it for SQL."""

_cursors = itertools.count()


class PostgresTransaction(ReadTransaction):
    """A connection inside a transaction; ``folder`` is the cache of this machine."""

    connection: PostgresConnection

    def __init__(
        self, folder: Path, connection: PostgresConnection, address: Address, bucket: Bucket | None = None
    ) -> None:
        super().__init__(folder, connection)
        self._address = address
        self.bucket = bucket
        self.halfvecs: str | None = None  # inside a commit: the table of vectors for pgvector, where there is one

    @property
    def location(self) -> str:
        """The address without its password."""
        return str(self._address)

    def _named(self, kind: type[R], row: tuple[Any, ...]) -> R:
        return super()._named(kind, row[: len(kind._fields)])  # without the folded columns

    def batches(self, statement: str, *values: Any) -> Iterator[list[Any]]:
        """Every row, some thousand at a time: the server keeps those that were not fetched yet."""
        with self.connection.native.cursor(name=f"osoroi_{next(_cursors)}", binary=True) as cursor:
            cursor.execute(translated(statement), values)
            while rows := cursor.fetchmany(BATCH):
                yield rows

    # filters

    @contextlib.contextmanager
    def limited(self, steps: int = FILTER_MS) -> Iterator[None]:
        """Stop a statement inside the block after so many milliseconds; raises BadFilter then.

        Raises TooMuch where nobody waits for it any more (``is_interrupted``).
        """
        if is_interrupted():
            raise TooMuch("nobody waits for this any more", hint="try again in a moment")
        self.connection.together(f"SET LOCAL statement_timeout = {max(1, steps)}")
        try:
            yield
        except errors.QueryCanceled as error:
            raise BadFilter("the filter takes more work than is allowed", hint="use fewer conditions") from error
        self.connection.together("SET LOCAL statement_timeout = 0")

    def sql(self, filter_: filters.Filter) -> tuple[str, tuple[Any, ...]]:
        """A filter as SQL over ``products``, and its parameters."""
        from osoroi.catalog.store.where import compiled

        return compiled(filter_, DIALECT)

    # attributes as filters see them

    def fact_kinds(self, name_id: int, limit: int) -> list[tuple[str, Any]]:
        """The different values of an attribute with their kinds, so many at most."""
        rows = self.all("SELECT DISTINCT text, number, flag FROM facts WHERE name_id = ? LIMIT ?", name_id, limit)
        return [_kind_and_value(*row) for row in rows]

    def fact_counts(self, name_id: int, text: str, values: Sequence[Any]) -> list[tuple[Any, int]]:
        """The values of an attribute, the commonest first, and how many of their products match some SQL."""
        statement = " ".join(
            [
                "SELECT text, number, flag, count(*) FILTER (WHERE product IN (SELECT product FROM products WHERE",
                text,
                ")) FROM facts WHERE name_id = ? GROUP BY text, number, flag"
                " ORDER BY count(*) DESC, flag, number, text",
            ]
        )
        return [(_kind_and_value(*row[:3])[1], row[3]) for row in self.all(statement, *values, name_id)]

    def fact_texts(self, name: str, limit: int) -> list[str]:
        """The different texts of an attribute, so many at most."""
        statement = (
            "SELECT DISTINCT text FROM facts WHERE name_id = (SELECT name_id FROM names WHERE name = ?)"
            " AND text IS NOT NULL LIMIT ?"
        )
        return [value for (value,) in self.all(statement, name, limit)]

    def fact_values(self, name_id: int, shard: Shard) -> Iterator[list[tuple[int, Any]]]:
        """Products of a shard and their values of an attribute, some thousand at a time."""
        having = "SELECT product, text, number, flag FROM facts WHERE name_id = ? AND"
        for rows in self.batches(" ".join([having, shard.condition("product")]), name_id):
            yield [(row[0], _kind_and_value(*row[1:])[1]) for row in rows]

    def every_fact(self) -> Iterator[list[tuple[int, str | None, str | None, Any]]]:
        """Product, name, kind and value of everything that filters see of attributes, some thousand at a time."""
        statement = "SELECT product, name, text, number, flag FROM facts LEFT JOIN names USING (name_id)"
        for rows in self.batches(statement):
            yield [(row[0], row[1], *_kind_and_value(*row[2:])) for row in rows]

    # files and the database itself

    def photo(self, row: CropRow) -> Path | BucketPhoto:
        """The file of a crop's photo. One that the database keeps is written into the cache when it is first needed;
        one in a bucket is fetched when it is read."""
        if row.path is not None:
            return Path(row.path)
        path = place(self.folder, row.sha256)
        if self.bucket is not None:
            return BucketPhoto(path, row.sha256, self.bucket.get)
        if not path.exists():
            found = self.one("SELECT data FROM photos WHERE sha256 = ?", row.sha256)
            if found is not None:
                files.write_atomically(path, found[0], durable=False)
        return path

    def photo_hash(self, sha256: str, path: str | None) -> str:
        """SHA-256 of a photo as it is now, of a kept one where ``path`` is None; raises OSError where it is gone, and
        of a bucket BadPhoto, or CatalogUnavailable where nobody knows."""
        if path is not None:
            return super().photo_hash(sha256, path)
        if self.bucket is not None:
            return hash_of(self.bucket.get(sha256))
        found = self.one("SELECT data FROM photos WHERE sha256 = ?", sha256)
        if found is None:
            raise FileNotFoundError(2, "it is not in the database")
        return hash_of(found[0])

    def database(self) -> str:
        """What tells the database and the schema from every copy that is made by a dump. Where this role may not know
        the number of the server, it is 0."""
        (may_know,) = self.one("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
        (server,) = self.one("SELECT system_identifier FROM pg_control_system()") if may_know else (0,)
        return "-".join(map(str, (server, *self.one(PLACE))))

    def size_bytes(self) -> int:
        """Bytes that the catalog's tables and indexes take on the server."""
        statement = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = to_regnamespace(?)::oid"
        from osoroi.catalog.postgres.schema import quoted

        found = self.one(f"{statement} AND relkind = 'r'", quoted(self._address.schema))
        return int(found[0] or 0)

    def own_problems(self) -> Iterator[str]:
        """Tables that are missing, and folded text that is not what filters compare with."""
        from osoroi.catalog.postgres.schema import TABLES, TEXTS

        there = {name for (name,) in self.all("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}
        if missing := TABLES - there:
            yield f"tables are missing: {', '.join(sorted(missing))}"
            return
        halfvecs = halfvecs_of(self.encoder())
        if self.one("SELECT to_regclass(?)", halfvecs)[0] is not None:
            both = (
                f"crops FULL JOIN {halfvecs} AS halves USING (crop) WHERE crops.product IS DISTINCT FROM halves.product"
            )
            (differing,) = self.one(f"SELECT count(*) FROM {both}")  # noqa: S608 (names of ours)
            if differing:
                yield f"the table {halfvecs} for pgvector differs in {differing} crops; drop it, and it is made anew"
        columns = ", ".join(f"{name}, {name}_folded" for name in TEXTS)
        for rows in self.batches(f"SELECT product_id, {columns} FROM products"):  # noqa: S608 (names of ours)
            for product_id, *pairs in rows:
                if any(
                    folded != (None if text is None else filters.fold(text))
                    for text, folded in zip(pairs[::2], pairs[1::2], strict=True)
                ):
                    yield f"filters see other text of product {product_id!r} than it has"
        for rows in self.batches("SELECT product, text, text_folded FROM facts WHERE text IS NOT NULL"):
            for product, text, folded in rows:
                if folded != filters.fold(text):
                    yield f"filters see another text of an attribute of product {product} than it has"

    # many rows in one round trip

    def _among(self, kind: type[R], table: str, column: str, keys: Sequence[int]) -> list[R]:
        """The rows of a table whose keys are among these, in any order; no round trip for none."""
        return self.rows(kind, f"SELECT * FROM {table} WHERE {column} = ANY(?)", list(keys)) if keys else []  # noqa: S608 (names of ours)

    def get_many(self, product_ids: Iterable[str]) -> dict[str, StoredProduct]:
        """Those of these products that are held, with their crops."""
        wanted = list(dict.fromkeys(product_ids))
        rows = self.rows(ProductRow, "SELECT * FROM products WHERE product_id = ANY(?)", wanted)
        by_id = {row.product_id: row for row in rows}
        crops: dict[int, list[CropRow]] = {row.product: [] for row in rows}
        statement = "SELECT * FROM crops WHERE product = ANY(?) ORDER BY product, place"
        for crop in self.rows(CropRow, statement, list(crops)):
            crops[crop.product].append(crop)
        return {
            one: StoredProduct(self.product_of(row), [self.crop_of(crop, one) for crop in crops[row.product]])
            for one in wanted
            if (row := by_id.get(one)) is not None
        }

    def neighbors(self, encoder: StoredEncoder, best: Sequence[BestCrop]) -> list[Neighbor]:
        """The products, crops and vectors of the best crops of a search, in their order."""
        products = self.product_rows([one.product for one in best])
        crops = self.crop_rows([one.crop for one in best])
        vectors = self.vectors_at(encoder, [one.crop for one in best])
        neighbors = []
        for one, row, crop, vector in zip(best, products, crops, vectors, strict=True):
            if crop.product != row.product:
                raise self.damaged(f"crop {one.crop} and product {one.product} do not belong together")
            self.demand_whole(crop)
            neighbors.append(Neighbor(self.product_of(row), crop.crop_id, one.score, vector))
        return neighbors

    def vectors(self, encoder: StoredEncoder, crop_ids: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of these crops, in this order; raises NotFound."""
        keys = dict(self.all("SELECT crop_id, crop FROM crops WHERE crop_id = ANY(?)", list(crop_ids)))
        for crop_id in crop_ids:
            if crop_id not in keys:
                raise NotFound(f"the catalog {self.location} holds no crop {crop_id!r}")
        return self.vectors_at(encoder, [keys[crop_id] for crop_id in crop_ids])

    def pending_of(self, encoder: StoredEncoder, crops: Sequence[int]) -> set[int]:
        """Those of these crops that have no vector of an encoder."""
        first = slot(encoder.encoder, 0)
        there = self.all("SELECT slot FROM vectors WHERE slot = ANY(?)", [first + crop for crop in crops])
        return set(crops) - {one - first for (one,) in there}


def halfvecs_of(encoder: StoredEncoder) -> str:
    """The name of the table that has an encoder's vectors for pgvector."""
    return f"halfvecs_{encoder.encoder}"


def _kind_and_value(text: str | None, number: float | None, flag: bool | None) -> tuple[str, Any]:
    """The kind and the value of a fact."""
    if text is not None:
        return "text", text
    return ("number", number) if number is not None else ("flag", flag)
