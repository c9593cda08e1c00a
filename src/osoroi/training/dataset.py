"""A data set becomes what a run looks at: pairs of street and shop photos, cropped, made worse, seen by what is frozen.

What the frozen part of a network gives for each view is computed once and kept in files, beside the run or where many
runs share them, so that an epoch costs only what learns. Such a view is drawn once, whatever the seed of the run. Where
all of the network learns, photos are cropped and made worse anew in every epoch, as the seed says.
"""

import copy
import io
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from osoroi import image
from osoroi.data import splits
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset, BadPhoto
from osoroi.model import export
from osoroi.model.devices import device
from osoroi.recipe import Recipe
from osoroi.records import Box, Crop, Domain, Preprocessing, Product
from osoroi.training import augmentation
from osoroi.training.augmentation import SHOP, STREET
from osoroi.training.sampling import Images, Pairs

BATCH = 32
FORMAT = 2
"""Of what is kept: raised whenever other numbers come of the same crops and weights."""

READABLE, UNREADABLE = "readable.npy", "unreadable.json"

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


def preprocessing(recipe: Recipe) -> dict[Domain, Preprocessing]:
    """How a recipe crops the photos of both domains."""
    side = recipe.side
    return {"street": Preprocessing(side, side, margin=recipe.margin), "shop": Preprocessing(side, side, trim=True)}


def choose(reader: Reader, split: str, *, category: str = "") -> Chosen:
    """The products of a split, ``train`` or ``val``, that have a street and a shop photo; of one category, or all.

    A data set without splits is dealt as ``?split=9:1`` deals: one product in ten is held out, designs together. Raises
    BadDataset where nothing is left, and says what was there.
    """
    rows = list(splits.checked(reader.rows()))
    dealt = any(row.crop.split is not None for row in rows)
    crops: dict[str, list[Crop]] = defaultdict(list)
    products: dict[str, Product] = {}
    for row in rows:
        own = row.crop.split if dealt else ("val" if splits.place(row.product) >= 1 - HELD else "train")
        if own == split and category in ("", row.product.category):
            products.setdefault(row.product.product_id, row.product)
            crops[row.product.product_id].append(row.crop)
    both = [name for name, mine in crops.items() if {crop.domain for crop in mine} == {"street", "shop"}]
    if len(both) < 2:
        there = f"{len(crops)} products, {len(both)} of them with a street and a shop photo"
        whose = f" of category {category!r}" if category else ""
        raise BadDataset(
            f"split {split!r}{whose} has {there}, and at least 2 such pairs are needed",
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
    shared: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_lost: Callable[[list[str]], None] = lambda problems: None,
) -> Pairs:
    """What a network may look at; ``worse`` adds the recipe's further views to each crop.

    Files in ``folder`` are used again where they were made of the same crops, views and frozen weights; a ``shared``
    folder holds files of many such, each under a hash of what it was made of, and two runs that need the same at the
    same time make it once. A photo that cannot be read is left out, with its product where nothing is left of one side;
    ``on_lost`` is told which, and BadDataset is raised where no two products are left.
    """
    looks = [
        Look(crop, product, number)
        for product, crop in chosen.crops
        for number in range((recipe.views if crop.domain == "street" else recipe.shop_views) if worse else 1)
    ]
    run = runner(network, recipe, len(looks))
    show = Shower(looks, recipe, seed=recipe.seed if run is None else 0)
    signature = _signature(looks, network, recipe)
    folder = folder / signature[:32] if shared else folder
    done = folder / "done.json"
    with _alone(folder):
        if not done.is_file() or done.read_text(encoding="utf-8") != signature:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            fill(folder, len(looks), show, run, on_progress)
            (folder / UNREADABLE).write_text(json.dumps(list(show.lost.values()), ensure_ascii=False), encoding="utf-8")
            done.write_text(signature, encoding="utf-8")
    arrays, readable = filled(folder)
    lost = json.loads((folder / UNREADABLE).read_text(encoding="utf-8")) if (folder / UNREADABLE).exists() else []
    if lost:
        on_lost(lost)
    kept = np.flatnonzero(readable)
    kept = kept[_both_sides(looks, kept)]
    if len({looks[row].product for row in kept}) < 2:
        raise BadDataset(f"of {len(chosen.crops)} photos {len(lost)} cannot be read; the first: {lost[0]}")

    def look(rows: Int64[np.ndarray, "r"], epoch: int) -> Images:
        if arrays:
            return tuple(torch.from_numpy(array[kept[rows]]) for array in arrays)
        return (torch.from_numpy(np.stack([show.crop(row, epoch) for row in kept[rows].tolist()])),)

    return _pairs(chosen, [looks[row] for row in kept], look)


