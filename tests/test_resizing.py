"""Products of matrices give the pixels that Pillow gives, of every size and area, or leave the work to Pillow."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from osoroi.image import resizing

RESAMPLING = sorted(resizing.SUPPORT)


def picture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Noise, or hard edges of black and white, whose sums overshoot on both ends, or a ramp of halves."""
    kind = rng.integers(3)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == 1:
        return Image.fromarray(np.where(noise > 127, 255, 0).astype(np.uint8))
    if kind == 2:
        return Image.fromarray((noise // 128 + np.arange(width)[:, None] // 2 % 255).astype(np.uint8))
    return Image.fromarray(noise)


def side(rng: np.random.Generator, length: int, fractions: bool) -> tuple[float, float]:
    """A part of a side: the whole, or what begins and ends somewhere, perhaps between pixels."""
    if rng.random() < 0.3:
        return 0, length
    first, end = sorted(rng.uniform(0, length, 2))
    if not fractions:
        first, end = int(first), int(end)
    return (first, end) if end - first >= 1 else (0, length)


def by_pillow(
    shown: Image.Image, size: tuple[int, int], resampling: Image.Resampling, area: resizing.Area
) -> np.ndarray:
    """Pillow's pixels where it takes rows first; else those of its two passes, rows first."""
    if resizing.rows_first(shown.size, size):
        return np.asarray(shown.resize(size, resampling, area))
    left, top, right, bottom = area
    rows = shown.resize((size[0], shown.height), resampling, (left, 0, right, shown.height))
    return np.asarray(rows.resize(size, resampling, (0, top, size[0], bottom)))


@pytest.mark.parametrize("seed", range(150))
def test_every_pixel_is_that_of_pillow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    longest = (40, 200, 900)[seed % 3]
    width, height = (int(length) for length in rng.integers(1, longest, 2))
    size = (int(rng.integers(1, 300)), int(rng.integers(1, 300)))
    fractions = bool(rng.random() < 0.5)
    (left, right), (top, bottom) = side(rng, width, fractions), side(rng, height, fractions)
    shown = picture(rng, width, height)
    resampling = RESAMPLING[seed % len(RESAMPLING)] if seed % 2 else Image.Resampling.LANCZOS
    area = (left, top, right, bottom)
    np.testing.assert_array_equal(
        resizing.product(shown, size, resampling, area), by_pillow(shown, size, resampling, area)
    )


@pytest.mark.parametrize(("width", "height"), [(1, 500), (500, 1), (16, 3000), (3000, 16), (777, 1)])
@pytest.mark.parametrize("resampling", RESAMPLING)
def test_extreme_pictures_too(width: int, height: int, resampling: Image.Resampling) -> None:
    shown = picture(np.random.default_rng(width), width, height)
    for size in ((192, 192), (1, 1), (5, 250), (width, 17)):
        theirs = by_pillow(shown, size, resampling, (0, 0, width, height))
        np.testing.assert_array_equal(resizing.product(shown, size, resampling, (0, 0, width, height)), theirs)


@pytest.mark.parametrize("gap", [None, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_resizing_is_that_of_pillow_whoever_does_it(mode: str, gap: float | None) -> None:
    rng = np.random.default_rng(3)
    ways = set()
    for width, height in ((60, 67), (190, 197), (301, 308), (250, 400), (450, 457), (801, 808)):
        shown = picture(rng, width, height).convert(mode)
        for area in ((0, 0, width, height), (0.25, 3, width - 0.5, width)):
            theirs = np.asarray(shown.resize((192, 180), Image.Resampling.LANCZOS, area, gap))
            for _ in range(2):
                ways.add(resizing.suits(shown, (192, 180), Image.Resampling.LANCZOS, area, gap))
                ours = resizing.resize(shown, (192, 180), Image.Resampling.LANCZOS, area, gap)
                np.testing.assert_array_equal(ours, theirs)
    assert ways == ({True, False} if mode == "RGB" else {False})


def test_threads_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(4)
    shown = [picture(rng, int(width) + 150, int(height)) for width, height in rng.integers(200, 500, (24, 2))]
    theirs = [np.asarray(one.resize((192, 192), Image.Resampling.LANCZOS)) for one in shown]
    with ThreadPoolExecutor(4) as pool:
        whole = [(0, 0, *one.size) for one in shown]
        ours = list(
            pool.map(lambda one, area: resizing.product(one, (192, 192), Image.Resampling.LANCZOS, area), shown, whole)
        )
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our, their)


def test_both_orders_of_passes_give_what_pillow_gives() -> None:
    """Around the height from which Pillow 13 begins with columns, which is pinned: a later one may move it."""
    rng = np.random.default_rng(7)
    for height in range(275, 300):
        shown, area = picture(rng, 240, height), (0, 0, 240, height)
        for _ in range(3):
            theirs = np.asarray(shown.resize((192, 192), Image.Resampling.LANCZOS, area))
            np.testing.assert_array_equal(
                resizing.resize(shown, (192, 192), Image.Resampling.LANCZOS, area), theirs, err_msg=str(height)
            )
        assert resizing.suits(shown, (192, 192), Image.Resampling.LANCZOS, area, None) == (height <= 288)


def test_an_area_that_came_before_is_resized_by_products() -> None:
    shown, area = picture(np.random.default_rng(5), 287, 311), (11, 13, 280, 300)
    assert [resizing.suits(shown, (192, 192), Image.Resampling.LANCZOS, area, 2.0) for _ in range(3)] == [
        False,
        True,
        True,
    ]


def test_the_result_can_be_written_to() -> None:
    shown = picture(np.random.default_rng(6), 400, 400)
    for size in ((192, 192), (20, 20)):
        resizing.resize(shown, size, Image.Resampling.LANCZOS)[:] = 0
