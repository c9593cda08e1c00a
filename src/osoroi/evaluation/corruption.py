"""Street photos made worse on purpose: what a hasty phone, bad light and a careless box do to a query."""

import io
from hashlib import blake2b

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from osoroi.records import Box

QUALITY = 40
"""Of the JPEG."""

SHIFT = 0.10
"""Each side of the box moves by at most this share of its width or height."""

LIGHT = 0.35
"""Gain and contrast change by at most this share."""

BALANCE = 0.15
"""Each channel is scaled by at most this share more or less: light of another colour."""


def spoil(photo: UInt8[np.ndarray, "h w 3"], box: Box | None, *, seed: int, crop_id: str) -> tuple[bytes, Box]:
    r"""A worse photo (JPEG) and a worse box of the same garment.

    .. math:: p' = g \cdot b_c \cdot (\bar p + k (p - \bar p))

    with the photo's mean p̄, contrast k and gain g in [.65, 1.35], balance b of each channel in [.85, 1.15], then JPEG
    of quality 40. Without a box the whole photo is the box. Sides are cut at the photo's edge, and at least one pixel
    stays. The draw depends on ``seed`` and ``crop_id`` alone, not on which other queries are asked.

    >>> data, box = spoil(np.full((40, 30, 3), 128, np.uint8), Box(10, 10, 20, 30), seed=0, crop_id="q1")
    >>> data[:2] == b"\xff\xd8", all(abs(a - b) <= 2 for a, b in zip(box, (10, 10, 20, 30)))
    (True, True)
    """
    digest = blake2b(f"{seed}:{crop_id}".encode(), digest_size=16).digest()
    draw = np.random.default_rng(int.from_bytes(digest, "big"))
    height, width, _ = photo.shape
    worse_box = _moved(box or Box(0, 0, width, height), width, height, draw.uniform(-SHIFT, SHIFT, 4))
    gain, contrast = draw.uniform(1 - LIGHT, 1 + LIGHT, 2)
    balance = draw.uniform(1 - BALANCE, 1 + BALANCE, 3)
    mean = photo.mean()
    change = gain * balance[:, None] * (mean + contrast * (np.arange(256) - mean))  # [3 256]
    tables = np.clip(change + 0.5, 0, 255).astype(np.uint8)
    worse = np.stack([table[photo[..., channel]] for channel, table in enumerate(tables)], axis=-1)
    file = io.BytesIO()
    Image.fromarray(worse).save(file, format="JPEG", quality=QUALITY)
    return file.getvalue(), worse_box


def _moved(box: Box, width: int, height: int, shift: Float64[np.ndarray, "4"]) -> Box:
    wide, high = box.right - box.left, box.bottom - box.top
    left, top, right, bottom = (round(side) for side in np.array(box) + shift * [wide, high, wide, high])
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return Box(left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height)))
