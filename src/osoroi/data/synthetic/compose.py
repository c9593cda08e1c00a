"""Composes street photos: a garment's cut-out is warped, folded, lit, partly hidden and put on a drawn person.

What is drawn (bodies, hair, straps, places) comes from the renderer, so that a composed photo is as free as the photo
of the garment and the scene it stands on.
"""

import io
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from osoroi.data.synthetic import cuts, figures, scenes, shapes, stage
from osoroi.data.synthetic.canvas import Canvas, Piece, creases, enlarged, noise, weaving
from osoroi.data.synthetic.cloth import COLOURS, Cloth
from osoroi.data.synthetic.figures import Figure, Stance

LONG = 190
"""Longer side of the garment while a photo is composed."""

PLACES = {
    "tops": "upper",
    "outerwear": "upper",
    "dresses": "upper",
    "skirts": "lower",
    "pants": "lower",
    "bags": "held",
}
"""Category -> its place on a body; other categories hang alone."""

TURN, ASKEW, WAVES = np.deg2rad(12), 0.10, 0.022
"""At most so far turned; corners so far from a rectangle; deviation of the elastic field, in garment sizes."""

GAIN, CONTRAST, SATURATION, BALANCE = 0.3, 0.3, 0.25, 0.12
"""Light, contrast, saturation and each channel change by at most these shares."""

MARGIN, SHIFT = 0.05, 0.08
"""What is trimmed is the garment's box, wider by a margin, each side of it shifted by at most a share of its size."""

SMALL, LARGE = 64, 170
"""Longer side of the photo that comes out, in pixels."""


class ComposedView(NamedTuple):
    """A composed photo and the garment's mask: 255 where the garment is visible, 0 where it is hidden or absent."""

    picture: Image.Image
    mask: Image.Image


def composed(
    garment: Image.Image, category: str | None, scene: Image.Image | None, dice: np.random.Generator
) -> ComposedView:
    """A street photo of a garment (RGBA, trimmed) on a scene, or on a drawn one."""
    garment = fitted(garment, dice)
    placement = PLACES.get(category or "", "") if dice.random() < 0.8 else ""
    canvas, place = laid(garment, placement, scene, dice)
    person, pose = figures.person(dice), figures.standing(dice)
    for piece in beneath(placement, person, pose, dice):
        canvas.paint(piece)
    paste(canvas, folded(warped(garment, dice), canvas, dice), place)
    for piece in above(placement, person, dice):
        canvas.paint(piece)
    return trimmed(ComposedView(as_exposed(canvas.picture, canvas.grain, dice), canvas.mask), dice)


def fitted(garment: Image.Image, dice: np.random.Generator) -> Image.Image:
    """The garment at working size, mirrored or not, with room around it for the warp."""
    share = LONG / max(garment.size)
    size = max(8, round(garment.width * share)), max(8, round(garment.height * share))
    garment = garment.resize(size, Image.Resampling.BICUBIC if share > 1 else Image.Resampling.BOX)
    if dice.random() < 0.5:
        garment = garment.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    room = LONG // 6
    wider = Image.new("RGBA", (size[0] + 2 * room, size[1] + 2 * room))
    wider.paste(garment, (room, room))
    return wider


