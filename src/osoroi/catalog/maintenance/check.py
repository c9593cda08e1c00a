"""Verify a catalog: every row, every vector, every stored photo, and the snapshot against the database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from osoroi.catalog.address import Place
from osoroi.catalog.memory import snapshots
from osoroi.catalog.memory.columns import Columns
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.opening import ReadingPool, reading_pool
from osoroi.catalog.store import photos as _photos
from osoroi.catalog.store import verify
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.errors import BadIndex, BadPhoto, CatalogDamaged
from osoroi.index.exact import ExactIndex

SAMPLE = 50
"""Queries on which the snapshot is compared with all vectors."""

K = 10

DEFAULTS = CatalogSettings()


class Finding(NamedTuple):
    """Something wrong: with the database, with what is derived from it (rebuilt by a compaction), or with a photo."""

    what: Literal["database", "index", "photo"]
    text: str


def check(
    place: Place,
    *,
    settings: CatalogSettings = DEFAULTS,
    current: Callable[[Path], Path | None] = snapshots.current,
) -> list[Finding]:
    """Everything that is wrong; an empty list where nothing is. Reads all there is and changes nothing.

    Raises BadCatalog where there is no catalog, CatalogUnavailable where the bucket of its photos cannot be read.
    """
    pool = None
    try:
        pool = reading_pool(place)
        with pool.view() as transaction:
            wrong = [Finding("database", text) for text in verify.contradictions(transaction)]
            if wrong:
                return wrong
            photos = [Finding("photo", text) for text in _of_photos(transaction)]
        return [*(Finding("index", text) for text in _derived(pool, settings, current)), *photos]
    except CatalogDamaged as error:
        return [Finding("database", error.what)]
    finally:
        if pool is not None:
            pool.close()


def _derived(pool: ReadingPool, settings: CatalogSettings, current: Callable[[Path], Path | None]) -> list[str]:
    """What is wrong with the snapshot; one that is swapped while we look is looked at again."""
    for _ in range(snapshots.TRIES):
        with pool.view() as transaction:
            path = current(transaction.folder)
            try:
                problems = list(_of_snapshot(transaction, path, settings))
            except BadIndex as error:
                problems = [str(error)]
            if current(transaction.folder) == path:
                return problems
    return []


def _of_snapshot(transaction: ReadTransaction, path: Path | None, settings: CatalogSettings) -> Iterator[str]:
    """Whether the current snapshot and what was committed since make what the database makes."""
    if path is None:
        return
    manifest = snapshots.manifest_of(path)
    if manifest.seq > transaction.seq():
        return  # of a commit behind this view; that it was swapped in since shows by its name
    snapshot = snapshots.opened(path, manifest, settings)
    snapshot.index.verify()
    encoder = transaction.encoder()
    memory = MemoryIndex.of_snapshot(encoder, snapshot, settings)
    if manifest.encoder != encoder.encoder:
        return  # the catalog has moved since; nobody reads this any more, and the next compaction replaces it
    if not memory.follow(transaction):
        yield f"the snapshot {path.name} is not of this catalog's past; a compaction writes a new one"
        return
    stored = dict(transaction.all("SELECT crop, product FROM crops"))
    indexed = {int(crop): int(memory.owners[crop]) for crop in np.flatnonzero(memory.owners)}
    if stored != indexed or len(memory) != len(stored):
        yield f"the snapshot {path.name} has {len(memory)} crops, and the database {len(stored)}, or of other products"
        return
    if name := memory.columns.differs(
        Columns.read(transaction, words=settings.words), np.unique(memory.owners[memory.owners > 0])
    ):
        yield f"the snapshot {path.name} tells other values of {name!r} than the database"
        return
    exact = ExactIndex(encoder.dim)
    for keys, vectors in transaction.every_vector(encoder):
        exact.add(np.array(keys, np.int64), vectors)
    yield from _compared(memory, exact, path.name)


def _compared(memory: MemoryIndex, exact: ExactIndex, name: str) -> Iterator[str]:
    """Stored vectors as queries: each has to be found, with the score that all vectors give."""
    if not len(exact):
        return
    keys = exact.keys[:: max(1, len(exact) // SAMPLE)]
    queries = exact.vectors(keys)
    best, indexed = exact.nearest(queries, K), memory.index.nearest(queries, K)
    hits = np.mean([np.isin(want, have).mean() for want, have in zip(best.keys, indexed.keys, strict=True)])
    if hits < 0.95 or np.abs(best.scores[:, 0] - indexed.scores[:, 0]).max() > 1e-4:
        yield f"the snapshot {name} finds {hits:.1%} of what comparing with everything finds"


def _of_photos(transaction: ReadTransaction) -> Iterator[str]:
    """Photos that are gone or changed. Searches go on without them; ``reencode`` and pictures do not."""
    for sha256, path, crop_id in transaction.all("SELECT DISTINCT sha256, path, min(crop_id) FROM crops GROUP BY 1, 2"):
        photo = Path(path) if path is not None else _photos.place(transaction.folder, sha256)
        try:
            same = transaction.photo_hash(sha256, path) == sha256
        except OSError as error:
            yield f"{photo} of crop {crop_id!r} cannot be read: {error.strerror}"
            continue
        except BadPhoto as error:
            yield f"crop {crop_id!r}: {error}"
            continue
        if not same:
            yield f"{photo} of crop {crop_id!r} is no longer the photo that was added"
