"""The feature cache: what the frozen part of a network gives of each view, computed once and kept in files.

An epoch then costs only what is trained. A cached view is drawn once, whatever the seed of the run. Where all of the
network is trained there is nothing to cache, and photos are cropped and augmented anew in every epoch.
"""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor, nn

from osoroi import files, image
from osoroi.recipe import Recipe
from osoroi.records import Crop, Fit
from osoroi.training.checkpoint import room_for
from osoroi.training.view_loader import View, ViewLoader, preprocessing

BATCH = 32
FORMAT = 3
"""Version of the cached files; it is raised whenever the same crops and weights give other numbers."""

READABLE, UNREADABLE, DONE = "readable.npy", "unreadable.json", "done.json"

ONNX_MIN_VIEWS = 1000
"""Number of views from which the half minute that ONNX Runtime takes to start pays."""

Runner = Callable[[UInt8[np.ndarray, "b h w 3"]], Sequence[np.ndarray]]
"""Computes what is cached of some crops: arrays with one row a crop."""

LoadRows = Callable[[Sequence[int]], Sequence[UInt8[np.ndarray, "h w 3"] | None]]
"""Loads the crops of some rows; None for those that cannot be read."""


class Cached(NamedTuple):
    """The arrays of a cache, one row a view, read from disk as they are needed; empty where nothing is frozen.

    ``readable`` says which views could be loaded, and ``unreadable`` why photos could not.
    """

    arrays: list[np.ndarray]
    readable: Bool[np.ndarray, "n"]
    unreadable: list[str]


def load(
    loader: ViewLoader,
    network: nn.Module,
    recipe: Recipe,
    folder: Path,
    run: Runner | None,
    *,
    shared: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cached:
    """The cache of the loader's views; computed unless ``folder`` holds it for the same views and frozen weights.

    A ``shared`` folder holds many caches, each under a hash of what it was computed from.
    """
    views = loader.views
    signature = _signature(views, network, recipe)

    def write(target: Path) -> list[str]:
        groups = [list(rows) for _, rows in groupby(range(len(views)), key=lambda row: id(views[row].crop))]
        fill(target, groups, loader.load_together, run, on_progress)
        return list(loader.unreadable.values())

    return stored(folder / signature[:32] if shared else folder, signature, write)


def stored(folder: Path, signature: str, write: Callable[[Path], list[str]]) -> Cached:
    """The cache in a folder, written by ``write`` unless it is there under this signature.

    ``write`` gives the reasons why photos could not be read. Processes that need the same cache at the same time
    compute it once.
    """
    done = folder / DONE
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.lock(folder.with_name(folder.name + ".lock"), wait_s=None):
        if not done.is_file() or done.read_text(encoding="utf-8") != signature:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            reasons = write(folder)
            (folder / UNREADABLE).write_text(json.dumps(reasons, ensure_ascii=False), encoding="utf-8")
            done.write_text(signature, encoding="utf-8")
    unreadable = files.from_json(files.content(folder / UNREADABLE))
    return Cached(*read(folder), unreadable)


def fill(
    folder: Path,
    groups: Sequence[Sequence[int]],
    load: LoadRows,
    run: Runner | None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write what ``run`` gives of each row, one file an array, and which rows could be loaded.

    ``groups`` are the rows 0, 1, 2, …, those that ``load`` takes together. Without ``run`` only the latter is written.
    """
    count = sum(map(len, groups))
    readable = np.zeros(count, bool)
    arrays: list[np.memmap] = []
    with ThreadPoolExecutor(2 if not torch.cuda.is_available() else 8) as pool:
        for batch in _batches(groups):
            loaded = [crop for crops in pool.map(load, batch) for crop in crops]
            rows = np.array([row for group in batch for row in group], np.int64)
            present = np.array([crop is not None for crop in loaded], bool)
            readable[rows] = present
            if present.any() and run is not None:
                outputs = run(np.stack([crop for crop in loaded if crop is not None]))
                for number, output in enumerate(outputs):
                    if len(arrays) <= number:
                        path, shape = folder / f"features{number}.npy", (count, *output.shape[1:])
                        arrays.append(new_array(path, output.dtype, shape))
                    arrays[number][rows[present]] = output
            on_progress(int(rows[-1]) + 1, count)
    for array in arrays:
        array.flush()
    with room_for(folder / READABLE):
        np.save(folder / READABLE, readable)


def new_array(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    """An array of zeros in a new file that has all its blocks, to be filled in place; raises BadRun without room."""
    with room_for(path):
        array: np.memmap = np.lib.format.open_memmap(path, "w+", dtype, shape)
        with path.open("r+b") as file:
            files.allocate(file, array.offset, array.nbytes)
    return array


def _batches(groups: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Groups in batches of about as many rows as are computed together."""
    batch: list[Sequence[int]] = []
    for group in groups:
        batch.append(group)
        if sum(map(len, batch)) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def read(folder: Path) -> tuple[list[np.ndarray], Bool[np.ndarray, "n"]]:
    """What ``fill`` wrote: the arrays, and which rows could be loaded."""
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("features*.npy"))]
    return arrays, np.load(folder / READABLE)


