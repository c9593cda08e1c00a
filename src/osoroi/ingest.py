"""From rows of products and photos to vectors in a catalog; a broken photo stops nothing.

Rows are taken in chunks of products. A crop that the catalog has already (same bytes, same box) keeps its vector. The
other crops are read on threads and encoded in batches. Each chunk is one commit, so a run that was stopped can be
started again and continues where it was.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi import categories, image
from osoroi.catalog import Entry, Storage
from osoroi.catalog.store.photos import are_same, restorable
from osoroi.encoder import BATCH, Encoder, loader
from osoroi.errors import REENCODE, BadDataset, BadPhoto, Busy, OtherEncoder
from osoroi.image import LIMITS, Limits
from osoroi.prefetch import Chunk, ChunkReader, Prefetch, ReadCrop, Result, crops_of
from osoroi.records import Clues, Crop, Input, Problem, Product, Row, Value, metadata_hash, with_utc

PRODUCTS_PER_COMMIT = 64
"""About one second of work is lost where a run is stopped, and commits are few enough to cost nothing."""

FIRST_BATCHES = (BATCH // 4, BATCH // 2)
"""Crops that are encoded first of a run, so that the encoder waits for few to be read."""


@dataclass
class Count:
    """Numbers of a run so far.

    Of products: ``added``, ``changed``, ``unchanged``, and ``left_out`` without a readable photo. Of shop crops:
    ``embedded``, ``unreadable``, and ``dropped`` because the rows of their product no longer name them. ``street``
    crops are skipped. ``contradicting`` counts rows whose metadata is not that of the first row of their product.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    left_out: int = 0
    embedded: int = 0
    unreadable: int = 0
    dropped: int = 0
    street: int = 0
    contradicting: int = 0

    @property
    def stored(self) -> int:
        """Products of this run that are in the catalog now."""
        return self.added + self.changed + self.unchanged


def add(  # noqa: PLR0913 (what a caller decides, each by its name)
    rows: Iterable[Row],
    catalog: Storage,
    encoder: Encoder,
    *,
    threads: int = 2,
    limits: Limits = LIMITS,
    products_per_commit: int = PRODUCTS_PER_COMMIT,
    settles: bool = True,
    on_problem: Callable[[Problem], None] = lambda problem: None,
    on_progress: Callable[[Count], None] = lambda count: None,
) -> Count:
    """Store every product of ``rows`` that has a readable shop photo.

    Street crops are counted and skipped. The rows of one product need not follow each other: the first row of a product
    decides its metadata, however far the others are. To add the same rows again changes nothing, but writes photos that
    the catalog keeps and has lost, where they come as bytes. What others change or remove meanwhile stops nothing.
    ``on_problem`` gets each photo that cannot be read; where the catalog has an earlier vector of that crop, it stays.
    Crops that the rows of a product no longer name are removed at the end, categories that photos contradict are
    believed no longer (``categories.review``), and those that no dictionary knows are learned from the photos of their
    products; without ``settles``, the next run does both. Raises OtherEncoder where the catalog has another encoder,
    and BadDataset where rows cannot be read: what was committed until then stays, and no crop is removed.
    """
    demand_encoder(catalog, encoder)
    encoder = categories.reader(catalog, encoder)
    run, marks = _Run(Count()), categories.Marks(encoder)
    sizes = chain(FIRST_BATCHES, repeat(BATCH))
    for chunk, prefetched in Prefetch(_chunks(rows, run, products_per_commit), catalog, encoder, limits, threads):
        results = prefetched
        for attempts_left in reversed(range(ATTEMPTS)):
            stored = catalog.entries(chunk)
            run.settle(chunk, stored)
            reader = ChunkReader.of(chunk, stored, encoder, limits)
            hashed, vectors, problems = _embed(results, reader, sizes)
            entries, outcomes = _entries(chunk, hashed, vectors, stored, encoder)
            again = _restorable_entries(outcomes, hashed, stored, catalog.folder)
            try:
                if entries:
                    with marks.writing():
                        catalog.put(entries, fingerprint=encoder.fingerprint)
                    encoder = categories.read_anew(catalog, encoder, (one.product.product_id for one in entries))
                    run.unread |= categories.unread(encoder, (entry.product for entry in entries))
                if again:
                    catalog.put_if_unchanged(again, fingerprint=encoder.fingerprint)
                break
            except BadPhoto:  # somebody removed the product, and a compaction its photo, since they were read
                if not attempts_left:
                    raise
                results = loader.read(crops_of(chunk), reader.read, threads=threads)
        for problem in problems:
            on_problem(problem)
        run.record(outcomes, unreadable=len(problems), embedded=len(vectors))
        on_progress(run.count)
    run.count.dropped = sum(catalog.drop(product_id, crops) for product_id, crops in run.unnamed.items() if crops)
    changed = run.count.added + run.count.changed
    if settles:
        categories.settle(catalog, encoder, run.unread, changed=changed, marks=marks)
    return run.count


