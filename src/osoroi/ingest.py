"""From rows of products and photos to vectors in a catalog; a broken photo stops nothing.

Rows are taken in chunks of products. A crop that the catalog has already (same bytes, same box) keeps its vector. The
other crops are read on threads and encoded in batches. Each chunk is one commit, so a run that was stopped can be
started again and continues where it was.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi import image
from osoroi.catalog import Entry, Storage, StoredProduct
from osoroi.encoder import Encoder, loader
from osoroi.encoder.loader import Pixels
from osoroi.errors import BadDataset, BadPhoto, OtherEncoder
from osoroi.image import LIMITS, Limits
from osoroi.records import Crop, Product, Row

PRODUCTS_PER_COMMIT = 64
"""About one second of work is lost where a run is stopped, and commits are few enough to cost nothing."""


class Problem(NamedTuple):
    """A crop whose photo cannot be read, and the reason."""

    product_id: str
    crop_id: str
    photo: str
    reason: str


@dataclass
class Count:
    """Numbers of a run so far.

    Of products: ``added``, ``changed``, ``unchanged``, and ``left_out`` without a readable photo. Of shop crops:
    ``embedded``, ``unreadable``, and ``dropped`` because the rows of their product no longer name them. ``street``
    crops are skipped.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    left_out: int = 0
    embedded: int = 0
    unreadable: int = 0
    dropped: int = 0
    street: int = 0

    @property
    def stored(self) -> int:
        """Products of this run that are in the catalog now."""
        return self.added + self.changed + self.unchanged


class HashedCrop(NamedTuple):
    """A crop with the hash of its photo, and its pixels where it has to be embedded."""

    crop: Crop
    pixels: Pixels | None


class NamedBytes(NamedTuple):
    """The bytes of a photo under the name of their file, which error messages give."""

    name: str
    data: bytes

    def read(self) -> bytes:
        """The bytes."""
        return self.data


Chunk = dict[str, tuple[Product, list[Crop]]]
"""Product id -> product and its shop crops."""


def add(
    rows: Iterable[Row],
    catalog: Storage,
    encoder: Encoder,
    *,
    threads: int = 2,
    limits: Limits = LIMITS,
    products_per_commit: int = PRODUCTS_PER_COMMIT,
    on_problem: Callable[[Problem], None] = lambda problem: None,
    on_progress: Callable[[Count], None] = lambda count: None,
) -> Count:
    """Store every product of ``rows`` that has a readable shop photo.

    Street crops are counted and skipped. The rows of one product need not follow each other. ``on_problem`` gets each
    photo that cannot be read; where the catalog has an earlier vector of that crop, the vector stays. Crops that the
    rows of a product no longer name are removed at the end. Raises BadDataset where the rows cannot be read: what was
    committed until then stays, and no crop is removed. Raises OtherEncoder where the catalog has another encoder.
    """
    if encoder.fingerprint != catalog.fingerprint:
        raise OtherEncoder(
            f"the catalog has vectors of encoder {catalog.fingerprint[:12]}, not of {encoder.fingerprint[:12]}",
            hint="add with the catalog's encoder, or move the catalog: osoroi reencode CATALOG --encoder FILE",
        )
    count = Count()
    unnamed: dict[str, set[str]] = {}  # product id -> ids of stored crops that no row has named so far
    for chunk in _chunks(rows, count, products_per_commit):
        stored = catalog.get_many(chunk)
        for product_id, (_, crops) in chunk.items():
            before = {crop.crop_id for crop in stored[product_id].crops} if product_id in stored else set()
            unnamed[product_id] = unnamed.get(product_id, before) - {crop.crop_id for crop in crops}
        hashed, problems = _read(chunk, stored, encoder, threads=threads, limits=limits)
        for problem in problems:
            on_problem(problem)
        count.unreadable += len(problems)
        vectors = _encode(hashed, encoder)
        count.embedded += len(vectors)
        entries = list(_entries(chunk, hashed, vectors, stored, count, catalog))
        if entries:
            catalog.put(entries, fingerprint=encoder.fingerprint)
        on_progress(count)
    count.dropped = sum(catalog.drop(product_id, crop_ids) for product_id, crop_ids in unnamed.items() if crop_ids)
    return count


