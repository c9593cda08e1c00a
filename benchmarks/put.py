"""The CPU that a put takes of the client, with the catalog in a folder and in PostgreSQL.

Each product has a price, two attributes, a vector of 278 numbers, and one photo of 2 kB that is kept or is on the disk.
The CPU is that of this process, with its threads and its calls of the system; that of the server is not in it. Both
catalogs are written in turn, so that they share whatever else the machine does; the ratio is what counts.

    python benchmarks/put.py
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi.catalog import Entry
from osoroi.catalog.address import place_of
from osoroi.catalog.opening import create_catalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.records import Crop, Product
from postgres import running, schema_of

DIM = 278
FINGERPRINT = "f" * 64


def entries(number: int, count: int, photo: Path | None, rng: np.random.Generator) -> list[Entry]:
    """So many products that no other call gives, with this photo, or with a kept one each."""
    made = []
    for at in range(count):
        name = f"{number:06}-{at:04}"
        product = Product(name, f"Shirt {name}", "tops", "Aoi", 3900.0, "JPY", attributes={"size": "M", "sale": True})
        vectors = rng.standard_normal((1, DIM)).astype(np.float32)
        crop = Crop(f"{name}/0", name, "shop", photo or rng.bytes(2048))
        made.append(Entry(product, [crop], vectors))
    return made


def ratio(pairs: np.ndarray, rng: np.random.Generator) -> str:
    """Mean CPU of both, their ratio, and its 95% interval over puts (bootstrap)."""
    folder, postgres = 1000 * pairs.mean(1)
    draws = rng.integers(0, pairs.shape[1], (2000, pairs.shape[1]))
    low, high = np.percentile(pairs[1][draws].mean(1) / pairs[0][draws].mean(1), [2.5, 97.5])
    return f"{folder:.2f} | {postgres:.2f} | {postgres / folder:.2f} | {low:.2f} to {high:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puts", type=int, default=200)
    arguments = parser.parse_args()
    settings = CatalogSettings(compacts=False)
    with tempfile.TemporaryDirectory() as folder, running() as server:
        os.environ["OSOROI_CACHE"] = f"{folder}/cache"
        places = {"folder": Path(folder) / "shop", "PostgreSQL": place_of(schema_of(server.url()))}
        catalogs = {
            name: create_catalog(place, fingerprint=FINGERPRINT, dim=DIM, settings=settings)
            for name, place in places.items()
        }
        on_disk = Path(folder) / "photo.jpg"
        on_disk.write_bytes(bytes(2048))
        print("photos | products in a put | folder, CPU ms a put | PostgreSQL, CPU ms a put | ratio | 95% interval")
        for kept, count in ((True, 1), (True, 64), (False, 1), (False, 64)):
            rng = np.random.default_rng(count)
            puts = max(10, arguments.puts // count)
            spent: dict[str, list[float]] = {name: [] for name in catalogs}
            for number in range(puts):
                for name, catalog in catalogs.items():
                    batch = entries(10_000 * count + 1000 * kept + number, count, None if kept else on_disk, rng)
                    start = time.process_time()
                    catalog.put(batch, fingerprint=FINGERPRINT)
                    spent[name].append(time.process_time() - start)
            row = ratio(np.array([spent["folder"], spent["PostgreSQL"]])[:, puts // 10 :], rng)  # the first warm up
            print(f"{'kept' if kept else 'on disk'} | {count} | {row}")
        for catalog in catalogs.values():
            catalog.close()


if __name__ == "__main__":
    main()
