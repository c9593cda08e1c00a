"""Pixels: which they are, whichever file they come from."""

import hashlib
import io
import os
import struct
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image, ImageCms

from osoroi import image as images
from osoroi.errors import BadPhoto
from osoroi.image import Limits, cropping
from osoroi.image import icc as images_icc
from osoroi.image.decode import decode
from osoroi.records import Box, Preprocessing

SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
ADOBE = np.array(
    [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]
)
P3 = np.array(
    [[0.5151020, 0.2919650, 0.1571530], [0.2411820, 0.6922360, 0.0665819], [-0.0010494, 0.0418818, 0.7843780]]
)
"""Linear RGB to XYZ under D50 (B. Lindbloom; Apple's Display P3)."""


def scene(width: int, height: int) -> Image.Image:
    """A smooth lopsided picture: red grows to the right, green downwards, blue marks the upper left corner."""
    y, x = np.mgrid[0:height, 0:width]
    blue = 200 * ((x < width / 3) & (y < height / 4))
    return Image.fromarray(np.stack([40 + 180 * x / width, 30 + 190 * y / height, blue], 2).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A small GIF whose header states this size."""
    data = saved(Image.new("1", (20, 20)), "GIF")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


@pytest.mark.parametrize(
    ("size", "checksum"),
    [
        ((400, 400), "fe5e1eecc4b4883b"),
        ((200, 600), "84c6f181ed47cb80"),
        ((1200, 300), "fea3d8a72cc81f3a"),
        ((90, 70), "a674df36a518dc25"),
        ((1500, 1900), "553d585c301f195d"),
    ],
)
def test_pillow_resizes_as_it_did_when_the_encoder_that_ships_was_made(size: tuple[int, int], checksum: str) -> None:
    """Other pixels would give other vectors under the same fingerprint: Pillow 12 fails for the high picture."""
    noise = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    resized = Image.fromarray(noise).resize(
        (192, 192), cropping.RESAMPLING, (1.5, 2.25, size[0] - 3.5, size[1] - 1.75), cropping.GAP
    )
    assert hashlib.sha256(resized.tobytes()).hexdigest()[:16] == checksum


def far(photo: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(photo.astype(float) - other.astype(float)).mean())


def profile(matrix: np.ndarray, gamma: float) -> bytes:
    """An ICC profile of three primaries (columns of linear RGB -> XYZ) and one exponent: 128 bytes, table, tags."""

    def s15(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"wtpt": s15(np.array([0.9642, 1.0, 0.8249]))}
    tags |= {name + b"XYZ": s15(column) for name, column in zip((b"r", b"g", b"b"), matrix.T, strict=True)}
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return icc(b"mntr", b"RGB ", b"XYZ ", tags)


def icc(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI", at + len(body), b"lcms", 0x02400000) + device + space + connection
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def ink_profile() -> bytes:
    """A made-up press: black prints black, any cyan ink Lab (50, 60, 40), a red, and bare paper is white."""
    colours = [(0, 128, 128) if inks & 1 else (128, 188, 168) if inks & 8 else (255, 128, 128) for inks in range(16)]
    corners = b"".join(map(bytes, colours))
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * int(i % 4 == 0) for i in range(9)))
    return icc(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut + ramp * 4 + corners + ramp * 3})


def by_formula(colour: tuple[int, int, int], matrix: np.ndarray, gamma: float) -> np.ndarray:
    linear = np.linalg.solve(SRGB, matrix @ (np.array(colour) / 255) ** gamma).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


FILES = {
    "jpeg": lambda photo: saved(photo, "JPEG", quality=95),
    "progressive jpeg": lambda photo: saved(photo, "JPEG", quality=95, progressive=True),
    "png": lambda photo: saved(photo, "PNG"),
    "palette png": lambda photo: saved(photo.quantize(256), "PNG"),
    "webp": lambda photo: saved(photo, "WEBP", quality=95),
    "lossless webp": lambda photo: saved(photo, "WEBP", lossless=True),
    "avif": lambda photo: saved(photo, "AVIF", quality=95),
    "gif": lambda photo: saved(photo.quantize(256), "GIF"),
    "bmp": lambda photo: saved(photo, "BMP"),
    "tiff": lambda photo: saved(photo, "TIFF"),
    "tiff in lzw": lambda photo: saved(photo, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_shows_the_same_picture(kind: str) -> None:
    photo = scene(70, 50)
    assert far(images.read(FILES[kind](photo)), np.asarray(photo)) < 4


def test_heif_is_read_where_its_decoder_is_installed() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(scene(70, 50)).save(file, quality=95)
    assert far(images.read(file.getvalue()), np.asarray(scene(70, 50))) < 4


def test_heif_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(BadPhoto, match=r"the photo of .* bytes is a HEIF photo.*pip install pillow-heif"):
        images.read(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))


def test_a_gif_gives_its_first_frame() -> None:
    first, second = Image.new("RGB", (20, 30), (255, 0, 0)), Image.new("RGB", (20, 30), (0, 0, 255))
    assert images.read(saved(first, "GIF", save_all=True, append_images=[second]))[7, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_grey_stays_grey(kind: str) -> None:
    photo = images.read(saved(Image.new("L", (20, 30), 77), kind))
    assert photo.shape == (30, 20, 3)
    assert (photo == 77).all()


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = Image.fromarray(np.full((20, 30), 50_000, np.uint16))
    for kind in ("PNG", "TIFF"):
        assert (images.read(saved(deep, kind)) == 195).all()  # 50000 * 255 / 65535 = 194.55


def test_floats_are_taken_from_nought_to_one_and_refused_beyond() -> None:
    half = np.full((20, 30), 0.6, np.float32)
    assert (images.read(saved(Image.fromarray(half), "TIFF")) == 153).all()  # .6 * 255
    for beyond in (half * 2, half - 1, half * np.nan):
        with pytest.raises(BadPhoto, match="what white is"):
            images.read(saved(Image.fromarray(beyond), "TIFF"))


def test_what_is_transparent_lies_on_white() -> None:
    # black of which 102/255 is opaque: 255 * 153 / 255
    for image in (Image.new("RGBA", (20, 30), (0, 0, 0, 102)), Image.new("LA", (20, 30), (0, 102))):
        assert (images.read(saved(image, "PNG")) == 153).all()
    palette = Image.new("P", (20, 30), 1)
    palette.putpalette([9, 9, 9, 10, 20, 30])
    assert (images.read(saved(palette, "PNG", transparency=1)) == 255).all()
    assert (images.read(saved(palette, "PNG", transparency=bytes([255, 102]))) == [157, 161, 165]).all()
    assert (images.read(saved(palette, "GIF", transparency=1)) == 255).all()
    colour = Image.new("RGB", (20, 30), (1, 2, 3))
    assert (images.read(saved(colour, "PNG", transparency=(1, 2, 3))) == 255).all()
    assert (images.read(saved(Image.new("L", (20, 30), 8), "PNG", transparency=8)) == 255).all()


def test_cmyk_of_adobe_and_without_profile_is_inked_paper() -> None:
    ink = Image.new("CMYK", (20, 30), (51, 0, 255, 0))  # a fifth of cyan, all yellow: red 204, green 255, blue 0
    for kind in ("JPEG", "TIFF"):
        assert np.abs(images.read(saved(ink, kind)).astype(int) - [204, 255, 0]).max() <= 2


@pytest.mark.parametrize(("matrix", "gamma"), [(ADOBE, 563 / 256), (P3, 563 / 256)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_colour_profile_is_followed_to_srgb(matrix: np.ndarray, gamma: float, kind: str) -> None:
    colour = (150, 120, 70)
    options = {"lossless": True} if kind == "WEBP" else {} if kind in ("PNG", "TIFF") else {"quality": 100}
    data = saved(Image.new("RGB", (32, 48), colour), kind, icc_profile=profile(matrix, gamma), **options)
    truth = by_formula(colour, matrix, gamma)
    assert np.abs(truth - colour).max() > 7  # else the test could not see the profile passed over
    assert np.abs(images.read(data).mean((0, 1)) - truth).max() < 3.5  # AVIF itself is off by 2 in blue


def test_a_profile_of_inks_is_followed() -> None:
    ink = Image.new("CMYK", (20, 30), (255, 0, 0, 0))
    followed = images.read(saved(ink, "TIFF", icc_profile=ink_profile()))[5, 5].astype(int)
    assert followed[0] > 150
    assert followed[1] < 100
    plain = images.read(saved(ink, "TIFF"))[5, 5]
    assert plain.tolist() == [0, 255, 255]


@pytest.mark.parametrize("broken", [b"junk", profile(ADOBE, 2.2)[:150], ink_profile()])
def test_a_profile_that_is_broken_or_for_other_pictures_is_passed_over(broken: bytes) -> None:
    data = saved(Image.new("RGB", (20, 30), (200, 30, 10)), "PNG", icc_profile=broken)
    assert (images.read(data) == [200, 30, 10]).all()


def test_transparency_and_profile_act_together() -> None:
    clear = Image.new("RGBA", (20, 30), (150, 120, 70, 102))
    photo = images.read(saved(clear, "PNG", icc_profile=profile(ADOBE, 2.2)))
    truth = by_formula((150, 120, 70), ADOBE, 2.2) * 0.4 + 255 * 0.6
    assert np.abs(photo.mean((0, 1)) - truth).max() < 1.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    upright = np.asarray(scene(64, 48))
    turned = {  # what a camera held so stores: the inverse of what EXIF asks the viewer to do
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(turned)), kind, exif=exif)
    photo = images.read(data)
    assert photo.shape == (48, 64, 3)
    assert far(photo, upright) < 6
    piece = images.crop(data, Box(8, 0, 40, 16), Preprocessing(8, 16))
    assert far(piece, images.crop(saved(scene(64, 48), "PNG"), Box(8, 0, 40, 16), Preprocessing(8, 16))) < 8


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"junk", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_exif_that_cannot_be_read_turns_nothing(exif: bytes) -> None:
    assert images.read(saved(scene(64, 48), "JPEG", exif=exif)).shape == (48, 64, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(800, 600), (803, 605), (1601, 417)])
def test_a_reduced_decode_shows_the_same_crop(size: tuple[int, int], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = scene(*size)
    jpeg, png = (saved(photo, kind, exif=exif, quality=98) for kind in ("JPEG", "PNG"))
    for box in (Box(11, 7, 397, 371), Box(200, 3, 393, 400), None):
        view = Preprocessing(40, 48, margin=0.1)
        assert far(images.crop(jpeg, box, view), images.crop(png, box, view)) < 1.5


@pytest.mark.parametrize(("size", "scale"), [(192, 1), (384, 2), (383, 1), (800, 4), (1600, 8), (1535, 4)])
def test_the_reduced_decode_is_never_below_the_view(size: int, scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def noting(*arguments: Any, **options: Any) -> Any:
        seen.append(decode(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(cropping, "decode", noting)
    images.crop(saved(Image.new("RGB", (size, size + 9)), "JPEG"), None, Preprocessing(192, 192))
    assert seen[0].scale == scale
    assert min(seen[0].picture.size) >= 192


def test_a_crop_is_box_and_margin_cut_at_the_edge_then_squashed() -> None:
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[8:16, 0:20] = 200  # the box 4..16 with half its width more: from 0 (cut), to 22
    data = saved(Image.fromarray(photo), "BMP")
    assert (images.crop(data, Box(4, 8, 16, 16), Preprocessing(8, 12)) == 200).all()
    wide = images.crop(
        data, Box(4, 8, 16, 16), Preprocessing(16, 22, margin=0.5)
    )  # 0..22 across, 4..20 down, pixel for pixel
    assert (wide == photo[4:20, 0:22]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_trimmed_shop_photo_fills_the_view(kind: str) -> None:
    photo = np.full((900, 800, 3), 240, np.uint8)
    photo[300:700, 100:300] = (20, 90, 160)
    piece = images.crop(saved(Image.fromarray(photo), kind, quality=95), None, Preprocessing(192, 192, trim=True))
    assert piece.shape == (192, 192, 3)
    assert far(piece[6:-6, 6:-6], np.array([20, 90, 160])) < 3


def test_a_box_is_stronger_than_trimming() -> None:
    data = saved(Image.fromarray(np.full((30, 40, 3), 250, np.uint8)), "PNG")
    assert (images.crop(data, Box(0, 0, 9, 9), Preprocessing(5, 5, trim=True)) == 250).all()


@pytest.mark.parametrize("paper", [(255, 255, 255), (226, 226, 228), (20, 24, 30), (180, 220, 200)])
@pytest.mark.parametrize("quality", [95, 50])
def test_a_plain_border_of_any_colour_is_found_through_jpeg(paper: tuple[int, int, int], quality: int) -> None:
    photo = np.full((200, 160, 3), paper, np.uint8)
    photo[48:150, 30:111] = np.random.default_rng(0).integers(90, 150, (102, 81, 1))
    left, top, right, bottom = images.content(images.read(saved(Image.fromarray(photo), "JPEG", quality=quality)))
    for found, truth, outwards in ((left, 30, -1), (top, 48, -1), (right, 111, 1), (bottom, 150, 1)):
        assert 0 <= (found - truth) * outwards <= 9  # never into the garment; at most a block of ringing around it


def test_photos_without_a_border_or_with_nothing_else_stay_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 50, 3)).astype(np.uint8)
    assert images.content(noise) == (0, 0, 50, 80)
    assert images.content(np.full((80, 50, 3), 9, np.uint8)) == (0, 0, 50, 80)


def test_a_seam_at_the_edge_does_not_hide_the_border() -> None:
    photo = np.full((100, 120, 3), 245, np.uint8)
    photo[0], photo[:, -1] = 230, 225
    photo[20:70, 40:90] = 60
    assert images.content(photo) == (40, 20, 90, 70)


def test_a_border_of_a_large_photo_is_found_to_its_step() -> None:
    photo = np.full((1600, 1100, 3), 250, np.uint8)  # judged at a sixth
    photo[401:1203, 203:801] = 80
    assert images.content(photo) == (198, 396, 804, 1206)


def test_nearly_all_real_product_photos_lose_their_border_and_no_garment(data: Path) -> None:
    for path in sorted((data / "viton" / "shop").iterdir())[:60]:
        photo = images.read(path)
        box = images.content(photo)
        outside = np.ones(photo.shape[:2], bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert (photo[outside].min(axis=1) < 200).mean() < 0.01 if outside.any() else True


def test_a_thumbnail_is_a_small_upright_jpeg_in_srgb() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(scene(400, 300), "JPEG", exif=exif, icc_profile=profile(ADOBE, 2.2))
    small = Image.open(io.BytesIO(images.thumbnail(data, 60)))
    assert (small.format, small.size, small.info.get("icc_profile")) == ("JPEG", (60, 80), None)
    assert far(np.asarray(small), np.asarray(Image.fromarray(images.read(data)).resize((60, 80)))) < 3
    assert Image.open(io.BytesIO(images.thumbnail(data, 5000))).size == (300, 400)


def test_paths_bytes_and_open_files_are_the_same_photo(tmp_path: Path) -> None:
    data = saved(scene(40, 30), "PNG")
    (tmp_path / "coat.jpg").write_bytes(data)  # the name says JPEG, the bytes say PNG: the bytes are believed
    with (tmp_path / "coat.jpg").open("rb") as file:
        photos = [images.read(source) for source in (tmp_path / "coat.jpg", data, file, io.BytesIO(data))]
    assert all((photo == photos[0]).all() for photo in photos)
    assert images.load(tmp_path / "coat.jpg") == data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"not a photo at all", "but text"),
        ("größer".encode(), "but text"),
        (b'<?xml version="1.0"?><svg xmlns="">', "SVG"),
        (b"<!DOCTYPE html><html>404", "web page"),
        (b"%PDF-1.7", "PDF"),
        (bytes(100), "not a photo"),
        (b"\xff\xd8\xff", "truncated or damaged JPEG"),
        (saved(Image.new("RGB", (15, 400)), "PNG"), "15 x 400 pixels, fewer than the 16"),
        (saved(Image.new("1", (10_000, 5_001)), "PNG"), "more than the 50,000,000"),
        (claiming(30_000, 30_000), "more than the 50,000,000"),
    ],
)
def test_what_is_no_photo_is_named_with_the_reason(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "coat.jpg"
    path.write_bytes(content)
    with pytest.raises(BadPhoto, match=message) as caught:
        images.crop(path, None, Preprocessing(8, 8))
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_what_cannot_be_opened_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BadPhoto, match=r"no photo at .*gone\.jpg; check the path"):
        images.read(tmp_path / "gone.jpg")
    with pytest.raises(BadPhoto, match="is a folder"):
        images.read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadPhoto, match="no ordinary file"):
        images.read(tmp_path / "pipe")
    with pytest.raises(BadPhoto, match="not bytes"):
        images.read(cast(Any, io.StringIO("text")))
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(BadPhoto, match="cannot be read"):
        images.read(closed)


def test_a_photo_nobody_may_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # root may read anything, so the refusal is played

    (tmp_path / "coat.jpg").write_bytes(b"x")
    monkeypatch.setattr("osoroi.files.open_foreign", refuse)
    with pytest.raises(BadPhoto, match="may not be read"):
        images.read(tmp_path / "coat.jpg")


def test_a_small_file_is_read_in_little_memory(tmp_path):
    """Python reserves as many bytes as it is told to read, and the limit is 64 MiB."""
    path = tmp_path / "a.png"
    path.write_bytes(b"photo" * 100)
    tracemalloc.start()
    try:
        assert images.load(path) == b"photo" * 100
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_limits_can_be_changed(tmp_path: Path) -> None:
    data = saved(scene(40, 30), "PNG")
    (tmp_path / "coat.png").write_bytes(data)
    for limits, message in ((Limits(pixels=1199), "1,199"), (Limits(side=31), "31"), (Limits(bytes=99), "99 allowed")):
        with pytest.raises(BadPhoto, match=message):
            images.read(tmp_path / "coat.png", limits=limits)
    assert images.read(saved(Image.new("RGB", (3, 2)), "PNG"), limits=Limits(side=2)).shape == (2, 3, 3)
    huge = saved(Image.new("L", (14_000, 13_000)), "JPEG")  # 182 megapixels: beyond where Pillow itself gives up
    assert images.thumbnail(huge, 16, limits=Limits(pixels=200_000_000))


@pytest.mark.parametrize(
    "box", [(0, 0, 41, 30), (-1, 0, 5, 5), (3, 3, 3, 9), (9, 3, 4, 9), (0, 5, 9, 5), (0, 0, 9, 31)]
)
def test_a_box_outside_the_photo_or_of_no_area_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadPhoto, match="upright photo") as caught:
        images.crop(saved(scene(40, 30), "JPEG"), Box(*box), Preprocessing(8, 8))
    assert ("has no area" if box[0] >= box[2] or box[1] >= box[3] else "40 x 30") in str(caught.value)


def test_many_threads_get_the_pixels_that_one_gets() -> None:
    adobe = profile(ADOBE, 2.2)
    files = [saved(scene(300 + n, 200), kind, icc_profile=adobe) for n in range(6) for kind in ("JPEG", "PNG", "TIFF")]
    alone = [images.crop(data, None, Preprocessing(48, 48, trim=True)) for data in files]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda data: images.crop(data, None, Preprocessing(48, 48, trim=True)), files * 4))
    assert all((photo == alone[n % len(files)]).all() for n, photo in enumerate(together))
    assert threading.active_count() < 20


def test_no_switch_of_pillow_is_touched() -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageCms.ImageCmsProfile
    images.read(saved(scene(40, 30), "PNG"))
    from PIL import ImageFile

    assert (Image.MAX_IMAGE_PIXELS, ImageCms.ImageCmsProfile) == before
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_profiles_are_remembered_up_to_a_bound_in_bytes() -> None:
    cache = images_icc.TransformCache(max_bytes=2_000)
    adobe, p3 = profile(ADOBE, 2.2), profile(P3, 2.2)
    first = cache.get(adobe, "RGB")
    assert first is not None
    assert cache.get(bytes(bytearray(adobe)), "RGB") is first  # by content
    for number in range(20):
        cache.get(p3 + bytes(number), "RGB")
        assert cache.size_bytes <= 2_000
    assert cache.get(adobe, "RGB") is not first  # the least recently used went
    assert cache.get(adobe + bytes(3_000), "RGB") is not None  # too large to remember, and still followed
    assert cache.size_bytes <= 2_000


def test_a_jpeg_larger_than_the_decoder_gets_at_once_is_read_whole_or_refused() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1100, 3), dtype=np.uint8))
    data = saved(noise, "JPEG", quality=95)
    assert len(data) > 2**20
    np.testing.assert_array_equal(images.read(data), np.asarray(Image.open(io.BytesIO(data))))
    for kept in (2**16 + 700, 2**20 - 1, 2**20, 2**20 + 1, len(data) - 500):
        with pytest.raises(BadPhoto, match="truncated or damaged JPEG"):
            images.read(data[:kept] + b"\xff\xd9")
