"""A photo is the same as a path, bytes, an open file, a Pillow image or an array; and a box as any four numbers."""

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from osoroi import image
from osoroi.errors import BadPhoto, BadRequest
from osoroi.image import Limits
from osoroi.records import Box, Preprocessing

INPUT = Preprocessing(24, 32, margin=0.1)
TRIMMED = Preprocessing(24, 32, trim=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PNG that its EXIF data turn by a quarter, of 60 x 40 pixels once upright, with a white border on the left."""
    pixels = np.random.default_rng(2).integers(0, 200, (60, 40, 3), np.uint8)
    pixels[:12] = 250
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    return tmp_path / "a.png"


@pytest.mark.parametrize("form", ["str", "bytes", "file", "buffer", "image", "array", "read-only array"])
def test_every_form_gives_the_pixels_of_the_path(path: Path, form: str) -> None:
    upright = image.read(path)
    frozen = upright.copy()
    frozen.setflags(write=False)
    forms: dict[str, Callable[[], Any]] = {
        "str": lambda: str(path),
        "bytes": path.read_bytes,
        "file": lambda: path.open("rb"),
        "buffer": lambda: io.BytesIO(path.read_bytes()),
        "image": lambda: Image.open(path),
        "array": lambda: upright[:, ::-1].copy()[:, ::-1],  # not contiguous
        "read-only array": lambda: frozen,
    }

    def photo() -> Any:
        made = forms[form]()
        opened.append(made)
        return made

    opened: list[Any] = []
    assert upright.shape == (40, 60, 3)
    np.testing.assert_array_equal(image.read(photo()), upright)
    for box in (Box(20, 5, 55, 33), None):
        for preprocessing in (INPUT, TRIMMED):
            np.testing.assert_array_equal(image.crop(photo(), box, preprocessing), image.crop(path, box, preprocessing))
    assert image.thumbnail(photo(), 30) == image.thumbnail(path, 30)
    np.testing.assert_array_equal(image.read(image.load(photo())), upright)
    np.testing.assert_array_equal(image.read(image.as_source(photo())), upright)
    for each in opened:
        if hasattr(each, "close"):
            each.close()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_a_pillow_image_of_any_mode_is_read_as_its_file_is(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 255, (30, 40, 3), np.uint8)).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    np.testing.assert_array_equal(image.read(picture), image.read(path))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((30, 40, 3), np.float32),
        np.zeros((30, 40), np.uint8),
        np.zeros((30, 40, 4), np.uint8),
        np.zeros((3, 30, 40), np.uint8),
        np.zeros((1, 30, 40, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_an_array_of_another_type_or_shape_is_refused_with_both(array: np.ndarray) -> None:
    with pytest.raises(BadPhoto, match=r"the array of \w+ \[.*\] is no photo; give uint8 \[h w 3\]"):
        image.read(array)


def test_limits_hold_for_images_and_arrays_too() -> None:
    array = np.zeros((30, 40, 3), np.uint8)
    for photo in (array, Image.fromarray(array)):
        with pytest.raises(BadPhoto, match="40 x 30 pixels, more than the 1,000 allowed"):
            image.read(photo, limits=Limits(pixels=1000))
        with pytest.raises(BadPhoto, match="fewer than the 31 needed"):
            image.read(photo, limits=Limits(side=31))


def test_an_image_whose_file_is_damaged_is_a_bad_photo(path: Path) -> None:
    data = path.read_bytes()
    with pytest.raises(BadPhoto, match="truncated or damaged PNG"):
        image.read(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_a_file_that_was_opened_as_text_says_how_to_open_it(path: Path) -> None:
    with path.open(encoding="latin-1") as file, pytest.raises(BadPhoto, match="gives str, not bytes; open files with"):
        image.load(cast(Any, file))


@pytest.mark.parametrize(
    "sides",
    [(4, 3, 40, 30), [4.4, 2.6, 40.0, 30], np.array([4, 3, 40, 30]), (Decimal(4), 3, 40, 30), iter([4, 3, 40, 30])],
)
def test_a_box_is_any_four_numbers(sides: Any) -> None:
    box = Box.of(sides)
    assert box == Box(4, 3, 40, 30)
    assert all(type(side) is int for side in box)


@pytest.mark.parametrize("sides", [(1, 2, 3), (1, 2, 3, 4, 5), (1, 2, 3, float("nan")), (0, 0, float("inf"), 3), ()])
def test_anything_else_is_no_box(sides: tuple[float, ...]) -> None:
    with pytest.raises(BadRequest, match="is no box; a box is four numbers"):
        Box.of(sides)
