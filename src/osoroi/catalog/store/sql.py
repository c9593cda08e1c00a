"""SQL inside a transaction: rows by the names of their columns, and what SQLite does in its own way."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from osoroi import files
from osoroi.catalog import filters
from osoroi.catalog.protocol import is_interrupted
from osoroi.catalog.store.database import damaged, tables
from osoroi.catalog.store.photos import BucketPhoto, place
from osoroi.catalog.store.rows import ChangeRow, CropRow, EncoderRow, MetaRow, ProductRow, VectorRow
from osoroi.catalog.store.settings import Shard
from osoroi.errors import BadFilter, CatalogDamaged, TooMuch

BATCH = 4096

KINDS = {"text": "text", "real": "number", "integer": "flag"}
"""What SQLite calls the type of a stored attribute -> its kind."""

R = TypeVar("R", ProductRow, CropRow, VectorRow, EncoderRow, ChangeRow, MetaRow)

FILTER_STEPS = 400_000_000
"""Steps of SQLite's machine that one filter may take: some ten seconds of one core."""

STRIDE = 100_000
"""Steps between two looks at what is left."""


@runtime_checkable
class Connection(Protocol):
    """What runs SQL with ``?`` for each value: a connection of ``sqlite3``, or one to PostgreSQL."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Any:
        """Run a statement; returns a cursor."""
        ...


class SqlTransaction:
    """A connection inside a transaction. ``folder`` holds what is kept in files: photos and snapshots of the index.

    Rows, and all that SQLite and PostgreSQL do differently: ``postgres.transaction`` overrides this class.
    """

    def __init__(self, folder: Path, connection: Connection) -> None:
        self.folder = folder
        self.connection = connection

    @property
    def location(self) -> str:
        """Where the catalog is, as error messages name it."""
        return str(self.folder)

    def damaged(self, what: str) -> CatalogDamaged:
        """The error for a catalog that contradicts itself."""
        return damaged(self.location, what)

    def one(self, statement: str, *values: Any) -> Any:
        """The first row, or None."""
        return self.connection.execute(statement, values).fetchone()

    def all(self, statement: str, *values: Any) -> list[Any]:
        """Every row."""
        return self.connection.execute(statement, values).fetchall()

    def first(self, kind: type[R], statement: str, *values: Any) -> R | None:
        """The first row by the names of its columns, or None."""
        row = self.one(statement, *values)
        return None if row is None else self._named(kind, row)

    def rows(self, kind: type[R], statement: str, *values: Any) -> list[R]:
        """Every row by the names of its columns."""
        return [self._named(kind, row) for row in self.all(statement, *values)]

    def _named(self, kind: type[R], row: tuple[Any, ...]) -> R:
        if len(row) != len(kind._fields):
            raise self.damaged("its tables are not those that were made")
        return kind._make(row)

    def batches(self, statement: str, *values: Any) -> Iterator[list[Any]]:
        """Every row, some thousand at a time."""
        cursor = self.connection.execute(statement, values)
        while rows := cursor.fetchmany(BATCH):
            yield rows

    def batches_of(self, kind: type[R], statement: str, *values: Any) -> Iterator[list[R]]:
        """Every row by the names of its columns, some thousand at a time."""
        for rows in self.batches(statement, *values):
            yield [self._named(kind, row) for row in rows]

    # attributes as filters see them

    def fact_kinds(self, name_id: int, limit: int) -> list[tuple[str, Any]]:
        """The different values of an attribute with their kinds, so many at most."""
        rows = self.all("SELECT DISTINCT typeof(value), value FROM facts WHERE name_id = ? LIMIT ?", name_id, limit)
        return [(KINDS.get(type_, type_), value) for type_, value in rows]

    def fact_counts(self, name_id: int, text: str, values: Sequence[Any]) -> list[tuple[Any, int]]:
        """The values of an attribute, the commonest first, and how many of their products match some SQL."""
        statement = " ".join(
            [
                "SELECT value, count(*) FILTER (WHERE product IN (SELECT product FROM products WHERE",
                text,
                ")) FROM facts WHERE name_id = ? GROUP BY value ORDER BY count(*) DESC, value",
            ]
        )
        return self.all(statement, *values, name_id)

    def fact_texts(self, name: str, limit: int) -> list[str]:
        """The different texts of an attribute, so many at most."""
        statement = (
            "SELECT DISTINCT value FROM facts WHERE name_id = (SELECT name_id FROM names WHERE name = ?)"
            " AND typeof(value) = 'text' LIMIT ?"
        )
        return [value for (value,) in self.all(statement, name, limit)]

    def fact_values(self, name_id: int, shard: Shard) -> Iterator[list[tuple[int, Any]]]:
        """Products of a shard and their values of an attribute, some thousand at a time."""
        statement = " ".join(["SELECT product, value FROM facts WHERE name_id = ? AND", shard.condition("product")])
        for rows in self.batches(statement, name_id):
            yield [(key, bool(one) if isinstance(one, int) else one) for key, one in rows]  # whole numbers are flags

    def every_fact(self) -> Iterator[list[tuple[int, str | None, str | None, Any]]]:
        """Product, name, kind and value of everything that filters see of attributes, some thousand at a time."""
        statement = "SELECT product, name, typeof(value), value FROM facts LEFT JOIN names USING (name_id)"
        for rows in self.batches(statement):
            yield [(product, name, KINDS.get(type_), value) for product, name, type_, value in rows]

    # files and the database itself

    def photo(self, row: CropRow) -> Path | BucketPhoto:
        """The file of a crop's photo; in the catalog's folder where the photo was kept."""
        return Path(row.path) if row.path is not None else place(self.folder, row.sha256)

    def photo_hash(self, sha256: str, path: str | None) -> str:
        """SHA-256 of a photo as it is now, of a kept one where ``path`` is None; raises OSError where it is gone."""
        with files.open_foreign(place(self.folder, sha256) if path is None else Path(path)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def size_bytes(self) -> int:
        """Bytes that the catalog takes."""
        return sum(files.size_of(path) for path in self.folder.rglob("*"))

    def own_problems(self) -> Iterator[str]:
        """What the database finds wrong with its own pages and tables."""
        for (text,) in self.all("PRAGMA integrity_check"):
            if text != "ok":
                yield f"SQLite: {text}"
        if {text for (text,) in self.all("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")} != tables():
            yield "its tables are not those that were made"

    # filters

    @contextlib.contextmanager
    def limited(self, steps: int = FILTER_STEPS) -> Iterator[None]:
        """Stop a statement inside the block after so many steps of SQLite's machine; raises BadFilter then.

        A step is about ten to thirty nanoseconds, whatever else the machine does, so the limit is one of work. Raises
        TooMuch where nobody waits for it any more (``is_interrupted``), after a few milliseconds.
        """
        calls = iter(range(max(1, steps // STRIDE)))
        assert isinstance(self.connection, sqlite3.Connection)
        self.connection.set_progress_handler(lambda: is_interrupted() or next(calls, None) is None, STRIDE)
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            if is_interrupted():
                raise TooMuch("nobody waits for this any more", hint="try again in a moment") from error
            raise BadFilter("the filter takes more work than is allowed", hint="use fewer conditions") from error
        finally:
            self.connection.set_progress_handler(None, STRIDE)

    def sql(self, filter_: filters.Filter) -> tuple[str, tuple[Any, ...]]:
        """A filter as SQL over ``products``, and its parameters."""
        from osoroi.catalog.store.where import compiled

        return compiled(filter_)
