"""What the cells of a column hold: numbers, flags, dates, lists or text; decided for a whole column, not for a cell."""

import ast
import re
from dataclasses import dataclass, field

from osoroi import files
from osoroi.data.headers import SIZES, plain
from osoroi.records import ISO, NO_ZONE, Scalar, Value, zone_of

PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
"""A number as a table writes it. ``007`` and ``1e5`` are names of something, and stay text."""

EXACT_DIGITS = 15
"""Digits that a float holds whatever they are. Longer numbers stay text."""

LISTS = frozenset(
    [
        "colors",
        "colours",
        "tags",
        "keywords",
        "labels",
        "materials",
        "collections",
        "farben",
        "farbe_liste",
        "couleurs",
        "étiquettes",
        "colores",
        "etiquetas",
        "colori",
        "カラー",
        "色",
        "タグ",
        "キーワード",
        "素材",
        "颜色",
        "标签",
    ]
)
"""Columns beside those of sizes whose cells may be lists by commas."""

SEPARATORS = ("|", ";", "、", "\n", ",")
"""Signs between the values of a list, the surest first."""

ADDRESSES = ("src", "url", "href", "link", "path", "file")
"""Where objects that describe photos name them."""

LONGEST_LIST = 1 << 16
"""Letters of a list as Python prints it, at most."""

LONGEST_VALUE = 40
"""Letters of one value of a list at most; what is longer is a sentence with commas."""

HALF = re.compile(r"\s*\d+,5\s*")
"""``36,5``: a size with a fraction, not two sizes."""

YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})")
DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
PHOTO = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|avif|gif|bmp|tiff?|hei[cf])(\?\S*)?", re.IGNORECASE)
LINK = re.compile(r"(?:https?:)?//", re.IGNORECASE)


def attribute(value: Value) -> Value:
    """Text of a table as the number or the boolean it writes.

    >>> [attribute(text) for text in ("12.50", "TRUE", "007", "M", None)]
    [12.5, True, '007', 'M', None]
    """
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    plain_ = PLAIN.fullmatch(value) and sum(letter.isdecimal() for letter in value) <= EXACT_DIGITS
    return float(value) if plain_ and value.isascii() else value


def iso_date(text: str) -> str | None:
    """A date of ``2026/1/31``, ``31.01.2026`` or ISO 8601 as ISO 8601; None for anything else.

    ``01/02/2026`` may be January or February, so it is no date here.

    >>> iso_date("2026/1/31"), iso_date("31.01.2026"), iso_date("01/02/2026"), iso_date("31.13.2026")
    ('2026-01-31', '2026-01-31', None, None)
    >>> iso_date("2026-01-31 10:00"), iso_date("2026-01-31T10:00 JST")
    ('2026-01-31T10:00', '2026-01-31T10:00 JST')
    """
    if ISO.fullmatch(text):
        return f"{text[:10]}T{text[11:]}" if text[10:] else text
    year_first, day_first = YEAR_FIRST.fullmatch(text), DAY_FIRST.fullmatch(text)
    if year_first:
        year, month, day = year_first.groups()
    elif day_first:
        day, month, year = day_first.groups()
    else:
        return None
    return f"{year}-{int(month):02}-{int(day):02}" if 1 <= int(month) <= 12 and 1 <= int(day) <= 31 else None


def split_list(text: str, separator: str) -> list[str]:
    """The values of a cell, in order, each once. ``json`` is an array of JSON.

    >>> split_list("S, M,L,", ","), split_list('["red", "navy"]', "json")
    (['S', 'M', 'L'], ['red', 'navy'])
    """
    array = json_array(text)
    if array is not None:
        return array
    parts = [text] if separator in ("", "json") else text.split(separator)
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def json_array(text: str) -> list[str] | None:
    """The values of an array of JSON, or of a list as Python prints it, as text; None where the cell is none.

    Of objects it is their address, as in ``[{"src": "a.jpg"}]``.

    >>> json_array('["S", "M"]'), json_array("['a.jpg', 'b.jpg']"), json_array('[{"src": "a.jpg", "alt": ""}]')
    (['S', 'M'], ['a.jpg', 'b.jpg'], ['a.jpg'])
    """
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        array = files.from_json(text)
    except ValueError:
        array = _python_list(text)
    if not isinstance(array, list):
        return None
    each = [_address(one) if isinstance(one, dict) else one for one in array]
    if not all(isinstance(one, str | int | float) for one in each):
        return None
    return list(dict.fromkeys(str(one).strip() for one in each))


def _python_list(text: str) -> object:
    """A list as Python prints it; None where it is none."""
    try:
        return ast.literal_eval(text) if len(text) <= LONGEST_LIST else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _address(photo: dict[str, object]) -> object:
    return next((photo[key] for key in ADDRESSES if key in photo), None)


def photos_in(cell: Value) -> list[str]:
    """The photos of a cell: links apart wherever the next one begins, paths where each part names a photo.

    >>> photos_in("https://x.example/a,b.jpg, https://x.example/c.jpg"), photos_in("a.jpg|b 2.jpg")
    (['https://x.example/a,b.jpg', 'https://x.example/c.jpg'], ['a.jpg', 'b 2.jpg'])
    >>> photos_in("a, b.jpg")
    ['a, b.jpg']
    """
    if cell is None:
        return []
    if isinstance(cell, tuple):
        return list(dict.fromkeys(one for each in cell for one in photos_in(each)))
    text = str(cell)
    array = json_array(text)
    if array is not None:
        return array
    if LINK.match(text):
        text = text.replace("&amp;", "&")
        return list(dict.fromkeys(re.split(r"[\s,;|]+(?=(?:https?:)?//)", text.rstrip(" ,;|"))))
    for separator in SEPARATORS:
        parts = [part.strip() for part in text.split(separator)]
        filled = [part for part in parts if part]
        if len(parts) > 1 and all(map(_ends_as_photo, filled)):
            return list(dict.fromkeys(filled))
    return [text]


