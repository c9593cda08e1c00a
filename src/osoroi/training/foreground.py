"""The foreground head learns from masks: photos that know which of their pixels show the garment.

Composed photos do (``composed:…``). The backbone is frozen, so its maps are computed once, and the head is trained on
them by cross entropy in seconds.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor, nn

from osoroi import files, image
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset, BadPhoto, extra
from osoroi.model.export import runner
from osoroi.model.foreground import BLOCKS
from osoroi.model.heads import EPSILON
from osoroi.model.network import FeatureExtractor, to_images
from osoroi.recipe import Recipe
from osoroi.records import Box, Crop, Preprocessing
from osoroi.training import selection
from osoroi.training.view_loader import LoadedPhoto, preprocessing

MAX_STREET, MAX_SHOP = 4500, 1500
"""Numbers of street and shop crops that the head learns from, at most."""

EPOCHS, LR, WEIGHT_DECAY = 10, 2e-3, 0.05
"""The loss hardly falls after the sixth epoch of 2,000 crops; of fewer crops there are more epochs."""

MIN_STEPS = 250
BATCH, CROPS_AT_ONCE = 64, 32


@runtime_checkable
class MaskedPhoto(Protocol):
    """A photo that knows its garment: ``mask()`` is 255 where a pixel shows nothing else, 0 where none of it."""

    def read(self) -> bytes: ...

    def mask(self) -> UInt8[np.ndarray, "h w"]: ...


class ForegroundFit(NamedTuple):
    """Numbers of crops that were learned from, of photos that could not be read, and the mean absolute error of the
    mask on the last tenth of the crops, which was not learned from."""

    crops: int
    unreadable: int
    error: float


@dataclass(frozen=True)
class ForegroundLimits:
    """How many crops of each domain are drawn at most, and the seed of the draw and of the head."""

    street: int = MAX_STREET
    shop: int = MAX_SHOP
    seed: int = 0


def train_foreground(
    readers: Sequence[Reader],
    recipe: Recipe,
    backbone: nn.Module,
    path: Path,
    *,
    limits: ForegroundLimits = ForegroundLimits(),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ForegroundFit:
    """Write the foreground head of a backbone as a safetensors file, learned from the split ``train``.

    The recipe says how photos are cropped. The file is the same, on a CPU and one thread, whenever it is written.
    Raises BadDataset where fewer than twenty crops have masks.
    """
    network = FeatureExtractor(backbone, foreground=BLOCKS).eval()
    crops = draw_crops(readers, limits)
    maps, masks = compute_maps(network, crops, recipe, on_progress=on_progress)
    if len(maps) < 20:
        raise BadDataset(
            f"{len(maps)} crops of the split 'train' have masks, and at least 20 are needed",
            hint="masks come with composed photos: composed:shop.csv",
        )
    error = fit_foreground_head(network, maps, masks, seed=limits.seed)
    assert network.foreground is not None
    files.write_atomically(path, extra("safetensors.torch", "train").save(network.foreground.state_dict()))
    return ForegroundFit(len(maps), len(crops) - len(maps), error)


def draw_crops(readers: Sequence[Reader], limits: ForegroundLimits) -> list[Crop]:
    """Crops of the split ``train`` whose photos have masks, in random order, of each domain at most so many."""
    selected = selection.select(readers, "train")
    masked = [crop for _, crop in selected.crops if isinstance(crop.photo, MaskedPhoto)]
    rng = np.random.default_rng(limits.seed)
    chosen: list[Crop] = []
    for domain, most in (("street", limits.street), ("shop", limits.shop)):
        own = [crop for crop in masked if crop.domain == domain]
        chosen += [own[place] for place in rng.permutation(len(own))[:most]]
    return [chosen[place] for place in rng.permutation(len(chosen))]


def compute_maps(
    network: FeatureExtractor,
    crops: Sequence[Crop],
    recipe: Recipe,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Float32[np.ndarray, "n c y x"], Float32[np.ndarray, "n y x"]]:
    """The maps that the head is computed from, and the masks in [0, 1] at their size, of crops that can be read."""
    run = runner(_HeadInput(network), preprocessing(recipe)["street"], 1)
    maps: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(crops), CROPS_AT_ONCE):
            some = crops[start : start + CROPS_AT_ONCE]
            loaded = [pair for pair in pool.map(lambda crop: _load(crop, recipe), some) if pair is not None]
            if loaded:
                pixels, covered = (np.stack(side) for side in zip(*loaded, strict=True))
                maps.append(run(pixels)[0])
                masks.append(_shrink(covered, maps[-1].shape[-1]))
            on_progress(start + len(some), len(crops))
    if not maps:
        return np.zeros((0, 1, 1, 1), np.float32), np.zeros((0, 1, 1), np.float32)
    return np.concatenate(maps), np.concatenate(masks)


def fit_foreground_head(
    extractor: FeatureExtractor,
    maps: Float32[np.ndarray, "n c y x"],
    masks: Float32[np.ndarray, "n y x"],
    *,
    seed: int = 0,
) -> float:
    """Train the foreground head of an extractor on masks in [0, 1] by cross entropy, at a rate that falls to 0.

    Gives the mean absolute error on the last tenth, which is not learned from.
    """
    head, held_out = extractor.foreground, max(1, len(maps) // 10)
    assert head is not None
    inputs, targets = torch.from_numpy(maps[:-held_out]), torch.from_numpy(masks[:-held_out])
    head.centre.copy_(inputs.mean((0, 2, 3)))
    head.spread.copy_(inputs.std((0, 2, 3)) + EPSILON)
    head.requires_grad_(True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head.first.reset_parameters()
        head.last.reset_parameters()
    optimizer = torch.optim.AdamW(head.parameters(), LR, weight_decay=WEIGHT_DECAY)
    generator = torch.Generator().manual_seed(seed)
    epochs = max(EPOCHS, -(-MIN_STEPS * BATCH // len(inputs)))
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = LR * (1 - epoch / epochs)
        for rows in torch.split(torch.randperm(len(inputs), generator=generator), BATCH):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy(head.predict(inputs[rows]), targets[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    head.requires_grad_(False)
    with torch.inference_mode():
        last = torch.from_numpy(maps[-held_out:]), torch.from_numpy(masks[-held_out:])
        return float((head.predict(last[0]) - last[1]).abs().mean())


class _HeadInput(nn.Module):
    """What the foreground head is computed from, as a module of its own."""

    def __init__(self, network: FeatureExtractor) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Tensor:
        assert self.network.foreground is not None
        inputs: Tensor = self.network.foreground.inputs(self.network.backbone(to_images(crops)).blocks)
        return inputs


def _load(crop: Crop, recipe: Recipe) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]] | None:
    """The pixels of a crop and the mask of the same area, of one size; None where the photo cannot be read."""
    assert isinstance(crop.photo, MaskedPhoto)
    target = preprocessing(recipe)[crop.domain]
    try:
        photo = LoadedPhoto(image.name_of(crop.photo), image.load(crop.photo))
        pixels, mask = image.crop(photo, crop.box, target), crop.photo.mask()
        box = image.content(image.read(photo)) if crop.box is None and target.trim else crop.box
    except BadPhoto:
        return None
    return pixels, _crop_mask(mask, box, target)


def _crop_mask(mask: UInt8[np.ndarray, "h w"], box: Box | None, target: Preprocessing) -> UInt8[np.ndarray, "y x"]:
    """The area of a photo's mask that a crop shows."""
    picture = Image.fromarray(mask)
    left, top, right, bottom = box or (0, 0, *picture.size)
    wider, higher = (target.margin * (right - left), target.margin * (bottom - top)) if box else (0.0, 0.0)
    start = max(0.0, left - wider), max(0.0, top - higher)
    end = min(float(picture.width), right + wider), min(float(picture.height), bottom + higher)
    return np.asarray(picture.resize((target.width, target.height), Image.Resampling.BOX, (*start, *end))).copy()


def _shrink(masks: UInt8[np.ndarray, "n h w"], size: int) -> Float32[np.ndarray, "n y x"]:
    """Masks averaged to the size of maps, in [0, 1]."""
    count, height, width = masks.shape
    cells = masks.reshape(count, size, height // size, size, width // size).astype(np.float32)
    return cells.mean((2, 4)) / 255
