"""What the part `kind` does: garments in street photos search a shop of every kind, with and without its categories.

    python -m benchmarks.kinds ../shared/data

Queries are the true boxes of nine kinds in ccp (garments.csv), products are those of hm. kind@5 is the share of the
first five products that have the query's kind, the mean over kinds. Overlap: of the five best products of the right
kind by the encoder's parts alone, the share that comes back among the first five. hit@5 among tops: viton's val pairs.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.garments import ccp
from jaxtyping import Float32, Int64

from osoroi.encoder import KIND, Encoder
from osoroi.garments import part, read_category
from osoroi.records import Input

NINE = ("top", "outerwear", "dress", "skirt", "trousers", "shorts", "shoes", "bag", "hat")
LOOKS = {"deep": 0.3, "detail": 0.7}
"""Weights of the parts other than ``kind``, which share what it leaves."""


class Photos(NamedTuple):
    """Vectors weighted by ``LOOKS``, the part ``kind``, and the true kind of each crop."""

    looks: Float32[np.ndarray, "n d"]
    kinds: Float32[np.ndarray, "n k"]
    names: list[str]


def photos(encoder: Encoder, inputs: list[Input], names: list[str], *, query: bool) -> Photos:
    """Vectors of inputs; the looks of queries carry the weights."""
    vectors = encoder.encode_inputs(inputs)
    looks = encoder.weighed(LOOKS).weigh(vectors) if query else vectors
    columns = encoder.columns[KIND]
    return Photos(looks[:, : columns.start], vectors[:, columns], names)


def street(folder: Path, encoder: Encoder, every: int, first: int) -> Photos:
    """Every box of nine kinds of one photo in so many, from the ``first`` on."""
    inputs, names = [], []
    for number, labelled in enumerate(ccp(folder / "ccp")):
        if number % every == first:
            for kind, box in labelled.boxes:
                if kind in NINE:
                    inputs.append(encoder.input_of(labelled.photo, box, "street"))
                    names.append(kind)
    return photos(encoder, inputs, names, query=True)


def shop(folder: Path, encoder: Encoder, *, categories: bool) -> Photos:
    """The products of hm whose category is known; their kind is the category's, or the picture's alone."""
    inputs, names = [], []
    with (folder / "hm" / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = read_category(row["category"])
            if kind is not None:
                known = kind if categories else None
                inputs.append(encoder.input_of(folder / "hm" / row["path"], None, "shop", kind=known))
                names.append(kind)
    return photos(encoder, inputs, names, query=False)


def first_five(scores: Float32[np.ndarray, "q n"]) -> Int64[np.ndarray, "q 5"]:
    """The columns of the five best scores of each row."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :5]


def report(queries: Photos, products: Photos, scores: Float32[np.ndarray, "q n"]) -> str:
    """kind@5 (the mean over kinds), and overlap."""
    names = np.array(products.names)
    best = first_five(scores)
    looks = queries.looks @ products.looks.T
    hits: dict[str, list[float]] = {}
    back = []
    for row, kind in enumerate(queries.names):
        hits.setdefault(kind, []).append(float((names[best[row]] == kind).mean()))
        right = np.flatnonzero(names == kind)
        wanted = right[np.argsort(-looks[row, right], kind="stable")[:5]]
        back.append(len(set(wanted.tolist()) & set(best[row].tolist())) / max(len(wanted), 1))
    by_kind = " ".join(f"{kind} {np.mean(values):.2f}" for kind, values in sorted(hits.items()))
    mean = float(np.mean([np.mean(values) for values in hits.values()]))
    return f"kind@5 {mean:.3f}  overlap {np.mean(back):.3f}  ({by_kind})"


def main() -> None:
    """Print kind@5 and overlap for no kind, for categories and for pictures alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=2, help="use one street photo in so many")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them; 1 gives the others")
    arguments = parser.parse_args()
    encoder = Encoder.open()
    queries = street(arguments.data, encoder, arguments.every, arguments.first)
    print(f"{len(queries.names)} queries")
    for categories in (True, False):
        products = shop(arguments.data, encoder, categories=categories)
        looks, kinds = queries.looks @ products.looks.T, queries.kinds @ products.kinds.T
        print("categories" if categories else "pictures")
        print(f"  kind  .0   {report(queries, products, looks)}")
        for weight in (0.2, 0.3, 0.4, 0.5):
            print(f"  kind {weight:.1f}   {report(queries, products, (1 - weight) * looks + weight * kinds)}")
        if not categories:
            weights = 0.4 * part.share_of_weight(queries.kinds, 0.0)[:, None]
            print(f"  by query   {report(queries, products, (1 - weights) * looks + weights * kinds)}")


if __name__ == "__main__":
    main()
