"""Does the database contradict itself? Every row against its checksum, and the tables against each other.

SQLite notices a damaged tree, and not a flipped bit inside a value. So a catalog of up to ``ALWAYS`` crops is verified
whenever it is opened, which takes a fraction of a second; a larger one by ``osoroi check``, by a backup and, for all
that is read on the way, by every search and compaction.
"""

from collections.abc import Iterator

from osoroi.catalog.filters import kind
from osoroi.catalog.store.database import damaged, tables
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import SLOTS, checksum, each, facts, product_of, vector_is_whole

ALWAYS = 20_000
"""Crops up to which everything is verified at every opening."""

KINDS = {"text": "text", "real": "number", "integer": "flag"}
"""What SQLite calls the type of a stored attribute -> its kind."""


def demand(transaction: ReadTransaction) -> None:
    """Raise BadCatalog for a database that contradicts itself, where it is small enough to look."""
    if transaction.count()[1] <= ALWAYS:
        for text in contradictions(transaction):
            raise damaged(transaction.folder, text)


def contradictions(transaction: ReadTransaction) -> Iterator[str]:
    """Everything that is wrong."""
    for (text,) in transaction.all("PRAGMA integrity_check"):
        if text != "ok":
            yield f"SQLite: {text}"
    if {text for (text,) in transaction.all("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")} != tables():
        yield "its tables are not those that were made"
    yield from _products(transaction)
    yield from _crops(transaction)
    yield from _vectors(transaction)
    yield from _changes(transaction)


def _products(transaction: ReadTransaction) -> Iterator[str]:
    """Products, and the attributes as filters see them: a sum of hashes tells whether they are the same."""
    known = {name: set(kinds.split()) for name, kinds in transaction.all("SELECT name, kinds FROM names")}
    told = [0, 0]
    for rows in transaction.batches("SELECT * FROM products"):
        for row in rows:
            product = product_of(row)
            if product is None:
                yield f"product {row[1]!r} is not what was written"
                continue
            for name, value in facts(product).items():
                for one, kind_ in each(value):
                    told = [told[0] + 1, told[1] + hash((row[0], name, kind(one), one))]
                    if kind_ not in known.get(name, ()):
                        yield f"filters do not know attribute {name!r} of product {row[1]!r}"
    seen = [0, 0]
    statement = "SELECT product, name, typeof(value), value FROM facts LEFT JOIN names USING (name_id)"
    for rows in transaction.batches(statement):
        values = [hash((product, name, KINDS.get(type_), value)) for product, name, type_, value in rows]
        seen = [seen[0] + len(rows), seen[1] + sum(values)]
    if seen != told:
        yield f"filters see {seen[0]} attributes, and products have {told[0]}, or others"
    for (product_id,) in transaction.all(
        "SELECT product_id FROM products WHERE product NOT IN (SELECT product FROM crops)"
    ):
        yield f"product {product_id!r} has no crop"


def _crops(transaction: ReadTransaction) -> Iterator[str]:
    for rows in transaction.batches("SELECT * FROM crops"):
        for row in rows:
            if checksum(*row[:-1]) != row[-1]:
                yield f"crop {row[1]!r} is not what was written"
    for (crop_id,) in transaction.all("SELECT crop_id FROM crops WHERE product NOT IN (SELECT product FROM products)"):
        yield f"crop {crop_id!r} belongs to no product"


def _vectors(transaction: ReadTransaction) -> Iterator[str]:
    dims = {}
    for row in transaction.all("SELECT * FROM encoders"):
        dims[row[0]] = row[2]
        if checksum(*row[:-1]) != row[-1]:
            yield f"encoder {row[0]} is not what was written"
    for rows in transaction.batches("SELECT * FROM vectors"):
        for slot, data, stored in rows:
            number, crop = divmod(slot, SLOTS)
            if not vector_is_whole(slot, data, stored) or (number in dims and len(data) != 4 * dims[number]):
                yield f"the vector of crop {crop} by encoder {number} is not what was written"
    first = transaction.encoder().encoder * SLOTS
    without = "SELECT crop_id FROM crops WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE slot = ? + crop)"
    for (crop_id,) in transaction.all(without, first):
        yield f"crop {crop_id!r} has no vector"
    lost = "SELECT count(*) FROM vectors WHERE slot >= ? AND slot < ? AND slot - ? NOT IN (SELECT crop FROM crops)"
    for number in dims:
        (count,) = transaction.one(lost, number * SLOTS, (number + 1) * SLOTS, number * SLOTS)
        if count:
            yield f"{count} vectors have no crop"


def _changes(transaction: ReadTransaction) -> Iterator[str]:
    rows = transaction.all("SELECT * FROM changes ORDER BY seq")
    numbers = [row[0] for row in rows]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield "the numbers of the changes have a gap"
    for row in rows:
        if checksum(*row[:-1]) != row[-1]:
            yield f"change {row[0]} is not what was written"
