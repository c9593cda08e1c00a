"""Which of the garments of a photo a person means: by number, by kind, or by place on the body."""

from collections.abc import Sequence

from osoroi.errors import BadRequest
from osoroi.garments.find import Garment
from osoroi.garments.kinds import BY_NAME, read_category

ALL = "all"


def choose(garments: Sequence[Garment], wanted: str) -> list[Garment]:
    """The garments that ``wanted`` names, in the order of the list.

    ``all`` is every one; a number counts from 1 as ``osoroi find`` does; a kind, or any word that shops use for it in
    English or Japanese, is the first of that kind; a place (upper, lower, whole, feet, carried, head) the first there,
    and a dress counts as upper and as lower. Raises BadRequest where nothing fits.

    >>> from osoroi.records import Box
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
