"""A data set becomes what a run looks at: pairs of street and shop photos, cropped, made worse, seen by what is frozen.

What the frozen part of a network gives for each view is computed once and kept in files beside the run, so that an
epoch costs only what learns. Where all of the network learns, photos are cropped and made worse anew in every epoch.
"""

import io
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from osoroi import augment, export, images, splits
from osoroi.augment import SHOP, STREET
from osoroi.errors import BadDataset, BadPhoto
from osoroi.readers import Reader
from osoroi.recipes import Recipe
from osoroi.records import Box, Crop, Domain, Product, View
from osoroi.sampling import Images, Pairs

BATCH = 32
READABLE = "readable.npy"

WORTHWHILE = 1000
"""Views from which on it pays to spend half a minute on preparing ONNX Runtime."""

HELD = 0.1
"""Share of the products that is held out for validation where the data set has no split of that name."""


class Look(NamedTuple):
    """One view of one crop: number 0 as it is, the others made worse, each in its own way."""

    crop: Crop
    product: int
    number: int


@dataclass(frozen=True)
class Chosen:
    """The products of one split that have both sides, with all their crops; and how many had not."""

    products: list[Product]
    crops: list[tuple[int, Crop]]
    alone: int


def views(recipe: Recipe) -> dict[Domain, View]:
    """How a recipe crops the photos of both domains."""
    side = recipe.side
    return {"street": View(side, side, margin=recipe.margin), "shop": View(side, side, trim=True)}


def choose(reader: Reader, split: str) -> Chosen:
    """The products of a split, ``train`` or ``val``, that have a street and a shop photo.

    A data set without splits is dealt by ``splits.place``: one product in ten is held out, designs together. Raises
    BadDataset where nothing is left, and says what was there.
    """
    rows = list(splits.checked(reader.rows()))
    dealt = any(row.crop.split is not None for row in rows)
    crops: dict[str, list[Crop]] = defaultdict(list)
    products: dict[str, Product] = {}
    for row in rows:
        own = row.crop.split if dealt else ("val" if splits.place(row.product) < HELD else "train")
        if own == split:
            products.setdefault(row.product.product_id, row.product)
            crops[row.product.product_id].append(row.crop)
    both = [name for name, mine in crops.items() if {crop.domain for crop in mine} == {"street", "shop"}]
    if len(both) < 2:
        there = f"{len(crops)} products, {len(both)} of them with a street and a shop photo"
        raise BadDataset(
            f"split {split!r} has {there}, and at least 2 such pairs are needed",
            hint="give every product one photo of each domain, and each crop a split: train or val",
        )
    numbered = [(number, crop) for number, name in enumerate(both) for crop in crops[name]]
    return Chosen([products[name] for name in both], numbered, len(crops) - len(both))


def prepare(
    chosen: Chosen,
    network: nn.Module,
    recipe: Recipe,
    folder: Path,
    *,
    worse: bool,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Pairs:
    """What a network may look at; ``worse`` adds the recipe's further views to each crop.

    Files in ``folder`` are used again where they were made of the same crops, views and frozen weights. A photo that
    cannot be read is left out, with its product where nothing is left of one side.
    """
    looks = [
        Look(crop, product, number)
        for product, crop in chosen.crops
        for number in range((recipe.views if crop.domain == "street" else recipe.shop_views) if worse else 1)
    ]
    show = Shower(looks, recipe)
    signature = _signature(looks, network, recipe)
    done = folder / "done.json"
    if not done.is_file() or done.read_text(encoding="utf-8") != signature:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _fill(folder, show, network, on_progress)
        done.write_text(signature, encoding="utf-8")
    kept = np.flatnonzero(np.load(folder / READABLE))
    kept = kept[_both_sides(looks, kept)]
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("seen*.npy"))]

    def look(rows: Int64[np.ndarray, "r"], epoch: int) -> Images:
        if arrays:
            return tuple(torch.from_numpy(array[kept[rows]]) for array in arrays)
        return (torch.from_numpy(np.stack([show.crop(row, epoch) for row in kept[rows].tolist()])),)

    return _pairs(chosen, [looks[row] for row in kept], look)


class Shower:
    """Shows views: reads a photo, crops it, makes it worse, the same way whenever it is asked for the same view."""

    def __init__(self, looks: Sequence[Look], recipe: Recipe) -> None:
        self.looks = looks
        self.recipe = recipe
        self.views = views(recipe)

    def __call__(self, row: int) -> UInt8[np.ndarray, "h w 3"] | None:
        """The view of a row in epoch 0; None where its photo cannot be read."""
        try:
            return self.crop(row, 0)
        except BadPhoto:
            return None

    def crop(self, row: int, epoch: int) -> UInt8[np.ndarray, "h w 3"]:
        """The view of a row: as it is, or made worse, anew in every epoch."""
        crop, _, number = self.looks[row]
        view = self.views[crop.domain]
        if number == 0:
            return images.crop(crop.photo, crop.box, view)
        wear = STREET if crop.domain == "street" else SHOP
        draw = np.random.default_rng([self.recipe.seed, row, epoch])
        photo = images.read(crop.photo)
        height, width, _ = photo.shape
        whole = images.content(photo) if view.trim else Box(0, 0, width, height)
        box = augment.moved(crop.box or whole, width, height, wear, draw)
        return augment.worn(images.crop(_file(photo), box, view), wear, draw)


