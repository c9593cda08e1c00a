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
from jaxtyping import Float

from osoroi import image
from osoroi.data.synthetic.outfits import outfits
from osoroi.garments import find, read_category
from osoroi.garments.people import overlap
from osoroi.image import Photo
from osoroi.records import Box

MAIN = ("top", "outerwear", "dress", "skirt", "trousers", "shorts", "shoes")
COUNTED = (*MAIN, "bag", "hat", "jumpsuit")
"""Kinds of true boxes; others (belts, socks, jewellery) are left out."""

LABELS: dict[str, str | None] = {"vest": "top", "suit": None}
"""Labels of CCP that its photos use in another sense than shops do; a suit's box spans jacket and trousers."""

SAMPLES = 1000


class Labelled(NamedTuple):
    """A photo and its true boxes with kinds."""

    name: str
    photo: Photo
    boxes: list[tuple[str, Box]]


class Count(NamedTuple):
    """Of one photo: true and found boxes of each kind, those of them that match, and matches of the same kind."""

    true: dict[str, int]
    recalled: dict[str, int]
    found: dict[str, int]
    precise: dict[str, int]
    right: dict[str, int]


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


def matched(found: list[tuple[str, Box]], true: list[tuple[str, Box]]) -> list[tuple[int, int]]:
    """Pairs (found, true) of boxes with an IoU of at least .5, the best first, each box at most once."""
    if not found or not true:
        return []
    shares = overlap(np.array([box for _, box in found], float), np.array([box for _, box in true], float))
    pairs: list[tuple[int, int]] = []
    for at in np.argsort(-shares, axis=None, kind="stable"):
        row, column = divmod(int(at), shares.shape[1])
        free = all(row != one and column != other for one, other in pairs)
        if shares[row, column] >= 0.5 and free:
            pairs.append((row, column))
    return pairs


def count(found: list[tuple[str, Box]], true: list[tuple[str, Box]]) -> Count:
    """What one photo adds to each share."""
    pairs = matched(found, true)
    counts = Count(*(dict.fromkeys(COUNTED, 0) for _ in range(5)))
    for kind, _ in true:
        counts.true[kind] += 1
    for kind, _ in found:
        counts.found[kind] = counts.found.get(kind, 0) + 1
    for row, column in pairs:
        counts.recalled[true[column][0]] += 1
        counts.precise[found[row][0]] = counts.precise.get(found[row][0], 0) + 1
        counts.right[found[row][0]] = counts.right.get(found[row][0], 0) + (found[row][0] == true[column][0])
    return counts


def share(parts: Float[np.ndarray, "n"], wholes: Float[np.ndarray, "n"]) -> tuple[float, float, float]:
    """Sum over sum, and the bounds of its 95% bootstrap interval over photos; not a number where nothing counts."""
    if not wholes.sum():
        return float("nan"), float("nan"), float("nan")
    dice = np.random.default_rng(0)
    rows = dice.integers(len(parts), size=(SAMPLES, len(parts)))
    ratios = parts[rows].sum(1) / np.maximum(wholes[rows].sum(1), 1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(parts.sum() / wholes.sum()), float(low), float(high)


def summary(counts: list[Count]) -> dict[str, tuple[float, float, float]]:
    """Recall, precision and right kind of all photos, then recall and precision of each kind."""

    def column(name: str, kinds: tuple[str, ...]) -> Float[np.ndarray, "n"]:
        return np.array([sum(getattr(each, name).get(kind, 0) for kind in kinds) for each in counts], float)

    every = tuple({kind for each in counts for kind in each.found})
    lines = {
        "recall": share(column("recalled", MAIN), column("true", MAIN)),
        "precision": share(column("precise", every), column("found", every)),
        "right kind": share(column("right", every), column("found", every)),
    }
    for kind in COUNTED:
        if column("true", (kind,)).sum():
            lines[f"recall of {kind}"] = share(column("recalled", (kind,)), column("true", (kind,)))
        if column("found", (kind,)).sum():
            lines[f"precision of {kind}"] = share(column("precise", (kind,)), column("found", (kind,)))
    return lines


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
    counts, seconds, boxes = [], [], 0
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
