"""Text in pictures, in any script for which the system has a font.

Pillow's own font has Latin letters alone. For every other letter the fonts of the system are searched, those for
Japanese, Korean, Thai and emoji first. No font ships with the package.
"""

import functools
import logging
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from osoroi.text import printable

log = logging.getLogger("osoroi.report")

FOLDERS: Final = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"),
}

PREFERRED: Final = (
    *("notosanscjk", "notosansjp", "notosanskr", "sourcehansans", "ipaexg", "ipag", "takaogothic", "vl-gothic"),
    *("hiragino", "ヒラギノ角ゴシック", "yugoth", "meiryo", "msgothic", "applesdgothic", "nanumgothic", "malgun"),
    *("notosansthai", "loma", "garuda", "thonburi", "leelaw", "tahoma"),
    *("notocoloremoji", "apple color emoji", "seguiemj", "notoemoji", "symbola", "dejavusans.", "arialuni"),
)
"""Beginnings of file names, the best first. Other fonts come after these, in the order of their names."""

MOST_FILES: Final = 400
"""Fonts that are tried for a letter, at most."""

BITMAP_SIZES: Final = (109, 136, 128, 160, 96, 64)
"""Sizes in pixels at which fonts of colored bitmaps exist."""

Ink = tuple[int, int, int]


class Face(NamedTuple):
    """A font, and the factor by which its letters are scaled to the wanted size (1 except for bitmap fonts)."""

    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    scale: float = 1.0


class GlyphRun(NamedTuple):
    """A part of a line in one font; ``missing`` where no font has its letters."""

    text: str
    face: Face
    missing: bool


def length(text: str, size: int) -> float:
    """Width of a line in pixels."""
    return sum((run.face.font.getlength(run.text) * run.face.scale for run in runs(text, size)), 0.0)


def fit(text: str, size: int, width: int) -> str:
    """A line that is at most ``width`` pixels wide; a longer one is cut, and ends with an ellipsis."""
    text = printable(text)
    if length(text, size) <= width:
        return text
    low, high = 0, len(text)  # the longest beginning that fits lies between them
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle] + "…", size) <= width else (low, middle - 1)
    return text[:low] + "…"


def draw(canvas: Image.Image, at: tuple[int, int], text: str, *, size: int, fill: Ink) -> None:
    """Draw a line with its upper left corner at ``at``. The log says once of each script that no font has it."""
    left, top = float(at[0]), at[1]
    for run in runs(text, size):
        if run.missing:
            for script in sorted({_script(letter) for letter in run.text}):
                note_missing(script)
        if run.face.scale == 1:
            ImageDraw.Draw(canvas).text((left, top), run.text, fill=fill, font=run.face.font)
        else:
            _draw_scaled(canvas, (round(left), round(top)), run, size)
        left += run.face.font.getlength(run.text) * run.face.scale


@functools.lru_cache(maxsize=256)
def note_missing(script: str) -> None:
    """Say in the log that a picture shows boxes in the place of a script; once a process."""
    log.warning(
        "no font for %s was found, and the picture shows boxes in its place; install one, for instance Noto Sans CJK "
        "(Japanese, Chinese, Korean), Noto Sans Thai or Noto Color Emoji",
        script,
    )


def missing_scripts(texts: Iterable[str]) -> list[str]:
    """Names of the scripts for which no font was found, in alphabetical order."""
    letters = {letter for text in texts for run in runs(printable(text), 12) if run.missing for letter in run.text}
    return sorted({_script(letter) for letter in letters})


def runs(text: str, size: int) -> Iterator[GlyphRun]:
    """A line cut where the font changes."""
    for (face, missing), letters in groupby(text, key=lambda letter: _face(letter, size)):
        yield GlyphRun("".join(letters), face, missing)


@functools.lru_cache(maxsize=8192)
def _face(letter: str, size: int) -> tuple[Face, bool]:
    """The font of a letter, and whether it lacks the letter."""
    default = _default(size)
    if letter in "\u200d\ufe0f" or unicodedata.category(letter) == "Zs" or _covers(default, letter):
        return default, False
    for path in font_files():
        face = _open(path, size)
        if face is not None and _covers(face, letter):
            return face, False
    return default, True


@functools.lru_cache(maxsize=16)
def _default(size: int) -> Face:
    return Face(ImageFont.load_default(size=size))


@functools.lru_cache(maxsize=1)
def font_files() -> tuple[Path, ...]:
    """Font files of the system, the preferred ones first."""
    folders = FOLDERS.get(sys.platform, FOLDERS["linux"])
    found = (
        Path(folder, name)
        for root in folders
        for folder, _, names in os.walk(os.path.expanduser(root))
        for name in names
        if name.lower().endswith((".ttf", ".otf", ".ttc"))
    )
    return tuple(sorted(found, key=_preference)[:MOST_FILES])


def _preference(path: Path) -> tuple[int, bool, str]:
    name = path.name.lower()
    rank = next((place for place, start in enumerate(PREFERRED) if name.startswith(start)), len(PREFERRED))
    return rank, "regular" not in name, name


@functools.lru_cache(maxsize=4 * MOST_FILES)
def _open(path: Path, size: int) -> Face | None:
    """A font at a size; a font of bitmaps at the nearest size it has. None where it cannot be opened."""
    for tried in (size, *BITMAP_SIZES):
        try:
            return Face(ImageFont.truetype(str(path), tried), size / tried)
        except OSError:
            continue  # not this size, or no font at all
    return None


def _covers(face: Face, letter: str) -> bool:
    """Whether a font has a letter: it draws something other than the box for letters that it lacks."""
    mask, box = (bytes(face.font.getmask(text, mode="L")) for text in (letter, "\U0010ffff"))
    return any(mask) and mask != box


def _draw_scaled(canvas: Image.Image, at: tuple[int, int], run: GlyphRun, size: int) -> None:
    font = run.face.font
    _, _, right, bottom = (round(side) for side in font.getbbox(run.text))
    layer = Image.new("RGBA", (max(1, right), max(1, bottom)), (0, 0, 0, 0))
    ImageDraw.Draw(layer).text((0, 0), run.text, font=font, embedded_color=True)
    scaled = layer.resize((max(1, round(layer.width * run.face.scale)), max(1, round(layer.height * run.face.scale))))
    canvas.paste(scaled, at, scaled)


def _script(letter: str) -> str:
    word = unicodedata.name(letter, "unknown").split()[0].title()
    if unicodedata.category(letter) == "So":
        return "emoji"
    return {"Cjk": "Chinese characters"}.get(word, word)
