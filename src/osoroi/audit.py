"""What is wrong with a data set before anything is learned or measured on it: leaks, broken things, odd things."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8

from osoroi import image
from osoroi.data.readers import Reader
from osoroi.encoder import Encoder
from osoroi.errors import BadPhoto
from osoroi.image import phash
from osoroi.records import Crop, Row
from osoroi.report import grid
from osoroi.report.grid import Cell

Group = Literal["leak", "broken", "note"]

KINDS: dict[str, tuple[Group, str]] = {
    "product-in-two-splits": ("leak", "a product has crops in two splits"),
    "design-in-two-splits": ("leak", "products of one design, in other colours, stand in two splits"),
    "photo-in-two-splits": ("leak", "near-identical photos of different products stand in two splits"),
    "query-in-gallery": ("leak", "a street crop is near-identical with a shop crop"),
    "duplicate-id": ("broken", "one crop_id for two crops"),
    "box-outside-photo": ("broken", "a box that leaves its photo, or has no area"),
    "unreadable-photo": ("broken", "a photo that cannot be read"),
    "no-shop-photo": ("broken", "a product that is asked for and has no readable shop photo"),
    "one-photo-two-products": (
        "note",
        "near-identical shop photos of two products in one split: a wrong answer that is right",
    ),
    "never-asked": ("note", "a product without a street crop"),
    "design-in-several-colours": ("note", "a design with several products: hard negatives"),
}
"""What is looked for: how grave it is, and what it means."""

RADIUS = 8
"""Bits in which hashes of candidates may differ: 99 of 100 copies (70% of the size, 95% light, JPEG 60) stay within."""

PIXELS = 0.98
"""Correlation of their thumbs from which candidates count as one photo; 91 of 100 such copies reach it."""

LIKE = 0.85
"""Cosine of their vectors, under the encoder's weights, that they must reach too; 97 of 100 such copies do."""

EXAMPLES = 12
"""Of each kind; all are counted."""

BATCH = 64


class Example(NamedTuple):
    """One case in words, and the crops that show it."""

    told: str
    crops: tuple[Crop, ...]


