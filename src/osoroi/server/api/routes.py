"""``/v1``: each route takes what was received, calls the service and renders JSON."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ValidationError

from osoroi import __version__
from osoroi.errors import BadRequest, NotFound, OsoroiError, outcome
from osoroi.garments import ALL, fields
from osoroi.records import Box, Crop, Hit, Product
from osoroi.search import outfit_response, response
from osoroi.server import search_request
from osoroi.server.admitted import ReadRoute, SearchRoute, WriteRoute, content_of, form_of, service_of
from osoroi.server.api import form_schemas, schemas
from osoroi.server.body import STEP_BYTES
from osoroi.server.counting import Counting
from osoroi.server.limits import RETRY_S
from osoroi.server.prefix import photo_url
from osoroi.server.search_request import require_modest
from osoroi.server.service import Service

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": words}
    for status, words in {
        400: "The request contradicts itself or leaves a range.",
        401: "The key is missing or wrong.",
        404: "The catalog does not hold it.",
        408: "The body did not arrive in time.",
        409: "The catalog has moved to another encoder.",
        413: "The body is too large.",
        422: "The photo cannot be read or costs too much, or the box does not fit it.",
        503: "Too much is waiting, or another writer holds the catalog; ask again after Retry-After seconds.",
    }.items()
}

Model = TypeVar("Model", bound=BaseModel)

MESSAGE = 1000
"""Characters of an error message, and of its hint. What a client sent may stand in it."""

searches = APIRouter(prefix="/v1", responses=REFUSALS, route_class=SearchRoute)
reads = APIRouter(prefix="/v1", responses=REFUSALS, route_class=ReadRoute)
writes = APIRouter(prefix="/v1", responses=REFUSALS, route_class=WriteRoute)
plain = APIRouter()
ROUTERS = (searches, reads, writes, plain)

MISTAKE = {"error": "the service made a mistake", "hint": "its log says more"}
"""The answer to a request that met an error of ours; nothing of the error goes to the client."""


def to_json(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON as compact UTF-8; numbers that JSON lacks are refused rather than written."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "backslashreplace"), status, headers, "application/json")


def refusal(error: OsoroiError) -> Response:
    """The one form of an error."""
    content = {"error": shortened(error.what), "hint": shortened(error.hint)}
    return to_json(content, outcome(error)[1], {"X-Error-Type": type(error).__name__})


def shortened(text: str) -> str:
    """A message of bounded length.

    >>> len(shortened("there are: " + "a column, " * 1000))
    1000
    """
    return text if len(text) <= MESSAGE else text[: MESSAGE - 2] + " …"


def body_schema(form: type[BaseModel], media_type: str) -> dict[str, Any]:
    """What a route reads from its body, for the OpenAPI document."""
    schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {media_type: {"schema": _with_files(schema)}}}}


def _with_files(schema: dict[str, Any]) -> dict[str, Any]:
    """Bytes in a form are files, and OpenAPI 3.1 marks them by their media type."""
    for value in schema.get("properties", {}).values():
        for part in (value, value.get("items", {})):
            if part.pop("format", None) == "binary":
                part["contentMediaType"] = "application/octet-stream"
    return schema


@searches.post(
    "/find",
    response_model=schemas.FindResponse,
    openapi_extra=body_schema(form_schemas.FindForm, "multipart/form-data"),
    tags=["search"],
)
async def find(request: Request) -> Response:
    """Find the garments that people wear and carry in a photo, the largest person first."""
    start = time.perf_counter()
    garments = await service_of(request).find(search_request.find_from_form(form_of(request)))
    found = [fields(one) | {"kinds": one.kinds} for one in garments]
    return to_json({"garments": found, "took_s": round(time.perf_counter() - start, 6)})


@searches.post(
    "/search",
    response_model=schemas.SearchResponse | schemas.OutfitResponse,
    openapi_extra=body_schema(form_schemas.SearchForm, "multipart/form-data"),
    tags=["search"],
)
async def search(request: Request) -> Response:
    """Find the products that look like a garment in a photo, or like a product of the catalog, or that words describe.

    With `look`, or `garment=all`, there is one list for each garment of the photo.
    """
    start = time.perf_counter()
    service = service_of(request)
    parameters = search_request.from_form(form_of(request), service.settings)
    hits: list[Hit] = []
    lists: list[tuple[dict[str, Any], list[Hit]]] = []
    if parameters.garment is None:
        hits = await service.search(parameters)
    else:
        lists = [(fields(garment), hits) for garment, hits in await service.search_each(parameters)]
    total = await _count(service, parameters.where) if parameters.total else None
    took_s = time.perf_counter() - start
    said: dict[str, Any] = {
        "encoder": service.encoder.fingerprint,
        "detail": parameters.detail,
        "took_s": took_s,
        "offset": parameters.offset,
    }
    if parameters.text is not None:
        said["understood"] = vars(parameters.words)
    if parameters.garment == ALL:
        content = outfit_response(lists, **said)
    else:
        garment, hits = lists[0] if lists else (None, hits)
        content = response(hits, **said, garment=garment)
    for each in content.get("garments", [content]):
        for hit in each["hits"]:
            hit["photo"] = photo_url(service.settings.root_path, hit["crop_id"])
    return to_json(content if total is None else content | {"total": total})


@reads.get("/products", response_model=schemas.ListResponse, tags=["products"])
async def products(
    request: Request,
    after: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Products on a page.")] = 50,
    where: Annotated[str | None, Query(description="Only those that match this filter.")] = None,
    total: Annotated[bool, Query(description="Count those that match, on all pages together.")] = False,
    crops: Annotated[bool, Query(description="Name the photos of each.")] = False,
) -> Response:
    """The products of the catalog, page by page, in the order of their ids."""
    service = service_of(request)
    require_modest(where)
    page = await service.read_catalog(
        lambda catalog: list(catalog.products(where=where, after=after or "", limit=limit + 1))
    )
    more = len(page) > limit
    shown = [vars(product) for product in page[:limit]]
    content: dict[str, Any] = {"products": shown, "next": page[limit - 1].product_id if more else None}
    if crops:
        ids = [product.product_id for product in page[:limit]]
        stored = await service.read_catalog(lambda catalog: catalog.get_many(ids))
        known = [stored[product_id] for product_id in ids if product_id in stored]  # with their photos as of one moment
        content["products"] = [vars(one.product) for one in known]
        content["crops"] = {one.product.product_id: [crop.crop_id for crop in one.crops] for one in known}
    return to_json(content | ({"total": await _count(service, where)} if total else {}))


@reads.get("/facets", response_model=schemas.FacetsResponse, tags=["products"])
async def facets(
    request: Request,
    where: Annotated[str | None, Query(description="Count only the products that match this filter.")] = None,
) -> Response:
    """How many products match a filter, and how many of them have each value of each column: what a shop filters by.

    Counts are exact. Few requests wait for one at a time; those beyond are refused with 503.
    """
    require_modest(where)
    counting: Counting = request.app.state.counting
    counted = await counting.of(where or None)
    columns = [
        {**facet._asdict(), "choices": [choice._asdict() for choice in facet.choices]} for facet in counted.facets
    ]
    return to_json({"total": counted.total, "facets": columns, "seq": counted.seq})


@reads.get("/products/{product_id:path}", response_model=schemas.StoredProductResponse, tags=["products"])
async def product(request: Request, product_id: str) -> Response:
    """One product, and where its photos are."""
    service = service_of(request)
    stored = (await service.read_catalog(lambda catalog: catalog.get_many([product_id]))).get(product_id)
    if stored is None:
        raise _unknown(product_id)
    return to_json({"product": vars(stored.product), "crops": _crops(stored.crops, service.settings.root_path)})


@writes.put(
    "/products/{product_id:path}",
    response_model=schemas.PutResponse,
    openapi_extra=body_schema(form_schemas.PutForm, "multipart/form-data"),
    tags=["products"],
)
async def put(request: Request, product_id: str) -> Response:
    """Put a product with exactly these photos, or replace the one that stands under this id."""
    service = service_of(request)
    check_id(product_id)
    form = form_of(request)
    form.only("photo", "product", "box")
    photos = form.photos(most=service.settings.photos)
    product = product_of(product_id, _metadata(form.one("product") or "{}"))
    crops, seq = await service.put(product, photos, _boxes(form.texts("box"), len(photos)))
    return to_json({"product": vars(product), "crops": _crops(crops, service.settings.root_path), "seq": seq})


@writes.patch(
    "/products/{product_id:path}",
    response_model=schemas.ProductResponse,
    openapi_extra=body_schema(schemas.Metadata, "application/json"),
    tags=["products"],
)
async def patch(request: Request, product_id: str) -> Response:
    """Change what is sent, and leave the rest: price, title, attributes. Nothing is embedded again."""
    content, service = content_of(request), service_of(request)
    metadata = _metadata(content) if len(content) <= STEP_BYTES else await service.read(_metadata, content)
    changes = metadata.given()
    if not changes:
        raise BadRequest("nothing to change was sent", hint='send JSON, as in {"price": 3900}')
    return to_json(vars(await service.patch(product_id, changes)))


@writes.delete("/products/{product_id:path}", response_model=schemas.RemovedResponse, tags=["products"])
async def remove(request: Request, product_id: str) -> Response:
    """Remove a product, its vectors and the photos that were sent for it."""
    if not await service_of(request).remove(product_id):
        raise _unknown(product_id)
    return to_json({"removed": [product_id]})


@plain.get(
    "/health",
    response_model=schemas.HealthResponse,
    responses={503: {"model": schemas.HealthResponse, "description": "Searches fail; `status` says why."}},
    tags=["service"],
)
async def health(request: Request) -> Response:
    """Whether searches can be answered, and with what."""
    service = service_of(request)
    health = await service.health()
    status, headers = (200, {}) if health.status == "ok" else (503, {"Retry-After": str(RETRY_S)})
    settings = "rejected" if service.settings_rejected else "ok"
    runtime = str(service.encoder.runtime or "not measured")
    said = {"version": __version__, **health._asdict(), "runtime": runtime, "settings": settings}
    return to_json(said, status, headers)


@plain.get("/metrics", response_class=PlainTextResponse, tags=["service"])
async def metrics(request: Request) -> Response:
    """Requests, seconds, batches and queues, for Prometheus."""
    service = service_of(request)
    health, settings = await service.health(), service.settings
    ends_s = min((key.expires_s for key in settings.all_keys if key.expires_s), default=float("inf"))
    gauges = {
        "healthy": int(health.status == "ok"),
        "searches_limit": settings.searches,
        "first_key_expires_seconds": ends_s,
        "searches_inside": service.admission.inside["searches"],
        "reads_inside": service.admission.inside["reads"],
        "writes_inside": service.admission.inside["writes"],
        "batches_inside": service.admission.inside["batches"],
        "crops_waiting": len(service.batcher),
        "upload_bytes": service.memory.used,
        "connections": len(request.app.state.connections),
        "settings_rejected": int(service.settings_rejected),
        "products": health.products,
        "searchers_missing": len(health.missing),
    }
    return Response(service.metrics.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _count(service: Service, where: str | None) -> int:
    return await service.read_catalog(lambda catalog: catalog.count(where=where or None))


def _crops(crops: Sequence[Crop], root_path: str) -> list[dict[str, Any]]:
    return [{"crop_id": crop.crop_id, "box": crop.box, "photo": photo_url(root_path, crop.crop_id)} for crop in crops]


def _boxes(texts: Sequence[str], photos: int) -> list[Box | None]:
    if texts and len(texts) != photos:
        raise BadRequest(f"{photos} photos came with {len(texts)} boxes", hint="send one box for each photo, or none")
    return [search_request.box_of(text or None) for text in texts] or [None] * photos


def _metadata(text: str | bytes) -> schemas.Metadata:
    return parsed(schemas.Metadata, text)


def parsed(model: type[Model], text: str | bytes) -> Model:
    """JSON as a model; raises BadRequest that names the field that is wrong."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(step)[:60] for step in first["loc"])
        raise BadRequest(
            f"the product's JSON is not as it must be{f' at {place}' if place else ''}: {first['msg']}",
            hint=f"the fields stand in /openapi.json under {model.__name__}",
        ) from None


def product_of(product_id: str, metadata: schemas.Metadata) -> Product:
    """The product with this metadata."""
    columns: dict[str, Any] = {name: getattr(metadata, name) for name in schemas.COLUMNS_SENT}
    return Product(product_id=product_id, attributes=metadata.attribute_values(), **columns)


def check_id(product_id: str) -> None:
    """Raise BadRequest for what cannot be an id."""
    if not 1 <= len(product_id) <= 200 or not product_id.isprintable():
        raise BadRequest("a product id has 1 to 200 printable characters", hint="choose another id")


def _unknown(product_id: str) -> NotFound:
    return NotFound(f"the catalog holds no product {product_id[:200]!r}", hint="list them with GET /v1/products")
