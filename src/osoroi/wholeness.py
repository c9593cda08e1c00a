"""What kind of photo file some bytes are, and whether its end is there.

Decoders forgive: a JPEG without its end marker, a PNG whose last chunk is missing. Here the file itself is walked,
so that no partial picture is passed off as whole.
"""

import re
import zlib

from osoroi.errors import BadPhoto

READABLE = "a photo is a JPEG, PNG, WebP, AVIF, HEIF, GIF, BMP or TIFF file"

MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The next JPEG marker inside compressed pixels: not a stuffed byte, not a restart, not padding."""


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


def require(data: bytes, kind: str, name: str) -> None:
    """Raise BadPhoto where the end of the file is not there.

    GIF, BMP and TIFF have no such check: their decoders miss every byte of pixels that is not there.
    """
    match kind:
        case "JPEG":
            whole = _jpeg_is_whole(data)
        case "PNG":
            whole = _png_is_whole(data)
        case "WebP":
            whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
        case _:
            whole = True
    if not whole:
        raise BadPhoto(
            f"{name} is a truncated or damaged {kind} file ({len(data):,} bytes)",
            hint="replace it by a whole copy of the photo",
        )


def _jpeg_is_whole(data: bytes) -> bool:
    """Whether the markers lead from the start to an end-of-image after at least one scan."""
    at, scans = 2, 0
    while True:
        found = MARKER.search(data, at)
        if found is None:
            return False
        at, marker = found.end(), data[found.end() - 1]
        if marker == 0xD9:
            return scans > 0
        if marker in (0x01, 0xD8):
            continue
        scans += marker == 0xDA
        at += int.from_bytes(data[at : at + 2], "big")


def _png_is_whole(data: bytes) -> bool:
    """Whether the chunks lead to IEND, and those that make the picture have the check sums they state."""
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 8 + size
        critical = not kind[0] & 0x20
        if critical and int.from_bytes(data[end : end + 4], "big") != zlib.crc32(memoryview(data)[at + 4 : end]):
            return False
        if kind == b"IEND":
            return True
        at = end + 4
    return False
