"""A photo in any form -> upright sRGB -> crop -> ``uint8 [h w 3]``; no other module knows how photos are stored.

The order is: upright, then the box with its margin (or the plain border cut off), then resized without keeping its
proportions. A photo that gives no such crop is a BadPhoto that names the file, what is wrong with it, and what to do.
"""

import io
import os
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeGuard

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from osoroi import files
from osoroi.errors import BadPhoto
from osoroi.image.decode import Decoded, Shrink, decode, of_picture, whole
from osoroi.records import Box, PhotoLike, Preprocessing, Readable, Source

RESAMPLING = Image.Resampling.LANCZOS
"""Nearest to the ideal low pass of the filters that do not alias; measured in docs/log.md."""

GAP = 2.0
"""A picture more than so many times too large is first reduced by a whole number: half the time, same quality."""

REFERENCE_GAP = 1.0
"""A JPEG is decoded smaller only while it has so many times the pixels that a pretrained backbone's input is made of;
measured by benchmarks/backbone_crops.py."""

AT_ONCE = 16
"""Lines of a border that are judged together at first, then twice as many, and so on."""

NEAR = 12
"""How far a channel may lie from the colour of a plain border, of 255."""

Photo = UInt8[np.ndarray, "h w 3"]
"""Upright sRGB."""


@dataclass(frozen=True)
class Limits:
    """What a photo may be: at most so many pixels and bytes, and at least so many pixels on its shorter side."""

    pixels: int = 50_000_000
    bytes: int = 64 * 2**20
    side: int = 16


LIMITS = Limits()

FORMS = "give a path, bytes, an open binary file, a Pillow image, or an array uint8 [h w 3]"

Area = tuple[int | float, int | float, int | float, int | float]
"""Left, top, right, bottom in pixels, fractions allowed."""


def as_source(photo: PhotoLike) -> Source:
    """The photo as a path, as bytes or as something with ``read()``; images and arrays become the bytes of a PNG file.

    A file that is open is not read. Raises BadPhoto for anything that is no photo.

    >>> as_source("coat.jpg").name
    'coat.jpg'
    >>> as_source(np.zeros((20, 30, 3), np.uint8))[:4]
    b'\\x89PNG'
    """
    if isinstance(photo, bytes | Path):
        return photo
    if isinstance(photo, str | os.PathLike):
        return Path(photo)
    if isinstance(photo, Image.Image | np.ndarray):
        file = io.BytesIO()
        _open(photo, LIMITS)(whole).picture.save(file, "PNG", compress_level=1)
        return file.getvalue()
    if is_readable(photo):
        return photo
    raise BadPhoto(f"{type(photo).__name__} is no photo", hint=FORMS)


def is_readable(photo: object) -> TypeGuard[Readable]:
    """Whether something has ``read()``; ``isinstance`` with a protocol takes ten times as long."""
    return callable(getattr(photo, "read", None))


def load(photo: PhotoLike, *, limits: Limits = LIMITS) -> bytes:
    """The bytes of a photo file, unread beyond the limit; raises BadPhoto for what is missing, no file, or too big.

    Images and arrays become the bytes of a PNG file.

    >>> load(b"any bytes")
    b'any bytes'
    """
    source = as_source(photo)
    if isinstance(source, bytes):
        return _within(source, source, limits)
    try:
        if not isinstance(source, Path):
            return _within(source.read(), source, limits)
        source = existing(source)
        state = source.stat()
        if not stat.S_ISREG(state.st_mode):
            what = "a folder" if stat.S_ISDIR(state.st_mode) else "no ordinary file"
            raise BadPhoto(f"{source} is {what}", hint="give the path of one photo")
        with files.open_foreign(source) as file:
            data = file.read(min(limits.bytes, state.st_size) + 1)  # Python reserves what it is told to read
            if len(data) > state.st_size:  # it has grown
                data += file.read(limits.bytes + 1 - len(data))
            return _within(data, source, limits, max(state.st_size, 0))
    except FileNotFoundError as error:
        hint = "download the photo, and name its file" if files.WEB.match(str(source)) else "check the path"
        raise BadPhoto(f"there is no photo at {source}", hint=hint) from error
    except PermissionError as error:
        reason = f"{name_of(source)} may not be read: {error.strerror}"
        raise BadPhoto(reason, hint="give yourself permission to read it, or name another file") from error
    except (OSError, ValueError) as error:
        raise BadPhoto(f"{name_of(source)} cannot be read: {error}", hint="check that it is there and open") from error


