"""The application: routes, guards and error answers put together."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from osoroi import __version__
from osoroi.catalog.local import LocalCatalog
from osoroi.errors import BadRequest, NotFound, OsoroiError, outcome
from osoroi.search import Searcher
from osoroi.server import thumbnails
from osoroi.server.api import routes as api
from osoroi.server.api import schemas
from osoroi.server.limits import RETRY_S
from osoroi.server.middleware import Guard
from osoroi.server.pages import routes as pages
from osoroi.server.pages.rendering import Pages
from osoroi.server.pages.url_state import State
from osoroi.server.service import Service
from osoroi.server.settings import Settings

log = logging.getLogger("osoroi.server")

STATIC = Path(__file__).parent / "pages" / "static"

ABOUT = """Find the product in a shop from a photo of someone wearing it.

Errors have one form, `{"error": …, "hint": …}`. Where keys are set, send `Authorization: Bearer KEY`: the read key
opens `GET` and `POST`, the write key everything. Photos that are searched with are neither stored nor logged.
"""


def make(searcher: Searcher, catalog: LocalCatalog, settings: Settings | None = None) -> FastAPI:
    """The application that searches ``catalog`` and writes to it. It closes neither."""
    settings = settings or Settings()
    service = Service(searcher, catalog, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pages.counts.of(State())  # of a large catalog this takes seconds, in the background
        yield
        service.close()
        app.state.pages.counts.close()

    app = FastAPI(
        title="osoroi", version=__version__, description=ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.state.service = service
    app.state.thumbnails = thumbnails.Cache(settings.cache_bytes)
    app.state.pages = Pages(service)
    for router in (thumbnails.router, api.router, api.plain, pages.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.exception_handler(OsoroiError)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_elsewhere)
    app.exception_handler(Exception)(_broken)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    app.add_middleware(_Guarded, settings=settings, service=service)
    return app


class _Guarded(Guard):
    """The guard, with what it needs of the service."""

    def __init__(self, app: ASGIApp, settings: Settings, service: Service) -> None:
        super().__init__(app, settings, service.counters, answer)


def answer(request: Request, error: OsoroiError, headers: Mapping[str, str] | None = None) -> Response:
    """An error for whoever asked: a page for people, JSON for programs."""
    status = outcome(error)[1]
    people = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/")
    response = pages.trouble(request, error, status) if people else api.refusal(error)
    response.headers.update(headers or {})
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_S)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="osoroi", charset="UTF-8"' if people else "Bearer"
    return response


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OsoroiError)
    if outcome(error)[1] >= 500:
        log.warning("%s", type(error).__name__)  # the message may name what was asked
    return answer(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = first["loc"][-1] if first["loc"] else "request"
    return answer(request, BadRequest(f"{name}: {first['msg']}", hint="the parameters stand in /openapi.json"))


async def _elsewhere(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself: no such path, no such method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return answer(request, NotFound("nothing is at this address", hint="the addresses stand in /openapi.json"))
    content = {"error": str(error.detail).lower(), "hint": "the methods stand in /openapi.json"}
    return api.to_json(content, error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    """A mistake of ours: its trace goes to the log, and nothing of it to the client."""
    return api.to_json({"error": "the service made a mistake", "hint": "its log says more"}, 500)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the models that only bodies of forms name."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        models = document["components"]["schemas"]
        models["Metadata"] = schemas.Metadata.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "The read key or the write key."}
        }
        document["security"] = [{"key": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
