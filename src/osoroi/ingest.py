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

from osoroi import images
from osoroi.catalogs import Catalog, Entry, Held
from osoroi.encoder import Encoder
from osoroi.errors import BadDataset, BadPhoto, OtherEncoder
from osoroi.images import Limits
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
    """What a run did so far. A product is added, changed, unchanged or left out; crops are embedded or unreadable."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    left_out: int = 0
    embedded: int = 0
    unreadable: int = 0
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
    catalog: Catalog,
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
    that crop, it stays. Raises BadDataset where the rows cannot be read: what was put until then stays.
    """
    if encoder.fingerprint != catalog.fingerprint:
        raise OtherEncoder(
            f"the catalog holds vectors of encoder {catalog.fingerprint[:12]}, not of {encoder.fingerprint[:12]}",
            hint="add with the catalog's encoder, or move the catalog: osoroi reencode CATALOG --encoder FILE",
        )
    count = Count()
    seen: set[str] = set()
    with ThreadPoolExecutor(threads) as pool:
        for chunk in _chunks(rows, count):
            held = catalog.held([product.product_id for product, _ in chunk])
            whole = [_join(product, crops, held, seen) for product, crops in chunk]
            read = partial(look, held=held, encoder=encoder, limits=limits or Limits())
            looks = list(pool.map(read, [crop for _, crops in whole for crop in crops]))
            for one in looks:
                if one.problem is not None:
                    on_problem(one.problem)
            count.unreadable += sum(one.problem is not None for one in looks)
            count.embedded += sum(one.pixels is not None for one in looks)
            entries = list(_entries([product for product, _ in whole], looks, held, count, catalog, encoder))
            if entries:
                catalog.put(entries, fingerprint=encoder.fingerprint)
            on_progress(count)
    return count


def _chunks(rows: Iterable[Row], count: Count) -> Iterator[list[tuple[Product, list[Crop]]]]:
    """Products with their shop crops, CHUNK products at a time."""
    chunk: dict[str, tuple[Product, list[Crop]]] = {}
    for product, crop in rows:
        if crop.domain == "street":
            count.street += 1
            continue
        if product.product_id not in chunk and len(chunk) == CHUNK:
            yield list(chunk.values())
            chunk = {}
        crops = chunk.setdefault(product.product_id, (product, []))[1]
        if any(other.crop_id == crop.crop_id for other in crops):
            raise BadDataset(
                f"product {product.product_id!r} has two shop crops called {crop.crop_id!r}",
                hint="give every crop an id of its own",
            )
        crops.append(crop)
    if chunk:
        yield list(chunk.values())


def _join(product: Product, crops: list[Crop], held: Mapping[str, Held], seen: set[str]) -> tuple[Product, list[Crop]]:
    """A product that this run met before keeps its crops of then beside those of now."""
    if product.product_id in seen and product.product_id in held:
        now = {crop.crop_id for crop in crops}
        crops = [crop for crop in held[product.product_id].crops if crop.crop_id not in now] + crops
    seen.add(product.product_id)
    return product, crops


def look(crop: Crop, held: Mapping[str, Held], encoder: Encoder, limits: Limits) -> Look:
    """Read a crop's photo, unless it cannot be read; prepare its pixels, unless the catalog holds their vector."""
    mine = held[crop.product_id].crops if crop.product_id in held else []
    before = next((other for other in mine if other.crop_id == crop.crop_id), None)
    try:
        data = images.load(crop.photo, limits=limits)
        hashed = replace(crop, sha256=hashlib.sha256(data).hexdigest())
        if before is not None and (before.sha256, before.box) == (hashed.sha256, hashed.box):
            return Look(hashed, None, None)
        photo = Loaded(images.name_of(crop.photo), data)
        return Look(hashed, images.crop(photo, crop.box, encoder.views["shop"], limits=limits), None)
    except BadPhoto as error:
        return Look(before, None, Problem(crop.product_id, crop.crop_id, images.name_of(crop.photo), str(error)))


def _entries(
    products: Sequence[Product],
    looks: Sequence[Look],
    held: Mapping[str, Held],
    count: Count,
    catalog: Catalog,
    encoder: Encoder,
) -> Iterator[Entry]:
    """The products that have to be put, each with the vectors of all its crops; counts the others too."""
    vectors = _vectors(looks, catalog, encoder)
    crops: dict[str, list[Crop]] = {product.product_id: [] for product in products}
    for one in looks:
        if one.crop is not None:
            crops[one.crop.product_id].append(one.crop)
    for product in products:
        mine, before = crops[product.product_id], held.get(product.product_id)
        if not mine:
            count.left_out += 1
            continue
        if before is None:
            count.added += 1
        elif before.product == product and _same(mine, before.crops):
            count.unchanged += 1
            continue
        else:
            count.changed += 1
        yield Entry(product, mine, np.stack([vectors[crop.crop_id] for crop in mine]))


def _same(now: Sequence[Crop], before: Sequence[Crop]) -> bool:
    """Whether these crops are what the catalog holds. A file that moved is a change; a photo kept for us is not."""
    return len(now) == len(before) and all(
        (new.crop_id, new.sha256, new.box) == (old.crop_id, old.sha256, old.box)
        and (not isinstance(new.photo, Path) or new.photo.absolute() == old.photo)
        for new, old in zip(now, before, strict=True)
    )


def _vectors(looks: Sequence[Look], catalog: Catalog, encoder: Encoder) -> dict[str, Float32[np.ndarray, "d"]]:
    """Crop id -> vector, new or held."""
    fresh = [one for one in looks if one.crop is not None and one.pixels is not None]
    kept = [one.crop.crop_id for one in looks if one.crop is not None and one.pixels is None]
    new = encoder.encode([one.pixels for one in fresh if one.pixels is not None])
    named = {one.crop.crop_id: row for one, row in zip(fresh, new, strict=True) if one.crop is not None}
    return named | dict(zip(kept, catalog.vectors(kept), strict=True))
