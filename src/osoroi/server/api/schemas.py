"""The JSON that programs send and get, as the OpenAPI document shows it.

What is sent is checked against these; what is answered is made from the records and stands here for readers.
"""

import binascii
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

from osoroi.catalog.filters import COLUMNS
from osoroi.garments import KINDS
from osoroi.records import Value, as_value


def _plain(text: str) -> str:
    """Text without control characters: they are no title, and break lines in logs and headers."""
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise ValueError("control characters and surrogates are not allowed")
    return text


Text = Annotated[str, Field(max_length=2000), AfterValidator(_plain)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]
JsonScalar = (
    StrictBool
    | Annotated[StrictInt, Field(ge=-(10**15), le=10**15)]
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
)
String = Annotated[StrictStr, Field(max_length=2000), AfterValidator(_plain)]
Several = list[String] | list[Number]
Attribute = String | JsonScalar | Annotated[Several, Field(max_length=200)] | None


class Metadata(BaseModel):
    """The metadata of a product. ``attributes`` are columns of the shop's own."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    title: Text = ""
    category: Text | None = None
    brand: Text | None = None
    price: Annotated[Number, Field(ge=0)] | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    url: Text | None = None
    design_id: Text | None = None
    attributes: Annotated[dict[Name, Attribute], Field(max_length=200)] = Field(default_factory=dict)

    def given(self) -> dict[str, Value]:
        """The fields that were sent, as ``Storage.patch`` names them."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS_SENT if name in self.model_fields_set}
        return columns | {f"attributes.{name}": value for name, value in self.attribute_values().items()}

    def attribute_values(self) -> dict[str, Value]:
        """The attributes; whole numbers are kept as floats, as everywhere."""
        return {name: as_value(value) for name, value in self.attributes.items()}


COLUMNS_SENT = tuple(name for name in Metadata.model_fields if name != "attributes")
"""The columns of a product besides its id."""

assert set(COLUMNS_SENT) == set(COLUMNS) - {"product_id"}


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError("base64 is text")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise ValueError("this is no base64") from None


class LinePhoto(BaseModel):
    """A photo in a line of a batch."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    base64: Annotated[
        bytes,
        BeforeValidator(_decoded),
        Field(description="The file of the photo, in base64.", json_schema_extra={"format": "byte"}),
    ]
    box: Annotated[
        tuple[StrictInt, StrictInt, StrictInt, StrictInt] | None,
        Field(description="The garment: left, top, right, bottom in pixels of the upright photo; null for all of it."),
    ] = None


class ProductLine(Metadata):
    """A product in a batch: its metadata and its photos."""

    product_id: str
    photos: Annotated[
        list[LinePhoto] | None, Field(description="Its photos; without them it keeps those that it has.")
    ] = None


class ChangeLine(Metadata):
    """Changes of a product in a batch; what is not sent stays."""

    product_id: str


LineModel = TypeVar("LineModel", ProductLine, ChangeLine)


class LineId(BaseModel):
    """What is legible of a line that is wrong."""

    product_id: str = Field(max_length=200)


class LineResponse(BaseModel):
    """What became of one line of a batch: its number from 1, and the status that it would have had alone.

    200 says that it is on the disk. Any other comes with what is wrong and what to do, and with the id where that was
    legible.
    """

    line: int
    product_id: str | None
    status: int
    error: str = ""
    hint: str = ""


class ProductResponse(Metadata):
    """A product of the catalog."""

    product_id: str


class CropResponse(BaseModel):
    """A photo of a product. ``photo`` is where its thumbnail is."""

    crop_id: str
    box: tuple[int, int, int, int] | None
    photo: str


class StoredProductResponse(BaseModel):
    """A product and its photos."""

    product: ProductResponse
    crops: list[CropResponse]


class PutResponse(StoredProductResponse):
    """A product that was put; ``seq`` is the number of the change in the catalog."""

    seq: int


class ListResponse(BaseModel):
    """A page of products in the order of their ids; ``after=next`` gives the page that follows."""

    products: list[ProductResponse]
    next: str | None
    crops: Annotated[
        dict[str, list[str]] | None,
        Field(description="Product id to the ids of its photos; left out unless asked for."),
    ] = None
    total: Annotated[int | None, Field(description="Products on all pages; left out unless it was asked for.")] = None


class HitResponse(BaseModel):
    """A product found: its score, its best photo, and the cosine of each part of the vector."""

    rank: int
    product_id: str
    score: float
    crop_id: str
    photo: Annotated[str, Field(description="Where the thumbnail of that photo is; append `&width=` and a number.")]
    product: ProductResponse
    parts: dict[str, float]
    probability: Annotated[
        float | None, Field(description="Chance that it is the very product; null where the query does not allow one.")
    ]
    other_kind: Annotated[
        bool, Field(description="Whether it is of another kind than the query, and so is all that follows it.")
    ]


class GarmentResponse(BaseModel):
    """A garment in a photo."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [kind.name for kind in KINDS]})]
    kind_ja: Annotated[str, Field(description="The kind in Japanese.")]
    box: Annotated[
        tuple[int, int, int, int], Field(description="Left, top, right, bottom in pixels of the upright photo.")
    ]
    score: Annotated[float, Field(ge=0, le=1, description="How sure the kind is.")]
    person: Annotated[int | None, Field(description="People count from 0, the largest first; null: nobody wears it.")]
    colors: Annotated[list[str], Field(description="Its main colours, as `detail_from` takes them.")]


