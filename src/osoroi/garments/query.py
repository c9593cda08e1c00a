"""What a street photo says of the kind of a garment in it besides the garment's pixels: where it lies on a body."""

from collections.abc import Mapping

import numpy as np

from osoroi import image
from osoroi.errors import BadRequest
from osoroi.garments.body import Body
from osoroi.garments.find import area, largest, squared
from osoroi.garments.garment import WORK_SIDE
from osoroi.garments.kinds import BY_NAME, NAMES, read_category
from osoroi.garments.legs import body_pose
from osoroi.garments.people import detect
from osoroi.garments.posterior import evidence, place
from osoroi.garments.profile import profile
from osoroi.image import LIMITS, Limits, Reduced
from osoroi.records import Box, Clues, Kinds, PhotoLike

MIN_COVERED = 0.3
"""A garment of which a smaller share lies in a person's box is not judged by its place on that person."""

PICTURE_ALONE = Clues(is_query=True)
"""The clues of a query of whose kind nothing but its picture tells."""


def clues_of(photo: PhotoLike, box: Box | None, *, kind: Kinds | None = None, limits: Limits = LIMITS) -> Clues:
    """The clues of a query. Without a box or a person there are none, and the picture alone decides.

    ``kind`` says what the garment is, and nothing is looked for: a name of the table, any word that shops use for it,
    or probabilities, as ``Garment.kinds`` has them. Raises BadRequest for a word that is no kind.
    """
    if kind is not None:
        return Clues(known=given(kind))
    if box is None:
        return PICTURE_ALONE
    return clues_in(image.reduced(photo, WORK_SIDE, limits=limits), box)


def clues_in(photo: Reduced, box: Box) -> Clues:
    """The clues of a box of a photo that is decoded already and has ``WORK_SIDE`` pixels at most."""
    small, factor, _, _ = photo
    garment = (box.left / factor, box.top / factor, box.right / factor, box.bottom / factor)
    people = largest(detect(small), small)
    shares = [area(_shared(person.box, garment)) / max(area(garment), 1.0) for person in people]
    if not shares or max(shares) < MIN_COVERED:
        return PICTURE_ALONE
    posed = body_pose(small, people[int(np.argmax(shares))].box)
    if posed is None:
        return PICTURE_ALONE
    body = Body(posed)
    return Clues(evidence=evidence(place(body, squared(posed, garment)), profile(body)), is_query=True)


def given(kind: Kinds) -> Mapping[str, float]:
    """Probabilities of a kind that somebody names, or those given. Raises BadRequest for a word that is no kind.

    >>> given("Skirts"), given({"top": 0.8, "outerwear": 0.2})
    ({'skirt': 1.0}, {'top': 0.8, 'outerwear': 0.2})
    """
    if isinstance(kind, str):
        name = kind if kind in BY_NAME else read_category(kind)
        if name is None:
            raise BadRequest(f"{kind[:60]!r} is no kind of garment", hint=f"one of {', '.join(NAMES)}")
        return {name: 1.0}
    total = sum(kind.values())
    if set(kind) - set(NAMES) or min(kind.values(), default=0.0) < 0 or total > 1.001:
        raise BadRequest(f"{dict(kind)!r:.200} are no probabilities of kinds", hint=f"kinds are {', '.join(NAMES)}")
    return kind


def _shared(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, float, float, float]:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
