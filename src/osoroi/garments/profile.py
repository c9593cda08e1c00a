"""Colours along the body, and what is told by them: skin, the tops of boots, and edges across the body.

At steps of .05 along the body the median colour is taken on three lines, the two legs (above the hips: from each
shoulder to the hip) and the middle, and on the legs the share of skin. Boots begin where the colours of the legs above
and below differ most, weighted by where boots usually begin. ``edges`` tells hems and waists.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, UInt8

from osoroi.garments import edges
from osoroi.garments import pose as poses
from osoroi.garments.body import Body
from osoroi.garments.edges import Prior
from osoroi.garments.pose import SIDE

STEP: Final = 0.05
PLACES: Final = np.arange(-0.2, 3.2 + STEP / 2, STEP)
"""Places along the body where colours are taken."""

ACROSS: Final = 0.07
"""Half the width of a line, in torsos."""

NEAR: Final = 0.02
"""The pixels beside a place of ``across`` lie so far from it, in torsos."""

WINDOW: Final = 0.25
"""Colours above and below a boundary are means over so much of the body."""

MIN_JUMP: Final = 9.0
"""A smaller difference of colour is no boundary."""

SKIN_SHARE: Final = 30.0
"""What all skin against none counts as a difference of colour."""

GENERIC_SKIN: Final = (16.0, 18.0)
"""a and b of skin where the face says little."""

BRIGHTNESS: Final = 65.0
"""L of skin where the photo shows no face."""

SKIN_SPREADS: Final = (24.0, 6.5, 7.5)
"""Deviations of L, a and b of one person's skin in one photo."""

ANY_SKIN_SPREADS: Final = (24.0, 9.0, 9.0)
"""The same over people."""


BOOT_TOP: Final = Prior(2.15, 2.95, 2.6, 0.35)

CALVES: Final = (2.25, 2.75)
BETWEEN_CALVES, CALVES_WIDTH, BARE_CALVES = 0.8, 0.45, 0.35
"""One cloth covers both calves where at least the first share of the middle line between them shows the person, who is
at least the second, in torsos, wide there, and where less than the third of the legs is skin."""

UPPER_THIGHS: Final = (1.15, 1.4)
LIKE_CALVES: Final = 22.0
"""What covers the calves is the cloth of the upper thighs where their colours differ by at most so much; else it is
tights, leggings or boots."""


@dataclass(frozen=True)
class Profile:
    """Colour (L/2, a, b) at each of ``PLACES``, on both legs together and on the middle line; share of skin on the
    legs; how strong an edge across the body is at each of ``edges.ROWS``; the first place that shows the person; and
    whether one cloth seems to cover both calves."""

    legs: Float[np.ndarray, "n 3"]
    middle: Float[np.ndarray, "n 3"]
    leg_skin: Float[np.ndarray, "n"]
    edges: Float[np.ndarray, "m"]
    start: float = float(PLACES[0])
    long: bool = False

    def skin_on_legs(self, low: float, high: float) -> float:
        """Mean share of skin on the legs between two places."""
        return float(self.leg_skin[between(low, high)].mean())

    def colour(self, low: float, high: float) -> Float[np.ndarray, "3"]:
        """Mean colour (L/2, a, b) of the middle line between two places."""
        return self.middle[between(low, high)].mean(axis=0)

    def sides(self, low: float, high: float) -> Float[np.ndarray, "3"]:
        """Mean colour (L/2, a, b) of both legs, or of both sides of the trunk, between two places."""
        return self.legs[between(low, high)].mean(axis=0)


def between(low: float, high: float) -> Bool[np.ndarray, "n"]:
    """The entries of ``PLACES`` in a range, both ends included."""
    return (low - 1e-9 <= PLACES) & (high + 1e-9 >= PLACES)


def profile(body: Body) -> Profile:
    """Colours along a body; where a line shows nothing of the person, the nearest place that does stands in."""
    left, right, middle = lines(body)
    reach = ACROSS * body.torso * np.linspace(-1, 1, 7)
    down = 0.02 * body.torso * np.array([-1.0, 0.0, 1.0])
    points = np.stack([left, right, middle])[:, :, None, None, :]
    x = (points[..., 0] + reach).round().astype(int)
    y = (points[..., 1] + down[:, None]).round().astype(int)
    usable = body.mask & ~body.hands
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    x, y = np.clip(x, 0, SIDE - 1), np.clip(y, 0, SIDE - 1)
    x, y = np.broadcast_arrays(x, y)
    valid = (inside & usable[y, x]).reshape(3, len(PLACES), -1)
    lab = to_lab(body.pose.crop[y, x].reshape(3, len(PLACES), -1, 3))
    skin = skin_colour(body)
    bare = bareness(lab, skin)
    legs = np.concatenate([lab[0], lab[1]], axis=1), np.concatenate([valid[0], valid[1]], axis=1)
    both = np.concatenate([bare[0], bare[1]], axis=1)
    leg_skin = means(both, legs[1])
    colours = Profile(
        legs=medians(*legs) * (0.5, 1, 1),
        middle=medians(lab[2], valid[2]) * (0.5, 1, 1),
        leg_skin=leg_skin,
        edges=edges.strengths(*across(body, skin)),
        start=float(PLACES[np.argmax(valid.any(axis=(0, 2)))]),
    )
    return replace(colours, long=covers_calves(body) and is_one_cloth(colours))


