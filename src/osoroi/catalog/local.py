"""A catalog in a folder: one SQLite file that holds the database, kept photos beside it, and an index in memory.

Whatever a method has returned from is on the disk. One writer at a time, any number of readers in other processes; each
search looks first whether something was committed since. Threads may share a catalog: they search together.
"""

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from osoroi import files
from osoroi.catalog.protocol import EncoderFacts, Neighbor
from osoroi.catalog.store import database, verify
from osoroi.catalog.store.pool import Pool
from osoroi.catalog.store.rows import StoredEncoder, described
from osoroi.catalog.store.settings import WAIT_S, CatalogSettings
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import BadCatalog, BadRequest, CatalogUnavailable
from osoroi.records import Part

if TYPE_CHECKING:
    from osoroi.catalog.local_writer import LocalWriter
    from osoroi.catalog.memory.compaction import Compactor

DEFAULTS = CatalogSettings()


def is_catalog(folder: Path) -> bool:
    """Whether a catalog stands there, of whatever format and in whatever state."""
    return (folder / database.FILE).is_file()


class LocalCatalog(StoredCatalog):
    """See ``osoroi.catalog.Storage``, and ``StoredCatalog`` for what it does like every other."""

    def __init__(self, folder: Path, *, readonly: bool, wait_s: float, settings: CatalogSettings) -> None:
        folder = folder.absolute()
        database.inspect(folder)
        if not readonly and not os.access(folder, os.W_OK):
            raise CatalogUnavailable(
                f"the catalog {folder} cannot be written", hint="check permissions, or open it for reading"
            )
        self._pool = Pool(folder, readonly=readonly, wait_s=wait_s)
        try:
            with self._pool.view() as transaction:
                encoder = transaction.encoder()
                verify.demand(transaction, up_to=settings.verify_up_to)
        except BaseException:
            self._pool.close()
            raise
        super().__init__(self._pool, str(folder), encoder, settings, readonly=readonly)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        fingerprint: str,
        dim: int,
        parts: Sequence[Part] = (),
        about: Mapping[str, str] | None = None,
        settings: CatalogSettings = DEFAULTS,
    ) -> "LocalCatalog":
        """A new, empty catalog for one encoder's vectors, opened for writing.

        The folder appears complete or not at all. Raises BadCatalog where something stands there already.
        """
        if dim < 1 or (parts and sum(part.size for part in parts) != dim):
            raise BadRequest(f"parts {[(part.name, part.size) for part in parts]} do not make vectors of {dim} numbers")
        return cls._make(folder, StoredEncoder(0, fingerprint, dim, tuple(parts), about or {}, 0.0), settings)

    @classmethod
    def _make(cls, folder: Path, encoder: StoredEncoder, settings: CatalogSettings) -> "LocalCatalog":
        from osoroi.catalog.store.writer import initialize

        folder = folder.absolute()
        if is_catalog(folder):
            raise BadCatalog(f"there is a catalog at {folder} already", hint="open it, or name another folder")
        if folder.exists() and not (folder.is_dir() and all(map(database.is_left_over, folder.iterdir()))):
            if not folder.is_dir():
                from osoroi import path_types

                path_types.require(folder, path_types.CATALOG, "a catalog", BadCatalog)
                raise BadCatalog(f"{folder} is a file", hint="a catalog is a folder: osoroi add CATALOG DATASET")
            raise BadCatalog(f"{folder} holds something else", hint="name a folder that is new or empty")
        with database.explained(folder):
            try:
                database.make(folder, lambda connection: initialize(connection, encoder))
            except FileExistsError as error:
                raise BadCatalog(f"another process made a catalog at {folder}", hint="open it") from error
        return cls.open(folder, settings=settings)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        readonly: bool = False,
        wait_s: float = WAIT_S,
        settings: CatalogSettings = DEFAULTS,
    ) -> "LocalCatalog":
        """A catalog that is there; a writer waits ``wait_s`` seconds for another one and then raises Busy.

        Raises BadCatalog for a folder that is none, for a newer format and for damage, and touches nothing.
        """
        return cls(folder, readonly=readonly, wait_s=wait_s, settings=settings)

    @classmethod
    def open_or_create(
        cls, folder: Path, encoder: EncoderFacts, *, settings: CatalogSettings = DEFAULTS
    ) -> "LocalCatalog":
        """The catalog at ``folder``, opened for writing; a new one for this encoder where there is none.

        A catalog of another encoder is opened as what it is: ``put`` refuses.
        """
        if is_catalog(folder):
            return cls.open(folder, settings=settings)
        return cls._make(folder, described(encoder), settings)

    def close(self) -> None:
        """Give the files back, once a compaction that is under way has ended. What was committed stays."""
        self.settle()
        self._pool.close()

    def _nearest(
        self, query: Float32[np.ndarray, "1 d"], k: int, where: str | None, without: Sequence[str], seq: int | None
    ) -> list[Neighbor]:
        """A plain search looks at the database after it has compared vectors, and begins again where something was
        committed meanwhile; see docs/decisions/0018-cheaper.md."""
        if not (where and where.strip()) and not without:
            with self._lock.shared():
                memory = self._memory
                if memory is not None and seq in (None, memory.seq):
                    best = memory.nearest(query, k, among=None)
                    with self.view() as transaction:
                        if memory.is_of(transaction):
                            return transaction.neighbors(self.encoder, best)
        return super()._nearest(query, k, where, without, seq)

    def store_file(self, name: str, source: Path | None) -> None:
        """Keep a copy of a file in the folder; None removes the one that is there."""
        path = self.folder / name
        with database.explained(self.folder):
            if source is None:
                path.unlink(missing_ok=True)
                return
            with files.open_foreign(source) as original, files.replacing(path) as file:
                shutil.copyfileobj(original, file)

    def fetch_file(self, name: str) -> Path | None:
        """The file of this name in the folder."""
        path = self.folder / name
        return path if path.is_file() else None

    @functools.cached_property
    def writer(self) -> "LocalWriter":
        """The writing half; raises BadCatalog where the catalog was opened for reading."""
        from osoroi.catalog.local_writer import LocalWriter

        self._pool.check_writable()
        return LocalWriter(self._pool, self.encoder, self._settings, self.swap)

    @property
    def compactor(self) -> "Compactor":
        """What writes snapshots of the index."""
        return self.writer.compactor

    def settle(self) -> None:
        """Wait until a compaction that this handle began in the background has ended."""
        if "writer" in vars(self):  # it has written something
            self.writer.compactor.wait()
