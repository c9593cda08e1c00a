"""People in whole outfits, drawn: what finds garments can be checked on them, because every box is known.

An outfit is a dress, or a top with trousers, shorts or a skirt; outerwear and a bag may come with it. The box of a
garment is that of its visible pixels.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from osoroi.data.synthetic import cuts, figures, scenes, shapes
from osoroi.data.synthetic.canvas import Canvas, Piece
from osoroi.data.synthetic.cloth import COLOURS, Cloth
from osoroi.data.synthetic.designs import CUTS, LIKELY, second
from osoroi.records import Box

KINDS = {
    "t-shirt": "top",
    "shirt": "top",
    "sweater": "top",
    "coat": "outerwear",
    "jacket": "outerwear",
    "dress": "dress",
    "skirt": "skirt",
    "trousers": "trousers",
    "shorts": "shorts",
    "bag": "bag",
    "shoes": "shoes",
}
"""Kind of a cut -> kind of the table in ``osoroi.garments.kinds``."""

PERSON = (-1.75, -1.5, 1.75, 6.95)
"""The box of somebody standing, in heads; the pit of the neck is at (0, 0)."""

APART = 3.4
"""Heads between two people who stand side by side."""


class PlacedGarment(NamedTuple):
    """One garment: its kind, its box in the photo, and who wears it, counted from 0 on the left."""

    kind: str
    box: Box
    person: int


@dataclass(frozen=True)
class Outfits:
    """A photo of people and everything they wear, and shoulders, hips, knees and ankles of each in its pixels."""

    photo: UInt8[np.ndarray, "h w 3"]
    garments: tuple[PlacedGarment, ...]
    joints: tuple[Float[np.ndarray, "4 2 2"], ...]


def outfits(
    seed: int, number: int, *, people: int = 1, size: tuple[int, int] = (400, 600), behind: bool = False
) -> Outfits:
    """The photo of a number; the same whatever else is drawn. ``behind`` turns everybody's back to the camera."""
    dice = np.random.default_rng([seed, 7, number])
    left, top, right, bottom = PERSON
    wide = (people - 1) * APART
    camera = shapes.aimed((left, top, right + wide, bottom), size, float(dice.uniform(0.8, 0.97)))
    camera = shapes.shaken(camera, dice, turn=0.03, tilt=0.05, shift=0.01)
    layers: list[tuple[Piece, tuple[str, int] | None]] = []
    poses = []
    for person in range(people):
        pose = figures.standing(dice)
        at = person * APART
        layers += [
            (shifted(piece, at), (label, person) if label else None) for piece, label in clothed(pose, dice, behind)
        ]
        poses.append(camera.sees(joints(pose).reshape(-1, 2) + np.array([at, 0])).reshape(4, 2, 2))
    canvas = Canvas(camera, (float(dice.uniform(-0.8, 0.8)), 0.5), dice, scenes.street(dice, *size))
    for piece, _ in layers:
        canvas.paint(piece)
    return Outfits(np.asarray(canvas.picture).copy(), visible(layers, camera), tuple(poses))


def clothed(pose: figures.Stance, dice: np.random.Generator, behind: bool) -> list[tuple[Piece, str | None]]:
    """The pieces of a person in an outfit, in the order they are laid, each with the kind of its garment."""
    person = figures.person(dice)
    body = [*figures.behind(person), *figures.body(person, pose)]
    body += [piece for joints in pose.arms for piece in figures.arm(person, joints)]
    pieces: list[tuple[Piece, str | None]] = [(piece, None) for piece in body]
    pieces += [(piece, "shoes") for piece in shoes(pose, dice)]
    if dice.random() < 0.3:
        order = ["dress"]
    else:
        lower = str(dice.choice(["trousers", "trousers", "skirt"]))
        upper = str(dice.choice(["t-shirt", "shirt", "sweater"]))
        order = [lower, upper] if upper == "sweater" or dice.random() < 0.5 else [upper, lower]
    order += ["coat"] * (dice.random() < 0.35) + ["bag"] * (dice.random() < 0.3)
    for name in order:
        pieces += dressed(name, pose, dice)
    head = figures.head(person)
    if behind:
        head = [replace(head[0], cloth=Cloth(person.hair, weave=0.05)), head[-1]]
    return pieces + [(piece, None) for piece in head]


def dressed(name: str, pose: figures.Stance, dice: np.random.Generator) -> list[tuple[Piece, str | None]]:
    """One garment of some cut and cloth; what shows inside an open coat is no part of it."""
    cut = CUTS[name](dice)
    colour = str(dice.choice(list(COLOURS)))
    pattern = str(dice.choice(LIKELY.get(cut.kind, ("plain",))))
    size = float(dice.uniform(0.16, 0.42))
    cloth = Cloth(COLOURS[colour], COLOURS[second(colour, dice)], pattern, size, int(dice.integers(60)), 0.02)
    return [(piece, KINDS[cut.kind] if piece.own else None) for piece in cuts.garment(cut, cloth, pose, dressed=True)]


def shoes(pose: figures.Stance, dice: np.random.Generator) -> list[Piece]:
    """A pair of shoes as long as shoes seen from the front are."""
    cloth = Cloth(COLOURS[str(dice.choice(["black", "brown", "white", "red", "grey"]))])
    high = float(dice.uniform(0.15, 0.25))
    return [
        Piece(shapes.disc(leg[2][0] + 0.08 * float(np.sign(leg[2][0])), leg[2][1] + 0.18, 0.22, high), cloth)
        for leg in pose.legs
    ]


def joints(pose: figures.Stance) -> Float[np.ndarray, "4 2 2"]:
    """Shoulders, hips, knees and ankles in heads, left of the picture first."""
    arms = [[arm[0] for arm in pose.arms]]
    return np.array(arms + [[leg[at] for leg in pose.legs] for at in range(3)])


def shifted(piece: Piece, across: float) -> Piece:
    """The same piece, so many heads to the right."""
    spine = tuple((x + across, y) for x, y in piece.spine)
    return replace(piece, outline=piece.outline + np.array([across, 0]), spine=spine)


def visible(layers: list[tuple[Piece, tuple[str, int] | None]], camera: shapes.Camera) -> tuple[PlacedGarment, ...]:
    """The boxes of what is seen of each garment; a garment that is wholly hidden has none."""
    labels = sorted({label for _, label in layers if label})
    canvas = Image.new("L", (camera.width, camera.height))
    draw = ImageDraw.Draw(canvas)
    for piece, label in layers:
        draw.polygon(camera.sees(piece.outline).ravel().tolist(), fill=labels.index(label) + 1 if label else 0)
    placed = []
    for number, (kind, person) in enumerate(labels, start=1):
        box = canvas.point([255 * (level == number) for level in range(256)]).getbbox()
        if box is not None:
            placed.append(PlacedGarment(kind, Box(*box), person))
    return tuple(placed)
