"""The bytes of a photo file -> a whole upright sRGB picture, or BadPhoto that says why not.

The format is recognised by the first bytes, never by its name. Each kind is opened by its own decoder, so nothing
here depends on, or changes, a global setting of Pillow. A picture is passed on only when the file is whole: decoders
that forgive a missing end are preceded by a check of our own (``truncation``). What Pillow reads otherwise than the
format says is brought to what it says, or refused (``corrections``).
"""

import importlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from osoroi.errors import BadPhoto
from osoroi.image import inspect, truncation

if TYPE_CHECKING:
    from osoroi.image.png import Png

FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    AssertionError,
    EOFError,
    MemoryError,
    BufferError,
    struct.error,
    zlib.error,
    ImageCms.PyCMSError,
    Image.DecompressionBombError,
    Warning,
)
"""What decoders throw at a damaged file."""


UNSUPPORTED = ("unknown", "unsupported", "cannot handle", "unrecognized", "string index")
"""How Pillow's messages begin for whole files of a layout that it does not decode."""

PLAIN = "save it as an ordinary RGB photo of 8 bits"


def _heif(file: io.BytesIO) -> Image.Image:
    """HEIF, imported when the first such photo comes: the one decoder that Pillow does not bring."""
    opened: Image.Image = importlib.import_module("pillow_heif").HeifImageFile(file)
    return opened


DECODERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "HEIF": _heif,
}

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""

ORIENTATION = 0x0112

EXIF = 0xE1
"""JPEG marker of EXIF data, and of other metadata."""

INTEGERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l"}
"""Integer types of EXIF -> how ``struct`` reads one."""

AT_ONCE = 2**20
"""Bytes of a JPEG that the decoder gets at once: where they end inside a line of blocks, it begins that line again."""

SWAPPED, FROM_RIGHT, FROM_BOTTOM = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)
"""Orientations that swap width and height; whose upright left was an end as stored; whose upright top was one."""

Shrink = Callable[[int, int], int]
"""Upright width and height of a photo -> the greatest whole number it may be reduced by (1: not at all)."""


class Decoded(NamedTuple):
    """A whole photo: its upright sRGB picture, reduced by ``scale``, and its own upright size.

    The reduced pixel (i, j) covers ``scale`` x ``scale`` pixels from (i * scale - left, j * scale - top): decoders
    begin at the first pixel stored, so the last one overhangs, and turning may bring that one to the left or top.
    """

    picture: Image.Image
    scale: int
    width: int
    height: int
    left: int = 0
    top: int = 0


def whole(width: int, height: int) -> int:
    """The Shrink that does nothing."""
    return 1


def decode(data: bytes, name: str, *, pixels: int, side: int, shrink: Shrink = whole) -> Decoded:
    """A photo of at most ``pixels`` pixels and at least ``side`` on its shorter side; ``name`` is for messages.

    Only JPEG can be decoded at a reduced scale (1/2, 1/4, 1/8); other kinds come whole, ``scale`` 1.
    """
    kind = truncation.kind_of(data, name)
    markers = list(inspect.markers(data, inspect.LIMITS.segments)) if kind == "JPEG" else None
    inspect.require_modest(data, kind, name, known_markers=markers)
    data = truncation.require(data, kind, name, known_markers=markers)
    png = _png(data, name) if kind == "PNG" else None
    with _Faults(kind, name), nullcontext() if _is_silent(markers) else _quiet():
        image = DECODERS[kind](io.BytesIO(data if png is None else png.data))
    width, height = image.size
    _within(width, height, name, pixels=pixels, side=side)
    _refuse_layout(image, name)
    if kind != "JPEG":
        _load(image, kind, name)  # a PNG may say its orientation after its pixels
    orientation = _orientation(image)
    if orientation in SWAPPED:
        width, height = height, width
    scale = 1
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        scale = _draft(image, shrink(width, height))
        image.decodermaxblock = max(image.decodermaxblock, min(len(data), AT_ONCE))
    _load(image, kind, name)
    if kind != "JPEG":  # which Pillow reads as it is meant
        with _Faults(kind, name):
            image = _corrected(image, png)
    left, top = -width % scale * (orientation in FROM_RIGHT), -height % scale * (orientation in FROM_BOTTOM)
    return Decoded(_upright(image, orientation, name), scale, width, height, left, top)


def of_picture(image: Image.Image, name: str, *, pixels: int, side: int) -> Decoded:
    """A Pillow image as ``decode`` gives a file of the same content: upright by its EXIF data, in sRGB, not reduced."""
    kind = image.format or "Pillow"
    _within(*image.size, name, pixels=pixels, side=side)
    _refuse_layout(image, name)
    _load(image, kind, name)
    picture = _upright(image, _orientation(image), name)
    return Decoded(picture, 1, *picture.size)


