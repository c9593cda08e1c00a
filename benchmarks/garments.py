"""Garments found in photos without a box: recall, precision and kinds at IoU .5, with intervals over photos.

    python benchmarks/garments.py ../shared/data/ccp           # garments.csv beside photos/
    python benchmarks/garments.py drawn:300                    # people drawn by us

A found box and a true box match where their IoU is at least .5, the best pairs first, each box once. Recall counts the
true boxes of the main kinds (top, outerwear, dress, skirt, trousers, shorts, shoes); precision counts all found boxes
of the largest person against the true boxes of all kinds; ``right kind`` is the share of found boxes that match and
have the kind of the true box. Intervals are 95% bootstrap intervals over photos.
"""

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from osoroi import image
from osoroi.data.synthetic.outfits import outfits
from osoroi.evaluation.boxes import MAIN, BoxCount, count, summary
from osoroi.garments import read_category
from osoroi.garments.find import find
from osoroi.image import Photo
from osoroi.records import Box

COUNTED = (*MAIN, "bag", "hat", "jumpsuit")
"""Kinds of true boxes; others (belts, socks, jewellery) are left out."""

LABELS: dict[str, str | None] = {"vest": "top", "suit": None}
"""Labels of CCP that its photos use in another sense than shops do; a suit's box spans jacket and trousers."""


class Labelled(NamedTuple):
    """A photo and its true boxes with kinds."""

    name: str
    photo: Photo
    boxes: list[tuple[str, Box]]


def ccp(folder: Path) -> Iterator[Labelled]:
    """The street photos of a folder with ``garments.csv`` (photo, label, left, top, width, height)."""
    boxes: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    with (folder / "garments.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = LABELS.get(row["label"], read_category(row["label"]))
            if kind in COUNTED:
                left, top, width, height = (int(row[key]) for key in ("left", "top", "width", "height"))
                boxes[row["photo"]].append((kind, Box(left, top, left + width, top + height)))
    for name in sorted(boxes):
        yield Labelled(name, image.read(folder / "photos" / f"{name}.jpg"), boxes[name])


def drawn(count: int, seed: int) -> Iterator[Labelled]:
    """So many drawn people, one a photo."""
    for number in range(count):
        made = outfits(seed, number)
        yield Labelled(f"drawn:{seed}/{number}", made.photo, [(garment.kind, garment.box) for garment in made.garments])


def main() -> None:
    """Find the garments of every photo of a set and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder of CCP, or drawn:COUNT[:SEED]")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.photos.startswith("drawn:"):
        numbers = [int(number) for number in arguments.photos.split(":")[1:]]
        photos = drawn(numbers[0], numbers[1] if len(numbers) > 1 else 0)
    else:
        photos = ccp(Path(arguments.photos))
    counts: list[BoxCount] = []
    seconds, boxes = [], 0
    for labelled in photos:
        start = time.process_time()
        garments = [garment for garment in find(labelled.photo) if not garment.person]
        seconds.append(time.process_time() - start)
        boxes += len(garments)
        counts.append(count([(garment.kind, garment.box) for garment in garments], labelled.boxes))
    lines = summary(counts)
    for name, (value, low, high) in lines.items():
        print(f"{name:24} {value:.3f}  [{low:.3f}, {high:.3f}]")
    print(
        f"{len(counts)} photos, {boxes / len(counts):.2f} boxes a photo, {1000 * np.median(seconds):.0f} CPU ms a photo"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
