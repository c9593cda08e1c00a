"""Pixels compared with a second decoder, ImageMagick: every layout is read alike, or refused.

Where ImageMagick itself leaves the specification, the test says so and brings its own arithmetic.
"""

import io
import shutil
import struct
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osoroi import image as images
from osoroi.errors import BadPhoto
from test_images import ADOBE, profile
from tiffs import Layout, layouts, samples, tiff

MOGRIFY = shutil.which("mogrify")
needs_second_decoder = pytest.mark.skipif(
    MOGRIFY is None, reason="ImageMagick is not installed; tools/decoder.sh installs it"
)

WIDTH, HEIGHT = 40, 36


def ramp(most: int, band: int = 0) -> np.ndarray:
    """Numbers from 0 to ``most`` that grow to the right in even bands and downwards in odd ones."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    share = (x / (WIDTH - 1)) if band % 2 == 0 else (y / (HEIGHT - 1))
    return np.round(share * most).astype(np.int64)


def by_imagemagick(folder: Path, files: dict[str, bytes], *, opaque: frozenset[str] = frozenset()) -> dict[str, object]:
    """Name -> the picture on white as ImageMagick decodes it; ``opaque`` names files whose alpha is not looked at."""
    assert MOGRIFY is not None
    (folder / "out").mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)

    def decode(name: str) -> None:
        options = ["-background", "white", "-alpha", "off" if name in opaque else "remove", "-auto-orient"]
        options += ["-colorspace", "sRGB", "-type", "TrueColor", "-depth", "8", "-format", "ppm", "-path", "out"]
        subprocess.run([MOGRIFY, *options, f"{name}[0]"], cwd=folder, capture_output=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode, files))
    return {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in sorted((folder / "out").iterdir())}


def ours(data: bytes) -> np.ndarray | None:
    """The photo, or None where it is refused."""
    try:
        return images.read(data)
    except BadPhoto:
        return None


def far(one: np.ndarray, other: object) -> float:
    assert isinstance(other, np.ndarray)
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@needs_second_decoder
def test_every_tiff_is_read_as_imagemagick_reads_it_or_refused(tmp_path: Path) -> None:
    every = {layout.name: layout for layout in layouts()}
    files = {f"{name}.tif": tiff(layout) for name, layout in every.items()}
    unspecified = frozenset(f"{name}.tif" for name, one in every.items() if one.extra and max(one.extra) == 0)
    photos = {name: ours(files[f"{name}.tif"]) for name in every}
    wanted = {f"{name}.tif": files[f"{name}.tif"] for name, photo in photos.items() if photo is not None}
    theirs = by_imagemagick(tmp_path, wanted, opaque=unspecified)
    wrong = {}
    for name, photo in photos.items():
        layout = every[name]
        if photo is None or (layout.photometric == 0 and layout.bits[0] in (2, 4)):
            continue  # ImageMagick does not invert 2 and 4 bits where white is 0; see the test below
        difference = far(photo, theirs[name])
        if difference > (6 if layout.photometric == 8 else 1):  # Lab: another white point
            wrong[name] = difference
    assert not wrong
    assert sum(photo is not None for photo in photos.values()) >= 360, "the common layouts are read"


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("white", [0, 1])
@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_tiff_of_any_depth_is_scaled_and_inverted(bits: int, white: int, order: str) -> None:
    layout = Layout(order, white, 1, 1, (bits,), ())
    photo = ours(tiff(layout))
    known = not (bits == 12 and (order == ">" or not white)) and not (bits == 16 and order == ">" and not white)
    assert (photo is not None) == known
    if photo is not None:
        share = samples(layout)[..., 0] / (2**bits - 1)
        assert far(photo, np.repeat(np.round(255 * (share if white else 1 - share))[..., None], 3, axis=2)) <= 0.5


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tiff_of_sixteen_bits_in_planes_is_right_or_refused(compression: int) -> None:
    assert ours(tiff(Layout("<", 2, 1, 1, (16, 16, 16), (), planar=2, compression=compression))) is None
    whole = ours(tiff(Layout("<", 2, 1, 1, (8, 8, 8), (), planar=2, compression=compression)))
    assert whole is not None
    assert far(whole, samples(Layout("<", 2, 1, 1, (8, 8, 8), ()))) == 0


def test_a_tiff_whose_palette_has_eight_bits_is_not_black() -> None:
    layout = Layout("<", 3, 1, 1, (8,), ())
    small = tiff(layout, {320: (3, [*range(256), *range(255, -1, -1), *([7] * 256)])})
    photo = ours(small)
    assert photo is not None
    numbers = samples(layout)[..., 0]
    assert (photo == np.stack([numbers, 255 - numbers, np.full_like(numbers, 7)], axis=2)).all()


def test_a_tiff_of_other_inks_or_signed_numbers_is_refused_in_words() -> None:
    with pytest.raises(BadPhoto, match="a TIFF of inks other than cyan"):
        images.read(tiff(Layout("<", 5, 1, 1, (8,) * 4, ()), {332: (3, [2])}))
    with pytest.raises(BadPhoto, match="nothing says what white is"):
        images.read(tiff(Layout("<", 1, 2, 1, (8,), ())))
    for compression in ("group3", "group4"):
        with pytest.raises(BadPhoto, match="coded like a fax"):
            images.read(saved(Image.new("1", (40, 30)), "TIFF", compression=compression))


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of PNG -> samples a pixel."""

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(color: int, bits: int, numbers: np.ndarray, more: bytes = b"") -> bytes:
    """A PNG of samples ``[h w c]`` without a filter."""
    rows = numbers.reshape(len(numbers), -1)
    if bits >= 8:
        packed = [row.astype(f">u{bits // 8}").tobytes() for row in rows]
    else:
        planes = ((rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
        packed = [np.packbits(row.ravel()).tobytes() for row in planes]
    head = struct.pack(">IIBBBBB", numbers.shape[1], numbers.shape[0], bits, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in packed))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def pngs() -> dict[str, bytes]:
    """Every colour type and depth, without and with a transparent colour or palette."""
    files = {}
    for color, depths in DEPTHS.items():
        for bits in depths:
            numbers = np.stack([ramp(2**bits - 1, band) for band in range(CHANNELS[color])], axis=2)
            colors = np.stack(
                [np.linspace(0, 255, 2 ** min(bits, 8)), np.linspace(255, 60, 2 ** min(bits, 8))] * 2, axis=1
            )
            palette = chunk(b"PLTE", colors[:, :3].astype(np.uint8).tobytes()) if color == 3 else b""
            files[f"color{color}_bits{bits}.png"] = png(color, bits, numbers, palette)
            at = numbers[20, 25]
            key = bytes([255, 0, 99][: 2**bits]) if color == 3 else b"".join(struct.pack(">H", one) for one in at)
            if color in (0, 2, 3):
                clear = palette + chunk(b"tRNS", key)
                files[f"color{color}_bits{bits}_clear.png"] = png(color, bits, numbers, clear)
    return files


@needs_second_decoder
def test_every_png_is_read_as_imagemagick_reads_it(tmp_path: Path) -> None:
    files = pngs()
    theirs = by_imagemagick(tmp_path, files)
    wrong = {name: far(images.read(data), theirs[Path(name).stem]) for name, data in files.items()}
    assert {name: difference for name, difference in wrong.items() if difference > 1} == {}


def test_a_transparent_colour_of_sixteen_bits_is_compared_in_all_of_them() -> None:
    numbers = np.full((20, 20, 3), 0x1234)
    numbers[:10] = 0x1299  # the same upper byte
    photo = images.read(png(2, 16, numbers, chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x1234, 0x1234))))
    assert (photo[10:] == 255).all()
    assert (photo[:10] == 0x13).all()  # 0x1299 / 257 = 18.5


