"""Designs: cut, pattern and colours of a product, and its title, category and price."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from osoroi.data.synthetic.cloth import COLOURS, Cloth
from osoroi.data.synthetic.cuts import Cut

CATEGORIES = {
    "t-shirt": "tops",
    "shirt": "tops",
    "sweater": "tops",
    "coat": "outerwear",
    "jacket": "outerwear",
    "dress": "dresses",
    "skirt": "skirts",
    "trousers": "pants",
    "shorts": "pants",
    "bag": "bags",
    "jumpsuit": "jumpsuits",
    "shoes": "shoes",
    "hat": "hats",
}
"""Kind -> category, in the words of Street2Shop."""

BRANDS = ("Asagi", "Kinu", "Momen", "Nagare", "Sora", "Tsumugi", "Yanagi")
PRICES = {"tops": 2900, "outerwear": 12900, "dresses": 6900, "skirts": 4900, "pants": 5900, "bags": 7900}
PRICES |= {"jumpsuits": 7900, "shoes": 8900, "hats": 2900}

LIKELY: dict[str, tuple[str, ...]] = {
    "t-shirt": ("plain", "stripes", "breton", "print", "print", "print", "blocks", "dots"),
    "shirt": ("plain", "plain", "pinstripes", "checks", "gingham", "flowers", "dots", "stripes"),
    "sweater": ("plain", "plain", "stripes", "breton", "blocks"),
    "coat": ("plain", "plain", "plain", "checks"),
    "dress": ("plain", "flowers", "flowers", "dots", "stripes", "gingham", "pinstripes", "blocks"),
    "skirt": ("plain", "plain", "checks", "flowers", "pinstripes", "gingham", "dots"),
    "trousers": ("plain", "plain", "plain", "pinstripes", "checks"),
    "bag": ("plain", "plain", "plain", "stripes", "blocks", "gingham"),
    "jumpsuit": ("plain", "plain", "flowers", "pinstripes", "dots"),
    "shoes": ("plain", "plain", "plain", "checks", "dots"),
    "hat": ("plain", "plain", "stripes", "gingham", "checks"),
}
"""Kind -> its patterns; frequent ones are listed more than once."""


@dataclass(frozen=True)
class Design:
    """A cut and a pattern, without a colour."""

    kind: str
    cut: Cut
    pattern: str
    size: float
    motif: int
    weave: float
    colours: tuple[str, ...]
    seconds: tuple[str, ...]

    def cloth(self, colourway: int) -> Cloth:
        """The cloth of one colourway."""
        main, second = COLOURS[self.colours[colourway]], COLOURS[self.seconds[colourway]]
        return Cloth(main, second, self.pattern, self.size, self.motif, self.weave)

    def title(self, colourway: int) -> str:
        """What a shop would call it.

        >>> design(0, 17).title(0)
        'Navy floral maxi pleated skirt'
        """
        return " ".join([self.colours[colourway].capitalize(), *self.words()])

    def words(self) -> list[str]:
        adjective = {"plain": "", "stripes": "striped", "checks": "checked", "dots": "dotted", "flowers": "floral"}
        adjective |= {"print": "printed", "blocks": "two-tone", "pinstripes": "pinstriped"}
        return [w for w in (adjective.get(self.pattern, self.pattern), *described(self.kind, self.cut)) if w]


NAMES = {
    "bag": {"strap": "shoulder bag", "": "tote bag"},
    "shoes": {"boot": "boots", "sneaker": "sneakers", "": "shoes"},
    "hat": {"brim": "hat", "visor": "cap", "": "beanie"},
}
"""Kind -> what it is called with a detail, and without any of them."""


def described(kind: str, cut: Cut) -> list[str]:
    """The words of a title for a cut."""
    if kind in ("bag", "shoes", "hat"):
        return [next((name for detail, name in NAMES[kind].items() if detail in cut.details), NAMES[kind][""])]
    if kind in ("trousers", "shorts"):
        return ["shorts" if cut.length < 4 else "wide trousers" if cut.ease > 0.14 else "trousers"]
    if kind == "skirt":
        long = "mini" if cut.length < 3.7 else "midi" if cut.length < 5 else "maxi"
        return [long, "pleated skirt" if "pleats" in cut.details else "skirt"]
    sleeve = "sleeveless" if not cut.sleeve else "" if cut.sleeve < 0.6 or kind != "t-shirt" else "long-sleeved"
    if kind in ("coat", "jacket"):
        return ["belted" if "belt" in cut.details else "double-breasted" if "double" in cut.details else "", kind]
    long = ("mini" if cut.length < 4 else "midi" if cut.length < 5 else "maxi") if kind == "dress" else ""
    long = "wide" if kind == "jumpsuit" and cut.ease > 0.12 else long
    neck = f"with {cut.neck} neck" if cut.neck in ("V", "boat", "scoop", "high", "crew") else ""
    return [sleeve, long, kind, neck]


def design(seed: int, number: int, *, all_kinds: bool = False) -> Design:
    """The design of a number; it depends on these alone."""
    known = CUTS | FURTHER_CUTS if all_kinds else CUTS
    order = np.random.default_rng([seed, 1, number // len(known)]).permutation(len(known))
    kind = list(known)[int(order[number % len(known)])]
    dice = np.random.default_rng([seed, 2, number])
    made = known[kind](dice)
    pattern = str(dice.choice(LIKELY[kind]))
    names = list(COLOURS)
    colours = tuple(str(name) for name in dice.permutation(names)[:4])
    seconds = tuple(second(name, dice) for name in colours)
    weave = {"sweater": 0.04, "coat": 0.028, "trousers": 0.02}.get(kind, 0.01)
    size = float(dice.uniform(0.16, 0.42))
    return Design(made.kind, made, pattern, size, int(dice.integers(60)), weave, colours, seconds)


def second(main: str, dice: np.random.Generator) -> str:
    """A colour that stands out from the main one."""
    far = [name for name, rgb in COLOURS.items() if abs(luma(rgb) - luma(COLOURS[main])) > 60]
    usual = [name for name in ("white", "black", "navy", "cream") if name in far]
    return str(dice.choice(usual if dice.random() < 0.6 else far))


def luma(rgb: tuple[int, int, int]) -> float:
    return 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2]


def pick(dice: np.random.Generator, *these: str) -> str:
    return these[int(dice.integers(len(these)))]


def one(dice: np.random.Generator, *these: float) -> float:
    return these[int(dice.integers(len(these)))]


def maybe(dice: np.random.Generator, share: float, *details: str) -> tuple[str, ...]:
    """A random subset, each member with its own probability."""
    return tuple(name for name in details if dice.random() < share)


def t_shirt(dice: np.random.Generator) -> Cut:
    sleeve = one(dice, 0.0, 0.24, 0.3, 0.3, 0.48, 0.98)
    neck = pick(dice, "crew", "crew", "V", "scoop", "boat")
    details = ("rib",) if sleeve else ("rib", "straps")
    return Cut("t-shirt", dice.uniform(1.9, 2.5), sleeve, dice.uniform(0.0, 0.2), 0.0, neck, details)


def shirt(dice: np.random.Generator) -> Cut:
    details = ("placket", *maybe(dice, 0.6, "pockets", "cuffs"))
    sleeve = one(dice, 0.36, 0.98, 0.98)
    return Cut("shirt", dice.uniform(2.1, 2.7), sleeve, dice.uniform(0.05, 0.2), 0.0, "collar", details)


def sweater(dice: np.random.Generator) -> Cut:
    details = ("rib", "cuffs", *maybe(dice, 0.2, "bell"))
    neck = pick(dice, "crew", "high", "V", "boat")
    return Cut("sweater", dice.uniform(1.95, 2.5), dice.uniform(0.94, 1.0), dice.uniform(0.1, 0.26), 0.0, neck, details)


def coat(dice: np.random.Generator) -> Cut:
    closed = pick(dice, "open", "open", "double", "single")
    details = (closed, "lapels", *maybe(dice, 0.4, "belt", "pockets", "pockets"))
    if dice.random() < 0.4:
        return Cut("jacket", dice.uniform(2.0, 2.6), 0.98, dice.uniform(0.1, 0.2), 0.1, "crew", details)
    return Cut(
        "coat", dice.uniform(3.4, 5.2), 0.98, dice.uniform(0.12, 0.24), dice.uniform(0.05, 0.25), "crew", details
    )


def dress(dice: np.random.Generator) -> Cut:
    sleeve = one(dice, 0.0, 0.0, 0.24, 0.3, 0.5, 0.96)
    details = (*(() if sleeve else maybe(dice, 0.5, "straps")), *maybe(dice, 0.3, "belt", "bell"))
    neck = pick(dice, "crew", "V", "scoop", "boat", "V")
    ease, flare = dice.uniform(0.0, 0.1), dice.uniform(0.1, 0.7)
    return Cut("dress", dice.uniform(3.4, 5.6), sleeve, ease, flare, neck, details)


def skirt(dice: np.random.Generator) -> Cut:
    details = maybe(dice, 0.45, "pleats")
    return Cut("skirt", dice.uniform(3.0, 5.6), 0.0, dice.uniform(0.0, 0.15), dice.uniform(0.0, 0.7), "crew", details)


def trousers(dice: np.random.Generator) -> Cut:
    length = one(dice, 3.5, 5.9, 6.3, 6.4) + dice.uniform(-0.1, 0.1)
    return Cut("shorts" if length < 4 else "trousers", length, 0.0, dice.uniform(0.03, 0.22))


def bag(dice: np.random.Generator) -> Cut:
    details = (pick(dice, "strap", "tote"), *maybe(dice, 0.5, "flap"))
    return Cut("bag", dice.uniform(0.7, 1.15), 0.0, dice.uniform(0.02, 0.28), dice.uniform(-0.2, 0.3), "crew", details)


def jumpsuit(dice: np.random.Generator) -> Cut:
    sleeve, neck = one(dice, 0.0, 0.3, 0.96), pick(dice, "crew", "V", "scoop")
    return Cut("jumpsuit", one(dice, 3.6, 6.2, 6.3), sleeve, dice.uniform(0.02, 0.2), 0.0, neck)


def shoes(dice: np.random.Generator) -> Cut:
    length = one(dice, 0.0, 0.02, 0.1, 0.5, 1.2) + dice.uniform(0.0, 0.05)
    details = (pick(dice, "sneaker", "pump", "open") if length < 0.3 else "boot",)
    return Cut("shoes", length, 0.0, dice.uniform(0.0, 0.08), dice.uniform(0.0, 0.2), "crew", details)


def hat(dice: np.random.Generator) -> Cut:
    details = (pick(dice, "brim", "visor", "beanie"),)
    return Cut("hat", dice.uniform(0.4, 0.65), 0.0, dice.uniform(0.0, 0.06), dice.uniform(0.0, 0.3), "crew", details)


CUTS: dict[str, Callable[[np.random.Generator], Cut]] = {
    "t-shirt": t_shirt,
    "shirt": shirt,
    "sweater": sweater,
    "coat": coat,
    "dress": dress,
    "skirt": skirt,
    "trousers": trousers,
    "bag": bag,
}
"""Kind, each once in eight designs -> a random cut of it."""

FURTHER_CUTS: dict[str, Callable[[np.random.Generator], Cut]] = {"jumpsuit": jumpsuit, "shoes": shoes, "hat": hat}
"""Kinds that are drawn only where all kinds are wanted, so that the designs of a seed stay what they were."""
