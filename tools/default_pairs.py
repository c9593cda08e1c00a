"""What the encoder that ships learns from: pairs composed of CC0 photos, and drawn ones, as crops on disk.

Each garment of clothing_cc0 is cut out: to white as the shop's photo, and worn by drawn people in drawn places as
``VIEWS`` street photos. The later half of these, and a second shop photo, are made worse as ``augment`` does. Drawn
garments have theirs as they come. Everything follows from the photos and the numbers below.
"""

import io
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from osoroi import image
from osoroi.data.readers import composed, open_dataset
from osoroi.data.synthetic import compose
from osoroi.errors import BadPhoto
from osoroi.recipe import Recipe
from osoroi.records import Crop, Product
from osoroi.training import augmentation, dataset

VIEWS, PLAIN = 6, 3
"""Street photos of a garment, and how many of them are not made worse."""

DRAWN, SEED = 2400, 11
"""Drawn products, and what they are drawn from."""

GRID = 12
"""Positions a side of a coarse mask."""

SIDE = Recipe.side
LOOKS = dataset.preprocessing(Recipe())


class Shown(NamedTuple):
    """One crop: pixels, how much of each position is garment, domain, product, and whose it is (no sender and no
    design stands on both sides of a split)."""

    pixels: np.ndarray
    mask: np.ndarray
    is_street: bool
    view: int
    product: str
    owner: str
    is_drawn: bool


class Kept(NamedTuple):
    """All crops, row by row."""

    pixels: np.ndarray
    masks: np.ndarray
    is_street: np.ndarray
    view: np.ndarray
    product: np.ndarray
    owner: np.ndarray
    is_drawn: np.ndarray


def load(manifest: Path, folder: Path, every: int = 1) -> Kept:
    """The crops kept in a folder; they are made first where it holds none. ``every`` takes every so many-th garment."""
    if not (folder / "rows.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(manifest, folder, every)
    rows = np.load(folder / "rows.npz")
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    return Kept(pixels, *(rows[name] for name in Kept._fields[1:]))


def _write(manifest: Path, folder: Path, every: int) -> None:
    """Make all crops, on as many processes as there are processors."""
    small: list[Shown] = []
    with (folder / "pixels.raw").open("wb") as file, ProcessPoolExecutor(os.cpu_count()) as pool:
        garments = _garments(manifest)[::every]
        for found in pool.map(_composed, garments, range(len(garments)), chunksize=16):
            small += [_put(one, file) for one in found]
        for one in _drawn(every):
            small.append(_put(one, file))
    raw = np.memmap(folder / "pixels.raw", np.uint8, mode="r", shape=(len(small), SIDE, SIDE, 3))
    np.save(folder / "pixels.npy", raw)
    (folder / "pixels.raw").unlink()
    columns: dict[str, Any] = {name: np.stack([getattr(one, name) for one in small]) for name in Shown._fields[1:]}
    np.savez(folder / "rows.npz", masks=columns.pop("mask"), **columns)


def _put(shown: Shown, file: Any) -> Shown:
    """Write its pixels, and forget them."""
    file.write(np.ascontiguousarray(shown.pixels).data)
    return shown._replace(pixels=shown.pixels[:0])


def _garments(manifest: Path) -> list[list[tuple[Product, Crop]]]:
    """The rows of each garment, its shop photo first; in the order of their names."""
    reader = composed.open_reader(str(manifest), recipe="clothing_cc0", shop="cut", by="sender_id", views=str(VIEWS))
    rows = sorted(reader.rows(), key=lambda row: row.product.product_id)
    each = groupby(((row.product, row.crop) for row in rows), key=lambda one: one[0].product_id)
    return [list(mine) for _, mine in each]


def _composed(garment: list[tuple[Product, Crop]], number: int) -> list[Shown]:
    """The crops of one garment; none where it does not stand out from its photo."""
    try:
        plain = [_seen(product, crop, view) for view, (product, crop) in enumerate(garment)]
    except BadPhoto:
        return []
    found = [one if one.view <= PLAIN else _worse(one, number) for one in plain]
    return [*found, _worse(plain[0]._replace(view=VIEWS + 1), number)]


def _worse(shown: Shown, number: int) -> Shown:
    wear = augmentation.STREET if shown.is_street else augmentation.SHOP
    return shown._replace(pixels=augmentation.worn(shown.pixels, wear, np.random.default_rng([number, shown.view])))


def _seen(product: Product, crop: Crop, view: int) -> Shown:
    """A composed photo as it is cropped, and its mask."""
    photo: Any = crop.photo
    street = crop.domain == "street"
    shot = photo.composed() if street else photo.framed()
    file = compose.phone_photo(shot.picture, photo.seed, photo.crop_id) if street else _jpeg(shot.picture)
    area = (0, 0, *shot.mask.size) if street else image.content(image.read(file))
    mask = np.asarray(shot.mask.resize((GRID, GRID), Image.Resampling.BOX, box=tuple(area)))
    owner = f"sender {product.attributes.get('sender_id')}"
    pixels = image.crop(file, None, LOOKS[crop.domain])
    return Shown(pixels, mask, street, view, product.product_id, owner, False)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


def _drawn(every: int) -> Iterator[Shown]:
    """Garments drawn by us; nothing is known of their masks."""
    counted: Counter[tuple[str, bool]] = Counter()
    for number, (product, crop) in enumerate(open_dataset(f"drawn:{DRAWN // every}:{SEED}").rows()):
        street, name = crop.domain == "street", product.product_id
        view = counted[name, street]
        counted[name, street] += 1
        pixels = image.crop(crop.photo, crop.box, LOOKS[crop.domain])
        shown = Shown(pixels, np.zeros((GRID, GRID), np.uint8), street, view, name, f"design {product.design_id}", True)
        yield _worse(shown, number) if street and view else shown
