"""Composes street photos of somebody who wears a garment's cut-out, with other garments, hands, hair and bags.

The person is drawn, and posed as the garment allows: sleeves follow arms, trouser legs follow legs. What is worn along
comes from a wardrobe of other cut-outs, or is drawn where that has none.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from osoroi.data.synthetic import compose, cuts, figures, hanging, scenes, shapes, stage
from osoroi.data.synthetic.canvas import Canvas, Piece, noise
from osoroi.data.synthetic.cloth import COLOURS, Cloth
from osoroi.data.synthetic.designs import CUTS, LIKELY, second
from osoroi.data.synthetic.figures import Figure, Stance
from osoroi.data.synthetic.hanging import Hung
from osoroi.data.synthetic.morph import CELL, moved

GarmentSource = Callable[[str, np.random.Generator], Image.Image | None]
"""Draws a cut-out of a category, or None where it has none."""

ELASTIC = 0.025
"""Deviation of the elastic field, in heads, for a garment as long as a body's trunk."""


class Layer(NamedTuple):
    """A cut-out or a drawn piece, and whether it belongs to the garment that the photo is of."""

    content: Hung | Piece
    own: bool = False


def photo_of(
    garment: Image.Image, category: str, wardrobe: GarmentSource, scene: Image.Image | None, dice: np.random.Generator
) -> compose.ComposedView:
    """A street photo of a garment (RGBA, trimmed) of a category in ``hanging.PLACES``, on a scene or on a drawn one."""
    if dice.random() < 0.5:
        garment = garment.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pose, person = posed(garment, category, dice), figures.person(dice)
    own = hanging.hung(garment, category, pose, dice)
    canvas = aimed(own, scene, dice)
    for layer in layered(category, own, pose, person, wardrobe, dice):
        if isinstance(layer.content, Piece):
            canvas.paint(replace(layer.content, own=layer.own))
        else:
            paste(canvas, layer.content, own=layer.own, dice=dice)
    picture = compose.as_exposed(canvas.picture, canvas.grain, dice)
    return compose.trimmed(compose.ComposedView(picture, canvas.mask), dice)


def posed(garment: Image.Image, category: str, dice: np.random.Generator) -> Stance:
    """A standing pose whose arms are no further from the sleeves than cloth can be moved."""
    at = dice.choice(len(figures.ARMS), 2, p=figures.USUAL)
    arms = [tuple(np.array(figures.ARMS[i]) + dice.uniform(-0.06, 0.06, 2)) for i in at]
    if hanging.PLACES[category].slot == "upper":
        x, y, scale = hanging.measured(garment, category)
        shape = hanging.outlined(garment)
        for number, side in enumerate((-1, 1)):
            angle = hanging.sleeve_angle(shape, x, y, scale, side)
            if angle is not None:
                upper = float(np.clip(arms[number][0], angle - 0.8, angle + 0.25))
                arms[number] = (upper, upper + arms[number][1] - arms[number][0])
    legs = tuple(0.06 + dice.uniform(-0.06, 0.1, 2))
    (left, right) = ((float(a), float(b)) for a, b in arms)
    return figures.posed((left, right), (float(legs[0]), float(legs[1])))


def aimed(own: list[Hung], scene: Image.Image | None, dice: np.random.Generator) -> Canvas:
    """A canvas about the garment; the person is as large as the garment makes them."""
    boxes = np.array([one.box() for one in own])
    (left, top), (right, bottom) = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    scale = compose.LONG / max(right - left, bottom - top)
    room = compose.LONG / 5
    width, height = (int(scale * length + 2 * room) for length in (right - left, bottom - top))
    matrix = np.array([[scale, 0, room - left * scale], [0, scale, room - top * scale], [0, 0, 1.0]])
    camera = shapes.shaken(shapes.Camera(matrix, width, height), dice, turn=0.14, tilt=0.1, shift=0.02)
    ground = scenes.street(dice, width, height) if scene is None else compose.cropped(scene, width, height, dice)
    light = float(dice.uniform(-0.8, 0.8)), float(dice.uniform(0.2, 0.8))
    return Canvas(camera, light, dice, ground)


