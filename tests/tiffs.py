"""TIFF files of any layout, written by hand: every combination of tags that a decoder claims to know."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL.TiffImagePlugin import OPEN_INFO

WIDTH, HEIGHT = 40, 36


@dataclass(frozen=True)
class Layout:
    """How the samples of a TIFF lie in its file."""

    order: str
    photometric: int
    sample_format: int
    fill_order: int
    bits: tuple[int, ...]
    extra: tuple[int, ...]
    planar: int = 1
    compression: int = 1
    tiled: bool = False
    predictor: int = 1

    @property
    def name(self) -> str:
        bits = "-".join(map(str, self.bits))
        extra = "".join(map(str, self.extra)) or "no"
        parts = f"{'le' if self.order == '<' else 'be'}_photo{self.photometric}_format{self.sample_format}"
        rest = f"fill{self.fill_order}_bits{bits}_extra{extra}_planar{self.planar}_comp{self.compression}"
        return f"{parts}_{rest}{'_tiled' if self.tiled else ''}{'_pred2' if self.predictor == 2 else ''}"


def layouts() -> Iterator[Layout]:
    """Every layout that Pillow opens, in one plane and in several, stored plainly, deflated, in tiles."""
    for prefix, photometric, formats, fill, bits, extra in OPEN_INFO:
        order = "<" if prefix == b"II" else ">"
        base = (order, photometric, formats[0], fill, bits, extra)
        yield Layout(*base)
        yield Layout(*base, tiled=True)
        yield Layout(*base, compression=8)
        if len(bits) > 1:
            yield Layout(*base, planar=2)
            yield Layout(*base, planar=2, compression=8)
        if bits[0] in (8, 16) and formats[0] == 1 and photometric in (1, 2):
            yield Layout(*base, compression=8, predictor=2)


def samples(layout: Layout) -> np.ndarray:
    """A lopsided picture ``[h w c]`` in the numbers of the layout: another ramp in every channel."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    count = len(layout.bits)
    ramps = [x / (WIDTH - 1), y / (HEIGHT - 1), 1 - x / (WIDTH - 1) * 0.7, 0.25 + y / (HEIGHT - 1) * 0.5]
    shares = np.stack([ramps[band % 4] for band in range(count)], axis=2)
    if layout.sample_format == 3:
        return shares.astype(np.float32)
    most = 2 ** (layout.bits[0] - (layout.sample_format == 2)) - 1
    return np.round(shares * most).astype(np.int64)


def packed(rows: np.ndarray, layout: Layout) -> bytes:
    """Rows ``[h n]`` of samples as bytes: whole bytes in the file's order, or bits from the highest on."""
    bits = layout.bits[0]
    if layout.sample_format == 3:
        return rows.astype(f"{layout.order}f4").tobytes()
    if bits in (8, 16, 32):
        return rows.astype(f"{layout.order}{'u' if layout.sample_format == 1 else 'i'}{bits // 8}").tobytes()
    planes = ((rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).reshape(len(rows), -1)
    return np.packbits(planes, axis=1).tobytes()


def predicted(block: np.ndarray, layout: Layout) -> np.ndarray:
    """Differences to the sample of the same channel on the left, modulo the range."""
    if layout.predictor == 1:
        return block
    result = block.copy()
    result[:, 1:] = (block[:, 1:] - block[:, :-1]) % 2 ** layout.bits[0]
    return result


def blocks(picture: np.ndarray, layout: Layout) -> Iterator[bytes]:
    """The strips or tiles of the picture, plane after plane, as they stand in the file."""
    planes = [picture] if layout.planar == 1 else [picture[..., band : band + 1] for band in range(picture.shape[2])]
    for plane in planes:
        if layout.tiled:
            padded = np.pad(plane, ((0, -HEIGHT % 16), (0, -WIDTH % 16), (0, 0)), mode="edge")
            corners = [(y, x) for y in range(0, len(padded), 16) for x in range(0, padded.shape[1], 16)]
            pieces = [padded[y : y + 16, x : x + 16] for y, x in corners]
        else:
            pieces = [plane[y : y + 10] for y in range(0, HEIGHT, 10)]
        for piece in pieces:
            data = packed(predicted(piece, layout).reshape(len(piece), -1), layout)
            data = zlib.compress(data) if layout.compression == 8 else data
            yield bytes(int(f"{byte:08b}"[::-1], 2) for byte in data) if layout.fill_order == 2 else data


def tiff(layout: Layout, more: dict[int, tuple[int, list[int]]] | None = None) -> bytes:
    """The file. ``more`` holds further tags: number -> (type, values)."""
    out, offsets, sizes = bytearray((b"II*\0" if layout.order == "<" else b"MM\0*") + bytes(4)), [], []
    for block in blocks(samples(layout), layout):
        offsets.append(len(out))
        sizes.append(len(block))
        out += block + bytes(len(block) % 2)
    count = len(layout.bits)
    tags: dict[int, tuple[int, list[int]]] = {
        256: (4, [WIDTH]),
        257: (4, [HEIGHT]),
        258: (3, list(layout.bits)),
        259: (3, [layout.compression]),
        262: (3, [layout.photometric]),
        266: (3, [layout.fill_order]),
        277: (3, [count]),
        284: (3, [layout.planar]),
        339: (3, [layout.sample_format] * count),
    }
    if layout.tiled:
        tags |= {322: (4, [16]), 323: (4, [16]), 324: (4, offsets), 325: (4, sizes)}
    else:
        tags |= {273: (4, offsets), 278: (4, [10]), 279: (4, sizes)}
    if layout.extra:
        tags[338] = (3, list(layout.extra))
    if layout.predictor == 2:
        tags[317] = (3, [2])
    if layout.photometric == 3:
        colors = 2 ** layout.bits[0]
        ramp = np.linspace(0, 255, colors).round().astype(int) * 257
        tags[320] = (3, [*ramp.tolist(), *ramp[::-1].tolist(), *(ramp // 2).tolist()])
    if layout.photometric == 6:
        tags[530] = (3, [1, 1])
    return written(out, tags | (more or {}), layout.order)


def written(out: bytearray, tags: dict[int, tuple[int, list[int]]], order: str) -> bytes:
    """The pixels, then the directory of tags."""
    entries = []
    for tag in sorted(tags):
        kind, values = tags[tag]
        raw = struct.pack(order + {3: "H", 4: "L"}[kind] * len(values), *values)
        if len(raw) > 4:
            place = len(out)
            out += raw + bytes(len(raw) % 2)
            raw = struct.pack(order + "L", place)
        entries.append(struct.pack(order + "HHL", tag, kind, len(values)) + raw.ljust(4, b"\0"))
    struct.pack_into(order + "L", out, 4, len(out))
    return bytes(out + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4))
