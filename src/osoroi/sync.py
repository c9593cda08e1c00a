"""A catalog made equal to a table: products added, changed and removed in one commit. Readers see all of it or nothing.

First everything is worked out: photos are hashed (a file that has not changed is not read again) and
new crops are embedded, their vectors kept in ``staging``. Then comes one commit. A run that was stopped has changed
nothing, and the next one goes on where it was. About one kilobyte a row of the table is held.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from osoroi import categories, image
from osoroi.catalog import Entry, Storage, StoredProduct
from osoroi.data.links import path_of
from osoroi.encoder import Encoder, loader
from osoroi.errors import BadDataset, BadPhoto, BadRequest, Busy
from osoroi.file_hashes import Stamp, stamp_of
from osoroi.image import LIMITS, Limits
from osoroi.ingest import demand_encoder
from osoroi.records import Box, Clues, Crop, Input, Problem, Product, Row, Value, with_utc
from osoroi.staging import Staging, only_sync
from osoroi.wishes import MOST_REMOVED

PRODUCTS_AT_ONCE = 256

Item = TypeVar("Item")


@dataclass
class SyncCount:
    """Numbers of a sync. Of products: ``added``, ``changed``, ``unchanged``, ``removed``, and ``left_out`` without a
    readable photo. Of crops: ``embedded`` and ``unreadable``. ``contradicting`` rows are not like the first of their
    product. ``seq`` is the commit's number."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    left_out: int = 0
    embedded: int = 0
    unreadable: int = 0
    contradicting: int = 0
    seq: int = 0


@dataclass(frozen=True)
class Synced:
    """The result of a sync: numbers, photos that could not be read, and lines that could not."""

    count: SyncCount
    problems: tuple[Problem, ...]
    bad_lines: tuple[str, ...]


class Wanted(NamedTuple):
    """A product as the table has it, and its shop crops."""

    product: Product
    crops: list[Crop]


@dataclass
class Plan:
    """What a sync is going to commit: entries with crops, metadata alone, and products that are gone."""

    entries: list[Wanted] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    count: SyncCount = field(default_factory=SyncCount)
    problems: list[Problem] = field(default_factory=list)


def gathered(rows: Iterable[Row], count: SyncCount) -> dict[str, Wanted]:
    """Product id -> product and shop crops; the first row of a product decides its metadata."""
    wanted: dict[str, Wanted] = {}
    for given, crop in rows:
        if crop.domain == "street":
            continue
        product = with_utc(given)
        held = wanted.setdefault(product.product_id, Wanted(product, []))
        count.contradicting += held.product is not product and held.product != product
        held.crops.append(crop)
    return wanted


def removed(stored: Sequence[str], wanted: Mapping[str, Wanted], spared: Iterable[str], *, most: float) -> list[str]:
    """Stored products that the table has no longer, without those of lines that cannot be read.

    Raises BadRequest where they are more than the share ``most`` of those stored.
    """
    spare = set(spared)
    gone = [product_id for product_id in stored if product_id not in wanted and product_id not in spare]
    if len(gone) > most * len(stored):
        others = {one.casefold(): one for one in wanted}
        renamed = next((others[one.casefold()] for one in gone if one.casefold() in others), None)
        capitals = "" if renamed is None else f"it has {renamed!r}, and ids in other capitals are other products; "
        raise BadRequest(
            f"{len(gone):,} of {len(stored):,} products are not in the table, for instance {gone[0]!r}",
            hint=f"{capitals}is the table whole? More than {most:.0%} are removed with `most_removed` alone",
        )
    return gone


