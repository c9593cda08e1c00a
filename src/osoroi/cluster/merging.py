"""A search over all shards, whose answer is that of one index over the whole catalog.

Every search reads the catalog as of one commit, in one read transaction. Each shard gives its k best products as
of that commit. A shard may have gone further meanwhile: then it leaves out what changed since and names it, and those
few products are read and scored here, as they were. A product lies in one shard whole, so the best k of all shards'
best k, by score and then by key, are the best k of the catalog.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
from jaxtyping import Float32, Int64

from osoroi.catalog.filters import Filter
from osoroi.catalog.protocol import Neighbor
from osoroi.catalog.store.reader import BestCrop, ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.catalog.stored import StoredCatalog
from osoroi.cluster.messages import ShardAnswer, ShardQuery
from osoroi.errors import Busy
from osoroi.index import IndexHealth
from osoroi.index.exact import best, inner

TRIES = 20
"""Views of the catalog that a search takes, one after another, where a shard has gone too far ahead of each."""

Shards = Callable[[ShardQuery], Sequence[ShardAnswer]]
"""Asks every shard, and gives their answers in any order."""

MissingShards = Callable[[], list[str]]
"""The names of searchers that should be there and are not."""

Healths = Callable[[], Sequence[IndexHealth | None]]
"""What every shard says of itself."""


class ShardedSearch:
    """The search of a catalog whose index lies in shards; see ``StoredCatalog.search_elsewhere``."""

    def __init__(self, shards: Shards, healths: Healths, missing: MissingShards = list) -> None:
        self._shards = shards
        self._healths = healths
        self.missing = missing
        self._checked: tuple[str, int, int] | None = None  # encoder, and the commit at which it was the catalog's

    def nearest(
        self,
        catalog: StoredCatalog,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        where: str | None,
        without: Sequence[str],
    ) -> list[Neighbor]:
        """The k best distinct products, best first, ties by key; all that match where they are fewer."""
        for _ in range(TRIES):
            with catalog.view() as transaction:
                seq, commit = transaction.head()
                self._demand_encoder(transaction, catalog.encoder, seq, commit)
                filter_ = transaction.filter(where) if where and where.strip() else None
                left_out = _keys_of(transaction, without)
                fingerprint = catalog.encoder.fingerprint
                answers = self._shards(ShardQuery(query, k, filter_, left_out, fingerprint, seq, commit))
                changed = [answer.changed for answer in answers]
                if None in changed:
                    continue
                late = set().union(*(one for one in changed if one)) - set(left_out)
                found = [*answers, _scored(transaction, catalog.encoder, query[0], late, filter_)]
                return transaction.neighbors(catalog.encoder, merged(found, k))
        raise Busy(f"the catalog {catalog.location} changes faster than its shards can be searched", hint="try again")

    def health(self) -> IndexHealth | None:
        """The health of all shards' indexes as that of one; None where every vector is compared."""
        scans = [health for health in self._healths() if health is not None]
        if not scans:
            return None
        vectors = sum(one.vectors for one in scans)
        recall = sum(one.recall * one.vectors for one in scans) / max(1, vectors)
        drift = max(one.drift for one in scans)
        return IndexHealth(vectors, sum(one.tail for one in scans), sum(one.gone for one in scans), recall, drift)

    def _demand_encoder(self, transaction: ReadTransaction, encoder: StoredEncoder, seq: int, commit: int) -> None:
        """Raise OtherEncoder where the catalog was moved to another encoder; looked up once for each commit."""
        if self._checked != (encoder.fingerprint, seq, commit):
            transaction.demand_encoder(encoder)
            self._checked = (encoder.fingerprint, seq, commit)


def merged(answers: Sequence[ShardAnswer], k: int) -> list[BestCrop]:
    """The k best of answers that share no product; equal scores by the key of the crop.

    >>> one, other = (ShardAnswer(np.array(keys), np.array(keys), np.array(scores, np.float32), frozenset())
    ...               for keys, scores in (([8, 4], [0.9, 0.5]), ([5, 1], [0.9, 0.9])))
    >>> [(crop.product, round(crop.score, 1)) for crop in merged([one, other], 3)]
    [(1, 0.9), (5, 0.9), (8, 0.9)]
    """
    products = np.concatenate([answer.products for answer in answers])
    crops = np.concatenate([answer.crops for answer in answers])
    scores = np.concatenate([answer.scores for answer in answers])
    return [BestCrop(int(products[at]), int(crops[at]), float(scores[at])) for at in best(crops, scores, k)]


def _keys_of(transaction: ReadTransaction, product_ids: Sequence[str]) -> tuple[int, ...]:
    rows = [transaction.one("SELECT product FROM products WHERE product_id = ?", one) for one in product_ids]
    return tuple(row[0] for row in rows if row)


def _scored(
    transaction: ReadTransaction,
    encoder: StoredEncoder,
    query: Float32[np.ndarray, "d"],
    products: Collection[int],
    filter_: Filter | None,
) -> ShardAnswer:
    """The best crop of each of these products that exists and matches, as of the transaction."""
    crops, owners = _crops_of(transaction, sorted(products), filter_)
    scores = inner(transaction.vectors_at(encoder, crops.tolist()), query)
    order = best(crops, scores, len(crops))
    first = order[np.sort(np.unique(owners[order], return_index=True)[1])]
    return ShardAnswer(owners[first], crops[first], scores[first], frozenset())


def _crops_of(
    transaction: ReadTransaction, products: Sequence[int], filter_: Filter | None
) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """Crops and their products."""
    sql, values = ("1 = 1", ()) if filter_ is None else transaction.sql(filter_)
    matching = " ".join(["SELECT product FROM products WHERE product = ? AND (", sql, ")"])
    rows: list[tuple[int, int]] = []
    with transaction.limited():
        for product in products:
            if transaction.one(matching, product, *values):
                rows += transaction.all("SELECT crop, product FROM crops WHERE product = ?", product)
    return np.array([crop for crop, _ in rows], np.int64), np.array([product for _, product in rows], np.int64)
