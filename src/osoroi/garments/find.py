"""Every garment in a photo: people, their poses, and one box with a kind for each garment they wear or carry.

Where nobody is seen, the photo shows one garment: its content. A box of the user wins over everything that is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from osoroi import image
from osoroi.errors import BadPhoto
from osoroi.garments import legs, picture, rule
from osoroi.garments import profile as profiles
from osoroi.garments.body import Body
from osoroi.garments.garment import WORK_SIDE, Garment
from osoroi.garments.people import Detection, detect
from osoroi.garments.pose import Pose
from osoroi.garments.posterior import place, posterior
from osoroi.image import Photo, Reduced
from osoroi.image.palette import palette
from osoroi.records import Box, BoxLike, PhotoLike

MIN_PERSON: Final = 0.4
"""Detections of people that score less are ignored."""

MIN_SIZE: Final = 0.45
"""People lower than this share of the largest one's height stand in the background and are left out."""

MIN_SHARE: Final = 0.15
"""People lower than this share of the photo's height are left out too: their garments have too few pixels."""

MAX_PEOPLE: Final = 6
"""At most so many people, the largest ones."""

SHARPNESS: Final = 4.0
"""Power of the probabilities of a garment's kinds. Its list is named after the likeliest kind, so that one shares the
list with another kind only where both are nearly as likely."""


@dataclass(frozen=True)
class Person:
    """One person: the body, and the colours along it."""

    body: Body
    colours: profiles.Profile


def find(photo: PhotoLike, *, box: BoxLike | None = None) -> list[Garment]:
    """The garments of a photo: people from the largest to the smallest, and of each the largest garment first.

    A photo without a person is one garment, ``image.content``; where a person is seen and no body, as of somebody in a
    cape, what is visible of the person is. With ``box`` the list has that box alone, and its kind
    follows from its place on the body where there is one. Raises BadPhoto for a photo that cannot be read and for a
    box outside it.
    """
    return find_in(image.reduced(photo, WORK_SIDE), box=None if box is None else Box.of(box))


def find_in(photo: Reduced, *, box: Box | None = None) -> list[Garment]:
    """The garments of a photo that is decoded already and has ``WORK_SIDE`` pixels at most; boxes are in its own."""
    small, factor, width, height = photo
    if box is not None and not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise BadPhoto(
            f"box {tuple(box)} does not fit a photo of {width} x {height}",
            hint="boxes are (left, top, right, bottom) in pixels of the upright photo, right and bottom outside",
        )
    return [
        replace(garment, colors=palette(small, _inside(garment.box, factor, small)))
        for garment in _found(small, factor, width, height, box)
    ]


def _found(small: Photo, factor: int, width: int, height: int, box: Box | None) -> list[Garment]:
    """The garments of a reduced photo, or the one in a box."""
    detections = detect(small)
    visible = largest(detections, small)
    people = [person for found in visible if (person := examine(small, found.box))]
    if box is not None:
        return [boxed(small, box, people, factor)]
    garments = []
    for number, person in enumerate(people):
        on_body = of_person(person, detections, small)
        on_body.sort(key=lambda estimate: -area(estimate.box))
        for estimate in on_body:
            at = _whole(estimate.box, factor, width, height)
            garments.append(Garment(at, estimate.kind, estimate.score, number, sharpened(estimate.kinds)))
    if garments:
        return garments
    left, top, right, bottom = visible[0].box if visible else map(float, image.content(small))
    alone = boxed(small, _whole((left, top, right, bottom), factor, width, height), [], factor)
    return [on_legs(alone) if visible and legs.alone(small, visible[0].box) else alone]


def on_legs(garment: Garment) -> Garment:
    """A garment of which it is known that it is worn on legs."""
    chances = legs.covering(garment.kinds)
    kind = max(chances, key=lambda name: chances[name])
    return replace(garment, kind=kind, score=chances[kind], kinds=chances)


def sharpened(kinds: Mapping[str, float]) -> dict[str, float]:
    """Probabilities raised to the power of ``SHARPNESS``, with their sum kept at 1.

    >>> {kind: round(chance, 2) for kind, chance in sharpened({"top": 0.6, "outerwear": 0.4}).items()}
    {'top': 0.84, 'outerwear': 0.16}
    """
    powers = {kind: chance**SHARPNESS for kind, chance in kinds.items()}
    total = sum(powers.values())
    return {kind: power / total for kind, power in powers.items()}


def _inside(box: Box, factor: int, small: Photo) -> rule.Rectangle:
    """A box of the full photo in pixels of the reduced one, with some area and cut at its edges."""
    height, width, _ = small.shape
    left, top, right, bottom = (side / factor for side in box)
    left, top = min(left, width - 1.0), min(top, height - 1.0)
    return left, top, min(max(right, left + 1), float(width)), min(max(bottom, top + 1), float(height))


