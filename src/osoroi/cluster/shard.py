"""One searcher: a shard of a catalog's index in this process, which follows the catalog's commits."""

import logging
import os
import threading
from collections.abc import Callable

import numpy as np

from osoroi.catalog.address import Place
from osoroi.catalog.memory import prepared
from osoroi.catalog.memory.memory_index import MemoryIndex, NeedsDatabase
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.settings import CatalogSettings, Shard
from osoroi.catalog.stored import StoredCatalog
from osoroi.cluster.messages import NOTHING, ShardAnswer, ShardQuery, ShardStatus
from osoroi.errors import BadIndex, CatalogReplaced, OtherEncoder
from osoroi.index import IndexHealth

log = logging.getLogger(__name__)

HISTORY = 1_000
"""Commits as of which a shard can be searched after later ones came."""


class ShardSearcher:
    """Searches one shard as of any of the last commits. Threads may share it.

    It opens the catalog again where the catalog was moved to another encoder or replaced. Its shard is built by then
    where ``prepare`` was called since the vectors of that encoder were there, and is built anew otherwise.
    """

    def __init__(self, place: Place, shard: Shard, *, settings: CatalogSettings | None = None) -> None:
        self._place = place
        self._settings = settings or shard_settings(shard)
        self.shard = shard
        self._opening = threading.Lock()
        self._prepared: MemoryIndex | None = None  # by the encoder that the catalog is moving to
        self._catalog = self._open()
        self._left: list[Callable[[], None]] = []

    def _open(self) -> StoredCatalog:
        """The catalog as it is now, its shard built: those who ask while it is, wait once and not each for itself."""
        catalog = open_catalog(self._place, readonly=True, settings=self._settings)
        try:
            prepared.promote(catalog.folder / self.shard.folder, catalog.encoder)
            if self._prepared is not None and self._prepared.encoder == catalog.encoder:
                catalog.swap(self._prepared)
                self._demand_whole(catalog)
            self._prepared = None
            with catalog.current() as (_, memory):
                log.info("shard %d of %d: %d vectors", self.shard.number, self.shard.of, len(memory))
            with catalog.current():  # from the second time on a catalog in PostgreSQL is followed
                pass
        except BaseException:
            catalog.close()
            raise
        return catalog

    def _demand_whole(self, catalog: StoredCatalog) -> None:
        """Build the index anew where it does not hold every crop of the shard."""
        with catalog.current() as (transaction, memory):
            count, held = transaction.crop_count(self.shard), len(memory)
        if held != count:
            catalog.build_anew(BadIndex(f"{count} crops have {held} vectors in the index that was prepared"))

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

    def prepare(self) -> bool:
        """Build the shard by the encoder that the catalog is moving to, once nearly all its vectors are there, and keep
        it up to date; whether it lacks none."""
        catalog, memory = self._catalog, self._prepared
        with catalog.view() as transaction:
            encoder = transaction.next_encoder()
            if memory is None or memory.encoder != encoder:
                memory = None if encoder is None else prepared.index_of(transaction, encoder, self._settings)
        with self._opening:
            if memory is None or self._catalog is not catalog:  # it has moved meanwhile
                self._prepared = None
                return False
            if self._prepared is not memory:
                by = memory.encoder.fingerprint[:12]
                log.info("shard %d: ready for encoder %s, %d crops to come", self.shard.number, by, len(memory.pending))
            with catalog.view() as transaction:
                self._prepared = memory if memory.follow(transaction) else None
            return self._prepared is not None and not memory.pending

    def catch_up(self) -> None:
        """Follow the catalog to its last commit."""
        with self._catalog.current():
            pass

    def status(self) -> ShardStatus:
        """How far it has come."""
        catalog = self._catalog
        with catalog.current() as (_, memory):
            prepared_ = "" if self._prepared is None else self._prepared.encoder.fingerprint
            return ShardStatus(self.shard.number, memory.seq, len(memory), catalog.fingerprint, os.getpid(), prepared_)

    def health(self) -> IndexHealth | None:
        """How well its index finds, None where every vector is compared; reads all vectors."""
        return self._catalog.health()

    def close(self) -> None:
        """Release files and connections."""
        for close in [*self._left, self._catalog.close]:
            close()


def shard_settings(shard: Shard) -> CatalogSettings:
    """The settings of a catalog whose index is a shard."""
    return CatalogSettings(shard=shard, history=HISTORY)


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
