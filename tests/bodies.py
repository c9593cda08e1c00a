"""A body made of rectangles, in clothes of plain colours."""

import numpy as np

from osoroi.garments import pose as poses
from osoroi.garments.body import Body
from osoroi.garments.pose import Pose

SKIN, RED, BLUE, GREEN = (224, 172, 140), (170, 30, 40), (30, 50, 150), (20, 120, 60)
T = 60.0  # the torso, in pixels of the crop


def body(*stretches: tuple[int, int, tuple[int, int, int]], gap: bool = False) -> Body:
    """Somebody 60 pixels wide who stands upright: shoulders at row 60, hips 120, knees 170, ankles 220.

    ``stretches`` are first row, last row and colour; the rest is skin. With ``gap`` the legs part below row 125.
    """
    at = {poses.SHOULDERS: 60, poses.ELBOWS: 90, poses.WRISTS: 118, poses.HANDS: 124}
    at |= {poses.HIPS: 120, poses.KNEES: 170, poses.ANKLES: 220}
    landmarks = np.full((33, 2), (128.0, 40.0), np.float32)
    for pair, row in at.items():
        beside = 24 if row < 119 and pair != poses.SHOULDERS else 40 if pair == poses.HANDS else 15
        for number, sign in zip(pair, (1, -1), strict=True):
            landmarks[number] = (128 + sign * beside, row)
    for number in poses.UPPER_FACE:
        landmarks[number] = (128, 36)
    for number, x in zip(poses.FEET, (140, 116, 146, 110), strict=True):
        landmarks[number] = (x, 226)
    mask = np.zeros((256, 256), np.float32)
    mask[20:232, 98:158] = 1
    mask[20:56, 98:114] = mask[20:56, 142:158] = 0  # a head narrower than the shoulders
    if gap:
        mask[126:, 124:132] = 0
    crop = np.full((256, 256, 3), SKIN, np.uint8)
    for first, last, colour in stretches:
        crop[first:last] = colour
    return Body(Pose(landmarks, np.ones(33, np.float32), mask, crop, 1.0, 0.0, 0.0, 1.0))
