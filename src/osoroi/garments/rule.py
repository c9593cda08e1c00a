"""From a body, the colours along it and what pictures say, to one box for each garment that is worn.

Rows come from the landmarks and from the hems and the waist seen in the colours; columns from the mask of the person;
kinds from a picture of the upper and of the lower half, from bare legs and from the colour across the waist.
``docs/decisions/0006-garments.md`` says where the numbers come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool

from osoroi.garments import pose as poses
from osoroi.garments import profile as profiles
from osoroi.garments.body import Body
from osoroi.garments.picture import IMAGENET, PROBED, USUAL, Row, log_mass
from osoroi.garments.pose import SIDE
from osoroi.garments.profile import Profile

Rectangle = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the pose's crop."""

LOWER: Final = ("skirt", "trousers", "shorts", "dress")
UPPER: Final = ("top", "outerwear")
TOP_OF: Final = {"top": -0.12, "outerwear": -0.16, "dress": -0.05}
"""Where what hangs from the shoulders begins, along the body."""

BOTTOM_OF: Final = {"top": 1.0, "outerwear": 1.4, "trousers": 3.0}
"""Where garments end whose hem is not looked for."""

COLUMN_SHARE: Final = {"top": 0.2, "outerwear": 0.2, "skirt": 0.3, "shorts": 0.3, "dress": 0.4, "trousers": 0.3}
"""A column belongs to a garment where at least this share of its rows shows the person."""

BESIDE_ARMS, BESIDE_LEGS, BESIDE_FEET = 0.15, 0.17, 0.25
"""How far garments reach past the landmarks of arms, legs and feet, in torsos."""

SHOE_ABOVE, SHOE_BELOW = 0.03, 0.23
"""Shoes reach from so far above the highest landmark of the feet to so far below the lowest one, in torsos."""

BOOT_JUMP, BOOT_SKIN = 14.0, 0.25
"""Boots are seen where the colour of the legs jumps by at least the first and the share of skin falls by the second."""

BARE: Final = 0.35
"""A forearm with a larger share of skin is bare."""

LEGS_CROP, UPPER_CROP = (1.0, 3.0), (-0.12, 1.2)
"""The parts of the body whose pictures are judged."""

LEAST_END: Final = 1.4
"""So far along the body a photo must reach for the lower half to be judged."""

MIN_VISIBLE: Final = 0.45
"""A garment of which a smaller share lies inside the photo is left out."""


class Estimate(NamedTuple):
    """One garment on a body: its kind, its box in pixels of the pose's crop, its score in [0, 1], and the probability
    of each kind that it may be."""

    kind: str
    box: Rectangle
    score: float
    kinds: Mapping[str, float]


@dataclass(frozen=True)
class Evidence:
    """What pictures add to the log of each kind's chance: of ``LOWER``, and of outerwear against a top."""

    lower: dict[str, float]
    outer: float


PICTURE_LOWER, CLASSES_LOWER = 0.6, 0.3
"""Weights of the probe's log-probabilities of the lower half, and of the log mass of ImageNet's classes."""

KNEES, SHINS = (1.85, 2.25), (2.4, 2.8)
CHEST, THIGH = (0.25, 0.65), (1.15, 1.45)
THIGHS, CALVES, BETWEEN_THIGHS = (1.1, 1.4), (2.2, 2.7), (1.4, 1.8)
"""Stretches of the body that are compared."""

SHINS_AGAINST_TROUSERS, KNEES_AGAINST_TROUSERS = 4.0, 2.0
KNEES_FOR_SHORTS, KNEES_AGAINST_SHORTS = 2.0, 2.5
ALIKE_FOR_DRESS, ALIKE_AGAINST_SKIRT = 2.0, 1.0
"""What bare knees, bare shins, and one colour across the waist add to the log of a kind's chance, or take away."""

CHANGE_AGAINST_TROUSERS, COVERED_AGAINST_SHORTS, UNCOVERED_FOR_SHORTS = 1.5, 1.0, 1.0
"""What another colour of the calves than of the thighs, and cloth or none between the thighs, add or take away."""

CHANGE_DISTANCE, CHANGE_WIDTH = 14.0, 4.0
"""Colours of thighs and calves that differ by more than the first are two garments, or one and skin; the second is how
far from it that is unsure."""

