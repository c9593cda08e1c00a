"""One view of the database: rows read, compared with their checksums, and turned into records."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from osoroi.catalog import filters
from osoroi.catalog.protocol import Neighbor, StoredProduct
from osoroi.catalog.store import interruption
from osoroi.catalog.store.database import damaged
from osoroi.catalog.store.photos import place
from osoroi.catalog.store.rows import SLOTS, StoredEncoder, box_of, checksum, product_of, slot, vector_is_whole
from osoroi.catalog.store.where import Compiled, compiled
from osoroi.errors import BadFilter, NotFound, TooMuch
from osoroi.records import Crop, Part, Product

BATCH = 4096

FILTER_STEPS = 400_000_000
"""Steps of SQLite's machine that one filter may take: some ten seconds of one core."""

STRIDE = 100_000
"""Steps between two looks at what is left."""


class ReadTransaction:
    """A connection inside a transaction."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.connection = connection

    def one(self, statement: str, *values: Any) -> Any:
        """The first row, or None."""
        return self.connection.execute(statement, values).fetchone()

    def all(self, statement: str, *values: Any) -> list[Any]:
        """Every row."""
        return self.connection.execute(statement, values).fetchall()

    def batches(self, statement: str, *values: Any) -> Iterator[list[Any]]:
        """Every row, some thousand at a time."""
        cursor = self.connection.execute(statement, values)
        while rows := cursor.fetchmany(BATCH):
            yield rows

    def seq(self) -> int:
        """The ``seq`` of the last commit, 0 before the first."""
        return int(self.one("SELECT coalesce(max(seq), 0) FROM changes")[0])

    def count(self) -> tuple[int, int]:
        """Products and crops held."""
        return self.one("SELECT count(*) FROM products")[0], self.one("SELECT count(*) FROM crops")[0]

    def encoder(self) -> StoredEncoder:
        """The encoder whose vectors are searched."""
        row = self.one("SELECT * FROM encoders WHERE encoder = ?", int(self.meta("encoder")))
        if row is None or checksum(*row[:-1]) != row[-1]:
            raise damaged(self.folder, "its encoder is not what was written")
        parts = tuple(Part(**part) for part in json.loads(row[3]))
        return StoredEncoder(row[0], row[1], row[2], parts, json.loads(row[4]), row[5])

    def commit(self, seq: int) -> int:
        """What tells a commit from any other of the same number; 0 for none."""
        row = self.one("SELECT checksum FROM changes WHERE seq = ?", seq)
        return int(row[0]) if row else 0

    def meta(self, name: str) -> str:
        """One of the values that the catalog keeps about itself."""
        row = self.one("SELECT * FROM meta WHERE name = ?", name)
        if row is None or checksum(*row[:-1]) != row[-1]:
            raise damaged(self.folder, f"{name!r} is not what was written")
        return str(row[1])

    IDENTITY = "identity"

    def identity(self) -> str:
        """The identity that the catalog got when it was made; empty for one made before there were any."""
        row = self.one("SELECT 1 FROM meta WHERE name = ?", self.IDENTITY)
        return self.meta(self.IDENTITY) if row else ""

    def put_meta(self, name: str, value: str) -> None:
        """Store one of the values that the catalog keeps about itself."""
        row = (name, value, checksum(name, value))
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", row)

    def changes(self, after: int) -> list[tuple[int, float, str, str]]:
        """Commits behind ``after`` in their order: seq, time, kind, keys touched."""
        rows = self.all("SELECT * FROM changes WHERE seq > ? ORDER BY seq", after)
        if not all(checksum(*row[:-1]) == row[-1] for row in rows):
            raise damaged(self.folder, "a line of its changes is not what was written")
        return [row[:-1] for row in rows]

    # products

    def product(self, product_id: str) -> Product:
        """One product; raises NotFound."""
        return self.product_of(self.row(product_id))

    def row(self, product_id: str) -> tuple[Any, ...]:
        """A product's row; raises NotFound."""
        row: tuple[Any, ...] | None = self.one("SELECT * FROM products WHERE product_id = ?", product_id)
        if row is None:
            raise NotFound(f"the catalog {self.folder} holds no product {product_id!r}")
        return row

    def product_of(self, row: tuple[Any, ...]) -> Product:
        """The product of a row; raises BadCatalog where it was changed by anything but us."""
        product = product_of(row)
        if product is None:
            raise damaged(self.folder, f"product {row[1]!r} is not what was written")
        return product

    def page(self, where: str | None, after: str, limit: int) -> list[Product]:
        """Products that match, in the order of ids, behind ``after``."""
        text, values = self.compiled(where)
        statement = " ".join(["SELECT * FROM products WHERE product_id > ? AND", text, "ORDER BY product_id LIMIT ?"])
        with self.limited():
            rows = self.all(statement, after, *values, limit)
        return [self.product_of(row) for row in rows]

    def matching(self, where: str | None) -> int:
        """How many products match."""
        text, values = self.compiled(where)
        with self.limited():
            return int(self.one(" ".join(["SELECT count(*) FROM products WHERE", text]), *values)[0])

    # filters

    @contextlib.contextmanager
    def limited(self, steps: int = FILTER_STEPS) -> Iterator[None]:
        """Stop a statement inside the block after so many steps of SQLite's machine; raises BadFilter then.

        A step is about ten to thirty nanoseconds, whatever else the machine does, so the limit is one of work. Raises
        TooMuch where nobody waits for it any more (``interruption``), after a few milliseconds.
        """
        calls = iter(range(max(1, steps // STRIDE)))
        self.connection.set_progress_handler(lambda: interruption.is_requested() or next(calls, None) is None, STRIDE)
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            if interruption.is_requested():
                raise TooMuch("nobody waits for this any more", hint="try again in a moment") from error
            raise BadFilter("the filter takes more work than is allowed", hint="use fewer conditions") from error
        finally:
            self.connection.set_progress_handler(None, STRIDE)

    def filter(self, where: str | None) -> filters.Filter:
        """A ``where`` with every column resolved; raises BadFilter."""
        text = where or ""
        return filters.checked(filters.parse(text), self.attributes(), text=text)

    def compiled(self, where: str | None) -> Compiled:
        """A ``where`` as SQL over ``products``."""
        return compiled(self.filter(where))

    def attributes(self) -> dict[str, frozenset[filters.Kind]]:
        """Names of attributes, and the kinds of value each has had."""
        rows = self.all("SELECT name, kinds FROM names ORDER BY name")
        return {name: frozenset(kinds.split()) for name, kinds in rows}

    # crops

    def crops(self, row: tuple[Any, ...]) -> list[Crop]:
        """The crops of a product's row, in the order they were put."""
        rows = self.all("SELECT * FROM crops WHERE product = ? ORDER BY place", row[0])
        return [self.crop_of(crop, row[1]) for crop in rows]

    def crop(self, crop_id: str) -> Crop:
        """One crop; raises NotFound."""
        row = self.one("SELECT crops.*, product_id FROM crops JOIN products USING (product) WHERE crop_id = ?", crop_id)
        if row is None:
            raise NotFound(f"the catalog {self.folder} holds no crop {crop_id!r}")
        return self.crop_of(row[:-1], row[-1])

    def crop_of(self, row: tuple[Any, ...], product_id: str) -> Crop:
        """The crop of a row; its photo is a path, in the catalog's folder where the photo was kept."""
        self.owner(row)
        _, crop_id, _, _, sha256, path, box, split, _ = row
        photo = Path(path) if path is not None else place(self.folder, sha256)
        return Crop(crop_id, product_id, "shop", photo, box_of(box), split, sha256)

    def owner(self, row: tuple[Any, ...]) -> tuple[int, int]:
        """The crop of a row and its product, by their keys."""
        if checksum(*row[:-1]) != row[-1]:
            raise damaged(self.folder, f"crop {row[1]!r} is not what was written")
        return row[0], row[2]

    def get_many(self, product_ids: Iterable[str]) -> dict[str, StoredProduct]:
        """Those of these products that are held, with their crops."""
        rows = [self.one("SELECT * FROM products WHERE product_id = ?", one) for one in product_ids]
        return {row[1]: StoredProduct(self.product_of(row), self.crops(row)) for row in rows if row is not None}

    def neighbor(self, encoder: StoredEncoder, product: int, crop: int, score: float) -> Neighbor:
        """The product, crop and vector of these keys; raises BadCatalog where they do not belong together."""
        row = self.one("SELECT * FROM products WHERE product = ?", product)
        picture = self.one("SELECT * FROM crops WHERE crop = ?", crop)
        if row is None or picture is None or picture[2] != product:
            raise damaged(self.folder, f"crop {crop} and product {product} do not belong together")
        stored = self.one("SELECT * FROM vectors WHERE slot = ?", slot(encoder.encoder, crop))
        record = self.product_of(row)
        crop_id = self.crop_of(picture, record.product_id).crop_id
        return Neighbor(record, crop_id, score, self.vectors_of(encoder, [stored])[0])

    # vectors

    def vectors(self, encoder: StoredEncoder, crop_ids: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of these crops, in this order; raises NotFound."""
        keys = [self.one("SELECT crop FROM crops WHERE crop_id = ?", crop_id) for crop_id in crop_ids]
        for key, crop_id in zip(keys, crop_ids, strict=True):
            if key is None:
                raise NotFound(f"the catalog {self.folder} holds no crop {crop_id!r}")
        places = [slot(encoder.encoder, key[0]) for key in keys]
        return self.vectors_of(encoder, [self.one("SELECT * FROM vectors WHERE slot = ?", one) for one in places])

    def vectors_of(self, encoder: StoredEncoder, rows: Sequence[tuple[int, bytes, int]]) -> Float32[np.ndarray, "n d"]:
        """The vectors of rows of ``vectors``; raises BadCatalog where one is not there or not what was written."""
        if None in rows or not all(vector_is_whole(*row) and len(row[1]) == 4 * encoder.dim for row in rows):
            raise damaged(self.folder, "a vector is not what was written")
        data = b"".join(row[1] for row in rows)
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(len(rows), encoder.dim)

    def every_vector(self, encoder: StoredEncoder) -> Iterator[tuple[list[int], Float32[np.ndarray, "n d"]]]:
        """Keys of crops and their vectors, by rising key, some thousand at a time."""
        first = slot(encoder.encoder, 0)
        for rows in self.batches("SELECT * FROM vectors WHERE slot >= ? AND slot < ?", first, first + SLOTS):
            yield [row[0] - first for row in rows], self.vectors_of(encoder, rows)
