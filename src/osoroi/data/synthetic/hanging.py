"""How a garment's cut-out hangs on a body: its scale, its place, and the bones that move its sleeves or legs.

Lengths are heads and the pit of the neck is at (0, 0), as in ``figures``.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from osoroi.data.synthetic.figures import Joints, Stance
from osoroi.data.synthetic.morph import Bone, fixed, sources


class HangingPlace(NamedTuple):
    """Where a category hangs, and how long it may be, from its upper edge to its hem."""

    slot: str
    shortest: float
    longest: float


PLACES = {
    "tops": HangingPlace("upper", 1.8, 2.8),
    "outerwear": HangingPlace("upper", 2.1, 4.6),
    "dresses": HangingPlace("upper", 3.0, 5.4),
    "bodysuits": HangingPlace("upper", 2.6, 5.8),
    "skirts": HangingPlace("lower", 1.2, 4.2),
    "pants": HangingPlace("lower", 3.2, 4.9),
    "shorts": HangingPlace("lower", 0.9, 2.3),
    "shoes": HangingPlace("feet", 0.5, 1.6),
    "hats": HangingPlace("head", 0.4, 1.1),
    "bags": HangingPlace("held", 0.7, 1.5),
}
"""Category -> its place on a body; garments of other categories hang alone."""

CHEST, WAIST, CHESTS = 1.4, 1.16, {"outerwear": 1.65, "dresses": 1.3}
"""Widths of a garment at its narrowest over the chest, and at the waist; some categories are wider or narrower."""

SHOULDER_ROWS = (0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.24, 0.28)
"""Where shoulders may begin, as shares of the height: a hood comes first."""

SHOULDER, SLEEVE = (0.8, 0.34), 0.2
"""The joint of an arm; and what reaches out less than this beyond it is no sleeve."""


@dataclass(frozen=True)
class Hung:
    """A cut-out on a body: pixels of the pit of the neck, pixels of a head, and its bones on the pose."""

    garment: Image.Image
    x: float
    y: float
    scale: float
    bones: list[Bone] = field(default_factory=list)
    flipped: bool = False

    def pixels(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Where on the cut-out points of the body lie."""
        lying = sources(points, self.bones)
        if self.flipped:
            lying = lying * [-1, 1]
        return lying * self.scale + [self.x, self.y]

    @property
    def has_long_sleeves(self) -> bool:
        """Whether the cut-out reaches about the ends of both arms."""
        alpha = np.asarray(self.garment.getchannel("A"))
        wrists = [bone.source[1] for bone in self.bones[-4:]][1::2] if len(self.bones) > 4 else []
        spots = [(x * 0.85 * self.scale + self.x, y * 0.9 * self.scale + self.y) for x, y in wrists]
        inside = [0 <= x < alpha.shape[1] and 0 <= y < alpha.shape[0] and alpha[int(y), int(x)] > 127 for x, y in spots]
        return bool(inside) and all(inside)

    def box(self) -> Float[np.ndarray, "2 2"]:
        """Left and top, right and bottom on the body, of the cut-out as it lies."""
        corners = (np.array([[0, 0], self.garment.size]) - [self.x, self.y]) / self.scale
        return np.sort(corners * [-1, 1], axis=0) if self.flipped else corners

    def reduced(self, scale: float) -> "Hung":
        """The same with a smaller cut-out, where it has more than one and a half as many pixels a head."""
        share = scale / self.scale
        if share > 0.67:
            return self
        size = max(8, round(self.garment.width * share)), max(8, round(self.garment.height * share))
        garment = self.garment.resize(size, Image.Resampling.BOX)
        return replace(self, garment=garment, x=self.x * share, y=self.y * share, scale=self.scale * share)


