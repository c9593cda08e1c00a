"""The canvas: pieces of cloth and skin laid one over the other, each rounded, folded and lit."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from osoroi.data.synthetic.cloth import Cloth, Colour, Plane, darker
from osoroi.data.synthetic.shapes import Camera, Points, Spot

FINE = 3
"""Factor by which outlines are drawn larger before they are reduced, for soft edges."""

COARSE = 4
"""Factor by which light and folds, which are smooth, are computed smaller."""


@dataclass(frozen=True)
class Piece:
    """An outline filled with cloth.

    ``spine`` is what the cloth's v runs along, from u = v = 0; ``roundness`` how far from the edge it is still curved,
    in heads, 0 for what is flat and of one colour; ``folds`` how deep they are, and ``fan`` how much wider they are a
    head further down, as in a skirt; ``own`` whether it belongs to what the photo is of.
    """

    outline: Points
    cloth: Cloth
    spine: tuple[Spot, ...] = ((0.0, 0.0), (0.0, 1.0))
    roundness: float = 0.3
    folds: float = 0.0
    fan: float = 0.0
    shadow: float = 0.0
    dark: float = 1.0
    own: bool = True


@dataclass
class Canvas:
    """A picture, and the mask of the garment in it."""

    camera: Camera
    light: Spot
    dice: np.random.Generator
    picture: Image.Image
    mask: Image.Image = field(init=False)
    grain: Image.Image = field(init=False)

    def __post_init__(self) -> None:
        self.mask = Image.new("L", self.picture.size)
        tile = Image.frombytes("L", (TILE, TILE), self.dice.normal(128, 24, TILE * TILE).astype(np.uint8).tobytes())
        self.grain = Image.new("L", self.picture.size)
        for left in range(0, self.grain.width, TILE):
            for top in range(0, self.grain.height, TILE):
                self.grain.paste(tile, (left, top))

    def paint(self, piece: Piece) -> None:
        """Lay a piece over what is there, with its shadow."""
        seen = self.camera.sees(piece.outline)
        room = (int(0.25 * self.camera.scale) if piece.shadow else 0) + COARSE
        left, top = np.maximum(np.floor(seen.min(axis=0)).astype(int) - room, 0).tolist()
        right, bottom = np.minimum(np.ceil(seen.max(axis=0)).astype(int) + room, self.picture.size).tolist()
        size = width, height = right - left, bottom - top
        if min(size) <= COARSE:
            return
        cover = filled(seen - [left, top], size, FINE)
        self.mask.paste(255 * piece.own, (left, top), cover)
        small = -(-width // COARSE), -(-height // COARSE)
        reach = np.array(size) / small
        outline = (seen - [left, top]) / reach
        if piece.shadow:
            offset = 0.06 * self.camera.scale / reach * (-2 * self.light[0], 1)
            fall = blurred(filled(outline + offset, small, 1), 0.06 * self.camera.scale / float(reach[0]))
            fall = Image.fromarray((np.asarray(fall) * piece.shadow).astype(np.uint8)).resize(size)
            self.picture.paste((0, 0, 0), (left, top), ImageChops.multiply(fall, ImageChops.invert(cover)))
        if not piece.roundness:
            self.picture.paste(darker(piece.cloth.main, piece.dark), (left, top), cover)
            return
        columns, rows = ((np.arange(n) + 0.5) * step for n, step in zip(small, reach, strict=True))
        u, v, lit = self.lit(piece, outline, self.camera.world(left + columns, top + rows))
        bright = Image.fromarray((lit * DIM).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
        if piece.cloth.weave:
            grain = self.grain.crop((left, top, right, bottom)).point(weaving(piece.cloth.weave))
            bright = ImageChops.add(bright, grain, 1, -128)
        colour = shaded(bright, piece.cloth.main)
        if piece.cloth.pattern != "plain":
            share = piece.cloth.share(enlarged(u, size), enlarged(v, size), 1.2 / self.camera.scale)
            mixed = Image.fromarray((share * 255).astype(np.uint8))
            colour.paste(shaded(bright, piece.cloth.second), (0, 0), mixed)
        self.picture.paste(colour, (left, top), cover)

    def lit(self, piece: Piece, outline: Points, place: Float[np.ndarray, "2 h w"]) -> tuple[Plane, Plane, Plane]:
        """Where on the cloth each place is, folds included, and how much light falls there."""
        u, v = along(piece.spine, *place)
        scale = self.camera.scale / COARSE
        cover = filled(outline, (u.shape[1], u.shape[0]), 1)
        bump = 0.9 * piece.roundness * unit(blurred(cover, piece.roundness * scale / 2))
        if piece.folds:
            folded = pleats(self.dice, u, v, piece.fan) if piece.fan else creases(self.dice, u, v, unit(cover))
            fold = (piece.folds * folded).astype(np.float32)
            bump, u, v = bump + fold, u + 0.5 * fold, v - 0.5 * fold
        down, across = np.gradient(bump * scale)
        light = 1 - 0.8 * (across * self.light[0] + down * self.light[1]) - 0.16 * (across**2 + down**2)
        return u, v, (np.clip(light, 0.35, 1.25) * piece.dark).astype(np.float32)


RIDGES = 8
"""Folds of a piece of cloth that is held."""

TILE, DIM = 160, 200
"""Side of a tile of grain; and the level of light at which cloth has its own colour."""


@cache
def weaving(deep: float) -> list[int]:
    """Scale that brings grain about 128 to the depth of a weave."""
    return np.clip(128 + (np.arange(256) - 128) * deep * DIM / 24, 0, 255).astype(int).tolist()


def shaded(bright: Image.Image, colour: Colour) -> Image.Image:
    """One colour under uneven light."""
    levels = np.minimum(np.arange(256) / DIM * np.array(colour)[:, None] + 0.5, 255).astype(int)
    return Image.merge("RGB", [bright.point(band) for band in levels.tolist()])


def unit(picture: Image.Image) -> Plane:
    """Levels from 0 to 1."""
    return np.asarray(picture, dtype=np.float32) * np.float32(1 / 255)


def creases(dice: np.random.Generator, u: Plane, v: Plane, cover: Plane) -> Plane:
    """Folds of cloth that hangs: ridges of all lengths, aslant, over soft lumps."""
    places = np.argwhere(cover > 0.5)
    if not len(places):
        return np.zeros_like(u)
    spots = places[dice.integers(len(places), size=RIDGES)]
    a, b = dice.normal(np.pi / 2, 0.55, RIDGES), dice.uniform(-0.3, 0.3, RIDGES)
    long, thin = dice.uniform(0.25, 0.8, RIDGES), dice.uniform(0.05, 0.1, RIDGES)
    shape = np.stack(
        [np.cos(a) / long, np.sin(a) / long, np.cos(a) / thin, np.sin(a) / thin, b * long**2 / thin], axis=1
    )
    total = 0.05 * noise(dice, u.shape, 3)
    for (row, column), (px, py, qx, qy, bow), deep in zip(
        spots, shape.astype(np.float32), dice.uniform(-0.05, 0.06, RIDGES).astype(np.float32), strict=True
    ):
        du, dv = u - u[row, column], v - v[row, column]
        p = (du * px + dv * py) ** 2
        q = dv * qx - du * qy + bow * p
        total += deep * np.exp(-(q * q) - p)
    return total


def pleats(dice: np.random.Generator, u: Plane, v: Plane, fan: float) -> Plane:
    """Folds of a skirt: from the waist down, deeper and wider the further down they are."""
    below = np.maximum(v - 1.7, 0)
    spread = 0.5 + fan * below * 0.6
    phase = u / spread * dice.uniform(3.5, 6) + 0.6 * noise(dice, u.shape, 2) + dice.uniform(0, 6)
    deep = np.minimum(0.10 * below, 0.16) * (0.4 + 0.6 * fan)
    return deep * (np.cos(phase) + 0.35 * np.cos(2.3 * phase + 1)) + 0.02 * noise(dice, u.shape, 3)


def filled(outline: Points, size: tuple[int, int], fine: int) -> Image.Image:
    """How much of each pixel an outline covers, drawn so many times finer."""
    picture = Image.new("L", (size[0] * fine, size[1] * fine))
    ImageDraw.Draw(picture).polygon((outline * fine - 0.5).ravel().tolist(), fill=255)
    return picture.reduce(fine) if fine > 1 else picture


def blurred(picture: Image.Image, radius: float) -> Image.Image:
    """The picture blurred."""
    box = ImageFilter.BoxBlur(max(radius, 0.5))
    return picture.filter(box).filter(box)


def enlarged(plane: Float[np.ndarray, "_ _"], size: tuple[int, int]) -> Plane:
    """The picture at another width and height."""
    picture = Image.fromarray(plane.astype(np.float32, copy=False))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def noise(dice: np.random.Generator, shape: tuple[int, ...], cells: int) -> Plane:
    """A smooth field about 0, with deviation about 1, of so many cells on the shorter side."""
    height, width = shape[:2]
    cell = max(min(height, width) / cells, 1)
    coarse = dice.standard_normal((int(height / cell) + 2, int(width / cell) + 2), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)) * np.float32(1.3)


def along(spine: tuple[Spot, ...], x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """u across and v along a spine of one or two spans; at its bend the cloth turns with it."""
    (ax, ay), (bx, by) = spine[:2]
    first = float(np.hypot(bx - ax, by - ay))
    dx, dy = (bx - ax) / first, (by - ay) / first
    u, v = (x - ax) * dy - (y - ay) * dx, (x - ax) * dx + (y - ay) * dy
    if len(spine) < 3:
        return u, v
    cx, cy = spine[2]
    second = max(float(np.hypot(cx - bx, cy - by)), 1e-6)
    ex, ey = (cx - bx) / second, (cy - by) / second
    beyond = (x - bx) * (dx + ex) + (y - by) * (dy + ey) > 0
    after = (x - bx) * ey - (y - by) * ex, first + (x - bx) * ex + (y - by) * ey
    return np.where(beyond, after[0], u), np.where(beyond, after[1], v)