def bmp(bits: int, pixels: np.ndarray, *, colors: bytes = b"", header: int = 40, masks: tuple[int, ...] = ()) -> bytes:
    """A BMP from the bottom up; ``pixels`` are whole bytes ``[h n]``."""
    stride = -pixels.shape[1] % 4
    body = b"".join(row.tobytes() + bytes(stride) for row in pixels[::-1])
    head = struct.pack("<IiiHHIIiiII", header, WIDTH, HEIGHT, 1, bits, 3 if masks else 0, len(body), 0, 0, 0, 0)
    if header == 12:
        head = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
    head += b"".join(struct.pack("<I", mask) for mask in masks)
    head = head.ljust(header, b"\0") + colors
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


def bmps() -> dict[str, bytes]:
    """Depths, headers and masks of BMP."""
    numbers = np.stack([ramp(255), ramp(255, 1), ramp(200)], axis=2).astype(np.uint8)
    clear = np.dstack([numbers, np.zeros((HEIGHT, WIDTH), np.uint8)])
    half = np.dstack([numbers, ramp(255, 1).astype(np.uint8)])
    five = (ramp(31) << 10 | ramp(31, 1) << 5 | ramp(20)).astype("<u2")
    six = (ramp(31) << 11 | ramp(63, 1) << 5 | ramp(20)).astype("<u2")
    alpha = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    greys = b"".join(bytes([one, one, one, 0]) for one in range(256))
    hues = b"".join(bytes([one, 255 - one, 7, 0]) for one in range(256))
    flat = lambda array: np.ascontiguousarray(array).view(np.uint8).reshape(HEIGHT, -1)  # noqa: E731
    return {
        "24.bmp": bmp(24, flat(numbers)),
        "24_os2.bmp": bmp(24, flat(numbers), header=12),
        "32.bmp": bmp(32, flat(clear)),
        "32_v4_empty.bmp": bmp(32, flat(clear), header=108, masks=alpha),
        "32_v4_alpha.bmp": bmp(32, flat(half), header=108, masks=alpha),
        "16.bmp": bmp(16, flat(five)),
        "16_masks.bmp": bmp(16, flat(six), header=56, masks=(0xF800, 0x7E0, 0x1F, 0)),
        "8_grey.bmp": bmp(8, ramp(255).astype(np.uint8), colors=greys),
        "8_color.bmp": bmp(8, ramp(255).astype(np.uint8), colors=hues),
    }