class Outline(NamedTuple):
    """Which pixels of a cut-out are garment, with its first row and its height."""

    covered: Bool[np.ndarray, "h w"]
    top: int
    high: int

    def run(self, share: float, middle: float) -> tuple[float, float]:
        """The columns that are covered in one row, from a middle on to both sides; of the whole row where it is not."""
        row = self.covered[self.top + int(share * (self.high - 1))]
        at = int(np.clip(middle, 0, len(row) - 1))
        if not row[at]:
            return self.extent(share)
        gaps = np.flatnonzero(~row)
        left = gaps[gaps < at].max(initial=-1) + 1
        right = gaps[gaps > at].min(initial=len(row))
        return float(left), float(right)

    def extent(self, share: float) -> tuple[float, float]:
        """First and last covered column of one row; the middle, twice, where it crosses a gap between two pieces."""
        spots = np.flatnonzero(self.covered[self.top + int(share * (self.high - 1))])
        middle = self.covered.shape[1] / 2
        return (float(spots[0]), float(spots[-1] + 1)) if len(spots) else (middle, middle)


def outlined(garment: Image.Image) -> Outline:
    """The outline of a cut-out; a faint one counts from half of its most opaque pixel."""
    alpha = np.asarray(garment.getchannel("A"))
    covered = alpha >= max(1, int(alpha.max()) // 2)
    rows = np.flatnonzero(covered.any(axis=1))
    return Outline(covered, int(rows[0]), int(rows[-1] - rows[0] + 1))


def measured(garment: Image.Image, category: str) -> tuple[float, float, float]:
    """The pit of the neck in pixels of the cut-out, and the pixels of a head, of what hangs from shoulders or waist."""
    place, shape = PLACES[category], outlined(garment)
    left, right = shape.extent(0.06)
    if place.slot == "lower":
        scale = np.clip((right - left) / WAIST, shape.high / place.longest, shape.high / place.shortest)
        return (left + right) / 2, shape.top - 1.6 * float(scale), float(scale)
    middle = (left + right + sum(shape.extent(0.2))) / 4
    chest = min(float(np.diff(shape.run(share, middle))[0]) for share in (0.35, 0.45, 0.55, 0.65))
    scale = float(np.clip(chest / CHESTS.get(category, CHEST), shape.high / place.longest, shape.high / place.shortest))
    widths = [float(np.diff(shape.extent(share))[0]) for share in SHOULDER_ROWS]
    first = next((share for share, wide in zip(SHOULDER_ROWS, widths, strict=True) if wide > 1.0 * scale), 0.03)
    return middle, shape.top + first * shape.high - 0.08 * scale, scale


def sleeve_angle(shape: Outline, x: float, y: float, scale: float, side: int) -> float | None:
    """How far outwards from straight down a sleeve lies; None without a sleeve.

    Its outer edge runs from the shoulder to what reaches out furthest above the waist; its middle lies inside of that.
    """
    first, last = (int(np.clip(y + at * scale, 0, len(shape.covered) - 1)) for at in (0.3, 1.75))
    rows, columns = np.nonzero(shape.covered[first : last + 1])
    if not len(columns):
        return None
    at = int(np.argmax(side * columns))
    across, down = side * (columns[at] - x) / scale - SHOULDER[0], (rows[at] + first - y) / scale - SHOULDER[1]
    if across < SLEEVE:
        return None
    return float(np.arctan2(across, down) - np.arcsin(0.2 / max(float(np.hypot(across, down)), 0.4)))


def arm_bones(angle: float, arm: Joints) -> list[Bone]:
    """Upper and lower arm of a sleeve: as it lies, straight from the shoulder, and as it is worn."""
    side = float(np.sign(arm[0][0]))
    spots = [
        (side * (SHOULDER[0] + length * float(np.sin(angle))), SHOULDER[1] + length * float(np.cos(angle)))
        for length in (0.0, 1.35, 2.6)
    ]
    return [Bone((spots[0], spots[1]), (arm[0], arm[1])), Bone((spots[1], spots[2]), (arm[1], arm[2]))]


def leg_bones(shape: Outline, x: float, y: float, scale: float, pose: Stance) -> list[Bone]:
    """Both legs of trousers, as they lie and as they stand."""
    hem = (shape.top + shape.high - y) / scale
    bones = [fixed((-0.58, 1.62), (0.58, 1.62)), fixed((-0.7, 2.3), (0.7, 2.3))]
    low = shape.top + int(0.88 * shape.high)
    _, columns = np.nonzero(shape.covered[low:])
    for leg in pose.legs:
        own = columns[columns < x] if leg[0][0] < 0 else columns[columns >= x]
        if len(own) and hem > 2.6:
            share = (hem - leg[0][1]) / (leg[2][1] - leg[0][1])
            worn = leg[0][0] + share * (leg[2][0] - leg[0][0])
            bones.append(Bone((leg[0], ((float(own.mean()) - x) / scale, hem)), (leg[0], (float(worn), hem))))
    return bones


def hung(garment: Image.Image, category: str, pose: Stance, dice: np.random.Generator) -> list[Hung]:
    """A cut-out where its category belongs on a pose; a single shoe is worn on both feet."""
    slot = PLACES[category].slot
    if slot in ("upper", "lower"):
        x, y, scale = measured(garment, category)
        shape = outlined(garment)
        if category in ("pants", "shorts"):
            return [Hung(garment, x, y, scale, leg_bones(shape, x, y, scale, pose))]
        if slot == "lower":
            return [Hung(garment, x, y, scale)]
        angles = [sleeve_angle(shape, x, y, scale, side) for side in (-1, 1)]
        arms = [
            bone
            for angle, arm in zip(angles, pose.arms, strict=True)
            if angle is not None
            for bone in arm_bones(angle, arm)
        ]
        hem = max((shape.top + shape.high - y) / scale, 1.2)
        body = [fixed((-0.6, 0.8), (-0.6, hem)), fixed((0.6, 0.8), (0.6, hem))]
        body += [fixed((-0.6, 0.15), (0.6, 0.15)), fixed((0, 0.2), (0, hem))]
        return [Hung(garment, x, y, scale, body + arms if arms else [])]
    return {"feet": on_feet, "head": on_head, "held": carried}[slot](garment, pose, dice)


def on_feet(garment: Image.Image, pose: Stance, dice: np.random.Generator) -> list[Hung]:
    """A pair between both feet; a shoe that is much longer than wide, or wider than long, on each of them."""
    wide, high = garment.size
    ankles = [leg[2] for leg in pose.legs]
    floor = max(y for _, y in ankles) + 0.42
    if 0.6 < wide / high < 1.7:
        across = ankles[1][0] - ankles[0][0] + 0.75
        scale = max(wide / across, high / PLACES["shoes"].longest)
        return [Hung(garment, wide / 2, high - floor * scale, scale)]
    span = float(dice.uniform(0.45, 0.55)) if wide < high else float(dice.uniform(0.75, 0.95))
    scale = max(wide / span, high / PLACES["shoes"].longest)
    return [Hung(garment, wide / 2 - abs(x) * scale, high - floor * scale, scale, flipped=x < 0) for x, _ in ankles]


def on_head(garment: Image.Image, pose: Stance, dice: np.random.Generator) -> list[Hung]:
    """On the crown of the head, down to the forehead."""
    wide, high = garment.size
    scale = max(wide / float(dice.uniform(1.0, 1.25)), high / PLACES["hats"].longest)
    return [Hung(garment, wide / 2, high + float(dice.uniform(0.9, 1.0)) * scale, scale)]


def carried(garment: Image.Image, pose: Stance, dice: np.random.Generator) -> list[Hung]:
    """At the end of an arm."""
    wide, high = garment.size
    scale = high / float(dice.uniform(PLACES["bags"].shortest, PLACES["bags"].longest))
    x, y = pose.arms[int(dice.integers(2))][2]
    return [Hung(garment, wide / 2 - x * scale, -(y + 0.2) * scale, scale)]