def demand_encoder(catalog: Storage, encoder: Encoder) -> None:
    """Raise OtherEncoder where the catalog has vectors of another encoder, before anything of it is changed."""
    if encoder.fingerprint != catalog.fingerprint:
        raise OtherEncoder(
            f"the catalog {catalog.location} has vectors of encoder {catalog.fingerprint[:12]}, "
            f"not of {encoder.fingerprint[:12]}",
            hint=f"use the catalog's encoder, or {REENCODE}",
        )


Change = Callable[[Product], Product]
"""What a product is to become."""


def update(
    catalog: Storage,
    encoder: Encoder,
    product_id: str,
    changes: Mapping[str, Value],
    *,
    embed: categories.Embed | None = None,
) -> Product:
    """Change metadata of a product, see ``change``; only what ``changes`` names is written."""
    from osoroi.catalog.store.writer import patched

    patch = partial(catalog.patch, product_id, changes)
    return change(catalog, encoder, product_id, lambda before: patched(before, changes), embed=embed, patch=patch)


def change(
    catalog: Storage,
    encoder: Encoder,
    product_id: str,
    to: Change,
    *,
    embed: categories.Embed | None = None,
    patch: Callable[[], object] | None = None,
) -> Product:
    """Change metadata of a product in one commit. Where that changes what the shop says of its kind, its vectors
    follow.

    Nothing is embedded unless the kind is no longer known, which the photos then have to tell, by ``embed`` or in this
    process: raises BadPhoto, and changes nothing, where they cannot be read. ``patch`` writes the change where vectors
    stay. Returns the changed product. Raises NotFound, BadRequest, Busy, and OtherEncoder where the catalog has another
    encoder.
    """
    demand_encoder(catalog, encoder)
    encoder = categories.reader(catalog, encoder)
    embed = embed or partial(categories.embedded, encoder)
    for _ in range(ATTEMPTS):
        catalog.get(product_id)  # raises NotFound
        before = catalog.entries([product_id]).get(product_id)
        if before is None:
            continue
        product = to(before.product)
        clue = encoder.clues_of(product)
        stays = clue == encoder.clues_of(before.product)
        if stays and patch is not None:
            patch()
            product = catalog.get(product_id)
        else:
            vectors = before.vectors if stays or clue.known is not None else embed(before.crops)
            after = Entry(product, before.crops, encoder.with_kind(vectors, clue))
            if catalog.put_if_unchanged([(before, after)], fingerprint=encoder.fingerprint):
                continue
        categories.read_anew(catalog, encoder, [product_id])
        return product
    raise Busy(f"the product {product_id!r} is being changed by others", hint="try again in a moment")


def crops_without_kind(catalog: Storage, encoder: Encoder, product_id: str, to: Change) -> Sequence[Crop]:
    """The shop crops whose kind is judged by their pictures after a change, and came from the category before; none
    otherwise. Raises NotFound and BadRequest."""
    product = catalog.get(product_id)
    encoder = categories.reader(catalog, encoder)
    is_known = [encoder.clues_of(one).known is not None for one in (product, to(product))]
    if is_known != [True, False]:
        return []
    return catalog.crops(product_id)


