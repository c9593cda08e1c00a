"""Metadata of many products changed in one commit, as a table without photos says."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi import categories
from osoroi.catalog import Entry, Storage, StoredProduct
from osoroi.encoder import Encoder
from osoroi.ingest import demand_encoder
from osoroi.records import Crop, Product, Value
from osoroi.sync import PRODUCTS_AT_ONCE, SyncCount, changed_meanwhile, chunks, merged


class Embedded(NamedTuple):
    """Crops and their vectors, embedded before the commit."""

    crops: list[Crop]
    vectors: Float32[np.ndarray, "n d"]


def patch(
    changes: Mapping[str, Mapping[str, Value]], catalog: Storage, encoder: Encoder, on_unknown: Callable[[str], None]
) -> SyncCount:
    """Change the metadata of many products in one commit; products that are not there are named and passed over.

    What others write meanwhile stays. Where a change says another kind, the vectors follow as in ``ingest.update``;
    categories that no dictionary knows are learned, as by ``sync``.
    Raises BadPhoto, OtherEncoder before anything is done, and Busy.
    """
    demand_encoder(catalog, encoder)
    encoder = categories.reader(catalog, encoder)
    count, products, unknown = SyncCount(), list[Product](), list[str]()
    embedded = {
        one.product.product_id: Embedded(one.crops, categories.embedded(encoder, one.crops))
        for one, after in _patched(changes, catalog, unknown)
        if encoder.clues_of(after).known is None and encoder.clues_of(after) != encoder.clues_of(one.product)
    }
    unknown.clear()

    def entries() -> Iterator[Entry]:  # read inside the commit: nobody changes these products until it ends
        for (before, _), after in _patched(changes, catalog, unknown):
            count.changed += after != before
            count.unchanged += after == before
            if after != before and encoder.clues_of(after) == encoder.clues_of(before):
                products.append(after)
            elif after != before:
                yield of_other_kind(after, catalog, encoder, embedded)

    is_named = any("category" in one for one in changes.values())
    marks = categories.Marks(encoder)
    with marks.writing(may_change_kinds=is_named):
        count.seq = catalog.apply(entries(), fingerprint=encoder.fingerprint, products=products)
    gone = set(unknown)
    held = [product_id for product_id in changes if product_id not in gone]
    encoder = categories.read_anew(catalog, encoder, held)
    if is_named:
        _settle(catalog, encoder, held, count, marks)
    count.left_out = len(unknown)
    for product_id in unknown:
        on_unknown(product_id)
    return count


def _settle(
    catalog: Storage, encoder: Encoder, product_ids: Iterable[str], count: SyncCount, marks: categories.Marks
) -> None:
    """Have the categories learned that products were given."""
    words = set[str]()
    for ids in chunks(product_ids, PRODUCTS_AT_ONCE):
        words |= categories.unread(encoder, (one.product for one in catalog.get_many(ids).values()))
    if categories.settle(catalog, encoder, words, changed=count.changed, marks=marks):
        count.seq = catalog.seq


def _patched(
    changes: Mapping[str, Mapping[str, Value]], catalog: Storage, unknown: list[str]
) -> Iterator[tuple[StoredProduct, Product]]:
    """Products as they are and as they are to become; ids that the catalog does not hold are added to ``unknown``."""
    for ids in chunks(changes, PRODUCTS_AT_ONCE):
        stored = catalog.get_many(ids)
        unknown += [product_id for product_id in ids if product_id not in stored]
        yield from ((one, merged(one.product, changes[product_id])) for product_id, one in stored.items())


def of_other_kind(product: Product, catalog: Storage, encoder: Encoder, embedded: Mapping[str, Embedded]) -> Entry:
    """A product of which the shop says another kind, or none any more, with its vectors changed."""
    _, crops, vectors = catalog.entries([product.product_id])[product.product_id]
    clue = encoder.clues_of(product)
    if clue.known is not None:
        return Entry(product, crops, encoder.with_kind(vectors, clue))
    before, looks = embedded.get(product.product_id, ([], vectors))
    if before != crops:
        raise changed_meanwhile(product.product_id)
    return Entry(product, crops, looks)