def _png(data: bytes, name: str) -> "Png":
    from osoroi.image.png import essential

    return essential(data, name)


def _corrected(image: Image.Image, png: "Png | None") -> Image.Image:
    """The picture as its format means it."""
    from osoroi.image import corrections

    return corrections.after_pixels(image, png)


def _refuse_layout(image: Image.Image, name: str) -> None:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return
    from osoroi.image import corrections

    try:
        corrections.before_pixels(image)
    except ValueError as error:
        raise BadPhoto(f"{name} is {error}, which is not read", hint=PLAIN) from error


def _load(image: Image.Image, kind: str, name: str) -> None:
    with _Faults(kind, name), _quiet() if kind == "TIFF" else nullcontext():
        image.load()


def _upright(image: Image.Image, orientation: int, name: str) -> Image.Image:
    try:
        picture = image if _is_plain(image) else _to_srgb(image)
    except (ValueError, OSError, MemoryError) as error:
        raise BadPhoto(
            f"{name} has pixels that cannot be brought to sRGB: {_reason(error)}", hint="save it as a plain RGB photo"
        ) from error
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _is_plain(image: Image.Image) -> bool:
    """Whether the pixels are sRGB already, as those of most photos are."""
    return image.mode == "RGB" and not {"icc_profile", "transparency"} & image.info.keys()


def _to_srgb(image: Image.Image) -> Image.Image:
    from osoroi.image.icc import to_srgb

    return to_srgb(image)


class _Faults:
    """Whatever a decoder throws at a file is a BadPhoto that names the file. A class, as every photo passes it twice:
    ``contextmanager`` takes three times as long."""

    def __init__(self, kind: str, name: str) -> None:
        self._kind, self._name = kind, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ModuleNotFoundError):
            raise BadPhoto(
                f"{self._name} is a {self._kind} photo, and the decoder for it is not installed",
                hint="install it with: pip install pillow-heif, or save the photo as JPEG",
            ) from error
        if isinstance(error, FAULTS):
            if _reason(error).lower().startswith(UNSUPPORTED):
                problem = f"{self._name} is a {self._kind} photo of a layout that is not read: {_reason(error)}"
                raise BadPhoto(problem, hint=PLAIN) from error
            raise BadPhoto(
                f"{self._name} is a truncated or damaged {self._kind} file: {_reason(error)}",
                hint="replace it by a whole copy of the photo",
            ) from error


def _is_silent(markers: Sequence[inspect.Marker] | None) -> bool:
    """Whether Pillow has nothing to warn of in the head of a file: a JPEG, by its markers, that has no EXIF data."""
    return markers is not None and all(marker.code != EXIF for marker in markers)


_LOCK = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings of odd metadata, which say nothing about the pixels.

    Python's switch for warnings is one for all threads, so only one thread of ours may turn it at a time.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _within(width: int, height: int, name: str, *, pixels: int, side: int) -> None:
    if width * height > pixels:
        raise BadPhoto(
            f"{name} has {width} x {height} pixels, more than the {pixels:,} allowed",
            hint="make the photo smaller, or allow more with Limits(pixels=...)",
        )
    if max(width, height) > inspect.LONGEST_SIDE:
        raise BadPhoto(
            f"{name} has {width} x {height} pixels, more than the {inspect.LONGEST_SIDE:,} allowed on the longer side",
            hint="cut the photo to what it shows",
        )
    if min(width, height) < side:
        raise BadPhoto(
            f"{name} has {width} x {height} pixels, fewer than the {side} needed on the shorter side",
            hint="give a larger photo, or allow less with Limits(side=...)",
        )


def _draft(image: JpegImagePlugin.JpegImageFile, allowed: int) -> int:
    """Set the decoder to 1/8, 1/4, 1/2 or the whole, and say which."""
    width, height = image.size
    for scale in (8, 4, 2):
        if scale <= allowed and min(width, height) >= scale * scale:  # else Pillow may round to a coarser scale
            image.draft(None, (width // scale, height // scale))
            return scale if image.size != (width, height) else 1
    return 1


def _orientation(image: Image.Image) -> int:
    """Tag 0x0112 of the first EXIF directory, of any integer type; 1 where there is none or it cannot be read.

    TIFF and HEIF decoders have turned the picture already.
    """
    exif = image.info.get("exif", b"")
    if not isinstance(exif, bytes) or image.format in ("TIFF", "HEIF"):
        return 1
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "L", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, integer, count = struct.unpack_from(order + "HHL", exif, at)
            if tag == ORIENTATION and integer in INTEGERS and count == 1:
                return int(struct.unpack_from(order + INTEGERS[integer], exif, at + 8)[0])
    except struct.error:
        return 1
    return 1


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
