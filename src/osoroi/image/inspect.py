"""A bounded look at a photo file before any decoder sees it: what would cost more than a photo may is refused here.

A decoder does whatever a file asks of it: a JPEG of 2 MiB can hold 2,000 scans of 50 megapixels, a PNG of 30 MiB two
million chunks. This module counts scans, segments, chunks, blocks, directory entries and metadata bytes, and stops
counting at the limit, so that the look itself takes milliseconds.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn

from osoroi.errors import BadPhoto

FILL = 64
"""Bytes of padding before a JPEG marker, at most. Encoders write none or one; decoders skip it byte by byte."""

LONGEST_SIDE = 65_535
"""Pixels of the longer side of a photo, as in JPEG. Decoders work line by line, so a long and narrow one costs more."""

HEAD = 2**20
"""Bytes of a JPEG within which its size is looked for."""

START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that start a frame and say how it is coded."""

START_OF_SCAN = 0xDA

MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The next marker: not a stuffed byte of compressed pixels, not a restart, not padding."""

END_OF_IMAGE: Final = 0xD9
ALONE: Final = frozenset({0x01, 0xD8})
"""Markers without a length."""

TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each TIFF type."""


class Marker(NamedTuple):
    """The place behind a marker, and its second byte."""

    end: int
    code: int


@dataclass(frozen=True)
class FileLimits:
    """What a photo file may hold at most. Each limit is far above what cameras, phones and editors write."""

    scans: int = 100
    """Scans of a JPEG. A progressive file has about ten."""
    scanned_pixels: int = 750_000_000
    """Pixels of a JPEG times its scans: each scan passes over all of them."""
    segments: int = 4_000
    """Segments of a JPEG, blocks before the first frame of a GIF, boxes of an AVIF or HEIF, chunks of a WebP."""
    chunks: int = 20_000
    """Chunks of a PNG: pixels may come in many."""
    metadata_bytes: int = 16 * 2**20
    """Bytes that are no pixels: profiles, EXIF, XMP, text, and the values of a TIFF directory."""
    tags: int = 1_000
    """Entries of the first directory of a TIFF."""
    run_bytes: int = 2**20
    """Compressed bytes of a BMP with run lengths, which are decoded one by one."""


LIMITS = FileLimits()


def require_modest(
    data: bytes, kind: str, name: str, *, limits: FileLimits = LIMITS, known_markers: Sequence[Marker] | None = None
) -> None:
    """Raise BadPhoto where a file of this kind (as ``truncation.kind_of`` names it) asks for more than a photo may.

    A file that is broken passes: saying how is the decoder's part. ``known_markers`` are those of a JPEG, where they
    were looked for.

    >>> require_modest(b"GIF89a" + bytes(7) + b"!\\xfe\\x01a\\x00" * 9000, "GIF", "a.gif")
    Traceback (most recent call last):
    osoroi.errors.BadPhoto: a.gif holds more than 4,000 blocks; save it again as a plain JPEG or PNG
    """
    try:
        match kind:
            case "JPEG":
                _jpeg(data, name, limits, markers(data, limits.segments) if known_markers is None else known_markers)
            case "PNG":
                _png(data, name, limits)
            case "GIF":
                _gif(data, name, limits)
            case "WebP":
                _webp(data, name, limits)
            case "TIFF":
                _tiff(data, name, limits)
            case "BMP":
                _bmp(data, name, limits)
            case "AVIF" | "HEIF":
                _boxes(data, name, limits)
    except (struct.error, IndexError):
        return


def estimated_work(data: bytes, kind: str) -> int | None:
    """Pixels to decode as the head of a file states them, times eight for a progressive JPEG; None where that is
    not known cheaply. It serves for planning alone: decoders check the true size.

    >>> estimated_work(b"GIF89a" + struct.pack("<HH", 30, 20), "GIF")
    600
    """
    try:
        match kind:
            case "JPEG":
                frames = (_area(data, at) * (8 if marker == 0xC2 else 1)
                          for at, marker in markers(data, 200, HEAD) if marker in START_OF_FRAME)  # fmt: skip
                return next(frames, None)
            case "PNG":
                width, height = struct.unpack_from(">II", data, 16)
            case "GIF":
                width, height = struct.unpack_from("<HH", data, 6)
            case "BMP":
                width, height = struct.unpack_from("<ii", data, 18)
            case "WebP" if data[12:16] == b"VP8X":
                width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
            case "WebP" if data[12:16] == b"VP8 ":
                width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
            case _:
                return None
    except struct.error:
        return None
    return int(abs(width * height))


def _refuse(name: str, limit: int, what: str) -> NoReturn:
    raise BadPhoto(f"{name} holds more than {limit:,} {what}", hint="save it again as a plain JPEG or PNG")


