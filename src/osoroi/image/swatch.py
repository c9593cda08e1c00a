"""A colour as a photo: a T-shirt on white, which an encoder reads like a product in that colour.

``parse`` takes a colour by its code (``#b03a2e``) or by its name in English or Japanese; ``swatch`` draws it.
"""

import re
import unicodedata
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from osoroi.errors import BadPhoto, BadRequest
from osoroi.image.cropping import Photo
from osoroi.records import PhotoLike

RGB = tuple[int, int, int]

FASHION: Final[dict[str, str]] = {
    "burgundy": "#6d1a2d", "wine": "#722f37", "mustard": "#d4a017", "camel": "#c19a6b", "charcoal": "#36454f",
    "mint": "#a8e0c8", "cream": "#fff4d6", "off-white": "#f7f3ea", "khaki": "#8a7f5a", "olive": "#6b6b2f",
    "rust": "#b7410e", "rose": "#e3a6ae", "mauve": "#b784a7", "lilac": "#c8a2c8", "denim": "#4a6a8f",
    "emerald": "#1f8a5b", "mocha": "#7b5b48", "taupe": "#8b7d70", "apricot": "#f3b27a", "peach": "#f7b79a",
    "terracotta": "#c8664a", "dusty pink": "#d3a3a3", "sky blue": "#87bfe5", "royal blue": "#2b4fc2",
    "light blue": "#a9cbe8", "dark green": "#1d4a30", "light grey": "#cfcfcf", "dark grey": "#4c4c4c",
    "green": "#2f8a3c", "brown": "#6f4a2c", "grey": "#8a8a8a", "gray": "#8a8a8a", "red": "#c3202f", "navy": "#1e2a4f",
    "blue": "#2b5fb4", "yellow": "#f2d230", "orange": "#ee8130", "pink": "#ee9db5", "purple": "#6d3d8c",
    "beige": "#dcc8a8", "black": "#161616", "white": "#fafafa", "ivory": "#f7f1de", "lavender": "#b8a5d8",
}  # fmt: skip
"""Names of the trade that CSS lacks, or by which it means another colour than a shop does: no cloth is as red as its
red. The common ones are those of their names in Japanese."""

JAPANESE: Final[dict[str, str]] = {
    "赤": "#c3202f", "レッド": "#c3202f", "朱色": "#e0502e", "ワイン": "#722f37", "ワインレッド": "#722f37",
    "バーガンディ": "#6d1a2d", "ピンク": "#ee9db5", "桃色": "#f3a3b8", "桜色": "#fbdfe3", "オレンジ": "#ee8130",
    "橙": "#ee8130", "黄色": "#f2d230", "黄": "#f2d230", "イエロー": "#f2d230", "マスタード": "#d4a017",
    "からし色": "#c9a02c", "緑": "#2f8a3c", "グリーン": "#2f8a3c", "黄緑": "#9ac43c", "抹茶": "#8a9a4a",
    "抹茶色": "#8a9a4a", "カーキ": "#6e6a42", "オリーブ": "#6b6b2f", "ミント": "#a8e0c8", "青": "#2b5fb4",
    "ブルー": "#2b5fb4", "水色": "#a5d3ea", "サックス": "#a9cbe8", "紺": "#1e2a4f", "紺色": "#1e2a4f",
    "ネイビー": "#1e2a4f", "藍色": "#27496d", "紫": "#6d3d8c", "パープル": "#6d3d8c", "ラベンダー": "#b8a5d8",
    "茶色": "#6f4a2c", "茶": "#6f4a2c", "ブラウン": "#6f4a2c", "キャメル": "#c19a6b", "ベージュ": "#dcc8a8",
    "モカ": "#7b5b48", "生成り": "#f4ecd8", "アイボリー": "#f7f1de", "白": "#fafafa", "ホワイト": "#fafafa",
    "灰色": "#8a8a8a", "グレー": "#8a8a8a", "チャコール": "#36454f", "黒": "#161616", "ブラック": "#161616",
    "銀": "#b8bcc0", "シルバー": "#b8bcc0", "金": "#c9a227", "ゴールド": "#c9a227", "デニム": "#4a6a8f",
}  # fmt: skip

