"""What templates show: records turned into words, addresses and numbers, with nothing left to compute in HTML."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from osoroi.catalog import Facet, StoredProduct
from osoroi.catalog.filters import PREFIX
from osoroi.records import Hit, Product
from osoroi.server.pages.colors import name_of
from osoroi.server.pages.i18n import PageTexts, money, named
from osoroi.server.pages.outfit import kind_name, plural_of
from osoroi.server.pages.url_state import OWN, UrlState
from osoroi.server.prefix import photo_url

SHOTS = 4
"""Photos of one product that a card shows."""

FILTERS = 30
"""Columns to filter by that a page shows; those with a chosen value are always there."""
OPTIONS = 100
"""Values of one column that a page shows; chosen ones are always there."""

SIZE_LETTERS = re.compile(r"(?:(\d)X|(X{0,5}))([SL])|(M)")
SIZE_NUMBER = re.compile(r"\d{1,4}(?:[.,]\d{1,2})?")
SIZES_OF_ALL = frozenset({"F", "FREE", "FREE SIZE", "ONE SIZE", "OS", "フリー", "フリーサイズ"})
"""Sizes for everybody, which stand after the others."""


class Bar(NamedTuple):
    """How much one part agreed: a cosine from 0 to 1, and as a whole number of hundredths."""

    name: str
    share: float
    percent: int


@dataclass(frozen=True)
class Card:
    """One product on the page."""

    product_id: str
    crop_id: str
    title: str
    price: str
    brand: str
    url: str | None
    like: str
    shots: tuple[str, ...]
    bars: tuple[Bar, ...]
    other_kind: bool


@dataclass(frozen=True)
class Option:
    """One value to filter by."""

    field: str
    value: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class FilterControl:
    """One column to filter by."""

    name: str
    label: str
    kind: str
    options: tuple[Option, ...]
    least: str
    most: str


def safe_url(url: str | None) -> str | None:
    """A product's address if it is one that a browser may follow; ``javascript:`` and the like are not.

    >>> safe_url("https://shop.example/p/1"), safe_url("javascript:alert(1)"), safe_url("//evil.example")
    ('https://shop.example/p/1', None, None)
    """
    if url is None or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme.lower() in ("http", "https") and parts.netloc else None


def like_address(product_id: str, state: UrlState) -> str:
    """The page that searches with a product: filters and language stay, what belongs to the query before it goes."""
    nothing: dict[str, None] = dict.fromkeys(("crop_id", "text", "box", "garment", "detail_from", "detail_box"))
    return state.address(product_id=product_id, every_garment=False, k=UrlState.k, **nothing)


def cards(
    results: Sequence[Hit | Product], stored: Mapping[str, StoredProduct], state: UrlState, words: PageTexts, lang: str
) -> list[Card]:
    """Cards for hits, or for products without a search; those removed since are left out."""
    made = []
    for result in results:
        product = result.product if isinstance(result, Hit) else result
        if product.product_id in stored:
            made.append(_card(result, product, stored[product.product_id], state, words, lang))
    return made


def _card(
    result: Hit | Product, product: Product, stored: StoredProduct, state: UrlState, words: PageTexts, lang: str
) -> Card:
    ids = [crop.crop_id for crop in stored.crops]
    best = result.crop_id if isinstance(result, Hit) and result.crop_id in ids else ids[0]
    shown = [best, *(other for other in ids if other != best)]
    return Card(
        product_id=product.product_id,
        crop_id=best,
        title=product.title or product.product_id,
        price=money(product.price, product.currency, lang),
        brand=product.brand or "",
        url=safe_url(product.url),
        like=like_address(product.product_id, state),
        shots=tuple(photo_url(state.root_path, crop_id) for crop_id in shown[:SHOTS]),
        bars=tuple(_bar(name, cosine, words) for name, cosine in result.parts.items())
        if isinstance(result, Hit)
        else (),
        other_kind=isinstance(result, Hit) and result.other_kind,
    )


def lacking(kind: str | None, made: Sequence[Card], state: UrlState, words: PageTexts, lang: str) -> str:
    """That the shop has nothing of the kind that is searched for, where its list begins with other kinds; else empty.

    >>> from osoroi.server.pages.i18n import words
    >>> other = Card("a", "a/1", "", "", "", None, "", (), (), other_kind=True)
    >>> lacking("scarf", [other], UrlState(), words("en"), "en")
    'The shop has no scarves.'
    """
    if kind in (None, "other") or not made or not made[0].other_kind:
        return ""
    assert kind is not None
    name = kind_name(kind, lang) if lang == "ja" else plural_of(kind)
    return words["lacks_filtered" if state.filters else "lacks"].format(kind=name)


def kind_of_words(state: UrlState) -> str | None:
    """The kind that the words of a search name, or None."""
    if state.text is None:
        return None
    from osoroi.words.search import understood as understood_words

    return understood_words(state.text).kind


def understood(state: UrlState, words: PageTexts, lang: str) -> list[tuple[str, str]]:
    """What was understood of the words of a search, each with its label; nothing where there are none."""
    if state.text is None:
        return []
    from osoroi.words.reading import pattern_name
    from osoroi.words.search import understood as understood_words

    read = understood_words(state.text, color=state.detail_from)
    names = [name_of(color, lang) if color.startswith("#") else color for color in read.colors]
    facts = (
        ("kind_short", kind_name(read.kind, lang) if read.kind else ""),
        ("color", ", ".join(names)),
        ("pattern", pattern_name(read.pattern, lang) if read.pattern else ""),
        ("in_titles", " ".join(read.rest)),
    )
    return [(words[label], text) for label, text in facts if text]


def _bar(name: str, cosine: float, words: PageTexts) -> Bar:
    share = min(1.0, max(0.0, cosine))
    short = {"deep": words["shape_short"], "detail": words["detail_short"], "kind": words["kind_short"]}.get(
        name, words["match"].lower()
    )
    return Bar(short, share, round(100 * share))


def filters(facets: Sequence[Facet], state: UrlState, words: PageTexts, lang: str) -> list[FilterControl]:
    """The columns to filter by, with what is chosen: sizes in their order, and no column of dates, of which none is
    chosen by a tick."""
    shown = []
    for facet in facets:
        plain = facet.column in ("category", "brand", "price")
        name = facet.column.removeprefix(PREFIX)
        chosen = state.choices.get(facet.column, ())
        if not plain and not chosen and are_moments(choice.value for choice in facet.choices):
            continue
        order = ordered_options(choice.value for choice in facet.choices) if not plain else []
        choices = sorted(facet.choices, key=lambda choice: order.index(choice.value)) if order else facet.choices
        written = [("yes" if value else "no") if isinstance(value, bool) else value for value in chosen]
        options = tuple(
            Option(
                field=name if plain else OWN + name,
                value=choice.value,
                label=_label(facet, choice.value, words, lang),
                count=choice.products,
                chosen=choice.value in written,
            )
            for place, choice in enumerate(choices)
            if (place < OPTIONS or choice.value in written) and not (facet.kind == "flag" and choice.value == "no")
        )
        label = words[name] if plain else named(name, lang)
        least, most = (f"{value:.0f}" if value is not None else "" for value in (facet.least, facet.most))
        shown.append(FilterControl(name, label, facet.kind, options, least, most))
    useful = [filter_ for filter_ in shown if filter_.kind == "range" or filter_.options]
    return [
        filter_
        for place, filter_ in enumerate(useful)
        if place < FILTERS or any(option.chosen for option in filter_.options)
    ]


def _label(facet: Facet, value: str, words: PageTexts, lang: str) -> str:
    if facet.kind == "flag":
        return named(facet.column.removeprefix(PREFIX), lang)
    return value if facet.column == "brand" else named(value, lang)


def size_key(value: str) -> tuple[int, float] | None:
    """Where a size stands among others, letters before numbers; None for what is no size.

    >>> sorted(["XL", "M", "2XL", "38", "XS", "36,5", "S"], key=size_key)
    ['XS', 'S', 'M', 'XL', '2XL', '36,5', '38']
    """
    name = value.strip().upper()
    if name in SIZES_OF_ALL:
        return 2, 0.0
    if match := SIZE_LETTERS.fullmatch(name):
        many, crosses, end, _ = match.groups()
        far = 1 + int(many or len(crosses or "")) if end else 0
        return 0, float(-far if end == "S" else far)
    return (1, float(name.replace(",", "."))) if SIZE_NUMBER.fullmatch(name) else None


def ordered_options(values: Iterable[str]) -> list[str]:
    """Values in their order: by size where all are sizes, otherwise as they came.

    >>> ordered_options(["L", "M", "S", "Free"]), ordered_options(["red", "M", "blue"])
    (['S', 'M', 'L', 'Free'], ['red', 'M', 'blue'])
    """
    values = list(values)
    keys = {value: size_key(value) for value in values}
    sizes = [(key, value) for value, key in keys.items() if key is not None]
    return [value for _, value in sorted(sizes)] if len(sizes) == len(values) else values


def are_moments(values: Iterable[str]) -> bool:
    """Whether all values are dates or times, of which each product has its own: nothing to tick.

    >>> are_moments(["2026-01-01T09:00:00+00:00", "2026-02-03"]), are_moments(["2026", "38"]), are_moments([])
    (True, False, False)
    """
    values = list(values)
    return bool(values) and all(_is_moment(value) for value in values)


def _is_moment(value: str) -> bool:
    if not re.match(r"\d{4}-\d\d-\d\d", value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
