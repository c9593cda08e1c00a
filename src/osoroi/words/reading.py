"""A text in English or Japanese -> kind, colours and pattern of what somebody wants. The vocabulary, synonyms too, is
in this file, ``garments.kinds`` and in ``image.swatch``; what no table knows stays for the full-text search."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Final

import numpy as np
from PIL import ImageColor

from osoroi.garments.kinds import read_category, without_kinds
from osoroi.image.palette import oklab
from osoroi.image.swatch import FASHION, JAPANESE, parse
from osoroi.records import Product

PATTERNS: Final[dict[str, tuple[str, ...]]] = {
    "plain": ("plain", "solid", "unpatterned", "無地"),
    "striped": ("striped", "stripes", "stripe", "breton", "pinstripe", "pinstripes", "pinstriped", "ストライプ",
                "ボーダー", "縞"),
    "checked": ("checked", "check", "checks", "checkered", "plaid", "tartan", "gingham", "チェック", "ギンガム",
                "ギンガムチェック", "格子"),
    "floral": ("floral", "flowers", "flower", "flowery", "botanical", "花柄", "フラワー", "ボタニカル"),
    "dotted": ("dotted", "dots", "dot", "polka", "ドット", "水玉"),
    "printed": ("printed", "print", "graphic", "logo", "プリント", "ロゴ"),
    "two-tone": ("two-tone", "colour-block", "color-block", "バイカラー", "切替", "切り替え"),
    "leopard": ("leopard", "animal", "zebra", "レオパード", "ヒョウ柄", "豹柄", "アニマル"),
    "camouflage": ("camouflage", "camo", "迷彩", "カモフラ"),
}  # fmt: skip
"""Pattern -> the words for it in English and Japanese."""

NO_COLOR: Final = frozenset({"linen", "snow", "peru", "moccasin", "thistle", "wheat", "bisque", "seashell", "tan line"})
"""Names of CSS colours that in a shop mean a material, a pattern or a shoe."""

ADJECTIVES: Final = {"赤い": "赤", "青い": "青", "白い": "白", "黒い": "黒", "黄色い": "黄色", "茶色い": "茶色"}

COMPOUNDS: Final = {
    "navy blue": "navy", "off white": "off-white", "olive green": "olive", "mint green": "mint", "wine red": "wine",
    "emerald green": "emerald", "khaki green": "khaki", "charcoal grey": "charcoal", "charcoal gray": "charcoal",
    "camel brown": "camel", "mustard yellow": "mustard", "burgundy red": "burgundy", "cream white": "cream",
}  # fmt: skip
"""Two words for one colour, and its name."""

SHADES: Final = ("light", "dark", "pale", "medium", "deep", "hot", "forest", "lime")
"""First words of names of CSS that people write apart, as in dark blue."""

FILLERS: Final = frozenset(
    ["a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "i", "in", "is", "it", "its", "me", "my",
     "of", "on", "or", "some", "that", "the", "these", "this", "those", "to", "which", "with"]
)  # fmt: skip
"""Words that are in no title for a reason."""

PARTICLE: Final = re.compile("[ぁ-ん]{1,2}")
"""Japanese words of grammar alone, such as な, で and から."""

PLAIN: Final = "grey"
"""The colour of a query by words that name none; it does not count."""

ACCENTS: Final = re.compile("[\u0300-\u036f]")
"""Accents of Latin letters, as they stand after the letter in decomposed text."""

REMEMBERED: Final = 10_000
"""Number of texts whose reading is kept: the titles of a shop are read for every query by words."""

COLOR_AND_PATTERN: Final = ("colour", "color", "カラー", "色", "pattern", "appearance", "柄")
"""What is in the names of columns in which a shop states how a product looks."""

CLOTH: Final = ("material", "fabric", "素材", "生地")
"""What is in the names of columns for what a product is made of; their denim and camel are no colours."""

FAR: Final = 0.3
"""Distance in Oklab from which two colours have nothing in common; navy is 0.22 from blue and 0.35 from grey."""

LATIN: Final = re.compile(r"[a-z0-9#]+(?:[-'][a-z0-9]+)*")


@dataclass(frozen=True)
class Words:
    """What was understood of a text: each is None or empty where the text does not say it. ``rest`` are the words that
    say nothing of these; titles are searched for all words."""

    text: str
    kind: str | None = None
    colors: tuple[str, ...] = ()
    pattern: str | None = None
    rest: tuple[str, ...] = ()

    def color_of_query(self, *, alone: bool) -> str | None:
        """The colour that the words bring into a vector: their first, or a plain one where there is no photo."""
        return self.colors[0] if self.colors else PLAIN if alone else None

    @property
    def is_unwanted_alone(self) -> bool:
        """Whether the text says what is not wanted, and nothing else."""
        plain = folded(self.text)
        return not (self.kind or self.colors or self.pattern or self.rest) and wanted(plain) != plain

    def __str__(self) -> str:
        """What people are shown."""
        understood = [
            f"kind {self.kind}" if self.kind else "",
            f"colour {' and '.join(self.colors)}" if self.colors else "",
            f"pattern {self.pattern}" if self.pattern else "",
            f"in titles {' '.join(self.rest)}" if self.rest else "",
        ]
        return ", ".join(filter(None, understood)) or "nothing"


def read(text: str) -> Words:
    """What a text says. Upper case and width make no difference; of several kinds and patterns the last counts.

    >>> read("Red floral wool dress")
    Words(text='Red floral wool dress', kind='dress', colors=('red',), pattern='floral', rest=('wool',))
    >>> str(read("紺のボーダーTシャツ"))
    'kind top, colour 紺, pattern striped'
    >>> str(read("something nice"))
    'in titles something nice'
    """
    return _read(text)


def stated(product: Product) -> Words:
    """What a product says of itself: kind, colours and pattern by its title, and its look by its own columns too.

    >>> said = stated(Product("a", "Midi dress", attributes={"Colour": "Navy", "Pattern": "Floral"}))
    >>> said.kind, said.colors, said.pattern
    ('dress', ('navy',), 'floral')
    """
    title, columns = read(product.title), in_columns(product, COLOR_AND_PATTERN)
    return replace(read(", ".join((product.title, *columns))), kind=title.kind) if columns else title


def in_columns(product: Product, names: tuple[str, ...]) -> list[str]:
    """Texts of a product's own columns that have one of ``names`` in theirs."""
    values = [value for name, value in product.attributes.items() if _is_one_of(name, names)]
    each = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return [one for one in each if isinstance(one, str)]