def paste(canvas: Canvas, one: Hung, *, own: bool, dice: np.random.Generator) -> None:
    """Lay a cut-out on the canvas as the camera sees it: moved with its bones, folded, with a shadow."""
    camera = canvas.camera
    one = one.reduced(camera.scale)
    columns, rows = (np.linspace(0, side, -(-side // CELL) + 1) for side in (camera.width, camera.height))
    world = np.moveaxis(camera.world(columns, rows), 0, -1).astype(float)
    size = max(one.garment.size) / one.scale
    pulled = np.stack([noise(dice, world.shape, 3) for _ in range(2)], axis=-1) * ELASTIC * min(size / 2.5, 1.5)
    at = one.pixels((world + pulled).reshape(-1, 2)).reshape(world.shape)
    try:
        layer, place = moved(one.garment, at, (camera.width, camera.height))
    except ValueError:
        return  # it is worn outside of the picture
    layer = compose.folded(layer, canvas, dice)
    compose.paste(canvas, layer, place)
    if not own:
        canvas.mask.paste(0, place, layer.getchannel("A"))


def layered(
    category: str, own: list[Hung], pose: Stance, person: Figure, wardrobe: GarmentSource, dice: np.random.Generator
) -> list[Layer]:
    """Everything in the photo, from the back to the front."""
    slot = hanging.PLACES[category].slot
    target = [Layer(one, own=True) for one in own]
    bare = [*figures.behind(person), *figures.body(person, pose, shod=slot != "feet")]
    bare += [piece for joints in pose.arms for piece in figures.arm(person, joints)]
    head = figures.head(person)
    layers = [Layer(piece) for piece in bare]
    lower = [] if category in ("dresses", "skirts", "pants", "shorts") else along("lower", pose, wardrobe, dice)
    upper = along("tops" if slot == "lower" else "upper", pose, wardrobe, dice) if slot != "upper" else []
    if category == "outerwear":
        layers += drawn("t-shirt", pose, dice)[:1]  # without its sleeves
    if slot == "upper":
        over = category == "tops" and dice.random() < 0.35
        layers += [*target, *lower] if over else [*lower, *target]
        if category != "outerwear" and dice.random() < 0.2:
            layers += panels(pose, dice)
    elif slot == "lower":
        waist = 1.62 + 0.25 * (own[0].box()[1, 1] - 1.62)
        tucked = dice.random() < 0.4 or any(
            isinstance(one.content, Hung) and one.content.box()[1, 1] > waist for one in upper
        )
        layers += [*upper, *target] if tucked else [*target, *upper]
    elif slot == "feet":
        layers += [*target, *lower, *upper] if dice.random() < 0.3 else [*lower, *upper, *target]
    else:
        layers += [*lower, *upper]
    if slot in ("upper", "held"):
        layers += hands(pose, person, short=slot == "upper" and not own[0].has_long_sleeves, dice=dice)
    layers += [Layer(piece) for piece in head]
    if slot in ("head", "held"):
        layers += target
    return layers + [Layer(piece) for piece in stage.before(person, dice)]


def along(slot: str, pose: Stance, wardrobe: GarmentSource, dice: np.random.Generator) -> list[Layer]:
    """Another garment, of the wardrobe if it has one."""
    choices = {"lower": ("pants", "pants", "skirts", "shorts"), "upper": ("tops", "tops", "outerwear")}
    category = str(dice.choice(choices.get(slot, (slot,))))
    garment = wardrobe(category, dice) if dice.random() < 0.75 else None
    if garment is None:
        return drawn("trousers" if slot == "lower" else "shirt", pose, dice)
    return [Layer(one) for one in hanging.hung(garment, category, pose, dice)]


def drawn(name: str, pose: Stance, dice: np.random.Generator) -> list[Layer]:
    """A drawn garment of a cut, of any cloth."""
    cut = CUTS[name](dice)
    colour = str(dice.choice(list(COLOURS)))
    pattern = str(dice.choice(LIKELY.get(cut.kind, ("plain",))))
    cloth = Cloth(COLOURS[colour], COLOURS[second(colour, dice)], pattern, float(dice.uniform(0.16, 0.42)), weave=0.02)
    return [Layer(piece) for piece in cuts.garment(cut, cloth, pose, dressed=True)]


def panels(pose: Stance, dice: np.random.Generator) -> list[Layer]:
    """An open coat: two fronts and two sleeves."""
    cloth = Cloth(COLOURS[str(dice.choice(list(COLOURS)))], weave=0.03)
    cut = cuts.Cut("coat", float(dice.uniform(2.2, 4.6)), 0.98, float(dice.uniform(0.08, 0.18)))
    gap = float(dice.uniform(0.25, 0.5))
    pieces = []
    for side in (-1, 1):
        inner = shapes.curve((gap * 0.8, 0.0), (gap, 1.2), (gap * 1.2, cut.length))
        outer = shapes.curve((0.95, cut.length), (0.75 + cut.ease, 1.7), (0.84, 0.25), (0.5, 0.05))
        front = np.concatenate([inner, outer]) * [side, 1]
        pieces.append(Piece(front, cloth, roundness=0.15, folds=0.4, shadow=0.4))
    return [Layer(piece) for piece in [*pieces, *cuts.sleeves(cut, cloth, pose)]]


def hands(pose: Stance, person: Figure, *, short: bool, dice: np.random.Generator) -> list[Layer]:
    """Hands before what is worn, and bare forearms that are bent before it."""
    layers = []
    for joints, (_, elbow, wrist) in zip(pose.arms, pose.arms, strict=True):
        forearm, hand = figures.arm(person, joints)
        bent = abs(wrist[0]) < abs(elbow[0]) - 0.3
        if short and bent:
            limb = shapes.limb([elbow, wrist], [0.31, 0.27], flat=False)
            layers.append(Layer(replace(forearm, outline=limb, shadow=0.3)))
        layers.append(Layer(hand))
    return layers
