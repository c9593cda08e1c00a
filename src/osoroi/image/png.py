"""The chunks of a PNG that decide its pixels; everything else in the file is left out before it is decoded.

Text of any size, animation and chunks of applications decide no pixel of the picture, and a wrong check sum in one of
them is no damage to it. The colour profile is unpacked here, up to a bound.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from osoroi.errors import BadPhoto

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

CRITICAL: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
"""The chunks without which there is no picture. Others of this rank are unknown, and the file is refused."""

ANCILLARY: Final = (b"tRNS", b"eXIf", b"gAMA", b"cHRM", b"sRGB")
"""Further chunks that decide how the pixels are shown."""

PROFILE_BYTES: Final = 16 * 2**20
"""Size of the largest colour profile that is unpacked. Profiles of presses have up to 4 MB."""


class PngChunk(NamedTuple):
    """One chunk: its kind, its data, the whole of it with length and check sum, and whether the check sum is right."""

    kind: bytes
    data: memoryview
    raw: memoryview
    intact: bool


class Png(NamedTuple):
    """A PNG without what decides no pixel: the file to decode, bits a sample, ``tRNS`` and the colour profile."""

    data: bytes
    bits: int
    transparency: bytes
    profile: bytes | None


def chunks(data: bytes) -> Iterator[PngChunk]:
    """The chunks of a PNG in order, up to IEND or to the last one that is there whole."""
    view, at = memoryview(data), len(SIGNATURE)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        end = at + 12 + size
        if end > len(data):
            return
        (stated,) = struct.unpack_from(">I", data, end - 4)
        kind = bytes(view[at + 4 : at + 8])
        yield PngChunk(kind, view[at + 8 : end - 4], view[at:end], zlib.crc32(view[at + 4 : end - 4]) == stated)
        if kind == b"IEND":
            return
        at = end


def essential(data: bytes, name: str) -> Png:
    """The part of a PNG that decides its pixels.

    Raises BadPhoto where the file does not lead to IEND, a critical chunk is damaged or unknown, or there is no header.
    """
    kept: list[bytes | memoryview] = [SIGNATURE]
    found: dict[bytes, bytes] = {}
    for chunk in chunks(data):
        critical = not chunk.kind[0] & 0x20
        if critical and (not chunk.intact or chunk.kind not in CRITICAL):
            break
        if chunk.intact and chunk.kind == b"iCCP":
            found.setdefault(chunk.kind, bytes(chunk.data))
        if chunk.intact and (critical or chunk.kind in ANCILLARY):
            kept.append(chunk.raw)
            if chunk.kind in (b"IHDR", b"tRNS"):
                found.setdefault(chunk.kind, bytes(chunk.data))
        if chunk.kind == b"IEND" and len(found.get(b"IHDR", b"")) == 13:
            profile = unpacked(found[b"iCCP"]) if b"iCCP" in found else None
            return Png(b"".join(kept), found[b"IHDR"][8], found.get(b"tRNS", b""), profile)
    raise BadPhoto(
        f"{name} is a truncated or damaged PNG file ({len(data):,} bytes)",
        hint="replace it by a whole copy of the photo",
    )


def unpacked(chunk: bytes) -> bytes | None:
    """The colour profile in the data of an ``iCCP`` chunk, or None where it is damaged or above the bound.

    >>> unpacked(b"sRGB\\0\\0" + zlib.compress(b"profile"))
    b'profile'
    """
    _, _, rest = chunk.partition(b"\0")
    if rest[:1] != b"\0":  # the one method of compression there is
        return None
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], PROFILE_BYTES)
    except zlib.error:
        return None
    return None if inflate.unconsumed_tail or not profile else profile