def runner(network: nn.Module, recipe: Recipe, count: int) -> Runner | None:
    """What computes ``below`` of ``count`` crops: torch where the network is on a GPU, ONNX Runtime on a CPU, where
    it is three times as fast. None where all of the network is trained on crops."""
    below, target = Below(copy.deepcopy(network).cpu()).eval(), preprocessing(recipe, fit_of(network))["street"]
    where = next(network.parameters()).device
    with torch.inference_mode():
        example = below(torch.zeros(2, *target.shape, dtype=torch.uint8))
    if example[0].dtype == torch.uint8:
        return None
    if where.type == "cpu" and count >= ONNX_MIN_VIEWS and target.fit is None:  # a brought backbone is run so anyway
        from osoroi.model import export

        return _lazy(lambda: export.runner(below, target, len(example)))

    def run(crops: UInt8[np.ndarray, "b h w 3"]) -> Sequence[np.ndarray]:
        with torch.inference_mode():
            return [one.cpu().numpy() for one in below.to(where)(torch.from_numpy(crops).to(where))]

    return run


def fit_of(network: nn.Module) -> Fit | None:
    """How photos become the second input of a network with a brought backbone; None for others."""
    fit: Fit | None = getattr(getattr(network, "extractor", None), "fit", None)
    return fit


def _lazy(make: Callable[[], Runner]) -> Runner:
    """A function that is made when it is first called: ONNX Runtime takes half a minute to start."""
    made: list[Runner] = []

    def run(crops: UInt8[np.ndarray, "b h w 3"]) -> Sequence[np.ndarray]:
        if not made:
            made.append(make())
        return made[0](crops)

    return run


class Below(nn.Module):
    """The part of a network that is not trained, as a module of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.network.below(crops)  # type: ignore[operator]
        return tuple(outputs)


def _signature(views: Sequence[View], network: nn.Module, recipe: Recipe) -> str:
    """A hash of everything that decides what the files hold."""
    digest = sha256(frozen(network, recipe).encode())
    for crop, product, number in views:
        digest.update(json.dumps([crop.crop_id, crop.domain, crop.box, product, number, *photo_state(crop)]).encode())
    return digest.hexdigest()


def photo_state(crop: Crop) -> tuple[str, int, int]:
    """The name of a photo, and size and time of its file, which show that it was changed."""
    state = crop.photo.stat() if isinstance(crop.photo, Path) and crop.photo.is_file() else None
    return image.name_of(crop.photo), *((state.st_size, state.st_mtime_ns) if state else (0, 0))


def frozen(network: nn.Module, recipe: Recipe) -> str:
    """A hash of what decides what ``below`` gives of a crop: how it is cut, and all weights but those of modules that
    are trained as a whole."""
    more = [name for name in ("shallow", "color_constancy") if getattr(recipe, name)]
    cut = [FORMAT, recipe.image_size, recipe.box_margin, recipe.unfreeze_blocks, type(network).__name__, *more]
    digest = sha256(json.dumps(cut).encode())
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    heads = [name for name, one in network.named_children() if all(each.requires_grad for each in one.parameters())]
    for name, one in network.state_dict().items():
        if name not in trained and name.partition(".")[0] not in heads:
            digest.update(name.encode() + one.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
