"""Pages as HTML: templates, and what they need to know of the service."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from osoroi.errors import BadPhoto, Busy, NoKey, NotFound, OsoroiError, TooLarge, TooMuch
from osoroi.records import Hit, Product
from osoroi.search import is_unlikely
from osoroi.server.api.photos import has_saliency
from osoroi.server.api.routes import shortened
from osoroi.server.counting import FRESH_S, FacetCounts
from osoroi.server.limits import RETRY_S
from osoroi.server.pages import view_model
from osoroi.server.pages.i18n import PageTexts, language
from osoroi.server.pages.i18n import words as words_of
from osoroi.server.pages.outfit import Mark
from osoroi.server.pages.url_state import MORE, UrlState, from_pairs, number
from osoroi.server.service import Service, Strips
from osoroi.wishes import TEXT_LENGTH

EXAMPLES = 12
"""Products to begin with on the first page."""


class QueryPhoto(NamedTuple):
    """The photo of the query: its address and its size in pixels; ``carried`` is the photo itself, in base64."""

    url: str
    width: int
    height: int
    saliency: str = ""
    carried: str = ""


class DetailPhoto(NamedTuple):
    """The second photo, whose colour and pattern are wished for, as a page without scripts carries it."""

    url: str
    width: int
    height: int
    carried: str


class Strip(NamedTuple):
    """The first hits under one setting of the slider, and the address of that setting."""

    name: str
    address: str
    cards: list[view_model.Card]


class Results(NamedTuple):
    """The products for one query: for one garment of the photo, or for all of it. ``row``: they stand in one line;
    ``unlikely``: the very product of the photo is probably not among them; ``by_words``: words alone were searched
    with, and name what matches. A photo only ranks the shop. ``lacking`` says that there is nothing of the kind that is
    searched for, where that is so."""

    cards: list[view_model.Card]
    strips: list[Strip]
    more: str | None
    filters: list[view_model.FilterControl]
    mark: Mark | None = None
    row: bool = False
    unlikely: bool = False
    by_words: bool = False
    lacking: str = ""


class PageError(NamedTuple):
    """An error in the words of the page; ``what`` are its own."""

    heading: str
    hint: str
    what: str


class Pages:
    """Templates, and what they show of the catalog."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._templates = templates()
        settings = service.settings
        self.counts = FacetCounts(lambda: service.catalog, cells=settings.facet_cells, queue=settings.facet_queue)
        self._saliency: tuple[str, bool] = ("", False)
        self._examples: tuple[float, list[Product]] = (-FRESH_S, [])

    @property
    def own_detail(self) -> float | None:
        """The encoder's own weight of colour and pattern, or None where it has no slider."""
        return self.service.encoder.own_detail

    @property
    def has_saliency(self) -> bool:
        """Whether the encoder has a foreground head."""
        fingerprint = self.service.encoder.fingerprint
        if self._saliency[0] != fingerprint:
            self._saliency = (fingerprint, has_saliency(self.service.encoder))
        return self._saliency[1]

    async def state(self, pairs: Iterable[tuple[str, str]]) -> UrlState:
        """The state of an address or a form, without columns that the catalog does not have."""
        columns = await self.service.read_catalog(lambda catalog: catalog.columns())
        return from_pairs(pairs, self.service.settings, columns, own_detail=self.own_detail)

    def html(self, name: str, request: Request, state: UrlState, status: int = 200, **values: Any) -> Response:
        """A template with what all of them need."""
        lang = language(state.lang, request.headers.get("accept-language", ""))
        known = {
            "lang": lang,
            "t": words_of(lang),
            "state": state,
            "root": self.service.settings.root_path,
            "pages": self,
            "default_k": UrlState.k,
            "text_length": TEXT_LENGTH,
            "number": number,
            "query": None,
            "problem": None,
            "marks": [],
            "chips": [],
            "palette": [],
            "sections": [],
            "new": False,
            "understood": [],
            "detail_photo": None,
            "known": "",
        }
        html = self._templates.get_template(name).render(known | values)
        headers = {"Content-Language": lang, "Vary": "Accept-Language", "Cache-Control": "private, no-cache"}
        if status == 503:
            headers["Retry-After"] = str(RETRY_S)
        return HTMLResponse(html, status, headers)

    def results(
        self,
        hits: Sequence[Hit | Product],
        strips: Strips | None,
        state: UrlState,
        lang: str,
        *,
        mark: Mark | None = None,
        row: bool = False,
        by_words: bool = False,
    ) -> Results:
        """Hits and strips as cards, from one read transaction, and the filters; a row has neither more nor filters.
        A hit beyond those of the state says that there are more."""
        words = words_of(lang)
        more = None if row else self._more(hits, state)
        hits = hits if row else hits[: state.k]
        rows: tuple[Sequence[Hit], ...] = tuple(strips) if strips else ()
        stored = self.service.catalog.get_many({hit.product_id for hit in chain(hits, *rows)})
        if by_words:
            hits = [_without_shape(hit) for hit in hits]
        made = [view_model.cards(row, stored, state, words, lang) for row in rows]
        sliders = zip(("shape", "detail", "both"), (0.0, 1.0, None), made, strict=bool(rows))
        listed = view_model.cards(hits, stored, state, words, lang)
        kind = view_model.kind_of_words(state) or (mark.kind if mark else None)
        return Results(
            cards=listed,
            strips=[Strip(name, state.address(detail=slider), row) for name, slider, row in sliders],
            more=more,
            filters=view_model.filters(self.counts.of(state), state, words, lang),
            mark=mark and mark.naming(kind, lang),
            row=row,
            unlikely=is_unlikely([hit for hit in hits if isinstance(hit, Hit)]),
            by_words=by_words,
            lacking=view_model.lacking(kind, listed, state, words, lang),
        )

    def _more(self, hits: Sequence[Hit | Product], state: UrlState) -> str | None:
        most = self.service.settings.k
        return state.address(k=min(state.k + MORE, most)) if state.k < min(len(hits), most) else None

    def examples(self) -> list[Product]:
        """Something of every category to begin with."""
        since, examples = self._examples
        if time.monotonic() - since >= FRESH_S:
            choices = next((facet.choices for facet in self.counts.of(UrlState()) if facet.column == "category"), ())
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


def _without_shape(hit: Hit | Product) -> Hit | Product:
    """A hit without the part that says how alike shapes are: words have none."""
    if isinstance(hit, Product):
        return hit
    return replace(hit, parts={name: cosine for name, cosine in hit.parts.items() if name != "deep"})


def problem_of(error: OsoroiError, words: PageTexts) -> PageError:
    """An error in the words of the page.

    >>> problem_of(TooMuch("64 searches wait already"), words_of("en")).heading
    'Many people are searching right now.'
    """
    kinds: dict[type[OsoroiError], tuple[str, str]] = {
        BadPhoto: ("trouble_unread", "trouble_unread_hint"),
        TooLarge: ("trouble_large", "trouble_large_hint"),
        TooMuch: ("trouble_busy", "trouble_busy_hint"),
        Busy: ("trouble_busy", "trouble_busy_hint"),
        NotFound: ("trouble_found", "trouble_found_hint"),
        NoKey: ("trouble_key", "trouble_key_hint"),
    }
    heading, hint = next((keys for kind, keys in kinds.items() if isinstance(error, kind)), ("trouble", "again"))
    return PageError(words[heading], words[hint], shortened(error.what))


def templates() -> jinja2.Environment:
    """Whatever a shop writes in its titles is escaped; a name that is missing is a mistake of ours."""
    folder = Path(__file__).parent / "templates"
    loader = jinja2.FileSystemLoader(folder)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
