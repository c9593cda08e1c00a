"""The catalog that ``add`` and ``sync`` write to. One that this run made goes again where the run fails."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from osoroi import files, staging
from osoroi.catalog.local import LocalCatalog, is_catalog
from osoroi.catalog.store.rows import described
from osoroi.encoder import Encoder
from osoroi.errors import BadCatalog


@contextlib.contextmanager
def opened(folder: Path, encoder: Encoder) -> Iterator[LocalCatalog]:
    """The catalog at a folder, opened for writing; a new one where there is none.

    Where the block fails, a catalog that was made here is removed again, unless somebody else has put products in it.
    """
    made = None if is_catalog(folder) else _made(folder, encoder)
    with made or LocalCatalog.open(folder) as products:
        try:
            yield products
        except Exception:
            if made is not None:
                remove_empty(made)
            raise


def _made(folder: Path, encoder: Encoder) -> LocalCatalog | None:
    """A new catalog; None where another process has just made one there."""
    facts = described(encoder)
    try:
        return LocalCatalog.create(
            folder, fingerprint=facts.fingerprint, dim=facts.dim, parts=facts.parts, about=facts.about
        )
    except BadCatalog:
        if is_catalog(folder):
            return None
        raise


def remove_empty(catalog: LocalCatalog) -> bool:
    """Delete the folder of an open catalog that holds no product; whether it is gone.

    It stays where another catalog stands in the folder by now, where a sync is under way, and where a writer holds it:
    nobody can commit while its products are counted and it is deleted.
    """
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
