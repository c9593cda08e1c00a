"""Does the database contradict itself? Every row against its checksum, and the tables against each other.

SQLite notices a damaged tree, and not a flipped bit inside a value. So a small catalog
(``CatalogSettings.verify_up_to``) is verified whenever it is opened, which takes a fraction of a second; a larger one
by ``osoroi check``, by a backup and, for all that is read on the way, by every search and compaction.
"""

from collections.abc import Iterator

from osoroi.catalog.filters import value_type
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import (
    SLOTS,
    ChangeRow,
    CropRow,
    EncoderRow,
    ProductRow,
    VectorRow,
    each,
    facts,
    is_whole,
    product_of,
    vector_is_whole,
)


def demand(transaction: ReadTransaction, *, up_to: int) -> None:
    """Raise BadCatalog for a database that contradicts itself, if it has at most ``up_to`` crops."""
    if transaction.count()[1] <= up_to:
        for text in contradictions(transaction):
            raise transaction.damaged(text)


def contradictions(transaction: ReadTransaction) -> Iterator[str]:
    """Everything that is wrong."""
    yield from transaction.own_problems()
    yield from _products(transaction)
    yield from _crops(transaction)
    yield from _vectors(transaction)
    yield from _changes(transaction)


def _products(transaction: ReadTransaction) -> Iterator[str]:
    """Products, and the attributes as filters see them: a sum of hashes tells whether they are the same."""
    known = {name: set(kinds.split()) for name, kinds in transaction.all("SELECT name, kinds FROM names")}
    count, total = 0, 0
    for rows in transaction.batches_of(ProductRow, "SELECT * FROM products"):
        for row in rows:
            product = product_of(row)
            if product is None:
                yield f"product {row.product_id!r} is not what was written"
                continue
            for name, value in facts(product).items():
                for one, kind_ in each(value):
                    count, total = count + 1, total + hash((row.product, name, value_type(one), one))
                    if kind_ not in known.get(name, ()):
                        yield f"filters do not know attribute {name!r} of product {row.product_id!r}"
    filter_count, filter_total = 0, 0
    for batch in transaction.every_fact():
        values = [hash(row) for row in batch]
        filter_count, filter_total = filter_count + len(batch), filter_total + sum(values)
    if (filter_count, filter_total) != (count, total):
        yield f"filters see {filter_count} attributes, and products have {count}, or others"
    for (product_id,) in transaction.all(
        "SELECT product_id FROM products WHERE product NOT IN (SELECT product FROM crops)"
    ):
        yield f"product {product_id!r} has no crop"


def _crops(transaction: ReadTransaction) -> Iterator[str]:
    for rows in transaction.batches_of(CropRow, "SELECT * FROM crops"):
        for row in rows:
            if not is_whole(row):
                yield f"crop {row.crop_id!r} is not what was written"
    for (crop_id,) in transaction.all("SELECT crop_id FROM crops WHERE product NOT IN (SELECT product FROM products)"):
        yield f"crop {crop_id!r} belongs to no product"


def _vectors(transaction: ReadTransaction) -> Iterator[str]:
    dims = {}
    for encoder in transaction.rows(EncoderRow, "SELECT * FROM encoders"):
        dims[encoder.encoder] = encoder.dim
        if not is_whole(encoder):
            yield f"encoder {encoder.encoder} is not what was written"
    for rows in transaction.batches_of(VectorRow, "SELECT * FROM vectors"):
        for row in rows:
            number, crop = divmod(row.slot, SLOTS)
            if not vector_is_whole(row) or (number in dims and len(row.vector) != 4 * dims[number]):
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
    rows = transaction.rows(ChangeRow, "SELECT * FROM changes ORDER BY seq")
    numbers = [row.seq for row in rows]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield "the numbers of the changes have a gap"
    for row in rows:
        if not is_whole(row):
            yield f"change {row.seq} is not what was written"
