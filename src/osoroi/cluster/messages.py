"""What goes between the process that answers a search and its shards."""

import pickle
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from osoroi.catalog.filters import Filter


class ShardQuery(NamedTuple):
    """One search, as of one commit: ``seq`` and its ``commit``, the checksum of its line in the log.

    ``filter`` has every column resolved. ``without`` are keys of products. ``encoder`` is a fingerprint.
    """

    query: Float32[np.ndarray, "1 d"]
    k: int
    filter: Filter | None
    without: tuple[int, ...]
    encoder: str
    seq: int
    commit: int


class ShardAnswer(NamedTuple):
    """The best crop of each of the k best products of a shard, best first, and products that were left out.

    ``changed`` are products that changed after the commit of the query: what they were then, the shard does not know.
    None where it has gone too far to tell; then there are no crops.
    """

    products: Int64[np.ndarray, "n"]
    crops: Int64[np.ndarray, "n"]
    scores: Float32[np.ndarray, "n"]
    changed: frozenset[int] | None


def packed(message: ShardQuery | ShardAnswer) -> bytes:
    """A message as bytes: packed once for all shards, it costs less than to let Ray pack its arrays for each."""
    return pickle.dumps(message, protocol=5)


def unpacked(data: bytes) -> Any:
    """The message that was packed. Only what a process of the cluster packed may come here: pickles run code."""
    return pickle.loads(data)  # noqa: S301


NOTHING = ShardAnswer(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), None)


class ShardStatus(NamedTuple):
    """What a searcher says of itself; ``process`` is its number on its node.

    ``prepared`` is the encoder that the catalog is moving to, once the shard has an index of it; else empty.
    """

    shard: int
    seq: int
    vectors: int
    encoder: str
    process: int
    prepared: str = ""
