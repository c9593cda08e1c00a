"""What a page searches with: its state, the photo and its garments, and a second photo; from a form or an address.

So that a page can go on without scripts, it carries its photos, made small, in hidden fields.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace

from osoroi.errors import BadPhoto
from osoroi.garments import Garment
from osoroi.records import Box
from osoroi.server.api.photos import has_saliency, saliency_of
from osoroi.server.decoding import Thumbnail
from osoroi.server.forms import Form
from osoroi.server.pages import outfit
from osoroi.server.pages.rendering import DetailPhoto, QueryPhoto
from osoroi.server.pages.url_state import WHOLE, UrlState
from osoroi.server.prefix import photo_url
from osoroi.server.search_request import FindRequest, SearchRequest
from osoroi.server.service import Service

CARRIED_WIDTH = 1280
"""Pixels across of the photo that a page without scripts carries along."""
CARRIED_BYTES = 8 * 2**20
"""Bytes of that photo in the page, in base64."""
SHOWN_WIDTH = 960
"""Pixels across of the photo of the query that a page shows."""
ROW = 12
"""Products in the row of a garment, where all garments are shown."""


@dataclass(frozen=True)
class PageQuery:
    """What a page searches with: its state, a photo that came with the request, and that photo as the page shows it.

    ``detail_photo`` is a second photo, whose colour and pattern are wished for. ``known`` are the garments of the
    photo, or None before any were found; ``new`` says that they were found in this request.
    """

    state: UrlState
    photo: bytes | None = None
    shown: QueryPhoto | None = None
    detail_photo: bytes | None = None
    detail_shown: DetailPhoto | None = None
    known: Sequence[Garment] | None = None
    new: bool = False

    @property
    def searches(self) -> bool:
        """Whether there is anything to search with."""
        return self.photo is not None or self.state.has_query or self.state.text is not None

    @property
    def garments(self) -> list[Garment]:
        """What people in the photo wear and carry: what a page lets choose."""
        return [garment for garment in self.known or () if garment.person is not None]

    @property
    def content(self) -> Box | None:
        """Where a photo without people shows its garment."""
        return self.known[0].box if self.known and not self.garments else None

    @property
    def chosen(self) -> int | None:
        """The number of the garment that is searched with, or None for the whole photo and for a box of no garment."""
        return outfit.chosen_of(self.garments, self.state)

    def numbers(self) -> list[int | None]:
        """Garments to search with, the chosen one first; without any, one search. A look has them in their order."""
        if not self.garments:
            return [None]
        every: list[int | None] = list(range(1, len(self.garments) + 1))
        if self.state.every_garment:
            return every
        return [self.chosen, *(number for number in every if number != self.chosen)]

    def request(self, number: int | None) -> SearchRequest:
        """The search for a garment; the box of the state is that of the chosen one alone."""
        state = self.state if number == self.chosen else replace(self.state, box=None)
        if number is not None and self.state.every_garment:
            state = replace(state, k=ROW)
        box, kind = self.content if state.garment is None else None, None
        if number is not None:
            garment = self.garments[number - 1]
            box, kind = garment.box, garment.known_kinds if state.box is None else None
        return state.search_request(self.photo, box=box, kind=kind or None, detail_photo=self.detail_photo)


def photo_of(form: Form, name: str, carried_name: str) -> bytes | None:
    """The photo of a form: the file that was chosen, else the one that the page carried."""
    if photos := form.photos(most=1, name=name):
        return photos[0]
    if sum(len(part.content) for part in form.parts.get(carried_name, [])) > CARRIED_BYTES:
        raise BadPhoto("the photo that the page carried is not one of its own", hint="choose it again")
    carried = form.one(carried_name)
    if carried is None:
        return None
    try:
        return base64.b64decode(carried, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPhoto("the photo that the page carried came back broken", hint="choose it again") from error


async def carried(service: Service, photo: bytes, state: UrlState) -> PageQuery:
    """A photo made small enough to be carried, and the box in its pixels."""
    small, width, height = await _small(service, photo)
    scale = width / small.width
    box = state.box and Box(*(round(side * scale) for side in state.box))
    saliency = ""
    if state.saliency and has_saliency(service.encoder):
        saliency = _data(await saliency_of(service, small.jpeg, box, "street", SHOWN_WIDTH))
    shown = QueryPhoto(_data(small.jpeg), width, height, saliency, base64.b64encode(small.jpeg).decode())
    return PageQuery(replace(state, box=box), small.jpeg, shown)


async def with_detail(service: Service, query: PageQuery, photo: bytes) -> PageQuery:
    """The same query with a second photo, made small enough to be carried, and the box in its pixels."""
    small, width, height = await _small(service, photo)
    box = query.state.detail_box
    scaled = box and Box(*(round(side * width / small.width) for side in box))
    shown = DetailPhoto(_data(small.jpeg), width, height, base64.b64encode(small.jpeg).decode())
    state = replace(query.state, detail_box=scaled, detail_from=None)
    return replace(query, state=state, detail_photo=small.jpeg, detail_shown=shown)


async def _small(service: Service, photo: bytes) -> tuple[Thumbnail, int, int]:
    """A photo to be carried, with the width and height that it then has."""
    small = await service.decoder.thumbnail(photo, CARRIED_WIDTH)
    width = min(small.width, CARRIED_WIDTH)
    return small, width, max(1, round(small.height * width / small.width))


async def with_garments(service: Service, query: PageQuery) -> PageQuery:
    """The same query with the garments of its photo, found now unless they are known. In a photo of the catalog they
    are looked for where the address says so."""
    state = query.state
    of_address = state.crop_id is not None and (state.garment not in (None, WHOLE) or state.every_garment)
    wanted = query.photo is not None or of_address
    if query.known is not None or not wanted:
        return query
    garments = await service.find(FindRequest(query.photo, None if query.photo is not None else state.crop_id))
    return replace(query, known=garments, new=True)


async def preview(service: Service, photo: bytes) -> QueryPhoto | None:
    """A photo that the browser cannot draw, for it to show; None where the service cannot either."""
    try:
        small = await service.decoder.thumbnail(photo, SHOWN_WIDTH)
    except BadPhoto:
        return None  # the search is about to say why
    return QueryPhoto(_data(small.jpeg), small.width, small.height)


async def of_catalog(service: Service, query: PageQuery) -> PageQuery:
    """The photo of the crop, or of the product's first crop, that the address names."""
    state = query.state
    if state.crop_id is not None:
        crop_id = state.crop_id
        crop = await service.read_catalog(lambda catalog: catalog.crop(crop_id))
    else:
        product_id = state.product_id or ""
        crop = (await service.read_catalog(lambda catalog: catalog.crops(product_id)))[0]
    small = await service.decoder.thumbnail(await service.read(service.load, crop), SHOWN_WIDTH)
    url = f"{photo_url(state.root_path, crop.crop_id)}&width={SHOWN_WIDTH}"
    shown = QueryPhoto(url, small.width, small.height, f"{url}&saliency=1")
    return replace(query, state=replace(state, product_id=crop.product_id, crop_id=crop.crop_id), shown=shown)


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
