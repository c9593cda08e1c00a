"""``/widget.js``: the search that a shop puts on its own page with one script tag."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from osoroi.server.admitted import service_of

SCRIPT = Path(__file__).parent / "static" / "widget.js"

HEADERS = {
    "Cross-Origin-Resource-Policy": "cross-origin",  # pages of any origin may load the script; few may search with it
    "Cache-Control": "public, max-age=600",
}

router = APIRouter(include_in_schema=False)


@router.get("/widget.js")
async def widget(request: Request) -> Response:
    """The script, with an ETag."""
    script, tag = _script()
    service_of(request).finder.warm()  # somebody is about to choose a photo
    headers = {**HEADERS, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(script, headers=headers, media_type="text/javascript; charset=utf-8")


@cache
def _script() -> tuple[bytes, str]:
    script = SCRIPT.read_bytes()
    return script, f'"{hashlib.sha256(script).hexdigest()[:32]}"'
