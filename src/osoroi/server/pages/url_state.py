"""The state of a page, as its address writes it: ``/?product=P1&detail=0.8&category=skirts&below=5000``.

People and old bookmarks write addresses, so what cannot be understood is left out rather than refused.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from osoroi.catalog.filters import COLUMNS, PREFIX, ValueType
from osoroi.errors import BadRequest
from osoroi.records import Box, Kinds
from osoroi.server import search_request as parameters
from osoroi.server.search_request import SearchRequest
from osoroi.server.settings import Settings
from osoroi.wishes import TEXT_LENGTH, turned

K = 24
"""Products on a page."""
MORE = 24
"""Products that 'show more' adds."""

OWN = "a."
"""Before the name of a shop's own attribute: ``a.colour=red``, ``a.sale=yes``."""

WHOLE = "photo"
"""``garment=photo``: search with the whole photo, not with a garment in it."""

FilterColumns = Mapping[str, frozenset[ValueType]]
"""What filters can name, and the kinds of value each has, as ``Storage.columns`` says it."""


@dataclass(frozen=True)
class UrlState:
    """The state of one page. ``choices`` are the values chosen in each column, of which a product must have one.

    ``text`` has words, alone or beside a photo. ``garment`` is the number of the garment that is searched with, or
    ``WHOLE``; with ``box`` too, that garment was moved. ``every_garment`` (``look=1``) shows a row for each.
    ``detail_from`` is a colour that is wished for.
    """

    product_id: str | None = None
    crop_id: str | None = None
    text: str | None = None
    garment: str | None = None
    every_garment: bool = False
    box: Box | None = None
    detail_from: str | None = None
    detail_box: Box | None = None
    detail: float | None = None
    k: int = K
    choices: Mapping[str, tuple[str | bool, ...]] = field(default_factory=dict)
    above: float | None = None
    below: float | None = None
    saliency: bool = False
    lang: str | None = None
    root_path: str = ""
    """The prefix of the service, before every address."""
    retyped: bool = False
    """Whether the words came after the colour or pattern that was wished for, and name a colour, which replaces it."""

    @property
    def has_query(self) -> bool:
        """Whether the address names a query: a product or a crop."""
        return self.product_id is not None or self.crop_id is not None

    @property
    def filters(self) -> bool:
        """Whether any filter is set."""
        return bool(self.choices) or self.above is not None or self.below is not None

    def address(self, **changes: Any) -> str:
        """The address of this page with some of it changed.

        >>> UrlState(product_id="P 1", k=48).address(detail=0.5)
        '/?product=P+1&detail=0.5&k=48'
        >>> UrlState(root_path="/find").address()
        '/find/'
        """
        pairs = replace(self, **changes).pairs()
        return f"{self.root_path}/?{urlencode(pairs)}" if pairs else f"{self.root_path}/"

    def pairs(self) -> list[tuple[str, str]]:
        """The fields of the address, in a fixed order; what is as usual is left out."""
        one = {
            "product": self.product_id,
            "crop": self.crop_id,
            "text": self.text,
            "garment": self.garment,
            "look": "1" if self.every_garment else None,
            "box": ",".join(map(str, self.box)) if self.box else None,
            "detail_from": self.detail_from,
            "detail_box": ",".join(map(str, self.detail_box)) if self.detail_box else None,
            "detail": None if self.detail is None else number(self.detail),
        }
        named = [(name, value) for name, value in one.items() if value]
        for column, values in sorted(self.choices.items()):
            named += [(_field(column), _written(value)) for value in values]
        rest = {
            "above": None if self.above is None else number(self.above),
            "below": None if self.below is None else number(self.below),
            "k": None if self.k == K else str(self.k),
            "saliency": "1" if self.saliency else None,
            "lang": self.lang,
        }
        return named + [(name, value) for name, value in rest.items() if value]

    def where(self, *, without: str | None = None) -> str | None:
        """The filter as JSON text; ``without`` leaves one column out, to count what else it could be.

        >>> UrlState(choices={"category": ("skirts",)}, below=5000.0).where()
        '{"and": [{"column": "category", "exactly in": ["skirts"]}, {"column": "price", "<=": 5000.0}]}'
        >>> UrlState(choices={"category": ("skirts",)}, above=1.0).where(without="price")
        '{"and": [{"column": "category", "exactly in": ["skirts"]}]}'
        """
        conditions: list[dict[str, Any]] = []
        for column, values in sorted(self.choices.items()):
            if column != without:
                conditions.append({"column": column, "exactly in": list(values)})
        if without != "price":
            conditions += [{"column": "price", ">=": self.above}] if self.above is not None else []
            conditions += [{"column": "price", "<=": self.below}] if self.below is not None else []
        return json.dumps({"and": conditions}, ensure_ascii=False) if conditions else None

    def search_request(
        self,
        photo: bytes | None = None,
        *,
        box: Box | None = None,
        kind: Kinds | None = None,
        detail_photo: bytes | None = None,
    ) -> SearchRequest:
        """The search of this page; a photo that came with the request goes before what the address names.

        ``box`` and ``kind`` are those of a garment that was found; the box of the address wins. ``detail_photo`` is a
        second photo.
        """
        inside = self.box or box
        has_photo = photo is not None or self.has_query
        return SearchRequest(
            photo=photo,
            crop_id=self.crop_id if photo is None else None,
            product_id=self.product_id if photo is None and self.crop_id is None else None,
            text=self.text,
            box=inside if photo is not None or self.crop_id is not None else None,
            kind=kind,
            detail_from=detail_photo or self.detail_from,
            detail_box=self.detail_box if detail_photo is not None else None,
            k=self.k,
            where=self.where(),
            detail=self.detail if has_photo else None,
        )


