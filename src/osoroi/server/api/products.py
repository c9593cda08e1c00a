"""Products as other systems send them: any id behind any proxy, and many products in one request.

An id in the query passes every proxy; in a path, one may merge ``//``, resolve ``..`` or decode ``%2F`` on the way.

``PUT`` and ``PATCH /v1/products`` take a JSON object a line (NDJSON). Lines are done and answered one by one, in their
order. A line that is wrong is answered with its error and stops no other; one that was answered is on the disk. Answers
are sent while lines still come, and wait in memory for a client that reads them only after its last line: otherwise
both would wait for each other.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from osoroi.errors import BadRequest, OsoroiError, TooMuch, outcome
from osoroi.records import Box
from osoroi.server import forms
from osoroi.server.admitted import ReadRoute, WriteRoute, service_of
from osoroi.server.api import form_schemas, photos, routes, schemas
from osoroi.server.api.routes import REFUSALS, body_schema, check_id, parsed, product_of, shortened
from osoroi.server.body import STEP_BYTES, BodyLine, Lines
from osoroi.server.service import Service

log = logging.getLogger("osoroi.server")

NDJSON = "application/x-ndjson"
TYPES = (NDJSON, "application/jsonl", "application/x-jsonlines")

Apply = Callable[[Service, bytes, dict[str, Any]], Awaitable[None]]
"""Does what one line says; adds to the answer of the line what is known of it."""

Id = Annotated[str, Query(description="The id, percent-encoded: `curl -G --data-urlencode id=…` does that.")]

router = APIRouter(prefix="/v1", responses=REFUSALS)
reads = APIRouter(prefix="/v1", responses=REFUSALS, route_class=ReadRoute)
writes = APIRouter(prefix="/v1", responses=REFUSALS, route_class=WriteRoute)
ROUTERS = (router, reads, writes)


@reads.get("/photo", response_class=Response, responses=photos.JPEG, tags=["photos"])
async def photo(
    request: Request, id: Id, width: photos.Width = photos.WIDTH, saliency: photos.Saliency = False
) -> Response:
    """A photo of a product as a small JPEG, with an ETag; as `/v1/photos/{crop_id}`, for any id."""
    return await photos.photo(request, id, width, saliency)


@reads.get("/product", response_model=schemas.StoredProductResponse, tags=["products"])
async def product(request: Request, id: Id) -> Response:
    """One product, and where its photos are; as `/v1/products/{product_id}`, for any id."""
    return await routes.product(request, id)


@writes.put(
    "/product",
    response_model=schemas.PutResponse,
    openapi_extra=body_schema(form_schemas.PutForm, "multipart/form-data"),
    tags=["products"],
)
async def put_one(request: Request, id: Id) -> Response:
    """Put a product with exactly these photos, or replace the one that stands under this id, whatever the id."""
    return await routes.put(request, id)


@writes.patch(
    "/product",
    response_model=schemas.ProductResponse,
    openapi_extra=body_schema(schemas.Metadata, "application/json"),
    tags=["products"],
)
async def patch_one(request: Request, id: Id) -> Response:
    """Change what is sent, and leave the rest; as `/v1/products/{product_id}`, for any id."""
    return await routes.patch(request, id)


@writes.delete("/product", response_model=schemas.RemovedResponse, tags=["products"])
async def remove(request: Request, id: Id) -> Response:
    """Remove a product, its vectors and the photos that were sent for it, whatever its id."""
    return await routes.remove(request, id)


def documented(model: str) -> dict[str, Any]:
    """What a route reads and answers line by line, for the OpenAPI document."""
    line, answer = ({"schema": {"$ref": f"#/components/schemas/{name}"}} for name in (model, "LineResponse"))
    return {
        "requestBody": {"required": True, "content": {NDJSON: line}},
        "responses": {"200": {"description": "One object for each line.", "content": {NDJSON: answer}}},
    }


@router.put("/products", response_class=Response, openapi_extra=documented("ProductLine"), tags=["products"])
async def put(request: Request) -> Response:
    """Put many products: a JSON object a line, each answered by a line.

    A product with `photos` gets exactly these; without, it keeps those it has. Putting the same again changes nothing.
    Lines are answered in their order as they are done, and an answered one is durable. Wrong lines stop no other.
    """
    return BatchResponse(request, _put)


@router.patch("/products", response_class=Response, openapi_extra=documented("ChangeLine"), tags=["products"])
async def patch(request: Request) -> Response:
    """Change many products: a JSON object a line, each answered by a line. What is not sent stays.

    Nothing is embedded again: prices and stock of a whole shop are a matter of seconds.
    """
    return BatchResponse(request, _patch)


class BatchResponse(Response):
    """The answer to a batch, which does its work while it is sent."""

    def __init__(self, request: Request, apply: Apply) -> None:
        kind = forms.media_type(request.headers.get("content-type", ""))
        if kind not in TYPES:
            raise BadRequest(
                f"a body of the type {kind[:60] or 'unknown'!r} is not understood",
                hint=f"send lines of JSON with the header Content-Type: {NDJSON}",
            )
        super().__init__(media_type=NDJSON)
        del self.headers["content-length"]
        self.request = request
        self.service = service_of(request)
        self._apply = apply
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the gate, then do and answer line by line. Raises TooMuch, before anything is sent, where it is full."""
        async with self.service.admission.admit("batches", limited=False):
            work = asyncio.create_task(self._work())
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                while (answer := await self._answers.get()) is not None:
                    await send({"type": "http.response.body", "body": answer, "more_body": True})
                await work
                await send({"type": "http.response.body", "body": b""})
            finally:
                work.cancel()

    async def _work(self) -> None:
        try:
            async for line in Lines(self.request, self.service.settings, self.service.memory).read():
                self._answers.put_nowait(await self._answer(line))
        except ClientDisconnect:
            return  # nobody reads an answer, and the line that was cut is none
        finally:
            self._answers.put_nowait(None)

    async def _answer(self, line: BodyLine) -> bytes:
        answer: dict[str, Any] = {"line": line.number, "product_id": None, "status": 200}
        try:
            if line.error is not None:
                raise line.error
            async with asyncio.timeout(self.service.settings.answer_s):
                await self._apply(self.service, line.content, answer)
        except (OsoroiError, TimeoutError) as error:
            refused = error if isinstance(error, OsoroiError) else TooMuch("no time was left", hint="send it again")
            answer |= {"status": outcome(refused)[1], "error": shortened(refused.what), "hint": shortened(refused.hint)}
        except Exception:  # a mistake of ours stops no other line
            log.exception("a line of a batch failed")  # without the line, which is the client's
            answer |= {"status": 500, **routes.MISTAKE}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