def _chunks(rows: Iterable[Row], count: Count, products_per_commit: int) -> Iterator[Chunk]:
    """The rows in chunks of so many products; street crops are counted and left out."""
    chunk: Chunk = {}
    for product, crop in rows:
        if crop.domain == "street":
            count.street += 1
            continue
        if product.product_id not in chunk and len(chunk) == products_per_commit:
            yield chunk
            chunk = {}
        crops = chunk.setdefault(product.product_id, (product, []))[1]
        if any(other.crop_id == crop.crop_id for other in crops):
            raise BadDataset(
                f"product {product.product_id!r} has two shop crops called {crop.crop_id!r}",
                hint="give every crop an id of its own",
            )
        crops.append(crop)
    if chunk:
        yield chunk


def _read(
    chunk: Chunk, stored: Mapping[str, StoredProduct], encoder: Encoder, *, threads: int, limits: Limits
) -> tuple[list[HashedCrop], list[Problem]]:
    """The crops of a chunk, hashed and where needed with pixels. A crop that cannot be read stays as it was stored."""
    crops = [crop for _, of_product in chunk.values() for crop in of_product]
    reader = partial(read_crop, stored=stored, encoder=encoder, limits=limits)
    hashed, problems = [], []
    for crop, result in loader.read(crops, reader, threads=threads):
        if isinstance(result, BadPhoto):
            problems.append(Problem(crop.product_id, crop.crop_id, image.name_of(crop.photo), str(result)))
        else:
            hashed.append(result)
    return hashed, problems


def read_crop(crop: Crop, stored: Mapping[str, StoredProduct], encoder: Encoder, limits: Limits) -> HashedCrop:
    """Hash a crop's photo, and crop its pixels unless the catalog has the vector. Raises BadPhoto."""
    data = image.load(crop.photo, limits=limits)
    hashed = replace(crop, sha256=hashlib.sha256(data).hexdigest())
    for before in stored[crop.product_id].crops if crop.product_id in stored else []:
        if (before.crop_id, before.sha256, before.box) == (hashed.crop_id, hashed.sha256, hashed.box):
            return HashedCrop(hashed, None)
    loaded = replace(hashed, photo=NamedBytes(image.name_of(crop.photo), data))  # the file is read once
    return HashedCrop(hashed, loader.crop_pixels(loaded, encoder.preprocessing, limits=limits))


def _encode(hashed: Sequence[HashedCrop], encoder: Encoder) -> dict[str, Float32[np.ndarray, "d"]]:
    """Crop id -> vector, of the crops that have pixels."""
    new = [(crop.crop_id, pixels) for crop, pixels in hashed if pixels is not None]
    vectors = encoder.encode([pixels for _, pixels in new])
    return {crop_id: vector for (crop_id, _), vector in zip(new, vectors, strict=True)}


def _entries(
    chunk: Chunk,
    hashed: Sequence[HashedCrop],
    vectors: Mapping[str, Float32[np.ndarray, "d"]],
    stored: Mapping[str, StoredProduct],
    count: Count,
    catalog: Storage,
) -> Iterator[Entry]:
    """The products that have changed, each with the vectors of all its crops; all products are counted.

    Stored crops that these rows do not name stay for now, because later rows may name them.
    """
    readable: dict[str, dict[str, Crop]] = {product_id: {} for product_id in chunk}
    for crop, _ in hashed:
        readable[crop.product_id][crop.crop_id] = crop
    for product_id, (product, _) in chunk.items():
        before = stored.get(product_id)
        earlier = {crop.crop_id: crop for crop in before.crops} if before else {}
        crops = list((earlier | readable[product_id]).values())  # in the order in which they were first stored
        if not crops:
            count.left_out += 1
        elif before and before.product == product and _same(crops, before.crops):
            count.unchanged += 1
        else:
            count.added += before is None
            count.changed += before is not None
            yield Entry(product, crops, _stacked(crops, vectors, catalog))


def _stacked(
    crops: Sequence[Crop], vectors: Mapping[str, Float32[np.ndarray, "d"]], catalog: Storage
) -> Float32[np.ndarray, "n d"]:
    """One vector for each crop, new or stored."""
    stored = [crop.crop_id for crop in crops if crop.crop_id not in vectors]
    by_id = dict(vectors) | dict(zip(stored, catalog.vectors(stored), strict=True))
    return np.stack([by_id[crop.crop_id] for crop in crops])


def _same(crops: Sequence[Crop], before: Sequence[Crop]) -> bool:
    """Whether the catalog has just these crops. A file that was moved is a change; bytes that the catalog keeps are
    none."""
    return len(crops) == len(before) and all(
        (crop.crop_id, crop.sha256, crop.box) == (old.crop_id, old.sha256, old.box)
        and (not isinstance(crop.photo, Path) or crop.photo.absolute() == old.photo)
        for crop, old in zip(crops, before, strict=True)
    )
