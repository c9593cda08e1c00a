"""Photos as people see them: small, upright, always a JPEG made here, whatever the shop's file was."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from osoroi import image
from osoroi.errors import BadPhoto, BadRequest, NotFound
from osoroi.records import Crop
from osoroi.server import forms
from osoroi.server.api.routes import REFUSALS, body_of, service_of
from osoroi.server.pages import saliency
from osoroi.server.query import box_of
from osoroi.server.service import Service

WIDTHS = (80, 160, 240, 320, 480, 640, 960, 1280, 1600)
"""Widths that are made; others are rounded up, so that nobody fills the cache with 1,600 sizes of one photo."""

WIDTH = 320
FORMAT = "1"
"""Raised when the same photo comes out differently, so that browsers ask again."""

router = APIRouter(prefix="/v1", responses=REFUSALS)

JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "A JPEG."},
    304: {"description": "It has not changed."},
}


class Cache:
    """The thumbnails asked for last, up to a number of bytes.

    >>> cache = Cache(5)
    >>> cache.get("a", lambda: b"123"), cache.get("b", lambda: b"456"), cache.get("a", lambda: b"made again")
    (b'123', b'456', b'made again')
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._photos: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The photo under ``key``, made where it is not held."""
        with self._lock:
            if key in self._photos:
                self._photos.move_to_end(key)
                return self._photos[key]
        photo = make()
        with self._lock:
            self.held += len(photo) - len(self._photos.get(key, b""))
            self._photos[key] = photo
            while self.held > self.limit and self._photos:
                self.held -= len(self._photos.popitem(last=False)[1])
        return photo


@router.get("/photos/{crop_id:path}", response_class=Response, responses=JPEG, tags=["photos"])
async def photo(
    request: Request,
    crop_id: str,
    width: Annotated[
        int, Query(ge=16, le=1600, description="At most so wide; rounded up to a width that is kept.")
    ] = WIDTH,
    show_looked: Annotated[bool, Query(alias="looked", description="Fade what the encoder did not look at.")] = False,
) -> Response:
    """A photo of a product as a small JPEG, with an ETag."""
    service = service_of(request)
    width = next(size for size in WIDTHS if size >= width)
    async with service.reads.pass_():
        crop = await service.read(service.catalog.crop, crop_id)
        tag = await service.read(_tag, crop, width, service.encoder.fingerprint if show_looked else "")
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if tag in [given.strip().removeprefix("W/") for given in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        cache: Cache = request.app.state.thumbnails
        data = await service.read(cache.get, tag, lambda: _make(service, crop, width, show_looked))
    return Response(data, headers=headers, media_type="image/jpeg")


@router.post(
    "/looked",
    response_class=Response,
    responses={200: JPEG[200]},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["photo"],
                        "additionalProperties": False,
                        "properties": {
                            "photo": {"type": "string", "contentMediaType": "application/octet-stream"},
                            "box": {"type": "string"},
                        },
                    }
                }
            },
        }
    },
    tags=["photos"],
)
async def look(request: Request) -> Response:
    """A photo that is sent, with what the encoder does not look at faded. It is not kept."""
    service = service_of(request)
    async with body_of(request) as body:
        form = forms.parse(body, request.headers.get("content-type", ""))
        form.only("photo", "box")
        photos = form.files.get("photo", [])
        if len(photos) != 1:
            raise BadRequest("send one photo as a file", hint="as in: curl -F photo=@snap.jpg")
        box = box_of(form.one("box"))
        async with service.searches.pass_():
            data = await service.read(saliency.photo, service.encoder, photos[0], box, "street", 960, service.limits)
    return Response(data, headers={"Cache-Control": "no-store"}, media_type="image/jpeg")


def _tag(crop: Crop, width: int, looked_by: str) -> str:
    """The ETag of one thumbnail."""
    key = f"{_version(crop)} {crop.box} {width} {looked_by} {FORMAT}"
    return f'"{hashlib.sha256(key.encode()).hexdigest()[:32]}"'


def _version(crop: Crop) -> str:
    """What tells a photo from the one that stood there before: its bytes' hash, or its file's time and size."""
    if isinstance(crop.photo, Path):
        try:
            state = crop.photo.stat()
        except OSError:
            return "gone"
        return f"{crop.sha256} {state.st_mtime_ns} {state.st_size}"
    return f"{crop.sha256} {crop.crop_id}"


def _make(service: Service, crop: Crop, width: int, show_looked: bool) -> bytes:
    data = service.load(crop)
    try:
        if show_looked:
            return saliency.photo(service.encoder, data, crop.box, "shop", width, service.limits)
        return image.thumbnail(data, width, limits=service.limits)
    except BadPhoto:
        raise NotFound(f"the photo of crop {crop.crop_id[:200]!r} is broken", hint="add the product again") from None
