"""Blurred backgrounds behind people, and surfaces under garments."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from osoroi.data.synthetic.canvas import noise

COARSE = 4
"""Factor by which backgrounds, which are blurred, are drawn smaller."""


def colour(dice: np.random.Generator, low: int = 60, high: int = 220, vivid: float = 0.1) -> tuple[int, int, int]:
    """A random colour of a background, mostly grey."""
    grey = dice.uniform(low, high)
    r, g, b = np.clip(grey + vivid * 160 * dice.uniform(-1, 1, 3), 0, 255).astype(int).tolist()
    return r, g, b


def street(dice: np.random.Generator, width: int, height: int) -> Image.Image:
    """A random street, park, room or wall."""
    picture = Image.new("RGB", (width // COARSE + 1, height // COARSE + 1))
    PLACES[int(dice.integers(len(PLACES)))](ImageDraw.Draw(picture), dice, *picture.size)
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(float(dice.uniform(0.6, 2.2)))), dtype=np.float32)
    uneven = np.clip(soft * (1 + 0.07 * noise(dice, soft.shape, 3)[..., None]), 0, 255).astype(np.uint8)
    return Image.fromarray(uneven).resize((width, height), Image.Resampling.BILINEAR)


def houses(draw: ImageDraw.ImageDraw, dice: np.random.Generator, w: int, h: int) -> None:
    draw.rectangle((0, 0, w, h), fill=colour(dice, 190, 245, 0.08))
    ground = int(h * dice.uniform(0.62, 0.85))
    x = -int(dice.integers(0, 20))
    while x < w:
        wide, up = int(dice.integers(14, 50)), int(h * dice.uniform(-0.1, 0.35))
        wall, pane = colour(dice), colour(dice, 30, 120)
        draw.rectangle((x, up, x + wide, ground), fill=wall)
        for left in range(x + 3, x + wide - 4, 9):
            for high in range(up + 5, ground - 8, 13):
                draw.rectangle((left, high, left + 4, high + 7), fill=pane)
        x += wide
    draw.rectangle((0, ground, w, h), fill=colour(dice, 90, 170, 0.06))


def park(draw: ImageDraw.ImageDraw, dice: np.random.Generator, w: int, h: int) -> None:
    draw.rectangle((0, 0, w, h), fill=(198, 214, 228))
    for _ in range(90):
        x, y, r = dice.uniform(0, w), dice.uniform(-0.1, 0.7) * h, dice.uniform(3, 13)
        g = int(dice.uniform(60, 150))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(int(g * dice.uniform(0.5, 0.9)), g, int(g * 0.45)))
    ground = int(h * dice.uniform(0.6, 0.8))
    draw.rectangle((0, ground, w, h), fill=colour(dice, 110, 180, 0.1))


def room(draw: ImageDraw.ImageDraw, dice: np.random.Generator, w: int, h: int) -> None:
    draw.rectangle((0, 0, w, h), fill=colour(dice, 160, 235, 0.09))
    for _ in range(int(dice.integers(2, 6))):
        x, y = int(dice.integers(-10, w)), int(dice.integers(0, h))
        draw.rectangle((x, y, x + int(dice.integers(8, 40)), y + int(dice.integers(10, 60))), fill=colour(dice))
    draw.rectangle((0, int(h * dice.uniform(0.75, 0.95)), w, h), fill=(int(dice.integers(90, 170)), 110, 80))


def wall(draw: ImageDraw.ImageDraw, dice: np.random.Generator, w: int, h: int) -> None:
    base, joint = np.array(colour(dice, 110, 215)), colour(dice, 130, 200, 0.05)
    draw.rectangle((0, 0, w, h), fill=joint)
    wide, high = int(dice.integers(10, 24)), int(dice.integers(4, 12))
    for row, y in enumerate(range(0, h, high)):
        for x in range(-wide + (row % 2) * wide // 2, w, wide):
            r, g, b = np.clip(base * dice.uniform(0.88, 1.08), 0, 255).astype(int).tolist()
            draw.rectangle((x, y, x + wide - 2, y + high - 2), fill=(r, g, b))


PLACES = (houses, park, room, wall, houses)


def studio(dice: np.random.Generator, width: int, height: int, shade: float) -> Image.Image:
    """Plain paper: white, or so much darker, with a little fall of light where it is not white."""
    if not shade:
        return Image.new("RGB", (width, height), (255, 255, 255))
    fall = 255 * (1 - shade) * np.linspace(1.02, 0.96, height)[:, None, None]
    paper = np.broadcast_to(fall * (1 + dice.uniform(-0.012, 0.012, 3)), (height, width, 3))
    return Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))
