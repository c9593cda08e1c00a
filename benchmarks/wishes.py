"""Two wishes in one query: of the first five products, how many have the kind of photo A and the colour of photo B.

    python -m benchmarks.wishes ../shared/data [--products 3000] [--seed 0] [--half 0|1]

A and B are product photos of hm, each product once as A and once as B, in pairs by the seed; both are left out of the
results. The kind is that of the shop's category, the colour its ``colour_master``. The chip is a typical shade of that
colour (``CHIPS``). Kinds of products are those of the shop's categories. The kind of A is judged by its picture alone,
by its picture and what the other designs of the shop teach (in five folds of designs, so A's own design never teaches
its kind), or given. ``chance`` is the share of all products that fit both wishes; ``limit`` what a perfect search
would reach, because a shop has no yellow belts. ``--half`` takes A from designs of even or of odd codes alone.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from osoroi import image
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.learned import centred, learn_kinds, usual_detail, with_learned_kind
from osoroi.evaluation import bootstrap
from osoroi.garments import read_category
from osoroi.image.swatch import swatch
from osoroi.records import Clues, Input
from osoroi.search import DETAIL_ALONE

FIRST = 5
FOLDS = 5
CHIPS = {
    "Black": "#161616",
    "White": "#fafafa",
    "Blue": "#2b5fb4",
    "Beige": "beige",
    "Grey": "grey",
    "Pink": "#ee9db5",
    "Green": "green",
    "Orange": "#ee8130",
    "Khaki green": "khaki",
    "Yellow": "#f2d230",
    "Red": "#c3202f",
    "Brown": "brown",
    "Lilac Purple": "lilac",
    "Turquoise": "turquoise",
    "Metal": "silver",
    "Mole": "taupe",
}
"""Colour of the shop -> the chip somebody would choose for it."""


class Shop(NamedTuple):
    """Products with a known kind and a named colour."""

    kinds: np.ndarray
    colors: np.ndarray
    designs: Int64[np.ndarray, "n"]
    stored: Float32[np.ndarray, "n d"]
    """Vectors as a catalog has them, with the kind of the category."""
    asking: Float32[np.ndarray, "n d"]
    """Vectors of the same photos as queries, whose kind the picture says."""
    detail: Float32[np.ndarray, "n d"]
    """Vectors of the same photos as the second photo of a query."""


def shop(folder: Path, encoder: Encoder, most: int) -> Shop:
    """The products of hm, encoded in each role."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if read_category(row["category"]) and row["colour_master"] in CHIPS]
    rows = rows[:most]
    kinds = [read_category(row["category"]) or "" for row in rows]
    roles: dict[str, list[Float32[np.ndarray, "b d"]]] = {"asking": [], "detail": []}
    for start in range(0, len(rows), 64):
        paths = [folder / row["path"] for row in rows[start : start + 64]]
        street, flat = encoder.preprocessing["street"], encoder.preprocessing["shop"]
        photos = [image.read(path) for path in paths]
        roles["asking"].append(
            encoder.encode_inputs([Input(image.crop(photo, image.content(photo), street)) for photo in photos])
        )
        crops = [Input(image.crop(photo, None, flat), DETAIL_ALONE) for photo in photos]
        roles["detail"].append(encoder.encode_inputs(crops))
    asking, detail = np.concatenate(roles["asking"]), np.concatenate(roles["detail"])
    stored = np.concatenate(
        [encoder.with_kind(row[None], Clues(known={kind: 1.0})) for row, kind in zip(detail, kinds, strict=True)]
    )
    designs = np.array([int(row["product_code"]) for row in rows])
    return Shop(np.array(kinds), np.array([row["colour_master"] for row in rows]), designs, stored, asking, detail)


def taught(encoder: Encoder, given: Shop) -> Float32[np.ndarray, "n d"]:
    """Queries with the kind that the other designs teach, in folds of designs."""
    queries = given.asking.copy()
    fold = np.unique(given.designs, return_inverse=True)[1] % FOLDS
    for number in range(FOLDS):
        classifier = learn_kinds(encoder, given.stored[fold != number])
        if classifier is not None:
            queries[fold == number] = with_learned_kind(encoder, given.asking[fold == number], classifier)
    return queries


def chips(encoder: Encoder, colors: np.ndarray) -> Float32[np.ndarray, "n d"]:
    """The vector of each product's chip."""
    preprocessing = encoder.preprocessing["shop"]
    inputs = [Input(image.crop(swatch(code), None, preprocessing), DETAIL_ALONE) for code in CHIPS.values()]
    names = list(CHIPS)
    return encoder.encode_inputs(inputs)[[names.index(color) for color in colors]]


def hits(
    encoder: Encoder, given: Shop, queries: Float32[np.ndarray, "q d"], a: Int64[np.ndarray, "q"], b: np.ndarray
) -> tuple[Bool[np.ndarray, "q 5"], Bool[np.ndarray, "q 5"]]:
    """Which of the first five have the kind of A, and which the colour of B."""
    scores = encoder.weigh(queries) @ given.stored.T
    rows = np.arange(len(a))
    scores[rows, a] = scores[rows, b] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :FIRST]
    return given.kinds[best] == given.kinds[a][:, None], given.colors[best] == given.colors[b][:, None]


def bounds(given: Shop, a: Int64[np.ndarray, "q"], b: Int64[np.ndarray, "q"]) -> tuple[float, float]:
    """Chance and limit: the share of products that fit both wishes, and what a perfect search reaches."""
    same_kind = given.kinds[a][:, None] == given.kinds
    fits = (same_kind & (given.colors[b][:, None] == given.colors)).sum(axis=1)
    fits -= (given.colors[a] == given.colors[b]).astype(int) + (given.kinds[a] == given.kinds[b]).astype(int)  # a and b
    return float(fits.mean() / len(given.kinds)), float(np.minimum(fits, FIRST).mean() / FIRST)


def main() -> None:
    """Print kind, colour and both for each way to know the kind of A and each way to say the colour."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--products", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", type=int, choices=(0, 1))
    arguments = parser.parse_args()
    encoder = Encoder.open()
    given = shop(arguments.data / "hm", encoder, arguments.products)
    every = np.arange(len(given.kinds))
    b = np.random.default_rng(arguments.seed).permutation(every)
    mine = (given.designs % 2 == arguments.half if arguments.half is not None else every >= 0) & (b != every)
    a, b = every[mine], b[mine]
    chance, limit = bounds(given, a, b)
    print(f"{len(a)} pairs among {len(every)} products; chance {chance:.3f}, limit {limit:.3f}; "
          f"encoder {encoder.fingerprint[:12]}")  # fmt: skip
    known = given.asking.copy()
    known[:, encoder.columns[KIND]] = given.stored[:, encoder.columns[KIND]]
    colored = {"photo": given.detail, "chip": chips(encoder, given.colors)}
    usual = usual_detail(encoder, given.stored)
    clusters = np.unique(given.designs[a], return_inverse=True)[1]
    for name, asking in (("picture", given.asking), ("learned", taught(encoder, given)), ("given", known)):
        for source, details in colored.items():
            queries = centred(encoder, encoder.with_detail(asking[a], details[b]), usual)
            kind, color = hits(encoder, given, queries, a, b)
            both = bootstrap.bootstrap_means((kind & color).mean(axis=1)[:, None], clusters)[0]
            print(f"kind by {name:8} colour by {source:6} kind {kind.mean():.3f}  colour {color.mean():.3f}  "
                  f"both {both.mean:.3f} [{both.low:.3f}, {both.high:.3f}]")  # fmt: skip


if __name__ == "__main__":
    main()
