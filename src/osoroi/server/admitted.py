"""Routes behind the gate: the body is received within its limits, then the request is admitted, then the route runs."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from osoroi.server import forms
from osoroi.server.body import RequestBody, received
from osoroi.server.forms import Form
from osoroi.server.limits import Work
from osoroi.server.service import Service


class AdmittedRoute(APIRoute):
    """A route that does one kind of work. Subclasses say which."""

    work: ClassVar[Work]

    def get_route_handler(self) -> Callable[[Request], Awaitable[Any]]:  # type: ignore[override]
        """The route's handler, with the gate before it."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            service = service_of(request)
            if request.method in ("GET", "HEAD", "DELETE"):
                async with service.admission.admit(self.work):
                    return await handle(request)
            async with received(request, service.settings, service.memory) as body:
                request.state.body = body
                async with service.admission.admit(self.work):
                    return await handle(request)

        return admitted


class SearchRoute(AdmittedRoute):
    """Decodes or searches."""

    work = "searches"


class ReadRoute(AdmittedRoute):
    """Reads the catalog."""

    work = "reads"


class WriteRoute(AdmittedRoute):
    """Changes the catalog."""

    work = "writes"


def service_of(request: Request) -> Service:
    """The service behind this application."""
    service: Service = request.app.state.service
    return service


def form_of(request: Request) -> Form:
    """The form that a request carries; raises BadRequest where its body is something else."""
    body: RequestBody = request.state.body
    return body.form if body.form is not None else forms.parse(b"", request.headers.get("content-type", ""))


def content_of(request: Request) -> bytes:
    """The bytes of a body that is no form."""
    body: RequestBody = request.state.body
    return body.content
