r"""Pictures resized by products of matrices: the pixels of Pillow's ``Image.resize``, in three quarters of its time.

Pillow resizes 8-bit pictures along rows, then along columns. Each pass is a weighted sum of pixels, rounded:

.. math:: y = \min(255, \max(0, \lfloor \sum_i w_i x_i + \tfrac12 \rfloor)), \qquad 2^{22} w_i \in \mathbb{Z}

In units of 2^-22 these sums stay below 2^53, so doubles hold them exactly, in whatever order a library adds them. The
weights are Pillow's own: it resizes rows of bright points, and what it makes of them are its weights, whatever its
version and the sine of the platform. A few pictures are resized by both ways first; where another Pillow gives other
pixels, it resizes everything itself. It does so, too, where products are no faster: for small results, enlarged
pictures, and areas of smaller photos that come once, as finding weights takes what the products save.
"""

import logging
import math
import threading
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from PIL import Image

log = logging.getLogger(__name__)

UNIT: Final = 2**22
"""Weights of Pillow are whole multiples of one in so many."""

SUPPORT: Final = {
    Image.Resampling.LANCZOS: 3.0,
    Image.Resampling.BICUBIC: 2.0,
    Image.Resampling.BILINEAR: 1.0,
    Image.Resampling.HAMMING: 1.0,
    Image.Resampling.BOX: 0.5,
}
"""Half the width of each filter, in pixels of the result where that is the smaller picture."""

GROUP: Final = 16
"""Pixels of the result, along one side, that one product gives; they need few pixels beside their own."""

PRODUCT: Final = 2**18
"""Multiplications of one product at most: more would be spread over threads by some libraries."""

LINES: Final = 2**18
"""Numbers of one colour that are at hand at once at most."""

SIDES: Final = (64, 512)
"""Sides of results that are made here. Below, a call costs more than the pixels; above, so much is not kept at hand."""

SHRINKS: Final = (0.9, 4.5)
"""How many times larger the source is along each side. Enlarged pictures have few weights, and Pillow is as fast."""

KEPT: Final = 128
"""Sides whose weights are kept: some 10 MB."""

LARGE: Final = 150_000
"""Pixels of an area for which finding weights pays when they are needed once."""

LONGEST: Final = 8_192
"""The longest side of a source whose weights are found here: they come in rows of that length."""

Area = tuple[int | float, int | float, int | float, int | float]


class Weights(NamedTuple):
    """One pass along one side: the first and the end of the pixels that are used; the most that a group of results may
    need; and of each group where its results lie, which of the used pixels it needs, and their weights."""

    first: int
    end: int
    most: int
    groups: list[tuple[slice, slice, Float64[np.ndarray, "pixels results"]]]


def resize(
    picture: Image.Image,
    size: tuple[int, int],
    resampling: Image.Resampling,
    area: Area | None = None,
    gap: float | None = None,
) -> UInt8[np.ndarray, "h w ..."]:
    """The pixels of ``picture.resize(size, resampling, area, gap)``, which nobody else holds.

    >>> ramp = Image.fromarray(np.arange(270 * 90, dtype=np.uint8).reshape(90, 90, 3))
    >>> ours = resize(ramp, (70, 80), Image.Resampling.LANCZOS, (3, 0.5, 90, 88))
    >>> bool((ours == np.asarray(ramp.resize((70, 80), Image.Resampling.LANCZOS, (3, 0.5, 90, 88)))).all())
    True
    """
    area = (0, 0, *picture.size) if area is None else area
    if suits(picture, size, resampling, area, gap) and agrees(resampling):
        return product(picture, size, resampling, area)
    return np.asarray(picture.resize(size, resampling, area, gap)).copy()


def suits(
    picture: Image.Image, size: tuple[int, int], resampling: Image.Resampling, area: Area, gap: float | None
) -> bool:
    """Whether products of matrices are the faster way: for pictures made somewhat smaller without a reduction before,
    where areas are large or come again."""
    left, top, right, bottom = area
    shrinks = (right - left) / size[0], (bottom - top) / size[1]
    return (
        picture.mode == "RGB"
        and resampling in SUPPORT
        and max(picture.size) <= LONGEST
        and rows_first(picture.size, size)
        and SIDES[0] <= min(size)
        and max(size) <= SIDES[1]
        and SHRINKS[0] <= min(shrinks)
        and max(shrinks) <= SHRINKS[1]
        and (gap is None or int(max(shrinks) / gap) <= 1)
        and min(left, top) >= 0
        and right <= picture.width
        and bottom <= picture.height
        and ((right - left) * (bottom - top) >= LARGE or _comes_again(picture.size, area, size))
    )


def _comes_again(whole: tuple[int, int], area: Area, size: tuple[int, int]) -> bool:
    """Whether weights for both sides were needed before."""
    sides = [(whole[at], area[at], area[at + 2], size[at]) for at in (0, 1)]
    counts = [_count(*side) for side in sides]
    for count in counts:
        count[0] += 1
    return min(counts)[0] > 1


@lru_cache(maxsize=KEPT)
def _count(length: int, first: int | float, end: int | float, results: int) -> list[int]:
    """How often this side came, while it is remembered."""
    return [0]


