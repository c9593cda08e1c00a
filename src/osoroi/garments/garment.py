"""A garment of a photo, as ``find`` gives it: its fields as plain data, and which of several a person means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from osoroi.errors import BadRequest
from osoroi.garments.kinds import BY_NAME, read_category
from osoroi.records import Box

WORK_SIDE: Final = 1024
"""Photos with a longer side are reduced to this many pixels before anything is looked for."""

ALL: Final = "all"
"""What names every garment of a photo."""


@dataclass(frozen=True)
class Garment:
    """One garment in a photo.

    ``box`` is in pixels of the upright photo; ``kind`` is a name of ``kinds.KINDS``; ``score`` in [0, 1] says how sure
    the kind is; ``person`` counts people from 0, the largest first, and is None where nobody wears it. ``kinds`` has
    the share of each kind that it may be, for a search: ``search(photo, box=garment.box, kind=garment.known_kinds)``.
    ``colors`` are its main colours as codes such as ``#b03a2e``, the most frequent first.
    """

    box: Box
    kind: str
    score: float
    person: int | None
    kinds: Mapping[str, float] = field(default_factory=dict, hash=False)
    colors: tuple[str, ...] = field(default=(), compare=False)

    @property
    def known_kinds(self) -> Mapping[str, float] | None:
        """What to tell a search of its kind; None where nobody wears it, since then a search with the shop's products
        at hand judges the picture better."""
        return None if self.person is None else self.kinds or {self.kind: 1.0}


def fields(garment: Garment) -> dict[str, Any]:
    """One garment as plain data: what ``osoroi find --json`` prints and the service sends.

    ``kind_ja`` is its kind in Japanese, and ``person`` counts from 0.

    >>> fields(Garment(Box(0, 9, 9, 30), "skirt", 0.81234, 0, {}, ("#b03a2e",)))
    {'kind': 'skirt', 'kind_ja': 'スカート', 'box': [0, 9, 9, 30], 'score': 0.8123, 'person': 0, 'colors': ['#b03a2e']}
    """
    return {
        "kind": garment.kind,
        "kind_ja": BY_NAME[garment.kind].japanese,
        "box": list(garment.box),
        "score": round(garment.score, 4),
        "person": garment.person,
        "colors": list(garment.colors),
    }


def choose(garments: Sequence[Garment], wanted: str) -> list[Garment]:
    """The garments that ``wanted`` names, in the order of the list.

    ``all`` is every one; a number counts from 1 as ``osoroi find`` does; a kind, or any word that shops use for it in
    English or Japanese, is the first of that kind; a place (upper, lower, whole, feet, carried, head) the first there,
    and a dress counts as upper and as lower. Raises BadRequest where nothing fits.

    >>> snap = [Garment(Box(0, 9, 9, 30), "skirt", 0.8, 0), Garment(Box(0, 0, 9, 9), "top", 0.9, 0)]
    >>> [garment.kind for garment in choose(snap, "lower")], [garment.kind for garment in choose(snap, "2")]
    (['skirt'], ['top'])
    """
    if wanted == ALL:
        return list(garments)
    if wanted.isascii() and wanted.isdigit():
        fitting = list(garments[int(wanted) - 1 : int(wanted)]) if int(wanted) else []
    else:
        kind = wanted if wanted in BY_NAME else read_category(wanted)
        fitting = [garment for garment in garments if kind == garment.kind or wanted in places(garment.kind)][:1]
    if not fitting:
        names = ", ".join(f"{number} {garment.kind}" for number, garment in enumerate(garments, start=1))
        raise BadRequest(f"no garment {wanted!r} is found in the photo; there are: {names}", hint="name one, or 'all'")
    return fitting


def places(kind: str) -> tuple[str, ...]:
    """The places on the body that a kind covers.

    >>> places("dress"), places("shorts")
    (('whole', 'upper', 'lower'), ('lower',))
    """
    slot = BY_NAME[kind].slot
    return ("whole", "upper", "lower") if slot == "whole" else (slot,)