OUTLINE: Final = (
    (0.27, 0.12), (0.41, 0.09), (0.50, 0.14), (0.59, 0.09), (0.73, 0.12), (0.94, 0.37), (0.80, 0.46), (0.73, 0.38),
    (0.73, 0.91), (0.27, 0.91), (0.27, 0.38), (0.20, 0.46), (0.06, 0.37),
)  # fmt: skip
"""The T-shirt, as shares of the side. A plain square is no garment to an encoder: of the 20 products nearest to a green
one none was green (docs/log.md)."""

WORD: Final = re.compile(r"#?[^\W_][\w -]{0,40}")
"""What may be meant as a colour rather than as a path."""

HINT: Final = "give a code such as #b03a2e, or a name such as navy or 紺"

WEAVE: Final = 0.03
"""Deviation of the brightness of pixels, as a share: cloth is never quite even."""


def parse(color: str) -> RGB:
    """Red, green and blue in 0–255 of a colour: ``#rgb``, ``#rrggbb``, a name of CSS, of the trade, or in Japanese.

    Names may have any case and spaces. Raises BadRequest for anything else.

    >>> parse("#b03a2e"), parse("Navy"), parse("紺")
    ((176, 58, 46), (30, 42, 79), (30, 42, 79))
    >>> parse("colour of the sea")
    Traceback (most recent call last):
    osoroi.errors.BadRequest: no colour 'colour of the sea'; give a code such as #b03a2e, or a name such as navy or 紺
    """
    name = unicodedata.normalize("NFKC", color).strip().casefold()
    code = FASHION.get(" ".join(name.split())) or JAPANESE.get(name) or name.replace(" ", "")
    try:
        if not code.startswith("#") and code not in ImageColor.colormap:
            raise ValueError(code)
        red, green, blue = ImageColor.getrgb(code)[:3]
    except ValueError:
        raise BadRequest(f"no colour {color[:60]!r}", hint=HINT) from None
    return red, green, blue


def is_color(text: str) -> bool:
    """Whether ``parse`` takes this text.

    >>> is_color("ワインレッド"), is_color("snap.jpg")
    (True, False)
    """
    try:
        parse(text)
    except BadRequest:
        return False
    return True


def photo_or_swatch(given: PhotoLike) -> PhotoLike:
    """A photo as it is; for text that names a colour, and no file that is there, a swatch of that colour.

    Raises BadPhoto for words that are neither.

    >>> photo_or_swatch("snap.jpg")
    'snap.jpg'
    >>> photo_or_swatch("#b03a2e").shape
    (256, 256, 3)
    """
    if isinstance(given, str) and is_color(given) and not Path(given).exists():
        return swatch(given)
    if isinstance(given, str) and WORD.fullmatch(given) and not Path(given).exists():
        raise BadPhoto(f"{given!r} is neither a photo nor a known colour", hint=HINT)
    return given


def swatch(color: str, *, side: int = 256) -> Photo:
    """A photo of ``side`` x ``side`` pixels: a T-shirt of the colour on white, the same for the same colour and side.

    Raises BadRequest for what is no colour.

    >>> photo = swatch("#b03a2e", side=64)
    >>> photo.shape, photo[0, 0].tolist(), photo[24:56, 24:40].mean((0, 1)).round().tolist()
    ((64, 64, 3), [255, 255, 255], [175.0, 58.0, 46.0])
    """
    outline = Image.new("L", (side, side), 0)
    ImageDraw.Draw(outline).polygon([(x * side, y * side) for x, y in OUTLINE], fill=255)
    weave = 1 + WEAVE * np.random.default_rng(0).standard_normal((side, side, 1))
    # dark cloth has a weave, too, so some of it does not depend on the colour
    cloth = np.clip(np.array(parse(color)) * weave + 40 * (weave - 1), 0, 255)
    return np.where(np.asarray(outline)[..., None] > 0, cloth.round(), 255).astype(np.uint8)
