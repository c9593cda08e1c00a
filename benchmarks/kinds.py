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

from osoroi import image
from osoroi.encoder import Encoder
from osoroi.garments import picture, posterior, read_category
from osoroi.garments.find import cut, examine, largest, squared
from osoroi.garments.kinds import NAMES
from osoroi.garments.people import detect

NINE = ("top", "outerwear", "dress", "skirt", "trousers", "shorts", "shoes", "bag", "hat")
LOOKS = {"deep": 0.3, "detail": 0.7}
"""Weights of the parts other than ``kind``, which share what it leaves."""


class Photos(NamedTuple):
    """Vectors weighted by ``LOOKS``, the part ``kind``, and the true kind of each crop."""

    looks: Float32[np.ndarray, "n d"]
    kinds: Float32[np.ndarray, "n k"]
    names: list[str]


def weighted(encoder: Encoder, crops: list[np.ndarray], *, query: bool) -> Float32[np.ndarray, "n d"]:
    """Vectors of crops; those of queries carry the weights."""
    vectors = encoder.encode(crops)
    return encoder.weighed(LOOKS).weigh(vectors) if query else vectors


def street(folder: Path, encoder: Encoder, every: int) -> Photos:
    """Every box of nine kinds of one photo in so many, with its kind's posterior by place and picture."""
    crops, parts, names = [], [], []
    for number, labelled in enumerate(ccp(folder / "ccp")):
        if number % every:
            continue
        people = largest(detect(labelled.photo), labelled.photo)
        person = examine(labelled.photo, people[0].box) if people else None
        for kind, box in labelled.boxes:
            if kind not in NINE:
                continue
            full = (float(box.left), float(box.top), float(box.right), float(box.bottom))
            logits = picture.logits([cut(labelled.photo, full)]).kinds[0]
            where = posterior.place(person.body, squared(person.body.pose, full)) if person else None
            parts.append(posterior.part(posterior.posterior(where, logits)))
            path = folder / "ccp" / "photos" / f"{labelled.name}.jpg"
            crops.append(image.crop(path, box, encoder.preprocessing["street"]))
            names.append(kind)
    return Photos(weighted(encoder, crops, query=True), np.stack(parts), names)


def shop(folder: Path, encoder: Encoder, *, categories: bool) -> Photos:
    """The products of hm whose category is known; their kind is the category's, or the picture's alone."""
    paths, names = [], []
    with (folder / "hm" / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = read_category(row["category"])
            if kind is not None:
                paths.append(folder / "hm" / row["path"])
                names.append(kind)
    crops = [image.crop(path, None, encoder.preprocessing["shop"]) for path in paths]
    if categories:
        parts = [posterior.part({name: 1.0}) for name in names]
    else:
        parts = []
        for start in range(0, len(crops), 16):
            logits = picture.logits(crops[start : start + 16])
            rows = zip(logits.kinds, logits.imagenet, strict=True)
            parts += [posterior.part(posterior.product_posterior(kinds, imagenet)) for kinds, imagenet in rows]
    return Photos(weighted(encoder, crops, query=False), np.stack(parts), names)


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


PICTURE_WEIGHTS = dict.fromkeys(NINE, 0.5) | {"top": 0.2, "scarf": 0.2, "outerwear": 0.3, "dress": 0.3}
"""Weight of ``kind`` against products without a category, for a query that is surely of one kind."""


def by_query(queries: Float32[np.ndarray, "q k"]) -> Float32[np.ndarray, "q"]:
    """One weight a query: the mean of the kinds' weights over the query's posterior."""
    weights = np.array([*(PICTURE_WEIGHTS.get(name, 0.5) for name in NAMES), 0.0], np.float32)
    return (queries**2) @ weights


def main() -> None:
    """Print kind@5 and overlap for no kind, for categories and for pictures alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=2, help="use one street photo in so many")
    arguments = parser.parse_args()
    encoder = Encoder.open()
    queries = street(arguments.data, encoder, arguments.every)
    print(f"{len(queries.names)} queries")
    for categories in (True, False):
        products = shop(arguments.data, encoder, categories=categories)
        looks, kinds = queries.looks @ products.looks.T, queries.kinds @ products.kinds.T
        print("categories" if categories else "pictures")
        print(f"  kind  .0   {report(queries, products, looks)}")
        for weight in (0.2, 0.3, 0.4, 0.5):
            print(f"  kind {weight:.1f}   {report(queries, products, (1 - weight) * looks + weight * kinds)}")
        if not categories:
            scores = looks + 1.19 * by_query(queries.kinds)[:, None] * kinds
            print(f"  by query   {report(queries, products, scores)}")


if __name__ == "__main__":
    main()
