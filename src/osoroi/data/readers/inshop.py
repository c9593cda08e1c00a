"""DeepFashion In-shop Clothes Retrieval: photos of shops alone, some of which ask for the others of their item.

``Eval/list_eval_partition.txt``, ``Anno/list_bbox_inshop.txt`` and, where it is, ``Anno/list_item_inshop.txt``;
photos under ``Img/img`` or ``img``. See docs/datasets/inshop.md.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from osoroi.data.readers import Reader, lists
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row

PARTITION = ("image_name", "item_id", "evaluation_status")
BOXES = ("image_name", "clothes_type", "pose_type")
ROLES: dict[str, tuple[Domain, str]] = {
    "train": ("shop", "train"),
    "query": ("street", "test"),
    "gallery": ("shop", "test"),
}
"""Status -> domain and split. Photos of ``train`` have no role: of each item every second one asks."""


@dataclass(frozen=True)
class InShop:
    """The folder of the benchmark. The boxes are held while it is read: some 53,000."""

    path: Path

    def rows(self) -> Iterator[Row]:
        """Every photo of the partition."""
        places = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")
        corners, items, photos = self.boxes(), self.items(), lists.photos_of(self.path)
        turns: Counter[str] = Counter()
        for line in lists.entries(lists.expected(self.path, *places, reader="inshop"), PARTITION):
            name, item, status = map(line.need, PARTITION)
            if items and item not in items:
                line.refuse(f"item {item} is not in list_item_inshop.txt", hint="the lists are of different releases")
            if status not in ROLES:
                line.refuse(f"status {status!r}", hint="a status is train, query or gallery")
            domain, split = ROLES[status]
            if status == "train":
                turns[item] += 1
                domain = "shop" if turns[item] % 2 else "street"
            product = Product(item, category=category_of(name), attributes=who(name))
            yield Row(product, Crop(name, item, domain, photos / name, corners.get(name), split))

    def boxes(self) -> dict[str, Box]:
        """Photo -> its garment. A photo without one is meant whole."""
        path = lists.expected(self.path, "Anno/list_bbox_inshop.txt", "list_bbox_inshop.txt", reader="inshop")
        return {line.need("image_name"): box for line, box in lists.boxes(path, BOXES)}

    def items(self) -> set[str]:
        """The ids that there are, or none where the list is not there. It has a count, but no line of names."""
        places = (self.path / "Anno/list_item_inshop.txt", self.path / "list_item_inshop.txt")
        path = next((place for place in places if place.is_file()), None)
        return set() if path is None else {line.need("item") for line in lists.entries(path, ("item",), names=False)}


def category_of(name: str) -> str | None:
    """The category that a photo's path names.

    >>> category_of("img/WOMEN/Dresses/id_00000002/02_1_front.jpg")
    'Dresses'
    """
    parts = name.split("/")
    return parts[2] if len(parts) == 5 else None


def who(name: str) -> dict[str, str]:
    """Whom a photo's path names: the attribute ``for``, men or women."""
    parts = name.split("/")
    return {"for": parts[1].lower()} if len(parts) == 5 else {}


def open_reader(path: str) -> Reader:
    """The reader of a folder."""
    if not Path(path).is_dir():
        raise BadDataset(f"there is no folder {path}", hint="inshop: wants the folder of the benchmark")
    return InShop(Path(path))
