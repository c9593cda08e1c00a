"""Pixels: the bytes of a photo become an upright sRGB array, and a crop of it an encoder's input.

``decode`` reads every common format, ``truncation`` and ``png`` notice files that are cut short, ``corrections`` holds
what Pillow reads otherwise than a format says, ``icc`` converts colours, ``cropping`` cuts and resizes, and ``phash``
finds photos that are the same. Without torch.
"""

from osoroi.image.cropping import (
    LIMITS,
    Limits,
    Photo,
    Reduced,
    as_source,
    content,
    crop,
    load,
    name_of,
    read,
    reduced,
    thumbnail,
)

__all__ = [
    "LIMITS",
    "Limits",
    "Photo",
    "Reduced",
    "as_source",
    "content",
    "crop",
    "load",
    "name_of",
    "read",
    "reduced",
    "thumbnail",
]
