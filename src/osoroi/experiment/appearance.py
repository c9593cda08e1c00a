r"""How near the colors of results are to the query's, and how much results differ among themselves.

The source claimed both by looking at pictures: arms with shallow paths retrieve nearer colors, and the results of both
vary less. Here they are numbers, from the photos alone and from no encoder:

- **color**: the mean CIE L*a*b* of the garment; the distance of two is their :math:`\Delta E_{76}`;
- **outline**: the garment's mask, scaled to a square of 32 x 32 that keeps its proportions; the distance of two is
  1 - intersection / union, from 0 (the same outline) to 1.

The garment of a shop photo is what differs from the color of its border; where that is almost nothing or everything
(white on white, a photo that is filled), all of the photo counts. That of a street photo is the middle of its box,
weighed by a Gaussian; its outline is not known.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from PIL import Image

from osoroi.data.readers import Reader
from osoroi.evaluation import bootstrap, results
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import System
from osoroi.garments.profile import to_lab
from osoroi.records import Crop
from osoroi.report import examples, grid

SIDE = 96
"""Longest side in pixels at which colors and outlines are measured."""

OUTLINE = 32
CONTRAST = 12.0
"""Distance from the color of the border, in ΔE, from which a pixel is garment."""

SENSIBLE = (0.08, 0.97)
"""Shares of a shop photo between which a mask is believed."""

FIRST = 5
"""Results that are measured, from the first."""


class Appearance(NamedTuple):
    """Mean L*a*b* of a garment, and its outline; None for a street photo."""

    color: Float64[np.ndarray, "3"]
    outline: Bool[np.ndarray, "32 32"] | None


class Distances(NamedTuple):
    """Of one query's first results: mean color distance to the query; mean pairwise distances of color and outline.

    nan where fewer than two photos can be read, or the query's cannot.
    """

    query_color: float
    result_color: float
    result_outline: float


NAMES: Mapping[str, str] = {
    "query_color": "color distance of the first five to the query (ΔE)",
    "result_color": "color distance among the first five (ΔE)",
    "result_outline": "outline distance among the first five (0 to 1)",
}
"""Field of ``Distances`` -> what tables call it."""


def of_shop(photo: UInt8[np.ndarray, "h w 3"]) -> Appearance:
    """The appearance of a product by its shop photo."""
    lab = to_lab(_small(photo)).astype(np.float64)
    mask = foreground(lab)
    return Appearance(lab[mask].mean(0), outline(mask))


def of_street(photo: UInt8[np.ndarray, "h w 3"]) -> Appearance:
    """The color of what a street photo's box shows, its middle most."""
    lab = to_lab(_small(photo)).astype(np.float64)
    height, width, _ = lab.shape
    rows = np.exp(-(((np.arange(height) + 0.5) / height - 0.5) ** 2) / (2 * 0.2**2))
    columns = np.exp(-(((np.arange(width) + 0.5) / width - 0.5) ** 2) / (2 * 0.2**2))
    weights = np.outer(rows, columns)
    return Appearance((lab * weights[..., None]).sum((0, 1)) / weights.sum(), None)


