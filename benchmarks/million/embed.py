"""Real photos -> vectors, once: what the benchmark multiplies, and the street photos that ask.

    python -m benchmarks.million.embed OUT.npz [--data FOLDER] [--encoder FILE]

Writes ``shop [n d]`` (every product photo of the folders), ``street [q d]`` (every street photo, its garment's box),
``parts``, ``weights`` and ``fingerprint``. Needs folders with a ``manifest.csv`` (path, role, box); 10 ms a photo.
"""

import argparse
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from osoroi import image
from osoroi.encoder import Encoder
from osoroi.records import Box

DATA = Path(os.environ.get("OSOROI_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
FOLDERS = ("viton", "hm", "clothing_cc0")
SIDES = ("bbox_left", "bbox_top", "bbox_width", "bbox_height")
BATCH = 16


def photos(folder: Path) -> Iterator[tuple[str, Path, Box | None]]:
    """Side, file and box of each line of a folder's manifest."""
    with (folder / "manifest.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            street = line["role"] == "street"
            left, top, width, height = (int(line[side]) if street else 0 for side in SIDES)
            box = Box(left, top, left + width, top + height) if street else None
            yield "street" if street else "shop", folder / line["path"], box


def embedded(encoder: Encoder, found: list[tuple[Path, Box | None]], side: str) -> np.ndarray:
    """Vectors of all photos of one side, in order."""
    view = encoder.preprocessing["street" if side == "street" else "shop"]
    vectors = []
    for start in range(0, len(found), BATCH):
        vectors.append(encoder.encode([image.crop(path, box, view) for path, box in found[start : start + BATCH]]))
        if start % (64 * BATCH) == 0:
            print(f"{side}: {start} of {len(found)}", flush=True)
    return np.concatenate(vectors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--encoder", type=Path, default=None)
    chosen = parser.parse_args()
    encoder = Encoder.open(chosen.encoder)
    found: dict[str, list[tuple[Path, Box | None]]] = {"shop": [], "street": []}
    for folder in FOLDERS:
        for side, path, box in photos(chosen.data / folder):
            found[side].append((path, box))
    np.savez(
        chosen.out,
        parts=np.array([part.size for part in encoder.parts]),
        weights=np.array([part.weight for part in encoder.parts]),
        fingerprint=np.array(encoder.fingerprint),
        shop=embedded(encoder, found["shop"], "shop"),
        street=embedded(encoder, found["street"], "street"),
    )


if __name__ == "__main__":
    main()