def rows_first(whole: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether every Pillow resizes rows before columns: from 13 on, it begins with the columns of pictures that lose
    more than twice as much of their height as of their width."""
    return whole[1] - size[1] <= max(0, 2 * (whole[0] - size[0]))


@cache
def agrees(resampling: Image.Resampling) -> bool:
    """Whether both ways give the same pixels of some pictures of noise: a wide one, and the highest."""
    rng, size = np.random.default_rng(0), (71, 67)
    for width, height in ((157, 101), (131, 187)):
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for area in ((0, 0, width, height), (1.3, 0.0, width - 0.8, height - 0.4)):
            theirs = np.asarray(picture.resize(size, resampling, area))
            if not np.array_equal(product(picture, size, resampling, area), theirs):
                log.warning("this Pillow resizes otherwise than products of its weights, so it resizes photos itself")
                return False
    return True


def product(
    picture: Image.Image, size: tuple[int, int], resampling: Image.Resampling, area: Area
) -> UInt8[np.ndarray, "h w 3"]:
    """The resized area by products of matrices, rows first, whether or not that is faster."""
    width, height = size
    across = weights(picture.width, area[0], area[2], width, resampling)
    down = weights(picture.height, area[1], area[3], height, resampling)
    used = (across.first, down.first, across.end, down.end)
    source = np.asarray(picture if used == (0, 0, *picture.size) else picture.crop(used))
    lines = len(source)
    step = max(1, min(lines, LINES // source.shape[1], PRODUCT // (GROUP * across.most)))
    resized = np.empty((height, width, 3), np.uint8)
    strip, middle, ends = SCRATCH.arrays((step, source.shape[1]), (lines, width), (height, width))
    for colour in range(3):
        for top in range(0, lines, step):
            some = slice(top, min(top + step, lines))
            pixels = strip[: some.stop - top]
            pixels[:] = source[some, :, colour]
            for results, needed, matrix in across.groups:
                np.matmul(pixels[:, needed], matrix, out=middle[some, results])
        middle += 0.5  # halves are rounded up
        np.floor(middle, out=middle)
        middle.clip(0.0, 255.0, out=middle)
        for results, needed, matrix in down.groups:
            np.matmul(matrix.T, middle[needed], out=ends[results])
        ends += 0.5
        resized[..., colour] = ends.clip(0.0, 255.0, out=ends)  # what is left of the point goes
    return resized


@lru_cache(maxsize=KEPT)
def weights(length: int, first: int | float, end: int | float, results: int, resampling: Image.Resampling) -> Weights:
    """How a side of ``length`` pixels becomes so many results, of which all lie between ``first`` and ``end``.

    The weights of a result lie within one period around its centre. So of rows whose bright points are one period
    apart, each with another first point, every row tells one weight of every result.
    """
    scale = (end - first) / results
    period = 2 * math.ceil(SUPPORT[resampling] * max(scale, 1.0) + 1.51)
    points = _points(length, period)
    found = np.asarray(points.resize((results, period), resampling, (first, 0, end, period)))  # [period results]
    places = _places(results, period)
    lowest = np.floor(first + places.middles * scale).astype(np.intp) - period // 2
    starts = lowest[::GROUP]
    at = (places.rows - lowest) % period + (lowest - starts[places.group])  # where each weight lies in its group
    longest = int((lowest[places.last] - starts).max()) + period
    dense = np.zeros((len(starts), longest, GROUP))
    dense[places.group, at, places.within] = found
    dense /= UNIT
    used, groups = max(int(starts[0]), 0), []
    for matrix, start, last in zip(dense, starts.tolist(), places.last.tolist(), strict=True):
        lower, upper = max(start, 0), min(int(lowest[last]) + period, length)
        some = slice(last - last % GROUP, last + 1)
        groups.append(
            (some, slice(lower - used, upper - used), matrix[lower - start : upper - start, : last % GROUP + 1])
        )
    return Weights(used, upper, longest, groups)


class Places(NamedTuple):
    """Of each result the middle, in results, its group and its place within; the last of each group; and rows."""

    middles: Float64[np.ndarray, "results"]
    group: Int64[np.ndarray, "results"]
    within: Int64[np.ndarray, "results"]
    last: Int64[np.ndarray, "groups"]
    rows: Int64[np.ndarray, "period 1"]


@lru_cache(maxsize=64)
def _places(results: int, period: int) -> Places:
    column = np.arange(results)
    last = np.minimum(np.arange(GROUP - 1, results + GROUP - 1, GROUP), results - 1)
    return Places(column + 0.5, column // GROUP, column % GROUP, last, np.arange(period)[:, None])


@lru_cache(maxsize=16)
def _points(length: int, period: int) -> Image.Image:
    """Rows of bright points one period apart, the first of them at the number of the row."""
    rows = np.zeros((period, length), np.int32)
    places = np.arange(length)
    rows[places % period, places] = UNIT
    return Image.fromarray(rows)


class Scratch(threading.local):
    """Memory for one thread's products, kept: asking the system for it anew takes as long as the products do."""

    numbers: Float64[np.ndarray, "n"] = np.empty(0)

    def arrays(self, *shapes: tuple[int, int]) -> list[Float64[np.ndarray, "h w"]]:
        """Arrays of these shapes, with whatever numbers, until the next call."""
        sizes = [math.prod(shape) for shape in shapes]
        if len(self.numbers) < sum(sizes):
            self.numbers = np.empty(sum(sizes))
        ends = np.cumsum(sizes)
        return [
            self.numbers[end - size : end].reshape(shape)
            for shape, size, end in zip(shapes, sizes, ends.tolist(), strict=True)
        ]


SCRATCH: Final = Scratch()
