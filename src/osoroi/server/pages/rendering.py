"""Pages as HTML: templates, and what they need to know of the service."""

import json
import time
from collections.abc import Iterable, Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from osoroi.errors import BadPhoto, Busy, NoKey, NotFound, OsoroiError, TooLarge, TooMuch
from osoroi.records import Hit, Product
from osoroi.server.counts import FRESH_S, Counts
from osoroi.server.pages import saliency, view_model
from osoroi.server.pages.i18n import Texts, language, texts
from osoroi.server.pages.url_state import MORE, State, from_pairs
from osoroi.server.service import Service, Strips

EXAMPLES = 12
"""Products to begin with on the first page."""


class Asked(NamedTuple):
    """The photo that asks: where a browser gets it and its size in pixels; ``kept`` is the photo itself, in base64."""

    url: str
    width: int
    height: int
    looked: str = ""
    kept: str = ""


class Strip(NamedTuple):
    """One of three ways of looking, and the address that looks so."""

    name: str
    address: str
    cards: list[view_model.Card]


class Found(NamedTuple):
    """What the results show."""

    cards: list[view_model.Card]
    strips: list[Strip]
    more: str | None
    filters: list[view_model.Filter]


class Trouble(NamedTuple):
    """An error in the words of the page; ``what`` are its own."""

    heading: str
    hint: str
    what: str


class Pages:
    """Templates, and what they show of the catalog."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.own_detail = service.own_detail
        self.can_look = saliency.can(service.encoder)
        self._templates = templates()
        self.counts = Counts(service.catalog)
        self._examples: tuple[float, list[Product]] = (-FRESH_S, [])

    def state(self, pairs: Iterable[tuple[str, str]]) -> State:
        """The state that an address or a form asks for, without columns that the catalog does not have."""
        columns = self.service.catalog.columns()
        return from_pairs(pairs, self.service.settings, columns, own_detail=self.own_detail)

    def html(self, name: str, request: Request, state: State, status: int = 200, **values: Any) -> Response:
        """A template with what all of them need."""
        lang = language(state.lang, request.headers.get("accept-language", ""))
        known = {"lang": lang, "t": texts(lang), "state": state, "pages": self, "asked": None, "trouble": None}
        html = self._templates.get_template(name).render(known | values)
        headers = {"Content-Language": lang, "Vary": "Accept-Language", "Cache-Control": "private, no-cache"}
        return HTMLResponse(html, status, headers)

    def found(self, hits: Sequence[Hit | Product], strips: Strips | None, state: State, lang: str) -> Found:
        """Hits and strips as cards, from one look into the catalog, and the filters."""
        words = texts(lang)
        rows: tuple[Sequence[Hit], ...] = tuple(strips) if strips else ()
        held = self.service.catalog.get_many({one.product_id for one in chain(hits, *rows)})
        made = [view_model.cards(row, held, state, words, lang) for row in rows]
        dials = zip(("shape", "detail", "both"), (0.0, 1.0, None), made, strict=bool(rows))
        return Found(
            cards=view_model.cards(hits, held, state, words, lang),
            strips=[Strip(name, state.address(detail=dial), row) for name, dial, row in dials],
            more=self._more(hits, state),
            filters=view_model.filters(self.counts.of(state), state, words, lang),
        )

    def _more(self, hits: Sequence[Hit | Product], state: State) -> str | None:
        most = self.service.settings.k
        return state.address(k=min(state.k + MORE, most)) if state.k <= len(hits) and state.k < most else None

    def examples(self) -> list[Product]:
        """Something of every category to begin with."""
        since, examples = self._examples
        if time.monotonic() - since >= FRESH_S:
            choices = next((facet.choices for facet in self.counts.of(State()) if facet.column == "category"), ())
            wheres: list[str | None] = [
                json.dumps({"column": "category", "=": one.value}) for one in choices[:EXAMPLES]
            ]
            wheres = wheres or [None]
            each = -(-EXAMPLES // len(wheres))
            rows = [self.service.catalog.products(where=where, limit=each) for where in wheres]
            mixed = (product for row in zip_longest(*rows) for product in row if product is not None)
            examples = list(islice(mixed, EXAMPLES))
            self._examples = (time.monotonic(), examples)
        return examples


def trouble_of(error: OsoroiError, words: Texts) -> Trouble:
    """An error as people are told of it.

    >>> trouble_of(TooMuch("64 searches wait already"), texts("en")).heading
    'Many people are searching right now.'
    """
    kinds: dict[type[OsoroiError], tuple[str, str]] = {
        BadPhoto: ("trouble_photo", "trouble_photo_hint"),
        TooLarge: ("trouble_large", "trouble_photo_hint"),
        TooMuch: ("trouble_busy", "trouble_busy_hint"),
        Busy: ("trouble_busy", "trouble_busy_hint"),
        NotFound: ("trouble_found", "trouble_found_hint"),
        NoKey: ("trouble_key", "trouble_found_hint"),
    }
    heading, hint = next((keys for kind, keys in kinds.items() if isinstance(error, kind)), ("trouble", "again"))
    return Trouble(words[heading], words[hint], error.what)


def templates() -> jinja2.Environment:
    """Whatever a shop writes in its titles is escaped; a name that is missing is a mistake of ours."""
    folder = Path(__file__).parent / "templates"
    loader = jinja2.FileSystemLoader(folder)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
