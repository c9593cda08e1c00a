"""Thumbnails: small, upright, always a JPEG made here, whatever the shop's file was."""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from osoroi.errors import BadPhoto, BadRequest, NotFound
from osoroi.records import Box, Crop, Domain
from osoroi.server.admitted import ReadRoute, SearchRoute, form_of, service_of
from osoroi.server.api.routes import REFUSALS
from osoroi.server.search_request import box_of
from osoroi.server.service import Service

if TYPE_CHECKING:
    from osoroi.encoder import Encoder

WIDTHS = (80, 160, 240, 320, 480, 640, 960, 1280, 1600)
"""Widths that are made; others are rounded up, so that 1,600 sizes of one photo cannot fill the cache."""

WIDTH = 320
Width = Annotated[int, Query(ge=16, le=1600, description="At most so wide; rounded up to a width that is kept.")]
Saliency = Annotated[bool, Query(description="Fade what the encoder's foreground head passes over.")]
FORMAT = "1"
"""Raised when the same photo comes out differently, so that browsers load it again."""

reads = APIRouter(prefix="/v1", responses=REFUSALS, route_class=ReadRoute)
searches = APIRouter(prefix="/v1", responses=REFUSALS, route_class=SearchRoute)
ROUTERS = (reads, searches)

JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "A JPEG."},
    304: {"description": "It has not changed."},
}


class Cache:
    """The thumbnails that were used last, up to a number of bytes. Lives on one event loop.

    >>> cache = Cache(5)
    >>> cache.put("a", b"123"), cache.put("b", b"456"), cache.get("a"), cache.get("b")
    (None, None, None, b'456')
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._photos: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The photo under ``key``, or None."""
        if key in self._photos:
            self._photos.move_to_end(key)
        return self._photos.get(key)

    def put(self, key: str, photo: bytes) -> None:
        """Add a photo; those that were not used for longest make room."""
        self.bytes += len(photo) - len(self._photos.get(key, b""))
        self._photos[key] = photo
        while self.bytes > self.limit and self._photos:
            self.bytes -= len(self._photos.popitem(last=False)[1])


@reads.get("/photos/{crop_id:path}", response_class=Response, responses=JPEG, tags=["photos"])
async def photo(
    request: Request,
    crop_id: str,
    width: Width = WIDTH,
    saliency: Saliency = False,
) -> Response:
    """A photo of a product as a small JPEG, with an ETag."""
    service = service_of(request)
    width = next(size for size in WIDTHS if size >= width)
    crop = await service.read_catalog(lambda catalog: catalog.crop(crop_id))
    tag = await service.read(_tag, crop, width, service.encoder.fingerprint if saliency else "")
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in [given.strip().removeprefix("W/") for given in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    cache: Cache = request.app.state.thumbnails
    data = cache.get(tag)
    if data is None:
        data = await _make(service, crop, width, saliency)
        cache.put(tag, data)
    return Response(data, headers=headers, media_type="image/jpeg")


@searches.post(
    "/saliency",
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
async def saliency(request: Request) -> Response:
    """A photo that is sent, with what the encoder's foreground head passes over faded. It is not kept."""
    service, form = service_of(request), form_of(request)
    form.only("photo", "box")
    photos = form.photos(most=1)
    if not photos:
        raise BadRequest("send one photo as a file", hint="as in: curl -F photo=@snap.jpg")
    data = await saliency_of(service, photos[0], box_of(form.one("box")), "street", 960)
    return Response(data, headers={"Cache-Control": "no-store"}, media_type="image/jpeg")


def _tag(crop: Crop, width: int, head: str) -> str:
    """The ETag of one thumbnail."""
    key = f"{_version(crop)} {crop.box} {width} {head} {FORMAT}"
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


async def _make(service: Service, crop: Crop, width: int, saliency: bool) -> bytes:
    data = await service.read(service.load, crop)
    try:
        if saliency:
            return await saliency_of(service, data, crop.box, "shop", width)
        return (await service.decoder.thumbnail(data, width)).jpeg
    except BadPhoto:
        raise NotFound(f"the photo of crop {crop.crop_id[:200]!r} is broken", hint="add the product again") from None


def has_saliency(encoder: "Encoder") -> bool:
    """Whether the encoder has a foreground head."""
    try:
        encoder.foreground(np.full(encoder.preprocessing["street"].shape, 128, np.uint8))
    except BadRequest:
        return False
    return True


async def saliency_of(service: Service, photo: bytes, box: Box | None, domain: Domain, width: int) -> bytes:
    """A JPEG of the photo with what the foreground head passes over faded; BadRequest where there is no head."""
    preprocessing = service.encoder.preprocessing[domain]
    crop = await service.decoder.crop(photo, box, preprocessing)
    attention = await service.read(service.encoder.foreground, crop)
    return await service.decoder.saliency(photo, box, preprocessing, attention, width)