@lru_cache(maxsize=REMEMBERED)
def _is_one_of(column: str, names: tuple[str, ...]) -> bool:
    return any(name in folded(column) for name in names)


@lru_cache(maxsize=REMEMBERED)
def _read(text: str) -> Words:
    plain = wanted(folded(text))
    kind, colors, pattern = _kind(plain), tuple(colors_of(plain)), [name for _, name in sorted(_patterns(plain))]
    return Words(text, kind, colors, pattern[-1] if pattern else None, tuple(_rest(plain, kind, colors)))


def folded(text: str) -> str:
    """A text in which width, case and accents make no difference; the marks of kana stay.

    >>> folded("Crème ＴＯＰ"), folded("ｽｶｰﾄ ドット")
    ('creme top', 'スカート ドット')
    """
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text)).casefold()
    return unicodedata.normalize("NFKC", ACCENTS.sub("", parts))


def _rest(plain: str, kind: str | None, colors: Iterable[str]) -> Iterator[str]:
    """Words that say nothing of kind, colour and pattern, in a normalised text."""
    left = _joined(without_kinds(plain) if kind else plain)
    for name in sorted((*colors, *(word for words in PATTERNS.values() for word in words)), key=len, reverse=True):
        if name in left:
            left = re.sub(_expression(name), " ", left)
    words = [word for word in LATIN.findall(left) if word not in FILLERS]
    yield from dict.fromkeys([*words, *(run for run in runs(left) if not PARTICLE.fullmatch(run))])


def runs(text: str) -> list[str]:
    """Runs of letters that are not Latin, cut at spaces and at the particle の."""
    return "".join(each if each.isalnum() and not each.isascii() and each != "の" else " " for each in text).split()