def markers(data: bytes, most: int, end: int | None = None) -> Iterator[Marker]:
    r"""The markers from the second one on, those inside segments left out, up to the end of the image; ``most`` + 1 at
    most, and none that does not lie before ``end``.

    >>> list(markers(b"\xff\xd8\xff\xe0\x00\x04\xff\xd9\xff\x00\xff\xd9", 9))
    [Marker(end=4, code=224), Marker(end=12, code=217)]
    """
    at, end = 2, len(data) if end is None else end
    for _ in range(most + 1):
        found = MARKER.search(data, at, end)
        if found is None:
            return
        at, code = found.end(), data[found.end() - 1]
        yield Marker(at, code)
        if code == END_OF_IMAGE:
            return
        if code not in ALONE:
            at += int.from_bytes(data[at : at + 2], "big")


def _area(data: bytes, at: int) -> int:
    """Width times height of a JPEG frame whose segment begins at ``at``."""
    height, width = struct.unpack_from(">HH", data, at + 3)
    return int(width * height)


def _jpeg(data: bytes, name: str, limits: FileLimits, known_markers: Iterable[Marker]) -> None:
    if b"\xff" * (FILL + 1) in data:
        _refuse(name, FILL, "bytes of padding in one place")
    scans, metadata, pixels = 0, 0, 0
    for segments, (at, marker) in enumerate(known_markers, start=1):
        if segments > limits.segments:
            _refuse(name, limits.segments, "segments")
        if marker in START_OF_FRAME:
            pixels = max(pixels, _area(data, at))
        elif marker == START_OF_SCAN:
            scans += 1
        elif marker >= 0xE0:
            metadata += int.from_bytes(data[at : at + 2], "big")
        if scans > limits.scans:
            _refuse(name, limits.scans, "scans")
        if scans > 1 and scans * pixels > limits.scanned_pixels:
            _refuse(name, limits.scanned_pixels, "pixels in all its scans together")
        if metadata > limits.metadata_bytes:
            _refuse(name, limits.metadata_bytes, "bytes that are no pixels")


def _png(data: bytes, name: str, limits: FileLimits) -> None:
    at, chunks, metadata = 8, 0, 0
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunks += 1
        if chunks > limits.chunks:
            _refuse(name, limits.chunks, "chunks")
        if kind == b"IEND":
            return
        if kind not in (b"IDAT", b"fdAT"):
            metadata += size
        if metadata > limits.metadata_bytes:
            _refuse(name, limits.metadata_bytes, "bytes that are no pixels")
        at += 12 + size


def _gif(data: bytes, name: str, limits: FileLimits) -> None:
    """The blocks before the first frame: no later frame is read."""
    flags = data[10]
    at, blocks = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0), 0
    while data[at] == 0x21:
        at += 2
        while size := data[at]:
            at, blocks = at + 1 + size, blocks + 1
            if blocks > limits.segments:
                _refuse(name, limits.segments, "blocks")
        at, blocks = at + 1, blocks + 1
        if blocks > limits.segments:
            _refuse(name, limits.segments, "blocks")


def _webp(data: bytes, name: str, limits: FileLimits) -> None:
    at, chunks, metadata = 12, 0, 0
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))  # bytes behind the end are not read
    while at + 8 <= end:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        chunks += 1
        if chunks > limits.segments:
            _refuse(name, limits.segments, "chunks")
        if kind not in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF", b"VP8X"):
            metadata += size
        if metadata > limits.metadata_bytes:
            _refuse(name, limits.metadata_bytes, "bytes that are no pixels")
        at += 8 + size + (size & 1)


def _tiff(data: bytes, name: str, limits: FileLimits) -> None:
    """The entries of the first directory, and the bytes their values take: many may name the same place."""
    order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    if count > limits.tags:
        _refuse(name, limits.tags, "tags")
    step, first, metadata = (20, at + 8, 0) if big else (12, at + 2, 0)
    for entry in range(first, first + step * count, step):
        _, kind, values = struct.unpack_from(order + ("HHQ" if big else "HHL"), data, entry)
        metadata += values * TIFF_SIZES.get(kind, 1)
        if metadata > limits.metadata_bytes:
            _refuse(name, limits.metadata_bytes, "bytes that are no pixels")


def _bmp(data: bytes, name: str, limits: FileLimits) -> None:
    (start,) = struct.unpack_from("<I", data, 10)
    (head,) = struct.unpack_from("<I", data, 14)
    compression = struct.unpack_from("<I", data, 30)[0] if head >= 40 else 0
    if compression in (1, 2) and len(data) - start > limits.run_bytes:
        _refuse(name, limits.run_bytes, "bytes of run lengths")


def _boxes(data: bytes, name: str, limits: FileLimits) -> None:
    """The outermost boxes of a file, and the size of the one that describes its items."""
    at, boxes = 0, 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        boxes += 1
        if boxes > limits.segments:
            _refuse(name, limits.segments, "boxes")
        if kind == b"meta" and min(size or len(data), len(data) - at) > limits.run_bytes:
            _refuse(name, limits.run_bytes, "bytes that describe its items")
        if size < 8:
            return
        at += size
