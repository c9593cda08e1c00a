"""``/``: the page for people. It works without scripts; scripts only save the round trip.

A photo that is sent is answered in the same response and forgotten. So that its dial can be turned without scripts too,
the page carries the photo, made small, in a hidden field.
"""

import base64
import binascii
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from osoroi.errors import BadPhoto, OsoroiError, outcome
from osoroi.records import Box
from osoroi.server.admitted import SearchRoute, form_of
from osoroi.server.forms import Form
from osoroi.server.pages.i18n import language
from osoroi.server.pages.i18n import words as words_of
from osoroi.server.pages.rendering import Pages, QueryPhoto, problem_of
from osoroi.server.pages.url_state import UrlState
from osoroi.server.pages.view_model import photo_url
from osoroi.server.service import Service

CARRIED_WIDTH = 1280
"""Pixels across of the photo that a page without scripts carries along."""
CARRIED_BYTES = 8 * 2**20
"""Bytes of that photo in the page, in base64."""
SHOWN_WIDTH = 960
"""Pixels across of the photo of the query that a page shows."""
STRIP = 5
"""Products in each of the three strips."""

router = APIRouter(include_in_schema=False, route_class=SearchRoute)


@dataclass(frozen=True)
class Query:
    """What a page searches with: its state, a photo that came with the request, and that photo as the page shows it."""

    state: UrlState
    photo: bytes | None = None
    shown: QueryPhoto | None = None

    @property
    def searches(self) -> bool:
        """Whether there is anything to search with."""
        return self.photo is not None or self.state.has_query


def pages_of(request: Request) -> Pages:
    """The pages of this application."""
    pages: Pages = request.app.state.pages
    return pages


@router.get("/")
async def home(request: Request) -> Response:
    """The page of an address."""
    pages = pages_of(request)
    state = await pages.state(request.query_params.multi_items())
    return await _show(request, "page.html", Query(state), photo_gone="photo" in request.query_params)


@router.post("/")
async def home_with_photo(request: Request) -> Response:
    """The page for a photo that a form without scripts sends, or the address of the state that it describes."""
    pages, form = pages_of(request), form_of(request)
    state = await pages.state(_pairs(form))
    photo = _photo(form)
    if photo is None:
        return RedirectResponse(state.address(), 303)
    state = replace(state, product_id=None, crop_id=None)
    try:
        query = await _carried(pages.service, photo, state)
    except BadPhoto as error:
        return await _show(request, "page.html", Query(state), error=error)
    return await _show(request, "page.html", query)


@router.post("/results")
async def results(request: Request) -> Response:
    """The part of the page that changes, for scripts."""
    pages, form = pages_of(request), form_of(request)
    state, photo = await pages.state(_pairs(form)), _photo(form)
    shown = await _preview(pages.service, photo) if photo is not None and form.one("preview") else None
    return await _show(request, "results.html", Query(state, photo, shown))


async def _show(
    request: Request, template: str, query: Query, *, error: OsoroiError | None = None, photo_gone: bool = False
) -> Response:
    """Search where there is something to search with, and render what came out: products, a few to begin with, or
    what went wrong."""
    pages = pages_of(request)
    service = pages.service
    lang = language(query.state.lang, request.headers.get("accept-language", ""))
    searching = error is not None or query.searches
    values: dict[str, Any] = {"results": None, "searching": searching, "photo_gone": photo_gone and not searching}
    status = 200
    try:
        if error is not None:
            raise error
        if query.photo is None and query.state.has_query:
            query = await _of_catalog(service, query.state)
        if searching:
            hits, strips = await service.search_with_strips(query.state.search_request(query.photo), STRIP)
            values["results"] = await service.read(pages.results, hits, strips, query.state, lang)
        else:
            examples = await service.read(pages.examples)
            values["results"] = await service.read(pages.results, examples, None, query.state, lang)
    except OsoroiError as problem:
        status, values["problem"] = outcome(problem)[1], problem_of(problem, words_of(lang))
    values["query"] = query.shown
    return await service.read(lambda: pages.html(template, request, query.state, status, **values))


def problem(request: Request, error: OsoroiError, status: int) -> Response:
    """A page that says what went wrong, where no other page can."""
    lang = language(None, request.headers.get("accept-language", ""))
    return pages_of(request).html(
        "problem.html", request, UrlState(), status, problem=problem_of(error, words_of(lang))
    )


def _pairs(form: Form) -> list[tuple[str, str]]:
    return [(name, value) for name in form.parts if name not in ("kept", "photo") for value in form.texts(name)]


def _photo(form: Form) -> bytes | None:
    """The photo of a form: the file that was chosen, else the one that the page carried."""
    if photos := form.photos(most=1):
        return photos[0]
    if sum(len(part.content) for part in form.parts.get("kept", [])) > CARRIED_BYTES:
        raise BadPhoto("the photo that the page carried is not one of its own", hint="choose it again")
    kept = form.one("kept")
    if kept is None:
        return None
    try:
        return base64.b64decode(kept, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPhoto("the photo that the page carried came back broken", hint="choose it again") from error


async def _carried(service: Service, photo: bytes, state: UrlState) -> Query:
    """A photo made small enough to be carried, and the box in its pixels."""
    small = await service.decoder.thumbnail(photo, CARRIED_WIDTH)
    width = min(small.width, CARRIED_WIDTH)
    height = max(1, round(small.height * width / small.width))
    scale = width / small.width
    box = state.box and Box(*(round(side * scale) for side in state.box))
    saliency = ""
    if state.saliency and service.has_saliency:
        saliency = _data(await service.saliency(small.jpeg, box, "street", SHOWN_WIDTH))
    carried = base64.b64encode(small.jpeg).decode()
    shown = QueryPhoto(_data(small.jpeg), width, height, saliency, carried)
    return Query(replace(state, box=box), small.jpeg, shown)


async def _preview(service: Service, photo: bytes) -> QueryPhoto | None:
    """A photo that the browser cannot draw, for it to show; None where the service cannot either."""
    try:
        small = await service.decoder.thumbnail(photo, SHOWN_WIDTH)
    except BadPhoto:
        return None  # the search is about to say why
    return QueryPhoto(_data(small.jpeg), small.width, small.height)


async def _of_catalog(service: Service, state: UrlState) -> Query:
    """The photo of the crop, or of the product's first crop, that the address names."""
    if state.crop_id is not None:
        crop_id = state.crop_id
        crop = await service.read_catalog(lambda catalog: catalog.crop(crop_id))
    else:
        product_id = state.product_id or ""
        crop = (await service.read_catalog(lambda catalog: catalog.crops(product_id)))[0]
    small = await service.decoder.thumbnail(await service.read(service.load, crop), SHOWN_WIDTH)
    url = f"{photo_url(crop.crop_id)}?width={SHOWN_WIDTH}"
    shown = QueryPhoto(url, small.width, small.height, f"{url}&saliency=1")
    return Query(replace(state, product_id=crop.product_id, crop_id=crop.crop_id), shown=shown)


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
