"""Bags and hats: what people wear besides the garments that cover them.

The boxes of bags are those of the detector, which is often unsure of them; that of a hat is the head above the eyes.
Whether they are there is judged by ImageNet's classes of their pictures, too.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from osoroi.garments import pose as poses
from osoroi.garments.body import Body
from osoroi.garments.people import Detection, overlap
from osoroi.garments.picture import CropLogits, log_mass
from osoroi.garments.rule import Estimate, Rectangle

BAGS: Final = ("handbag", "backpack", "suitcase")
"""Labels of the detector that are bags."""

MOST_BAGS: Final = 3
"""So many bags of a person are looked at, the best ones."""

SAME_BAG: Final = 0.5
"""Detections whose boxes overlap more (IoU) are one bag under two labels."""

CLASSES_OF_BAG: Final = 0.3
"""Weight of the log mass of ImageNet's bags, against the log of the detector's score."""

MIN_BAG: Final = -3.8
"""A bag whose sum of both is lower is left out."""

HEAD_BESIDE, HEAD_ABOVE, HEAD_BELOW = 0.55, 0.05, 0.05
"""A hat lies at most so far beside the eyes, and its box ends so far below them; the picture of the crown begins so far
above the person; in torsos."""

CROWN_BESIDE, CROWN_BELOW = 0.3, 0.02
WHOLE_BESIDE, WHOLE_ABOVE = 0.4, 0.1
"""Half the width of the picture of the crown, and how far below the eyes it ends; half the width of the picture of the
whole head, and the room above the person; in torsos."""

MIN_HAT: Final = -8.8
"""Where the log masses of ImageNet's hats in both pictures sum to less, no hat is worn. Hats are rare, so that a lower
one would bring more heads than hats."""

HAT_SHARE: Final = 0.05
"""A column belongs to a hat where more than this share of its rows shows the person."""


def bags_near(body: Body, detections: Sequence[tuple[Rectangle, Detection]]) -> list[Detection]:
    """Detections that may be a bag of this person, the best first, of (box in the pose's crop, detection).

    The middle of a bag lies between the person's outermost columns, and below the shoulders.
    """
    columns = np.flatnonzero(body.mask.any(axis=0))
    chosen: list[Detection] = []
    for inside, bag in sorted(detections, key=lambda each: -each[1].score):
        if bag.label not in BAGS or not len(columns):
            continue
        x, y = (inside[0] + inside[2]) / 2, (inside[1] + inside[3]) / 2
        again = any(overlap(np.array([bag.box]), np.array([one.box]))[0, 0] > SAME_BAG for one in chosen)
        if columns[0] <= x <= columns[-1] + 1 and y > body.row(0.0) and not again:
            chosen.append(bag)
    return chosen[:MOST_BAGS]


def carried(bags: Sequence[Detection], rows: Sequence[CropLogits]) -> list[Estimate]:
    """The likeliest of some bags, by the detector and by their pictures; none where it is not likely enough.

    The box is that of the detection, in pixels of the photo.
    """
    scores = [
        float(np.log(bag.score)) + CLASSES_OF_BAG * log_mass(row, "bag") for bag, row in zip(bags, rows, strict=True)
    ]
    if not scores or max(scores) < MIN_BAG:
        return []
    best = bags[int(np.argmax(scores))]
    return [Estimate("bag", best.box, best.score, {"bag": 1.0})]


def upper_face(body: Body) -> tuple[float, float]:
    """Column and row of the middle between both eyes, in pixels of the pose's crop."""
    x, y = body.pair(poses.UPPER_FACE).mean(axis=0).tolist()
    return x, y


def crown(body: Body) -> Rectangle | None:
    """The part of the person above the eyes, in pixels of the pose's crop; None where nothing is seen there."""
    x, y = upper_face(body)
    left = max(round(x - HEAD_BESIDE * body.torso), 0)
    pixels = body.mask[: max(round(y), 1), left : max(round(x + HEAD_BESIDE * body.torso), 0)]
    rows = np.flatnonzero(pixels.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(pixels[rows[0] :].mean(axis=0) > HAT_SHARE)
    if not len(columns):
        return None
    return float(left + columns[0]), float(rows[0]), float(left + columns[-1] + 1), y + HEAD_BELOW * body.torso


def head_boxes(body: Body) -> list[Rectangle]:
    """The two boxes whose pictures tell a hat, in pixels of the pose's crop: the crown, and the whole head."""
    place = crown(body)
    if place is None:
        return []
    (x, y), t, top = upper_face(body), body.torso, place[1]
    return [
        (x - CROWN_BESIDE * t, top - HEAD_ABOVE * t, x + CROWN_BESIDE * t, y + CROWN_BELOW * t),
        (x - WHOLE_BESIDE * t, top - WHOLE_ABOVE * t, x + WHOLE_BESIDE * t, float(body.joints[0, 1])),
    ]


def hat(body: Body, rows: Sequence[CropLogits]) -> list[Estimate]:
    """The hat that the pictures of ``head_boxes`` show, or none; its box is in pixels of the pose's crop."""
    place = crown(body)
    mass = sum(log_mass(row, "hat") for row in rows)
    if place is None or not rows or mass < MIN_HAT:
        return []
    return [Estimate("hat", place, float(np.exp(mass / len(rows))), {"hat": 1.0})]