ALIKE_DISTANCE: Final = 10.0
"""Colours of chest and thigh that differ by more than this are two garments rather than one."""

OPENING: Final = (0.15, 0.7)
"""Where along the body open outerwear shows what is worn under it."""

OPEN_DISTANCE: Final = 12.0
"""Colours of the middle and of the sides that differ by more than this are two garments."""

INNER_HALF: Final = 0.3
"""Half the width of what an open coat shows, in widths of the shoulders."""

PRIOR: Final = {"skirt": 0.0, "trousers": 0.6, "shorts": -0.6, "dress": -0.5}
"""Log of how often each kind is worn, up to a constant. Set by hand."""

PROBE_FOR_OUTER, CLASSES_FOR_OUTER, OPEN_FOR_OUTER, BARE_AGAINST_OUTER = 0.15, 0.25, 0.06, 2.5
"""Weights of what speaks for outerwear rather than for a top alone: the probe's log odds, the log odds of ImageNet's
classes of both, the distance of colour between the chest's middle and its sides, and the share of skin on forearms."""

MOST_OPEN: Final = 40.0
"""A larger distance of colour between the chest's middle and its sides speaks for outerwear no more than this one."""

OUTER_PRIOR: Final = -0.3
"""Log of how often outerwear is worn against a top alone."""


def evidence(upper: Row, lower: Row) -> Evidence:
    """What the pictures of the upper and of the lower half say."""
    values = lower.kinds[[PROBED.index(kind) for kind in LOWER]].astype(float)
    values -= np.log(np.exp(values - values.max()).sum()) + values.max()
    chances = {
        kind: PICTURE_LOWER * float(value) + CLASSES_LOWER * unusual(lower, kind)
        for kind, value in zip(LOWER, values, strict=True)
    }
    probe = float(upper.kinds[PROBED.index("outerwear")] - upper.kinds[PROBED.index("top")])
    classes = log_mass(upper, "outerwear") - log_mass(upper, "top")
    return Evidence(chances, PROBE_FOR_OUTER * probe + CLASSES_FOR_OUTER * classes)


def unusual(row: Row, kind: str) -> float:
    """How much larger than usual the log mass of a kind's classes of ImageNet is; 0 for a kind without classes."""
    return log_mass(row, kind) - USUAL[kind] if kind in IMAGENET else 0.0


def outer_chance(body: Body, colours: Profile, pictures: Evidence) -> float:
    """Probability that outerwear is worn: from the picture, an open front and bare forearms."""
    opening = min(opened(colours), MOST_OPEN)
    odds = pictures.outer + OPEN_FOR_OUTER * opening - BARE_AGAINST_OUTER * max(bare_forearms(body)) + OUTER_PRIOR
    return float(1 / (1 + np.exp(-odds)))


def lower_kinds(body: Body, colours: Profile, pictures: Evidence) -> dict[str, float]:
    """Probability of each kind of ``LOWER``."""
    knees, shins = colours.skin_on_legs(*KNEES), colours.skin_on_legs(*SHINS)
    apart = float(np.linalg.norm(colours.colour(*CHEST) - colours.colour(*THIGH)))
    alike = 1 - 2 / (1 + np.exp(-(apart - ALIKE_DISTANCE) / 5))
    thighs, calves = (colours.legs[profiles.between(*stretch)].mean(axis=0) for stretch in (THIGHS, CALVES))
    change = 1 / (1 + np.exp(-(float(np.linalg.norm(thighs - calves)) - CHANGE_DISTANCE) / CHANGE_WIDTH))
    scores = {kind: PRIOR[kind] + pictures.lower[kind] for kind in LOWER}
    scores["trousers"] -= SHINS_AGAINST_TROUSERS * shins + KNEES_AGAINST_TROUSERS * knees
    scores["trousers"] -= CHANGE_AGAINST_TROUSERS * change
    scores["shorts"] += KNEES_FOR_SHORTS * knees - KNEES_AGAINST_SHORTS * (1 - max(knees, shins))
    scores["shorts"] += UNCOVERED_FOR_SHORTS - COVERED_AGAINST_SHORTS * covered(body, *BETWEEN_THIGHS)
    scores["dress"] += ALIKE_FOR_DRESS * alike
    scores["skirt"] -= ALIKE_AGAINST_SKIRT * alike
    values = np.exp(np.array(list(scores.values())) - max(scores.values()))
    return dict(zip(scores, (values / values.sum()).tolist(), strict=True))