@needs_second_decoder
def test_every_bmp_is_read_as_imagemagick_reads_it(tmp_path: Path) -> None:
    files = bmps()
    theirs = by_imagemagick(tmp_path, files, opaque=frozenset({"32_v4_empty.bmp"}))
    wrong = {name: far(images.read(data), theirs[Path(name).stem]) for name, data in files.items()}
    assert {name: difference for name, difference in wrong.items() if difference > 1.5} == {}  # 5 bits: rounding


def test_a_bmp_whose_palette_has_two_greys_and_eight_bits_is_right_or_refused() -> None:
    data = bmp(8, (ramp(255) > 99).astype(np.uint8), colors=bytes([0, 0, 0, 0, 255, 255, 255, 0]))
    data = data[:46] + struct.pack("<I", 2) + data[50:]  # two colours used
    photo = ours(data)
    assert photo is None or far(photo, np.repeat(255 * (ramp(255) > 99)[..., None], 3, axis=2)) == 0


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@needs_second_decoder
def test_every_mode_that_pillow_writes_is_read_as_imagemagick_reads_it(tmp_path: Path) -> None:
    rgb = Image.fromarray(np.stack([ramp(255), ramp(255, 1), ramp(200)], axis=2).astype(np.uint8))
    clear = rgb.copy()
    clear.putalpha(Image.fromarray(ramp(255, 1).astype(np.uint8)))
    pictures = {"L": rgb.convert("L"), "RGB": rgb, "CMYK": rgb.convert("CMYK"), "P": rgb.quantize(64), "RGBA": clear}
    pictures |= {"1": rgb.convert("1"), "LA": clear.convert("LA")}
    kinds = {
        "JPEG": ("L", "RGB", "CMYK"),
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
        "GIF": ("1", "L", "P"),
        "BMP": ("1", "L", "P", "RGB"),
        "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"),
        "WEBP": ("RGB", "RGBA"),
    }
    files = {
        f"{kind}_{mode}.{kind.lower()}": saved(pictures[mode], kind, **({"lossless": True} if kind == "WEBP" else {}))
        for kind, modes in kinds.items()
        for mode in modes
    }
    theirs = by_imagemagick(tmp_path, files)
    wrong = {name: far(images.read(data), theirs[Path(name).stem]) for name, data in files.items()}
    assert {name: difference for name, difference in wrong.items() if difference > 2} == {}