ATTEMPTS = 3
"""How often a chunk is read whose stored photos vanish meanwhile."""

Outcome = Literal["added", "changed", "unchanged", "left_out"]


class _First(NamedTuple):
    """What a run keeps of the first row of a product: a hash of its metadata; the metadata only while no photo of
    the product was readable, for after that the catalog has it."""

    metadata: int
    product: Product | None


@dataclass
class _Run:
    """What a run keeps of every product, so that rows of one product may stand anywhere in a table."""

    count: Count
    first: dict[str, _First] = field(default_factory=dict)
    outcome: dict[str, Outcome] = field(default_factory=dict)
    unnamed: dict[str, set[str]] = field(default_factory=dict)  # product id -> stored crops that no row has named
    crops: set[int] = field(default_factory=set)  # a hash for each crop that was named
    unread: set[str] = field(default_factory=set)  # categories of new or changed products that tell no kind

    def see(self, product: Product, crop: Crop) -> None:
        """Count a row of a shop crop. Raises BadDataset for a crop of a product that has been named before."""
        key = hash((crop.product_id, crop.crop_id))
        if key in self.crops:
            raise BadDataset(
                f"product {product.product_id!r} has two shop crops called {crop.crop_id!r}",
                hint="give every crop an id of its own",
            )
        self.crops.add(key)
        metadata = metadata_hash(product)
        first = self.first.setdefault(product.product_id, _First(metadata, product))
        self.count.contradicting += first.metadata != metadata

    def settle(self, chunk: Chunk, stored: Mapping[str, Entry]) -> None:
        """Give products of earlier chunks the metadata of their first row, which the catalog has; note which stored
        crops no row has named."""
        for product_id, (product, crops) in chunk.items():
            if product_id in self.outcome:
                first = self.first[product_id].product
                known = stored[product_id].product if product_id in stored else product
                chunk[product_id] = (first or known, crops)
            before = {crop.crop_id for crop in stored[product_id].crops} if product_id in stored else set()
            self.unnamed[product_id] = self.unnamed.get(product_id, before) - {crop.crop_id for crop in crops}

    def record(self, outcomes: Mapping[str, Outcome], *, unreadable: int, embedded: int) -> None:
        """Count what became of the products of a chunk. A product counts once, however far its rows are apart."""
        self.count.unreadable += unreadable
        self.count.embedded += embedded
        for product_id, latest in outcomes.items():
            before = self.outcome.get(product_id)
            outcome = latest if before is None else _joined(before, latest)
            if outcome == before:
                continue
            if before is not None:
                setattr(self.count, before, getattr(self.count, before) - 1)
            setattr(self.count, outcome, getattr(self.count, outcome) + 1)
            self.outcome[product_id] = outcome
            if outcome != "left_out":
                self.first[product_id] = self.first[product_id]._replace(product=None)


def _joined(before: Outcome, latest: Outcome) -> Outcome:
    """What became of a product in a run, from an earlier and a later chunk.

    >>> _joined("unchanged", "changed"), _joined("added", "changed"), _joined("left_out", "added")
    ('changed', 'added', 'added')
    """
    if before == "left_out":
        return latest
    return "changed" if before == "unchanged" and latest in ("added", "changed") else before


def _chunks(rows: Iterable[Row], run: _Run, products_per_commit: int) -> Iterator[Chunk]:
    """The rows in chunks of so many products; street crops are counted and left out."""
    chunk: Chunk = {}
    for given, crop in rows:
        if crop.domain == "street":
            run.count.street += 1
            continue
        product = with_utc(given)
        if product.product_id not in chunk and len(chunk) == products_per_commit:
            yield chunk
            chunk = {}
        run.see(product, crop)
        chunk.setdefault(product.product_id, (product, []))[1].append(crop)
    if chunk:
        yield chunk


