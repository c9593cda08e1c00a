"""The application: routes, middleware and error responses put together."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from osoroi import __version__
from osoroi.errors import BadRequest, NotFound, OsoroiError, outcome
from osoroi.search import Searcher
from osoroi.server import origins
from osoroi.server.api import photos, products, routes, schemas
from osoroi.server.connections import Connections
from osoroi.server.counting import Counting
from osoroi.server.decoding import Decoder
from osoroi.server.finding import Finder
from osoroi.server.limits import RETRY_S
from osoroi.server.middleware import Middleware
from osoroi.server.pages import routes as pages
from osoroi.server.pages.rendering import Pages
from osoroi.server.pages.url_state import UrlState
from osoroi.server.service import Service
from osoroi.server.settings import Settings

log = logging.getLogger("osoroi.server")

ABOUT = """Find the product in a shop from a photo of someone wearing it.

Errors have one form, `{"error": …, "hint": …}`. Where keys are set, send `Authorization: Bearer KEY`: the read key
opens `GET` and `POST`, the write key everything. Photos that are searched with are neither stored nor logged.
"""


def make(
    searcher: Searcher,
    settings: Settings | None = None,
    *,
    decoder: Decoder,
    reopen: Callable[[], Searcher] | None = None,
    finder: Finder | None = None,
) -> FastAPI:
    """The application that searches with ``searcher`` and writes to its catalog. It closes neither.

    ``decoder`` decodes photos, and is closed with the application. ``reopen`` opens the catalog again once it was moved
    to another encoder or replaced. ``finder`` finds garments, by default with the networks that ship.
    """
    settings = settings or Settings()
    service = Service(searcher, settings, decoder, reopen=reopen, finder=finder)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.check()  # what is said until a check takes too long
        await service.read(app.state.pages.counts.of, UrlState())  # of a large catalog this goes on in the background
        yield
        app.state.pages.counts.close()
        service.close()

    app = FastAPI(
        title="osoroi",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.connections = Connections(most=settings.connections, head_s=settings.head_s, take_s=settings.take_s)
    app.state.thumbnails = photos.Cache(settings.cache_bytes)
    app.state.pages = Pages(service)
    app.state.counting = Counting(service.read_catalog, settings.facet_queue)
    _route(app)
    _handle_errors(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    app.add_middleware(
        Middleware,
        settings=lambda: service.settings,
        metrics=service.metrics,
        connections=app.state.connections,
        refuse=respond,
    )
    return app


def _route(app: FastAPI) -> None:
    """The API, the page, and the files of the page."""
    for module in (photos, routes, products):
        for router in module.ROUTERS:
            app.include_router(router)
    app.include_router(pages.router)
    app.include_router(pages.plain)
    app.mount("/static", pages.Static(directory=pages.STATIC), name="static")


def _handle_errors(app: FastAPI) -> None:
    app.exception_handler(OsoroiError)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_unrouted)
    app.exception_handler(Exception)(_broken)


def respond(request: Request, error: OsoroiError, headers: Mapping[str, str] | None = None) -> Response:
    """The response for an error: a page for people, JSON for programs."""
    status = outcome(error)[1]
    people = "text/html" in request.headers.get("accept", "") and not request.scope["path"].startswith("/v1/")
    response = pages.problem(request, error, status) if people else routes.refusal(error)
    response.headers.update(headers or {})
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_S)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="osoroi", charset="UTF-8"' if people else "Bearer"
    return response


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OsoroiError)
    if outcome(error)[1] >= 500:
        log.warning("%s", type(error).__name__)  # the message may name what was searched for
    return respond(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = first["loc"][-1] if first["loc"] else "request"
    return respond(request, BadRequest(f"{name}: {first['msg']}", hint="the parameters stand in /openapi.json"))


async def _unrouted(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself: no such path, no such method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return respond(request, NotFound("nothing is at this address", hint="the addresses stand in /openapi.json"))
    content = {"error": str(error.detail).lower(), "hint": "the methods stand in /openapi.json"}
    return routes.to_json(content, error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    """A mistake of ours: its trace goes to the log, nothing of it to the client. This answer passes no middleware."""
    response = routes.to_json(routes.MISTAKE, 500)
    origin = request.headers.get("origin", "")
    if origin in request.app.state.service.settings.allow_origins:
        origins.allow(response.headers, origin)
    return response


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the models that only bodies of forms name."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        models = document["components"]["schemas"]
        for model in schemas.NAMED_ONLY:
            models[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
            models[model.__name__].pop("$defs", None)
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "The read key or the write key."}
        }
        document["security"] = [{"key": []}, {}]
        if root_path := app.state.service.settings.root_path:
            document["servers"] = [{"url": root_path}]
        app.openapi_schema = document
    return app.openapi_schema
