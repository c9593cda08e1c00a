"""A file is a whole photo or a BadPhoto, whatever happened to its bytes."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from osoroi import image as images
from osoroi.errors import BadPhoto
from osoroi.image import truncation
from osoroi.records import Preprocessing


def scene() -> Image.Image:
    y, x = np.mgrid[0:66, 0:90]
    noise = np.random.default_rng(0).normal(0, 8, (66, 90, 3))
    waves = np.stack([127 + 110 * np.sin(x / 9), 127 + 110 * np.cos(y / 7), x * y % 256], 2)
    return Image.fromarray((waves + noise).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PHOTO = scene()
PALETTE = PHOTO.quantize(64)
FILES = {
    "jpeg": saved(PHOTO, "JPEG"),
    "progressive jpeg": saved(PHOTO, "JPEG", progressive=True),
    "cmyk jpeg": saved(PHOTO.convert("CMYK"), "JPEG"),
    "grey jpeg": saved(PHOTO.convert("L"), "JPEG"),
    "png": saved(PHOTO, "PNG"),
    "palette png": saved(PALETTE, "PNG"),
    "webp": saved(PHOTO, "WEBP"),
    "lossless webp": saved(PHOTO, "WEBP", lossless=True),
    "avif": saved(PHOTO, "AVIF"),
    "gif": saved(PALETTE, "GIF"),
    "bmp": saved(PHOTO, "BMP"),
    "tiff": saved(PHOTO, "TIFF"),
    "tiff in lzw": saved(PHOTO, "TIFF", compression="tiff_lzw"),
    "tiff in jpeg": saved(PHOTO, "TIFF", compression="jpeg"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_anywhere_is_refused(kind: str) -> None:
    data = FILES[kind]
    for cut in [len(data) * part // 20 for part in range(20)] + list(range(len(data) - 40, len(data) - 2)):
        with pytest.raises(BadPhoto):
            images.read(data[:cut])


@pytest.mark.parametrize("kind", ["jpeg", "cmyk jpeg", "grey jpeg"])
def test_a_jpeg_cut_and_sewn_shut_is_refused(kind: str) -> None:
    data = FILES[kind]
    start = data.rindex(b"\xff\xda") + 20
    for part in range(1, 20):
        cut = data[: start + (len(data) - start) * part // 20].rstrip(b"\xff")
        with pytest.raises(BadPhoto, match="truncated"):
            images.read(cut + b"\xff\xd9")
        with pytest.raises(BadPhoto, match="truncated"):
            images.crop(cut + b"\xff\xd9", None, Preprocessing(8, 8))  # at a reduced scale too


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "webp", "avif", "gif", "bmp"])
def test_bytes_after_the_end_do_no_harm(kind: str) -> None:
    whole = images.read(FILES[kind])
    for tail in (b"\0" * 7, b"\xff\xd8\xff\xe0 a preview of the camera"):
        assert (images.read(FILES[kind] + tail) == whole).all()


def test_a_preview_inside_a_jpeg_is_not_its_end() -> None:
    preview = saved(PHOTO.resize((30, 22)), "JPEG")
    data = FILES["jpeg"]
    app = b"\xff\xe5" + (len(preview) + 2).to_bytes(2, "big") + preview
    assert (images.read(data[:2] + app + data[2:]) == images.read(data)).all()
    with pytest.raises(BadPhoto):
        images.read(data[:2] + app + data[2 : len(data) // 2])


def test_a_png_whose_pixels_have_another_check_sum_is_refused() -> None:
    data = bytearray(FILES["png"])
    data[data.index(b"IDAT") + 500] ^= 1
    with pytest.raises(BadPhoto, match="damaged PNG"):
        images.read(bytes(data))


def test_real_photos_are_whole(data: Path) -> None:
    for folder in ("viton/street", "viton/shop", "hm/images", "clothing_cc0/images"):
        for path in sorted((data / folder).iterdir())[:40]:
            assert truncation.require(path.read_bytes(), "JPEG", path.name)
            assert images.crop(path, None, Preprocessing(40, 30)).shape == (40, 30, 3)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", *(data[:24] for data in FILES.values())]))
def test_random_bytes_are_a_bad_photo(tail: bytes, head: bytes) -> None:
    with pytest.raises(BadPhoto):
        images.read(head + tail)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_flipped_bits_give_a_photo_or_a_bad_photo(data: st.DataObject) -> None:
    spoilt = bytearray(FILES[data.draw(st.sampled_from(sorted(FILES)))])
    early = st.integers(0, min(300, len(spoilt) - 1))  # headers break in more ways than pixels
    for at in data.draw(st.lists(early | st.integers(0, len(spoilt) - 1), min_size=1, max_size=12)):
        spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(BadPhoto):
        photo = images.crop(
            bytes(spoilt), None, Preprocessing(20, 16, trim=True), limits=images.Limits(pixels=1_000_000)
        )
        assert photo.shape == (20, 16, 3)