async def _put(service: Service, content: bytes, answer: dict[str, Any]) -> None:
    line = await _parsed(service, schemas.ProductLine, content, answer)
    product = product_of(line.product_id, line)
    if line.photos is None:
        from osoroi.server import writing  # searches need none of it

        await service.current(lambda: writing.put_metadata(service, product))
        return
    most = service.settings.photos
    if not 1 <= len(line.photos) <= most:
        hint = f"choose {most} of the {len(line.photos)}" if line.photos else "leave photos out to keep them"
        raise BadRequest(f"a product has 1 to {most} photos", hint=hint)
    boxes = [Box(*photo.box) if photo.box else None for photo in line.photos]
    await service.put(product, [photo.base64 for photo in line.photos], boxes)


async def _patch(service: Service, content: bytes, answer: dict[str, Any]) -> None:
    line = await _parsed(service, schemas.ChangeLine, content, answer)
    changes = line.given()
    if not changes:
        raise BadRequest("nothing to change was sent", hint='send JSON, as in {"product_id": "P1", "price": 3900}')
    await service.patch(line.product_id, changes)


async def _parsed(
    service: Service, model: type[schemas.LineModel], content: bytes, answer: dict[str, Any]
) -> schemas.LineModel:
    """The line as an object. Its id goes into the answer, where it is legible, of a wrong line too. Long lines are
    parsed on a thread."""
    short = len(content) <= STEP_BYTES
    try:
        line = parsed(model, content) if short else await service.read(parsed, model, content)
    except BadRequest:
        answer["product_id"] = _legible_id(content) if short else await service.read(_legible_id, content)
        raise
    answer["product_id"] = line.product_id
    check_id(line.product_id)
    return line


def _legible_id(content: bytes) -> str | None:
    try:
        return parsed(schemas.LineId, content).product_id
    except BadRequest:
        return None
