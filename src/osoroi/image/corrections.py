"""Pictures that Pillow decodes otherwise than their format says: brought to what the format says, or refused.

Each rule stands for a disagreement with a second decoder, and ``tests/test_second_decoder.py`` compares the two over
every layout of every format. What is refused raises ValueError, which names the layout.
"""

import io
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8
from PIL import BmpImagePlugin, GifImagePlugin, Image, PngImagePlugin, TiffImagePlugin

from osoroi.image.depth import to_eight_bits
from osoroi.image.png import Png

BITS, PHOTOMETRIC, FILL, SAMPLES, PLANAR, COLOR_MAP = 258, 262, 266, 277, 284, 320
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 332, 338, 339
"""Tags of TIFF 6.0."""

FAX: Final = ("group3", "group4", "tiff_ccitt", "tiff_raw_16")
"""Compressions that Pillow names so. libtiff goes on after bad codes of them, and only warns."""

WHITE_IS_ZERO, RGB, SEPARATED, YCBCR = 0, 2, 5, 6
"""Values of the tag PhotometricInterpretation."""


def before_pixels(image: Image.Image) -> None:
    """Refuse layouts whose pixels would come out wrong; raises ValueError."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        problem = tiff_problem(image.tag_v2, image.info.get("compression", "raw"))
        if problem:
            raise ValueError(f"a TIFF {problem}")
    if isinstance(image, BmpImagePlugin.BmpImageFile) and image.mode in ("1", "L"):
        tile = image.tile[0]  # Pillow takes a palette of greys for grey of one byte, or of one bit where it has two
        bits = {"1": 1, "L": 8}[image.mode]
        stride = ((image.width * bits + 31) >> 3) & ~3
        stored = tile.args[1] if tile.codec_name == "raw" and isinstance(tile.args, tuple) else None
        if stored != stride and (stored is not None or image.mode == "1"):
            raise ValueError("a BMP with a palette of two greys and more than one bit a pixel")


def after_pixels(image: Image.Image, png: Png | None) -> Image.Image:
    """The decoded picture as its format means it, in a mode that says so; its ``info`` is kept."""
    correct = next((CORRECTIONS[kind] for kind in type(image).__mro__ if kind in CORRECTIONS), None)
    info = image.info
    if png is not None:
        info = {name: value for name, value in info.items() if name not in ("transparency", "icc_profile")}
        if png.profile:
            info["icc_profile"] = png.profile
        picture = png_transparency(image, png)
    else:
        picture = image if correct is None else correct(image)
    picture.info = info
    return picture


def tiff_problem(tags: Any, compression: str) -> str | None:
    """Why the pixels of a TIFF of this layout cannot be trusted, or None.

    ``tags`` are the tags by number, with ``get`` and ``prefix`` (the byte order) as Pillow's directory has them.
    """
    photometric = tags.get(PHOTOMETRIC, WHITE_IS_ZERO)
    bits, formats = max(tags.get(BITS, (1,))), set(tags.get(SAMPLE_FORMAT, (1,)))
    if formats == {3}:
        swapped = compression != "raw" and tags.prefix == b"MM"  # which Pillow reads in the wrong order
        return "of floating-point numbers of this layout" if swapped or photometric == WHITE_IS_ZERO else None
    problems = {
        f"of signed, mixed or {bits}-bit numbers, so nothing says what white is": formats != {1} or bits > 16,
        f"in planes of {bits} bits": tags.get(PLANAR, 1) == 2 and not planes_are_read(tags, photometric, bits),
        "coded like a fax, of which a damaged line is not noticed": compression in FAX,
        "of YCbCr without compression": photometric == YCBCR and compression == "raw",
        "of inks other than cyan, magenta, yellow and black": photometric == SEPARATED and tags.get(INK_SET, 1) != 1,
    }
    return next((problem for problem, applies in problems.items() if applies), None)


def planes_are_read(tags: Any, photometric: int, bits: int) -> bool:
    """Whether Pillow puts the planes of a TIFF into the right channels: 8 bits of RGB or CMYK, and stated extras."""
    bands = {RGB: 3, SEPARATED: 4}.get(photometric, 0) + len(tags.get(EXTRA_SAMPLES, ()))
    return bits == 8 and photometric in (RGB, SEPARATED) and tags.get(SAMPLES, 1) == bands and tags.get(FILL, 1) == 1


def tiff(image: Image.Image) -> Image.Image:
    """Grey of 12 bits or where 0 is white as grey of 8 bits; a palette of 8 bits as one of 16.

    Pillow inverts grey of up to 8 bits itself, and scales no 12 bits.
    """
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    tags = image.tag_v2
    if image.mode.startswith("I;16"):
        white = 2 ** max(tags.get(BITS, (16,))) - 1
        grey = to_eight_bits(np.asarray(image), float(white))
        return Image.fromarray(255 - grey if tags.get(PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO else grey)
    if image.mode in ("P", "PA") and max(tags[COLOR_MAP], default=0) < 256:
        image.putpalette(bytes(np.array(tags[COLOR_MAP], np.uint8).reshape(3, -1).T.ravel()))
    return image


def bmp(image: Image.Image) -> Image.Image:
    """A BMP whose alpha is 0 everywhere has none: writers leave the byte empty."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")
    return image


