"""Garments that are looked for in the photos of queries, in place of the boxes that the data set gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from osoroi import image
from osoroi.errors import BadPhoto
from osoroi.evaluation import boxes
from osoroi.evaluation.bootstrap import Interval
from osoroi.garments.part import known_kind
from osoroi.records import Row, Source


@dataclass(frozen=True)
class Proposals:
    """Crop id -> the row with the box that was found, and its kinds where somebody wears it; a garment that is missed
    is in neither.

    ``boxes`` has recall, precision and right kinds over photos.
    """

    rows: Mapping[str, Row]
    kinds: Mapping[str, Mapping[str, float]]
    boxes: Mapping[str, Interval]


def propose(queries: Sequence[Row]) -> Proposals:
    """The garments of every photo, matched with the boxes of its queries; a photo that cannot be read has none.

    Only the largest person's garments count, as data sets label one person. A query without a box is the whole photo,
    and stays as it is.
    """
    from osoroi.garments.find import find

    by_photo: dict[Source, list[Row]] = {}
    for row in queries:
        by_photo.setdefault(row.crop.photo, []).append(row)
    rows: dict[str, Row] = {}
    kinds: dict[str, Mapping[str, float]] = {}
    counts = []
    for photo, of_photo in by_photo.items():
        rows |= {row.crop.crop_id: row for row in of_photo if row.crop.box is None}
        boxed = [row for row in of_photo if row.crop.box is not None]
        try:
            garments = [garment for garment in find(image.load(photo)) if not garment.person]
        except BadPhoto:
            garments = []  # its queries retrieve nothing
        true = [(known_kind(row.product) or "other", row.crop.box) for row in boxed if row.crop.box is not None]
        counts.append(boxes.count([(garment.kind, garment.box) for garment in garments], true))
        for at, number in boxes.matched([garment.box for garment in garments], [box for _, box in true]):
            row = boxed[number]
            rows[row.crop.crop_id] = row._replace(crop=replace(row.crop, box=garments[at].box))
            known = garments[at].known_kinds
            if known is not None:  # else the picture has to tell, as in a search
                kinds[row.crop.crop_id] = known
    return Proposals(rows, kinds, boxes.summary(counts))