def sync(  # noqa: PLR0913 (what a caller decides, each by its name)
    rows: Iterable[Row],
    catalog: Storage,
    encoder: Encoder,
    *,
    staging: Path,
    spared: Callable[[], Iterable[str] | None] = lambda: (),
    most_removed: float = MOST_REMOVED,
    threads: int = 2,
    on_problem: Callable[[Problem], None] = lambda problem: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SyncCount:
    """Make the catalog equal to ``rows``, in one commit. Categories that no dictionary knows are then learned from the
    photos of their products, in commits of their own.

    ``spared`` names, once the rows have been read, products that stay whatever the rows say; None removes no product.
    A photo that cannot be read keeps the vector that is stored. ``on_progress`` gets the products done and all of them.
    Raises BadRequest, before anything is embedded, where more than ``most_removed`` of the catalog would go; Busy where
    another sync of the catalog is under way, or another writer changed its photos meanwhile.
    """
    demand_encoder(catalog, encoder)
    encoder = categories.reader(catalog, encoder)
    plan = Plan()
    wanted = gathered(rows, plan.count)
    if not wanted:
        raise BadDataset("the table has no product with a shop photo", hint="nothing was changed")
    spare = spared()
    catalog.check_identity()
    with only_sync(staging, catalog.location), contextlib.closing(Staging(staging, encoder.fingerprint)) as stage:
        plan.remove = [] if spare is None else removed(catalog.product_ids(), wanted, spare, most=most_removed)
        done = 0
        for chunk in chunks(wanted.values(), PRODUCTS_AT_ONCE):
            stored = catalog.get_many([one.product.product_id for one in chunk])
            work_out(chunk, stored, plan, stage, encoder, threads=threads, limits=LIMITS)
            done += len(chunk)
            on_progress(done, len(wanted))
        for problem in plan.problems:
            on_problem(problem)
        if plan.count.left_out == len(wanted):
            why = f": {plan.problems[0].reason}" if plan.problems else ""
            raise BadDataset(f"no product has a readable shop photo{why}", hint="nothing was changed")
        marks = categories.Marks(encoder)
        with marks.writing(may_change_kinds=bool(plan.entries or plan.products)):
            plan.count.seq = catalog.apply(
                (entry_of(one, catalog, stage, encoder) for one in plan.entries),
                fingerprint=encoder.fingerprint,
                products=plan.products,
                remove=plan.remove,
            )
        stage.committed()
    written = [one.product.product_id for one in plan.entries] + [one.product_id for one in plan.products]
    encoder = categories.read_anew(catalog, encoder, written)
    unread = categories.unread(encoder, [*(one.product for one in plan.entries), *plan.products])
    changed = plan.count.added + plan.count.changed
    if categories.settle(catalog, encoder, unread, changed=changed, marks=marks):
        plan.count.seq = catalog.seq
    plan.count.removed = len(plan.remove)
    return plan.count


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items, so many at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def work_out(
    chunk: list[Wanted],
    stored: Mapping[str, StoredProduct],
    plan: Plan,
    stage: Staging,
    encoder: Encoder,
    *,
    threads: int,
    limits: Limits,
) -> None:
    """Hash the photos of some products, embed crops that are new, and note what must be committed."""
    hashed, problems = _hashed([crop for one in chunk for crop in one.crops], stage, threads=threads, limits=limits)
    clues = {one.product.product_id: encoder.clues_of(one.product) for one in chunk}
    kinds = {product_id: encoder.clues_of(one.product) for product_id, one in stored.items()}
    new = [crop for crop in hashed.values() if _is_new(crop, stored, kinds, clues, stage)]
    broken = _embed(new, clues, stage, encoder, threads=threads, limits=limits)
    problems += broken
    plan.problems += problems
    plan.count.unreadable += len(problems)
    plan.count.embedded += len(new) - len(broken)
    unreadable = {problem.crop_id for problem in problems}
    for one in chunk:
        before = stored.get(one.product.product_id)
        earlier = {crop.crop_id: crop for crop in before.crops} if before else {}
        crops = [
            earlier[crop.crop_id] if crop.crop_id in unreadable else hashed[crop.crop_id]
            for crop in one.crops
            if crop.crop_id not in unreadable or crop.crop_id in earlier
        ]
        product_id = one.product.product_id
        _note(one.product, crops, before, plan, is_other_kind=clues[product_id] != kinds.get(product_id))


def _note(
    product: Product, crops: list[Crop], before: StoredProduct | None, plan: Plan, *, is_other_kind: bool
) -> None:
    if not crops:
        plan.count.left_out += 1
        if before is not None:  # its photos cannot be read now: the vectors stay, and the metadata follows
            _note(product, before.crops, before, plan, is_other_kind=is_other_kind)
            plan.count.left_out -= 1
    elif before is None:
        plan.count.added += 1
        plan.entries.append(Wanted(product, crops))
    elif not _same_crops(crops, before.crops) or (is_other_kind and product != before.product):
        plan.count.changed += 1
        plan.entries.append(Wanted(product, crops))
    elif product != before.product:
        plan.count.changed += 1
        plan.products.append(product)
    else:
        plan.count.unchanged += 1


def _hashed(
    crops: list[Crop], stage: Staging, *, threads: int, limits: Limits
) -> tuple[dict[str, Crop], list[Problem]]:
    """Crops with the hash of their photo, and those whose photo cannot be read."""
    hashed: dict[str, Crop] = {}
    unknown: list[Crop] = []
    for crop in crops:
        path = path_of(crop)
        known = None if path is None else stage.hashes.of(path)
        if known is None:
            unknown.append(crop)
        else:
            hashed[crop.crop_id] = replace(crop, sha256=known)
    problems = []
    for crop, result in loader.read(unknown, partial(_hash, limits=limits), threads=threads):
        if isinstance(result, BadPhoto):
            problems.append(Problem(crop.product_id, crop.crop_id, image.name_of(crop.photo), str(result)))
            continue
        sha256, stamp = result
        hashed[crop.crop_id] = replace(crop, sha256=sha256)
        if (path := path_of(crop)) is not None:
            stage.hashes.remember(path, stamp, sha256)
    stage.put([])
    return hashed, problems


def _hash(crop: Crop, limits: Limits) -> tuple[str, Stamp | None]:
    path = path_of(crop)
    stamp = None if path is None else stamp_of(path)
    return hashlib.sha256(image.load(crop.photo, limits=limits)).hexdigest(), stamp


def _is_new(
    crop: Crop,
    stored: Mapping[str, StoredProduct],
    kinds: Mapping[str, Clues],
    clues: Mapping[str, Clues],
    stage: Staging,
) -> bool:
    """Whether a crop has to be embedded: a stored vector takes over a kind that is known, but cannot forget one."""
    before, clue = stored.get(crop.product_id), clues[crop.product_id]
    stays = before is not None and (clue.known is not None or kinds[crop.product_id].known is None)
    if before is not None and stays and any(_what(old) == _what(crop) for old in before.crops):
        return False
    return stage.vector(key_of(crop, clue, stage)) is None


def key_of(crop: Crop, clue: Clues, stage: Staging) -> str:
    """What a vector is of: a photo, a box, and what the shop says of its kind."""
    known = "" if clue.known is None else repr(sorted(clue.known.items()))
    return f"{stage.key(crop.sha256 or '', crop.box)} {known}"


def _embed(
    crops: list[Crop], clues: Mapping[str, Clues], stage: Staging, encoder: Encoder, *, threads: int, limits: Limits
) -> list[Problem]:
    """Embed crops into the staging file, each picture and box once; gives those that cannot be read."""
    each = {key_of(crop, clues[crop.product_id], stage): crop for crop in crops}
    reader = partial(_input, clues=clues, encoder=encoder, limits=limits)
    keys: list[str] = list(each)
    reasons: dict[str, str] = {}
    for encoded in loader.encode(each.values(), encoder.encode_inputs, reader, threads=threads):
        stage.put(zip([keys[index] for index in encoded.indices], encoded.vectors, strict=True))
        reasons |= {keys[index]: str(error) for index, error in encoded.errors.items()}
    return [
        Problem(crop.product_id, crop.crop_id, image.name_of(crop.photo), reasons[key])
        for crop in crops
        if (key := key_of(crop, clues[crop.product_id], stage)) in reasons
    ]


def _input(crop: Crop, clues: Mapping[str, Clues], encoder: Encoder, limits: Limits) -> Input:
    pixels = loader.crop_pixels(loader.load(crop, limits=limits), encoder.preprocessing, limits=limits)
    return Input(pixels, clues[crop.product_id])


def _same_crops(crops: list[Crop], before: list[Crop]) -> bool:
    """Whether the catalog has just these crops; a file that was moved is a change."""
    return len(crops) == len(before) and all(
        _what(crop) == _what(old) and (not isinstance(crop.photo, Path) or crop.photo.absolute() == old.photo)
        for crop, old in zip(crops, before, strict=True)
    )


def entry_of(one: Wanted, catalog: Storage, stage: Staging, encoder: Encoder) -> Entry:
    """An entry with its vectors, from the staging file or the catalog, in the kind that the shop says.

    Raises Busy where the catalog, by now, has a vector of another photo or box, or none.
    """
    product_id, clue = one.product.product_id, encoder.clues_of(one.product)
    vectors = [stage.vector(key_of(crop, clue, stage)) for crop in one.crops]
    stored = catalog.entries([product_id]).get(product_id) if any(vector is None for vector in vectors) else None
    held = {} if stored is None else dict(zip(map(_what, stored.crops), stored.vectors, strict=True))
    rows = [
        held.get(_what(crop)) if vector is None else vector for crop, vector in zip(one.crops, vectors, strict=True)
    ]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        raise changed_meanwhile(product_id)
    return Entry(one.product, one.crops, encoder.with_kind(np.stack(known), clue))


def changed_meanwhile(product_id: str) -> Busy:
    """The error for photos that are others by now."""
    return Busy(
        f"another writer changed the photos of product {product_id!r} while they were read",
        hint="nothing was changed; sync again",
    )


def _what(crop: Crop) -> tuple[str, str | None, Box | None]:
    """What a stored vector is of."""
    return crop.crop_id, crop.sha256, crop.box


def merged(product: Product, changes: Mapping[str, Value]) -> Product:
    """A product with some of its metadata changed; names that are no columns are attributes.

    >>> merged(Product("p", price=10.0, attributes={"sale": False}), {"price": 8.0, "stock": 3.0}).attributes
    {'sale': False, 'stock': 3.0}
    """
    columns = {name: value for name, value in changes.items() if name in vars(product)}
    attributes = {name: value for name, value in changes.items() if name not in vars(product)}
    return replace(product, **columns, attributes={**product.attributes, **attributes})  # type: ignore[arg-type]
