"""How long ``sync`` takes where a hundredth of a large table has changed: seconds, and processor time a row.

The encoder is a stand-in that averages colours, and all products share a few drawn photos under names of their own, so
what is measured is reading, comparing and committing. What decoding and encoding cost with the encoder that ships is
measured beside it. ``python benchmarks/sync.py --products 100000``
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi import staging
from osoroi.catalog.local import LocalCatalog
from osoroi.encoder import BATCH, Encoder, loader
from osoroi.records import Crop
from osoroi.sync import SyncCount, sync
from osoroi.tables import open_incoming
from tiny import TinyEncoder

DRAWN = 16


def photos(folder: Path, products: int) -> None:
    """A photo for each product: hard links to a few drawn ones."""
    folder.mkdir()
    for number in range(DRAWN):
        Image.new("RGB", (32, 32), (16 * number, 200 - 8 * number, 90)).save(folder / f"drawn{number}.jpg")
    for number in range(products):
        os.link(folder / f"drawn{number % DRAWN}.jpg", folder / f"{number}.jpg")


def write(path: Path, products: int, *, changed: int = 0) -> None:
    """The table; of the last ``changed`` products a third is gone, a third new, and a third has another price."""
    third = changed // 3
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "product_id", "title", "category", "price", "size", "stock"])
        for number in range(products):
            name = f"new{number}" if products - changed <= number < products - changed + third else f"p{number}"
            if products - third <= number < products:
                continue
            price = 990 + number % 9000 + (7 if number >= products - changed + third else 0)
            writer.writerow(
                [
                    f"photos/{number}.jpg",
                    name,
                    f"Garment {number}",
                    "tops",
                    f"¥{price:,}",
                    "SML"[number % 3],
                    number % 9,
                ]
            )


def run(path: Path, catalog: LocalCatalog, encoder: TinyEncoder) -> tuple[SyncCount, float, float]:
    """One sync: its numbers, seconds, and seconds of a processor."""
    start, cpu = time.perf_counter(), time.process_time()
    incoming = open_incoming(f"table:{path}")
    count = sync(
        incoming.rows(), catalog, encoder, staging=catalog.folder / staging.FILE, spared=incoming.spared, threads=1
    )
    return count, time.perf_counter() - start, time.process_time() - cpu


def bare(photo: Path, crops: int = 100) -> float:
    """Seconds of a processor to read, decode and encode a crop with the encoder that ships, and nothing else."""
    encoder = Encoder.open()
    crop = Crop("c", "p", "shop", photo)
    start = time.process_time()
    for _ in range(0, crops, BATCH):
        pixels = [loader.crop_pixels(loader.load(crop), encoder.preprocessing) for _ in range(BATCH)]
        encoder.encode(pixels)
    return (time.process_time() - start) / (-(-crops // BATCH) * BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    products = parser.parse_args().products
    with tempfile.TemporaryDirectory() as folder:
        table, encoder = Path(folder) / "shop.csv", TinyEncoder()
        photos(Path(folder) / "photos", products)
        big = Image.effect_noise((600, 800), 60).convert("RGB")
        big.save(Path(folder) / "big.jpg", quality=90)
        cost = bare(Path(folder) / "big.jpg")
        print(f"decoding a photo of 600 x 800 and encoding it: {1e6 * cost:,.0f} us of a processor")
        time.sleep(2.5)  # so that the files are older than their hashes
        with LocalCatalog.open_or_create(Path(folder) / "shop", encoder) as catalog:
            for what, changed in (("all new", 0), ("nothing changed", 0), ("1% changed", products // 100)):
                write(table, products, changed=changed)
                count, seconds, cpu = run(table, catalog, encoder)
                line = f"{what}: {seconds:.1f} s, {1e6 * cpu / products:.0f} us of a processor a row"
                done = f"{count.added:,} added, {count.changed:,} changed, {count.unchanged:,} unchanged"
                print(f"{line}; {done}, {count.removed:,} removed")


if __name__ == "__main__":
    main()