def gif(image: Image.Image) -> Image.Image:
    """What the first frame does not cover is transparent, whatever colour 0 of the palette is."""
    assert isinstance(image, GifImagePlugin.GifImageFile)
    extent = image.dispose_extent
    if extent is None or tuple(extent) == (0, 0, *image.size):
        return image
    inside = Image.new("L", image.size, 0)
    inside.paste(255, (extent[0], extent[1], extent[2], extent[3]))
    picture = image.convert("RGBA")
    picture.putalpha(Image.fromarray(np.minimum(np.asarray(picture.getchannel("A")), np.asarray(inside))))
    return picture


def png_transparency(image: Image.Image, png: Png) -> Image.Image:
    """A PNG with the colour that ``tRNS`` names transparent, compared in all bits of the file."""
    key = [int.from_bytes(png.transparency[at : at + 2], "big") for at in range(0, len(png.transparency) - 1, 2)]
    if not key or image.mode in ("P", "LA", "RGBA"):
        return image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image.copy()
    if png.bits == 16:
        deep = sixteen_bits(image, png)
        clear = (deep == np.array(key[: deep.shape[2]])).all(axis=2)
        picture = eight(deep)
    else:
        most = 2**png.bits - 1
        shown = image.convert("L") if image.mode == "1" else image
        values = np.asarray(shown).reshape(image.height, image.width, -1)
        scaled = [(value & most) * 255 // most for value in key[: values.shape[2]]]
        clear, picture = (values == np.array(scaled)).all(axis=2), shown.convert("RGB")
    picture.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    return picture


def sixteen_bits(image: Image.Image, png: Png) -> np.ndarray:
    """The samples of a PNG of 16 bits, ``[h w c]``. Of colour Pillow keeps the upper byte, so it decodes twice."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)[..., None]
    low = PngImagePlugin.PngImageFile(io.BytesIO(png.data))
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]  # which takes the lower byte of big-endian samples
    low.load()
    return np.asarray(image).astype(np.uint16) * 256 + np.asarray(low)


def eight(deep: np.ndarray) -> Image.Image:
    """Samples of 16 bits as a picture of 8, rounded."""
    values: UInt8[np.ndarray, "h w c"] = to_eight_bits(deep, 65535.0)
    return Image.fromarray(values if values.shape[2] == 3 else values.repeat(3, axis=2))


CORRECTIONS: Final[dict[type, Callable[[Image.Image], Image.Image]]] = {
    TiffImagePlugin.TiffImageFile: tiff,
    BmpImagePlugin.BmpImageFile: bmp,
    GifImagePlugin.GifImageFile: gif,
}
"""Decoder -> how its pictures are brought to what their format says."""
