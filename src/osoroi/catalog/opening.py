"""Open or create a catalog wherever it is: in a folder, or at an address of PostgreSQL.

What each needs is imported only where such a catalog is opened.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from osoroi import files
from osoroi.catalog.address import Place, folder_of
from osoroi.catalog.protocol import EncoderFacts
from osoroi.catalog.store.settings import WAIT_S, Settings
from osoroi.encoder import Encoder, beside
from osoroi.errors import extra
from osoroi.records import Part

if TYPE_CHECKING:
    from osoroi.catalog.local import LocalCatalog
    from osoroi.catalog.postgres.catalog import PostgresCatalog
    from osoroi.catalog.store.reader import ReadTransaction

DEFAULTS = Settings()


def _kind(place: Place) -> Any:
    """The class of the catalogs of such a place."""
    if isinstance(place, Path):
        from osoroi.catalog.local import LocalCatalog

        return LocalCatalog
    for module in ("psycopg", "psycopg_pool"):
        extra(module, "postgres")
    from osoroi.catalog.postgres.catalog import PostgresCatalog

    return PostgresCatalog


def is_catalog(place: Place) -> bool:
    """Whether a catalog stands there, of whatever format and in whatever state."""
    if isinstance(place, Path):
        return (place / files.CATALOG).is_file()
    _kind(place)
    from osoroi.catalog.postgres.catalog import is_catalog

    return is_catalog(place)


def open_catalog(
    place: Place, *, readonly: bool = False, wait_s: float = WAIT_S, settings: Settings = DEFAULTS
) -> "LocalCatalog | PostgresCatalog":
    """A catalog that is there, see ``LocalCatalog.open``. Raises BadCatalog."""
    return _kind(place).open(place, readonly=readonly, wait_s=wait_s, settings=settings)


def create_catalog(
    place: Place,
    *,
    fingerprint: str,
    dim: int,
    parts: Sequence[Part] = (),
    about: Mapping[str, str] | None = None,
    settings: Settings = DEFAULTS,
) -> "LocalCatalog | PostgresCatalog":
    """A new, empty catalog, see ``LocalCatalog.create``. Raises BadCatalog where there is one."""
    return _kind(place).create(place, fingerprint=fingerprint, dim=dim, parts=parts, about=about, settings=settings)


def open_or_create(
    place: Place, encoder: EncoderFacts, *, settings: Settings = DEFAULTS
) -> "LocalCatalog | PostgresCatalog":
    """The catalog there, opened for writing; a new one for this encoder where there is none."""
    return _kind(place).open_or_create(place, encoder, settings=settings)


def open_encoder(place: Place, given: str | os.PathLike[str] | None, *, threads: int = 1) -> Encoder:
    """The encoder that was named, else the one that the catalog keeps, else the one that ships."""
    if given is None and not isinstance(place, Path) and is_catalog(place):
        stored_encoder(place)
    return beside.open_for(folder_of(place), given, threads=threads)


def store_encoder(place: Place, given: str | os.PathLike[str] | None) -> None:
    """Keep an encoder file with a catalog; for the encoder that ships, remove what an earlier one left."""
    folder = folder_of(place)
    beside.store(folder, given)
    if not isinstance(place, Path):
        kept = folder / beside.FILE
        with open_catalog(place) as catalog:
            catalog.store_file(beside.FILE, files.content(kept) if kept.is_file() else None)  # type: ignore[union-attr]


@runtime_checkable
class ReadingPool(Protocol):
    """Views of one catalog, and nothing else."""

    def view(self) -> "AbstractContextManager[ReadTransaction]":
        """One state of the database."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


def reading_pool(place: Place) -> ReadingPool:
    """Views of a catalog that need not be sound. Raises BadCatalog where there is none."""
    if isinstance(place, Path):
        from osoroi.catalog.store import database
        from osoroi.catalog.store.pool import Pool

        database.inspect(place.absolute())
        return Pool(place.absolute(), readonly=True, wait_s=WAIT_S)
    _kind(place)
    from osoroi.catalog.postgres.catalog import reading_pool

    return reading_pool(place)


def stored_encoder(place: Place) -> Path | None:
    """The encoder file that a catalog keeps; None where its encoder is the one that ships."""
    path = folder_of(place) / beside.FILE
    if not isinstance(place, Path):
        with open_catalog(place, readonly=True) as catalog:
            catalog.fetch_file(beside.FILE)  # type: ignore[union-attr]
    return path if path.is_file() else None