def test_what_the_first_frame_of_a_gif_leaves_free_is_white() -> None:
    frame = Image.new("P", (20, 18), 1)
    frame.putpalette([255, 0, 0, 0, 0, 255])  # colour 0 is red, the frame is blue
    data = bytearray(saved(frame, "GIF"))
    struct.pack_into("<HH", data, 6, 40, 30)  # a larger canvas
    at = data.index(b",\0\0\0\0")
    struct.pack_into("<HH", data, at + 1, 5, 7)  # the frame's place in it
    photo = images.read(bytes(data))
    assert photo.shape == (30, 40, 3)
    assert (photo[7:25, 5:25] == [0, 0, 255]).all()
    photo[7:25, 5:25] = 255
    assert (photo == 255).all()


@pytest.mark.parametrize(("order", "mark"), [("<", b"II*\0"), (">", b"MM\0*")])
@pytest.mark.parametrize(("integer", "code"), [(1, "B"), (3, "H"), (4, "L"), (6, "b"), (8, "h"), (9, "l")])
def test_an_orientation_of_any_integer_type_turns_the_photo(order: str, mark: bytes, integer: int, code: str) -> None:
    value = struct.pack(order + code, 6).ljust(4, b"\0")
    entry = struct.pack(order + "LHHHL", 8, 1, 0x112, integer, 1) + value + struct.pack(order + "L", 0)
    picture = Image.fromarray(np.stack([ramp(255), ramp(255, 1), ramp(200)], axis=2).astype(np.uint8))
    data = saved(picture, "JPEG", exif=b"Exif\0\0" + mark + entry, quality=95)
    assert far(images.read(data), np.rot90(np.asarray(picture), -1)) < 3


def plain_png() -> bytes:
    return png(2, 8, np.stack([ramp(255), ramp(255, 1), ramp(200)], axis=2))


TEXTS = {
    "xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x>" + bytes(range(97, 123)) * 60_000)),
    "prompt": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"a photo of a dress, " * 60_000)),
    "many": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"a photo of a dress, " * 5_000)) * 800,
    "check sum": struct.pack(">I", 5) + b"tEXt" + b"a\0bcd" + bytes(4),
    "latin": chunk(b"tEXt", b"Auteur\0caf\xe9"),
    "application": chunk(b"vpAg", bytes(9)),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("late", [False, True])
def test_a_png_with_any_text_is_read(name: str, late: bool) -> None:
    data = plain_png()
    at = data.index(b"IEND") - 4 if late else 33
    assert (images.read(data[:at] + TEXTS[name] + data[at:]) == images.read(data)).all()


def test_a_png_with_a_large_profile_is_read_by_it() -> None:
    data, adobe = plain_png(), profile(ADOBE, 563 / 256)
    small = chunk(b"iCCP", b"a\0\0" + zlib.compress(adobe))
    large = chunk(b"iCCP", b"a\0\0" + zlib.compress(adobe + bytes(1_200_000)))
    bomb = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(40_000_000)))
    followed = images.read(data[:33] + small + data[33:])
    assert far(followed, images.read(data)) > 2
    assert (images.read(data[:33] + large + data[33:]) == followed).all()
    assert (images.read(data[:33] + bomb + data[33:]) == images.read(data)).all()
