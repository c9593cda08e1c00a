"""Which photos are the same photo, or near-duplicates: 64-bit perceptual hashes, and the pairs near each other."""

import faiss
import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt64
from PIL import Image

SIDE = 32
"""Photos are looked at in grey, this wide and high."""


def _cosines() -> Float64[np.ndarray, "8 side"]:
    """Rows 0 to 7 of the discrete cosine transform."""
    step, at = np.meshgrid(np.arange(8), np.arange(SIDE), indexing="ij")
    return np.cos(np.pi * step * (2 * at + 1) / (2 * SIDE))


_DCT = _cosines()


def phash(photo: UInt8[np.ndarray, "h w 3"]) -> np.uint64:
    """The signs of the 64 lowest frequencies of the photo in grey, against their median; the first bit is 0.

    Scaling, compression and a change of light leave nearly all bits as they are. Zauner 2010, "Implementation and
    benchmarking of perceptual image hash functions".

    >>> ramp = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 48, 3))
    >>> int(phash(ramp) ^ phash(ramp[::2, ::2])).bit_count()
    0
    >>> int(phash(ramp) ^ phash(np.ascontiguousarray(ramp[::-1]))).bit_count() > 0
    True
    """
    grey = Image.fromarray(photo).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    low = np.round(_DCT @ np.asarray(grey, dtype=np.float64) @ _DCT.T, 3).ravel()  # a frequency that is absent is 0
    bits = low > np.median(low[1:])
    bits[0] = False  # the mean grey: light, not likeness
    return np.packbits(bits).view(np.uint64)[0]


def thumb(photo: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "48 48 3"]:
    """What is left of a photo at 48 x 48."""
    return np.asarray(Image.fromarray(photo).resize((48, 48), Image.Resampling.BOX))


def correlation(one: UInt8[np.ndarray, "48 48 3"], other: UInt8[np.ndarray, "48 48 3"]) -> float:
    """How alike two thumbs are whatever their light: cosine of the pixels less each channel's mean, in [-1, 1].

    Two plain photos are alike (1) where both are plain, and unlike (0) where one is.

    >>> red = np.zeros((48, 48, 3), np.uint8); red[:24, :, 0] = 200
    >>> round(correlation(red, red // 2 + 40), 3), round(correlation(red, red[::-1]), 3)
    (1.0, -1.0)
    """
    a, b = (each - each.mean(axis=(0, 1)) for each in (one.astype(np.float64), other.astype(np.float64)))
    sizes = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(sizes) < 1:
        return float(max(sizes) < 1)
    return float((a * b).sum() / (sizes[0] * sizes[1]))


def near(hashes: UInt64[np.ndarray, "n"], radius: int) -> Int64[np.ndarray, "m 2"]:
    """All pairs i < j whose hashes differ in at most ``radius`` bits.

    >>> near(np.array([0b0000, 0b0111, 0b0001], dtype=np.uint64), 2).tolist()
    [[0, 2], [1, 2]]
    """
    if len(hashes) == 0:
        return np.empty((0, 2), np.int64)
    codes = hashes.view(np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    ends, _, found = index.range_search(codes, radius + 1)  # nearer than
    counts: Int64[np.ndarray, "n"] = np.diff(ends).astype(np.int64)
    first = np.repeat(np.arange(len(hashes)), counts)
    pairs = np.stack([first, found.astype(np.int64)], axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
