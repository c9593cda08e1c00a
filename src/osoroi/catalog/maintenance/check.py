"""Verify a catalog: every row, every vector, every stored photo, and the snapshot against the database."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from osoroi import files
from osoroi.catalog.memory import snapshots
from osoroi.catalog.memory.columns import Columns
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.store import database, verify
from osoroi.catalog.store import photos as _photos
from osoroi.catalog.store.pool import Pool
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.errors import BadIndex, CatalogDamaged
from osoroi.index.exact import ExactIndex
from osoroi.index.scan import ScanIndex

SAMPLE = 50
"""Queries on which the snapshot is compared with all vectors."""

K = 10


class Finding(NamedTuple):
    """Something wrong: with the database, with what is derived from it (rebuilt by a compaction), or with a photo."""

    what: Literal["database", "index", "photo"]
    text: str


def check(folder: Path) -> list[Finding]:
    """Everything that is wrong; an empty list where nothing is. Reads all there is and changes nothing.

    Raises BadCatalog where the folder is no catalog.
    """
    folder = folder.absolute()
    database.inspect(folder)
    pool = None
    try:
        pool = Pool(folder, readonly=True, wait_s=database.WAIT_S)
        with pool.view() as transaction:
            wrong = [Finding("database", text) for text in verify.contradictions(transaction)]
            if wrong:
                return wrong
            photos = [Finding("photo", text) for text in _of_photos(transaction)]
        return [*(Finding("index", text) for text in _derived(pool)), *photos]
    except CatalogDamaged as error:
        return [Finding("database", error.what)]
    finally:
        if pool is not None:
            pool.close()


def _derived(pool: Pool) -> list[str]:
    """What is wrong with the snapshot; one that is swapped while we look is looked at again."""
    for _ in range(snapshots.TRIES):
        with pool.view() as transaction:
            path = snapshots.current(transaction.folder)
            try:
                found = list(_of_snapshot(transaction))
            except BadIndex as error:
                found = [str(error)]
            if snapshots.current(transaction.folder) == path:
                return found
    return []


def _of_snapshot(transaction: ReadTransaction) -> Iterator[str]:
    """Whether the current snapshot and what was committed since make what the database makes."""
    path = snapshots.current(transaction.folder)
    if path is None:
        return
    manifest = snapshots.manifest_of(path)
    if manifest.seq > transaction.seq():
        return  # of a commit behind this view; that it was swapped in since shows by its name
    _, index, owners, columns = snapshots.opened(path, manifest)
    if isinstance(index, ScanIndex):
        index.verify()
    encoder = transaction.encoder()
    memory = MemoryIndex(encoder, manifest.seq, manifest.commit, index, owners, columns)
    if manifest.encoder != encoder.encoder:
        return  # the catalog has moved since; nobody reads this any more, and the next compaction replaces it
    if not memory.follow(transaction):
        yield f"the snapshot {path.name} is not of this catalog's past; a compaction writes a new one"
        return
    told = dict(transaction.all("SELECT crop, product FROM crops"))
    seen = {int(crop): int(memory.owners[crop]) for crop in np.flatnonzero(memory.owners)}
    if told != seen or len(memory) != len(told):
        yield f"the snapshot {path.name} holds {len(memory)} crops, and the database {len(told)}, or of other products"
        return
    if name := memory.columns.differs(Columns.read(transaction), np.unique(memory.owners[memory.owners > 0])):
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
    best, found = exact.nearest(queries, K), memory.index.nearest(queries, K)
    hits = np.mean([np.isin(want, have).mean() for want, have in zip(best.keys, found.keys, strict=True)])
    if hits < 0.95 or np.abs(best.scores[:, 0] - found.scores[:, 0]).max() > 1e-4:
        yield f"the snapshot {name} finds {hits:.1%} of what comparing with everything finds"


def _of_photos(transaction: ReadTransaction) -> Iterator[str]:
    """Photos that are gone or changed. Searches go on without them; ``reencode`` and pictures do not."""
    for sha256, path, crop_id in transaction.all("SELECT DISTINCT sha256, path, min(crop_id) FROM crops GROUP BY 1, 2"):
        photo = Path(path) if path is not None else _photos.place(transaction.folder, sha256)
        try:
            with files.open_foreign(photo) as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError as error:
            yield f"{photo} of crop {crop_id!r} cannot be read: {error.strerror}"
            continue
        if not same:
            yield f"{photo} of crop {crop_id!r} is no longer the photo that was added"