def _small(photo: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "y x 3"]:
    picture = Image.fromarray(photo)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def foreground(lab: Float64[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """What differs from the median color of the border; everything, where that is hardly sensible."""
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    mask = np.linalg.norm(lab - np.median(border, axis=0), axis=-1) > CONTRAST
    low, high = SENSIBLE
    return mask if low < mask.mean() < high else np.ones(mask.shape, bool)


def outline(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "32 32"]:
    """The mask's bounding box in the middle of a square, its proportions kept.

    >>> upright = outline(np.ones((40, 20), bool))
    >>> upright.shape, int(upright.sum()) == 32 * 16
    ((32, 32), True)
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = OUTLINE / max(inside.shape)
    height, width = (max(1, round(side * scale)) for side in inside.shape)
    small = Image.fromarray(inside.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    square = np.zeros((OUTLINE, OUTLINE), bool)
    top, left = (OUTLINE - height) // 2, (OUTLINE - width) // 2
    square[top : top + height, left : left + width] = np.asarray(small) > 127
    return square


def color_distance(one: Appearance, other: Appearance) -> float:
    """Euclidean distance in L*a*b*."""
    return float(np.linalg.norm(one.color - other.color))


def outline_distance(one: Appearance, other: Appearance) -> float:
    """1 - intersection / union; nan where an outline is not known."""
    if one.outline is None or other.outline is None:
        return float("nan")
    union = (one.outline | other.outline).sum()
    return 1.0 - float((one.outline & other.outline).sum() / union) if union else 0.0


def distances(query: Appearance | None, results: Sequence[Appearance]) -> Distances:
    """Of one query's results.

    >>> red, blue = (Appearance(np.array([50.0, a, 0.0]), np.ones((32, 32), bool)) for a in (40.0, -40.0))
    >>> distances(red, [red, blue])
    Distances(query_color=40.0, result_color=80.0, result_outline=0.0)
    """
    pairs = list(combinations(results, 2))
    to_query = [] if query is None else [color_distance(query, one) for one in results]
    return Distances(
        _mean(to_query),
        _mean([color_distance(*pair) for pair in pairs]),
        _mean([outline_distance(*pair) for pair in pairs]),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


class Appearances(NamedTuple):
    """Appearances of the queries by crop id, and of the products by product id."""

    queries: Mapping[str, Appearance]
    products: Mapping[str, Appearance]


def measure(readers: Iterable[Reader], systems: Sequence[System]) -> Appearances:
    """Of every query, uncorrupted, and of every product among the first results of any system."""
    evaluation = systems[0].evaluations[0]
    wanted = {
        product
        for system in systems
        for each in system.evaluations
        for top in each.arm(system.arm).top
        for product in top[:FIRST]
    }
    crops = examples.load_crops(readers, evaluation.queries, wanted)
    queries = {name: _of(crop, street=True) for name, crop in crops.queries.items()}
    products = {name: _of(crop, street=False) for name, crop in crops.products.items()}
    return Appearances(
        {name: one for name, one in queries.items() if one is not None},
        {name: one for name, one in products.items() if one is not None},
    )


def _of(crop: Crop, *, street: bool) -> Appearance | None:
    picture = grid.picture_of(crop)
    if picture is None or not picture.size:
        return None
    return of_street(picture) if street else of_shop(picture)


def by_query(system: System, appearances: Appearances) -> Float64[np.ndarray, "q 3"]:
    """The distances of every query's first results, averaged over seeds."""
    per_seed = []
    for evaluation in system.evaluations:
        rows = []
        for query, top in zip(evaluation.queries, evaluation.arm(system.arm).top, strict=True):
            results = [appearances.products[name] for name in top[:FIRST] if name in appearances.products]
            rows.append(distances(appearances.queries.get(query.crop_id), results))
        per_seed.append(np.array(rows, np.float64).reshape(-1, len(Distances._fields)))
    return np.mean(per_seed, axis=0)


class AppearanceComparison(NamedTuple):
    """One distance of a system: its mean, and its difference from the reference, paired by query; both intervals over
    products and designs. ``p`` is of no difference."""

    mean: Interval
    difference: Interval | None
    p: float


def compared(
    systems: Sequence[System], appearances: Appearances, reference: System | None
) -> dict[str, dict[str, AppearanceComparison]]:
    """Name of the system -> name of the distance -> its mean and difference."""
    values = {one.name: by_query(one, appearances) for one in systems}
    base = None if reference is None else values[reference.name]
    cluster = results.clusters([each for system in systems for each in system.evaluations])
    table: dict[str, dict[str, AppearanceComparison]] = {}
    for name, rows in values.items():
        table[name] = {}
        for column, field in enumerate(Distances._fields):
            own = rows[:, column]
            others = own if base is None else base[:, column]
            known = np.isfinite(own) & np.isfinite(others)
            if not known.any():
                continue
            mean = bootstrap.bootstrap_means(own[known, None], cluster[known], span=(0.0, 400.0))[0]
            difference, p = None, 1.0
            if base is not None and name != (reference.name if reference else None):
                gaps = (own - others)[known]
                difference = bootstrap.bootstrap_means(gaps[:, None], cluster[known], span=(-400.0, 400.0))[0]
                p = bootstrap.sign_flip_test(gaps, cluster[known])
            table[name][field] = AppearanceComparison(mean, difference, p)
    return table
