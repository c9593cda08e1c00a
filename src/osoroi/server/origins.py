"""Other origins whose pages may search here: a shop's own site with the widget, say (CORS).

They may read (``GET``, ``HEAD``, ``POST``) and never write, and browsers send no cookies and no stored passwords along.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from osoroi.errors import BadRequest

REMEMBERED_S = 600
"""Seconds for which a browser need not ask again whether it may ask."""

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": str(REMEMBERED_S),
}


def checked(origins: Iterable[str]) -> frozenset[str]:
    """Origins as browsers send them; raises BadRequest for what is none.

    >>> sorted(checked(["https://shop.example", "HTTP://localhost:3000"]))
    ['http://localhost:3000', 'https://shop.example']
    >>> checked(["https://shop.example/"])
    Traceback (most recent call last):
    osoroi.errors.BadRequest: 'https://shop.example/' is no origin; write scheme and host alone, as in \
https://shop.example or http://localhost:3000
    """
    return frozenset(_checked(origin) for origin in origins)


def _checked(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        port, host, parts = None, "", urlsplit("")
    scheme = parts.scheme.lower()
    if (
        scheme not in ("http", "https")
        or not host
        or not origin.isascii()
        or origin.lower() != _written(scheme, parts.netloc)
    ):
        raise BadRequest(
            f"{origin[:100]!r} is no origin",
            hint="write scheme and host alone, as in https://shop.example or http://localhost:3000",
        )
    if "@" in parts.netloc or "*" in host:
        raise BadRequest(f"{origin[:100]!r} is no single origin", hint="name each origin on its own")
    usual = {"http": 80, "https": 443}[scheme]
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port in (None, usual) else f"{scheme}://{name}:{port}"


def _written(scheme: str, netloc: str) -> str:
    return f"{scheme}://{netloc}".lower()


def allow(headers: MutableHeaders, origin: str) -> None:
    """Add to a response what lets a page of an allowed origin read it."""
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, X-Error-Type"


def preflight(method: str, headers: Headers) -> Response | None:
    """The answer to a browser that asks whether a page of an allowed origin may ask; None for any other request."""
    if method == "OPTIONS" and "access-control-request-method" in headers:
        return Response(status_code=204, headers=PREFLIGHT)
    return None
