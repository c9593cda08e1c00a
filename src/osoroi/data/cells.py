"""What the cells of a column hold: numbers, flags, dates, lists or text; decided for a whole column, not for a cell."""

import re
from dataclasses import dataclass, field

from osoroi import files
from osoroi.data.headers import SIZES, plain
from osoroi.records import Scalar, Value

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

LONGEST_VALUE = 40
"""Letters of one value of a list at most; what is longer is a sentence with commas."""

HALF = re.compile(r"\s*\d+,5\s*")
"""``36,5``: a size with a fraction, not two sizes."""

YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})")
DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")

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
    """
    if ISO.fullmatch(text):
        return text.replace(" ", "T", 1)
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
    """The values of an array of JSON as text; None where the cell is none."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        array = files.from_json(text)
    except ValueError:
        return None
    if not isinstance(array, list) or not all(isinstance(one, str | int | float) for one in array):
        return None
    return list(dict.fromkeys(str(one).strip() for one in array))


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
    separators: dict[str, int] = field(default_factory=dict)
    halves: int = 0
    long: bool = False
    elements: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)

    def see(self, value: Value) -> None:
        """Take note of one cell."""
        if value is None:
            return
        self.filled += 1
        if len(self.examples) < 3 and (shown := str(value)[:200]) not in self.examples:
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
        self.dates += iso_date(text) is not None
        self.halves += HALF.fullmatch(text) is not None
        array = json_array(text)
        separator = "json" if array is not None else next((sign for sign in SEPARATORS if sign in text), "")
        if not separator:
            return False
        parts = split_list(text, separator)
        self.separators[separator] = self.separators.get(separator, 0) + 1
        self.long |= separator != "json" and max(map(len, parts), default=0) > LONGEST_VALUE
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
