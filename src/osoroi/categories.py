"""The shop's categories against the photos of its products: words that no dictionary knows are learned from them, and
products whose photo contradicts their category are named."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from osoroi.catalog import Entry, Storage
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.metadata import columns_of
from osoroi.garments import learned
from osoroi.garments.kinds import NAMES
from osoroi.garments.part import known_kind
from osoroi.records import Clues, Product

ATTEMPTS = 5
"""How often products are read again that others change meanwhile; after that the next run learns them."""

AT_ONCE: Final = 256
"""Products that are read and written together."""

NAMED: Final = 10
"""Products that are named as contradicting, the surest first."""


class Contradiction(NamedTuple):
    """A product, its category, the kind that is read from it, and the kind that its photo looks like."""

    product_id: str
    category: str
    kind: str
    predicted: str


class Agreement(NamedTuple):
    """Of so many products with a category that is read, the share whose looks, judged by the other products, are of
    the same kind; the share that chance would give; and the surest contradictions."""

    products: int
    share: float
    chance: float
    contradictions: list[Contradiction]


def learn(catalog: Storage, encoder: Encoder, categories: Iterable[str]) -> dict[str, str]:
    """Give the products of categories that no dictionary knows the kind that their photos have together.

    Returns category -> kind of those that were learned (``learned.kind_of_word`` decides). What a product's own
    attribute ``kind`` says is left alone. Nothing is embedded.
    """
    readings = {}
    for category in sorted(set(categories)) if encoder.has_kind else ():
        unread = [product.product_id for product in _of(catalog, category) if known_kind(product) is None]
        kind = _kind_of(catalog, encoder, unread)
        if kind is not None:
            readings[category] = kind
            _write(catalog, encoder, unread, kind)
    return readings


def unread(encoder: Encoder, products: Iterable[Product]) -> set[str]:
    """The categories of products whose kind they do not tell."""
    if not encoder.has_kind:
        return set()
    return {product.category for product in products if product.category and known_kind(product) is None}


def learned_kind(catalog: Storage, category: str) -> str | None:
    """The kind that ``learn`` gave the products of a category, or None where pictures decide."""
    columns = columns_of(catalog.encoder.parts)[KIND]
    for product in islice(_of(catalog, category), 1):
        row = catalog.entries([product.product_id])[product.product_id].vectors[:1, columns]
        if learned.certain(row)[0]:
            return NAMES[int(row[0].argmax())]
    return None


def agreement(catalog: Storage, *, most: int = learned.ENOUGH) -> Agreement | None:
    """How well photos and categories agree; None where too few products have a category to judge by.

    Each half of the products is judged by a classifier of the other half's looks.
    """
    columns = columns_of(catalog.encoder.parts)[KIND]
    every = [product for product in catalog.products() if product.category and known_kind(product) is not None]
    some = [product.product_id for product in every[:: -(-len(every) // most) or 1]]
    entries = [one for one in _entries(catalog, some) if known_kind(one.product) is not None]
    if not entries:
        return None
    products = [entry.product for entry in entries]
    labels = np.array([NAMES.index(known_kind(product) or "") for product in products])
    looks = np.concatenate([entry.vectors[:1, : columns.start] for entry in entries])
    judgement = judged(looks, labels)
    if judgement is None:
        return None
    chances = judgement.chances
    guess, own = chances.argmax(axis=1), chances[np.arange(len(labels)), labels]
    surest = np.argsort(own - chances.max(axis=1), kind="stable")
    doubted = [number for number in surest if own[number] < learned.UNLIKELY < learned.LIKELY < chances[number].max()]
    return Agreement(
        len(products),
        judgement.share,
        judgement.chance,
        [
            Contradiction(
                products[number].product_id,
                products[number].category or "",
                NAMES[labels[number]],
                NAMES[guess[number]],
            )
            for number in doubted[:NAMED]
        ],
    )


class Judgement(NamedTuple):
    """The probability of each kind for products by the looks of the others; how often the likeliest is the labelled
    one, and how often it would be by chance."""

    chances: Float64[np.ndarray, "n k"]
    share: float
    chance: float


def judged(looks: Float32[np.ndarray, "n d"], labels: Int64[np.ndarray, "n"]) -> Judgement | None:
    """How far looks and labels agree, by classifiers of the other half; None where they are too few to learn from."""
    chances = learned.held_out(looks, labels, len(NAMES))
    if chances is None:
        return None
    shares = np.bincount(labels) / len(labels)
    return Judgement(chances, float((chances.argmax(axis=1) == labels).mean()), float((shares**2).sum()))


def _of(catalog: Storage, category: str) -> Iterator[Product]:
    quoted = category.replace("\\", "\\\\").replace('"', '\\"')
    return catalog.products(where=f'category == "{quoted}"')


def _entries(catalog: Storage, product_ids: list[str]) -> Iterator[Entry]:
    """Entries of products, those that are gone meanwhile left out."""
    for start in range(0, len(product_ids), AT_ONCE):
        yield from catalog.entries(product_ids[start : start + AT_ONCE]).values()


def _kind_of(catalog: Storage, encoder: Encoder, product_ids: list[str]) -> str | None:
    some = product_ids[:: -(-len(product_ids) // learned.ENOUGH) or 1]
    rows = [entry.vectors[:1, encoder.columns[KIND]] for entry in _entries(catalog, some)]
    return learned.kind_of_word(np.concatenate(rows)) if rows else None


def _write(catalog: Storage, encoder: Encoder, product_ids: list[str], kind: str) -> None:
    clue = Clues(known={kind: 1.0})
    for start in range(0, len(product_ids), AT_ONCE):
        left = product_ids[start : start + AT_ONCE]
        for _ in range(ATTEMPTS):  # products that others change meanwhile are read again
            changes = []
            for entry in catalog.entries(left).values():
                vectors: Float32[np.ndarray, "n d"] = encoder.with_kind(entry.vectors, clue)
                still = known_kind(entry.product) is None
                if still and not np.array_equal(vectors, entry.vectors):
                    changes.append((entry, entry._replace(vectors=vectors)))
            left = catalog.put_if_unchanged(changes, fingerprint=encoder.fingerprint) if changes else []
            if not left:
                break
