"""What the detail slider does: of the first 5 products, how many have the colour, and how many the type, of what asked.

    python benchmarks/slider.py [--encoder FILE] [--all | --composed] [--json FILE]

Every H&M top asks by its product photo (``--composed``: by a street photo composed from it) among all others, itself
left out and nothing else: its own design in other colours stands there too. Colour is the shop's ``colour_master``,
type its finest category (blouse, sweater, …); tops without a colour name do not ask. ``--all``: every product asks
among all, and type is the kind (top, skirt, …). The shop's categories are given. Intervals draw whole designs. The
photos are for research only; ``OSOROI_DATA`` names their folder.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.encoder import DETAIL, Encoder
from osoroi.encoder.slider import distinctive, usual
from osoroi.errors import BadPhoto
from osoroi.evaluation import bootstrap
from osoroi.garments.part import known_kind
from osoroi.records import Crop, Input, Product

DATA = Path(os.environ.get("OSOROI_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
STEPS = 10
FIRST = 5
KEPT = 0.95
NAMELESS = ("Unknown", "undefined", "")


class Tops(NamedTuple):
    """Products, the vectors that are found, and those that ask, one row a product."""

    products: list[Product]
    found: Float32[np.ndarray, "n d"]
    asking: Float32[np.ndarray, "n d"]

    def attribute(self, name: str) -> np.ndarray:
        """Of each product."""
        return np.array([str(product.attributes.get(name, "")) for product in self.products])


class Point(NamedTuple):
    """Shares of the first products that have the colour and the type of what asked, with their intervals."""

    slider: float | None
    colour: bootstrap.Interval
    kind: bootstrap.Interval


def tops(encoder: Encoder, composed: bool, recipe: str = "hm") -> Tops:
    """Every top with a product photo, and with a composed street photo where those ask; every product by ``hm_all``."""
    table = f"{DATA / 'hm' / 'manifest.csv'}?recipe={recipe}"
    dataset = f"composed:{table}&scenes={DATA / 'ccp' / 'bg'}&views=1" if composed else f"table:{table}"
    sides: dict[str, dict[str, tuple[Product, Crop]]] = {"shop": {}, "street": {}}
    for product, crop in open_dataset(dataset).rows():
        sides[crop.domain].setdefault(product.product_id, (product, crop))
    asks = sides["street" if composed else "shop"]
    names = [name for name in sides["shop"] if name in asks]
    found = vectors(encoder, [sides["shop"][name] for name in names])
    asking = vectors(encoder, [asks[name] for name in names]) if composed else found
    readable = np.isfinite(found[:, 0]) & np.isfinite(asking[:, 0])
    products = [sides["shop"][name][0] for name, there in zip(names, readable, strict=True) if there]
    return Tops(products, found[readable], asking[readable])


def vectors(encoder: Encoder, rows_of: list[tuple[Product, Crop]]) -> Float32[np.ndarray, "n d"]:
    """One row a crop, in the kind of its product's category; not a number where its photo cannot be read."""
    rows = np.full((len(rows_of), encoder.dim), np.nan, np.float32)
    for number, (product, crop) in enumerate(rows_of):
        try:
            pixels = image.crop(crop.photo, crop.box, encoder.preprocessing[crop.domain])
            rows[number] = encoder.encode_inputs([Input(pixels, encoder.clues_of(product))])[0]
        except BadPhoto:
            continue
    return rows


def first(scores: Float32[np.ndarray, "q n"]) -> np.ndarray:
    """The best products of each row, itself left out; of equal scores the first."""
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :FIRST]


def share(names: np.ndarray, best: np.ndarray) -> Float64[np.ndarray, "q"]:
    """How many of the first are called as what asked."""
    same: Bool[np.ndarray, "q k"] = names[best] == names[:, None]
    return same.mean(axis=1)


def measure(encoder: Encoder, composed: bool, every: bool = False) -> tuple[list[Point], bootstrap.Interval, int]:
    """A point for each step and for the encoder's own weights, last; and what the slider adds in colour."""
    given = tops(encoder, composed, recipe="hm_all" if every else "hm")
    colour, kind = given.attribute("color" if every else "colour_master"), given.attribute("kind")
    if every:
        kind = np.array([known_kind(product) or "" for product in given.products])
    asks = ~np.isin(colour, NAMELESS) & (kind != "")
    designs = np.unique([product.design_id or product.product_id for product in given.products], return_inverse=True)[1]
    shares = []
    set_by_hand, columns = given.asking.copy(), encoder.columns[DETAIL]
    set_by_hand[:, columns] = distinctive(given.asking[:, columns], usual(given.found[:, columns]))
    sliders: list[float | None] = [*(step / STEPS for step in range(STEPS + 1)), None]
    for slider in sliders:
        asking = given.asking if slider is None else set_by_hand
        best = first(encoder.weigh(asking, slider) @ given.found.T)
        shares.append(np.stack([share(colour, best)[asks], share(kind, best)[asks]], axis=1))
    points = [
        Point(slider, *bootstrap.bootstrap_means(each, designs[asks]))
        for slider, each in zip(sliders, shares, strict=True)
    ]
    gain = bootstrap.bootstrap_means((shares[STEPS] - shares[0])[:, :1], designs[asks], span=(-1.0, 1.0))[0]
    return points, gain, int(asks.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", type=Path)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--composed", action="store_true")
    which.add_argument("--all", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    encoder = Encoder.open(arguments.encoder)
    points, gain, asked = measure(encoder, arguments.composed, arguments.all)
    what = "products" if arguments.all else "tops"
    by = "composed street" if arguments.composed else "product"
    print(f"{asked:,} {what} ask by a {by} photo; encoder {encoder.fingerprint[:12]}")
    print("slider  same colour         same type")
    for point in points:
        name = "own " if point.slider is None else f"{point.slider:.1f} "
        print(name, *(f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in (point.colour, point.kind)))
    kept = points[STEPS].kind.mean / points[0].kind.mean
    print(f"0 to 1: {100 * gain.mean:+.1f} points of colour [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}], "
          f"{100 * kept:.0f}% of the same-type share kept")  # fmt: skip
    wide = max(range(STEPS + 1), key=lambda step: step if points[step].kind.mean >= KEPT * points[0].kind.mean else -1)
    print(f"0 to {wide / STEPS}: {100 * (points[wide].colour.mean - points[0].colour.mean):+.1f} points of colour, "
          f"at least {KEPT:.0%} of the same-type share kept")  # fmt: skip
    if arguments.json:
        told: dict[str, Any] = {
            "encoder": encoder.fingerprint,
            "asked": asked,
            "composed": arguments.composed,
            "points": [[point.slider, list(point.colour), list(point.kind)] for point in points],
            "colour gained": list(gain),
            "type kept": kept,
        }
        arguments.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