class GarmentWithKinds(GarmentResponse):
    """A garment that was found, with the probability of each kind that it may be: `kind` of a search takes them."""

    kinds: dict[str, float]


class FindResponse(BaseModel):
    """The garments of a photo: people from the largest to the smallest, and of each the largest garment first."""

    garments: list[GarmentWithKinds]
    took_s: float


TOTAL = "Products that match `where`, that of the query too; left out unless it was asked for."


class Understood(BaseModel):
    """What was understood of words."""

    text: str
    kind: Annotated[str | None, Field(json_schema_extra={"enum": [*(kind.name for kind in KINDS), None]})]
    colors: Annotated[list[str], Field(description="Names of colours, or the colour of `detail_from` in their place.")]
    pattern: str | None
    rest: Annotated[list[str], Field(description="All other words, which only titles are searched for.")]


UNDERSTOOD = "What was understood of `text`; left out without it."


class Listed(BaseModel):
    """A list of products, best first."""

    hits: list[HitResponse]
    probability: Annotated[
        float | None, Field(description="Chance that the very product is among the hits; null as for a hit.")
    ]
    nothing_like_it: Annotated[
        bool, Field(description="Whether that chance is below .2: the nearest are shown all the same.")
    ]


class Searched(BaseModel):
    """How a search was done; ``detail`` is null where the encoder's own weight was used."""

    understood: Annotated[Understood | None, Field(description=UNDERSTOOD)] = None
    encoder: str
    detail: float | None
    took_s: float
    total: Annotated[int | None, Field(description=TOTAL)] = None


class SearchResponse(Searched, Listed):
    """As ``osoroi search --json`` prints it; ``detail`` is null where the encoder's own weight was used."""

    garment: Annotated[
        GarmentResponse | None, Field(description="The one of the field `garment`; left out without that field.")
    ] = None


class GarmentHits(Listed, GarmentResponse):
    """A garment in a photo, and the products that look like it."""


class OutfitResponse(Searched):
    """One list of products for each garment of a photo, as ``osoroi search --garment all --json`` prints it."""

    garments: list[GarmentHits]


class ChoiceResponse(BaseModel):
    """One value of a column, and the number of products that have it."""

    value: str
    products: int


class FacetResponse(BaseModel):
    """One column to filter by, as filters name it. A flag has `yes` and `no`; a range has its ends."""

    column: str
    kind: Literal["choice", "flag", "range"]
    choices: list[ChoiceResponse]
    least: float | None
    most: float | None


class FacetsResponse(BaseModel):
    """The columns to filter by, with counts under one filter. ``seq`` is the state of the catalog they are of."""

    total: Annotated[int, Field(description="Products that match the filter.")]
    facets: list[FacetResponse]
    seq: int


class RemovedResponse(BaseModel):
    """The products that were removed."""

    removed: list[str]


class HealthResponse(BaseModel):
    """Whether searches can be answered, and with what."""

    status: Annotated[
        Literal["ok", "other_encoder", "replaced", "unavailable"],
        Field(description="All but `ok` come with 503: the catalog moved to another encoder, was replaced, or fails."),
    ]
    version: str
    products: int
    encoder: str
    runtime: Annotated[str, Field(description="How the encoder runs: precision, threads, batches and milliseconds.")]
    settings: Annotated[
        Literal["ok", "rejected"],
        Field(description="`rejected`: the files hold something wrong now, and what they said before is in force."),
    ]
    missing: Annotated[
        list[str], Field(description="Searchers of a cluster that are away just now; searches do without them.")
    ]


class ErrorResponse(BaseModel):
    """What is wrong and, where it is known, what to do."""

    error: str
    hint: str


NAMED_ONLY: tuple[type[BaseModel], ...] = (Metadata, LinePhoto, ProductLine, ChangeLine, LineResponse)
"""Models that bodies name and no route returns as JSON: the framework does not put them into the document."""
