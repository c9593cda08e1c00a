"""Any picture that Pillow decodes -> 8-bit sRGB without transparency.

An embedded ICC profile is followed (perceptual intent, as browsers do it). A profile that is broken, or that is not
for this kind of picture, is passed over and the pixels are taken as sRGB, as browsers do it too: a readable photo in
a slightly wrong colour is worth more than none. What is transparent lies on white, as on a shop's page.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from osoroi.image.depth import to_eight_bits

CASTS = {"1": "L", "La": "LA", "RGBX": "RGB", "RGBa": "RGBA", "YCbCr": "RGB", "HSV": "RGB", "PA": "RGBA"}
"""Modes that another says without loss of meaning."""


def to_srgb(image: Image.Image) -> Image.Image:
    """The picture in sRGB, of mode ``RGB`` and the same size; its orientation is left alone.

    Raises ValueError for numbers of which nothing says what white is.

    >>> half = Image.new("LA", (1, 1), (0, 51))  # black, one fifth opaque: 255 * 4 / 5
    >>> to_srgb(half).getpixel((0, 0))
    (204, 204, 204)
    """
    profile = image.info.get("icc_profile")
    image = eight_bit(image)
    if image.mode not in ("LA", "RGBA"):
        return follow(image, profile)
    alpha = image.getchannel("A")
    colours = follow(image.convert(image.mode[:-1]), profile)
    return Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)


def eight_bit(image: Image.Image) -> Image.Image:
    """The picture in one of ``L``, ``LA``, ``RGB``, ``RGBA``, ``CMYK`` and ``LAB``."""
    if "transparency" in image.info:
        return (from_deep(image) if image.mode.startswith("I") else image).convert("RGBA")
    if image.mode == "P":
        return image.convert("RGB")
    if image.mode.startswith(("I", "F")):
        return from_deep(image)
    return image.convert(CASTS[image.mode]) if image.mode in CASTS else image


def from_deep(image: Image.Image) -> Image.Image:
    """Grey of 16 bits (whole numbers to 65535) or floats in [0, 1] as grey of 8 bits, rounded."""
    values = np.asarray(image)
    white = 1.0 if image.mode == "F" else 65535.0
    if not (values.min() >= 0 and values.max() <= white):
        raise ValueError(f"its numbers leave the range 0 to {white:g}, so nothing says what white is")
    return Image.fromarray(to_eight_bits(values, white))


def follow(image: Image.Image, profile: bytes | None) -> Image.Image:
    """``L``, ``RGB``, ``CMYK`` or ``LAB`` brought to sRGB by its profile, or without one by the plain formula."""
    if image.mode == "LAB":
        transform: ImageCms.ImageCmsTransform | None = lab_transform()
    else:
        transform = CACHE.get(profile, image.mode) if profile else None
    if transform is None:
        return image.convert("RGB")
    return transform.apply(image)


class TransformCache:
    """Transforms from profiles to sRGB by the hash of the profile; the least recently used go first. Threads share it.

    A transform takes memory in proportion to its profile, so the bound is on the bytes of the profiles: one profile
    above it is followed and not remembered.

    >>> cache = TransformCache(max_bytes=100)
    >>> cache.get(b"junk", "RGB") is None, cache.size_bytes
    (True, 4)
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._entries: OrderedDict[tuple[bytes, str], tuple[int, ImageCms.ImageCmsTransform | None]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
        """The transform of ``transform_of``, made once while it is remembered."""
        key = hashlib.sha256(profile).digest(), mode
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][1]
        transform = transform_of(profile, mode)
        with self._lock:
            if key not in self._entries and len(profile) <= self.max_bytes:
                self._entries[key] = len(profile), transform
                self.size_bytes += len(profile)
            while self.size_bytes > self.max_bytes:
                self.size_bytes -= self._entries.popitem(last=False)[1][0]
        return transform


CACHE = TransformCache(max_bytes=8 * 2**20)
"""Some thousand profiles of cameras, or a few of presses."""


def transform_of(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB, or None where the profile is broken or not one for this mode."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(mode, mode):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=1)
def lab_transform() -> ImageCms.ImageCmsTransform:
    """From CIE Lab (D50) to sRGB."""
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