def _ends_as_photo(part: str) -> bool:
    """Whether the first suffix of a photo in a text is its end."""
    suffix = PHOTO.search(part)
    return suffix is not None and suffix.end() == len(part)


@dataclass
class Cells:
    """What was seen in a column: the kinds of its cells, whether they are dates or lists, and examples."""

    header: str
    kinds: set[str] = field(default_factory=set)
    filled: int = 0
    dates: int = 0
    zones: set[str] = field(default_factory=set)
    separators: dict[str, int] = field(default_factory=dict)
    halves: int = 0
    slashed: int = 0
    long: bool = False
    elements: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)

    def see(self, value: Value) -> None:
        """Take note of one cell."""
        if value is None:
            return
        self.filled += 1
        if (
            len(self.examples) < 3
            and (shown := (str(value) if isinstance(value, tuple) else as_text(value))[:200]) not in self.examples
        ):
            self.examples.append(shown)
        if isinstance(value, tuple):
            self.kinds.add("list")
            self.elements.update(kind_of(attribute(one)) for one in value)
            return
        kind = kind_of(attribute(value))
        self.kinds.add(kind)
        if not isinstance(value, str) or value.isalnum() or not self._see_text(value):
            self.elements.add(kind)

    def _see_text(self, text: str) -> bool:
        """Take note of a cell with signs; whether it may be a list."""
        if iso_date(text) is not None:
            self.dates += 1
            if (zone := zone_of(text)) is not None:
                self.zones.add(zone)
        self.halves += HALF.fullmatch(text) is not None
        array = json_array(text)
        separator = "json" if array is not None else next((sign for sign in SEPARATORS if sign in text), "")
        if not separator:
            return "/" in text and self._see_slashes(text)
        parts = split_list(text, separator)
        self.separators[separator] = self.separators.get(separator, 0) + 1
        self.long |= separator != "json" and max(map(len, parts), default=0) > LONGEST_VALUE
        self.elements.update(kind_of(attribute(part)) for part in parts)
        return True

    def _see_slashes(self, text: str) -> bool:
        """Take note of a cell like ``S/M/L``; one like ``S/M`` may be a size between two."""
        if not self.is_size:
            return False
        parts = split_list(text, "/")
        self.slashed = max(self.slashed, len(parts))
        self.elements.update(kind_of(attribute(part)) for part in parts)
        return True

    @property
    def is_size(self) -> bool:
        """Whether the column is one of sizes, by its header."""
        return plain(self.header) in SIZES

    def separator(self) -> str:
        """The sign between the values of a list; empty where the column is none."""
        if "json" in self.separators:
            return "json"
        if self.is_size and not self.separators and self.slashed > 2:
            return "/"
        if not (self.is_size or plain(self.header) in LISTS) or self.long or not self.separators:
            return ""
        best = max(self.separators, key=lambda sign: (self.separators[sign], -SEPARATORS.index(sign)))
        return "" if best == "," and self.halves >= self.separators[","] else best

    def has_numbers(self) -> bool:
        """Whether every value of a list is a number."""
        return self.elements == {"number"}

    def is_date(self) -> bool:
        """Whether every filled cell is a date that can be read one way only."""
        return self.dates == self.filled > 0 and "text" in self.kinds

    def has_zones(self) -> bool:
        """Whether every filled cell is a date, and every time has a time zone that can be read."""
        return self.is_date() and bool(self.zones) and NO_ZONE not in self.zones

    def zone_note(self) -> list[str]:
        """What is said of a column of times in other time zones than UTC."""
        zones = sorted(self.zones - {NO_ZONE})
        if zones and NO_ZONE in self.zones:
            return [
                f"`{self.header}`: some times are in {', '.join(zones)}, and read as UTC; others state no time zone, "
                "and are compared as they are written, so give all of them one"
            ]
        if zones in ([], ["+00:00"]):
            return []
        several = "several time zones " if len(zones) > 1 else "the time zone "
        return [f"`{self.header}`: times in {several}({', '.join(zones)}) are read as UTC"]

    def is_text(self) -> bool:
        """Whether cells are text in every line: one is, or kinds are mixed."""
        return len(self.kinds) > 1 or "text" in self.kinds


def kind_of(value: Value) -> str:
    """``text``, ``number`` or ``flag``."""
    return "flag" if isinstance(value, bool) else "number" if isinstance(value, float) else "text"


def listed(value: Value, separator: str, *, numbers: bool) -> Value:
    """A cell as a list of its values.

    >>> listed("36|38", "|", numbers=True), listed("M", ",", numbers=False), listed(None, ",", numbers=False)
    ((36.0, 38.0), ('M',), None)
    """
    if value is None:
        return None
    parts: list[Scalar] = []
    for one in value if isinstance(value, tuple) else (value,):
        parts += split_list(one, separator) if isinstance(one, str) else [one]
    typed = [attribute(part) if numbers else as_text(part) for part in parts]
    return tuple(dict.fromkeys(one for one in typed if one is not None and not isinstance(one, tuple))) or None


def as_text(value: Scalar) -> str:
    """A value as a person would write it.

    >>> as_text(7.0), as_text(True), as_text("M")
    ('7', 'true', 'M')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else repr(value)
    return value
