"""Products and photos whose id stands in the query: any id passes any proxy there. In a path, a proxy may merge ``//``,
resolve ``..`` or decode ``%2F`` on the way."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from osoroi.server.admitted import ReadRoute, WriteRoute
from osoroi.server.api import photos, routes, schemas
from osoroi.server.api.routes import REFUSALS, body_schema

Id = Annotated[str, Query(description="The id, percent-encoded: `curl -G --data-urlencode id=…` does that.")]

reads = APIRouter(prefix="/v1", responses=REFUSALS, route_class=ReadRoute)
writes = APIRouter(prefix="/v1", responses=REFUSALS, route_class=WriteRoute)


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
    openapi_extra=body_schema(schemas.PutForm, "multipart/form-data"),
    tags=["products"],
)
async def put(request: Request, id: Id) -> Response:
    """Put a product with exactly these photos, or replace the one that stands under this id, whatever the id."""
    return await routes.put(request, id)


@writes.patch(
    "/product",
    response_model=schemas.ProductResponse,
    openapi_extra=body_schema(schemas.Metadata, "application/json"),
    tags=["products"],
)
async def patch(request: Request, id: Id) -> Response:
    """Change what is sent, and leave the rest; as `/v1/products/{product_id}`, for any id."""
    return await routes.patch(request, id)


@writes.delete("/product", response_model=schemas.RemovedResponse, tags=["products"])
async def remove(request: Request, id: Id) -> Response:
    """Remove a product, its vectors and the photos that were sent for it, whatever its id."""
    return await routes.remove(request, id)
