"""Find leaks, errors and oddities in a data set before a model is trained or measured on it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi import image
from osoroi.data.readers import Reader
from osoroi.encoder import Encoder, loader
from osoroi.errors import BadPhoto
from osoroi.image import phash
from osoroi.records import Crop, Domain, Row
from osoroi.report import grid
from osoroi.report.grid import GridCell

Group = Literal["leak", "broken", "note"]

KINDS: dict[str, tuple[Group, str]] = {
    "product-in-two-splits": ("leak", "a product has crops in two splits"),
    "design-in-two-splits": ("leak", "products of one design, in other colours, stand in two splits"),
    "photo-in-two-splits": ("leak", "near-identical photos of different products stand in two splits"),
    "query-in-gallery": ("leak", "a street crop is near-identical with a shop crop"),
    "duplicate-id": ("broken", "one crop_id for two crops"),
    "box-outside-photo": ("broken", "a box that leaves its photo, or has no area"),
    "unreadable-photo": ("broken", "a photo that cannot be read"),
    "no-shop-photo": ("broken", "a product with a street crop and without a readable shop photo"),
    "one-photo-two-products": (
        "note",
        "near-identical shop photos of two products in one split: a correct result that counts as wrong",
    ),
    "no-street-photo": ("note", "a product without a street crop"),
    "design-in-several-colours": ("note", "a design with several products: hard negatives"),
}
"""Kinds of findings: the group, and the meaning."""

RADIUS = 8
"""Largest Hamming distance of the hashes of candidates: holds for 99 of 100 copies (70% size, 95% light, JPEG 60)."""

MIN_CORRELATION = 0.98
"""Smallest correlation of the thumbnails of two copies; 91 of 100 such copies reach it."""

MIN_COSINE = 0.85
"""Smallest cosine of the vectors of two copies under the encoder's weights; 97 of 100 such copies reach it."""

EXAMPLES = 12
"""Examples that are stored of each kind; all cases are counted."""

DOMAINS: tuple[Domain, ...] = get_args(Domain)


class Example(NamedTuple):
    """A case in words, and the crops that show it."""

    text: str
    crops: tuple[Crop, ...]


