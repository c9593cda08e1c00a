"""Compaction: a fresh index from the database, written as a snapshot while searches go on; what nobody needs goes.

It runs by itself, in a thread of the writer, once one in twenty crops of the last snapshot has changed.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from osoroi import files
from osoroi.catalog.memory import snapshots
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.store import database, photos
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import SLOTS, StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.errors import BadIndex, OsoroiError

log = logging.getLogger(__name__)

CHANGES_RETAINED = 1000
"""Lines of ``changes`` that stay behind the snapshot, for readers that come a little late."""

CHUNK = 2000
"""Rows thrown out in one commit, so that no writer waits long."""

DAY_S = 86_400

SHARE = 20
"""One in so many crops of the snapshot has to have changed before it is worth a new one, which learns codes anew."""

KEY_BYTES = 16
"""What one changed crop takes in the detail of ``changes``, about."""


@runtime_checkable
class CatalogPool(Protocol):
    """Transactions of one catalog; ``folder`` is where its snapshots are."""

    folder: Path

    def view(self) -> AbstractContextManager[ReadTransaction]:
        """One state of the database."""
        ...


@runtime_checkable
class SweepablePool(CatalogPool, Protocol):
    """One that commits, too."""

    def commit(self) -> AbstractContextManager[ReadTransaction]:
        """One commit."""
        ...

    def check_identity(self) -> None:
        """Raise CatalogReplaced where another catalog stands there now."""
        ...


class Compactor:
    """Runs compactions of one open catalog, one at a time; ``swap`` gets each new memory.

    ``sweep`` throws out what nobody needs once there is a snapshot of this ``seq``.
    """

    def __init__(
        self,
        pool: CatalogPool,
        encoder: StoredEncoder,
        settings: CatalogSettings,
        swap: Callable[[MemoryIndex], None],
        sweep: Callable[[int], None],
    ) -> None:
        self._pool = pool
        self._sweep = sweep
        self._encoder = encoder
        self._settings = settings
        self._swap = swap
        self._thread: threading.Thread | None = None
        self._running = threading.Lock()

    def run(self) -> bool:
        """Compact now; False where another process is at it."""
        shard = self._settings.shard.folder
        folder = self._pool.folder / shard
        with self._running, database.explained(self._pool.folder):
            if shard:
                folder.mkdir(exist_ok=True)
            with snapshots.exclusive(folder) as only:
                if only:
                    self._compact()
                return only

    def _compact(self) -> None:
        with self._pool.view() as transaction:
            transaction.demand_encoder(self._encoder)
            folder = self._pool.folder / self._settings.shard.folder
            memory = MemoryIndex.build(transaction, self._encoder, self._settings).save(folder)
        _judge(memory, self._pool.folder)
        self._swap(memory)
        self._sweep(memory.seq)

    def is_due(self) -> bool:
        """Whether enough has changed since the last snapshot, and this handle writes any."""
        if not self._settings.compacts:
            return False
        with self._pool.view() as transaction:
            return due(transaction, self._settings)

    def consider(self) -> None:
        """Start a compaction in the background where it is due."""
        if (self._thread is not None and self._thread.is_alive()) or not self.is_due():
            return
        self._thread = threading.Thread(target=self._quietly, name="osoroi compaction")
        self._thread.start()

    def _quietly(self) -> None:
        """Nobody waits for the result: a failure is said in the log, and costs nothing but time at the next opening."""
        try:
            self.run()
        except OsoroiError as error:
            log.warning("%s: no snapshot of the index was written: %s", self._pool.folder, error)

    def wait(self) -> None:
        """Until the compaction that is under way, if any, has ended."""
        if self._thread is not None:
            self._thread.join()


def _judge(memory: MemoryIndex, folder: Path) -> None:
    """Compare the fresh index with an exact search on a sample, and report to the log."""
    health = memory.index.health()
    if health is not None:
        level = logging.WARNING if health.stale else logging.INFO
        log.log(level, "%s: recall of the new index on a sample: %.4f, drift %.2f", folder, health.recall, health.drift)


def due(transaction: ReadTransaction, settings: CatalogSettings) -> bool:
    """Whether ``snapshot_from`` crops, and one in twenty of the snapshot, have changed since it was written."""
    seq, count = 0, 0
    path = snapshots.current(transaction.folder / settings.shard.folder)
    if path is not None:
        try:
            manifest = snapshots.manifest_of(path)
        except BadIndex:
            return True
        if manifest.encoder == transaction.encoder().encoder:
            seq, count = manifest.seq, manifest.count
    (tail,) = transaction.one("SELECT coalesce(sum(length(detail)), 0) FROM changes WHERE seq > ?", seq)
    return bool(tail > KEY_BYTES * max(settings.snapshot_from, count // SHARE) * settings.shard.of)


def sweep(pool: SweepablePool, seq: int) -> None:
    """Throw out old lines of ``changes``, vectors of encoders that left, and photos nobody refers to."""
    sweep_rows(pool, seq - CHANGES_RETAINED)
    _sweep_photos(pool)


def sweep_rows(pool: SweepablePool, seq: int) -> None:
    """Throw out the lines of ``changes`` before ``seq``, and vectors of encoders that left."""
    with pool.commit() as transaction:
        transaction.connection.execute("DELETE FROM changes WHERE seq < ?", (seq,))
    while _sweep_vectors(pool):
        pass


def _sweep_vectors(pool: SweepablePool) -> bool:
    """A chunk of the vectors of encoders that are no longer there; False where none was left."""
    with pool.commit() as transaction:
        stays = [number for (number,) in transaction.all("SELECT encoder FROM encoders")]
        (highest,) = transaction.one("SELECT max(slot) FROM vectors")
        gone = sorted(set(range(1, (highest or 0) // SLOTS + 1)) - set(stays))
        for number in gone:
            statement = (
                "DELETE FROM vectors WHERE slot IN (SELECT slot FROM vectors WHERE slot >= ? AND slot < ? LIMIT ?)"
            )
            cursor = transaction.connection.execute(statement, (number * SLOTS, (number + 1) * SLOTS, CHUNK))
            if cursor.rowcount:
                return True
    return False


def _sweep_photos(pool: SweepablePool) -> None:
    """Kept photos that no crop refers to: looked for while all goes on, and once more while no writer can refer to one.

    What was only half written goes when it is a day old, since it may be half written just now.
    """
    with pool.view() as transaction:
        stay = _kept(transaction)
    there = list((pool.folder / photos.FOLDER).glob("??/*"))
    gone = [path for path in there if path.name not in stay and path.suffix != files.PART]
    gone += [path for path in there if path.suffix == files.PART and _is_old(path)]
    if gone:
        with pool.commit() as transaction:
            stay = _kept(transaction)
            for path in gone:
                if path.name not in stay:
                    pool.check_identity()  # these may by now be the photos of another catalog
                    path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > DAY_S
    except FileNotFoundError:  # it has its name by now
        return False


def _kept(transaction: ReadTransaction) -> set[str]:
    return {sha256 for (sha256,) in transaction.all("SELECT sha256 FROM crops WHERE path IS NULL")}
