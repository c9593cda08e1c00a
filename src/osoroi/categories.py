"""The shop's categories against the photos of its products: words that no dictionary knows are learned from them,
products whose photo contradicts their category are named, and categories that most photos contradict are not believed.
"""

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from osoroi.catalog import Entry, Storage
from osoroi.catalog.store import marking
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.learned import reading
from osoroi.encoder.metadata import columns_of
from osoroi.errors import BadPhoto
from osoroi.garments import learned
from osoroi.garments.kinds import NAMES
from osoroi.garments.part import known_kind
from osoroi.records import Clues, Crop, Product

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often products are read again that others change meanwhile; after that the next run learns them."""

LONGEST: Final = 1000
"""Characters of a category. A longer one is no name, and pictures tell the kinds of its products."""

AT_ONCE: Final = 256
"""Products that are read and written together."""

NAMED: Final = 10
"""Products that are named as contradicting, the surest first."""


MIN_AGREEMENT: Final = 0.25
"""Categories are believed where looks agree with them so far beyond chance, as a share of what chance leaves."""

MANY: Final = 0.1
"""Categories are judged anew where at least this share of the products is new or changed."""


Embed = Callable[[Sequence[Crop]], Float32[np.ndarray, "b d"]]
"""The vectors of shop photos, whose kind the pictures tell."""


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

    @property
    def believed(self) -> bool:
        """Whether the categories tell more of the kinds than photos do.

        >>> [Agreement(500, share, 0.2, []).believed for share in (0.19, 0.8)]
        [False, True]
        """
        return is_believed(self.share, self.chance)


def is_believed(share: float, chance: float) -> bool:
    """Whether an agreement of so much, where chance gives so much, is enough to believe categories."""
    return share - chance >= MIN_AGREEMENT * (1 - chance)


def reader(catalog: Storage, encoder: Encoder) -> Encoder:
    """The encoder as it reads the products of a catalog: without categories where they are not believed."""
    return reading(encoder, categories=catalog.trusts_categories())


class Marks:
    """The marks in a catalog of a run that writes products whose kinds are to be settled: where it is stopped, or
    another one settles before its last product, the next one does it."""

    def __init__(self, encoder: Encoder) -> None:
        self.run = secrets.token_hex(8)
        self._has_kind = encoder.has_kind

    @contextlib.contextmanager
    def writing(self, *, may_change_kinds: bool = True) -> Iterator[None]:
        """Give the run a new mark in the commits that write products inside the block, where they may change kinds."""
        has_mark = self._has_kind and may_change_kinds
        with marking.noted(self.run, secrets.token_hex(8)) if has_mark else contextlib.nullcontext():
            yield


def settle(
    catalog: Storage, encoder: Encoder, words: Iterable[str], *, changed: int, marks: Marks | None = None
) -> bool:
    """What follows for kinds once a run, which has ``marks`` where it wrote anything, has added or changed so many
    products: ``review`` where they are many, and ``learn`` for these words. Both, and for the words of all products,
    where another run has not settled its own. Whether anything was written."""
    unsettled = catalog.unsettled()
    stopped = any(marks is None or run != marks.run for run in unsettled)
    after = encoder
    if encoder.has_kind and (stopped or (changed > 0 and changed >= MANY * len(catalog))):
        after = review(catalog, encoder)
    learnt = learn(catalog, after, unread(after, catalog.products()) if stopped else words)
    if unsettled:
        catalog.mark_settled(unsettled)
    return bool(learnt) or after.reads_categories != encoder.reads_categories


def renew(catalog: Storage, encoder: Encoder, *, embed: Embed | None = None) -> Encoder:
    """Give every product the kind that the catalog reads for it now: the shop's, that of a category that is learned
    from its photos, or that of its own photos. Returns the encoder that reads the catalog."""
    encoder = reader(catalog, encoder)
    if encoder.has_kind:
        _rewrite(catalog, encoder, embed or partial(embedded, encoder), catalog.product_ids())
        learn(catalog, encoder, unread(encoder, catalog.products()))
    return encoder


def read_anew(catalog: Storage, encoder: Encoder, product_ids: Iterable[str]) -> Encoder:
    """Give products that ``encoder`` has just read the kind that the catalog reads for them by now, where others have
    judged its categories meanwhile. Returns the encoder that reads the catalog."""
    written = list(product_ids)
    while (now := reader(catalog, encoder)).reads_categories != encoder.reads_categories:
        encoder = now
        if encoder.has_kind:
            _rewrite(catalog, encoder, partial(embedded, encoder), written)
    return encoder


def review(catalog: Storage, encoder: Encoder, *, embed: Embed | None = None) -> Encoder:
    """Judge whether the categories of a catalog are believed, and give its products the kinds that follow.

    Where photos contradict the categories as a whole (``Agreement.believed``), photos tell the kinds from now on, and
    products whose kind a category said are embedded anew; a photo that cannot be read leaves its product as it is.
    Where they agree again, the kinds are written into the vectors. Returns the encoder that reads the catalog now.
    Too few products change nothing.
    """
    judgement = agreement(catalog)
    if judgement is None:
        return reader(catalog, encoder)
    trusted, encoder = catalog.trusts_categories(), reading(encoder, categories=judgement.believed)
    if trusted and judgement.believed:
        return encoder
    if trusted:
        catalog.trust_categories(False)  # first, so that what others put meanwhile is read so
    _rewrite(catalog, encoder, embed or partial(embedded, encoder), catalog.product_ids())
    if judgement.believed:  # last, so that one that is stopped begins again; what others put meanwhile follows
        catalog.trust_categories(True)
        renew(catalog, encoder, embed=embed)
    return encoder


def embedded(encoder: Encoder, crops: Sequence[Crop]) -> Float32[np.ndarray, "b d"]:
    """The vectors of shop photos, embedded in this process. Raises BadPhoto."""
    return encoder.encode_photos([crop.photo for crop in crops], "shop", boxes=[crop.box for crop in crops])


def learn(catalog: Storage, encoder: Encoder, categories: Iterable[str]) -> dict[str, str]:
    """Give the products of categories that no dictionary knows the kind that their photos have together.

    Returns category -> kind of those that were learned (``learned.kind_of_word`` decides). What a product's own
    attribute ``kind`` says is left alone. Nothing is embedded.
    """
    readings = {}
    for category in sorted(set(categories)) if encoder.has_kind and encoder.reads_categories else ():
        unread = [product.product_id for product in _of(catalog, category) if known_kind(product) is None]
        kind = _kind_of(catalog, encoder, unread)
        if kind is not None:
            readings[category] = kind
            _write(catalog, encoder, unread, kind)
    return readings


def unread(encoder: Encoder, products: Iterable[Product]) -> set[str]:
    """The categories of products whose kind they do not tell."""
    if not (encoder.has_kind and encoder.reads_categories):
        return set()
    return {
        product.category
        for product in products
        if product.category and len(product.category) <= LONGEST and known_kind(product) is None
    }


def learned_kind(catalog: Storage, category: str) -> str | None:
    """The kind that ``learn`` gave the products of a category, or None where pictures decide."""
    if len(category) > LONGEST:
        return None
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


def judged(vectors: Float32[np.ndarray, "n d"], labels: Int64[np.ndarray, "n"]) -> Judgement | None:
    """How far vectors and labels agree, by classifiers of the other half; None where they are too few to learn from."""
    chances = learned.held_out(vectors, labels, len(NAMES))
    if chances is None:
        return None
    shares = np.bincount(labels) / len(labels)
    return Judgement(chances, float((chances.argmax(axis=1) == labels).mean()), float((shares**2).sum()))


def _of(catalog: Storage, category: str) -> Iterator[Product]:
    return catalog.products(where=_is(category))


def _is(category: str) -> str:
    """The filter for products of a category."""
    quoted = category.replace("\\", "\\\\").replace('"', '\\"')
    return f'category == "{quoted}"'


def size(catalog: Storage, category: str) -> int:
    """How many products a category has."""
    return catalog.count(where=_is(category))


def give(catalog: Storage, encoder: Encoder, product_ids: Iterable[str], category: str, kind: str) -> None:
    """Give these products the kind of their category, which was learned before; those that have it are not written."""
    held = catalog.get_many(product_ids).items()
    _write(catalog, encoder, [one for one, stored in held if stored.product.category == category], kind)


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

    def vectors(entry: Entry) -> Float32[np.ndarray, "n d"]:
        return entry.vectors if known_kind(entry.product) is not None else encoder.with_kind(entry.vectors, clue)

    _change(catalog, encoder, product_ids, vectors)


def _rewrite(catalog: Storage, encoder: Encoder, embed: Embed, product_ids: list[str]) -> None:
    """Give products the kind that an encoder reads: the shop's, or that of their photos where they hold another."""
    columns = encoder.columns[KIND]

    def vectors(entry: Entry) -> Float32[np.ndarray, "n d"]:
        clue = encoder.clues_of(entry.product)
        if clue.known is not None:
            return encoder.with_kind(entry.vectors, clue)
        if not learned.certain(entry.vectors[:, columns]).any():
            return entry.vectors
        try:
            return embed(entry.crops)
        except BadPhoto as error:
            log.warning("%s keeps the kind of its category: %s", entry.product.product_id, error)
            return entry.vectors

    _change(catalog, encoder, product_ids, vectors)


def _change(
    catalog: Storage,
    encoder: Encoder,
    product_ids: list[str],
    vectors: Callable[[Entry], Float32[np.ndarray, "n d"]],
) -> None:
    """Store other vectors of products, which follow from what is stored."""
    for start in range(0, len(product_ids), AT_ONCE):
        left = product_ids[start : start + AT_ONCE]
        for _ in range(ATTEMPTS):  # products that others change meanwhile are read again
            changes = [
                (entry, entry._replace(vectors=after))
                for entry in catalog.entries(left).values()
                if not np.array_equal(after := vectors(entry), entry.vectors)
            ]
            left = catalog.put_if_unchanged(changes, fingerprint=encoder.fingerprint) if changes else []
            if not left:
                break
