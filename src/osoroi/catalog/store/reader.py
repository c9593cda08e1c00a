"""One view of the database: rows read, compared with their checksums, and turned into records."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Float32

from osoroi.catalog import filters
from osoroi.catalog.protocol import Neighbor, StoredProduct
from osoroi.catalog.store.rows import (
    SLOTS,
    ChangeRow,
    CropRow,
    EncoderRow,
    MetaRow,
    ProductRow,
    StoredEncoder,
    VectorRow,
    box_of,
    checksums,
    is_whole,
    product_of,
    slot,
    vector_is_whole,
    whole_products,
)
from osoroi.catalog.store.settings import WHOLE, Shard
from osoroi.catalog.store.sql import R, SqlTransaction
from osoroi.errors import NotFound, OtherEncoder
from osoroi.records import Crop, Part, Product

MOST_VALUES = 10_000
"""Values of one statement; SQLite takes 32,766."""


class BestCrop(NamedTuple):
    """The best crop of a product in a search, both by their keys, and its score."""

    product: int
    crop: int
    score: float


JOINED = (
    "SELECT crops.*, products.*, vectors.* FROM crops JOIN products ON products.product = crops.product"
    " JOIN vectors ON vectors.slot = ? + crops.crop WHERE crops.crop IN"
)
"""A crop, its product and its vector in one row."""

CROP_END, PRODUCT_END, WIDTH = accumulate(len(kind._fields) for kind in (CropRow, ProductRow, VectorRow))
"""Where the columns of each end in such a row."""


class ReadTransaction(SqlTransaction):
    """One state of a catalog, by records: products, crops, vectors, and the commits that led to it."""

    def seq(self) -> int:
        """The ``seq`` of the last commit, 0 before the first."""
        return int(self.one("SELECT coalesce(max(seq), 0) FROM changes")[0])

    def count(self) -> tuple[int, int]:
        """Products and crops held."""
        return self.one("SELECT count(*) FROM products")[0], self.one("SELECT count(*) FROM crops")[0]

    def crop_count(self, shard: Shard) -> int:
        """Crops held of the products of a shard."""
        return int(self.one(" ".join(["SELECT count(*) FROM crops WHERE", shard.condition("product")]))[0])

    def encoder(self) -> StoredEncoder:
        """The encoder whose vectors are searched."""
        return self._encoder(self.first(EncoderRow, "SELECT * FROM encoders WHERE encoder = ?", self._number()))

    def next_encoder(self) -> StoredEncoder | None:
        """The encoder that the catalog is moving to; None where no move is under way."""
        row = self.first(EncoderRow, "SELECT * FROM encoders WHERE encoder != ?", self._number())
        return None if row is None else self._encoder(row)

    def pending(self, encoder: StoredEncoder, shard: Shard, most: int) -> list[int]:
        """Keys of crops of a shard that have no vector of an encoder, ``most`` of them where there are more."""
        inside, first = shard.condition("product"), slot(encoder.encoder, 0)
        missing = "NOT EXISTS (SELECT 1 FROM vectors WHERE slot = ? + crop)"
        statement = f"SELECT crop FROM crops WHERE {inside} AND {missing} LIMIT ?"  # noqa: S608 (ours)
        return [key for (key,) in self.all(statement, first, most)]

    def pending_of(self, encoder: StoredEncoder, crops: Sequence[int]) -> set[int]:
        """Those of these crops that have no vector of an encoder."""
        statement = "SELECT 1 FROM vectors WHERE slot = ?"
        return {crop for crop in crops if self.one(statement, slot(encoder.encoder, crop)) is None}

    def _number(self) -> int:
        return int(self.meta("encoder"))

    def _encoder(self, row: EncoderRow | None) -> StoredEncoder:
        if row is None or not is_whole(row):
            raise self.damaged("its encoder is not what was written")
        parts = tuple(Part(**part) for part in json.loads(row.parts))
        return StoredEncoder(row.encoder, row.fingerprint, row.dim, parts, json.loads(row.about), row.since_s)

    def demand_encoder(self, encoder: StoredEncoder) -> None:
        """Raise OtherEncoder where the catalog has been moved from this encoder to another."""
        now = self.encoder()
        if now.encoder != encoder.encoder:
            raise OtherEncoder(
                f"the catalog {self.location} was moved from encoder {encoder.fingerprint[:12]} "
                f"to {now.fingerprint[:12]}",
                hint="open it again, with the encoder it has now",
            )

    def head(self) -> tuple[int, int]:
        """The ``seq`` of the last commit and its checksum, both 0 before the first."""
        seq, check = self.one("SELECT seq, checksum FROM changes ORDER BY seq DESC LIMIT 1") or (0, 0)
        return int(seq), int(check)

    def commit(self, seq: int) -> int:
        """What tells a commit from any other of the same number; 0 for none."""
        row = self.one("SELECT checksum FROM changes WHERE seq = ?", seq)
        return int(row[0]) if row else 0

    def meta(self, name: str) -> str:
        """One of the values that the catalog keeps about itself."""
        value = self.meta_or_none(name)
        if value is None:
            raise self.damaged(f"{name!r} is not what was written")
        return value

    def meta_or_none(self, name: str) -> str | None:
        """The same; None for one that the catalog does not have."""
        row = self.first(MetaRow, "SELECT * FROM meta WHERE name = ?", name)
        if row is not None and not is_whole(row):
            raise self.damaged(f"{name!r} is not what was written")
        return None if row is None else row.value

    IDENTITY = "identity"

    def identity(self) -> str:
        """The identity that the catalog got when it was made; empty for one made before there were any."""
        return self.meta_or_none(self.IDENTITY) or ""

    PHOTOS = "photos"

    def photos_in(self) -> str | None:
        """The bucket that the catalog keeps its photos in; None where it keeps them itself."""
        return self.meta_or_none(self.PHOTOS)

    CATEGORIES = "categories"

    def trusts_categories(self) -> bool:
        """Whether the categories of products say their kinds; True where nobody said otherwise."""
        return self.meta_or_none(self.CATEGORIES) in (None, str(True))

    UNSETTLED = "unsettled "
    """What the names of the marks of runs begin with, whose products' kinds are still to be settled."""

    def unsettled(self) -> dict[str, str]:
        """The last mark of each run that wrote products whose kinds are still to be settled."""
        rows = self.all("SELECT name, value FROM meta WHERE name LIKE ?", f"{self.UNSETTLED}%")
        return {name.removeprefix(self.UNSETTLED): value for name, value in rows}

    def changes(self, after: int) -> list[ChangeRow]:
        """Commits behind ``after`` in their order."""
        rows = self.rows(ChangeRow, "SELECT * FROM changes WHERE seq > ? ORDER BY seq", after)
        if not all(map(is_whole, rows)):
            raise self.damaged("a line of its changes is not what was written")
        return rows

    # products

    def product(self, product_id: str) -> Product:
        """One product; raises NotFound."""
        return self.product_of(self.row(product_id))

    def row(self, product_id: str) -> ProductRow:
        """A product's row; raises NotFound."""
        row = self.first(ProductRow, "SELECT * FROM products WHERE product_id = ?", product_id)
        if row is None:
            raise NotFound(f"the catalog {self.location} holds no product {product_id!r}")
        return row

    def product_of(self, row: ProductRow) -> Product:
        """The product of a row; raises BadCatalog where it was changed by anything but us."""
        product = product_of(row)
        if product is None:
            raise self.damaged(f"product {row.product_id!r} is not what was written")
        return product

    def page(self, where: str | None, after: str, limit: int) -> list[Product]:
        """Products that match, in the order of ids, behind ``after``."""
        text, values = self.compiled(where)
        statement = " ".join(["SELECT * FROM products WHERE product_id > ? AND", text, "ORDER BY product_id LIMIT ?"])
        with self.limited():
            rows = self.rows(ProductRow, statement, after, *values, limit)
        return [self.product_of(row) for row in rows]

    def matching(self, where: str | None) -> int:
        """How many products match."""
        text, values = self.compiled(where)
        with self.limited():
            return int(self.one(" ".join(["SELECT count(*) FROM products WHERE", text]), *values)[0])

    # filters

    def filter(self, where: str | None) -> filters.Filter:
        """A ``where`` with every column resolved; raises BadFilter."""
        text = where or ""
        return filters.checked(filters.parse(text), self.attributes(), text=text)

    def compiled(self, where: str | None) -> tuple[str, tuple[Any, ...]]:
        """A ``where`` as SQL over ``products``, and its parameters."""
        return self.sql(self.filter(where))

    def attributes(self) -> dict[str, frozenset[filters.ValueType]]:
        """Names of attributes, and the kinds of value each has had."""
        rows = self.all("SELECT name, kinds FROM names ORDER BY name")
        return {name: frozenset(kinds.split()) for name, kinds in rows}

    # crops

    def crop_rows(self, keys: Sequence[int]) -> list[CropRow]:
        """The rows of these crops, in this order; raises CatalogDamaged where one is not there."""
        by_key = {row.crop: row for row in self._among(CropRow, "crops", "crop", keys)}
        return self._all_there([by_key.get(key) for key in keys], "a crop that was put is not there")

    def product_rows(self, keys: Sequence[int]) -> list[ProductRow]:
        """The rows of these products, in this order; raises CatalogDamaged where one is not there."""
        by_key = {row.product: row for row in self._among(ProductRow, "products", "product", keys)}
        return self._all_there([by_key.get(key) for key in keys], "a product that was put is not there")

    def _all_there(self, rows: Sequence[R | None], what: str) -> list[R]:
        there = [row for row in rows if row is not None]
        if len(there) < len(rows):
            raise self.damaged(what)
        return there

    def crops(self, row: ProductRow) -> list[Crop]:
        """The crops of a product's row, in the order they were put."""
        rows = self.rows(CropRow, "SELECT * FROM crops WHERE product = ? ORDER BY place", row.product)
        return [self.crop_of(crop, row.product_id) for crop in rows]

    def crop(self, crop_id: str) -> Crop:
        """One crop; raises NotFound."""
        row = self.first(CropRow, "SELECT * FROM crops WHERE crop_id = ?", crop_id)
        if row is None:
            raise NotFound(f"the catalog {self.location} holds no crop {crop_id!r}")
        return self.crop_of(row, self.owner_of(row))

    def crop_of(self, row: CropRow, product_id: str) -> Crop:
        """The crop of a row; its photo is a path, in the catalog's folder where the photo was kept."""
        self.demand_whole(row)
        return Crop(row.crop_id, product_id, "shop", self.photo(row), box_of(row.box), row.split, row.sha256)

    def owner_of(self, row: CropRow) -> str:
        """The id of the product that a crop's row belongs to."""
        owner = self.one("SELECT product_id FROM products WHERE product = ?", row.product)
        if owner is None:
            raise self.damaged(f"crop {row.crop_id!r} belongs to no product")
        return str(owner[0])

    def demand_whole(self, row: CropRow) -> None:
        """Raise BadCatalog for a crop that was changed by anything but us."""
        if not is_whole(row):
            raise self.damaged(f"crop {row.crop_id!r} is not what was written")

    def get_many(self, product_ids: Iterable[str]) -> dict[str, StoredProduct]:
        """Those of these products that are held, with their crops."""
        statement = "SELECT * FROM products WHERE product_id = ?"
        rows = [self.first(ProductRow, statement, one) for one in product_ids]
        return {row.product_id: StoredProduct(self.product_of(row), self.crops(row)) for row in rows if row is not None}

    def neighbors(self, encoder: StoredEncoder, best: Sequence[BestCrop]) -> list[Neighbor]:
        """The products, crops and vectors of the best crops of a search, in their order.

        Raises CatalogDamaged where one is not there or not what was written, and where they do not belong together.
        """
        rows = self._joined(encoder, best)
        crops = [CropRow(*row[:CROP_END]) for row in rows]
        products = [ProductRow(*row[CROP_END:PRODUCT_END]) for row in rows]
        self._demand_written(products)
        self._demand_written(crops)
        vectors = self.vectors_of(encoder, [VectorRow(*row[PRODUCT_END:]) for row in rows])
        of_best = zip(whole_products(products), crops, best, vectors, strict=True)
        return [Neighbor(product, crop.crop_id, one.score, vector) for product, crop, one, vector in of_best]

    def _joined(self, encoder: StoredEncoder, best: Sequence[BestCrop]) -> list[tuple[Any, ...]]:
        """The rows of these crops with their products and their vectors, in this order."""
        found: dict[int, tuple[Any, ...]] = {}
        for start in range(0, len(best), MOST_VALUES):
            keys = [one.crop for one in best[start : start + MOST_VALUES]]
            marks = ",".join("?" * len(keys))
            rows = self.all(f"{JOINED} ({marks})", slot(encoder.encoder, 0), *keys)
            if rows and len(rows[0]) != WIDTH:
                raise self.damaged("its tables are not those that were made")
            found |= {row[0]: row for row in rows}
        for one in best:
            if one.crop not in found or found[one.crop][CROP_END] != one.product:
                self._raise_missing(encoder, one)
        return [found[one.crop] for one in best]

    def _raise_missing(self, encoder: StoredEncoder, one: BestCrop) -> NoReturn:
        """Raise CatalogDamaged for a best crop whose rows were not joined: by what is not there."""
        (crop,) = self.crop_rows([one.crop])
        if crop.product == one.product:
            self.product_rows([one.product])
            self.vectors_at(encoder, [one.crop])
        raise self.damaged(f"crop {one.crop} and product {one.product} do not belong together")

    def _demand_written(self, rows: Sequence[ProductRow | CropRow]) -> None:
        """Raise CatalogDamaged for a row of a product or a crop that was changed by anything but us."""
        for row, check in zip(rows, checksums([row[:-1] for row in rows]), strict=True):
            if row.checksum != check:
                what = f"crop {row.crop_id!r}" if isinstance(row, CropRow) else f"product {row.product_id!r}"
                raise self.damaged(f"{what} is not what was written")

    def _among(self, kind: type[R], table: str, column: str, keys: Sequence[int]) -> list[R]:
        """The rows of a table whose keys are among these, in any order."""
        found = []
        for start in range(0, len(keys), MOST_VALUES):
            some = keys[start : start + MOST_VALUES]
            marks = ",".join("?" * len(some))
            found += self.rows(kind, f"SELECT * FROM {table} WHERE {column} IN ({marks})", *some)  # noqa: S608 (names)
        return found

    # vectors

    def spread(self, most: int) -> list[str]:
        """Ids of at most so many crops, those next to evenly spaced keys."""
        last = self.one("SELECT max(crop) FROM crops")[0] or 0
        keys = range(last) if last <= most else (number * last // most for number in range(most))
        rows = (self.one("SELECT crop_id FROM crops WHERE crop > ? ORDER BY crop LIMIT 1", key) for key in keys)
        return list(dict.fromkeys(row[0] for row in rows if row is not None))

    def vectors(self, encoder: StoredEncoder, crop_ids: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of these crops, in this order; raises NotFound."""
        keys = []
        for crop_id in crop_ids:
            row = self.one("SELECT crop FROM crops WHERE crop_id = ?", crop_id)
            if row is None:
                raise NotFound(f"the catalog {self.location} holds no crop {crop_id!r}")
            keys.append(row[0])
        return self.vectors_at(encoder, keys)

    def vectors_at(self, encoder: StoredEncoder, crops: Sequence[int]) -> Float32[np.ndarray, "n d"]:
        """The vectors of crops by their keys; raises BadCatalog where one is not there or not what was written."""
        slots = [slot(encoder.encoder, crop) for crop in crops]
        by_slot = {row.slot: row for row in self._among(VectorRow, "vectors", "slot", slots)}
        if len(by_slot) < len(set(slots)):
            raise self.damaged("a vector is not there")
        return self.vectors_of(encoder, [by_slot[one] for one in slots])

    def vectors_of(self, encoder: StoredEncoder, rows: Sequence[VectorRow]) -> Float32[np.ndarray, "n d"]:
        """The vectors of rows of ``vectors``; raises BadCatalog where one is not what was written."""
        if not all(vector_is_whole(row) and len(row.vector) == 4 * encoder.dim for row in rows):
            raise self.damaged("a vector is not what was written")
        data = b"".join([row.vector for row in rows])
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(len(rows), encoder.dim)

    def every_crop(self, shard: Shard = WHOLE) -> Iterator[list[CropRow]]:
        """The crops of a shard, some thousand at a time."""
        return self.batches_of(CropRow, " ".join(["SELECT * FROM crops WHERE", shard.condition("product")]))

    def every_vector(
        self, encoder: StoredEncoder, shard: Shard = WHOLE
    ) -> Iterator[tuple[list[int], Float32[np.ndarray, "n d"]]]:
        """Keys of the crops of a shard and their vectors, by rising key, some thousand at a time."""
        first = slot(encoder.encoder, 0)
        statement, values = "SELECT * FROM vectors WHERE slot >= ? AND slot < ?", [first, first + SLOTS]
        if shard.of > 1:
            inside = f"SELECT crop + ? FROM crops WHERE {shard.condition('product')}"  # noqa: S608 (numbers)
            statement, values = f"{statement} AND slot IN ({inside})", [*values, first]
        for rows in self.batches_of(VectorRow, statement, *values):
            yield [row.slot - first for row in rows], self.vectors_of(encoder, rows)
