"""``/``: the page for people. It works without scripts; scripts only save the round trip.

A photo that is sent is answered in the same response and forgotten. So that its dial can be turned without scripts too,
the page carries the photo, made small, in a hidden field.
"""

import base64
import binascii
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from osoroi import image
from osoroi.errors import BadPhoto, OsoroiError, outcome
from osoroi.image import Limits
from osoroi.records import Box, Crop
from osoroi.server import forms
from osoroi.server.api.routes import body_of
from osoroi.server.pages import saliency
from osoroi.server.pages.i18n import language, texts
from osoroi.server.pages.rendering import Asked, Pages, trouble_of
from osoroi.server.pages.url_state import State
from osoroi.server.pages.view_model import photo_url

KEPT_WIDTH = 1280
"""Pixels across of the photo that a page without scripts carries along."""
SHOWN_WIDTH = 960
"""Pixels across of the catalog's photo that asks."""
STRIP = 5
"""Products in each of the three strips."""

router = APIRouter(include_in_schema=False)


def pages_of(request: Request) -> Pages:
    """The pages of this application."""
    pages: Pages = request.app.state.pages
    return pages


@router.get("/")
async def home(request: Request) -> Response:
    """The page that an address says."""
    pages = pages_of(request)
    async with pages.service.reads.pass_():
        state = await pages.service.read(pages.state, request.query_params.multi_items())
    return await _show(request, "page.html", state, photo_gone="photo" in request.query_params)


@router.post("/")
async def home_with_photo(request: Request) -> Response:
    """The page for a photo that a form without scripts sends, or the address of the state it asks for."""
    pages = pages_of(request)
    service = pages.service
    async with body_of(request) as body:
        form = forms.parse(body, request.headers.get("content-type", ""))
        state = await service.read(pages.state, _pairs(form))
        photo = _photo(form)
        if photo is None:
            return RedirectResponse(state.address(), 303)
        state = replace(state, product_id=None, crop_id=None)
        try:
            asked, box, photo = await service.read(_carried, pages, photo, state, service.limits)
        except BadPhoto as error:
            return await _show(request, "page.html", state, error=error)
        return await _show(request, "page.html", replace(state, box=box), photo=photo, asked=asked)


@router.post("/results")
async def results(request: Request) -> Response:
    """The part of the page that changes, for scripts."""
    pages = pages_of(request)
    async with body_of(request) as body:
        form = forms.parse(body, request.headers.get("content-type", ""))
        state, photo = await pages.service.read(pages.state, _pairs(form)), _photo(form)
        asked = None
        if photo is not None and form.one("preview"):
            asked = await pages.service.read(_preview, pages, photo)
        return await _show(request, "results.html", state, photo=photo, asked=asked)


async def _show(
    request: Request,
    template: str,
    state: State,
    *,
    photo: bytes | None = None,
    asked: Asked | None = None,
    error: OsoroiError | None = None,
    photo_gone: bool = False,
) -> Response:
    """Search where there is something to search with, and render what came out: products, a few to begin with, or
    what went wrong."""
    pages = pages_of(request)
    service = pages.service
    lang = language(state.lang, request.headers.get("accept-language", ""))
    asking = photo is not None or state.asks
    values: dict[str, Any] = {"found": None, "asked": asked, "asking": asking, "photo_gone": photo_gone and not asking}
    status = 200
    try:
        if error is not None:
            raise error
        if photo is None and state.asks:
            state, values["asked"] = await service.read(_of_catalog, pages, state)
        if values["asking"]:
            hits, strips = await service.search_with_strips(state.question(photo), STRIP)
            values["found"] = await service.read(pages.found, hits, strips, state, lang)
        else:
            values["found"] = await service.read(pages.found, await service.read(pages.examples), None, state, lang)
    except OsoroiError as problem:
        status, values["trouble"] = outcome(problem)[1], trouble_of(problem, texts(lang))
    return await service.read(lambda: pages.html(template, request, state, status, **values))


def trouble(request: Request, error: OsoroiError, status: int) -> Response:
    """A page that says what went wrong, where no other page can."""
    lang = language(None, request.headers.get("accept-language", ""))
    return pages_of(request).html("trouble.html", request, State(), status, trouble=trouble_of(error, texts(lang)))


def _pairs(form: forms.Form) -> list[tuple[str, str]]:
    return [(name, value) for name, values in form.fields.items() for value in values if name != "kept"]


def _photo(form: forms.Form) -> bytes | None:
    """The photo of a form: the file that was chosen, else the one that the page carried."""
    if files := form.files.get("photo"):
        return files[0]
    kept = form.one("kept")
    if kept is None:
        return None
    try:
        return base64.b64decode(kept, validate=True)
    except binascii.Error as error:
        raise BadPhoto("the photo that the page carried came back broken", hint="choose it again") from error


def _carried(pages: Pages, photo: bytes, state: State, limits: Limits) -> tuple[Asked, Box | None, bytes]:
    """A photo made small enough to be carried, and the box in its pixels."""
    height, width = image.read(photo, limits=limits).shape[:2]
    small = image.thumbnail(photo, KEPT_WIDTH, limits=limits) if width > KEPT_WIDTH else photo
    scale = min(1.0, KEPT_WIDTH / width)
    if scale < 1:
        height, width = image.read(small, limits=limits).shape[:2]
    box = state.box and Box(*(round(side * scale) for side in state.box))
    shown = image.thumbnail(small, KEPT_WIDTH, limits=limits)
    seen = ""
    if pages.can_look and state.looked:
        seen = _data(saliency.photo(pages.service.encoder, small, box, "street", SHOWN_WIDTH, limits))
    return Asked(_data(shown), width, height, seen, base64.b64encode(small).decode()), box, small


def _preview(pages: Pages, photo: bytes) -> Asked | None:
    """A photo that the browser cannot draw, for it to show; None where nobody can."""
    limits = pages.service.limits
    try:
        height, width = image.read(photo, limits=limits).shape[:2]
        return Asked(_data(image.thumbnail(photo, SHOWN_WIDTH, limits=limits)), width, height)
    except BadPhoto:
        return None  # the search is about to say why


def _of_catalog(pages: Pages, state: State) -> tuple[State, Asked]:
    """The photo of the crop, or of the product's first crop, that asks."""
    catalog = pages.service.catalog
    if state.crop_id is None:
        assert state.product_id is not None
        crop: Crop = catalog.crops(state.product_id)[0]
        state = replace(state, crop_id=crop.crop_id)
    else:
        crop = catalog.crop(state.crop_id)
    height, width = image.read(pages.service.load(crop), limits=pages.service.limits).shape[:2]
    url = f"{photo_url(crop.crop_id)}?width={SHOWN_WIDTH}"
    return replace(state, product_id=crop.product_id), Asked(url, width, height, f"{url}&looked=1")


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
