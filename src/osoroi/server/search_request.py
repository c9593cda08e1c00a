"""The parameters of a search, parsed from a form and checked against the limits."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from osoroi.catalog import filters
from osoroi.errors import BadRequest
from osoroi.garments import ALL, BY_NAME, Garment
from osoroi.image import swatch
from osoroi.records import Box, Kinds, as_float
from osoroi.server.forms import Form
from osoroi.server.settings import Settings
from osoroi.wishes import TEXT_LENGTH, K

if TYPE_CHECKING:
    from osoroi.words import Words

FIELDS = (
    "photo", "crop_id", "product_id", "text", "box", "kind", "garment", "look", "k", "offset", "where", "detail",
    "detail_from", "detail_box", "total",
)  # fmt: skip
"""Fields of ``POST /v1/search``."""

NAME = 60
"""Characters of a colour, or of what names a garment."""


@dataclass(frozen=True)
class SearchRequest:
    """One search: by a photo that was sent, or by a crop or a product of the catalog; never by two of them.

    ``text`` has words, alone or with one of these.

    In a photo or the photo of a crop, ``box`` selects a part, ``garment`` one of the garments that are found in it
    (``all`` gives a list for each). ``kind`` says what the garment is. ``where`` is a filter as text or as JSON text.
    ``detail_from`` is a colour, or the photo whose colour and pattern are wanted; ``detail_box`` is the garment in that
    photo. ``total`` asks how many products match ``where``.
    """

    photo: bytes | None = None
    crop_id: str | None = None
    product_id: str | None = None
    text: str | None = None
    box: Box | None = None
    garment: str | None = None
    kind: Kinds | None = None
    k: int = K
    offset: int = 0
    where: str | None = None
    detail: float | None = None
    detail_from: bytes | str | None = None
    detail_box: Box | None = None
    total: bool = False

    def __post_init__(self) -> None:
        require_one(self, "search", ("photo", "crop_id", "product_id"), alone="text")
        if self.text is not None and not self.text.strip():
            raise BadRequest("the text has no words", hint="write some, as in text=red floral dress")
        if self.text is not None and len(self.text) > TEXT_LENGTH:
            raise BadRequest(f"the text has {len(self.text)} characters", hint=f"write {TEXT_LENGTH} at most")
        if self.is_text_alone and (self.box is not None or self.garment is not None or self.detail is not None):
            raise BadRequest(
                "box, garment and detail are of a photo, and here are words alone", hint="leave them out, or send one"
            )
        if self.product_id is not None and (self.box is not None or self.garment is not None):
            what = "a box" if self.box is not None else "a garment"
            raise BadRequest(f"{what} needs a photo, and a product may have several", hint="send its crop_id instead")
        if self.box is not None and self.garment is not None:
            raise BadRequest("a search takes a box, or a garment that is found, not both", hint="leave one of them out")
        if self.kind is not None and self.garment is not None:
            raise BadRequest("the kind of a garment that is found is known", hint="leave the kind out")
        if self.detail_box is not None and not isinstance(self.detail_from, bytes):
            raise BadRequest("detail_box is a garment in the photo of detail_from", hint="send that photo as a file")

    @property
    def is_text_alone(self) -> bool:
        """Whether words are all there is."""
        return self.photo is None and self.crop_id is None and self.product_id is None

    @property
    def words(self) -> "Words | None":
        """What the words say, if there are any; a colour that is wished for goes before theirs."""
        if self.text is None:
            return None
        from osoroi.words.search import understood  # most searches need none of it

        return understood(self.text, color=self.detail_from if isinstance(self.detail_from, str) else None)

    def of(self, garment: Garment) -> "SearchRequest":
        """The same search by one garment that was found in its photo."""
        return replace(self, garment=None, box=garment.box, kind=garment.known_kinds)


@dataclass(frozen=True)
class FindRequest:
    """One request for garments: those of a photo that was sent, or of the photo of a crop of the catalog."""

    photo: bytes | None = None
    crop_id: str | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        require_one(self, "request for garments", ("photo", "crop_id"))


def require_one(request: object, what: str, names: Sequence[str], *, alone: str | None = None) -> None:
    """Raise BadRequest unless exactly one of these attributes is set, or none of them beside ``alone``."""
    given = [name for name in names if getattr(request, name) is not None]
    if len(given) > 1 or (not given and (alone is None or getattr(request, alone) is None)):
        choice = f"{', '.join(names[:-1])} and {names[-1]}"
        instead = "" if alone is None else f", or {alone}"
        raise BadRequest(
            f"a {what} takes one of {choice}{instead}; here is {' and '.join(given) or 'none'}",
            hint="send a photo as a file, as in: curl -F photo=@snap.jpg",
        )


def from_form(form: Form, settings: Settings) -> SearchRequest:
    """The search that a form describes; raises BadRequest naming the field that is wrong.

    >>> from osoroi.server.forms import FormPart
    >>> form = Form()
    >>> form.add("product_id", FormPart(b"P1", is_file=False))
    >>> form.add("detail_from", FormPart(b"navy", is_file=False))
    >>> request = from_form(form, Settings())
    >>> request.product_id, request.k, request.detail_from
    ('P1', 10, 'navy')
    """
    form.only(*FIELDS)
    photos = form.photos(most=1)
    return SearchRequest(
        photo=photos[0] if photos else None,
        crop_id=form.one("crop_id"),
        product_id=form.one("product_id"),
        text=form.one("text"),
        box=box_of(form.one("box")),
        garment=garment_of(form.one("garment"), form.one("look")),
        kind=kind_of(form.one("kind")),
        k=k_of(form.one("k"), settings),
        offset=offset_of(form.one("offset"), settings),
        where=form.one("where"),
        detail=detail_of(form.one("detail")),
        detail_from=detail_from_of(form),
        detail_box=box_of(form.one("detail_box"), "detail_box"),
        total=flag_of(form.one("total"), "total"),
    )


def find_from_form(form: Form) -> FindRequest:
    """The request for garments that a form describes; raises BadRequest naming the field that is wrong."""
    form.only("photo", "crop_id", "box")
    photos = form.photos(most=1)
    return FindRequest(photos[0] if photos else None, form.one("crop_id"), box_of(form.one("box")))


def garment_of(garment: str | None, all_of_them: str | None) -> str | None:
    """What names a garment; ``look`` stands for all of them.

    >>> garment_of("lower", None), garment_of(None, "true"), garment_of(None, "0")
    ('lower', 'all', None)
    """
    every = flag_of(all_of_them, "look")
    if garment is not None and len(garment) > NAME:
        raise BadRequest(f"garment={garment[:20]!r}… has more than {NAME} characters", hint="send its number or kind")
    if every and garment not in (None, ALL):
        raise BadRequest("look takes every garment, and garment one of them", hint="leave one of them out")
    return ALL if every else garment


def flag_of(text: str | None, name: str) -> bool:
    """Yes or no; raises BadRequest for anything else.

    >>> flag_of("1", "look"), flag_of(None, "look")
    (True, False)
    """
    answers = {None: False, "0": False, "false": False, "1": True, "true": True}
    if text not in answers:
        raise BadRequest(f"{name}={str(text)[:20]!r} is neither true nor false", hint=f"send {name}=true")
    return answers[text]


def kind_of(text: str | None) -> Kinds | None:
    """A kind by its name, or probabilities of kinds from JSON; raises BadRequest for JSON that is none.

    >>> kind_of("skirt"), kind_of('{"skirt": 0.9, "dress": 0.1}')
    ('skirt', {'skirt': 0.9, 'dress': 0.1})
    """
    if text is None or not text.lstrip().startswith("{"):
        return text
    try:
        kinds = json.loads(text)
        if kinds.keys() <= BY_NAME.keys() and all(0 <= as_float(value) <= 1 for value in kinds.values()):
            return {name: float(value) for name, value in kinds.items()}
    except (ValueError, TypeError, RecursionError):
        pass
    raise BadRequest(
        f"kind={text[:60]!r} has no probabilities of kinds", hint="send kinds as /v1/find names them, from 0 to 1"
    )


def detail_from_of(form: Form) -> bytes | str | None:
    """The photo of the field ``detail_from``, or its colour; raises BadRequest for what is no colour."""
    parts = form.parts.get("detail_from", [])
    if "detail_from" in form.empty or any(part.is_file for part in parts):
        return form.photos(most=1, name="detail_from")[0]
    return color_of(form.one("detail_from"))


def color_of(text: str | None) -> str | None:
    """A colour by its code or name, as it was written; raises BadRequest for what is none.

    >>> color_of("#b03a2e"), color_of("紺")
    ('#b03a2e', '紺')
    """
    if text is not None:
        swatch.parse(text[: NAME + 1])
    return text


def box_of(text: str | None, name: str = "box") -> Box | None:
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
            f"{name}={text[:40]!r} is no box", hint="write left,top,right,bottom in whole pixels, as in 40,12,300,420"
        ) from None
    return Box(left, top, right, bottom)


def k_of(text: str | None, settings: Settings, *, default: int = K) -> int:
    """How many products; raises BadRequest beyond the limit."""
    return default if text is None else _whole_within("k", text, 1, settings.k, example=min(default, settings.k))


def offset_of(text: str | None, settings: Settings) -> int:
    """How many of the best products to leave out; raises BadRequest beyond the limit."""
    return 0 if text is None else _whole_within("offset", text, 0, settings.offset, example=0)


def _whole_within(name: str, text: str, least: int, most: int, *, example: int) -> int:
    """A whole number of a range; raises BadRequest for what is none.

    >>> _whole_within("k", "200", 1, 200, example=10)
    200
    >>> _whole_within("k", "0", 1, 200, example=10)
    Traceback (most recent call last):
    osoroi.errors.BadRequest: k='0' is no whole number from 1 to 200; write it like k=10
    """
    try:
        number = _whole(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        problem = f"{name}={text[:20]!r} is no whole number from {least} to {most}"
        raise BadRequest(problem, hint=f"write it like {name}={example}")
    return number


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


def require_modest(where: str | None) -> None:
    """Refuse a filter that cannot be read or costs too much, before anything else is done; raises BadFilter."""
    if where:
        filters.require_modest(filters.parse(where))


def _whole(text: str) -> int:
    """A whole number of at most nine digits, as people write it (``int`` takes '1_0' and other scripts' digits)."""
    digits = text.strip()
    if not (digits.removeprefix("-").isdecimal() and digits.isascii() and len(digits) <= 10):
        raise ValueError(text)
    return int(digits)
