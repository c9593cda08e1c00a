"""What one query costs: decode, encode, search, each beside the bare library call it cannot do without, in one run.

    python benchmarks/query.py --products 100000 --json FILE
    python benchmarks/query.py --products 1000000 --catalog FOLDER

Every figure is the median CPU time over rounds in which all parts take turns, on one thread, so that a busy machine
slows both sides of a ratio. A whole query is compared with the bare calls one after another (`bare query`), as
each leaves the caches to the next as a query does; `sum` compares it with the bare calls each measured by itself. The
photo is a drawn one of 800 x 800 pixels; the catalog holds random vectors. The bare search is one product of
matrices, or, where the catalog is large enough for a scan, that scan. `--catalog` fills a catalog in a folder once and
uses it again: a million products take five minutes of a processor.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from osoroi import image
from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.memory.memory_index import RUNG
from osoroi.data.readers import open_dataset
from osoroi.encoder import KIND, Encoder
from osoroi.garments import posterior
from osoroi.garments.kinds import NAMES
from osoroi.index.scan import ScanIndex
from osoroi.records import Clues, Crop, Product
from osoroi.search import Searcher

SIDE = 800
PRODUCTS = 2_000
AT_ONCE = 2_000
"""Products of one commit."""


def photo() -> bytes:
    """A drawn street photo as a JPEG of 800 x 800 pixels."""
    row = next(row for row in open_dataset("drawn:1").rows() if row.crop.domain == "street")
    file = io.BytesIO()
    Image.fromarray(image.read(row.crop.photo)).resize((SIDE, SIDE)).save(file, "JPEG", quality=90)
    return file.getvalue()


def entries(encoder: Encoder, products: int) -> Iterator[Entry]:
    """Products with random unit vectors, of which a twentieth has each kind: what is compared costs the same whatever
    it shows, and a shop has more products of a kind than a list."""
    rng = np.random.default_rng(0)
    grey = io.BytesIO()
    Image.new("RGB", (32, 32)).save(grey, "PNG")
    kinds = np.array([posterior.part({name: 1.0}) for name in NAMES])
    for start in range(0, products, AT_ONCE):
        numbers = np.arange(start, min(start + AT_ONCE, products))
        vectors = rng.normal(size=(len(numbers), encoder.dim)).astype(np.float32)
        for columns in encoder.columns.values():
            vectors[:, columns] /= np.linalg.norm(vectors[:, columns], axis=1, keepdims=True)
        vectors[:, encoder.columns[KIND]] = kinds[numbers % len(kinds)]
        for number, vector in zip(numbers, vectors, strict=True):
            crop = Crop(f"c{number:05}", f"p{number:05}", "shop", grey.getvalue())
            yield Entry(Product(f"p{number:05}"), [crop], vector[None])


def shop(folder: Path, encoder: Encoder, products: int = PRODUCTS) -> LocalCatalog:
    """The catalog in a folder, filled with so many products where it is new. Raises SystemExit where it has others."""
    catalog = LocalCatalog.open_or_create(folder, encoder)
    if not len(catalog):
        every = entries(encoder, products)
        while some := list(islice(every, AT_ONCE)):
            catalog.put(some, fingerprint=encoder.fingerprint)
        catalog.compact()
    if len(catalog) != products:
        raise SystemExit(f"{folder} has {len(catalog):,} products, not {products:,}: remove it, and it is filled anew")
    return catalog


def bare_decode(data: bytes, side: int) -> np.ndarray:
    """Pillow alone: reduced scale, then one resize."""
    picture = Image.open(io.BytesIO(data))
    picture.draft("RGB", (side, side))
    return np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))


def medians(parts: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU milliseconds of each part, all taking turns, in every other round from the last to the first, so that no part
    always finds the caches as one and the same other left them; the first tenth of the rounds warms up."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(rounds):
        for name in parts if number % 2 else reversed(parts):
            run = parts[name]
            start = time.process_time()
            run()
            times[name].append(1000 * (time.process_time() - start))
    return {name: float(np.median(found[rounds // 10 :])) for name, found in times.items()}


def measure(rounds: int, products: int = PRODUCTS, kept: Path | None = None) -> dict[str, dict[str, float]]:
    """Milliseconds, and ratios of ours to the bare call; ``kept`` is the folder of a catalog that stays."""
    encoder, data = Encoder.open(), photo()
    view = encoder.preprocessing["street"]
    crop = image.crop(data, None, view)
    bare_vectors = np.random.default_rng(0).normal(size=(PRODUCTS, encoder.dim)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder, shop(kept or Path(folder) / "shop", encoder, products) as catalog:
        searcher = Searcher(encoder, catalog)
        query = encoder.weigh(searcher.vector_of(data), categorised=searcher.facts().categorised)  # as a search asks
        with catalog.current() as (_, memory):
            index = memory.index

        def bare_search() -> object:
            if isinstance(index, ScanIndex):
                return index.nearest(query, RUNG)
            return np.argsort(-(bare_vectors @ query[0]))[:10]

        def bare_query() -> object:
            pixels = bare_decode(data, view.width)
            return encoder.embedder.vectors(pixels[None]), bare_search()

        ms = medians(
            {
                "decode": lambda: image.crop(data, None, view),
                "bare decode": lambda: bare_decode(data, view.width),
                "encode": lambda: encoder.encode([crop], [Clues(is_query=True)]),
                "bare encode": lambda: encoder.embedder.vectors(crop[None]),
                "search": lambda: catalog.nearest(query, 10),
                "bare search": bare_search,
                "query": lambda: searcher.search(io.BytesIO(data)),
                "bare query": bare_query,
            },
            rounds,
        )
    ratios = {name: ms[name] / ms[f"bare {name}"] for name in ("decode", "encode", "search")}
    bare = ms["bare decode"] + ms["bare encode"] + ms["bare search"]
    return {"ms": ms, "ratio": ratios | {"query": ms["query"] / ms["bare query"], "sum": ms["query"] / bare}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--products", type=int, default=PRODUCTS)
    parser.add_argument("--catalog", type=Path, help="folder of a catalog that is filled once and used again")
    arguments = parser.parse_args()
    found = measure(arguments.rounds, arguments.products, arguments.catalog)
    for name, value in found["ms"].items():
        print(f"{name:12} {value:7.2f} ms")
    print("ours / bare:", ", ".join(f"{name} {value:.2f}" for name, value in found["ratio"].items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
