"""The path under which a proxy offers the service, such as ``/find``: stripped from requests, put before links.

Ids stand in the query of a link: proxies merge ``//`` and decode ``%2F`` in a path, and leave the query as it is.
"""

import re
from urllib.parse import urlencode

from starlette.types import Scope

from osoroi.errors import BadRequest

STEP = re.compile(r"/[A-Za-z0-9._~-]+")

OURS = frozenset(("v1", "static", "results", "health", "metrics", "openapi.json", "widget.js"))
"""First steps of the service's own paths. No prefix begins with one: ``/v1/search`` would mean two things."""


def checked(root_path: str) -> str:
    """A prefix as links need it: empty, or with a slash before and none behind; raises BadRequest for what is none.

    >>> checked(""), checked("/"), checked("find/"), checked("/shop/find")
    ('', '', '/find', '/shop/find')
    """
    path = "/" + root_path.strip("/") if root_path.strip("/") else ""
    steps = path.split("/")[1:]
    if not re.fullmatch(f"({STEP.pattern})*", path) or {".", ".."} & set(steps):
        raise BadRequest(
            f"the root path {root_path[:60]!r} is no path",
            hint="write steps of letters, digits, '-', '.', '_' and '~', as in /find",
        )
    if steps and steps[0] in OURS:
        raise BadRequest(
            f"the root path {path} begins like a path of the service itself",
            hint=f"choose one that does not begin with {', '.join(sorted(OURS))}",
        )
    return path


def stripped(scope: Scope, root_path: str) -> Scope:
    """The scope of a request without the prefix, whether or not the proxy has stripped it already.

    >>> [stripped({"path": path}, "/find")["path"] for path in ("/find/v1/search", "/v1/search", "/find", "/finder")]
    ['/v1/search', '/v1/search', '/', '/finder']
    """
    path: str = scope["path"]
    if root_path and (path == root_path or path.startswith(root_path + "/")):
        return dict(scope, path=path.removeprefix(root_path) or "/")
    return scope


def photo_url(root_path: str, crop_id: str) -> str:
    """Where the thumbnails of a crop's photo are, below the prefix of the service.

    >>> photo_url("/find", "P 1/2")
    '/find/v1/photo?id=P+1%2F2'
    """
    return f"{root_path}/v1/photo?{urlencode({'id': crop_id})}"
