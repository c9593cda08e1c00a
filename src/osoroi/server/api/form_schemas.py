"""The forms that programs send, as the OpenAPI document shows them."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from osoroi.server.api.schemas import Metadata
from osoroi.wishes import TEXT_LENGTH

PHOTO: Final = "The photo, as a file: JPEG, PNG, WebP, AVIF, HEIF, GIF, BMP, TIFF."


class SearchForm(BaseModel):
    """One of ``photo``, ``crop_id`` and ``product_id``, or ``text`` alone or beside one of them, and how to search."""

    model_config = ConfigDict(extra="forbid")

    photo: Annotated[bytes, Field(description=PHOTO)] = b""
    crop_id: Annotated[str, Field(description="A photo in the catalog, instead.")] = ""
    product_id: Annotated[str, Field(description="A product in the catalog, instead: more like this.")] = ""
    text: Annotated[
        str,
        Field(
            max_length=TEXT_LENGTH,
            description="Words in English or Japanese, as in `red floral dress`: with a photo, products have its cut, "
            "and kind and colour of the words. Scores are then shares of what agrees, from 0 to 1.",
        ),
    ] = ""
    box: Annotated[str, Field(description="The garment: left,top,right,bottom in pixels of the upright photo.")] = ""
    garment: Annotated[
        str,
        Field(
            description="A garment that is found in the photo, instead of a box: its number in the list of `/v1/find`, "
            "its kind, or its place (upper, lower, whole, feet, carried, head); `all` is `look`."
        ),
    ] = ""
    kind: Annotated[
        str, Field(description="What the garment is: a kind as `/v1/find` names it, or `kinds` of it as JSON.")
    ] = ""
    every: Annotated[
        bool, Field(alias="look", description="One list for each garment of the photo; the answer is OutfitResponse.")
    ] = False
    k: Annotated[int, Field(ge=1, description="Products to find.")] = 10
    offset: Annotated[int, Field(ge=0, description="Products to leave out before them: the next page.")] = 0
    where: Annotated[str, Field(description="A filter, as text or JSON: category = skirts and price <= 5000.")] = ""
    detail: Annotated[
        float | None, Field(ge=0, le=1, description="Weight of colour and pattern; without it the encoder's own.")
    ] = None
    detail_from: Annotated[
        str,
        Field(
            description="Whose colour and pattern: a colour (#b03a2e, navy, 紺), or a second photo as a file; the "
            "shape is then that of the first."
        ),
    ] = ""
    detail_box: Annotated[str, Field(description="The garment in the photo of `detail_from`, as in `box`.")] = ""
    total: Annotated[bool, Field(description="Count the products that match `where`.")] = False


class FindForm(BaseModel):
    """One of ``photo`` and ``crop_id``."""

    model_config = ConfigDict(extra="forbid")

    photo: Annotated[bytes, Field(description=PHOTO)] = b""
    crop_id: Annotated[str, Field(description="A photo in the catalog, instead.")] = ""
    box: Annotated[str, Field(description="This box alone, whose kind is judged: left,top,right,bottom.")] = ""


class PutForm(BaseModel):
    """A product with its photos, which replace those it had."""

    model_config = ConfigDict(extra="forbid")

    photo: Annotated[list[bytes], Field(min_length=1, description="One file for each photo.")]
    product: Annotated[Metadata | None, Field(description="Its metadata as JSON, as a field or as a file.")] = None
    box: Annotated[
        list[str], Field(description="For each photo the garment's left,top,right,bottom, or empty for all of it.")
    ] = Field(default_factory=list)