def covered(body: Body, start: float, end: float) -> float:
    """The share of the body's middle line between two places that shows the person."""
    places = np.linspace(start, end, 8)
    rows_ = np.clip([round(body.row(u)) for u in places], 0, SIDE - 1)
    columns = np.clip([round(body.centre(u)) for u in places], 0, SIDE - 1)
    return float(body.mask[rows_, columns].mean())


def estimate(body: Body, colours: Profile, pictures: Evidence, *, end: float = 5.0) -> list[Estimate]:
    """Garments on one body: a dress, or an upper and a lower one; outerwear over a dress; shoes.

    ``end`` is where the photo ends along the body. Of somebody cut above the thighs only the upper half is judged.
    """
    lower = lower_kinds(body, colours, pictures) if end >= LEAST_END else {"": 1.0}
    kind = max(lower, key=lambda name: lower[name])
    outer = outer_chance(body, colours, pictures)
    upper_kinds = {"top": 1 - outer, "outerwear": outer}
    garments = []
    if kind == "dress":
        if outer > 0.5:
            garments.append(Estimate("outerwear", box(body, colours, "outerwear"), outer, upper_kinds))
    else:
        upper = "outerwear" if outer > 0.5 else "top"
        garments.append(Estimate(upper, box(body, colours, upper), max(outer, 1 - outer), upper_kinds))
        if upper == "outerwear" and is_open(colours):
            garments.append(Estimate("top", inner_box(body, colours), outer, {"top": 1.0}))
    if kind:
        garments.append(Estimate(kind, box(body, colours, kind), lower[kind], lower))
    if (shoes := shoe_box(body, colours)) is not None:
        garments.append(Estimate("shoes", shoes, 0.9, {"shoes": 1.0}))
    return garments


def is_open(colours: Profile) -> bool:
    """Whether outerwear is worn open: the chest's middle has another colour than its sides."""
    return opened(colours) > OPEN_DISTANCE


def opened(colours: Profile) -> float:
    """The distance of colour between the chest's middle and its sides."""
    sides = colours.legs[profiles.between(*OPENING)].mean(axis=0)
    return float(np.linalg.norm(colours.colour(*OPENING) - sides))


def inner_box(body: Body, colours: Profile) -> Rectangle:
    """The box of the top that is seen inside open outerwear."""
    waist = min(rows(colours, "skirt")[0] + 0.05, 1.0)
    shoulders = body.pair(poses.SHOULDERS)[:, 0]
    half = INNER_HALF * max(float(abs(shoulders[0] - shoulders[1])), 0.4 * body.torso)
    return body.centre(0.5) - half, body.row(TOP_OF["dress"]), body.centre(0.5) + half, body.row(waist)


def rows(colours: Profile, kind: str) -> tuple[float, float]:
    """Where a garment begins and ends along the body."""
    waist, _ = profiles.boundary(colours.middle, colours.middle_skin, profiles.WAIST)
    hems = {"skirt": profiles.SKIRT_HEM, "shorts": profiles.SHORTS_HEM, "dress": profiles.DRESS_HEM}
    start = TOP_OF.get(kind, waist if kind == "trousers" else min(waist, 1.0))
    if kind in hems:
        return start, profiles.boundary(colours.legs, colours.leg_skin, hems[kind])[0]
    return start, BOTTOM_OF[kind]


def box(body: Body, colours: Profile, kind: str) -> Rectangle:
    """The box of one garment."""
    start, end = rows(colours, kind)
    return span(body, colours, kind, body.row(start), body.row(end))


