"""Outlines: curves through points, limbs along joints, and the camera that projects them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "_ 2"]
"""x and y in heads, or in pixels after projection by a camera."""

Spot = tuple[int | float, int | float]


def curve(*points: Spot, steps: int = 6) -> Points:
    """A smooth line through points, ends included: Catmull and Rom's spline.

    >>> curve((0, 0), (1, 0), (2, 0), steps=2)[:, 0].tolist()
    [0.0, 0.4375, 1.0, 1.5625, 2.0]
    """
    held = np.array([points[0], *points, points[-1]], dtype=float)
    before, start, end, after = held[:-3, None], held[1:-2, None], held[2:-1, None], held[3:, None]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    spans = start + 0.5 * t * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    return np.concatenate([spans.reshape(-1, 2), held[-1:]])


def mirrored(half: Points) -> Points:
    """A closed outline from its right half, which runs from the middle above to the middle below."""
    return np.concatenate([half, half[::-1] * [-1, 1]])


def moved(points: Points, x: int | float, y: int | float) -> Points:
    """The outline, moved."""
    return points + np.array([x, y])


def limb(joints: list[Spot], widths: list[int | float], *, flat: bool = True) -> Points:
    """The outline of a limb that follows joints, with a width at each; its end is cut off, or rounded.

    >>> limb([(0, 0), (0, 1)], [1, 1])[[0, -1]].round(2).tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    line = curve(*joints, steps=5)
    along = np.concatenate([line[1:2] - line[:1], line[2:] - line[:-2], line[-1:] - line[-2:-1]])
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    half = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    left, right = line - normal * half, line + normal * half
    if flat:
        return np.concatenate([left, right[::-1]])
    angle = np.linspace(0, np.pi, 9)[1:-1, None]
    tip = line[-1] + half[-1] * (np.sin(angle) * along[-1] / np.hypot(*along[-1]) - np.cos(angle) * normal[-1])
    return np.concatenate([left, tip, right[::-1]])


def disc(x: int | float, y: int | float, wide: float, high: float) -> Points:
    """An ellipse about x, y, so wide and high from its middle."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], axis=1)


def part(joints: list[Spot], share: float) -> list[Spot]:
    """The first share of the way along two spans of joints: the sleeve on an arm.

    >>> part([(0, 0), (0, 1), (0, 2)], 0.75)
    [(0.0, 0.0), (0.0, 1.0), (0.0, 1.5)]
    """
    at = np.array([0.0, min(share, 0.5), share] if share > 0.5 else [0.0, share / 2, share])
    spots = np.stack([np.interp(at, (0, 0.5, 1), side) for side in np.array(joints, dtype=float).T], axis=1)
    return [(float(x), float(y)) for x, y in spots]


@dataclass(frozen=True)
class Camera:
    """Projects heads to pixels: a homography [3 3], and the picture's width and height."""

    matrix: Float[np.ndarray, "3 3"]
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels a head, about the middle."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))) / self.matrix[2, 2])

    def sees(self, points: Points) -> Points:
        """Where points of the world are in the picture.

        >>> Camera(np.diag([10.0, 10.0, 1.0]), 100, 100).sees(np.array([[1.0, 2.0]])).tolist()
        [[10.0, 20.0]]
        """
        seen = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return seen[:, :2] / seen[:, 2:]

    def world(self, columns: Float[np.ndarray, "w"], rows: Float[np.ndarray, "h"]) -> Float[np.ndarray, "2 h w"]:
        """Where the pixels of a window are in the world."""
        m = np.linalg.inv(self.matrix).astype(np.float32)
        across, down = columns[None].astype(np.float32), rows[:, None].astype(np.float32)
        x, y, z = (m[k, 0] * across + m[k, 1] * down + m[k, 2] for k in range(3))
        return np.stack([x / z, y / z])


def aimed(box: tuple[float, ...], size: tuple[int, int], room: float) -> Camera:
    """The camera that centres a box of the world, filling ``room`` of the picture one way."""
    left, top, right, bottom = box
    width, height = size
    scale = room * min(width / (right - left), height / (bottom - top))
    x, y = width / 2 - scale * (left + right) / 2, height / 2 - scale * (top + bottom) / 2
    return Camera(np.array([[scale, 0, x], [0, scale, y], [0, 0, 1.0]]), width, height)


def shaken(camera: Camera, dice: np.random.Generator, *, turn: float, tilt: float, shift: float) -> Camera:
    """A camera held by hand: turned by up to ``turn`` radians, tilted, and moved by a share of the picture."""
    a, (sx, sy), (px, py) = dice.uniform(-turn, turn), dice.uniform(-shift, shift, 2), dice.uniform(-tilt, tilt, 2)
    width, height = camera.width, camera.height
    middle = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1.0]])
    turned = np.array([[np.cos(a), -np.sin(a), sx * width], [np.sin(a), np.cos(a), sy * height], [0, 0, 1.0]])
    tilted = np.array([[1, 0, 0], [0, 1, 0], [px / width, py / height, 1.0]])
    return Camera(middle @ turned @ tilted @ np.linalg.inv(middle) @ camera.matrix, width, height)
