"""Colour chips of the page: those of the photo itself, and a palette that every shop sells."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from osoroi.garments import Garment
from osoroi.image import swatch
from osoroi.image.palette import APART, code, oklab
from osoroi.server.pages.i18n import PageTexts
from osoroi.server.pages.url_state import UrlState

PALETTE: Final = (
    ("black", "黒"), ("white", "白"), ("grey", "グレー"), ("beige", "ベージュ"), ("brown", "茶色"), ("red", "赤"),
    ("pink", "ピンク"), ("orange", "オレンジ"), ("yellow", "黄色"), ("green", "緑"), ("light blue", "水色"),
    ("blue", "青"), ("navy", "紺"), ("purple", "紫"),
)  # fmt: skip
"""English and Japanese names. The Japanese one is the colour: CSS means the brightest of each by the English one."""

FROM_PHOTO: Final = 6
"""Chips of the photo's own colours, at most."""


class Chip(NamedTuple):
    """One colour to wish for."""

    code: str
    name: str
    chosen: bool


def chips(codes: Iterable[str], state: UrlState, words: PageTexts, lang: str) -> list[Chip]:
    """Chips of the photo's colours, each named after the nearest of the palette."""
    return [
        _chip(one, words["color_of_photo"].format(name=name_of(one, lang)), state)
        for one in distinct(codes)[:FROM_PHOTO]
    ]


def palette(state: UrlState, lang: str) -> list[Chip]:
    """The chips that are always there."""
    return [
        _chip(code(swatch.parse(japanese)), japanese if lang == "ja" else english.capitalize(), state)
        for english, japanese in PALETTE
    ]


def of_garments(garments: Sequence[Garment]) -> list[str]:
    """The colours of all garments, first the main one of each, then their second ones.

    >>> from osoroi.records import Box
    >>> top, skirt = (Garment(Box(0, 0, 9, 9), "top", 1.0, 0, {}, codes) for codes in (("#f00", "#0f0"), ("#00f",)))
    >>> of_garments([top, skirt])
    ['#f00', '#00f', '#0f0']
    """
    ranks = range(max((len(garment.colors) for garment in garments), default=0))
    return [garment.colors[rank] for rank in ranks for garment in garments if rank < len(garment.colors)]


def distinct(codes: Iterable[str]) -> list[str]:
    """Colours that the eye tells apart, in their order.

    >>> distinct(["#b03a2e", "#b23c30", "#1e2a4f"])
    ['#b03a2e', '#1e2a4f']
    """
    taken: list[str] = []
    for one in codes:
        if all(_apart(one, other) >= APART for other in taken):
            taken.append(one)
    return taken


def name_of(color: str, lang: str) -> str:
    """The name of the nearest colour of the palette.

    >>> name_of("#b03a2e", "en"), name_of("#202c50", "ja")
    ('red', '紺')
    """
    english, japanese = min(PALETTE, key=lambda names: _apart(color, names[1]))
    return japanese if lang == "ja" else english


def _chip(color: str, name: str, state: UrlState) -> Chip:
    return Chip(color, name, state.detail_from == color)


def _apart(one: str, other: str) -> float:
    spots = oklab(np.array([swatch.parse(one), swatch.parse(other)], float))
    return float(np.linalg.norm(spots[0] - spots[1]))
