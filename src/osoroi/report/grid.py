"""Pictures of results: cells with a photo, a caption and an optional frame."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageOps

from osoroi import files, image
from osoroi.catalog import Storage
from osoroi.errors import BadPhoto
from osoroi.records import Box, Crop, Hit, Source
from osoroi.report import fonts
from osoroi.text import printable

RgbTuple = tuple[int, int, int]
GREEN: RgbTuple = (18, 140, 74)
RED: RgbTuple = (200, 40, 40)
INK: RgbTuple = (32, 32, 32)
PAPER: RgbTuple = (255, 255, 255)
MUTED: RgbTuple = (236, 236, 236)

GAP = 8
FRAME = 4
LINE = 16
TEXT = 12
"""Size of captions in pixels."""


class GridCell(NamedTuple):
    """One cell of a grid. Without a picture it is a grey field."""

    picture: UInt8[np.ndarray, "h w 3"] | None
    caption: str = ""
    frame: RgbTuple | None = None


def sheet(rows: Sequence[Sequence[GridCell]], *, side: int = 160) -> UInt8[np.ndarray, "h w 3"]:
    """Rows of cells as one picture; each photo keeps its proportions inside a square of ``side`` pixels.

    >>> sheet([[GridCell(None, "a"), GridCell(None, "b")]], side=100).shape
    (148, 224, 3)
    """
    columns = max((len(row) for row in rows), default=0)
    high, wide = side + 2 * LINE + GAP, side + GAP
    canvas = Image.new("RGB", (GAP + columns * wide, GAP + len(rows) * high), PAPER)
    draw = ImageDraw.Draw(canvas)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            _place(canvas, draw, cell, GAP + x * wide, GAP + y * high, side)
    return np.asarray(canvas)


def _place(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: GridCell,
    left: int,
    top: int,
    side: int,
) -> None:
    square = (left, top, left + side - 1, top + side - 1)
    if cell.picture is None:
        draw.rectangle(square, fill=MUTED)
    else:
        photo = ImageOps.contain(Image.fromarray(cell.picture), (side - 2 * FRAME, side - 2 * FRAME))
        canvas.paste(photo, (left + (side - photo.width) // 2, top + (side - photo.height) // 2))
    if cell.frame:
        draw.rectangle(square, outline=cell.frame, width=FRAME)
    for row, line in enumerate(cell.caption.split("\n")[:2]):
        at = (left, top + side + 1 + row * LINE)
        fonts.draw(canvas, at, fonts.fit(line, TEXT, side), size=TEXT, fill=INK)


def label(text: str, *, side: int = 160) -> GridCell:
    """A cell that names its row."""
    canvas = Image.new("RGB", (side, side), PAPER)
    size = side // 9
    text = fonts.fit(text, size, side)
    fonts.draw(canvas, (round((side - fonts.length(text, size)) / 2), (side - size) // 2), text, size=size, fill=INK)
    return GridCell(np.asarray(canvas))


def of_search(
    photo: Source, box: Box | None, hits: Sequence[Hit], catalog: Storage, *, side: int = 160
) -> UInt8[np.ndarray, "h w 3"]:
    """One row: the query, then the products with rank, score and title."""
    return sheet([search_row(photo, box, hits, catalog)], side=side)


def search_row(photo: Source, box: Box | None, hits: Sequence[Hit], catalog: Storage) -> list[GridCell]:
    """The cells of one search, for a grid of several."""
    query = image.read(photo)
    if box is not None:
        query = query[box.top : box.bottom, box.left : box.right]
    row = [GridCell(query, "query")]
    for rank, hit in enumerate(hits, start=1):
        crop = next(crop for crop in catalog.crops(hit.product_id) if crop.crop_id == hit.crop_id)
        row.append(
            GridCell(picture_of(crop), f"{rank} · {hit.score:.3f}\n{printable(hit.product.title or hit.product_id)}")
        )
    return row


def picture_of(crop: Crop) -> UInt8[np.ndarray, "h w 3"] | None:
    """Pixels of a crop, or None where its photo is missing or broken: the grid then shows a grey field."""
    try:
        photo = image.read(crop.photo)
    except BadPhoto:
        return None
    box = crop.box
    return photo if box is None else photo[box.top : box.bottom, box.left : box.right]


def jpeg(picture: UInt8[np.ndarray, "h w 3"], *, width: int, height: int) -> bytes:
    """A picture as a small JPEG that fits into ``width`` x ``height``."""
    data = io.BytesIO()
    ImageOps.contain(Image.fromarray(picture), (width, height)).save(data, format="JPEG", quality=82)
    return data.getvalue()


def write(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write a PNG atomically: a reader finds the old picture or the new one."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="PNG")
    files.write_atomically(path, data.getvalue())