@dataclass
class AuditFinding:
    """Cases of one kind: their number, and the first examples."""

    kind: str
    count: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def group(self) -> Group:
        """Leak, broken or note."""
        return KINDS[self.kind][0]

    @property
    def meaning(self) -> str:
        """What the kind means."""
        return KINDS[self.kind][1]

    def add(self, text: str, *crops: Crop) -> None:
        """Count a case."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(text, crops))


@dataclass(frozen=True)
class Audit:
    """Findings by kind, and the number of crops by split and domain."""

    findings: Mapping[str, AuditFinding]
    splits: Mapping[str, Mapping[str, int]]

    def failed(self, fail_on: Iterable[str]) -> list[AuditFinding]:
        """Findings of these kinds or groups that have a case."""
        wanted = set(fail_on)
        return [each for each in self.findings.values() if each.count and wanted & {each.kind, each.group}]


class AuditedCrop(NamedTuple):
    """A readable crop: its row and its perceptual hash."""

    row: Row
    hash: np.uint64


class AuditProblem(NamedTuple):
    """Why a crop could not be read: the kind of finding, and the reason in words."""

    kind: str
    text: str


def audit(
    reader: Reader,
    encoder: Encoder,
    *,
    threads: int = 1,
    min_cosine: float = MIN_COSINE,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Audit:
    """Read every row and every photo once, then the photos of candidate pairs again.

    Two crops are the same photo if their perceptual hashes differ in few bits, their thumbnails of 48 x 48 pixels
    correlate, and their vectors have a cosine of at least ``min_cosine``. (Plain garments of one color share a hash;
    the other two conditions separate them.) Crops are compared, not photos: two garments of one photo are two.
    """
    findings = {kind: AuditFinding(kind) for kind in KINDS}
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    ids, products = CropIdCheck(findings["duplicate-id"]), Products()
    hashed: list[AuditedCrop] = []
    for done, (row, result) in enumerate(loader.read(reader.rows(), _hash_crop, threads=threads), start=1):
        problem = _problem(result)
        splits[row.crop.split or "none"][row.crop.domain] += 1
        products.add(row, readable=problem is None)
        is_known = ids.add(row)
        if problem is not None:
            findings[problem.kind].add(f"{row.crop.crop_id}: {problem.text}", row.crop)
        elif not is_known and isinstance(result, np.uint64):
            hashed.append(AuditedCrop(row, result))
        on_progress(done)
    products.report(findings)
    for copy in sorted(_copies(hashed, encoder, min_cosine, threads), key=lambda copy: -copy.cosine):
        one, other = copy.one.crop, copy.other.crop
        text = f"{one.crop_id} ({one.split}) and {other.crop_id} ({other.split}): cosine {copy.cosine:.3f}"
        findings[_pair_kind(copy.one, copy.other)].add(text, one, other)
    return Audit(findings, {name: dict(counts) for name, counts in splits.items()})


def _problem(result: np.uint64 | AuditProblem | BadPhoto) -> AuditProblem | None:
    """What is wrong with a crop that was read; None for a hash."""
    if isinstance(result, BadPhoto):
        return AuditProblem("unreadable-photo", str(result))
    return result if isinstance(result, AuditProblem) else None


def _hash_crop(row: Row) -> np.uint64 | AuditProblem:
    """The perceptual hash of a crop, or what is wrong with its box. Raises BadPhoto."""
    photo = image.read(row.crop.photo)
    box, (height, width, _) = row.crop.box, photo.shape
    if box is None:
        return phash.phash(photo)
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        return AuditProblem("box-outside-photo", f"box {tuple(box)} in a photo of {width} x {height}")
    return phash.phash(photo[box.top : box.bottom, box.left : box.right])


class CropIdCheck:
    """The crop_ids so far. A street crop may be repeated with another product, and with no other change."""

    def __init__(self, finding: AuditFinding) -> None:
        self._finding = finding
        self._crops: dict[str, tuple[Crop, set[str]]] = {}

    def add(self, row: Row) -> bool:
        """Whether the same crop was added before. A different crop under a known id is a finding."""
        crop, product_id = row.crop, row.product.product_id
        if crop.crop_id not in self._crops:
            self._crops[crop.crop_id] = (crop, {product_id})
            return False
        first, products = self._crops[crop.crop_id]
        same = (crop.domain, crop.photo, crop.box) == (first.domain, first.photo, first.box)
        if same and crop.domain == "street" and product_id not in products:
            products.add(product_id)
            return True
        self._finding.add(f"{crop.crop_id}: {first.product_id} and {product_id}", first, crop)
        return same


class Products:
    """Splits of each product and design, and their first street and readable shop crops."""

    def __init__(self) -> None:
        self._splits: dict[str, set[str]] = defaultdict(set)
        self._designs: dict[str, dict[str, set[str]]] = defaultdict(dict)
        self._street: dict[str, Crop] = {}
        self._shop: dict[str, Crop] = {}
        self._first: dict[str, Crop] = {}

    def add(self, row: Row, *, readable: bool) -> None:
        """Add a row."""
        crop, product = row.crop, row.product
        self._first.setdefault(product.product_id, crop)
        if crop.split is not None:
            self._splits[product.product_id].add(crop.split)
        if product.design_id is not None:
            self._designs[product.design_id][product.product_id] = self._splits[product.product_id]
        if crop.domain == "street":
            self._street.setdefault(product.product_id, crop)
        elif readable:
            self._shop.setdefault(product.product_id, crop)

    def report(self, findings: Mapping[str, AuditFinding]) -> None:
        """Report every product and design that is a case."""
        for name, crop in self._first.items():
            if len(self._splits[name]) > 1:
                findings["product-in-two-splits"].add(f"{name}: {_and(self._splits[name])}", crop)
            if name not in self._street:
                findings["no-street-photo"].add(name, crop)
            elif name not in self._shop:
                findings["no-shop-photo"].add(name, crop)
        for design, products in self._designs.items():
            crops = tuple(self._shop.get(name, self._first[name]) for name in sorted(products))
            splits = set().union(*products.values())
            if len(products) > 1:
                findings["design-in-several-colours"].add(f"{design}: {', '.join(sorted(products))}", *crops)
            if len(products) > 1 and len(splits) > 1:
                findings["design-in-two-splits"].add(f"{design}: {_and(splits)}", *crops)


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


class Copies(NamedTuple):
    """Two crops of the same photo, and the cosine of their vectors."""

    one: Row
    other: Row
    cosine: float


def _copies(hashed: Sequence[AuditedCrop], encoder: Encoder, min_cosine: float, threads: int) -> Iterator[Copies]:
    """Pairs of suspicious crops of the same photo."""
    near = phash.near(np.array([each.hash for each in hashed], dtype=np.uint64), RADIUS)
    pairs = [(i, j) for i, j in near.tolist() if _is_suspicious(hashed[i].row, hashed[j].row)]
    thumbs = {i: _thumb(hashed[i].row.crop) for i in sorted({i for pair in pairs for i in pair})}
    pairs = [(i, j) for i, j in pairs if phash.correlation(thumbs[i], thumbs[j]) >= MIN_CORRELATION]
    vectors = _vectors({i: hashed[i].row.crop for pair in pairs for i in pair}, encoder, threads)
    for i, j in pairs:
        if i in vectors and j in vectors:  # a photo may have vanished since it was hashed
            cosine = float(encoder.weigh(vectors[i][None])[0] @ vectors[j])
            if cosine >= min_cosine:
                yield Copies(hashed[i].row, hashed[j].row, cosine)


def _vectors(crops: Mapping[int, Crop], encoder: Encoder, threads: int) -> dict[int, Float32[np.ndarray, "d"]]:
    """The vectors of crops. Both domains are preprocessed alike, so that copies get the same vector."""
    alike = dict.fromkeys(DOMAINS, encoder.preprocessing["shop"])
    keys = list(crops)
    vectors: dict[int, Float32[np.ndarray, "d"]] = {}
    reader = partial(loader.crop_pixels, preprocessing=alike)
    for batch in loader.encode(crops.values(), encoder.encode, reader, threads=threads):
        vectors |= {keys[index]: vector for index, vector in zip(batch.indices, batch.vectors, strict=True)}
    return vectors


def _thumb(crop: Crop) -> UInt8[np.ndarray, "48 48 3"]:
    photo, box = image.read(crop.photo), crop.box
    return phash.thumb(photo if box is None else photo[box.top : box.bottom, box.left : box.right])


def _is_suspicious(one: Row, other: Row) -> bool:
    """Whether a pair would be a leak or an error: photos of one product or one design in one domain may be alike."""
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


def picture(result: Audit, *, most: int = 8) -> UInt8[np.ndarray, "h w 3"]:
    """Examples as a grid: a kind per row, the crops of a case side by side; frames alternate between cases."""
    rows = []
    for finding in result.findings.values():
        cells = [
            GridCell(grid.picture_of(crop), f"{crop.crop_id}\n{crop.split or ''}", frame)
            for example, frame in zip(finding.examples, _alternating_frames(), strict=False)
            for crop in example.crops[:2]
        ]
        if cells:
            rows.append([grid.label(f"{finding.count} x"), *cells[:most]])
            rows[-1][0] = rows[-1][0]._replace(caption=finding.kind)
    return grid.sheet(rows)


def _alternating_frames() -> Iterator[grid.RgbTuple]:
    while True:
        yield grid.GREEN
        yield (150, 150, 150)
