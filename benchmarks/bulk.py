"""What share of the runtime's own peak `osoroi add` reaches: the photos of a shop, and the same crops encoded alone.

    python benchmarks/bulk.py --products 128 --side 800

Both sides take turns, so that a busy machine slows both. `share` is the time of the runtime alone over that of `add`,
by the clock and by CPU: adding also reads, decodes and writes, and beyond one core does so beside the encoding.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from osoroi import image, ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.data.readers import open_dataset
from osoroi.encoder import BATCH, Encoder
from osoroi.records import Crop, Product, Row


def rows(products: int, side: int) -> list[Row]:
    """Drawn shop photos as JPEG files of this side, each of a product whose kind its category says."""
    drawn = [row for row in open_dataset("drawn:16").rows() if row.crop.domain == "shop"][:16]
    photos = []
    for row in drawn:
        file = io.BytesIO()
        Image.fromarray(image.read(row.crop.photo)).resize((side, side)).save(file, "JPEG", quality=90)
        photos.append(file.getvalue())
    names = [f"p{number:05}" for number in range(products)]
    return [
        Row(Product(name, category="Skirts"), Crop(name, name, "shop", photos[number % len(photos)]))
        for number, name in enumerate(names)
    ]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--products", type=int, default=128)
    parser.add_argument("--side", type=int, default=800)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    encoder, shop = Encoder.open(threads=arguments.threads), rows(arguments.products, arguments.side)
    crop = image.crop(shop[0].crop.photo, None, encoder.preprocessing["shop"])
    batch = np.stack([crop] * BATCH)

    def alone() -> None:
        for _ in range(arguments.products // BATCH):
            encoder.embedder.vectors(batch)

    def added() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            LocalCatalog.open_or_create(Path(folder) / "shop", encoder) as catalog,
        ):
            ingest.add(shop, catalog, encoder, threads=arguments.threads)

    added()
    found = [(timed(alone), timed(added)) for _ in range(arguments.rounds)]
    shares = [[one[at] / other[at] for one, other in found] for at in (0, 1)]
    ms = [1000 * median(other[at] for _, other in found) / arguments.products for at in (0, 1)]
    print(
        json.dumps(
            {
                "share": {"clock": round(median(shares[0]), 3), "cpu": round(median(shares[1]), 3)},
                "ms a product": {"clock": round(ms[0], 2), "cpu": round(ms[1], 2)},
            }
        )
    )


if __name__ == "__main__":
    main()
