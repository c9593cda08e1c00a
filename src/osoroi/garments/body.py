"""The body as a ruler: from a pose to places along the body, and to the pixels that clothes can cover.

``u`` runs along the body: shoulder 0, hip 1, knee 2, ankle 3. It is linear in between; above the shoulders a torso's
length is 1, below the ankles a shin's length is 1. All lengths across the body are in torsos.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float32
from PIL import Image, ImageDraw

from osoroi.garments import pose as poses
from osoroi.garments.pose import SIDE, Pose

STEPS: Final = (0.35, 0.3, 0.3)
"""The least distance down the photo from shoulder to hip, hip to knee and knee to ankle, in shares of the length that
an upright person of that size has. Somebody who sits or bends has less; the ruler then stays increasing."""

FORM: Final = (1.0, 0.85, 0.8)
"""Length of torso, thigh and shin of an upright person, in torsos."""

FOREARM: Final = 0.24
"""Width of a forearm with its sleeve, in torsos."""

HAND: Final = 0.15
"""Radius of a hand, in torsos."""


@dataclass(frozen=True)
class Body:
    """The ruler of one pose; everything is in pixels of the pose's square crop."""

    pose: Pose

    def pair(self, rows: tuple[int, ...]) -> Float32[np.ndarray, "n 2"]:
        """The landmarks of these rows."""
        return self.pose.landmarks[list(rows)]

    @cached_property
    def joints(self) -> Float[np.ndarray, "4 2"]:
        """Midpoints of the shoulders, hips, knees and ankles."""
        rows = (poses.SHOULDERS, poses.HIPS, poses.KNEES, poses.ANKLES)
        return np.stack([self.pair(pair).mean(axis=0) for pair in rows]).astype(float)

    @cached_property
    def torso(self) -> float:
        """From the middle of the shoulders to the middle of the hips; at least a quarter of the person's extent."""
        length = float(np.hypot(*(self.joints[1] - self.joints[0])))
        legs = float(np.hypot(*(self.joints[3] - self.joints[1])))
        return max(length, 0.3 * legs, 4.0)

    @cached_property
    def ticks(self) -> tuple[Float[np.ndarray, "6"], Float[np.ndarray, "6"]]:
        """Values of u, and the rows of the crop they lie at."""
        y = [float(self.joints[0, 1])]
        for at, (share, form) in enumerate(zip(STEPS, FORM, strict=True), start=1):
            y.append(max(float(self.joints[at, 1]), y[-1] + share * form * self.torso))
        shin = y[3] - y[2]
        return np.array([-2.0, 0, 1, 2, 3, 5]), np.array([y[0] - 2 * self.torso, *y, y[3] + 2 * shin])

    def row(self, u: float) -> float:
        """The row of the crop at a place along the body."""
        return float(np.interp(u, *self.ticks))

    def place(self, row: float) -> float:
        """The place along the body of a row: the inverse of ``row``."""
        return float(np.interp(row, *self.ticks[::-1]))

    def centre(self, u: float) -> float:
        """The column of the body's middle at a place along the body."""
        return float(np.interp(u, (0, 1, 2, 3), self.joints[:, 0]))

    @cached_property
    def mask(self) -> Bool[np.ndarray, "256 256"]:
        """The pixels of the person."""
        return self.pose.mask > 0.5

    @cached_property
    def hands(self) -> Bool[np.ndarray, "256 256"]:
        """The pixels near both hands."""
        canvas, draw = _canvas()
        for row in (*poses.WRISTS, *poses.HANDS):
            x, y = self.pose.landmarks[row].tolist()
            r = HAND * self.torso
            draw.ellipse((x - r, y - r, x + r, y + r), fill=1)
        return np.asarray(canvas) > 0

    def forearm(self, side: int) -> Bool[np.ndarray, "256 256"]:
        """The pixels near one forearm, 0 for the person's left."""
        canvas, draw = _canvas()
        ends = self.pose.landmarks[[poses.ELBOWS[side], poses.WRISTS[side]]]
        draw.line([(x, y) for x, y in ends.tolist()], fill=1, width=max(1, round(FOREARM * self.torso)))
        return np.asarray(canvas) > 0

    @cached_property
    def arms(self) -> Bool[np.ndarray, "256 256"]:
        """The pixels near hands and forearms."""
        return self.hands | self.forearm(0) | self.forearm(1)


def _canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("L", (SIDE, SIDE))
    return canvas, ImageDraw.Draw(canvas)
