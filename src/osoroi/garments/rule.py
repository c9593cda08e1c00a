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

from osoroi.garments import edges
from osoroi.garments import pose as poses
from osoroi.garments import profile as profiles
from osoroi.garments.body import Body
from osoroi.garments.picture import (
    CLASSES_TEMPERATURE,
    IMAGENET,
    LEAST_MASS,
    PROBED,
    USUAL,
    CropLogits,
    log_mass,
    softmax,
)
from osoroi.garments.pose import SIDE
from osoroi.garments.profile import Profile

Rectangle = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the pose's crop."""

LOWER: Final = ("skirt", "trousers", "shorts", "dress")
UPPER: Final = ("top", "outerwear")
TOP_OF: Final = {"top": -0.12, "outerwear": -0.16, "dress": -0.05}
"""Where what hangs from the shoulders begins, along the body."""

BOTTOM_OF: Final = {"outerwear": 1.4, "trousers": 3.0}
"""Where garments end whose hem is not looked for."""

DRESS_WITHIN_OUTER: Final = 0.5
"""Where a dress begins to be seen in open outerwear."""

COLUMN_SHARE: Final = {"top": 0.2, "outerwear": 0.2, "skirt": 0.3, "shorts": 0.3, "dress": 0.4, "trousers": 0.3}
"""A column belongs to a garment where at least this share of its rows shows the person."""

BESIDE_ARMS, BESIDE_LEGS, BESIDE_FEET = 0.15, 0.17, 0.25
"""How far garments reach past the landmarks of arms, legs and feet, in torsos."""

SHOE_ABOVE, SHOE_BELOW = 0.09, 0.23
"""Shoes reach from so far above the highest landmark of the feet to so far below the lowest one, in torsos."""

BOOT_JUMP, BOOT_SKIN = 14.0, 0.25
"""Boots are seen where the colour of the legs jumps by at least the first and the share of skin falls by the second."""

BARE: Final = 0.35
"""A forearm with a larger share of skin is bare."""

UPPER_CROP, LEGS_CROP, KNEE_CROP = (-0.12, 1.2), (1.0, 3.0), (-0.12, 2.0)
"""The parts of the body whose pictures are judged: the upper half, the lower half, and from the shoulders to the knees,
where a coat or a dress is seen as one."""

LEAST_END: Final = 1.4
"""So far along the body a photo must reach for the lower half to be judged."""

NO_TORSO: Final = 0.7
"""Of somebody who is seen only from below this place on, no garment of the torso is judged."""

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


PICTURE_LOWER, CLASSES_LOWER, CLASSES_KNEE = 0.6, 0.3, 0.2
"""Weights of the probe's log-probabilities of the lower half, and of the log masses of ImageNet's classes there and in
the picture down to the knees."""

KNEES, SHINS = (1.85, 2.25), (2.4, 2.8)
CHEST, THIGH = (0.25, 0.65), (1.15, 1.45)
THIGHS, CALVES, BETWEEN_THIGHS = (1.1, 1.4), (2.2, 2.7), (1.4, 1.8)
"""Stretches of the body that are compared."""

SHINS_AGAINST_TROUSERS, KNEES_AGAINST_TROUSERS = 4.0, 2.0
KNEES_FOR_SHORTS, KNEES_AGAINST_SHORTS = 2.0, 2.5
ALIKE_FOR_DRESS, ALIKE_AGAINST_SKIRT = 2.0, 1.0
"""What bare knees, bare shins, and one colour across the waist add to the log of a kind's chance, or take away."""

UNSEEN_AGAINST_DRESS: Final = 0.7
"""What a torso that is not seen takes away: nothing then shows that what covers the legs begins at the shoulders."""

OUTER_AGAINST_DRESS: Final = 1.0
"""What outerwear takes away: it has one colour across the waist, too, and is seldom worn over a dress."""

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

PRIOR: Final = {"skirt": 0.0, "trousers": 0.6, "shorts": -0.3, "dress": -0.5}
"""Log of how often each kind is worn, up to a constant. Set by hand."""

PROBE_FOR_OUTER, CLASSES_FOR_OUTER, OPEN_FOR_OUTER, BARE_AGAINST_OUTER = 0.15, 0.25, 0.06, 2.5
"""Weights of what speaks for outerwear rather than for a top alone: the probe's log odds, the log odds of ImageNet's
classes of both, the distance of colour between the chest's middle and its sides, and the share of skin on forearms."""

