"""Shops whose categories are unknown to the dictionary, or wrong: what photos and categories are worth together.

    python -m benchmarks.categories ../shared/data

Queries are the true boxes of nine kinds in ccp, products are those of hm, as in ``benchmarks.kinds``, which says what
kind@5 and overlap are. Some words of the categories are unknown: pictures decide, or the words are learned from them
(``garments.learned.kind_of_word``). Some products stand under a random other category: agreement is how often looks
and category agree on held-out products, chance how often they would anyway. Means over random draws.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from benchmarks.kinds import NINE, Photos, first_five, shop, street
from jaxtyping import Bool, Float32

from osoroi import categories
from osoroi.encoder import Encoder
from osoroi.garments import learned, part, read_category
from osoroi.garments.kinds import NAMES
from osoroi.garments.posterior import part as part_of

WEIGHT = 0.4
"""Weight of the part ``kind`` in the encoder that ships."""

UNKNOWN = (0.5, 1.0)
WRONG = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of words that no dictionary knows, and of products under a wrong category."""


def words_of(folder: Path) -> list[str]:
    """The category of each product that ``benchmarks.kinds.shop`` gives, in its order."""
    with (folder / "hm" / "manifest.csv").open(encoding="utf-8") as file:
        return [row["category"] for row in csv.DictReader(file) if read_category(row["category"]) is not None]


def measured(
    queries: Photos, products: Photos, kinds: Float32[np.ndarray, "n k"], certain: Bool[np.ndarray, "n"]
) -> tuple[float, float]:
    """kind@5 over nine kinds, and overlap, of a shop whose products have these parts ``kind``."""
    weights = WEIGHT * part.share_of_weight(queries.kinds, float(certain.mean()))[:, None]
    looks = queries.looks @ products.looks.T
    best = first_five((1 - weights) * looks + weights * (queries.kinds @ kinds.T))
    names = np.array(products.names)
    hits, back = defaultdict(list), []
    for row, kind in enumerate(queries.names):
        hits[kind].append(float((names[best[row]] == kind).mean()))
        right = np.flatnonzero(names == kind)
        wanted = right[np.argsort(-looks[row, right], kind="stable")[:5]]
        back.append(len(set(wanted.tolist()) & set(best[row].tolist())) / max(len(wanted), 1))
    return float(np.mean([np.mean(hits[kind]) for kind in NINE])), float(np.mean(back))


def known(names: list[str]) -> Float32[np.ndarray, "n k"]:
    """Parts of products whose kind the shop says."""
    return np.stack([part_of({name: 1.0}) for name in names])


def unknown_words(queries: Photos, products: Photos, words: list[str], share: float, seed: int) -> list[float]:
    """kind@5 and overlap by picture and learned, and of the learned products the share of the right kind."""
    every = sorted(set(words))
    rng = np.random.default_rng(seed)
    hidden = set(rng.permutation(every)[: round(share * len(every))].tolist())
    unread = np.array([word in hidden for word in words])
    kinds = np.where(unread[:, None], products.kinds, known(products.names))
    by_picture = measured(queries, products, kinds, ~unread)
    names, right = np.array(products.names), []
    for word in sorted(hidden):
        rows = np.array([each == word for each in words])
        kind = learned.kind_of_word(products.kinds[rows])
        if kind is not None:
            kinds[rows], unread = part_of({kind: 1.0}), unread & ~rows
            right += (names[rows] == kind).tolist()
    return [*by_picture, *measured(queries, products, kinds, ~unread), float(np.mean(right)) if right else np.nan]


def wrong_categories(queries: Photos, products: Photos, share: float, seed: int) -> list[float]:
    """kind@5, overlap, agreement and chance, where a share of the products stands under a random other kind."""
    rng = np.random.default_rng(seed)
    names = list(products.names)
    for row in np.flatnonzero(rng.random(len(names)) < share):
        others = [name for name in products.names if name != names[row]]
        names[row] = others[int(rng.integers(len(others)))]  # as often as the shop has it
    labels = np.array([NAMES.index(name) for name in names])
    judged = categories.judged(products.looks, labels)
    assert judged is not None
    return [*measured(queries, products, known(names), np.ones(len(names), bool)), judged.share, judged.chance]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--first", type=int, default=0, help="number of the first of every two photos; 1 for others")
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    encoder = Encoder.open()
    queries = street(arguments.data, encoder, 2, arguments.first)
    products = shop(arguments.data, encoder, categories=False)
    tables(queries, products, words_of(arguments.data), arguments.draws)


def tables(queries: Photos, products: Photos, words: list[str], draws: int) -> None:
    """Both tables, from vectors."""
    everything = np.zeros(len(words), bool)
    by_picture = measured(queries, products, products.kinds, everything)
    print(f"by picture alone      kind@5 {by_picture[0]:.3f}  overlap {by_picture[1]:.3f}")
    for share in UNKNOWN:
        rows = [unknown_words(queries, products, words, share, seed) for seed in range(draws if share < 1 else 1)]
        before, overlap, after, back, right = np.nanmean(rows, axis=0)
        print(
            f"unknown words {share:4.0%}    by picture {before:.3f} ({overlap:.3f})  learned {after:.3f} ({back:.3f})  "
            f"right kind of learned products {right:.3f}"
        )
    for share in WRONG:
        rows = [wrong_categories(queries, products, share, seed) for seed in range(draws if share else 1)]
        kind5, back, agreement, chance = np.mean(rows, axis=0)
        print(f"wrong {share:4.0%}    kind@5 {kind5:.3f} ({back:.3f})  agreement {agreement:.3f}, chance {chance:.3f}")


if __name__ == "__main__":
    main()
