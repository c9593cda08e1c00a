"""Photo files that ask for more than a photo may: refused by a look at the file, before a decoder begins."""

import contextlib
import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import costly_photos
from effort import Effort
from osoroi import image
from osoroi.errors import BadPhoto
from osoroi.image import inspect
from osoroi.image.truncation import kind_of


@pytest.mark.parametrize("name", sorted(costly_photos.REFUSED))
def test_a_file_that_would_cost_more_than_a_photo_is_refused_at_once(name):
    make, says = costly_photos.REFUSED[name]
    data = make()
    assert len(data) <= 32 * 2**20
    with Effort() as effort, pytest.raises(BadPhoto, match=says):
        image.read(data)
    assert effort.units < 120  # each took from 3 to 300 s


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 70, 3), np.uint8))


WRITERS: dict[str, Callable[[io.BytesIO], None]] = {
    "JPEG": lambda file: picture().save(file, "JPEG"),
    "progressive JPEG": lambda file: picture().save(file, "JPEG", progressive=True, quality=95),
    "JPEG with a profile": lambda file: picture().save(file, "JPEG", icc_profile=bytes(600_000), comment=b"c" * 9000),
    "PNG": lambda file: picture().save(file, "PNG"),
    "GIF": lambda file: picture().convert("P").save(file, "GIF", comment=b"c" * 2000),
    "WebP": lambda file: picture().save(file, "WEBP"),
    "lossless WebP": lambda file: picture().save(file, "WEBP", lossless=True, exif=bytes(2000)),
    "TIFF": lambda file: picture().save(file, "TIFF", compression="tiff_lzw"),
    "BMP": lambda file: picture().save(file, "BMP"),
    "AVIF": lambda file: picture().save(file, "AVIF"),
}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_ordinary_files_pass_and_their_work_is_estimated_from_the_size_they_state(name):
    file = io.BytesIO()
    WRITERS[name](file)
    data = file.getvalue()
    kind = kind_of(data, name)
    inspect.require_modest(data, kind, name)
    work = inspect.estimated_work(data, kind)
    known = {"progressive JPEG": 8 * 6300, "TIFF": None, "AVIF": None, "lossless WebP": work}
    assert work == known.get(name, 6300)


def test_compressed_text_of_a_png_is_never_unpacked() -> None:
    bomb = costly_photos.png_texts(600)  # 600 MiB once unpacked
    with Effort() as effort:
        assert image.read(bomb).shape[2] == 3
    assert effort.units < 60


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WebP", "TIFF", "BMP", "AVIF", "HEIF"]), body=st.binary(max_size=400)
)
def test_no_bytes_break_the_look(kind, body):
    heads = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "GIF": b"GIF89a", "WebP": b"RIFF....WEBP",
             "TIFF": b"II*\0", "BMP": b"BM"}  # fmt: skip
    data = heads.get(kind, struct.pack(">I", 16) + b"ftypavif") + body
    inspect.estimated_work(data, kind)
    with contextlib.suppress(BadPhoto):
        inspect.require_modest(data, kind, "a")
