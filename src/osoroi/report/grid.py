"""Pictures of results: cells with a photo, a caption and, where it means something, a frame."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps

from osoroi import image
from osoroi.catalog import Storage
from osoroi.errors import BadPhoto
from osoroi.records import Box, Crop, Hit, Source

Colour = tuple[int, int, int]
GREEN: Colour = (18, 140, 74)
RED: Colour = (200, 40, 40)
INK: Colour = (32, 32, 32)
PAPER: Colour = (255, 255, 255)
MUTED: Colour = (236, 236, 236)

GAP = 8
FRAME = 4
LINE = 16


class Cell(NamedTuple):
    """One place in a grid. Without a picture it stays a grey field."""

    picture: UInt8[np.ndarray, "h w 3"] | None
    caption: str = ""
    frame: Colour | None = None


def sheet(rows: Sequence[Sequence[Cell]], *, side: int = 160) -> UInt8[np.ndarray, "h w 3"]:
    """Rows of cells as one picture; each photo keeps its proportions inside a square of ``side`` pixels.

    >>> sheet([[Cell(None, "a"), Cell(None, "b")]], side=100).shape
    (148, 224, 3)
    """
    columns = max((len(row) for row in rows), default=0)
    high, wide = side + 2 * LINE + GAP, side + GAP
    canvas = Image.new("RGB", (GAP + columns * wide, GAP + len(rows) * high), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=12)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            _place(canvas, draw, font, cell, GAP + x * wide, GAP + y * high, side)
    return np.asarray(canvas)


def _place(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    cell: Cell,
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
        draw.text((left, top + side + 1 + row * LINE), _fit(line, font, side), fill=INK, font=font)


def _fit(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def label(text: str, *, side: int = 160) -> Cell:
    """A cell that names its row."""
    canvas = Image.new("RGB", (side, side), PAPER)
    font = ImageFont.load_default(size=side // 9)
    ImageDraw.Draw(canvas).text((side // 2, side // 2), _fit(text, font, side), fill=INK, font=font, anchor="mm")
    return Cell(np.asarray(canvas))


def of_search(
    photo: Source, box: Box | None, hits: Sequence[Hit], catalog: Storage, *, side: int = 160
) -> UInt8[np.ndarray, "h w 3"]:
    """One row: what was asked, then the products found with rank, score and title."""
    return sheet([search_row(photo, box, hits, catalog)], side=side)


def search_row(photo: Source, box: Box | None, hits: Sequence[Hit], catalog: Storage) -> list[Cell]:
    """The cells of one search, for a grid of several."""
    asked = image.read(photo)
    if box is not None:
        asked = asked[box.top : box.bottom, box.left : box.right]
    row = [Cell(asked, "asked")]
    for rank, hit in enumerate(hits, start=1):
        crop = next(crop for crop in catalog.crops(hit.product_id) if crop.crop_id == hit.crop_id)
        row.append(Cell(picture_of(crop), f"{rank} · {hit.score:.3f}\n{hit.product.title or hit.product_id}"))
    return row


def picture_of(crop: Crop) -> UInt8[np.ndarray, "h w 3"] | None:
    """A crop's own pixels, or None where its photo is gone or broken: a grid shows what is left."""
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
    """Write a PNG in one step: a reader finds the old picture or the new one."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="PNG")
    beside = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(data.getvalue())
    os.replace(beside, path)
