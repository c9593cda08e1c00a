"""``/``: the page for people. It works without scripts; scripts only save the round trip.

A photo that is sent is answered in the same response and forgotten. So that its slider works without scripts too, the
page carries the photo, made small, in a hidden field.
"""

import hashlib
import logging
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from osoroi.errors import BadPhoto, OsoroiError, outcome
from osoroi.server.admitted import SearchRoute, form_of, service_of
from osoroi.server.forms import Form
from osoroi.server.pages import colors, outfit, view_model
from osoroi.server.pages import query as queries
from osoroi.server.pages.i18n import language
from osoroi.server.pages.i18n import words as words_of
from osoroi.server.pages.query import PageQuery
from osoroi.server.pages.rendering import Pages, Results, problem_of
from osoroi.server.pages.url_state import UrlState

STRIP = 5
"""Products in each of the three strips."""
NEXT = b"\n<!-- next -->\n"
"""Between the lists of a stream."""
FILES = ("photo", "kept", "detail_photo", "detail_kept", "known", "others", "preview")
"""Fields of forms that are no part of the state."""

log = logging.getLogger("osoroi.server")

STATIC = Path(__file__).parent / "static"

SCRIPT = "text/javascript; charset=utf-8"

WIDGET = {
    "Cross-Origin-Resource-Policy": "cross-origin",  # pages of any origin may load the script; few may search with it
    "Cache-Control": "public, max-age=600",
}

router = APIRouter(include_in_schema=False, route_class=SearchRoute)
plain = APIRouter(include_in_schema=False)


def pages_of(request: Request) -> Pages:
    """The pages of this application."""
    pages: Pages = request.app.state.pages
    return pages


@router.get("/")
async def home(request: Request) -> Response:
    """The page of an address."""
    pages = pages_of(request)
    pages.service.finder.warm()
    state = await pages.state(request.query_params.multi_items())
    return await _show(request, "page.html", PageQuery(state), photo_gone="photo" in request.query_params)


@router.post("/")
async def home_with_photo(request: Request) -> Response:
    """The page for a photo that a form without scripts sends, or the address of the state that it describes."""
    pages, form = pages_of(request), form_of(request)
    state = await pages.state(_pairs(form))
    photo = queries.photo_of(form, "photo", "kept")
    if photo is None:
        return RedirectResponse(state.address(), 303)
    state = replace(state, product_id=None, crop_id=None)
    try:
        query = await queries.carried(pages.service, photo, state)
        second = None if state.retyped else queries.photo_of(form, "detail_photo", "detail_kept")
        if second is not None and not form.one("to_color"):
            query = await queries.with_detail(pages.service, query, second)
    except BadPhoto as error:
        return await _show(request, "page.html", PageQuery(state), error=error)
    known = None if form.photos(most=1) else outfit.read(form.one("known"))  # of another photo
    return await _show(request, "page.html", replace(query, known=known))


@router.post("/results")
async def results(request: Request) -> Response:
    """The part of the page that changes, for scripts: one list, or with ``others`` that of each garment as it comes."""
    pages, form = pages_of(request), form_of(request)
    state, photo = await pages.state(_pairs(form)), queries.photo_of(form, "photo", "kept")
    shown = await queries.preview(pages.service, photo) if photo is not None and form.one("preview") else None
    second = None if state.retyped else queries.photo_of(form, "detail_photo", "detail_kept")
    known = outfit.read(form.one("known"))
    query = PageQuery(state, photo, shown, second, known=known)
    return await _show(request, "results.html", query, stream=form.one("others") == "1")


async def _show(
    request: Request,
    template: str,
    query: PageQuery,
    *,
    error: OsoroiError | None = None,
    photo_gone: bool = False,
    stream: bool = False,
) -> Response:
    """Search where there is something to search with, and render what came out: products, a few to begin with, or
    what went wrong."""
    pages = pages_of(request)
    service = pages.service
    lang = language(query.state.lang, request.headers.get("accept-language", ""))
    photo_gone = photo_gone and error is None and query.photo is None and not query.state.has_query
    searching = error is not None or (query.searches and not photo_gone)  # its words were meant beside the photo
    values: dict[str, Any] = {"sections": [], "searching": searching, "photo_gone": photo_gone}
    status, rest = 200, list[int | None]()
    try:
        if error is not None:
            raise error
        if query.photo is None and query.state.has_query:
            query = await queries.of_catalog(service, query)
        if searching:
            query = await queries.with_garments(service, query)
            first, *others = query.numbers()
            whole = query.state.every_garment and template == "page.html"
            for number in [first, *others] if whole else [first]:
                values["sections"].append(await _section(request, query, number, lang))
            rest = others if stream and not whole else []
        else:
            examples = await service.read(pages.examples)
            values["sections"] = [await service.read(pages.results, examples, None, query.state, lang)]
    except OsoroiError as problem:
        status, values["problem"], rest = outcome(problem)[1], problem_of(problem, words_of(lang)), []
    values |= _of_query(query, lang)
    if photo_gone:
        values["understood"] = []
    response = await service.read(lambda: pages.html(template, request, query.state, status, **values))
    if rest:
        return _streamed(request, response, query, rest, lang)
    return response


