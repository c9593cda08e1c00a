"""Open or create a catalog wherever it is: in a folder, or at an address of PostgreSQL.

What each needs is imported only where such a catalog is opened.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from osoroi import files
from osoroi.catalog.address import Address, Place, cache_folder
from osoroi.catalog.protocol import EncoderFacts
from osoroi.catalog.store.settings import WAIT_S, CatalogSettings
from osoroi.encoder import Encoder, beside
from osoroi.errors import BadRequest, extra
from osoroi.records import Part

if TYPE_CHECKING:
    from osoroi.catalog.postgres.catalog import PostgresCatalog
    from osoroi.catalog.store.reader import ReadTransaction
    from osoroi.catalog.stored import StoredCatalog

DEFAULTS = CatalogSettings()


def _postgres(place: Address) -> "type[PostgresCatalog]":
    """The class of a catalog in PostgreSQL; raises MissingExtra where what it needs is not installed."""
    for module in ("psycopg", "psycopg_pool"):
        extra(module, "postgres")
    if place.search == "pgvector":
        from osoroi.catalog.postgres.pgvector import PgvectorCatalog

        return PgvectorCatalog
    from osoroi.catalog.postgres.catalog import PostgresCatalog

    return PostgresCatalog


def is_catalog(place: Place) -> bool:
    """Whether a catalog stands there, of whatever format and in whatever state."""
    if isinstance(place, Path):
        return (place / files.CATALOG).is_file()
    _postgres(place)
    from osoroi.catalog.postgres.catalog import is_catalog

    return is_catalog(place)


def open_catalog(
    place: Place, *, readonly: bool = False, wait_s: float = WAIT_S, settings: CatalogSettings = DEFAULTS
) -> "StoredCatalog":
    """A catalog that is there, see ``LocalCatalog.open``. Raises BadCatalog."""
    if not isinstance(place, Path):
        return _postgres(place).open(place, readonly=readonly, wait_s=wait_s, settings=settings)
    from osoroi.catalog.local import LocalCatalog

    return LocalCatalog.open(place, readonly=readonly, wait_s=wait_s, settings=settings)


def create_catalog(
    place: Place,
    *,
    fingerprint: str,
    dim: int,
    parts: Sequence[Part] = (),
    about: Mapping[str, str] | None = None,
    settings: CatalogSettings = DEFAULTS,
) -> "StoredCatalog":
    """A new, empty catalog, see ``LocalCatalog.create``. Raises BadCatalog where there is one."""
    if not isinstance(place, Path):
        postgres = _postgres(place)
        return postgres.create(place, fingerprint=fingerprint, dim=dim, parts=parts, about=about, settings=settings)
    from osoroi.catalog.local import LocalCatalog

    return LocalCatalog.create(place, fingerprint=fingerprint, dim=dim, parts=parts, about=about, settings=settings)


def open_or_create(place: Place, encoder: EncoderFacts, *, settings: CatalogSettings = DEFAULTS) -> "StoredCatalog":
    """The catalog there, opened for writing; a new one for this encoder where there is none."""
    if not isinstance(place, Path):
        return _postgres(place).open_or_create(place, encoder, settings=settings)
    from osoroi.catalog.local import LocalCatalog

    return LocalCatalog.open_or_create(place, encoder, settings=settings)


def encoder_of(
    catalog: "StoredCatalog",
    given: str | os.PathLike[str] | None = None,
    *,
    threads: int = 1,
    providers: Sequence[str] | None = None,
) -> Encoder:
    """The encoder that was named, else the one that an open catalog keeps, else the one that ships."""
    return Encoder.open(given if given is not None else stored_encoder(catalog), threads=threads, providers=providers)


def fastest(encoder: Encoder, *, threads: int, bulk: bool) -> Encoder:
    """The encoder run in the way that is fastest on this machine, measured once; see ``encoder.choice``."""
    from osoroi.encoder import choice

    return choice.fastest(encoder, threads=threads, bulk=bulk, cache=runtimes())


def runtimes() -> Path | None:
    """The file that remembers how encoders run fastest on this machine; None where there is no folder for it."""
    try:
        return cache_folder() / "runtimes.json"
    except BadRequest:
        return None


def open_encoder(place: Place, given: str | os.PathLike[str] | None = None, *, threads: int = 1) -> Encoder:
    """The encoder of a catalog that is not open here, or of one that is to be made."""
    if given is not None or not is_catalog(place):
        return Encoder.open(given, threads=threads)
    plain = place if isinstance(place, Path) else replace(place, search="scan")
    with open_catalog(plain, readonly=True) as catalog:
        return encoder_of(catalog, threads=threads)


def stored_encoder(catalog: "StoredCatalog") -> Path | None:
    """The encoder file that an open catalog keeps, with what stands beside it; None for the encoder that ships.

    Of a move that was stopped just after the switch, it is the file that was kept for it before.
    """
    coming = beside.coming(catalog.fingerprint)
    names = beside.NAMES if catalog.fetch_file(coming[0]) is None else coming
    stored, *_ = [catalog.fetch_file(name) for name in names]
    return stored


def store_encoder(catalog: "StoredCatalog", given: str | os.PathLike[str] | None) -> None:
    """Keep an encoder file and what stands beside it with an open catalog; for the encoder that ships, remove what an
    earlier one left."""
    _store(catalog, beside.stored_as(given))


def store_coming(catalog: "StoredCatalog", encoder: Encoder) -> None:
    """Keep the files of the encoder that a catalog is moving to, before searches need them. Those of a move that is
    given up go."""
    with catalog.view() as transaction:
        other = transaction.next_encoder()
    if other is not None and other.fingerprint != encoder.fingerprint:
        remove_coming(catalog, other.fingerprint)
    if encoder.path is not None:
        names = beside.coming(encoder.fingerprint)
        _store(catalog, dict(zip(names, beside.paths_of(encoder.path), strict=True)))


def remove_coming(catalog: "StoredCatalog", fingerprint: str) -> None:
    """Remove the files of an encoder that were kept for a move."""
    _store(catalog, dict.fromkeys(beside.coming(fingerprint)))


def _store(catalog: "StoredCatalog", by_name: Mapping[str, Path | None]) -> None:
    for name, path in by_name.items():
        if path is None or path.resolve() != (catalog.folder / name).resolve():
            catalog.store_file(name, path)


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
    _postgres(place)
    from osoroi.catalog.postgres.catalog import reading_pool

    return reading_pool(place)
