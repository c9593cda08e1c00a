"""The catalog that ``add`` and ``sync`` write to. One that this run made goes again where the run fails."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from osoroi import files, staging
from osoroi.catalog.address import Place
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.opening import create_catalog, encoder_of, is_catalog, open_catalog, store_encoder, stored_encoder
from osoroi.catalog.store.rows import described
from osoroi.catalog.stored import StoredCatalog
from osoroi.encoder import Encoder
from osoroi.errors import BadCatalog


@contextlib.contextmanager
def opened(
    place: Place, given: Path | None, *, threads: int, providers: Sequence[str] | None = None
) -> Iterator[tuple[StoredCatalog, Encoder]]:
    """The catalog at a place, opened for writing, and its encoder; a new one for the encoder given where there is none.

    Where the block fails, a catalog that was made here is removed again, unless somebody else has put products in it.
    """
    encoder = None if is_catalog(place) else Encoder.open(given, threads=threads, providers=providers)
    made = None if encoder is None else _made(place, encoder)
    with made if made is not None else open_catalog(place) as products:  # an empty catalog is false
        try:
            if made is not None:
                store_encoder(made, given)
            if encoder is None or made is None:  # it keeps one
                encoder = encoder_of(products, given, threads=threads, providers=providers)
            if given is not None and encoder.fingerprint == products.fingerprint and stored_encoder(products) is None:
                store_encoder(products, given)  # who made the catalog was stopped before that
            yield products, encoder
        except Exception:
            if made is not None:
                remove_empty(made)
            raise


def _made(place: Place, encoder: Encoder) -> StoredCatalog | None:
    """A new catalog; None where another process has just made one there."""
    facts = described(encoder)
    try:
        return create_catalog(place, fingerprint=facts.fingerprint, dim=facts.dim, parts=facts.parts, about=facts.about)
    except BadCatalog:
        if is_catalog(place):
            return None
        raise


def remove_empty(catalog: StoredCatalog) -> bool:
    """Delete an open catalog that holds no product; whether it is gone.

    It stays where another catalog stands in the folder by now, where a sync is under way, and where a writer holds it:
    nobody can commit while its products are counted and it is deleted.
    """
    if not isinstance(catalog, LocalCatalog):
        return catalog.remove_empty()
    is_gone = False
    with contextlib.suppress(BadCatalog):  # held by a writer, or replaced: then it is theirs; or gone, by us
        catalog.check_identity()
        with (
            files.lock(staging.lock_of(catalog.folder / staging.FILE)) as alone,
            catalog.commit("remove") as (transaction, _),
        ):
            if alone and not transaction.count()[0]:
                shutil.rmtree(catalog.folder)
                is_gone = True
    return is_gone
