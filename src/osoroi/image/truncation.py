"""What kind of photo file some bytes are, and whether its end is there.

Decoders forgive: a JPEG without its end marker, a PNG whose last chunk is missing. Here the file itself is walked,
so that no partial picture is passed off as whole.
"""

from collections.abc import Iterable

from osoroi.errors import BadPhoto
from osoroi.image.inspect import END_OF_IMAGE, START_OF_FRAME, START_OF_SCAN, Marker, markers

READABLE = "a photo is a JPEG, PNG, WebP, AVIF, HEIF, GIF, BMP or TIFF file"

SEQUENTIAL = (0xC0, 0xC1)
"""Frames in one pass: baseline and extended, Huffman coded."""

LOOKAHEAD = bytes(16)
"""libjpeg reads up to 8 bytes ahead of the bits it uses."""


def kind_of(data: bytes, name: str) -> str:
    """The kind of file by its first bytes; raises BadPhoto for none, for text and for what is no photo."""
    if not data:
        raise BadPhoto(f"{name} is empty (0 bytes)", hint="copy or download the photo again")
    head = data[:16]
    for start, kind in (
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
    ):
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        brands = data[8 : max(16, int.from_bytes(head[:4], "big"))][:256]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if any(brand in brands for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")):
            return "HEIF"
    raise BadPhoto(f"{name} is not a photo{_looks_like(data)}", hint=READABLE)


def _looks_like(data: bytes) -> str:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, what in ((b"<svg", "SVG drawing"), (b"<!doctype html", "web page"), (b"<html", "web page")):
        if mark in head:
            return f" but a {what}"
    if head.startswith(b"%pdf"):
        return " but a PDF document"
    try:
        data[:1024].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data[:1024]) - 4:
            return " of a kind known here"
    return " of a kind known here" if b"\0" in data[:1024] else " but text"


def require(data: bytes, kind: str, name: str, *, known_markers: Iterable[Marker] | None = None) -> bytes:
    """The bytes to decode of a file whose end is there; raises BadPhoto where it is not.

    PNG has a check of its own (``png``). BMP, TIFF, AVIF and HEIF need none: their decoders miss every byte of pixels
    that is not there. So does that of GIF, for the first frame, which is all that is read. ``known_markers``
    are those of a JPEG, where they were looked for.
    """
    whole: bytes | None = data
    if kind == "JPEG":
        whole = _jpeg(data, markers(data, len(data)) if known_markers is None else known_markers)
    elif kind == "WebP":
        whole = data if len(data) >= 8 + int.from_bytes(data[4:8], "little") else None
    if whole is None:
        raise BadPhoto(
            f"{name} is a truncated or damaged {kind} file ({len(data):,} bytes)",
            hint="replace it by a whole copy of the photo",
        )
    return whole


def _jpeg(data: bytes, known_markers: Iterable[Marker]) -> bytes | None:
    """The bytes to decode of a JPEG whose markers lead to an end-of-image, else None.

    Where a scan breaks off, libjpeg goes on in grey and only warns, which Pillow does not pass on: a file that lost its
    second half and got an end mark would come out as a picture. Of a file with one sequential scan the end mark is
    therefore taken away: a whole scan never misses it, a broken one runs out of bytes, and that is an error.
    """
    scans, frame = 0, 0
    for end, code in known_markers:
        if code == END_OF_IMAGE:
            if not scans:
                return None
            return b"".join((memoryview(data)[: end - 2], LOOKAHEAD)) if scans == 1 and frame in SEQUENTIAL else data
        if code in START_OF_FRAME:
            frame = code
        scans += code == START_OF_SCAN
    return None