COAT: Final = 568
"""ImageNet's class of fur coats, which bulky outerwear of any cloth resembles."""

COAT_FOR_OUTER, ENDING_AGAINST_OUTER = 0.3, 0.03
"""Weights of that class in the picture down to the knees, and of the distance of colour between the chest's sides and
the thighs: outerwear goes on below the hips, most tops do not."""

SIDES, BELOW_HIPS = (0.3, 0.8), (1.05, 1.3)
"""The stretches of the body whose sides are compared for that."""

MOST_APART: Final = 40.0
"""A larger distance of colour tells no more of outerwear than this one."""

OUTER_PRIOR: Final = 0.5
"""Log of how often outerwear is worn against a top alone."""


SURE_DRESS: Final = 0.9
"""A dress that is less likely than this may be a top with something below it, so that top is offered beside it."""


def evidence(upper: CropLogits, lower: CropLogits, knee: CropLogits) -> Evidence:
    """What the pictures of the upper half, of the lower half and down to the knees say."""
    values = lower.kinds[[PROBED.index(kind) for kind in LOWER]].astype(float)
    values -= np.log(np.exp(values - values.max()).sum()) + values.max()
    chances = {
        kind: PICTURE_LOWER * float(value) + CLASSES_LOWER * unusual(lower, kind) + CLASSES_KNEE * unusual(knee, kind)
        for kind, value in zip(LOWER, values, strict=True)
    }
    probe = float(upper.kinds[PROBED.index("outerwear")] - upper.kinds[PROBED.index("top")])
    classes = log_mass(upper, "outerwear") - log_mass(upper, "top")
    coat = float(np.log(softmax(knee.imagenet, CLASSES_TEMPERATURE)[COAT] + LEAST_MASS)) - USUAL["outerwear"]
    return Evidence(chances, PROBE_FOR_OUTER * probe + CLASSES_FOR_OUTER * classes + COAT_FOR_OUTER * coat)


def unusual(row: CropLogits, kind: str) -> float:
    """How much larger than usual the log mass of a kind's classes of ImageNet is; 0 for a kind without classes."""
    return log_mass(row, kind) - USUAL[kind] if kind in IMAGENET else 0.0


def outer_chance(body: Body, colours: Profile, pictures: Evidence) -> float:
    """Probability that outerwear is worn: from pictures, an open front, bare forearms, and where it ends."""
    opening, ending = (min(distance, MOST_APART) for distance in (opened(colours), ended(colours)))
    odds = pictures.outer + OPEN_FOR_OUTER * opening - ENDING_AGAINST_OUTER * ending + OUTER_PRIOR
    odds -= BARE_AGAINST_OUTER * max(bare_forearms(body))
    return float(1 / (1 + np.exp(-odds)))


def lower_kinds(body: Body, colours: Profile, pictures: Evidence, outer: float = 0.0) -> dict[str, float]:
    """Probability of each kind of ``LOWER``, where outerwear is worn with a probability."""
    knees, shins = colours.skin_on_legs(*KNEES), colours.skin_on_legs(*SHINS)
    alike = across_waist(colours)
    along = float(np.linalg.norm(colours.sides(*THIGHS) - colours.sides(*CALVES)))
    change = 1 / (1 + np.exp(-(along - CHANGE_DISTANCE) / CHANGE_WIDTH))
    scores = {kind: PRIOR[kind] + pictures.lower[kind] for kind in LOWER}
    scores["trousers"] -= SHINS_AGAINST_TROUSERS * shins + KNEES_AGAINST_TROUSERS * knees
    scores["trousers"] -= CHANGE_AGAINST_TROUSERS * change
    scores["shorts"] += KNEES_FOR_SHORTS * knees - KNEES_AGAINST_SHORTS * (1 - max(knees, shins))
    scores["shorts"] += UNCOVERED_FOR_SHORTS - COVERED_AGAINST_SHORTS * covered(body, *BETWEEN_THIGHS)
    scores["dress"] += ALIKE_FOR_DRESS * alike - OUTER_AGAINST_DRESS * outer
    scores["dress"] -= UNSEEN_AGAINST_DRESS * (colours.start > NO_TORSO)
    scores["skirt"] -= ALIKE_AGAINST_SKIRT * alike
    values = np.exp(np.array(list(scores.values())) - max(scores.values()))
    return dict(zip(scores, (values / values.sum()).tolist(), strict=True))


