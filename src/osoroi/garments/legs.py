"""Photos of legs alone: whether the photo's upper edge leaves only the legs of somebody, and the pose of these.

The pose network takes every crop for a whole body, and presses a trunk into the hips and thighs of one that shows only
legs, often with a high score. The shape of the person's box tells better: legs with their feet are wider, as a share of
their height, than a body without its head. ``docs/decisions/0006-garments.md`` has the figures.
"""

from collections.abc import Mapping
from typing import Final

from osoroi.garments.body import Body
from osoroi.garments.pose import CUT, FROM, MIN_SCORE, Pose, above, pose, pose_of
from osoroi.garments.profile import share_of_skin_on_face
from osoroi.garments.rule import NO_TORSO
from osoroi.image import Photo

SLENDER: Final = 2.0
"""A box of a standing person without the head is at least so many times as high as wide; one of legs alone is not."""

HIGHEST: Final = 3.0
"""The box is made so many times as high, upwards, if no lower one leaves the torso of legs above the photo."""

HEAD_SCORE, HEAD_SKIN = 0.9, 0.25
"""A pose that scores the first, in whose face at least the second is of the colour of skin, has a head in the photo."""

KINDS: Final = ("skirt", "trousers", "shorts")
"""What covers legs."""


def alone(photo: Photo, box: tuple[float, float, float, float]) -> bool:
    """Whether the photo shows only the legs, with feet, of the person in a box.

    The box begins at the photo's upper edge, ends above the lower one and is too wide for a body; and no head is seen,
    as there is of somebody who sits.
    """
    left, top, right, bottom = box
    height = photo.shape[0]
    if top > CUT * height or bottom >= (1 - CUT) * height or bottom - top >= SLENDER * (right - left):
        return False
    whole = pose(photo, box)
    return whole.score < HEAD_SCORE or share_of_skin_on_face(Body(whole)) < HEAD_SKIN


def body_pose(photo: Photo, box: tuple[float, float, float, float]) -> Pose | None:
    """The pose of the person in a box, or None where no body is seen.

    Legs alone are posed in boxes that reach above the photo. Of the poses whose torso lies there, the best one counts,
    however low it scores: that legs are seen is known already.
    """
    if not alone(photo, box):
        found = pose_of(photo, box)
        return found if found.score >= MIN_SCORE else None
    higher = [one for times in FROM if beginning(one := above(photo, box, times)) > NO_TORSO]
    if higher:
        return max(higher, key=lambda one: one.score)
    highest = above(photo, box, HIGHEST)
    return highest if beginning(highest) > NO_TORSO else None


def beginning(posed: Pose) -> float:
    """Where along the body the photo begins."""
    return Body(posed).place(-posed.top / posed.scale)


def covering(chances: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of the kinds that cover legs, where it is one of them.

    >>> covering({"top": 0.5, "skirt": 0.25, "trousers": 0.125, "shorts": 0.125})
    {'skirt': 0.5, 'trousers': 0.25, 'shorts': 0.25}
    """
    some = {kind: chances[kind] for kind in KINDS}
    total = sum(some.values())
    return {kind: chance / total for kind, chance in some.items()}
