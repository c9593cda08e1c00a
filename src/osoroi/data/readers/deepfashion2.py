"""DeepFashion2: photos of users and shops with several garments each, one JSON file a photo.

``{train,validation}/image/000001.jpg`` and ``annos/000001.json``. A user's garment and a shop's are the same product
where pair_id, category and style agree and the style is above 0; style 0 never pairs. See
docs/datasets/deepfashion2.md.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osoroi import files
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row

FOLDERS = {"train": "train", "validation": "val"}
"""Folder -> split. The test set has no public answers."""

SOURCES: dict[str, Domain] = {"user": "street", "shop": "shop"}
ITEM = re.compile(r"item(\d+)")


@dataclass(frozen=True)
class DeepFashion2:
    """The folder of the data set. One photo's annotations are held at a time, and the names of the files."""

    path: Path

    def rows(self) -> Iterator[Row]:
        """Every garment but users' of style 0, which no shop garment answers."""
        here = {folder: split for folder, split in FOLDERS.items() if (self.path / folder / "annos").is_dir()}
        if not here:
            hint = f"expected {self.path}/train/annos/000001.json; docs/datasets/deepfashion2.md shows the folder"
            raise BadDataset(f"{self.path} has neither train/annos nor validation/annos", hint=hint)
        for folder, split in here.items():
            annos = self.path / folder / "annos"
            for name in sorted(name for name in os.listdir(annos) if name.endswith(".json")):
                yield from self.photo(annos / name, split)

    def photo(self, path: Path, split: str) -> Iterator[Row]:
        """The garments of one photo, in the order of their numbers."""
        try:
            annotations = files.from_json(files.content(path))
            domain, pair = SOURCES[annotations["source"]], int(annotations["pair_id"])
            names = sorted((name for name in annotations if ITEM.fullmatch(name)), key=lambda name: int(name[4:]))
            for name in names:
                row = self.row(path, name, annotations[name], (domain, split, pair))
                if row is not None:
                    yield row
        except (ValueError, KeyError, TypeError) as error:
            problem = f"{path} is not as DeepFashion2 has it: {error!r:.120}"
            raise BadDataset(problem, hint="docs/datasets/deepfashion2.md shows what is read of it") from error

    def row(self, path: Path, name: str, item: dict[str, Any], whole: tuple[Domain, str, int]) -> Row | None:
        """One garment: ``itemN`` of a photo whose domain, split and pair are given."""
        domain, split, pair = whole
        crop_id, style, kind = f"{split}/{path.stem}/{name}", int(item["style"]), int(item["category_id"])
        if style == 0 and domain == "street":
            return None
        left, top, right, bottom = map(round, item["bounding_box"])
        product_id = f"{split}/{pair}/{kind}/{style}" if style > 0 else crop_id
        design_id = f"{split}/{pair}/{kind}" if style > 0 else None
        product = Product(product_id, category=str(item["category_name"]), design_id=design_id)
        photo = path.parents[1] / "image" / f"{path.stem}.jpg"
        return Row(product, Crop(crop_id, product_id, domain, photo, Box(left, top, right, bottom), split))


def open_reader(path: str) -> Reader:
    """The reader of a folder."""
    if not Path(path).is_dir():
        raise BadDataset(f"there is no folder {path}", hint="deepfashion2: wants the folder that holds train/")
    return DeepFashion2(Path(path))
