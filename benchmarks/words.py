"""How often words find what they say among drawn products, whose kind and colour are known.

    python benchmarks/words.py [--products 400] [--seed 3] [--blank]

For each combination of colour and kind that some product has, `COLOUR KIND` is searched. Right is a product of that
very colour and kind. Printed: the share of queries with a right product in the first five, the share of the first five
that are right (of as many as there are, at most five), and both for kind alone. ``--blank`` removes titles and columns
of looks, so that colour is known from photos alone, and kind from the shop's category.
"""

import argparse
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from osoroi import ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.data.readers.drawn import Drawn
from osoroi.encoder import Encoder
from osoroi.garments import read_category
from osoroi.records import Product
from osoroi.search import Searcher
from osoroi.words.search import WordSearch

TOP = 5


def measured(
    search: WordSearch, colors: dict[str, str], wanted: dict[tuple[str, str], int], text: str
) -> list[tuple[float, float, float]]:
    """Of each query: any right, the share of right ones, the share of right kinds."""
    rows = []
    for (color, kind), count in sorted(wanted.items()):
        hits, _ = search.search(text.format(color=color, kind=kind), k=TOP)
        right = [colors[hit.product_id] == color and kind_of(hit.product) == kind for hit in hits]
        kinds = [kind_of(hit.product) == kind for hit in hits]
        rows.append((float(any(right)), sum(right) / min(TOP, count), float(np.mean(kinds))))
    return rows


def kind_of(product: Product) -> str:
    """The kind of a drawn product, by its own record."""
    return read_category(str(product.attributes["kind"])) or ""


def blank(product: Product) -> Product:
    """A product that says nothing of its look."""
    return replace(product, title="", attributes={"kind": product.attributes["kind"]})


def main() -> None:
    """Draw, add, search, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--products", type=int, default=400)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--blank", action="store_true")
    options = parser.parse_args()
    encoder = Encoder.open()
    rows = [row for row in Drawn(options.products, options.seed).rows() if row.crop.domain == "shop"]
    products = {row.product.product_id: row.product for row in rows}
    colors = {product_id: str(each.attributes["colour"]) for product_id, each in products.items()}
    if options.blank:
        rows = [row._replace(product=blank(row.product)) for row in rows]
    wanted = Counter((str(each.attributes["colour"]), kind_of(each)) for each in products.values())
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCatalog.open_or_create(Path(folder) / "shop", encoder) as catalog,
    ):
        ingest.add(rows, catalog, encoder)
        table = np.array(measured(WordSearch(Searcher(encoder, catalog)), colors, wanted, "{color} {kind}"))
    any_right, share, kinds = table.mean(0)
    print(f"{len(products)} products, {len(wanted)} queries, titles {'blank' if options.blank else 'as drawn'}")
    print(
        f"right in the first five: {any_right:.3f}; right among them: {share:.3f}; right kind among them: {kinds:.3f}"
    )


if __name__ == "__main__":
    main()