def is_one_cloth(colours: Profile) -> bool:
    """Whether the calves are no skin, and have the colour that the upper thighs have."""
    apart = float(np.linalg.norm(colours.colour(*UPPER_THIGHS) - colours.colour(*CALVES)))
    return colours.skin_on_legs(*CALVES) < BARE_CALVES and apart <= LIKE_CALVES


def covers_calves(body: Body) -> bool:
    """Whether the person is one piece between the knees and the ankles, and as wide as a skirt or both legs apart."""
    places = np.linspace(*CALVES, 8)
    at = np.clip([round(body.row(u)) for u in places], 0, SIDE - 1)
    columns = np.clip([round(body.centre(u)) for u in places], 0, SIDE - 1)
    width = float((body.mask & ~body.arms)[at].sum(axis=1).mean()) / body.torso
    return float(body.mask[at, columns].mean()) >= BETWEEN_CALVES and width >= CALVES_WIDTH


def across(body: Body, skin: Float[np.ndarray, "3"]) -> tuple[Float[np.ndarray, "n m 4"], Bool[np.ndarray, "n m"]]:
    """Colour (L/2, a, b) and 30 times the share of skin at ``edges.ROWS`` and ``edges.COLUMNS``, each the mean of nine
    pixels; and which of them show the person, without the arms."""
    x = np.array([[body.centre(u)] for u in edges.ROWS]) + edges.COLUMNS * body.torso
    y = np.array([[body.row(u)] for u in edges.ROWS]) + np.zeros(len(edges.COLUMNS))
    near = NEAR * body.torso * np.array([-1.0, 0.0, 1.0])
    columns = np.clip((x[..., None, None] + near).round().astype(int), 0, SIDE - 1)
    rows = np.clip((y[..., None, None] + near[:, None]).round().astype(int), 0, SIDE - 1)
    lab = to_lab(body.pose.crop[rows, columns]).reshape(*x.shape, 9, 3)
    bare = bareness(lab, skin).mean(axis=-1)
    x, y = x.round().astype(int), y.round().astype(int)
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    shown = (body.mask & ~body.arms)[np.clip(y, 0, SIDE - 1), np.clip(x, 0, SIDE - 1)]
    return np.concatenate([lab.mean(axis=2) * (0.5, 1, 1), SKIN_SHARE * bare[..., None]], axis=-1), inside & shown


def lines(body: Body) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Points at ``PLACES`` on the person's left, on the right, and in the middle."""
    rows = (poses.SHOULDERS, poses.HIPS, poses.KNEES, poses.ANKLES)
    sides = []
    for side in (0, 1):
        joints = np.stack([body.pose.landmarks[pair[side]] for pair in rows]).astype(float)
        sides.append(_along(joints))
    return sides[0], sides[1], _along(body.joints)


def _along(joints: Float[np.ndarray, "4 2"]) -> Float[np.ndarray, "n 2"]:
    ends = np.concatenate([joints, 2 * joints[3:] - joints[2:3]])
    return np.stack([np.interp(PLACES, np.arange(5), ends[:, axis]) for axis in (0, 1)], axis=1)


def bareness(lab: Float[np.ndarray, "*n 3"], skin: Float[np.ndarray, "3"]) -> Float[np.ndarray, "*n"]:
    """How much each colour is that of one person's skin, from 0 to 1."""
    shares: Float[np.ndarray, "*n"] = np.exp(-0.5 * (((lab - skin) / SKIN_SPREADS) ** 2).sum(axis=-1))
    return shares


