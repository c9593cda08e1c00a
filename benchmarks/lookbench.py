"""LookBench by its protocol: exact item, fine and coarse, hit@1, hit@5, nDCG@5, with and without distractors.

    python benchmarks/lookbench.py FOLDER [--encoder FILE] [--subset real_streetlook] [--no-noise] [--json OUT]

docs/datasets/lookbench.md says what counts, and prints published rows with their caveats. Every gallery photo is ranked
by itself, as the benchmark does it; our own evaluation (``osoroi evaluate lookbench:...``) ranks products.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from osoroi.data.readers import open_dataset
from osoroi.data.readers.lookbench import SUBSETS
from osoroi.encoder import Encoder, loader
from osoroi.evaluation.bootstrap import Interval, bootstrap_means
from osoroi.records import Row

KS: Final = (1, 5)
MATCHES: Final = ("exact", "fine", "coarse")
COLUMNS: Final = ("hit@1", "hit@5", "nDCG@5")
THREADS: Final = 2


class Side(NamedTuple):
    """Vectors of queries or of a gallery, and what they show."""

    vectors: Float32[np.ndarray, "n d"]
    items: list[str]
    categories: list[str]
    attributes: list[str]

    def plus(self, other: "Side") -> "Side":
        """Both, one behind the other."""
        return Side(
            np.concatenate([self.vectors, other.vectors]),
            self.items + other.items,
            self.categories + other.categories,
            self.attributes + other.attributes,
        )


def embedded(rows: Sequence[Row], encoder: Encoder) -> Side:
    """Vectors of all crops that can be read; raises BadPhoto for one that cannot: a query less is another benchmark."""
    chosen, vectors = list(rows), []
    for batch in loader.encode(
        chosen, encoder.encode, lambda row: loader.crop_pixels(row.crop, encoder.preprocessing), threads=THREADS
    ):
        for error in batch.errors.values():
            raise error
        vectors.append(batch.vectors)
    return Side(
        np.concatenate(vectors) if vectors else np.empty((0, encoder.dim), np.float32),
        [row.product.product_id for row in chosen],
        [row.product.category or "" for row in chosen],
        [str(row.product.attributes.get("main_attribute", "")) for row in chosen],
    )


def keys(side: Side, match: str) -> list[tuple[str, ...]]:
    """What two photos have in common where they match."""
    columns = {"exact": (side.items,), "fine": (side.categories, side.attributes), "coarse": (side.categories,)}
    return list(zip(*columns[match], strict=True))


def same(query: Side, gallery: Side, match: str) -> list[Bool[np.ndarray, "n"]]:
    """For each query which of the gallery count: the same item; category and main attribute; category."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys(gallery, match)))}
    held = np.array([numbers[key] for key in keys(gallery, match)], np.int64)
    return [held == numbers.get(key, -1) for key in keys(query, match)]


def values(scores: Float32[np.ndarray, "n"], right: Bool[np.ndarray, "n"]) -> tuple[float, float, float]:
    """hit@1, hit@5 and nDCG@5 of one query; of equal scores the first in the gallery's order comes first.

    >>> [round(one, 4) for one in values(np.array([.1, .9, .5], np.float32), np.array([True, False, True]))]
    [0.0, 1.0, 0.6934]
    """
    order: Int64[np.ndarray, "n"] = np.argsort(-scores, kind="stable")[: max(KS)]
    hits = right[order]
    discounts = 1 / np.log2(np.arange(2, max(KS) + 2))
    ideal = discounts[: min(int(right.sum()), max(KS))].sum()
    gain = (hits * discounts[: len(hits)]).sum()
    return float(hits[:1].any()), float(hits.any()), float(gain / ideal) if ideal else 0.0


def judged(query: Side, gallery: Side, weights: Float32[np.ndarray, "d"]) -> dict[str, list[Interval]]:
    """For each match the mean and 95% interval of each column, drawn over the queries' items."""
    cluster = np.unique(query.items, return_inverse=True)[1].astype(np.int64)
    rights = {match: same(query, gallery, match) for match in MATCHES}
    rows: dict[str, list[tuple[float, float, float]]] = {match: [] for match in MATCHES}
    for number, vector in enumerate(query.vectors):
        scores = gallery.vectors @ (vector * weights)
        for match in MATCHES:
            rows[match].append(values(scores, rights[match][number]))
    table: dict[str, Float64[np.ndarray, "q 3"]] = {match: np.array(found) for match, found in rows.items()}
    return {match: bootstrap_means(found, cluster) for match, found in table.items()}


def printed(name: str, found: dict[str, list[Interval]]) -> None:
    """One line for each match."""
    for match, intervals in found.items():
        cells = (f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]" for mean, low, high in intervals)
        print(f"| {name} | {match} | " + " | ".join(cells) + " |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--subset", choices=SUBSETS, action="append")
    parser.add_argument("--no-noise", action="store_true", help="leave the distractors out")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    encoder = Encoder.open(chosen.encoder)
    weights = encoder.weigh(np.ones((1, encoder.dim), np.float32))[0]
    noise: Side | None = None
    results: dict[str, dict[str, list[Interval]]] = {}
    print("| gallery | match | " + " | ".join(COLUMNS) + " |\n|---|---|---:|---:|---:|")
    for subset in chosen.subset or SUBSETS:
        rows = list(open_dataset(f"lookbench:{chosen.folder}?subset={subset}").rows())
        query = embedded([row for row in rows if row.crop.domain == "street"], encoder)
        gallery = embedded([row for row in rows if row.crop.domain == "shop"], encoder)
        results[subset] = judged(query, gallery, weights)
        printed(subset, results[subset])
        if not chosen.no_noise:
            if noise is None:
                every = open_dataset(f"lookbench:{chosen.folder}?subset={subset}&noise=yes").rows()
                noise = embedded([row for row in every if row.product.product_id.startswith("noise/")], encoder)
            results[f"{subset} + noise"] = judged(query, gallery.plus(noise), weights)
            printed(f"{subset} + noise", results[f"{subset} + noise"])
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
