"""Street photos with the boxes of all their garments, as Clothing Co-Parsing has them: queries without answers.

A folder with ``garments.csv`` (photo, label, left, top, width, height) and ``photos/PHOTO.jpg``. Every box of a kind
that is worn in the street is a street crop. Its product is the photo, which no gallery has, so an evaluation tells the
kinds of what is retrieved (``kind@k``), with intervals over photos, and with ``--find`` how well boxes are found.
Every second photo, from the first on, is in the split ``test``, the others in ``val``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from osoroi.data import tabular
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Product, Row

LABELS: Final[dict[str, str | None]] = {
    **dict.fromkeys(("blouse", "shirt", "sweater", "t-shirt", "top", "sweatshirt", "jumper", "bodysuit"), "top"),
    **dict.fromkeys(("coat", "blazer", "jacket", "cape", "cardigan"), "outerwear"),
    **dict.fromkeys(("pants", "jeans", "leggings"), "trousers"),
    **dict.fromkeys(("shoes", "sandals", "boots", "loafers", "sneakers", "heels", "pumps", "flats", "wedges"), "shoes"),
    **dict.fromkeys(("bag", "purse", "wallet"), "bag"),
    "vest": "top",
    "dress": "dress",
    "skirt": "skirt",
    "shorts": "shorts",
    "hat": "hat",
}
"""Label -> category of the crop. Others are left out: small things, socks, and suits, whose box spans two garments."""

SIDES = ("left", "top", "width", "height")


@dataclass(frozen=True)
class StreetBoxes:
    """The folder of the photos."""

    path: Path

    def rows(self) -> Iterator[Row]:
        """A street crop for each box of a known label, by photo and place in the table."""
        table = self.path / "garments.csv"
        if not table.is_file():
            raise BadDataset(f"{self.path} has no garments.csv", hint="ccp: wants the folder that holds it")
        counts: dict[str, int] = {}
        split_of: dict[str, str] = {}
        for line in tabular.lines(table):
            photo, label = line.need("photo"), line.need("label")
            number = counts[photo] = counts.get(photo, 0) + 1
            split = split_of.setdefault(photo, "val" if len(split_of) % 2 else "test")
            category = LABELS.get(label)
            if category is not None:
                yield self.row(
                    line, Crop(f"{photo}/{number}", photo, "street", self.photo(photo), None, split), category
                )

    def photo(self, name: str) -> Path:
        """The file of a photo."""
        return self.path / "photos" / f"{name}.jpg"

    def row(self, line: tabular.Line, crop: Crop, category: str) -> Row:
        """The crop with the box of a line; its corner and size are whole pixels."""
        corner = line.box(SIDES)
        if corner is None:
            line.refuse("no box", hint=f"fill {', '.join(SIDES)}")
        left, top, width, height = corner
        return Row(
            Product(crop.product_id, category=category), replace(crop, box=Box(left, top, left + width, top + height))
        )


def open_reader(path: str) -> Reader:
    """The reader of a folder; it is opened when its rows are read."""
    return StreetBoxes(Path(path))
