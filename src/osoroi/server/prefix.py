"""The path under which a proxy offers the service, such as ``/find``: stripped from requests, put before links."""

import re

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
