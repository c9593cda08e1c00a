"""VITON's pairs: one photo on a model and one of the product, women's tops, as a folder with ``manifest.csv``.

Columns: path, role (street or shop), item_id, category, split, ``bbox_left, bbox_top, bbox_width, bbox_height`` (on
street photos: the garment), design_cluster (items of one design in several colours). See docs/datasets/viton.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from osoroi.data import splits, tabular
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row

COLUMNS = ("path", "role", "item_id", "category", "split")
SIDES = ("bbox_left", "bbox_top", "bbox_width", "bbox_height")


@dataclass(frozen=True)
class Viton:
    """The folder of the pairs."""

    path: Path

    def rows(self) -> Iterator[Row]:
        """Every photo; a street photo with the box of its garment, a shop photo whole."""
        manifest = self.path / "manifest.csv"
        if not manifest.is_file():
            raise BadDataset(f"{self.path} has no manifest.csv", hint="viton: wants the folder that holds it")
        for line in tabular.lines(manifest):
            yield self.row(line)

    def row(self, line: tabular.Line) -> Row:
        """One line; the crop is called as its file."""
        missing = [name for name in (*COLUMNS, *SIDES, "design_cluster") if name not in line.cells]
        if missing:
            line.refuse(f"no column {', '.join(missing)}", hint=f"the columns are {', '.join(line.cells)}")
        photo, role, item, category, split = map(line.need, COLUMNS)
        if role not in ("street", "shop"):
            line.refuse(f"role {role!r}", hint="a role is street or shop")
        if split not in splits.SPLITS:
            line.refuse(f"split {split!r}", hint=f"a split is one of {', '.join(splits.SPLITS)}")
        corner = line.box(SIDES)
        if (corner is None) != (role == "shop"):
            line.refuse(
                f"a {role} photo {'without a' if corner is None else 'with a'} box", hint="street photos have one"
            )
        box = None if corner is None else Box(corner[0], corner[1], corner[0] + corner[2], corner[1] + corner[3])
        product = Product(item, category=category, design_id=line.text("design_cluster"))
        return Row(product, Crop(photo, item, cast(Domain, role), self.path / photo, box, split))


def open_reader(path: str) -> Reader:
    """The reader of a folder; it is opened when its rows are read."""
    return Viton(Path(path))