def _file(photo: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """A photo as the bytes of a file that costs nothing to write."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "BMP")
    return file.getvalue()


def _fill(folder: Path, show: Shower, network: nn.Module, on_progress: Callable[[int], None]) -> None:
    """Write what the frozen part of the network gives for each view, and which views could be read."""
    count, view = len(show.looks), show.views["street"]
    readable = np.zeros(count, bool)
    arrays: list[np.ndarray] = []
    run = _runner(network, view, count)
    with ThreadPoolExecutor(2 if not torch.cuda.is_available() else 8) as pool:
        for start in range(0, count, BATCH):
            shown = list(pool.map(show, range(start, min(start + BATCH, count))))
            rows = np.array([start + place for place, crop in enumerate(shown) if crop is not None], np.int64)
            readable[rows] = True
            if len(rows) and run is not None:
                given = run(np.stack([crop for crop in shown if crop is not None]))
                for number, one in enumerate(given):
                    if len(arrays) <= number:
                        path = folder / f"seen{number}.npy"
                        arrays.append(np.lib.format.open_memmap(path, "w+", one.dtype, (count, *one.shape[1:])))
                    arrays[number][rows] = one
            on_progress(start + len(shown))
    for array in arrays:
        array.flush()  # type: ignore[attr-defined]
    np.save(folder / READABLE, readable)


def _runner(network: nn.Module, view: View, count: int) -> Callable[[np.ndarray], Sequence[np.ndarray]] | None:
    """What computes ``below``: torch on a GPU, ONNX Runtime on a CPU, where it is three times as fast; or nothing,
    where all of the network learns and is shown crops."""
    below = Below(network).eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.inference_mode():
        example = below(torch.zeros(2, view.height, view.width, 3, dtype=torch.uint8))
    if example[0].dtype == torch.uint8:
        return None
    if device.type == "cpu" and count >= WORTHWHILE:
        return export.runner(below, view, len(example))
    below = below.to(device)

    def run(crops: np.ndarray) -> Sequence[np.ndarray]:
        with torch.inference_mode():
            return [one.cpu().numpy() for one in below(torch.from_numpy(crops).to(device))]

    return run


class Below(nn.Module):
    """The half of a network that does not learn, as a module of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        given: tuple[Tensor, ...] = self.network.below(crops)  # type: ignore[operator]
        return tuple(given)


def _both_sides(looks: Sequence[Look], kept: Int64[np.ndarray, "v"]) -> Bool[np.ndarray, "v"]:
    """Which of the readable views are of products that can still be read on both sides."""
    sides: dict[int, set[str]] = defaultdict(set)
    for row in kept:
        sides[looks[row].product].add(looks[row].crop.domain)
    return np.array([len(sides[looks[row].product]) == 2 for row in kept], bool)


def _pairs(chosen: Chosen, looks: Sequence[Look], look: Callable[[Int64[np.ndarray, "r"], int], Images]) -> Pairs:
    """Products numbered anew, as some may be gone."""
    left, product = np.unique([look.product for look in looks], return_inverse=True)
    mine = [chosen.products[number] for number in left]
    return Pairs(
        look,
        product.astype(np.int64),
        np.array([look.crop.domain == "street" for look in looks], bool),
        np.array([look.number for look in looks], np.int64),
        _numbers([product.design_id for product in mine]),
        _numbers([product.category for product in mine]),
    )


def _numbers(names: Sequence[str | None]) -> Int64[np.ndarray, "p"]:
    """A number for each name, -1 for none."""
    known = {name: number for number, name in enumerate(dict.fromkeys(names)) if name is not None}
    return np.array([-1 if name is None else known[name] for name in names], np.int64)


def _signature(looks: Sequence[Look], network: nn.Module, recipe: Recipe) -> str:
    """Of everything that decides what the files hold."""
    told = sha256()
    for crop, product, number in looks:
        told.update(json.dumps([crop.crop_id, crop.domain, crop.box, product, number]).encode())
    told.update(json.dumps([recipe.side, recipe.margin, recipe.seed, recipe.tuned, recipe.network]).encode())
    learning = {name for name, one in network.named_parameters() if one.requires_grad}
    for name, one in network.state_dict().items():
        if name not in learning and not name.startswith("heads."):
            told.update(name.encode() + one.cpu().contiguous().numpy().tobytes())
    return told.hexdigest()