def skin_colour(body: Body) -> Float[np.ndarray, "3"]:
    """Lab of this person's skin: of the brighter half of the face; a and b are drawn a quarter towards a usual skin."""
    lab = to_lab(body.pose.crop[_face(body)])
    if not len(lab):
        return np.array([BRIGHTNESS, *GENERIC_SKIN])
    bright = lab[lab[:, 0] >= np.median(lab[:, 0])]
    colour = np.median(bright, axis=0)
    return np.array([colour[0], *(0.75 * colour[1:] + 0.25 * np.array(GENERIC_SKIN))])


def share_of_skin_on_face(body: Body) -> float:
    """How much of the face has a usual colour of skin, of any person; 0 where the photo shows no pixel of it."""
    lab = to_lab(body.pose.crop[_face(body)])
    usual = np.array([BRIGHTNESS, *GENERIC_SKIN])
    return float(np.exp(-0.5 * (((lab - usual) / ANY_SKIN_SPREADS) ** 2).sum(axis=-1)).mean()) if len(lab) else 0.0


def _face(body: Body) -> Bool[np.ndarray, "256 256"]:
    """The person's pixels near the nose."""
    nose = body.pose.landmarks[poses.NOSE]
    ears = body.pair((poses.LEFT_EAR, poses.RIGHT_EAR))
    radius = max(0.12 * body.torso, 0.35 * float(np.hypot(*(ears[0] - ears[1]))), 2.0)
    y, x = np.mgrid[:SIDE, :SIDE]
    return ((x - nose[0]) ** 2 + (y - nose[1]) ** 2 <= radius**2) & body.mask


def boundary(colours: Float[np.ndarray, "n 3"], skin: Float[np.ndarray, "n"], prior: Prior) -> tuple[float, float]:
    """The place of the boundary that a prior expects, and how large the jump of colour is there.

    The jump is the distance between the mean colours of .25 above and .25 below; all skin against none counts 30. The
    place has the largest product of jump and prior. Where that jump is below 9, the place is the prior's mean.
    """
    values = np.concatenate([colours, SKIN_SHARE * skin[:, None]], axis=1)
    width = round(WINDOW / STEP)
    sums = np.concatenate([np.zeros((1, 4)), np.cumsum(values, axis=0)])
    at = np.flatnonzero(between(prior.low, prior.high))
    at = at[(at >= width) & (at + width < len(values))]
    above = (sums[at] - sums[at - width]) / width
    below = (sums[at + 1 + width] - sums[at + 1]) / width
    jumps = np.sqrt(((above - below) ** 2).sum(axis=1))
    best = int(np.argmax(jumps * np.exp(-0.5 * ((PLACES[at] - prior.mean) / prior.deviation) ** 2)))
    if jumps[best] < MIN_JUMP:
        return prior.mean, float(jumps[best])
    return float(PLACES[at[best]]), float(jumps[best])


def medians(values: Float[np.ndarray, "n m 3"], valid: Bool[np.ndarray, "n m"]) -> Float[np.ndarray, "n 3"]:
    """Median over the valid entries of each row; a row without any takes the nearest row's."""
    counts = valid.sum(axis=1)
    ordered = np.sort(np.where(valid[..., None], values, np.inf), axis=1)
    rows = np.arange(len(values))
    low, high = np.maximum(counts - 1, 0) // 2, np.minimum(counts // 2, values.shape[1] - 1)
    return _filled((ordered[rows, low] + ordered[rows, high]) / 2, counts > 0)


def means(values: Float[np.ndarray, "n m"], valid: Bool[np.ndarray, "n m"]) -> Float[np.ndarray, "n"]:
    """Mean over the valid entries of each row; a row without any takes the nearest row's."""
    counts = valid.sum(axis=1)
    return _filled((values * valid).sum(axis=1) / np.maximum(counts, 1), counts > 0)


def _filled(rows: Float[np.ndarray, "n *c"], known: Bool[np.ndarray, "n"]) -> Float[np.ndarray, "n *c"]:
    if not known.any():
        return np.zeros_like(rows)
    at = np.flatnonzero(known)
    nearest = at[np.argmin(np.abs(np.arange(len(rows))[:, None] - at[None]), axis=1)]
    return rows[nearest]


def to_lab(pixels: UInt8[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """CIE L*a*b* (D65) of sRGB pixels.

    >>> to_lab(np.array([[128, 0, 255], [255, 0, 0]], np.uint8)).round(0).tolist()
    [[41.0, 83.0, -93.0], [53.0, 80.0, 67.0]]
    """
    linear = LINEAR[pixels]
    xyz = linear @ TO_XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return lab


_LEVELS = np.arange(256) / 255
LINEAR: Final = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
"""Light of each level of sRGB."""

TO_XYZ: Final = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])
"""Linear sRGB to XYZ, over the white of D65."""
