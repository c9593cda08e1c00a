r"""Garments drawn by us: nothing to download, any number of products, the same ones every time.

``drawn:200`` draws 200 products with seed 0, ``drawn:200:7`` with seed 7. A product is a design in one of its colours:
one to four products share a ``design_id`` and differ in colour alone, so that shape does not tell them apart. Each has
one or two photos of the shop (laid out on white, hung up on grey) and one or two of the street: worn by somebody,
somewhere, folded, half hidden, in other light, seen askew, as a JPEG; there with the garment's box.

Product n is the same however many are drawn, and a photo is drawn when it is read, from (seed, n, view) alone.
``drawn:200:7?kinds=all`` draws jumpsuits, shoes and hats as well; its products are others.

Designs are split into train, val and test 7:1:2. An evaluation that names no split queries all of them: an encoder that
learned from drawn products should be evaluated on another seed, or on ``--split test``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from osoroi.data import splits
from osoroi.data.readers import Reader
from osoroi.data.synthetic import stage
from osoroi.data.synthetic.cloth import Cloth
from osoroi.data.synthetic.designs import BRANDS, CATEGORIES, PRICES, Design, design
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row

COLOURWAYS = (3, 1, 4, 2, 3, 2, 4, 1)
"""How many products one design after the other comes in; then again from the first."""

CACHED = 1024
"""How many drawn photos, of about 20 kB, are in memory: several systems are trained and measured on the same ones."""

SPLIT_OF = splits.dealer("7:1:2")


def sewn(number: int) -> tuple[int, int]:
    """Number of the design and of the colourway of product ``number``.

    >>> [sewn(number) for number in (0, 2, 3, 4, 20)]
    [(0, 0), (0, 2), (1, 0), (2, 0), (8, 0)]
    """
    ends = list(accumulate(COLOURWAYS))
    round_, rest = divmod(number, ends[-1])
    at = next(place for place, end in enumerate(ends) if rest < end)
    return round_ * len(COLOURWAYS) + at, rest - (ends[at] - COLOURWAYS[at])


@dataclass(frozen=True)
class DrawnPhoto:
    r"""One photo, drawn whenever it is read.

    >>> photo = DrawnPhoto(0, 12, "street-1")
    >>> photo.name, photo.read()[:2] == b"\xff\xd8"
    ('drawn:0/p00012/street-1', True)
    """

    seed: int
    number: int
    view: str
    all_kinds: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        kinds = "all/" if self.all_kinds else ""
        return f"drawn:{self.seed}/{kinds}p{self.number:05d}/{self.view}"

    def dice(self, stream: int) -> np.random.Generator:
        """One of this photo's own streams of chance."""
        return np.random.default_rng([self.seed, 3, self.number, VIEWS.index(self.view), stream])

    def design(self) -> tuple[Design, Cloth]:
        """What it shows."""
        at, colourway = sewn(self.number)
        made = design(self.seed, at, all_kinds=self.all_kinds)
        return made, made.cloth(colourway)

    def box(self) -> Box | None:
        """Where the garment is in a photo of the street."""
        if not self.view.startswith("street"):
            return None
        _, own, camera = stage.posed(*self.design(), self.dice(0))
        return Box(*stage.box(own, camera))

    def staged(self) -> stage.Stage:
        """All that is before the camera."""
        if self.view.startswith("street"):
            return stage.in_street(*self.design(), self.dice(0))
        return stage.in_shop(*self.design(), self.dice(0), hung=self.view == "shop-2")

    def read(self) -> bytes:
        """The JPEG."""
        return _jpeg(self)


@lru_cache(maxsize=CACHED)
def _jpeg(photo: DrawnPhoto) -> bytes:
    return stage.taken(photo.staged(), photo.dice(1), shade=0.07 if photo.view == "shop-2" else 0.0)


VIEWS = ("shop-1", "shop-2", "street-1", "street-2")


@dataclass(frozen=True)
class Drawn:
    """So many products of a seed."""

    products: int
    seed: int
    all_kinds: bool = False

    def rows(self) -> Iterator[Row]:
        """Every photo of every product, in order."""
        for number in range(self.products):
            product = self.product(number)
            split = SPLIT_OF(product)
            for view in self.views(number):
                photo = DrawnPhoto(self.seed, number, view, self.all_kinds)
                box = photo.box()
                domain: Domain = "street" if box else "shop"
                yield Row(product, Crop(f"{product.product_id}/{view}", product.product_id, domain, photo, box, split))

    def views(self, number: int) -> list[str]:
        """One or two photos of each domain."""
        dice = np.random.default_rng([self.seed, 4, number])
        more = dict(zip(("shop-2", "street-2"), dice.random(2) < (0.4, 0.5), strict=True))
        return [view for view in VIEWS if more.get(view, True)]

    def product(self, number: int) -> Product:
        """What a shop says of it."""
        at, colourway = sewn(number)
        made: Design = design(self.seed, at, all_kinds=self.all_kinds)
        dice = np.random.default_rng([self.seed, 5, at])
        category = CATEGORIES[made.kind]
        price = round(PRICES[category] * float(dice.uniform(0.6, 2.2)), -2) - 10
        attributes = {"kind": made.kind, "colour": made.colours[colourway], "pattern": made.pattern}
        stock = bool(np.random.default_rng([self.seed, 6, number]).random() < 0.85)
        return Product(
            product_id=f"p{number:05d}",
            title=made.title(colourway),
            category=category,
            brand=str(dice.choice(BRANDS)),
            price=price,
            currency="JPY",
            design_id=f"d{at:05d}",
            attributes={**attributes, "in_stock": stock},
        )


def open_reader(path: str, *, kinds: str = "usual") -> Reader:
    """The reader of ``count`` or ``count:seed``; ``kinds=all`` draws jumpsuits, shoes and hats, too.

    >>> open_reader("many")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: 'many' is no number of products to draw; write drawn:200, or drawn:200:7 with a seed
    """
    count, colon, seed = path.partition(":")
    numbers = [count, seed] if colon else [count, "0"]
    if not all(number.isascii() and number.isdigit() and len(number) <= 9 for number in numbers) or int(count) < 1:
        raise BadDataset(
            f"{path!r} is no number of products to draw", hint="write drawn:200, or drawn:200:7 with a seed"
        )
    if kinds not in ("usual", "all"):
        raise BadDataset(f"kinds {kinds!r}", hint="kinds=all draws jumpsuits, shoes and hats, too")
    return Drawn(int(count), int(numbers[1]), kinds == "all")