def across_waist(colours: Profile) -> float:
    """How much chest and thighs have one colour, from -1 to 1; 0 where the photo does not show the chest."""
    if colours.start > CHEST[1]:
        return 0.0
    apart = float(np.linalg.norm(colours.colour(*CHEST) - colours.colour(*THIGH)))
    return 1 - 2 / (1 + float(np.exp(-(apart - ALIKE_DISTANCE) / 5)))


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
    torso = colours.start <= NO_TORSO
    outer = outer_chance(body, colours, pictures) if torso else 0.0
    lower = lower_kinds(body, colours, pictures, outer) if end >= LEAST_END else {"": 1.0}
    kind = max(lower, key=lambda name: lower[name])
    garments = upper_garments(body, colours, outer, lower) if torso else []
    if kind:
        place = box(body, colours, kind)
        if kind == "dress" and outer > 0.5 and is_open(colours):
            place = (place[0], body.row(DRESS_WITHIN_OUTER), *place[2:])
        if not torso:
            place = (place[0], max(place[1], body.row(colours.start)), *place[2:])
        garments.append(Estimate(kind, place, lower[kind], lower))
    if (shoes := shoe_box(body, colours)) is not None:
        garments.append(Estimate("shoes", shoes, 0.9, {"shoes": 1.0}))
    return garments


def upper_garments(body: Body, colours: Profile, outer: float, lower: dict[str, float]) -> list[Estimate]:
    """What is worn on the torso, where outerwear has one probability and the kinds of the lower half have others."""
    upper_kinds = {"top": 1 - outer, "outerwear": outer}
    if max(lower, key=lambda name: lower[name]) == "dress":
        if outer > 0.5:
            return [Estimate("outerwear", box(body, colours, "outerwear"), outer, upper_kinds)]
        if lower["dress"] < SURE_DRESS:
            return [Estimate("top", box(body, colours, "top"), 1 - lower["dress"], {"top": 1.0})]
        return []
    upper = "outerwear" if outer > 0.5 else "top"
    garments = [Estimate(upper, box(body, colours, upper), max(outer, 1 - outer), upper_kinds)]
    if upper == "outerwear" and is_open(colours):
        garments.append(Estimate("top", inner_box(body, colours), outer, {"top": 1.0}))
    return garments


def is_open(colours: Profile) -> bool:
    """Whether outerwear is worn open: the chest's middle has another colour than its sides."""
    return opened(colours) > OPEN_DISTANCE


def opened(colours: Profile) -> float:
    """The distance of colour between the chest's middle and its sides."""
    return float(np.linalg.norm(colours.colour(*OPENING) - colours.sides(*OPENING)))


def ended(colours: Profile) -> float:
    """The distance of colour between the chest's sides and the thighs."""
    return float(np.linalg.norm(colours.sides(*SIDES) - colours.sides(*BELOW_HIPS)))


def inner_box(body: Body, colours: Profile) -> Rectangle:
    """The box of the top that is seen inside open outerwear."""
    waist = rows(colours, "skirt")[0]
    shoulders = body.pair(poses.SHOULDERS)[:, 0]
    half = INNER_HALF * max(float(abs(shoulders[0] - shoulders[1])), 0.4 * body.torso)
    return body.centre(0.5) - half, body.row(TOP_OF["top"]), body.centre(0.5) + half, body.row(waist)


def rows(colours: Profile, kind: str) -> tuple[float, float]:
    """Where a garment begins and ends along the body."""
    ends = {"top": edges.TOP_END, "skirt": edges.HEM, "shorts": edges.HEM, "dress": edges.DRESS_HEM}
    prior = edges.LONG_HEM if colours.long and kind in ("skirt", "dress") else ends.get(kind)
    end = BOTTOM_OF[kind] if prior is None else edges.place(colours.edges, prior)
    if kind in TOP_OF:
        return TOP_OF[kind], end
    if kind == "trousers":
        return edges.place(colours.edges, edges.TROUSERS_START), end
    return min(edges.place(colours.edges, edges.WAIST), 1.0), end


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
        bare = profiles.bareness(lab, skin)
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
