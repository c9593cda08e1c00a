"""Photo files that are small, within the limits of the service, and ask for far more work than a photo is worth."""

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

MIB = 2**20


def jpeg(width: int = 64, height: int = 64, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 20, 20)).save(file, "JPEG", **options)
    return file.getvalue()


def jpeg_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG of one colour whose last scan comes ``scans`` times more."""
    file = io.BytesIO()
    Image.new("L", (width, height), 128).save(file, "JPEG", progressive=True, quality=50)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + b"\xff\xd9"


def jpeg_with(extra: bytes) -> bytes:
    data = jpeg()
    return data[:2] + extra + data[2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, mode: int = 2, depth: int = 8, extra: bytes = b"") -> bytes:
    """A black PNG; ``mode`` is the colour type of its header."""
    row = 1 + (width * {0: 1, 2: 3, 4: 2, 6: 4}[mode] * depth + 7) // 8
    packer, left, pixels = zlib.compressobj(9), row * height, []
    block = bytes(min(left, 4 * MIB))
    while left > 0:
        pixels.append(packer.compress(block[:left]))
        left -= len(block)
    pixels.append(packer.flush())
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, mode, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", b"".join(pixels)) + chunk(b"IEND", b"")


def png_texts(count: int) -> bytes:
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MIB), 9))
    return png(64, 64, extra=text * count)


def tiff_tags(count: int, size: int) -> bytes:
    """A TIFF whose first directory names the same bytes ``count`` times."""
    size_tags = [(256, 4, 1, 64), (257, 4, 1, 64), (262, 3, 1, 1), (277, 3, 1, 1), (278, 4, 1, 64)]
    tags = sorted([*size_tags, *((1000 + n, 7, size, 8) for n in range(count))])
    entries = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4 + size)


def tiff(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "TIFF", compression="tiff_adobe_deflate")
    return file.getvalue()


def gif_comments(count: int) -> bytes:
    file = io.BytesIO()
    Image.new("P", (64, 64)).save(file, "GIF")
    data = file.getvalue()
    frame = data.index(b",", 13)
    return data[:frame] + b"\x21\xfe\x01a\x00" * count + data[frame:]


def gif(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("P", (side, side)).save(file, "GIF")
    return file.getvalue()


def webp_profile(size: int, mark: int = 0) -> bytes:
    file = io.BytesIO()
    profile = struct.pack("<I", mark) + bytes(size)
    Image.new("RGB", (64, 64), (200, 20, 20)).save(file, "WEBP", icc_profile=profile)
    return file.getvalue()


def webp(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (1, 2, 3)).save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()


def webp_claim(side: int = 16383) -> bytes:
    """A canvas of ``side`` x ``side`` pixels, in a hundred bytes."""
    file, frames = io.BytesIO(), [Image.new("RGBA", (64, 64), (shade, 2, 3, 4)) for shade in (1, 9)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    data = bytearray(file.getvalue())
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = side.to_bytes(3, "little") * 2
    return bytes(data)


def avif(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (1, 2, 3)).save(file, "AVIF", quality=10, speed=10)
    return file.getvalue()


def heif(side: int) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (side, side), (1, 2, 3))).save(file, quality=10)
    return file.getvalue()


def bmp_runs(width: int, height: int, run: int = 255) -> bytes:
    """An 8-bit BMP of run lengths, each of ``run`` pixels."""
    line = bytes([run, 0]) * (width // run) + (bytes([width % run, 0]) if width % run else b"")
    body = (line + b"\0\0") * height + b"\0\1"
    start = 14 + 40 + 1024
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + bytes(1024) + body


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "JPEG of 50 MP, 200 scans more": (lambda: jpeg_scans(7071, 7071, 200), "scans"),
    "JPEG of 4 MP, 2,000 scans more": (lambda: jpeg_scans(2000, 2000, 2000), "more than 100 scans"),
    "JPEG of 4,000,000 segments": (lambda: jpeg_with(b"\xff\xee\x00\x02" * (4 * MIB)), "segments"),
    "JPEG of 30 MiB of padding": (lambda: jpeg_with(b"\xff" * (30 * MIB)), "padding"),
    "JPEG of 30 MiB of comments": (
        lambda: jpeg_with((b"\xff\xfe\xff\xff" + b"a" * 65533) * 480), "bytes that are no pixels"),
    "PNG of 2,600,000 chunks": (lambda: png(64, 64, extra=chunk(b"abCd", b"") * 2_600_000), "chunks"),
    "PNG of 3,000,000 x 16": (lambda: png(3_000_000, 16), "longer side"),
    "PNG of 16 x 3,000,000": (lambda: png(16, 3_000_000), "longer side"),
    "TIFF of 200 tags of the same 8 MiB": (lambda: tiff_tags(200, 8 * MIB), "bytes that are no pixels"),
    "TIFF of 60,000 tags": (lambda: tiff_tags(60_000, 8), "tags"),
    "GIF of 6,000,000 comments": (lambda: gif_comments(6 * MIB), "blocks"),
    "WebP with a profile of 30 MiB": (lambda: webp_profile(30 * MIB), "bytes that are no pixels"),
    "BMP of 16,000,000 runs": (lambda: bmp_runs(4000, 4000, 1), "run lengths"),
}  # fmt: skip
"""Name -> how to make it, and what its refusal says."""

COSTLY: dict[str, Callable[[], bytes]] = {
    "JPEG of 50 MP": lambda: jpeg(7071, 7071, quality=30),
    "progressive JPEG of 50 MP": lambda: jpeg(7071, 7071, quality=30, progressive=True),
    "JPEG of 9 MP, 70 scans more": lambda: jpeg_scans(3000, 3000, 70),
    "PNG of 50 MP": lambda: png(7071, 7071),
    "PNG of 50 MP with alpha": lambda: png(7071, 7071, mode=6),
    "PNG of 50 MP, 16 bits of grey": lambda: png(7071, 7071, mode=0, depth=16),
    "PNG of 50 MP, 16 bits with alpha": lambda: png(7071, 7071, mode=6, depth=16),
    "TIFF of 49 MP": lambda: tiff(7000),
    "GIF of 49 MP": lambda: gif(7000),
    "WebP of 49 MP": lambda: webp(7000),
    "WebP that claims 268 MP": webp_claim,
    "AVIF of 49 MP": lambda: avif(7000),
    "HEIF of 16 MP": lambda: heif(4000),
    "BMP of 49 MP in runs": lambda: bmp_runs(7000, 7000),
}
"""Name -> how to make it. The look at the file lets these pass: decoding them is bounded in time and memory."""
