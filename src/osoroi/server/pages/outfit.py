"""The garments of a photo on the page: their names, the one that is chosen, and the form's field that carries them.

Finding costs more than a search. So a page that knows its garments sends them along, and nothing is found twice.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from osoroi.errors import BadRequest
from osoroi.garments import BY_NAME, Garment
from osoroi.records import Box
from osoroi.server.pages.i18n import PageTexts
from osoroi.server.pages.url_state import WHOLE, UrlState
from osoroi.server.search_request import box_of

MOST = 48
"""Garments that a page carries along; more are never found."""
LENGTH = 16_000
"""Characters of the field that carries them."""
CODE = re.compile("#[0-9a-f]{6}")
"""A colour, as a page writes it."""


class Mark(NamedTuple):
    """One garment on the page: ``number`` counts from 1, ``box`` is in pixels of the photo that the page shows.

    ``name`` is that of its kind, ``heading`` says whose it is too, and ``label`` which of how many besides.
    """

    number: int
    kind: str
    name: str
    heading: str
    label: str
    box: Box
    colors: tuple[str, ...]
    person: int | None
    chosen: bool
    address: str

    def naming(self, kind: str | None, lang: str) -> "Mark":
        """The same garment under a heading that names the kind that is listed for it: words may wish for another."""
        if kind is None or kind == self.kind:
            return self
        return self._replace(heading=kind_name(kind, lang) + self.heading.removeprefix(self.name))


def marks(garments: Sequence[Garment], state: UrlState, words: PageTexts, lang: str) -> list[Mark]:
    """The garments with their names. Where several people are seen, heading and label say whose it is."""
    chosen = chosen_of(garments, state)
    crowd = len({garment.person for garment in garments}) > 1
    made = []
    for number, garment in enumerate(garments, start=1):
        name = kind_name(garment.kind, lang)
        label = words["garment_n"].format(name=name, n=number, all=len(garments))
        whose = words["of_person"].format(n=garment.person + 1) if crowd and garment.person is not None else ""
        made.append(
            Mark(
                number,
                garment.kind,
                name,
                name + whose,
                label + whose,
                garment.box,
                garment.colors,
                garment.person,
                number == chosen and not state.every_garment,
                state.address(garment=str(number), box=None, every_garment=False, k=UrlState.k),
            )
        )
    return made


def kind_name(kind: str, lang: str) -> str:
    """The name of a kind as the page writes it.

    >>> kind_name("skirt", "en"), kind_name("skirt", "ja")
    ('Skirt', 'スカート')
    """
    return BY_NAME[kind].japanese if lang == "ja" else kind[:1].upper() + kind[1:]


def plural_of(kind: str) -> str:
    """Several of a kind, in English.

    >>> [plural_of(kind) for kind in ("top", "dress", "scarf", "shoes", "outerwear")]
    ['tops', 'dresses', 'scarves', 'shoes', 'outerwear']
    """
    if kind in ("trousers", "shorts", "shoes") or kind.endswith("wear"):
        return kind
    if kind == "scarf":
        return "scarves"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def chosen_of(garments: Sequence[Garment], state: UrlState) -> int | None:
    """The number of the garment that a page searches with, the first by default; None for the whole photo or a box that
    belongs to none."""
    if not garments or state.garment == WHOLE or (state.box is not None and state.garment is None):
        return None
    number = int(state.garment or 1)
    return number if number <= len(garments) else 1


def written(garments: Sequence[Garment]) -> str:
    """Garments as one field of a form: kind, box, person, colours, and the kinds it may be, in thousandths.

    >>> written([Garment(Box(1, 2, 30, 40), "top", 0.9, 0, {"top": 0.9, "dress": 0.1}, ("#b03a2e", "#ffffff"))])
    'top:1,2,30,40:0:b03a2e-ffffff:top=900-dress=100'
    """
    return ";".join(":".join(_fields(garment)) for garment in garments)


def _fields(garment: Garment) -> tuple[str, ...]:
    kinds = ((kind, int(1000 * share)) for kind, share in garment.kinds.items())
    return (
        garment.kind,
        ",".join(map(str, garment.box)),
        "" if garment.person is None else str(garment.person),
        "-".join(color.removeprefix("#") for color in garment.colors),
        "-".join(f"{kind}={share}" for kind, share in kinds if share),
    )


def read(text: str | None) -> list[Garment] | None:
    """Garments from the field; None where there is none, or one that no page has written.

    >>> read("top:1,2,30,40:0:b03a2e-ffffff:top=900")[0].colors, read("hat"), read("moon:1,2,3,4:::")
    (('#b03a2e', '#ffffff'), None, None)
    """
    if not text or len(text) > LENGTH or text.count(";") >= MOST:
        return None
    try:
        return [_garment(*part.split(":")) for part in text.split(";")]
    except (BadRequest, ValueError, TypeError):
        return None


def _garment(kind: str, box: str, person: str, codes: str, kinds: str) -> Garment:
    """One garment; raises ValueError or BadRequest for what no page writes."""
    colors = tuple(f"#{code}" for code in codes.split("-") if code)
    shares = dict(part.split("=") for part in kinds.split("-") if part)
    if not {kind, *shares} <= BY_NAME.keys() or not all(CODE.fullmatch(color) for color in colors):
        raise ValueError(kind)
    chances = {name: _natural(share) / 1000 for name, share in shares.items()}
    inside = box_of(box)
    if inside is None or sum(chances.values()) > 1:
        raise ValueError(box)
    return Garment(inside, kind, chances.get(kind, 1.0), _natural(person) if person else None, chances, colors)


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise ValueError(text)
    return int(text)
