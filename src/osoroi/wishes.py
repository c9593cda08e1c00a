"""What a search or a sync may ask for, here and of a service elsewhere."""

from typing import Final

from osoroi.errors import BadRequest

K: Final = 10
"""Products of one search by default."""

UNTURNED: Final = 0.005
"""So near the encoder's own weight the slider is not turned: results are those without it."""

MOST_REMOVED: Final = 0.2
"""Share of a catalog's products that a sync removes without being told to."""

TEXT_LENGTH: Final = 500
"""Most characters of the words of a search."""


def turned(detail: float | None, own: float | None) -> float | None:
    """Where a slider was turned to; None where it stands where it stands by itself.

    >>> turned(0.602, own=0.6), turned(0.9, own=0.6), turned(0.9, own=None)
    (None, 0.9, 0.9)
    """
    return None if detail is not None and own is not None and abs(detail - own) < UNTURNED else detail


def require_fitting(
    photo: object,
    box: object,
    kind: object,
    *,
    like: str | None,
    text: str | None,
    detail_from: object,
    detail_box: object,
) -> None:
    """Raise BadRequest for arguments of a search that mean nothing together."""
    many = isinstance(photo, list | tuple)
    if (photo is None and like is None and text is None) or (photo is not None and like is not None):
        raise BadRequest("a search needs one of a photo, like= and text=", hint="give one, or text= with one of both")
    if photo is None and not (box is None and kind is None):
        raise BadRequest("box and kind are of a garment in a photo", hint="give that photo, or leave them out")
    if many and text is not None:
        raise BadRequest("text needs one photo, not a list", hint="search for one photo at a time")
    if detail_from is not None and ((photo is None and text is None) or many):
        raise BadRequest("detail_from needs one photo, not like= or a list", hint="search for one photo at a time")
    if detail_box is not None and detail_from is None:
        raise BadRequest("detail_box is a garment in the photo of detail_from", hint="give that photo too")