def number(value: float) -> str:
    """A number as an address and a form write it: exactly, and whole numbers without a fraction.

    >>> number(4900.0), number(0.1), number(1234567.891)
    ('4900', '0.1', '1234567.891')
    """
    return str(int(value)) if value.is_integer() and value < 1e15 else repr(value)


def _field(column: str) -> str:
    return column if column in COLUMNS else OWN + column.removeprefix(PREFIX)


def _written(value: str | bool) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def from_pairs(
    pairs: Iterable[tuple[str, str]], settings: Settings, columns: FilterColumns, *, own_detail: float | None = None
) -> UrlState:
    """The state that an address or a form describes. A slider at the encoder's own weight counts as not set.

    >>> pairs = [("product", "P1"), ("category", "skirts"), ("a.sale", "yes"), ("a.gone", "1"), ("k", "many")]
    >>> from_pairs(pairs, Settings(), COLUMNS | {"attributes.sale": frozenset(["flag"])}).address()
    '/?product=P1&a.sale=yes&category=skirts'
    """
    last: dict[str, str] = {}
    choices: dict[str, dict[str | bool, None]] = {}  # each value once, in the order they came
    for name, text in pairs:
        column = PREFIX + name.removeprefix(OWN) if name.startswith(OWN) else name
        if column not in columns or not (name.startswith(OWN) or name in ("category", "brand")):
            last[name] = text.strip()
            continue
        value = _value(text, columns[column])
        if value is not None:
            choices.setdefault(column, {})[value] = None
    retyped = _is_retyped(last)
    detail = turned(_or_none(parameters.detail_of, last.get("to_detail", last.get("detail"))), own_detail)
    return UrlState(
        product_id=last.get("product") or None,
        crop_id=last.get("crop") or None,
        text=last.get("text", "")[:TEXT_LENGTH] or None,
        garment=_garment(last),
        every_garment=_every_garment(last),
        box=None if "to_garment" in last else _box(last),
        detail_from=None if retyped else _or_none(parameters.color_of, _wish(last)),
        detail_box=_or_none(parameters.box_of, last.get("detail_box")),
        detail=detail,
        k=min(settings.k, _or_none(lambda text: parameters.k_of(text, settings), last.get("to_k", last.get("k"))) or K),
        choices={column: tuple(values) for column, values in choices.items()},
        above=_price(last.get("above")),
        below=_price(last.get("below")),
        saliency=last.get("saliency") == "1",
        lang=next((last[name] for name in ("to_lang", "lang") if last.get(name) in ("en", "ja")), None),
        root_path=settings.root_path,
        retyped=retyped,
    )


def _value(text: str, kinds: frozenset[ValueType]) -> str | bool | None:
    """A choice as a value of the column, or None where the column has no such kind of value."""
    if "flag" in kinds:
        return {"yes": True, "no": False}.get(text)
    return text if text and kinds & {"text", "texts"} else None


def _garment(last: Mapping[str, str]) -> str | None:
    """A number, or the whole photo; what a button says wins."""
    text = last.get("to_garment", last.get("garment", ""))
    number = text.isascii() and text.isdecimal() and len(text) < 4 and int(text) > 0
    return str(int(text)) if number else text if text == WHOLE else None


def _every_garment(last: Mapping[str, str]) -> bool:
    return "to_garment" not in last and last.get("to_look", last.get("look")) == "1"


def _wish(last: Mapping[str, str]) -> str | None:
    """The colour that is wished for; what a button says wins, and the one that is pressed again takes it back."""
    text = last.get("to_color")
    return last.get("detail_from") if text is None else None if text == last.get("detail_from") else text


def _is_retyped(last: Mapping[str, str]) -> bool:
    """Whether the words are others than those of the page before, and name a colour. A colour that is pressed wins."""
    text = last.get("text", "")[:TEXT_LENGTH]
    if not text or "to_color" in last or last.get("text_before", text) == text:
        return False
    from osoroi.words.reading import read  # most pages need none of it

    return bool(read(text).colors)


def _box(last: Mapping[str, str]) -> Box | None:
    """One field from scripts and addresses, or four from the form that works without scripts."""
    sides = [last.get(name, "") for name in ("left", "top", "right", "bottom")]
    text = last.get("box") or (",".join(sides) if all(sides) else None)
    return _or_none(parameters.box_of, text)


def _or_none(parse: Any, text: str | None) -> Any:
    try:
        return parse(text) if text else None
    except BadRequest:
        return None


def _price(text: str | None) -> float | None:
    try:
        price = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return price if math.isfinite(price) and price >= 0 else None