def largest(detections: list[Detection], photo: Photo) -> list[Detection]:
    """The people whose garments are worth finding, the largest area first."""
    people = [found for found in detections if found.label == "person" and found.score >= MIN_PERSON]
    people.sort(key=lambda found: -area(found.box))
    if not people:
        return []
    tallest = max(found.box[3] - found.box[1] for found in people)
    least = max(MIN_SIZE * tallest, MIN_SHARE * photo.shape[0])
    return [found for found in people if found.box[3] - found.box[1] >= least][:MAX_PEOPLE]


def examine(photo: Photo, box: rule.Rectangle) -> Person | None:
    """The person in a box, or None where the pose network sees no body."""
    posed = legs.body_pose(photo, box)
    if posed is None:
        return None
    body = Body(posed)
    return Person(body, profiles.profile(body))


def of_person(person: Person, detections: list[Detection], photo: Photo) -> list[rule.Estimate]:
    """What one person wears and carries; boxes in pixels of the photo, cut at its edges."""
    from osoroi.garments import accessories  # nobody wears any where nobody is found

    body, height, width = person.body, *photo.shape[:2]
    bags = accessories.bags_near(body, [(squared(body.pose, found.box), found) for found in detections])
    halves = [rule.crop_box(body, stretch) for stretch in (rule.UPPER_CROP, rule.LEGS_CROP, rule.KNEE_CROP)]
    boxes = [unsquared(body.pose, box) for box in (*halves, *accessories.head_boxes(body))]
    upper, lower, knee, *others = picture.logits([cut(photo, box) for box in (*boxes, *(bag.box for bag in bags))]).rows
    end = body.place((height - body.pose.top) / body.pose.scale)
    found = rule.estimate(body, person.colours, rule.evidence(upper, lower, knee), end=end)
    found += accessories.hat(body, others[: len(others) - len(bags)])
    garments = []
    for estimate in found:
        full = unsquared(body.pose, estimate.box)
        visible = clipped(full, width, height)
        if area(visible) >= rule.MIN_VISIBLE * area(full):
            garments.append(estimate._replace(box=visible))
    return garments + accessories.carried(bags, others[len(others) - len(bags) :])


def boxed(photo: Photo, box: Box, people: list[Person], reduced: int) -> Garment:
    """The user's box: its kind follows from its picture, and from its place on the person who holds most of it."""
    small = (box.left / reduced, box.top / reduced, box.right / reduced, box.bottom / reduced)
    (logits,) = picture.logits([cut(photo, small)]).rows
    shares = [_held(person, small) for person in people]
    number = int(np.argmax(shares)) if shares and max(shares) > 0 else None
    where = None if number is None else place(people[number].body, squared(people[number].body.pose, small))
    chances = posterior(where, logits, None if number is None else people[number].colours)
    kind = max(chances, key=lambda name: chances[name])
    return Garment(box, kind, chances[kind], number, chances)


def _held(person: Person, box: rule.Rectangle) -> float:
    """How many pixels of a person lie inside a box of the photo, as a share of the box."""
    left, top, right, bottom = (round(side) for side in squared(person.body.pose, box))
    inside = person.body.mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    return float(inside.sum()) / max((right - left) * (bottom - top), 1)


def cut(photo: Photo, box: tuple[float, ...]) -> UInt8[np.ndarray, "192 192 3"]:
    """A box of the photo as the picture network's input; what lies outside the photo is left off."""
    height, width, _ = photo.shape
    left, top, right, bottom = clipped((box[0], box[1], box[2], box[3]), width, height)
    if right - left < 1 or bottom - top < 1:
        left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    size = (picture.INPUT.width, picture.INPUT.height)
    return np.asarray(
        Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS, (left, top, right, bottom), 2.0)
    ).copy()


def unsquared(posed: Pose, box: rule.Rectangle) -> rule.Rectangle:
    """A box of a pose's crop, in pixels of the photo."""
    left, top, right, bottom = (side * posed.scale for side in box)
    return left + posed.left, top + posed.top, right + posed.left, bottom + posed.top


def squared(posed: Pose, box: rule.Rectangle) -> rule.Rectangle:
    """A box of the photo, in pixels of a pose's crop: the inverse of ``unsquared``."""
    left, top, right, bottom = box
    return (
        (left - posed.left) / posed.scale,
        (top - posed.top) / posed.scale,
        (right - posed.left) / posed.scale,
        (bottom - posed.top) / posed.scale,
    )


def clipped(box: rule.Rectangle, width: int, height: int) -> rule.Rectangle:
    """The part of a box inside a photo of this size."""
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))


def area(box: tuple[float, float, float, float]) -> float:
    """Width times height; 0 for a box without area."""
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def _whole(box: rule.Rectangle, reduced: int, width: int, height: int) -> Box:
    """Whole pixels of the full photo, at least one in each direction."""
    left, top = (min(max(round(edge * reduced), 0), size - 1) for edge, size in ((box[0], width), (box[1], height)))
    right = min(max(round(box[2] * reduced), left + 1), width)
    bottom = min(max(round(box[3] * reduced), top + 1), height)
    return Box(left, top, right, bottom)
