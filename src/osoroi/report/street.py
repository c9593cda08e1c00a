"""Street photos of an evaluation: each with its boxes, beside them one row for each garment with its first products."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from osoroi import image
from osoroi.data.readers import Reader
from osoroi.errors import BadPhoto
from osoroi.evaluation import boxes
from osoroi.evaluation.boxes import KindBox
from osoroi.evaluation.results import Evaluation
from osoroi.garments.part import known_kind
from osoroi.records import Box, Crop, Row, Source
from osoroi.report import examples, fonts, grid
from osoroi.report.grid import GAP, GREEN, INK, LINE, PAPER, RED, TEXT, GridCell, RgbTuple

ACROSS = 5
"""Products shown for each garment."""

DASH = 6
"""Pixels of a dash, and of the space after it."""

PHOTO_WIDTH = 260
SIDE = 110
"""Pixels of a product."""


def pictures(
    evaluation: Evaluation, readers: Sequence[Reader], *, count: int = 6, seed: int = 0
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """One picture for each of ``count`` street photos at most whose queries have boxes; the sample depends on ``seed``.

    True boxes are dashed. With ``--find``, boxes that were found are solid: green where they match a true one (IoU .5),
    red where they match none. A row has the crop that was searched with and its first products, framed in green where
    they are relevant. Photos that cannot be read are passed over.
    """
    numbers = {query.crop_id: number for number, query in enumerate(evaluation.queries)}
    by_photo: dict[Source, list[Row]] = {}
    for row in readers[0].rows() if readers else ():
        if row.crop.box is not None and row.crop.crop_id in numbers:
            by_photo.setdefault(row.crop.photo, []).append(row)
    photos = list(by_photo)
    order = np.random.default_rng(seed).permutation(len(photos))[:count]
    arm = evaluation.arm(evaluation.main)
    chosen = {photos[at]: by_photo[photos[at]] for at in sorted(order)}
    shown = {name for rows in chosen.values() for row in rows for name in arm.top[numbers[row.crop.crop_id]][:ACROSS]}
    crops = examples.load_crops(readers, [], shown).products
    drawn = []
    for photo, rows in chosen.items():
        try:
            pixels = image.read(photo)
            located = _located(photo) if evaluation.task.protocol.find else None
        except BadPhoto:
            continue
        lists = {}
        for row in rows:
            number = numbers[row.crop.crop_id]
            relevant = evaluation.queries[number].product_ids
            lists[row.crop.crop_id] = [
                GridCell(_picture(crops.get(name)), name, GREEN if name in relevant else None)
                for name in arm.top[number][:ACROSS]
            ]
        drawn.append(picture(pixels, rows, located, lists))
    return drawn


def picture(
    photo: UInt8[np.ndarray, "_ _ 3"],
    rows: Sequence[Row],
    located: Sequence[KindBox] | None,
    lists: dict[str, list[GridCell]],
) -> UInt8[np.ndarray, "_ _ 3"]:
    """A photo with its boxes, and beside it a row of cells for each of its queries."""
    true = [(known_kind(row.product) or "other", row.crop.box) for row in rows if row.crop.box is not None]
    found = located or []
    pairs = boxes.matched([box for _, box in found], [box for _, box in true])
    at_query = {number: found[at][1] for at, number in pairs}
    sheet = []
    for number, (kind, box) in enumerate(true):
        used = box if located is None else at_query.get(number)
        crop = None if used is None else photo[used.top : used.bottom, used.left : used.right]
        sheet.append(
            [GridCell(crop, kind if crop is not None else f"{kind}\nmissed"), *lists[rows[number].crop.crop_id]]
        )
    return _beside(with_boxes(photo, true, found, {at for at, _ in pairs}), grid.sheet(sheet, side=SIDE))


def with_boxes(
    photo: UInt8[np.ndarray, "_ _ 3"], true: Iterable[KindBox], located: Iterable[KindBox], right: set[int]
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The photo ``PHOTO_WIDTH`` pixels wide with true boxes dashed, and found ones solid: green where their number is
    among ``right``, else red."""
    factor = PHOTO_WIDTH / photo.shape[1]
    canvas = Image.fromarray(photo).resize((PHOTO_WIDTH, max(1, round(photo.shape[0] * factor))))
    draw = ImageDraw.Draw(canvas)
    for number, (kind, box) in enumerate(located):
        colour = GREEN if number in right else RED
        left, top, last, bottom = (round(side * factor) for side in box)
        draw.rectangle((left, top, max(last - 1, left), max(bottom - 1, top)), outline=colour, width=2)
        draw.rectangle((left, top, left + fonts.length(kind, TEXT) + 6, top + LINE), fill=colour)
        fonts.draw(canvas, (left + 3, top + 1), kind, size=TEXT, fill=PAPER)
    for _, box in true:
        _dashed(draw, Box(*(round(side * factor) for side in box)))
    return np.asarray(canvas)


def _dashed(draw: ImageDraw.ImageDraw, box: Box) -> None:
    """A dashed rectangle, dark on light so that it shows on any photo."""
    right, bottom = max(box.right - 1, box.left), max(box.bottom - 1, box.top)
    for width, colour in ((3, PAPER), (1, INK)):
        for start in range(box.left, right, 2 * DASH):
            _lines(draw, [(start, y, min(start + DASH, right), y) for y in (box.top, bottom)], width, colour)
        for start in range(box.top, bottom, 2 * DASH):
            _lines(draw, [(x, start, x, min(start + DASH, bottom)) for x in (box.left, right)], width, colour)


def _lines(draw: ImageDraw.ImageDraw, lines: list[tuple[int, int, int, int]], width: int, colour: RgbTuple) -> None:
    for line in lines:
        draw.line(line, fill=colour, width=width)


def _located(photo: Source) -> list[KindBox]:
    """The largest person's garments, as ``proposals.propose`` counts them."""
    from osoroi.garments.find import find

    return [(garment.kind, garment.box) for garment in find(image.load(photo)) if not garment.person]


def _picture(crop: Crop | None) -> UInt8[np.ndarray, "_ _ 3"] | None:
    return None if crop is None else grid.picture_of(crop)


def _beside(*parts: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    high = max(part.shape[0] for part in parts)
    rows = [np.pad(part, ((0, high - part.shape[0]), (0, 0), (0, 0)), constant_values=255) for part in parts]
    return np.concatenate(rows, axis=1)


def stacked(drawn: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures one below the other, white at the right of narrower ones. Without any, one line of white."""
    wide = max((each.shape[1] for each in drawn), default=1)
    rows = [np.pad(each, ((0, GAP), (0, wide - each.shape[1]), (0, 0)), constant_values=255) for each in drawn]
    return np.concatenate(rows) if rows else np.full((1, wide, 3), 255, np.uint8)
