"""DeepFashion Consumer-to-shop Clothes Retrieval: photos of consumers, and of the same item in shops.

``Eval/list_eval_partition.txt`` (one line a pair) and ``Anno/list_bbox_consumer2shop.txt``; photos under ``Img/img`` or
``img``. Some releases spell ``comsumer_`` in the names of files: both spellings are one photo. See
docs/datasets/consumer2shop.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from osoroi.data.readers import Reader, lists
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row

PARTITION = ("image_pair_name_1", "image_pair_name_2", "item_id", "evaluation_status")
BOXES = ("image_name", "clothes_type", "source_type")
SOURCES: dict[str, Domain] = {"1": "shop", "2": "street"}


@dataclass(frozen=True)
class ConsumerToShop:
    """The folder of the benchmark. Boxes and names of photos are held while it is read: some 240,000."""

    path: Path

    def rows(self) -> Iterator[Row]:
        """Every photo once for each of its items, at the first pair that names it.

        Splits are the lists' own. Where val and test share a gallery, the evaluation says so.
        """
        places = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")
        partition = lists.expected(self.path, *places, reader="consumer2shop")
        corners, photos = self.boxes(), lists.photos_of(self.path)
        seen: set[tuple[str, str]] = set()
        for line in lists.entries(partition, PARTITION):
            consumer, shop, item, status = map(line.need, PARTITION)
            if status not in ("train", "val", "test"):
                line.refuse(f"status {status!r}", hint="a status is train, val or test")
            sides: tuple[tuple[str, Domain], ...] = ((consumer, "street"), (shop, "shop"))
            for name, domain in sides:
                key = spelled(name)
                source, box = corners.get(key, (domain, None))
                if source != domain:
                    line.refuse(f"{name} is a {source} photo by its box, and a {domain} photo here", hint=BOTH)
                if (key, item) not in seen:
                    seen.add((key, item))
                    product = Product(item, category=category_of(name))
                    yield Row(product, Crop(key, item, domain, on_disk(photos, name), box, status))

    def boxes(self) -> dict[str, tuple[Domain, Box]]:
        """Photo, as `spelled` -> whose it is, and its garment."""
        places = ("Anno/list_bbox_consumer2shop.txt", "list_bbox_consumer2shop.txt")
        found: dict[str, tuple[Domain, Box]] = {}
        for line, box in lists.boxes(lists.expected(self.path, *places, reader="consumer2shop"), BOXES):
            source = line.need("source_type")
            if source not in SOURCES:
                line.refuse(f"source_type {source!r}", hint="a source is 1 (shop) or 2 (consumer)")
            found[spelled(line.need("image_name"))] = (SOURCES[source], box)
        return found


BOTH = "the two lists are of different releases"


def spelled(name: str) -> str:
    """A photo's name, spelled right.

    >>> spelled("img/CLOTHING/Blouse/id_00000001/comsumer_01.jpg")
    'img/CLOTHING/Blouse/id_00000001/consumer_01.jpg'
    """
    return name.replace("comsumer_", "consumer_")


def on_disk(photos: Path, name: str) -> Path:
    """The photo under either spelling; as it was named where there is none."""
    right = spelled(name)
    spellings = (name, right, right.replace("consumer_", "comsumer_"))
    return next((photos / each for each in spellings if (photos / each).is_file()), photos / name)


def category_of(name: str) -> str | None:
    """The category that a photo's path names.

    >>> category_of("img/DRESSES/Sleeveless_Dress/id_00000010/shop_01.jpg")
    'Sleeveless_Dress'
    """
    parts = name.split("/")
    return parts[2] if len(parts) == 5 else None


def open_reader(path: str) -> Reader:
    """The reader of a folder."""
    if not Path(path).is_dir():
        raise BadDataset(f"there is no folder {path}", hint="consumer2shop: wants the folder of the benchmark")
    return ConsumerToShop(Path(path))
