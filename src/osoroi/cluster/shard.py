"""One searcher: a shard of a catalog's index in this process, which follows the catalog's commits."""

import logging
import os
import threading
from collections.abc import Callable

import numpy as np

from osoroi.catalog.address import Place
from osoroi.catalog.memory.memory_index import MemoryIndex, NeedsDatabase
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.settings import Settings, Shard
from osoroi.catalog.stored import StoredCatalog
from osoroi.cluster.messages import NOTHING, ShardAnswer, ShardHealth, ShardQuery
from osoroi.errors import BadIndex, CatalogReplaced, OtherEncoder
from osoroi.index import Health

log = logging.getLogger(__name__)

HISTORY = 1_000
"""Commits as of which a shard can be searched after later ones came."""


class ShardSearcher:
    """Searches one shard as of any of the last commits. Threads may share it.

    It opens the catalog again, and builds its shard anew, where the catalog was moved to another encoder or replaced.
    """

    def __init__(self, place: Place, shard: Shard, *, settings: Settings | None = None) -> None:
        self._place = place
        self._settings = settings or shard_settings(shard)
        self.shard = shard
        self._opening = threading.Lock()
        self._catalog = self._open()
        self._left: list[Callable[[], None]] = []

    def _open(self) -> StoredCatalog:
        """The catalog as it is now, its shard built: those who ask while it is, wait once and not each for itself."""
        catalog = open_catalog(self._place, readonly=True, settings=self._settings)
        try:
            with catalog.current() as (_, memory):
                log.info("shard %d of %d: %d vectors", self.shard.number, self.shard.of, len(memory))
            with catalog.current():  # from the second time on a catalog in PostgreSQL is followed
                pass
        except BaseException:
            catalog.close()
            raise
        return catalog

    def search(self, query: ShardQuery) -> ShardAnswer:
        """The best crops of the shard as of the query's commit; see ``ShardAnswer``.

        Raises OtherEncoder where the catalog has vectors of another encoder than the query's.
        """
        catalog = self._catalog
        try:
            if catalog.fingerprint == query.encoder:
                return self._search(catalog, query)
        except (OtherEncoder, CatalogReplaced) as error:
            log.info("shard %d: %s", self.shard.number, error)
        catalog = self._opened_again(catalog)
        if catalog.fingerprint != query.encoder:
            raise OtherEncoder(
                f"the catalog {catalog.location} has vectors of encoder {catalog.fingerprint[:12]}, "
                f"and the query is by encoder {query.encoder[:12]}",
                hint="open it again, with the encoder it has now",
            )
        return self._search(catalog, query)

    def _search(self, catalog: StoredCatalog, query: ShardQuery) -> ShardAnswer:
        try:
            return self._answered(catalog, query)
        except BadIndex as error:
            catalog.build_anew(error)
            return self._answered(catalog, query)

    def _answered(self, catalog: StoredCatalog, query: ShardQuery) -> ShardAnswer:
        try:
            with catalog.memory_at(query.seq, query.commit) as (memory, transaction):
                return _best(memory, transaction, query)
        except NeedsDatabase:
            with catalog.current() as (transaction, memory):
                return _best(memory, transaction, query)

    def _opened_again(self, stale: StoredCatalog) -> StoredCatalog:
        with self._opening:
            if self._catalog is stale:
                self._catalog = self._open()
                while self._left:  # searches of the catalog before the last one have ended long ago
                    self._left.pop()()
                self._left.append(stale.close)
            return self._catalog

    def catch_up(self) -> None:
        """Follow the catalog to its last commit."""
        with self._catalog.current():
            pass

    def health(self) -> tuple[ShardHealth, Health | None]:
        """How far it has come, and how well its index finds."""
        catalog = self._catalog
        with catalog.current() as (_, memory):
            about = ShardHealth(self.shard.number, memory.seq, len(memory), catalog.fingerprint, os.getpid())
        return about, catalog.health()

    def close(self) -> None:
        """Release files and connections."""
        for close in [*self._left, self._catalog.close]:
            close()


def shard_settings(shard: Shard) -> Settings:
    """The settings of a catalog whose index is a shard."""
    return Settings(shard=shard, history=HISTORY)


def _best(memory: MemoryIndex, transaction: ReadTransaction | None, query: ShardQuery) -> ShardAnswer:
    changed = memory.changed_since(query.seq, query.commit)
    if changed is None:
        return NOTHING
    among = None if query.filter is None else memory.allowed(transaction, query.filter)
    without = [*query.without, *changed]
    best = memory.nearest(query.query, query.k, among=among, without=without)
    return ShardAnswer(
        np.array([one.product for one in best], np.int64),
        np.array([one.crop for one in best], np.int64),
        np.array([one.score for one in best], np.float32),
        changed,
    )
