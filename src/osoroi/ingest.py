"""Products and photos to vectors to catalog: resumable, idempotent, and unmoved by a broken photo.

Rows are taken in chunks of products. A crop that the catalog holds already (same bytes, same box) keeps its vector;
the rest is decoded on a few threads and encoded together, and each chunk is put in one commit. So a run that was
stopped is simply started again.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi import image
from osoroi.catalog import Entry, Storage, StoredProduct
from osoroi.encoder import Encoder
from osoroi.errors import BadDataset, BadPhoto, OtherEncoder
from osoroi.image import Limits
from osoroi.records import Crop, Product, Row

CHUNK = 64
"""Products in one commit: a second of work to lose at most, and commits too few to matter."""


class Problem(NamedTuple):
    """A crop that could not be read, and why."""

    product_id: str
    crop_id: str
    photo: str
    reason: str


@dataclass
class Count:
    """What a run did so far. A product is added, changed, unchanged or left out; a crop is embedded, kept,
    unreadable, or dropped because its product's rows no longer name it.
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
    def held(self) -> int:
        """Products of this run that the catalog now holds."""
        return self.added + self.changed + self.unchanged


class Look(NamedTuple):
    """A crop that was looked at: to be embedded (pixels), kept (no pixels), or lost (no crop)."""

    crop: Crop | None
    pixels: UInt8[np.ndarray, "h w 3"] | None
    problem: Problem | None


class Loaded(NamedTuple):
    """Bytes that were read once, under the name they came from."""

    name: str
    data: bytes

    def read(self) -> bytes:
        return self.data


def add(
    rows: Iterable[Row],
    catalog: Storage,
    encoder: Encoder,
    *,
    threads: int = 2,
    limits: Limits | None = None,
    on_problem: Callable[[Problem], None] = lambda problem: None,
    on_progress: Callable[[Count], None] = lambda count: None,
) -> Count:
    """Put every product of ``rows`` that has a readable shop photo.

    Street crops are counted and passed over: a catalog holds what a shop sells. A product whose rows come apart is
    joined again. A photo that cannot be read goes to ``on_problem``; where the catalog holds an earlier vector of
    that crop, it stays. Crops that the rows of a product no longer name leave at the end. Raises BadDataset where the
    rows cannot be read: what was put until then stays, and no crop leaves.
    """
    if encoder.fingerprint != catalog.fingerprint:
        raise OtherEncoder(
            f"the catalog holds vectors of encoder {catalog.fingerprint[:12]}, not of {encoder.fingerprint[:12]}",
            hint="add with the catalog's encoder, or move the catalog: osoroi reencode CATALOG --encoder FILE",
        )
    count = Count()
    stale: dict[str, set[str]] = {}
    with ThreadPoolExecutor(threads) as pool:
        for chunk in _chunks(rows, count):
            held = catalog.get_many(chunk)
            for product_id, (_, crops) in chunk.items():
                before = {crop.crop_id for crop in held[product_id].crops} if product_id in held else set()
                stale[product_id] = stale.get(product_id, before) - {crop.crop_id for crop in crops}
            read = partial(look, held=held, encoder=encoder, limits=limits or Limits())
            looks = list(pool.map(read, [crop for _, crops in chunk.values() for crop in crops]))
            for one in looks:
                if one.problem is not None:
                    on_problem(one.problem)
            count.unreadable += sum(one.problem is not None for one in looks)
            count.embedded += sum(one.pixels is not None for one in looks)
            entries = list(_entries([product for product, _ in chunk.values()], looks, held, count, catalog, encoder))
            if entries:
                catalog.put(entries, fingerprint=encoder.fingerprint)
            on_progress(count)
    count.dropped = _drop({product_id: crop_ids for product_id, crop_ids in stale.items() if crop_ids}, catalog)
    return count


