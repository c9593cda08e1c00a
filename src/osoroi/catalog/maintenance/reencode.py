"""A catalog moves to another encoder: new vectors beside the old ones, searches going on, and one switch at the end.

If a run is stopped, the catalog stays with the old encoder, and the next run goes on where this one was. The switch is
one commit that finds every crop with a new vector, or does not happen. The catalog has the file of the new encoder
before, so that searches find it at once, whatever becomes of the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from osoroi import image
from osoroi.catalog.address import Place
from osoroi.catalog.maintenance.migration import Migration, Pending
from osoroi.catalog.opening import open_catalog, remove_coming, store_coming, store_encoder
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.catalog.stored import StoredCatalog
from osoroi.encoder import Encoder, learned, loader
from osoroi.errors import BadCatalog, BadPhoto
from osoroi.image import LIMITS, Limits
from osoroi.records import Input

DEFAULTS = CatalogSettings()

CROPS_PER_COMMIT = 64
"""About one second of work is lost where a run is stopped."""

NAMED = 5
"""Photos that an error names."""


class Unread(NamedTuple):
    """A crop whose photo gives no vector, and the reason."""

    product_id: str
    crop_id: str
    reason: str


@dataclass(frozen=True)
class Moved:
    """The result of a run. Where nothing was switched, the catalog was that encoder's already, or was only prepared."""

    embedded: int
    dropped: tuple[Unread, ...]
    switched: bool
    prepared: bool = False


def reencode(  # noqa: PLR0913  two of them are only told of progress
    place: Place,
    encoder: Encoder,
    *,
    threads: int = 2,
    limits: Limits = LIMITS,
    drop: bool = False,
    prepare: bool = False,
    crops_per_commit: int = CROPS_PER_COMMIT,
    settings: CatalogSettings = DEFAULTS,
    on_progress: Callable[[int], None] = lambda done: None,
    on_switch: Callable[[], None] = lambda: None,
) -> Moved:
    """Give every crop of a catalog a vector of this encoder, then switch. ``on_progress`` gets crops embedded so far.

    ``on_switch`` is called once searches need the new encoder, before the index is written anew.

    A photo that cannot be read, or is no longer the one that was added, keeps the catalog with the old encoder: raises
    BadCatalog naming it. With ``drop`` its crops are removed instead, and products that have no other. With ``prepare``
    nothing is switched: searchers build their index of the new encoder meanwhile, and a second run switches.
    """
    embedded, dropped = 0, []
    with open_catalog(place, settings=settings) as catalog:
        before = catalog.fingerprint
        if before == encoder.fingerprint:
            _settle_files(catalog, encoder, before)
            return Moved(0, (), switched=False)
        store_coming(catalog, encoder)
        migration = Migration.begin(catalog, encoder)
        reading = learned.reading(encoder, categories=catalog.trusts_categories())
        reader = partial(read, encoder=reading, limits=limits)
        while True:
            unread: dict[int, tuple[Pending, BadPhoto]] = {}
            for crops in migration.pending(limit=crops_per_commit):
                for batch in loader.encode(
                    crops, encoder.encode_inputs, reader, threads=threads, batch=crops_per_commit
                ):
                    migration.store([crops[index] for index in batch.indices], batch.vectors)
                    unread |= {crops[index].key: (crops[index], error) for index, error in batch.errors.items()}
                    embedded += len(batch.indices)
                on_progress(embedded)
            if unread and not drop:
                problems = [_named(one, error) for one, error in unread.values()]
                raise BadCatalog(_refusal(place, problems), hint="put the photos back, or `drop` their crops")
            if unread:
                gone = migration.drop([one for one, _ in unread.values()])
                dropped += [_named(*unread[one.key]) for one in gone]
            if prepare:
                return Moved(embedded, tuple(dropped), switched=False, prepared=True)
            if migration.switch():
                break
        on_switch()
    with open_catalog(place, settings=settings) as catalog:
        _settle_files(catalog, encoder, before)
        catalog.compact()
    return Moved(embedded, tuple(dropped), switched=True)


def _settle_files(catalog: StoredCatalog, encoder: Encoder, before: str) -> None:
    """Keep the encoder's files under the names that they stay under, and none that were kept for a move."""
    if encoder.path is not None:
        store_encoder(catalog, encoder.path)
    for fingerprint in (encoder.fingerprint, before):
        remove_coming(catalog, fingerprint)


def read(pending: Pending, encoder: Encoder, limits: Limits) -> Input:
    """The pixels of a crop and what the shop says of its kind.

    Raises BadPhoto where its photo is no longer the one that was added.
    """
    crop = loader.load(pending.crop, limits=limits)
    if crop.sha256 != pending.crop.sha256:
        raise BadPhoto(f"{image.name_of(crop.photo)} is no longer the photo that was added; add it again")
    pixels = loader.crop_pixels(crop, encoder.preprocessing, limits=limits)
    return Input(pixels, encoder.clues_of(pending.product))


def _named(pending: Pending, error: BadPhoto) -> Unread:
    return Unread(pending.crop.product_id, pending.crop.crop_id, str(error))


def _refusal(place: Place, unread: Sequence[Unread]) -> str:
    named = "; ".join(f"crop {one.crop_id!r}: {one.reason}" for one in unread[:NAMED])
    more = f"; and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
    return f"{len(unread)} crops of {place} have no photo to embed anew, so it stays as it is: {named}{more}"
