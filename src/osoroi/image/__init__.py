"""Pixels: the bytes of a photo become an upright sRGB array, and a crop of it an encoder's input.

``decode`` reads every common format, ``truncation`` notices files that are cut short, ``icc`` converts colours,
``cropping`` cuts and resizes, and ``phash`` tells which photos are the same. Without torch.
"""

from osoroi.image.cropping import LIMITS, Limits, Photo, content, crop, load, name_of, read, thumbnail

__all__ = ["LIMITS", "Limits", "Photo", "content", "crop", "load", "name_of", "read", "thumbnail"]