def _expression(word: str) -> str:
    """A pattern for a word: an English one as a whole word, a Japanese one anywhere."""
    return rf"(?<![a-z]){re.escape(word)}(?![a-z])" if word.isascii() else re.escape(word)


def _kind(plain: str) -> str | None:
    """The kind that a text names: of its end first, then of all of it without what stands behind a preposition."""
    return read_category(re.split(r"\b(?:with|for|in|and|&)\b", plain)[0]) or read_category(plain)


def colors_of(plain: str) -> Iterator[str]:
    """Names of colours in a normalised text, longest first where they overlap, in their order."""
    rest = _joined(plain)
    found_at: list[tuple[int, str]] = []
    for name in _names():
        if name not in rest:  # hundreds of names: a text has few
            continue
        expression = _expression(name)
        for match in re.finditer(expression, rest):
            found_at.append((match.start(), name))
        rest = re.sub(expression, lambda match: " " * len(match.group()), rest)
    yield from dict.fromkeys(name for _, name in sorted(found_at))


def wanted(plain: str) -> str:
    """A normalised text without colours and patterns that it says are not wanted.

    >>> wanted("a dress without flowers, not black").split(), wanted("黒以外のコート")
    (['a', 'dress', ','], ' のコート')
    """
    return _unwanted().sub(" ", plain)


@cache
def _unwanted() -> re.Pattern[str]:
    words = {*_names(), *COMPOUNDS, *(word for words in PATTERNS.values() for word in words)}
    ordered = sorted(words, key=lambda word: (-len(word), word))
    latin = "|".join(re.escape(word) for word in ordered if word.isascii())
    other = "|".join(re.escape(word) for word in ordered if not word.isascii())
    before = r"\b(?:without|not|no|non)[ -](?:(?:an?|any|the|in) )?"
    after = "(?:以外|なし|無し|じゃない|ではない|[のが]ない)"
    return re.compile(f"{before}(?:{latin})(?![a-z])|(?:{other}){after}")


def _joined(plain: str) -> str:
    """A normalised text with adjectives and compounds of colours as the colour's name."""
    for adjective, name in ADJECTIVES.items():
        plain = plain.replace(adjective, name)
    for compound, name in COMPOUNDS.items():
        if compound in plain:
            plain = re.sub(_expression(compound), name, plain)
    return plain


def _patterns(plain: str) -> Iterator[tuple[int, str]]:
    for name, words in PATTERNS.items():
        for word in (word for word in words if word in plain):
            yield from ((match.start(), name) for match in re.finditer(_expression(word), plain))


@cache
def _names() -> tuple[str, ...]:
    """All names of colours, the longest first."""
    css = ImageColor.colormap
    apart = {f"{shade} {name}" for shade in SHADES for name in css if shade + name in css}
    names = {*FASHION, *JAPANESE, *css, *apart} - NO_COLOR
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


def pattern_name(pattern: str, lang: str) -> str:
    """The name of a pattern for people.

    >>> pattern_name("striped", "en"), pattern_name("striped", "ja")
    ('striped', 'ストライプ')
    """
    return next(word for word in PATTERNS[pattern] if not word.isascii()) if lang == "ja" else pattern


@lru_cache(maxsize=REMEMBERED)
def nearness(one: str, other: str) -> float:
    """How near two names of colours are: 1 for the same by ``same_color``, else at most 0.5, and 0 far apart, by the
    distance of their swatches in Oklab.

    >>> nearness("navy", "紺"), round(nearness("navy", "blue"), 2), nearness("navy", "grey"), nearness("red", "navy")
    (1.0, 0.14, 0.0, 0.0)
    """
    if same_color(one, other):
        return 1.0
    first, second = oklab(np.array([parse(one), parse(other)], np.float64))
    return 0.5 * max(0.0, 1 - float(np.linalg.norm(first - second)) / FAR)


def same_color(one: str, other: str) -> bool:
    """Whether two names mean the same colour or nearly so: less than 40 of 255 apart in each of red, green and blue.

    >>> same_color("navy", "紺"), same_color("wine", "burgundy"), same_color("red", "navy"), same_color("navy", "black")
    (True, True, False, False)
    """
    return all(abs(a - b) < 40 for a, b in zip(parse(one), parse(other), strict=True))
