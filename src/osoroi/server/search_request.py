"""The parameters of a search, parsed from a form and checked against the limits."""

import math
from dataclasses import dataclass

from osoroi.errors import BadRequest
from osoroi.records import Box
from osoroi.server.forms import Form
from osoroi.server.settings import Settings

FIELDS = ("photo", "crop_id", "product_id", "box", "kind", "k", "where", "detail")
"""Fields of ``POST /v1/search``."""

K = 10
"""Default of ``k``."""


@dataclass(frozen=True)
class SearchRequest:
    """One search: by a photo that was sent, or by a crop or a product of the catalog; never by two of them.

    With a crop, ``box`` selects another part of its photo. ``kind`` says what the garment is.
    ``where`` is a filter as text or as JSON text.
    """

    photo: bytes | None = None
    crop_id: str | None = None
    product_id: str | None = None
    box: Box | None = None
    kind: str | None = None
    k: int = K
    where: str | None = None
    detail: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("photo", "crop_id", "product_id") if getattr(self, name) is not None]
        if len(given) != 1:
            raise BadRequest(
                f"a search takes one of photo, crop_id and product_id; here is {' and '.join(given) or 'none'}",
                hint="send a photo as a file, as in: curl -F photo=@snap.jpg",
            )
        if self.product_id is not None and self.box is not None:
            raise BadRequest("a box needs a photo, and a product may have several", hint="send its crop_id instead")


def from_form(form: Form, settings: Settings) -> SearchRequest:
    """The search that a form describes; raises BadRequest naming the field that is wrong.

    >>> from osoroi.server.forms import Part
    >>> form = Form()
    >>> form.add("product_id", Part(b"P1", is_file=False))
    >>> from_form(form, Settings())
    SearchRequest(photo=None, crop_id=None, product_id='P1', box=None, kind=None, k=10, where=None, detail=None)
    """
    form.only(*FIELDS)
    photos = form.photos(most=1)
    return SearchRequest(
        photo=photos[0] if photos else None,
        crop_id=form.one("crop_id"),
        product_id=form.one("product_id"),
        box=box_of(form.one("box")),
        kind=form.one("kind"),
        k=k_of(form.one("k"), settings),
        where=form.one("where"),
        detail=detail_of(form.one("detail")),
    )


def box_of(text: str | None) -> Box | None:
    """A box from ``left,top,right,bottom``.

    >>> box_of("4,3,40,30")
    Box(left=4, top=3, right=40, bottom=30)
    """
    if text is None:
        return None
    try:
        left, top, right, bottom = (_whole(number) for number in text.split(","))
    except ValueError:
        raise BadRequest(
            f"box={text[:40]!r} is no box", hint="write left,top,right,bottom in whole pixels, as in 40,12,300,420"
        ) from None
    return Box(left, top, right, bottom)


def k_of(text: str | None, settings: Settings, *, default: int = K) -> int:
    """How many products; raises BadRequest beyond the limit."""
    try:
        k = default if text is None else _whole(text)
    except ValueError:
        k = 0
    if not 1 <= k <= settings.k:
        raise BadRequest(f"k={str(text)[:20]!r} is no whole number from 1 to {settings.k}", hint="ask for fewer")
    return k


def detail_of(text: str | None) -> float | None:
    """The weight of colour and pattern; raises BadRequest outside [0, 1].

    >>> detail_of("0.25"), detail_of(None)
    (0.25, None)
    """
    if text is None:
        return None
    try:
        detail = float(text)
    except ValueError:
        detail = math.nan
    if not 0 <= detail <= 1:
        raise BadRequest(
            f"detail={text[:20]!r} is no number from 0 to 1", hint="0 is shape alone, 1 colour and pattern alone"
        )
    return detail


def _whole(text: str) -> int:
    """A whole number of at most nine digits, as people write it (``int`` takes '1_0' and other scripts' digits)."""
    digits = text.strip()
    if not (digits.removeprefix("-").isdecimal() and digits.isascii() and len(digits) <= 10):
        raise ValueError(text)
    return int(digits)