def _chunks(rows: Iterable[Row], count: Count) -> Iterator[dict[str, tuple[Product, list[Crop]]]]:
    """Products with their shop crops by product id, CHUNK products at a time."""
    chunk: dict[str, tuple[Product, list[Crop]]] = {}
    for product, crop in rows:
        if crop.domain == "street":
            count.street += 1
            continue
        if product.product_id not in chunk and len(chunk) == CHUNK:
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


def look(crop: Crop, held: Mapping[str, StoredProduct], encoder: Encoder, limits: Limits) -> Look:
    """Read a crop's photo, unless it cannot be read; prepare its pixels, unless the catalog holds their vector."""
    mine = held[crop.product_id].crops if crop.product_id in held else []
    before = next((other for other in mine if other.crop_id == crop.crop_id), None)
    try:
        data = image.load(crop.photo, limits=limits)
        hashed = replace(crop, sha256=hashlib.sha256(data).hexdigest())
        if before is not None and (before.sha256, before.box) == (hashed.sha256, hashed.box):
            return Look(hashed, None, None)
        photo = Loaded(image.name_of(crop.photo), data)
        return Look(hashed, image.crop(photo, crop.box, encoder.preprocessing["shop"], limits=limits), None)
    except BadPhoto as error:
        return Look(before, None, Problem(crop.product_id, crop.crop_id, image.name_of(crop.photo), str(error)))


def _entries(
    products: Sequence[Product],
    looks: Sequence[Look],
    held: Mapping[str, StoredProduct],
    count: Count,
    catalog: Storage,
    encoder: Encoder,
) -> Iterator[Entry]:
    """The products that have to be put, each with the vectors of all its crops; counts the others too.

    Crops that the catalog holds and these rows do not name stay for now: rows of one product may come apart.
    """
    found: dict[str, dict[str, Crop]] = {product.product_id: {} for product in products}
    for one in looks:
        if one.crop is not None:
            found[one.crop.product_id][one.crop.crop_id] = one.crop
    fresh = _embedded(looks, encoder)
    for product in products:
        before = held.get(product.product_id)
        earlier = {crop.crop_id: crop for crop in before.crops} if before else {}
        crops = list((earlier | found[product.product_id]).values())  # in the order they were first put
        if not crops:
            count.left_out += 1
        elif before and before.product == product and _same(crops, before.crops):
            count.unchanged += 1
        else:
            count.added += before is None
            count.changed += before is not None
            yield Entry(product, crops, _stacked(crops, fresh, catalog))


def _embedded(looks: Sequence[Look], encoder: Encoder) -> dict[str, Float32[np.ndarray, "d"]]:
    """Crop id -> vector, of the crops that had to be embedded."""
    fresh = [(one.crop.crop_id, one.pixels) for one in looks if one.crop is not None and one.pixels is not None]
    vectors = encoder.encode([pixels for _, pixels in fresh])
    return {crop_id: vector for (crop_id, _), vector in zip(fresh, vectors, strict=True)}


def _stacked(
    crops: Sequence[Crop], fresh: Mapping[str, Float32[np.ndarray, "d"]], catalog: Storage
) -> Float32[np.ndarray, "n d"]:
    """A vector for each crop, new or held."""
    kept = [crop.crop_id for crop in crops if crop.crop_id not in fresh]
    vectors = dict(fresh) | dict(zip(kept, catalog.vectors(kept), strict=True))
    return np.stack([vectors[crop.crop_id] for crop in crops])


def _drop(stale: Mapping[str, set[str]], catalog: Storage) -> int:
    """Take the crops out that a whole run did not name, of products that it did; returns how many."""
    return sum(catalog.drop(product_id, crop_ids) for product_id, crop_ids in stale.items())


def _same(now: Sequence[Crop], before: Sequence[Crop]) -> bool:
    """Whether these crops are what the catalog holds. A file that moved is a change; a photo kept for us is not."""
    return len(now) == len(before) and all(
        (new.crop_id, new.sha256, new.box) == (old.crop_id, old.sha256, old.box)
        and (not isinstance(new.photo, Path) or new.photo.absolute() == old.photo)
        for new, old in zip(now, before, strict=True)
    )