def existing(path: Path) -> Path:
    """The path, or where there is no such file one whose names differ in their Unicode form alone.

    A name with an accent or a Japanese voiced sound may be stored composed (Windows, Linux) or decomposed (unpacked
    from a Mac's archive); both look the same.
    """
    if str(path).isascii() or path.exists():
        return path
    place = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        forms = (part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD")))
        place /= next((form for form in forms if (place / form).exists()), part)
    return place


def _within(data: object, source: Source, limits: Limits, size: int = 0) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise BadPhoto(f"{name_of(source)} gives {type(data).__name__}, not bytes", hint="open files with mode 'rb'")
    if len(data) > limits.bytes:
        raise BadPhoto(
            f"{name_of(source)} has {max(size, len(data)):,} bytes, more than the {limits.bytes:,} allowed",
            hint="make the photo smaller, or allow more with Limits(bytes=...)",
        )
    return bytes(data)


def name_of(photo: PhotoLike) -> str:
    """What messages call a photo: its path, or what else is known of it."""
    if isinstance(photo, bytes):
        return f"the photo of {len(photo):,} bytes"
    if isinstance(photo, np.ndarray):
        return f"the array of {photo.dtype} {list(photo.shape)}"
    if isinstance(photo, Image.Image):
        return str(getattr(photo, "filename", "") or f"the image of {photo.width} x {photo.height}")
    if isinstance(photo, str | os.PathLike):
        return os.fspath(photo)
    return str(getattr(photo, "name", None) or "the photo that was sent")


def read(photo: PhotoLike, *, limits: Limits = LIMITS) -> Photo:
    """The whole photo, upright and in sRGB. Raises BadPhoto."""
    return _pixels(_open(photo, limits)(whole).picture)


class Reduced(NamedTuple):
    """An upright photo reduced by a whole number: each pixel stands for ``factor`` x ``factor`` of the photo, which has
    ``width`` x ``height``."""

    photo: Photo
    factor: int
    width: int
    height: int


def reduced(source: PhotoLike, side: int, *, limits: Limits = LIMITS) -> Reduced:
    """The whole photo, reduced by the least whole number that leaves its longer side at most ``side`` pixels.

    A JPEG file is decoded at 1/2, 1/4 or 1/8 where that divides the number. Raises BadPhoto.

    >>> small = reduced(np.zeros((90, 250, 3), np.uint8), 100)
    >>> small.photo.shape, small.factor, small.width, small.height
    ((30, 84, 3), 3, 250, 90)
    """

    def factor(width: int, height: int) -> int:
        return -(-max(width, height) // side)

    def divisor(width: int, height: int) -> int:
        return factor(width, height) & -factor(width, height)  # the greatest power of two in it

    photo = _open(source, limits)(divisor)
    whole_factor = factor(photo.width, photo.height)
    rest = whole_factor // photo.scale
    return Reduced(
        _pixels(photo.picture.reduce(rest) if rest > 1 else photo.picture), whole_factor, photo.width, photo.height
    )


def crop(source: PhotoLike, box: Box | None, preprocessing: Preprocessing, *, limits: Limits = LIMITS) -> Photo:
    """The encoder's input: upright -> box with its margin, or plain border off -> resized to ``height`` x ``width``.

    With ``preprocessing.fit``, the input of a pretrained backbone lies below it. A JPEG file is decoded at 1/2, 1/4 or
    1/8 where what is cut out still has at least as many pixels as each input.
    Raises BadPhoto.
    """
    decoded, name = _open(source, limits), name_of(source)

    def reduction(width: int, height: int) -> int:
        left, top, right, bottom = _area(box, preprocessing, width, height, name)
        spare = 2 if box is None and preprocessing.trim else 1  # what is left of a trimmed photo is often half as wide
        return max(1, int(_times(right - left, bottom - top, preprocessing) / spare))

    photo = decoded(reduction)
    if box is not None or not preprocessing.trim:
        return _squash(photo, _area(box, preprocessing, photo.width, photo.height, name), preprocessing)
    inside = _content(photo.picture)
    spare_pixels = _times(inside.right - inside.left, inside.bottom - inside.top, preprocessing)
    if photo.scale > 1 and spare_pixels < 1:
        finer = max(1, int(photo.scale * spare_pixels))
        photo = decoded(lambda width, height: finer)
        inside = _content(photo.picture)
    return _shrunk(photo, inside, preprocessing)


def _times(width: int | float, height: int | float, preprocessing: Preprocessing) -> float:
    """How many times the input's pixels an area has, along the side where it has fewest."""
    times = min(width / preprocessing.width, height / preprocessing.height)
    if preprocessing.fit is not None:
        from osoroi.image import fitting

        across, down = fitting.resized(width, height, preprocessing.fit)
        times = min(times, width / across / REFERENCE_GAP, height / down / REFERENCE_GAP)
    return times


def _area(box: Box | None, preprocessing: Preprocessing, width: int, height: int, name: str) -> Area:
    """The part of an upright photo that becomes the input."""
    if box is None:
        return 0, 0, width, height
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        problem = "has no area" if right <= left or bottom <= top else f"does not fit a photo of {width} x {height}"
        raise BadPhoto(
            f"box {tuple(box)} {problem} ({name})",
            hint="boxes are (left, top, right, bottom) in pixels of the upright photo, right and bottom outside",
        )
    wider, higher = preprocessing.margin * (right - left), preprocessing.margin * (bottom - top)
    return max(0, left - wider), max(0, top - higher), min(width, right + wider), min(height, bottom + higher)


def _squash(photo: Decoded, area: Area, preprocessing: Preprocessing) -> Photo:
    """An area of the upright photo, whatever the scale it was decoded at."""
    left, top, right, bottom = area
    reduced = (left + photo.left, top + photo.top, right + photo.left, bottom + photo.top)
    return _shrunk(photo, tuple(side / photo.scale for side in reduced), preprocessing)


def _shrunk(photo: Decoded, area: tuple[int | float, ...], preprocessing: Preprocessing) -> Photo:
    """An area of the decoded picture, resized to the input's size; with the input of a pretrained backbone below."""
    left, top, right, bottom = area
    own = _pixels(
        photo.picture.resize((preprocessing.width, preprocessing.height), RESAMPLING, (left, top, right, bottom), GAP)
    )
    if preprocessing.fit is None:
        return own
    from osoroi.image import fitting

    both = np.zeros(preprocessing.shape, np.uint8)
    both[: preprocessing.height, : preprocessing.width] = own
    below = fitting.fit(photo.picture, (left, top, right, bottom), preprocessing.fit)
    both[preprocessing.height :, : preprocessing.fit.width] = below
    return both


def _open(photo: PhotoLike, limits: Limits) -> Callable[[Shrink], Decoded]:
    """What decodes a photo, once or again at another scale. The photo is read once, now."""
    name = name_of(photo)
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise BadPhoto(f"{name} is no photo", hint="give uint8 [h w 3], red, green and blue from 0 to 255")
        photo = Image.fromarray(np.ascontiguousarray(photo))
    if isinstance(photo, Image.Image):
        whole_picture = of_picture(photo, name, pixels=limits.pixels, side=limits.side)
        return lambda shrink: whole_picture
    data = load(photo, limits=limits)
    return lambda shrink: decode(data, name, pixels=limits.pixels, side=limits.side, shrink=shrink)


def _pixels(picture: Image.Image) -> Photo:
    return np.asarray(picture).copy()


def content(photo: Photo) -> Box:
    """The box outside which the photo is a plain border: the product without the white around it.

    Each side has its own colour, the median of a line near the edge; the border reaches inwards while all but .5% of a
    line's pixels are within 12 of 255 of that colour, so noise of JPEG and a soft shade belong to it. A photo with no
    such border, or with nothing else, stays whole. Photos of 320 pixels or more on the
    shorter side are judged smaller by a whole number, and the box is that much coarser, outwards.

    >>> photo = np.full((40, 30, 3), 250, np.uint8)
    >>> photo[10:25, 4:21] = 90
    >>> content(photo)
    Box(left=4, top=10, right=21, bottom=25)
    """
    return _content(Image.fromarray(photo))


def _content(picture: Image.Image) -> Box:
    width, height = picture.size
    step = max(1, min(height, width) // 160)
    small = np.asarray(picture.reduce(step) if step > 1 else picture)
    down = np.ascontiguousarray(small.transpose(2, 0, 1))  # by channel: along the last axis it is slow
    count = down.shape[1]
    top, bottom = _border(down), _border(down[:, ::-1])
    if top + bottom >= count:
        return Box(0, 0, width, height)
    across = np.ascontiguousarray(down[:, top : count - bottom].swapaxes(1, 2))
    left, right = _border(across), _border(across[:, ::-1])
    if left + right >= across.shape[1]:
        return Box(0, 0, width, height)
    inside = Box(left, top, across.shape[1] - right, count - bottom)
    return Box(
        inside.left * step,
        inside.top * step,
        min(width, inside.right * step),
        min(height, inside.bottom * step),
    )


def _border(lines: UInt8[np.ndarray, "3 n w"]) -> int:
    """How many lines from the first on are plain.

    The outermost 1% are not judged, nor the ends of a line: cutting and resizing leave a seam there that the eye does
    not see.
    """
    _, count, width = lines.shape
    seam, end = count // 100 + (count > 64), width // 100 + (width > 64)
    judged = lines[:, seam:, end : width - end]
    colours = _medians(judged[:, 0])
    darkest = np.array([max(colour - NEAR, 0) for colour in colours], np.uint8)[:, None, None]
    span = np.array([min(colour + NEAR, 255) for colour in colours], np.uint8)[:, None, None] - darkest
    few = 0.005 * judged.shape[2]
    start, size = 0, AT_ONCE  # most borders are narrow: what lies behind them is not looked at
    while start < judged.shape[1]:
        off = judged[:, start : start + size] - darkest > span  # what is darker wraps round, to far above
        busy = (off[0] | off[1] | off[2]).sum(axis=1) > few
        if busy.any():
            first = start + int(busy.argmax())
            return first + seam if first else 0
        start, size = start + size, 2 * size
    return count


def _medians(rows: UInt8[np.ndarray, "3 w"]) -> list[int]:
    """The median of each row, rounded down; a fifth of the time of NumPy's for such short rows."""
    ordered, count = np.sort(rows, axis=1), rows.shape[1]
    pairs = zip(ordered[:, (count - 1) // 2].tolist(), ordered[:, count // 2].tolist(), strict=True)
    return [(lower + upper) // 2 for lower, upper in pairs]


def thumbnail(source: PhotoLike, width: int, *, limits: Limits = LIMITS) -> bytes:
    """A small JPEG of the upright photo, ``width`` pixels wide or as wide as the photo is where that is less."""
    photo = _open(source, limits)(lambda across, down: max(1, across // width))
    across = min(width, photo.width)
    down = max(1, round(photo.height * across / photo.width))
    file = io.BytesIO()
    photo.picture.resize((across, down), RESAMPLING, None, GAP).save(file, "JPEG", quality=85)
    return file.getvalue()