def _embed(
    results: Iterator[Result], reader: ChunkReader, sizes: Iterator[int]
) -> tuple[list[Crop], dict[str, Float32[np.ndarray, "d"]], list[Problem]]:
    """The crops of a chunk, hashed; and crop id -> vector, of those that have to be embedded.

    Crops are encoded while others are read. A crop that cannot be read stays as it was stored.
    """
    hashed: list[Crop] = []
    vectors: dict[str, Float32[np.ndarray, "d"]] = {}
    problems: list[Problem] = []
    while some := list(islice(results, next(sizes))):
        inputs: dict[str, Input] = {}
        for given, result in some:
            try:
                crop, pixels = _up_to_date(given, result, reader)
            except BadPhoto as error:
                problems.append(Problem(given.product_id, given.crop_id, image.name_of(given.photo), str(error)))
                continue
            hashed.append(crop)
            if pixels is not None:
                inputs[crop.crop_id] = Input(pixels, reader.clues[crop.product_id])
        rows = reader.encoder.encode_inputs(list(inputs.values()))
        vectors |= zip(inputs, rows, strict=True)
    return hashed, vectors, problems


def _up_to_date(given: Crop, result: ReadCrop | BadPhoto, reader: ChunkReader) -> ReadCrop:
    """A crop with pixels just where they are needed, whatever the catalog held when it was read. Raises BadPhoto."""
    if isinstance(result, BadPhoto):
        raise result
    if reader.has_vector(result.crop):
        return ReadCrop(result.crop, None)
    return reader.read(given) if result.pixels is None else result


def _entries(
    chunk: Chunk,
    hashed: Sequence[Crop],
    vectors: Mapping[str, Float32[np.ndarray, "d"]],
    stored: Mapping[str, Entry],
    encoder: Encoder,
) -> tuple[list[Entry], dict[str, Outcome]]:
    """The products that have changed, each with the vectors of all its crops; and what becomes of each product.

    Stored crops that these rows do not name stay for now, because later rows may name them.
    """
    readable: dict[str, dict[str, Crop]] = {product_id: {} for product_id in chunk}
    for crop in hashed:
        readable[crop.product_id][crop.crop_id] = crop
    entries: list[Entry] = []
    outcomes: dict[str, Outcome] = {}
    for product_id, (product, _) in chunk.items():
        before = stored.get(product_id)
        earlier = {crop.crop_id: crop for crop in before.crops} if before else {}
        crops = list((earlier | readable[product_id]).values())  # in the order in which they were first stored
        clue = encoder.clues_of(product)
        if not crops:
            outcomes[product_id] = "left_out"
        elif (
            before and before.product == product and are_same(crops, before.crops) and _has_kind(before, clue, encoder)
        ):
            outcomes[product_id] = "unchanged"
        else:
            outcomes[product_id] = "added" if before is None else "changed"
            by_id = dict(zip(earlier, before.vectors, strict=True)) | dict(vectors) if before else vectors
            rows = np.stack([by_id[crop.crop_id] for crop in crops])
            entries.append(Entry(product, crops, encoder.with_kind(rows, clue)))
    return entries, outcomes


def _restorable_entries(
    outcomes: Mapping[str, Outcome], hashed: Sequence[Crop], stored: Mapping[str, Entry], folder: Path
) -> list[tuple[Entry, Entry]]:
    """Unchanged products with kept photos that came as bytes, to be put again, as the catalog may have lost them."""
    brought = {(crop.product_id, crop.crop_id): crop.photo for crop in hashed if not isinstance(crop.photo, Path)}
    unchanged = [stored[product_id] for product_id, outcome in outcomes.items() if outcome == "unchanged"]
    again = [(before, restorable(folder, before.crops, brought)) for before in unchanged]
    return [(before, before._replace(crops=crops)) for before, crops in again if crops]


def _has_kind(entry: Entry, clue: Clues, encoder: Encoder) -> bool:
    """Whether stored vectors say the kind that is known; the dictionary of categories may have grown since."""
    return bool(np.array_equal(encoder.with_kind(entry.vectors, clue), entry.vectors))