def span(body: Body, colours: Profile, kind: str, top: float, bottom: float) -> Rectangle:
    """A box of these rows, as wide as the person is there."""
    pixels = body.mask & ~(concealing(body) if kind in UPPER else body.arms)
    first, last = (int(np.clip(round(edge), 0, SIDE)) for edge in (top, bottom))
    band = pixels[first : max(last, first + 1)]
    columns = np.flatnonzero(band.mean(axis=0) >= COLUMN_SHARE[kind]) if len(band) else np.array([], int)
    if not len(columns):
        middle = body.centre(1.0)
        return middle - 0.4 * body.torso, top, middle + 0.4 * body.torso, bottom
    left, right = float(columns[0]), float(columns[-1] + 1)
    if kind == "top":
        low, high = reach(body, (*poses.SHOULDERS, *poses.ELBOWS, *poses.WRISTS), BESIDE_ARMS)
        left, right = max(left, low), min(right, high)
    if kind == "trousers":
        low, high = reach(body, (*poses.HIPS, *poses.KNEES, *poses.ANKLES), BESIDE_LEGS)
        left, right = low, high
    return left, top, max(right, left + 1), bottom


def reach(body: Body, rows_: tuple[int, ...], beside: float) -> tuple[float, float]:
    """The columns that landmarks span, with so many torsos beside them."""
    columns = body.pose.landmarks[list(rows_), 0]
    return float(columns.min() - beside * body.torso), float(columns.max() + beside * body.torso)


def concealing(body: Body) -> Bool[np.ndarray, "256 256"]:
    """The hands, and the forearms that are bare: what a garment of the upper half does not cover."""
    hidden = body.hands.copy()
    for side, bare in enumerate(bare_forearms(body)):
        if bare > BARE:
            hidden |= body.forearm(side)
    return hidden


def bare_forearms(body: Body) -> tuple[float, float]:
    """The share of skin on each forearm; 0 for one that is not seen."""
    skin = profiles.skin_colour(body)
    shares = []
    for side in (0, 1):
        forearm = body.forearm(side) & body.mask
        lab = profiles.to_lab(body.pose.crop[forearm])
        bare = np.exp(-0.5 * (((lab - skin) / profiles.SKIN_SPREADS) ** 2).sum(axis=-1))
        shares.append(float(bare.mean()) if len(bare) else 0.0)
    return shares[0], shares[1]


def boot_top(colours: Profile) -> float | None:
    """Where boots begin along the body, as far as legs tell: bare above, covered below. None without such a place."""
    place, jump = profiles.boundary(colours.legs, colours.leg_skin, profiles.BOOT_TOP)
    above = colours.skin_on_legs(place - profiles.WINDOW, place - profiles.STEP)
    below = colours.skin_on_legs(place + profiles.STEP, place + profiles.WINDOW)
    return place if jump >= BOOT_JUMP and above - below > BOOT_SKIN else None


def shoe_box(body: Body, colours: Profile) -> Rectangle | None:
    """Both shoes: the person's pixels near the landmarks of the feet, and from the top of boots on."""
    feet = body.pose.landmarks[list(poses.FEET)]
    t = body.torso
    top, bottom = float(feet[:, 1].min()) - SHOE_ABOVE * t, float(feet[:, 1].max()) + SHOE_BELOW * t
    left, right = float(feet[:, 0].min()) - BESIDE_FEET * t, float(feet[:, 0].max()) + BESIDE_FEET * t
    first, last = (int(np.clip(round(edge), 0, SIDE)) for edge in (top, bottom))
    low, high = (int(np.clip(round(edge), 0, SIDE)) for edge in (left, right))
    pixels = body.mask[first:last, low:high]
    if not pixels.any():
        return None
    y, x = np.nonzero(pixels)
    start, boots = float(first + y.min()), boot_top(colours)
    if boots is not None:
        start = min(start, body.row(boots))
    return float(low + x.min()), start, float(low + x.max() + 1), float(first + y.max() + 1)


def crop_box(body: Body, stretch: tuple[float, float]) -> Rectangle:
    """The box of a stretch of the body whose picture is judged: as wide as the person is there, without the arms."""
    top, bottom = body.row(stretch[0]), body.row(stretch[1])
    first, last = (int(np.clip(round(edge), 0, SIDE)) for edge in (top, bottom))
    pixels = (body.mask & ~body.arms)[first : max(last, first + 1)]
    columns = np.flatnonzero(pixels.mean(axis=0) >= 0.1) if len(pixels) else np.array([], int)
    if not len(columns):
        middle = body.centre(float(np.mean(stretch)))
        return middle - 0.5 * body.torso, top, middle + 0.5 * body.torso, bottom
    return float(columns[0]), top, float(columns[-1] + 1), bottom