def laid(
    garment: Image.Image, placement: str, scene: Image.Image | None, dice: np.random.Generator
) -> tuple[Canvas, tuple[int, int]]:
    """The scene, the camera in units of heads of the person, and the position of the garment."""
    width, height = garment.width + LONG // 3, garment.height + LONG // 3
    ground = scenes.street(dice, width, height) if scene is None else cropped(scene, width, height, dice)
    place = (LONG // 6, LONG // 6)
    alpha = np.asarray(garment.getchannel("A"))
    covered = alpha >= max(1, int(alpha.max()) // 2)
    x, y, scale = anchored(covered, placement, dice)
    matrix = np.array([[scale, 0, x + place[0]], [0, scale, y + place[1]], [0, 0, 1.0]])
    light = float(dice.uniform(-0.8, 0.8)), float(dice.uniform(0.2, 0.8))
    return Canvas(shapes.Camera(matrix, width, height), light, dice, ground), place


def anchored(covered: np.ndarray, placement: str, dice: np.random.Generator) -> tuple[float, float, float]:
    """The pit of the neck in pixels of the cut-out, and the pixels of a head.

    Shoulders are taken for 1.7 heads wide a tenth down from the top, a waist for 1.15 at the top.
    """
    rows = np.flatnonzero(covered.any(axis=1))
    top, high = float(rows[0]), float(rows[-1] - rows[0] + 1)

    def extent(share: float) -> tuple[float, float]:
        line = np.flatnonzero(covered[rows[int(share * (len(rows) - 1))]])
        return (float(line[0] + line[-1]) / 2, float(line[-1] - line[0] + 1))

    if placement == "held":
        scale = high / float(dice.uniform(0.9, 1.5))
        return extent(0.5)[0] + 0.8 * scale * float(dice.choice((-1.0, 1.0))), top + high / 2 - 2.4 * scale, scale
    if placement == "lower":
        middle, wide = extent(0.03)
        scale = max(wide, 0.12 * high) / 1.15
        return middle, top - 1.62 * scale, scale
    middle, wide = extent(0.1)
    scale = min(max(wide / 1.6, high / 5.5), high / 1.6)
    return extent(0.04)[0] * 0.5 + middle * 0.5, top + 0.04 * scale, scale


def beneath(placement: str, person: Figure, pose: Stance, dice: np.random.Generator) -> list[Piece]:
    """The body and the other clothes beneath the garment."""
    if not placement:
        return []
    pieces = [*figures.behind(person), *figures.body(person, pose)]
    pieces += [piece for joints in pose.arms for piece in figures.arm(person, joints)]
    names = ["white", "grey", "black", "beige", "light blue", "navy", "brown", "burgundy"]
    cloth, other = (Cloth(COLOURS[str(name)], weave=0.02) for name in dice.choice(names, 2, replace=False))
    trousers = cuts.Cut("trousers", 6.3, 0.0, float(dice.uniform(0.03, 0.2)))
    if (placement == "upper" and dice.random() < 0.7) or placement == "held":
        pieces += stage.others(cuts.garment(trousers, other, pose, dressed=True))
    if placement in ("lower", "held"):
        shirt = cuts.Cut("t-shirt", 2.2, float(dice.choice((0.3, 0.98))), 0.06, 0.0, "crew", ("rib",))
        pieces += stage.others(cuts.garment(shirt, cloth, pose, dressed=True))
    return pieces


def above(placement: str, person: Figure, dice: np.random.Generator) -> list[Piece]:
    """Head, hair, straps and arms that hide a part of the garment."""
    pieces = []
    if placement:
        pieces += [*figures.head(person), *stage.before(person, dice)]
        if dice.random() < 0.25:
            side, high = int(dice.choice((-1, 1))), float(dice.uniform(0.9, 2.6))
            elbow, hand = (
                (side * float(dice.uniform(0.8, 1.1)), high + 0.35),
                (side * float(dice.uniform(-0.1, 0.4)), high),
            )
            sleeve = person.skin if dice.random() < 0.6 else scenes.colour(dice, 30, 230, 0.3)
            forearm = shapes.limb([elbow, hand], [0.34, 0.26], flat=False)
            pieces.append(Piece(forearm, Cloth(sleeve), roundness=0.14, shadow=0.3, own=False))
            pieces.append(Piece(shapes.disc(*hand, 0.14, 0.17), person.flesh, roundness=0.1, own=False))
    elif dice.random() < 0.25:
        x, y, wide = dice.uniform(-1.2, 1.2), dice.uniform(0, 3), dice.uniform(0.15, 0.45)
        blob = Cloth(scenes.colour(dice, 20, 230, 0.4))
        pieces.append(Piece(shapes.disc(float(x), float(y), float(wide), float(wide)), blob, roundness=0.1, own=False))
    return pieces


def warped(garment: Image.Image, dice: np.random.Generator) -> Image.Image:
    """Rotation, perspective, and a smooth elastic deformation."""
    cells = 7
    at = np.linspace(-0.5, 0.5, cells + 1)
    grid = np.stack(np.meshgrid(at, at), axis=-1) * garment.size
    turn, corners = dice.uniform(-TURN, TURN), dice.uniform(-ASKEW / 2, ASKEW / 2, 2)
    tall = 1 + (corners * grid / garment.size).sum(axis=-1, keepdims=True) * 2
    back = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    pulled = np.stack([noise(dice, (cells + 1, cells + 1), 3) for _ in range(2)], axis=-1) * WAVES * LONG
    source = (grid / tall) @ back + pulled + np.array(garment.size) / 2
    edges = [np.linspace(0, side, cells + 1).round().astype(int).tolist() for side in garment.size]
    mesh = []
    for i in range(cells):
        for j in range(cells):
            quad = source[[j, j + 1, j + 1, j], [i, i, i + 1, i + 1]].ravel()
            mesh.append(((edges[0][i], edges[1][j], edges[0][i + 1], edges[1][j + 1]), tuple(quad.tolist())))
    return garment.transform(garment.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def folded(garment: Image.Image, canvas: Canvas, dice: np.random.Generator) -> Image.Image:
    """The garment shaded by folds."""
    size = max(4, garment.width // 4), max(4, garment.height // 4)
    scale = canvas.camera.scale / 4
    cover = np.asarray(garment.getchannel("A").resize(size), dtype=np.float32) / 255
    v, u = np.mgrid[: size[1], : size[0]].astype(np.float32) / np.float32(scale)
    height = float(dice.uniform(0.2, 0.9)) * creases(dice, u, v, cover) * scale
    down, across = np.gradient(height)
    light = 1 - 0.8 * (across * canvas.light[0] + down * canvas.light[1])
    slope = dice.uniform(-0.15, 0.15) * np.linspace(-1, 1, size[0], dtype=np.float32)
    lit = np.clip(light + slope, 0.4, 1.3).astype(np.float32)
    pixels = np.asarray(garment).astype(np.float32)
    pixels[..., :3] *= enlarged(lit, garment.size)[..., None]
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def paste(canvas: Canvas, garment: Image.Image, place: tuple[int, int]) -> None:
    """Lay the garment on the canvas, with a shadow."""
    alpha = garment.getchannel("A")
    shadow = alpha.filter(ImageFilter.BoxBlur(4)).point([int(0.35 * level) for level in range(256)])
    canvas.picture.paste((0, 0, 0), (place[0] - int(4 * canvas.light[0]), place[1] + 3), shadow)
    canvas.picture.paste(garment.convert("RGB"), place, alpha)
    canvas.mask.paste(255, place, alpha)


def cropped(scene: Image.Image, width: int, height: int, dice: np.random.Generator) -> Image.Image:
    """A part of a scene, at least half of it, mirrored or not."""
    share = float(dice.uniform(0.5, 1.0)) * min(scene.width / width, scene.height / height)
    wide, high = share * width, share * height
    left, top = float(dice.uniform(0, scene.width - wide)), float(dice.uniform(0, scene.height - high))
    part = scene.resize((width, height), Image.Resampling.BILINEAR, (left, top, left + wide, top + high))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if dice.random() < 0.5 else part


def as_exposed(picture: Image.Image, grain: Image.Image, dice: np.random.Generator) -> Image.Image:
    """Gain, contrast, saturation and white balance of a phone."""
    picture = ImageEnhance.Color(picture).enhance(1 + float(dice.uniform(-SATURATION, SATURATION)))
    gain, contrast = 1 + dice.uniform(-GAIN, GAIN), 1 + dice.uniform(-CONTRAST, CONTRAST)
    balance = gain * (1 + dice.uniform(-BALANCE, BALANCE, (3, 1)))
    return stage.exposed(picture, balance, contrast, grain, weaving(round(float(dice.uniform(0.0, 0.015)), 3)))


def trimmed(view: ComposedView, dice: np.random.Generator) -> ComposedView:
    """The picture cut to the garment's box with random margins, and reduced."""
    box = view.mask.point([255 * (level > 127) for level in range(256)]).getbbox() or (0, 0, *view.mask.size)
    wide, high = box[2] - box[0], box[3] - box[1]
    shift = dice.uniform(-SHIFT, SHIFT, 4) + np.array([-MARGIN, -MARGIN, MARGIN, MARGIN])
    left, top, right, bottom = (np.array(box) + shift * [wide, high, wide, high]).round().astype(int).tolist()
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, view.mask.width), min(bottom, view.mask.height)
    share = float(np.exp(dice.uniform(np.log(SMALL), np.log(LARGE)))) / max(right - left, bottom - top)
    size = max(16, round(share * (right - left))), max(16, round(share * (bottom - top)))
    how = Image.Resampling.BOX if share < 1 else Image.Resampling.BILINEAR
    picture, mask = (each.resize(size, how, (left, top, right, bottom)) for each in view)
    return ComposedView(picture, mask)


def phone_photo(picture: Image.Image, seed: int, crop_id: str) -> bytes:
    """A JPEG of quality 35 to 95, drawn from the seed and the crop's id."""
    digest = blake2b(ascii((seed, crop_id, "jpeg")).encode(), digest_size=8).digest()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=35 + int.from_bytes(digest, "big") % 61)
    return file.getvalue()
