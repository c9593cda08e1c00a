"""People: poses, skin, hair and faces."""

from dataclasses import dataclass

import numpy as np

from osoroi.data.synthetic.canvas import Piece
from osoroi.data.synthetic.cloth import Cloth, Colour, darker
from osoroi.data.synthetic.shapes import Points, Spot, curve, disc, limb, mirrored

SKINS: tuple[Colour, ...] = (
    (241, 206, 184),
    (228, 184, 152),
    (204, 152, 116),
    (160, 108, 76),
    (112, 74, 54),
    (78, 52, 40),
)
HAIRS: tuple[Colour, ...] = ((30, 25, 24), (58, 40, 30), (98, 66, 42), (168, 124, 72), (214, 184, 128), (128, 54, 34))

Joints = tuple[Spot, Spot, Spot]


@dataclass(frozen=True)
class Stance:
    """Shoulder, elbow and wrist of both arms, hip, knee and ankle of both legs; left of the picture first."""

    arms: tuple[Joints, Joints]
    legs: tuple[Joints, Joints]


def bent(side: int, start: Spot, spans: tuple[float, float], angles: tuple[float, float]) -> Joints:
    """Joints from a start point; angles are measured outwards from straight down."""
    spots = [start]
    for span, angle in zip(spans, angles, strict=True):
        x, y = spots[-1]
        spots.append((x + side * span * float(np.sin(angle)), y + span * float(np.cos(angle))))
    return spots[0], spots[1], spots[2]


def posed(arms: tuple[tuple[float, float], tuple[float, float]], legs: tuple[float, float]) -> Stance:
    """A pose from the angles of upper and lower arms, and of the legs."""
    left, right = (bent(side, (side * 0.80, 0.34), (1.35, 1.25), a) for side, a in zip((-1, 1), arms, strict=True))
    both = (bent(side, (side * 0.36, 2.45), (2.0, 2.05), (a, a * 0.6)) for side, a in zip((-1, 1), legs, strict=True))
    first, second = both
    return Stance((left, right), (first, second))


ARMS = ((0.12, 0.02), (0.2, -0.1), (0.16, 0.12), (0.62, -0.95), (0.22, -2.3), (0.34, -0.5))
"""Ways to hold an arm: three hang, one hand is on the hip, one holds a phone, one is in the pocket."""

USUAL = (0.27, 0.25, 0.2, 0.12, 0.06, 0.1)
"""How often an arm is held in each of these ways."""


def standing(dice: np.random.Generator) -> Stance:
    """The pose of a person in the street."""
    left, right = (ARMS[i] for i in dice.choice(6, 2, p=USUAL))
    jitter = dice.uniform(-0.06, 0.06, 6)
    arms = (left[0] + jitter[0], left[1] + jitter[1]), (right[0] + jitter[2], right[1] + jitter[3])
    return posed(arms, (0.06 + jitter[4], 0.06 + jitter[5]))


def laid(dice: np.random.Generator, spread: float = 0.42) -> Stance:
    """The pose of a garment that is laid out or hung up."""
    jitter = dice.uniform(-0.05, 0.05, 2)
    return posed(((spread + jitter[0],) * 2, (spread + jitter[0],) * 2), (0.10 + jitter[1],) * 2)


@dataclass(frozen=True)
class Figure:
    """Skin, hair, and how long it is: 0 short, 1 to the chin, 2 below the shoulders."""

    skin: Colour
    hair: Colour
    length: int

    @property
    def flesh(self) -> Cloth:
        return Cloth(self.skin)


def person(dice: np.random.Generator) -> Figure:
    """A random person."""
    dark = int(dice.integers(len(SKINS)))
    hair = int(dice.integers(len(HAIRS))) if dark < 3 else int(dice.integers(2))
    return Figure(SKINS[dark], HAIRS[hair], int(dice.choice(3, p=(0.35, 0.3, 0.35))))


def skin(outline: Points, person: Figure, roundness: float = 0.14) -> Piece:
    return Piece(outline, person.flesh, roundness=roundness, own=False)


def behind(person: Figure) -> list[Piece]:
    """Hair that falls behind the shoulders."""
    low = (-0.35, -0.02, 0.75)[person.length]
    wide = (0.42, 0.5, 0.56)[person.length]
    outline = mirrored(curve((0, -1.42), (0.34, -1.3), (wide, -0.85), (wide, low - 0.2), (wide * 0.7, low), (0, low)))
    return [] if person.length == 0 else [Piece(outline, Cloth(person.hair, weave=0.05), roundness=0.2, own=False)]


def body(person: Figure, pose: Stance, *, shod: bool = True) -> list[Piece]:
    """Legs, shoes, torso and neck."""
    legs = [skin(limb(list(leg), [0.62, 0.46, 0.40, 0.36, 0.2]), person, 0.2) for leg in pose.legs]
    shoes = [
        Piece(disc(leg[2][0] + 0.06 * np.sign(leg[2][0]), leg[2][1] + 0.12, 0.2, 0.2), Cloth((40, 38, 40)), own=False)
        for leg in pose.legs
    ]
    torso = curve(
        (0, -0.05), (0.2, 0.05), (0.55, 0.16), (0.82, 0.3), (0.72, 0.85), (0.55, 1.7), (0.72, 2.45), (0.05, 2.8)
    )
    neck = curve((0, -0.6), (0.21, -0.55), (0.2, -0.12), (0.36, 0.08), (0, 0.4))
    return [*legs, *(shoes if shod else []), skin(mirrored(torso), person, 0.4), skin(mirrored(neck), person, 0.18)]


def arm(person: Figure, joints: Joints) -> list[Piece]:
    """An arm with its hand."""
    (_, (ex, ey), (wx, wy)) = joints
    far = float(np.hypot(wx - ex, wy - ey))
    hand = (wx + 0.32 * (wx - ex) / far, wy + 0.32 * (wy - ey) / far)
    outline = limb([*joints], [0.38, 0.33, 0.29, 0.27, 0.17], flat=False)
    return [skin(outline, person), skin(limb([(wx, wy), hand], [0.17, 0.26, 0.2], flat=False), person, 0.1)]


def head(person: Figure) -> list[Piece]:
    """Face and the hair about it."""
    face = mirrored(curve((0, -1.28), (0.28, -1.18), (0.37, -0.88), (0.32, -0.54), (0.18, -0.3), (0, -0.24)))
    fringe = curve((-0.36, -0.72), (-0.33, -1.08), (-0.05, -1.16), (0.22, -1.08), (0.34, -0.72))
    crown = curve((0.40, -0.7), (0.42, -1.05), (0.26, -1.36), (0, -1.44), (-0.26, -1.36), (-0.42, -1.05), (-0.40, -0.7))
    dark, lips = (
        Cloth((52, 38, 34)),
        Cloth(darker(person.skin, 0.8, 0.55, 0.55)),
    )
    features = [Piece(disc(side * 0.14, -0.79, 0.05, 0.028), dark, roundness=0.0, own=False) for side in (-1, 1)]
    brows = [
        Piece(limb([(s * 0.08, -0.88), (s * 0.21, -0.88)], [0.03, 0.02]), Cloth(person.hair), roundness=0.0, own=False)
        for s in (-1, 1)
    ]
    mouth = Piece(
        limb([(-0.1, -0.46), (0, -0.425), (0.1, -0.46)], [0.015, 0.055, 0.015]), lips, roundness=0.0, own=False
    )
    hair = Piece(np.concatenate([fringe, crown]), Cloth(person.hair, weave=0.05), roundness=0.12, own=False)
    return [skin(face, person, 0.2), *features, *brows, mouth, hair]