async def _section(request: Request, query: PageQuery, number: int | None, lang: str) -> Results:
    """The products for one garment, or for all of the photo."""
    pages = pages_of(request)
    service, row = pages.service, query.state.every_garment and number is not None
    mark = None
    if number is not None:
        mark = outfit.marks(query.garments, query.state, words_of(lang), lang)[number - 1]
    asked = query.request(number)
    if row:
        hits, strips = await service.search(asked), None
    else:
        one_more = replace(asked, k=min(asked.k + 1, service.settings.k))  # says whether there are more
        hits, strips = await service.search_with_strips(one_more, STRIP)
    by_words = asked.is_text_alone
    return await service.read(
        lambda: pages.results(hits, strips, query.state, lang, mark=mark, row=row, by_words=by_words)
    )


def _of_query(query: PageQuery, lang: str) -> dict[str, Any]:
    """What templates show of the photo and its garments."""
    known, words = query.known or (), words_of(lang)
    return {
        "query": query.shown,
        "marks": outfit.marks(query.garments, query.state, words, lang),
        "chips": colors.chips(colors.of_garments(known), query.state, words, lang),
        "palette": colors.palette(query.state, lang),
        "known": outfit.written(known),
        "new": query.new,
        "understood": view_model.understood(query.state, words, lang),
        "detail_photo": query.detail_shown,
    }


def _streamed(request: Request, first: Response, query: PageQuery, rest: Sequence[int | None], lang: str) -> Response:
    """The first list at once, and those of the other garments as they come. Each passes the gate on its own. Where that
    is full, the stream ends, and the page asks for the list when somebody wants it."""
    pages = pages_of(request)
    service = pages.service

    async def lists() -> AsyncIterator[bytes]:
        yield bytes(first.body) + NEXT
        taken = sum(len(photo) for photo in (query.photo, query.detail_photo) if photo)
        try:
            with service.memory.reserved(taken):
                for number in rest:
                    async with service.admission.admit("searches"):
                        section = await _section(request, query, number, lang)
                        values = _of_query(query, lang) | {"sections": [section], "searching": True, "new": False}
                        page = await service.read(
                            lambda values=values: pages.html("results.html", request, query.state, **values)
                        )
                    yield bytes(page.body) + NEXT
        except OsoroiError as error:
            log.info("a stream of lists ended early: %s", type(error).__name__)

    headers = {name: value for name, value in first.headers.items() if name != "content-length"}
    return StreamingResponse(lists(), first.status_code, headers)


def problem(request: Request, error: OsoroiError, status: int) -> Response:
    """A page that says what went wrong, where no other page can."""
    pages, lang = pages_of(request), language(None, request.headers.get("accept-language", ""))
    state = UrlState(root_path=pages.service.settings.root_path)
    return pages.html("problem.html", request, state, status, problem=problem_of(error, words_of(lang)))


@plain.get("/widget.js")
async def widget(request: Request) -> Response:
    """The search that a shop puts on its own page with one script tag."""
    service_of(request).finder.warm()  # somebody is about to choose a photo
    script, tag = _widget()
    headers = {**WIDGET, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(script, headers=headers, media_type=SCRIPT)


@cache
def _widget() -> tuple[bytes, str]:
    """The script and its ETag."""
    script = stripped(STATIC / "widget.js")
    return script, f'"{hashlib.sha256(script).hexdigest()[:32]}"'


@cache
def stripped(path: Path) -> bytes:
    """A script without its indentation and comments."""
    script = re.sub(rb"^(?: +|//.*\n|/\*\*.*\*/\n|\n)+", b"", path.read_bytes(), flags=re.MULTILINE)
    return re.sub(rb" // [^\n\"'`]*$", b"", script, flags=re.MULTILINE)


class Static(StaticFiles):
    """The files of a folder, with scripts ``stripped``."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or that the browser has it."""
        response = await super().get_response(path, scope)
        if not isinstance(response, FileResponse) or not path.endswith(".js"):
            return response
        headers = {name: response.headers[name] for name in ("etag", "last-modified")}
        return Response(stripped(Path(response.path)), headers=headers, media_type=SCRIPT)


def _pairs(form: Form) -> list[tuple[str, str]]:
    return [(name, value) for name in form.parts if name not in FILES for value in form.texts(name)]