class Shower:
    """Shows views: reads a photo, crops it, makes it worse, the same way whenever it is asked for the same view."""

    def __init__(self, looks: Sequence[Look], recipe: Recipe, *, seed: int = 0) -> None:
        self.looks = looks
        self.seed = seed
        self.preprocessing = preprocessing(recipe)
        self.lost: dict[str, str] = {}

    def __call__(self, row: int) -> UInt8[np.ndarray, "h w 3"] | None:
        """The view of a row in epoch 0; None where its photo cannot be read, and ``lost`` then says why."""
        try:
            return self.crop(row, 0)
        except BadPhoto as error:
            crop = self.looks[row].crop
            self.lost[crop.crop_id] = f"{crop.crop_id}: {error}"
            return None

    def crop(self, row: int, epoch: int) -> UInt8[np.ndarray, "h w 3"]:
        """The view of a row: as it is, or made worse, anew in every epoch."""
        crop, _, number = self.looks[row]
        view = self.preprocessing[crop.domain]
        if number == 0:
            return image.crop(crop.photo, crop.box, view)
        wear = STREET if crop.domain == "street" else SHOP
        draw = np.random.default_rng([self.seed, row, epoch])
        photo = image.read(crop.photo)
        height, width, _ = photo.shape
        whole = image.content(photo) if view.trim else Box(0, 0, width, height)
        box = augmentation.moved(crop.box or whole, width, height, wear, draw)
        return augmentation.worn(image.crop(_file(photo), box, view), wear, draw)


def _file(photo: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """A photo as the bytes of a file that costs nothing to write."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "BMP")
    return file.getvalue()


Run = Callable[[UInt8[np.ndarray, "b h w 3"]], Sequence[np.ndarray]]
"""What makes of some crops what is kept of them: arrays with one row a crop."""


def fill(
    folder: Path,
    count: int,
    show: Callable[[int], UInt8[np.ndarray, "h w 3"] | None],
    run: Run | None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write what ``run`` gives for each of ``count`` crops, one file an array, and which crops could be shown at all.

    Without ``run`` nothing but the latter.
    """
    readable = np.zeros(count, bool)
    arrays: list[np.ndarray] = []
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
            on_progress(start + len(shown), count)
    for array in arrays:
        array.flush()  # type: ignore[attr-defined]
    np.save(folder / READABLE, readable)


def filled(folder: Path) -> tuple[list[np.ndarray], Bool[np.ndarray, "n"]]:
    """What ``fill`` wrote: arrays, which are read as they are needed, and which crops could be shown."""
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("seen*.npy"))]
    return arrays, np.load(folder / READABLE)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, in the order they come; a lock ends with the process that holds it."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def runner(network: nn.Module, recipe: Recipe, count: int) -> Run | None:
    """What computes ``below`` of ``count`` crops: torch on a GPU, ONNX Runtime on a CPU, where it is three times as
    fast; or nothing, where all of the network learns and is shown crops."""
    below, view = Below(copy.deepcopy(network).cpu()).eval(), preprocessing(recipe)["street"]
    where = device()
    with torch.inference_mode():
        example = below(torch.zeros(2, view.height, view.width, 3, dtype=torch.uint8))
    if example[0].dtype == torch.uint8:
        return None
    if where.type == "cpu" and count >= WORTHWHILE:
        return _late(lambda: export.runner(below, view, len(example)))

    def run(crops: UInt8[np.ndarray, "b h w 3"]) -> Sequence[np.ndarray]:
        with torch.inference_mode():
            return [one.cpu().numpy() for one in below.to(where)(torch.from_numpy(crops).to(where))]

    return run


def _late(make: Callable[[], Run]) -> Run:
    """A function that is made when it is first called: preparing ONNX Runtime takes half a minute."""
    made: list[Run] = []

    def run(crops: UInt8[np.ndarray, "b h w 3"]) -> Sequence[np.ndarray]:
        if not made:
            made.append(make())
        return made[0](crops)

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
    told = sha256(frozen(network, recipe).encode())
    for crop, product, number in looks:
        told.update(json.dumps([crop.crop_id, crop.domain, crop.box, product, number, *_photo(crop)]).encode())
    return told.hexdigest()


def _photo(crop: Crop) -> tuple[str, int, int]:
    """Where pixels come from, and by what a file shows that it was changed."""
    state = crop.photo.stat() if isinstance(crop.photo, Path) and crop.photo.is_file() else None
    return image.name_of(crop.photo), *((state.st_size, state.st_mtime_ns) if state else (0, 0))


def frozen(network: nn.Module, recipe: Recipe) -> str:
    """A hash of what decides what ``below`` gives of a crop: how it is cut, and all weights but those of modules that
    learn as a whole."""
    more = [name for name in ("shallow", "constancy") if getattr(recipe, name)]
    cut = [FORMAT, recipe.side, recipe.margin, recipe.tuned, type(network).__name__, *more]
    told = sha256(json.dumps(cut).encode())
    learning = {name for name, one in network.named_parameters() if one.requires_grad}
    heads = [name for name, one in network.named_children() if all(each.requires_grad for each in one.parameters())]
    for name, one in network.state_dict().items():
        if name not in learning and name.partition(".")[0] not in heads:
            told.update(name.encode() + one.cpu().contiguous().numpy().tobytes())
    return told.hexdigest()
