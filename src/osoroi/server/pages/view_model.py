"""What templates show: records turned into words, addresses and numbers, with nothing left to compute in HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from osoroi.catalog import Facet, StoredProduct
from osoroi.catalog.filters import PREFIX
from osoroi.records import Hit, Product
from osoroi.server.pages.colors import name_of
from osoroi.server.pages.i18n import Words, money, named
from osoroi.server.pages.outfit import kind_name
from osoroi.server.pages.url_state import OWN, UrlState
from osoroi.server.prefix import photo_url

SHOTS = 4
"""Photos of one product that a card shows."""

FILTERS = 30
"""Columns to filter by that a page shows; those with a chosen value are always there."""
OPTIONS = 100
"""Values of one column that a page shows; chosen ones are always there."""


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
class Filter:
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
    results: Sequence[Hit | Product], stored: Mapping[str, StoredProduct], state: UrlState, words: Words, lang: str
) -> list[Card]:
    """Cards for hits, or for products without a search; those removed since are left out."""
    made = []
    for result in results:
        product = result.product if isinstance(result, Hit) else result
        if product.product_id in stored:
            made.append(_card(result, product, stored[product.product_id], state, words, lang))
    return made


def _card(
    result: Hit | Product, product: Product, stored: StoredProduct, state: UrlState, words: Words, lang: str
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


def understood(state: UrlState, words: Words, lang: str) -> list[tuple[str, str]]:
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


def _bar(name: str, cosine: float, words: Words) -> Bar:
    share = min(1.0, max(0.0, cosine))
    short = {"deep": words["shape_short"], "detail": words["detail_short"], "kind": words["kind_short"]}.get(
        name, words["match"].lower()
    )
    return Bar(short, share, round(100 * share))


def filters(facets: Sequence[Facet], state: UrlState, words: Words, lang: str) -> list[Filter]:
    """The columns to filter by, with what is chosen."""
    shown = []
    for facet in facets:
        plain = facet.column in ("category", "brand", "price")
        name = facet.column.removeprefix(PREFIX)
        chosen = state.choices.get(facet.column, ())
        written = [("yes" if value else "no") if isinstance(value, bool) else value for value in chosen]
        options = tuple(
            Option(
                field=name if plain else OWN + name,
                value=choice.value,
                label=_label(facet, choice.value, words, lang),
                count=choice.products,
                chosen=choice.value in written,
            )
            for place, choice in enumerate(facet.choices)
            if (place < OPTIONS or choice.value in written) and not (facet.kind == "flag" and choice.value == "no")
        )
        label = words[name] if plain else named(name, lang)
        least, most = (f"{value:.0f}" if value is not None else "" for value in (facet.least, facet.most))
        shown.append(Filter(name, label, facet.kind, options, least, most))
    useful = [filter_ for filter_ in shown if filter_.kind == "range" or filter_.options]
    return [
        filter_
        for place, filter_ in enumerate(useful)
        if place < FILTERS or any(option.chosen for option in filter_.options)
    ]


def _label(facet: Facet, value: str, words: Words, lang: str) -> str:
    if facet.kind == "flag":
        return named(facet.column.removeprefix(PREFIX), lang)
    return value if facet.column == "brand" else named(value, lang)
