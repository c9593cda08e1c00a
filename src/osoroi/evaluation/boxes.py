"""How well garments are found in photos without a box: recall, precision and right kinds at IoU .5, over photos.

A found box and a true box match where their IoU is at least .5, the best pairs first, each box once.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from osoroi.evaluation.bootstrap import Interval
from osoroi.records import Box

MAIN: Final = ("top", "outerwear", "dress", "skirt", "trousers", "shorts", "shoes")
"""Kinds whose recall is counted together."""

MIN_IOU: Final = 0.5

SAMPLES: Final = 1000

KindBox = tuple[str, Box]


class BoxCount(NamedTuple):
    """Of one photo, by kind: true and found boxes, those of each that match, and found ones of the right kind."""

    true: Counter[str]
    recalled: Counter[str]
    proposed: Counter[str]
    precise: Counter[str]
    right: Counter[str]


def matched(located: Sequence[Box], true: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs (located, true) of boxes with an IoU of at least .5, the best first, each box at most once.

    >>> matched([Box(0, 0, 4, 4), Box(0, 0, 4, 3)], [Box(0, 0, 4, 3), Box(9, 9, 10, 10)])
    [(1, 0)]
    """
    if not located or not true:
        return []
    from osoroi.garments.people import overlap

    shares = overlap(np.array(located, float), np.array(true, float))
    pairs: list[tuple[int, int]] = []
    for at in np.argsort(-shares, axis=None, kind="stable"):
        row, column = divmod(int(at), shares.shape[1])
        free = all(row != one and column != other for one, other in pairs)
        if shares[row, column] >= MIN_IOU and free:
            pairs.append((row, column))
    return pairs


def count(proposed: Sequence[KindBox], true: Sequence[KindBox]) -> BoxCount:
    """What one photo adds to each share."""
    counts = BoxCount(
        Counter(kind for kind, _ in true), Counter(), Counter(kind for kind, _ in proposed), Counter(), Counter()
    )
    for row, column in matched([box for _, box in proposed], [box for _, box in true]):
        counts.recalled[true[column][0]] += 1
        counts.precise[proposed[row][0]] += 1
        counts.right[proposed[row][0]] += proposed[row][0] == true[column][0]
    return counts


def share(parts: Float[np.ndarray, "n"], wholes: Float[np.ndarray, "n"]) -> Interval:
    """Sum over sum with its 95% bootstrap interval over photos; not a number where nothing counts."""
    if not wholes.sum():
        return Interval(float("nan"), float("nan"), float("nan"))
    rows = np.random.default_rng(0).integers(len(parts), size=(SAMPLES, len(parts)))
    low, high = np.quantile(parts[rows].sum(1) / np.maximum(wholes[rows].sum(1), 1), (0.025, 0.975))
    return Interval(float(parts.sum() / wholes.sum()), float(low), float(high))


def summary(counts: Sequence[BoxCount]) -> dict[str, Interval]:
    """Recall of the main kinds, precision and right kind of all found boxes, then recall and precision of each kind."""

    def column(name: str, kinds: Sequence[str]) -> Float[np.ndarray, "n"]:
        return np.array([sum(getattr(each, name)[kind] for kind in kinds) for each in counts], float)

    true, found = (sorted({kind for each in counts for kind in getattr(each, name)}) for name in ("true", "proposed"))
    lines = {
        "recall": share(column("recalled", MAIN), column("true", MAIN)),
        "precision": share(column("precise", found), column("proposed", found)),
        "right kind": share(column("right", found), column("proposed", found)),
    }
    lines |= {f"recall of {kind}": share(column("recalled", [kind]), column("true", [kind])) for kind in true}
    return lines | {
        f"precision of {kind}": share(column("precise", [kind]), column("proposed", [kind])) for kind in found
    }