@dataclass
class Finding:
    """All cases of one kind: how many, and some of them."""

    kind: str
    count: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def group(self) -> Group:
        """How grave it is."""
        return KINDS[self.kind][0]

    @property
    def meaning(self) -> str:
        """What it means."""
        return KINDS[self.kind][1]

    def add(self, told: str, *crops: Crop) -> None:
        """One more case."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(told, crops))


@dataclass(frozen=True)
class Audit:
    """Every kind with its cases, and how much was looked at."""

    findings: Mapping[str, Finding]
    splits: Mapping[str, Mapping[str, int]]

    def failed(self, fail_on: Iterable[str]) -> list[Finding]:
        """The findings, of those kinds or groups, that have a case."""
        wanted = set(fail_on)
        return [each for each in self.findings.values() if each.count and wanted & {each.kind, each.group}]


class Seen(NamedTuple):
    """A crop that was read: its row and its hash."""

    row: Row
    hash: np.uint64


class Problem(NamedTuple):
    """Why a crop could not be read, as a kind and in words."""

    kind: str
    told: str


def audit(
    reader: Reader,
    encoder: Encoder,
    *,
    threads: int = 1,
    like: float = LIKE,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Audit:
    """Read every row and every photo once, then the photos of likely pairs again.

    Crops are one photo where their perceptual hashes differ in few bits, and both the pixels that are left at 48 x 48
    and, with a cosine of at least ``like``, the encoder's vectors agree. Plain garments of one colour have the same
    hash; the others tell them apart. Crops are looked at, not photos: two garments cut from one photo are two.
    """
    findings = {kind: Finding(kind) for kind in KINDS}
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    ids, products = Ids(findings["duplicate-id"]), Products()
    seen: list[Seen] = []
    with ThreadPoolExecutor(threads) as pool:
        for done, (row, found) in enumerate(_read(reader.rows(), pool), start=1):
            splits[row.crop.split or "none"][row.crop.domain] += 1
            products.add(row, readable=not isinstance(found, Problem))
            known = ids.add(row)
            if isinstance(found, Problem):
                findings[found.kind].add(f"{row.crop.crop_id}: {found.told}", row.crop)
            elif not known:
                seen.append(Seen(row, found))
            on_progress(done)
    products.report(findings)
    for one, other, cosine in sorted(_same(seen, encoder, like), key=lambda pair: -pair[2]):
        kind = _pair_kind(one, other)
        told = (
            f"{one.crop.crop_id} ({one.crop.split}) and {other.crop.crop_id} ({other.crop.split}): cosine {cosine:.3f}"
        )
        findings[kind].add(told, one.crop, other.crop)
    return Audit(findings, {name: dict(counts) for name, counts in splits.items()})


def _read(rows: Iterable[Row], pool: ThreadPoolExecutor) -> Iterator[tuple[Row, np.uint64 | Problem]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        yield from zip(batch, pool.map(_look, batch), strict=True)


def _look(row: Row) -> np.uint64 | Problem:
    """The hash of a crop, or what is wrong with it."""
    try:
        photo = image.read(row.crop.photo)
    except BadPhoto as error:
        return Problem("unreadable-photo", str(error))
    box, (height, width, _) = row.crop.box, photo.shape
    if box is None:
        return phash.phash(photo)
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        return Problem("box-outside-photo", f"box {tuple(box)} in a photo of {width} x {height}")
    return phash.phash(photo[box.top : box.bottom, box.left : box.right])


class Ids:
    """The crop_ids so far. A street crop may come again with another product, and with nothing else."""

    def __init__(self, finding: Finding) -> None:
        self._finding = finding
        self._held: dict[str, tuple[Crop, set[str]]] = {}

    def add(self, row: Row) -> bool:
        """Whether the crop is known already, as the same; a crop that is another under its id is a finding."""
        crop, product_id = row.crop, row.product.product_id
        if crop.crop_id not in self._held:
            self._held[crop.crop_id] = (crop, {product_id})
            return False
        first, products = self._held[crop.crop_id]
        same = (crop.domain, crop.photo, crop.box) == (first.domain, first.photo, first.box)
        if same and crop.domain == "street" and product_id not in products:
            products.add(product_id)
            return True
        self._finding.add(f"{crop.crop_id}: {first.product_id} and {product_id}", first, crop)
        return same


class Products:
    """What is known of each product and design: their splits, and whether they have street and shop crops."""

    def __init__(self) -> None:
        self._splits: dict[str, set[str]] = defaultdict(set)
        self._designs: dict[str, dict[str, set[str]]] = defaultdict(dict)
        self._asked: dict[str, Crop] = {}
        self._shown: dict[str, Crop] = {}
        self._first: dict[str, Crop] = {}

    def add(self, row: Row, *, readable: bool) -> None:
        """One more row."""
        crop, product = row.crop, row.product
        self._first.setdefault(product.product_id, crop)
        if crop.split is not None:
            self._splits[product.product_id].add(crop.split)
        if product.design_id is not None:
            self._designs[product.design_id][product.product_id] = self._splits[product.product_id]
        if crop.domain == "street":
            self._asked.setdefault(product.product_id, crop)
        elif readable:
            self._shown.setdefault(product.product_id, crop)

    def report(self, findings: Mapping[str, Finding]) -> None:
        """Every product and design that is a case."""
        for name, crop in self._first.items():
            if len(self._splits[name]) > 1:
                findings["product-in-two-splits"].add(f"{name}: {_and(self._splits[name])}", crop)
            if name not in self._asked:
                findings["never-asked"].add(name, crop)
            elif name not in self._shown:
                findings["no-shop-photo"].add(name, crop)
        for design, products in self._designs.items():
            crops = tuple(self._shown.get(name, self._first[name]) for name in sorted(products))
            splits = set().union(*products.values())
            if len(products) > 1:
                findings["design-in-several-colours"].add(f"{design}: {', '.join(sorted(products))}", *crops)
            if len(products) > 1 and len(splits) > 1:
                findings["design-in-two-splits"].add(f"{design}: {_and(splits)}", *crops)


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _same(seen: Sequence[Seen], encoder: Encoder, like: float) -> Iterator[tuple[Row, Row, float]]:
    """Pairs of crops that are one photo, and their cosine, where that matters."""
    near = phash.near(np.array([each.hash for each in seen], dtype=np.uint64), RADIUS)
    pairs = [(i, j) for i, j in near.tolist() if _matters(seen[i].row, seen[j].row)]
    thumbs = {i: _thumb(seen[i].row.crop) for i in sorted({i for pair in pairs for i in pair})}
    pairs = [(i, j) for i, j in pairs if phash.correlation(thumbs[i], thumbs[j]) >= PIXELS]
    numbers = sorted({i for pair in pairs for i in pair})
    vectors = encoder.encode([_pixels(seen[i].row.crop, encoder) for i in numbers])
    place = {i: at for at, i in enumerate(numbers)}
    weighed = encoder.weigh(vectors)
    for i, j in pairs:
        cosine = float(weighed[place[i]] @ vectors[place[j]])
        if cosine >= like:
            yield seen[i].row, seen[j].row, cosine


def _thumb(crop: Crop) -> UInt8[np.ndarray, "48 48 3"]:
    photo, box = image.read(crop.photo), crop.box
    return phash.thumb(photo if box is None else photo[box.top : box.bottom, box.left : box.right])


def _pixels(crop: Crop, encoder: Encoder) -> UInt8[np.ndarray, "h w 3"]:
    """Both domains seen alike: a copy of a photo must get the copy's vector."""
    return image.crop(crop.photo, crop.box, encoder.preprocessing["shop"])


def _matters(one: Row, other: Row) -> bool:
    """Two photos of one product in one world may be as alike as they like; so may those of one design."""
    if one.crop.domain != other.crop.domain:
        return True
    if one.product.product_id == other.product.product_id:
        return False
    if one.product.design_id is not None and one.product.design_id == other.product.design_id:
        return False
    return one.crop.domain == "shop" or _apart(one.crop, other.crop)


def _apart(one: Crop, other: Crop) -> bool:
    return None not in (one.split, other.split) and one.split != other.split


def _pair_kind(one: Row, other: Row) -> str:
    if one.crop.domain != other.crop.domain:
        return "query-in-gallery"
    return "photo-in-two-splits" if _apart(one.crop, other.crop) else "one-photo-two-products"


def picture(found: Audit, *, most: int = 8) -> UInt8[np.ndarray, "h w 3"]:
    """Examples as a grid: a kind a row (two where there are many), crops of one case side by side, framed by turns."""
    rows = []
    for finding in found.findings.values():
        cells = [
            Cell(grid.picture_of(crop), f"{crop.crop_id}\n{crop.split or ''}", frame)
            for example, frame in zip(finding.examples, _turns(), strict=False)
            for crop in example.crops[:2]
        ]
        if cells:
            rows.append([grid.label(f"{finding.count} x"), *cells[:most]])
            rows[-1][0] = rows[-1][0]._replace(caption=finding.kind)
    return grid.sheet(rows)


def _turns() -> Iterator[grid.Colour]:
    while True:
        yield grid.GREEN
        yield (150, 150, 150)
