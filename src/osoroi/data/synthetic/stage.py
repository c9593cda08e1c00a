"""Renders a photo: the garment on a person or a surface, the camera, and the JPEG."""

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops

from osoroi.data.synthetic import cuts, figures, scenes, shapes
from osoroi.data.synthetic.canvas import Canvas, Piece, weaving
from osoroi.data.synthetic.cloth import COLOURS, Cloth
from osoroi.data.synthetic.cuts import Cut
from osoroi.data.synthetic.designs import Design
from osoroi.data.synthetic.figures import Stance

SHOP, STREET = (288, 384), (312, 416)
"""Width and height of photos."""

BLUES = ((52, 70, 112), (40, 44, 60), (122, 142, 172), (206, 194, 170), (52, 50, 50))
"""Other clothes of the person."""


@dataclass(frozen=True)
class Stage:
    """Pieces from the back to the front, and the camera that projects them."""

    pieces: tuple[Piece, ...]
    camera: shapes.Camera
    street: bool


def box(own: list[Piece], camera: shapes.Camera) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the garment, in whole pixels inside the photo."""
    seen = np.concatenate([camera.sees(piece.outline) for piece in own])
    size = (camera.width, camera.height)
    left, top = np.clip(np.floor(seen.min(axis=0)), 0, np.array(size) - 2).astype(int).tolist()
    right, bottom = np.clip(np.ceil(seen.max(axis=0)), (left + 2, top + 2), size).astype(int).tolist()
    return left, top, right, bottom


def in_shop(design: Design, cloth: Cloth, dice: np.random.Generator, *, hung: bool) -> Stage:
    """Laid out straight; or hung up, the sleeves down."""
    pieces = cuts.garment(design.cut, cloth, figures.laid(dice, 0.2 if hung else 0.45), dressed=False)
    camera = shapes.aimed(extent(pieces), SHOP, 0.86)
    return Stage(tuple(pieces), shapes.shaken(camera, dice, turn=0.02, tilt=0.0, shift=0.01), street=False)


def in_street(design: Design, cloth: Cloth, dice: np.random.Generator) -> Stage:
    """A person who wears the garment."""
    pose, own, camera = posed(design, cloth, dice)
    person = figures.person(dice)
    pieces = [*figures.behind(person), *figures.body(person, pose)]
    pieces += [piece for joints in pose.arms for piece in figures.arm(person, joints)]
    worn = dressed(design.kind, own, pose, dice)
    over = own if design.kind == "hat" else []
    pieces += [*worn, *figures.head(person), *over, *before(person, dice)]
    return Stage(tuple(pieces), camera, street=True)


def posed(design: Design, cloth: Cloth, dice: np.random.Generator) -> tuple[Stance, list[Piece], shapes.Camera]:
    """Pose, pieces of the garment and camera: all that its box depends on."""
    pose = figures.standing(dice)
    own = cuts.garment(design.cut, cloth, pose, dressed=True)
    camera = shapes.aimed(extent(own), STREET, float(dice.uniform(0.62, 0.95)))
    return pose, own, shapes.shaken(camera, dice, turn=0.09, tilt=0.12, shift=0.05)


def dressed(kind: str, own: list[Piece], pose: Stance, dice: np.random.Generator) -> list[Piece]:
    """The garment and the other clothes, from the skin outwards."""
    wear = Cloth(BLUES[int(dice.integers(len(BLUES)))], weave=0.03)
    shirt = Cloth(COLOURS[str(dice.choice(["white", "grey", "black", "beige", "light blue", "navy"]))], weave=0.02)
    if dice.random() < 0.55:
        below = others(
            cuts.garment(Cut("trousers", 6.3, ease=float(dice.uniform(0.03, 0.2))), wear, pose, dressed=True)
        )
    else:
        skirt = Cut("skirt", float(dice.uniform(3.6, 5)), flare=float(dice.uniform(0, 0.5)))
        below = others(cuts.garment(skirt, wear, pose, dressed=True))
    sleeve = float(dice.choice((0.3, 0.98)))
    above = others(cuts.garment(Cut("t-shirt", 2.3, sleeve, 0.06, 0.0, "crew", ("rib",)), shirt, pose, dressed=True))
    if kind in ("skirt", "trousers", "shorts"):
        return [*above, *own]
    if kind in ("dress", "jumpsuit"):
        return own
    if kind == "hat":
        return [*below, *above]
    if kind == "shoes":
        return [*below, *own, *above]
    if kind == "bag":
        return [*above, *below, *own] if dice.random() < 0.5 else [*below, *above, *own]
    return [*below, *above, *own] if kind in ("coat", "jacket") else [*below, *own]


def others(pieces: list[Piece]) -> list[Piece]:
    """The pieces, marked as not belonging to the garment."""
    return [replace(piece, own=False) for piece in pieces]


def before(person: figures.Figure, dice: np.random.Generator) -> list[Piece]:
    """Occluders: long hair over the shoulders, or the strap of a bag."""
    pieces = []
    hair = Cloth(person.hair, weave=0.05)
    if person.length == 2 and dice.random() < 0.7:
        for side in (-1, 1):
            lock = [
                (side * 0.36, -1.0),
                (side * 0.44, -0.3),
                (side * 0.5, 0.3),
                (side * 0.46, float(dice.uniform(0.6, 1.2))),
            ]
            pieces.append(Piece(shapes.limb(lock, [0.12, 0.3, 0.3, 0.08]), hair, roundness=0.1, shadow=0.3, own=False))
    if dice.random() < 0.2:
        side = int(dice.choice((-1, 1)))
        strap = shapes.limb([(side * 0.62, 0.14), (side * 0.1, 1.1), (-side * 0.72, 2.2)], [0.09, 0.09])
        leather = Cloth(scenes.colour(dice, 40, 120, 0.2))
        pieces.append(Piece(strap, leather, roundness=0.04, shadow=0.4, own=False))
        pouch = shapes.disc(-side * 0.8, 2.5, 0.42, 0.36)
        pieces.append(Piece(pouch, leather, roundness=0.15, shadow=0.4, own=False))
    return pieces


def extent(pieces: list[Piece]) -> tuple[float, float, float, float]:
    """The box of pieces in the world."""
    points = np.concatenate([piece.outline for piece in pieces])
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def taken(stage: Stage, dice: np.random.Generator, *, shade: float = 0.0) -> bytes:
    """The photo as a JPEG: painted, then with the light and noise of a camera."""
    size = (stage.camera.width, stage.camera.height)
    if not stage.street:
        canvas = Canvas(stage.camera, (0.3, 0.5), dice, scenes.studio(dice, *size, shade))
        return encoded(painted(stage, canvas), 90)
    light = float(dice.uniform(-0.8, 0.8)), float(dice.uniform(0.2, 0.8))
    canvas = Canvas(stage.camera, light, dice, scenes.street(dice, *size))
    return encoded(developed(painted(stage, canvas), canvas.grain, dice), int(dice.integers(60, 92)))


def painted(stage: Stage, canvas: Canvas) -> Image.Image:
    """All pieces, one over the other."""
    for piece in stage.pieces:
        canvas.paint(piece)
    return canvas.picture


def developed(picture: Image.Image, grain: Image.Image, dice: np.random.Generator) -> Image.Image:
    """Gain, contrast, white balance and noise of a phone."""
    gain, contrast = dice.uniform(0.75, 1.2), dice.uniform(0.8, 1.15)
    balance = gain * (1 + dice.uniform(-0.08, 0.08, (3, 1)))
    return exposed(picture, balance, contrast, grain, weaving(round(float(dice.uniform(0.003, 0.018)), 3)))


def exposed(
    picture: Image.Image, balance: np.ndarray, contrast: float, grain: Image.Image, noisy: list[int]
) -> Image.Image:
    """Contrast about the mean, then each channel by its own share of light, then noise."""
    mean = float(np.asarray(picture.reduce(16)).mean())
    table = balance * (mean + contrast * (np.arange(256) - mean))
    lit = picture.point(np.clip(table + 0.5, 0, 255).astype(int).ravel().tolist())
    fine = grain.transpose(Image.Transpose.ROTATE_180).point(noisy)
    return ImageChops.add(lit, Image.merge("RGB", [fine] * 3), 1, -128)


def encoded(picture: Image.Image, quality: int) -> bytes:
    """A JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()
