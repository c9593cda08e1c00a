"""Corrupted street photos: JPEG artefacts, light and white balance that are off, and a box that is drawn carelessly."""

import io
from hashlib import blake2b

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from osoroi.records import Box

QUALITY = 40
"""JPEG quality of a corrupted photo."""

SHIFT = 0.10
"""Largest shift of each side of the box, as a share of the box's width or height."""

LIGHT = 0.35
"""Largest relative change of gain and of contrast."""

BALANCE = 0.15
"""Largest relative change of each channel: a color cast."""


def corrupt(photo: UInt8[np.ndarray, "h w 3"], box: Box | None, *, seed: int, crop_id: str) -> tuple[bytes, Box]:
    r"""A corrupted photo as JPEG bytes, and a shifted box of the same garment.

    .. math:: p' = g \cdot b_c \cdot (\bar p + k (p - \bar p))

    with the photo's mean p̄, contrast k and gain g in [.65, 1.35], balance b of each channel in [.85, 1.15], then JPEG
    of quality 40. Without a box the whole photo is the box. The shifted box is cut at the photo's edge and keeps at
    least one pixel. The random numbers depend on ``seed`` and ``crop_id`` alone, not on the other queries.

    >>> data, box = corrupt(np.full((40, 30, 3), 128, np.uint8), Box(10, 10, 20, 30), seed=0, crop_id="q1")
    >>> data[:2] == b"\xff\xd8", all(abs(a - b) <= 2 for a, b in zip(box, (10, 10, 20, 30)))
    (True, True)
    """
    digest = blake2b(f"{seed}:{crop_id}".encode(), digest_size=16).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    height, width, _ = photo.shape
    shifted = _shifted(box or Box(0, 0, width, height), width, height, rng.uniform(-SHIFT, SHIFT, 4))
    gain, contrast = rng.uniform(1 - LIGHT, 1 + LIGHT, 2)
    balance = rng.uniform(1 - BALANCE, 1 + BALANCE, 3)
    mean = photo.mean()
    curves = gain * balance[:, None] * (mean + contrast * (np.arange(256) - mean))  # [3 256]
    tables = np.clip(curves + 0.5, 0, 255).astype(np.uint8)
    pixels = np.stack([table[photo[..., channel]] for channel, table in enumerate(tables)], axis=-1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=QUALITY)
    return file.getvalue(), shifted


def _shifted(box: Box, width: int, height: int, shift: Float64[np.ndarray, "4"]) -> Box:
    wide, high = box.right - box.left, box.bottom - box.top
    left, top, right, bottom = (round(side) for side in np.array(box) + shift * [wide, high, wide, high])
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return Box(left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height)))
