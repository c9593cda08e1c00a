"""Views of crops as pixels: photo -> crop -> augmented crop, the same pixels whenever the same view is loaded.

A crop has one plain view, number 0, which is what an encoder is given when it serves, and as many augmented ones as
the recipe says. A photo is read once for all views of a crop that are loaded together.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from osoroi import image
from osoroi.errors import BadPhoto
from osoroi.recipe import ModelSettings
from osoroi.records import Box, Crop, Domain, Fit, Preprocessing, Source
from osoroi.training import augmentation
from osoroi.training.augmentation import SHOP, STREET, Augmentation

AUGMENTATIONS: Mapping[Domain, Augmentation] = {"street": STREET, "shop": SHOP}
"""How the further views of each domain are augmented."""


class View(NamedTuple):
    """One view of a crop of product number ``product``; view 0 is plain, the others are augmented."""

    crop: Crop
    product: int
    number: int


@dataclass(frozen=True)
class LoadedPhoto:
    """The bytes of a photo under the name that messages call it."""

    name: str
    data: bytes

    def read(self) -> bytes:
        """The bytes."""
        return self.data


def preprocessing(recipe: ModelSettings, fit: Fit | None = None) -> dict[Domain, Preprocessing]:
    """How a recipe crops the photos of both domains; ``fit`` makes a second input of them, for a brought backbone."""
    side = recipe.image_size
    return {
        "street": Preprocessing(side, side, margin=recipe.box_margin, fit=fit),
        "shop": Preprocessing(side, side, trim=True, fit=fit),
    }


class ViewLoader:
    """Loads the views in a list, by their row.

    An augmented view is drawn from the seed, the row and the epoch, with the augmentation of its domain.
    """

    def __init__(
        self,
        views: Sequence[View],
        recipe: ModelSettings,
        *,
        seed: int = 0,
        fit: Fit | None = None,
        augmentations: Mapping[Domain, Augmentation] = AUGMENTATIONS,
    ) -> None:
        self.views = views
        self.augmentations = augmentations
        self.seed = seed
        self.preprocessing = preprocessing(recipe, fit)
        self.unreadable: dict[str, str] = {}
        self.contents: dict[int, Box] = {}

    def load(self, row: int, epoch: int) -> UInt8[np.ndarray, "h w 3"]:
        """The pixels of one view; raises BadPhoto."""
        return self._load(row, epoch, self.views[row].crop.photo)

    def load_together(self, rows: Sequence[int]) -> list[UInt8[np.ndarray, "h w 3"] | None]:
        """The pixels of views of one crop in epoch 0; None where the photo cannot be read.

        ``unreadable`` then has the crop's id and the reason.
        """
        crop = self.views[rows[0]].crop
        try:
            photo = LoadedPhoto(image.name_of(crop.photo), image.load(crop.photo))
            return [self._load(row, 0, photo) for row in rows]
        except BadPhoto as error:
            self.unreadable[crop.crop_id] = f"{crop.crop_id}: {error}"
            return [None] * len(rows)

    def _load(self, row: int, epoch: int, source: Source) -> UInt8[np.ndarray, "h w 3"]:
        crop, _, number = self.views[row]
        target = self.preprocessing[crop.domain]
        if number == 0:
            return image.crop(source, crop.box, target)
        config = self.augmentations[crop.domain]
        rng = np.random.default_rng([self.seed, row, epoch])
        photo = image.read(source)
        height, width, _ = photo.shape
        box = crop.box or (self._content(crop, photo) if target.trim else Box(0, 0, width, height))
        box = augmentation.jitter_box(box, width, height, config, rng)
        return _augmented(image.crop(photo, box, target), target, config, rng)

    def _content(self, crop: Crop, photo: UInt8[np.ndarray, "h w 3"]) -> Box:
        """The photo without its plain border, which is looked for once: to look takes a sixth of the time of a view."""
        if id(crop) not in self.contents:  # the crops of the views live as long as this
            self.contents[id(crop)] = image.content(photo)
        return self.contents[id(crop)]


def _augmented(
    crop: UInt8[np.ndarray, "h w 3"], target: Preprocessing, config: Augmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The crop augmented; where it holds two inputs, both in the same way."""
    if target.fit is None:
        return augmentation.augment(crop, config, rng)
    augmented = crop.copy()
    below = slice(target.height, target.height + target.fit.height), slice(target.fit.width)
    for area in ((slice(target.height), slice(target.width)), below):
        augmented[area] = augmentation.augment(np.ascontiguousarray(crop[area]), config, copy.deepcopy(rng))
    return augmented
