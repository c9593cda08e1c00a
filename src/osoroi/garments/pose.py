"""BlazePose: landmarks of one person, and a mask of the person, from a square crop. ONNX Runtime, no torch.

Bazarevsky et al. 2020, arXiv:2006.10204. ``NOTICE`` at the root of the repository names the source, the licence and
the checksum of the weights.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi.garments.runtime import session
from osoroi.image import Photo

SIDE: Final = 256
"""Width and height of the network's input, and of the mask."""

ENLARGED: Final = 1.15
"""The side of the square in long sides of the person's box."""

CUT: Final = 0.03
"""A person whose box ends so near the photo's lower edge, as a share of its height, may be cut there."""

NEAR_CUT, SQUAT = 0.08, 0.55
"""So may one whose box ends a little higher and is wider, as a share of its height, than that of a standing person."""

TO_HIP, TO_KNEE = 2.2, 1.6
"""How much higher the box of somebody is made who is cut near the hip, or near the knee."""

FROM: Final = (2.5, 2.1, 1.8, 1.5)
"""How much higher, upwards, the box of somebody is made whom the photo's upper edge cuts between thigh and chest, if no
body is seen without that. The first that shows a body counts: the lower ones press the trunk into the legs."""

MIN_SCORE: Final = 0.5
"""A pose that scores less is no body."""

NO_KNEES, FEW_KNEES, NO_ANKLES = 0.05, 0.42, 0.15
"""In the higher box: knees that are less visible than the first lie outside the photo; where they are less visible than
the second, and ankles less than the third, the ankles do."""

NOSE, LEFT_EAR, RIGHT_EAR = 0, 7, 8
UPPER_FACE = (1, 2, 3, 4, 5, 6)
SHOULDERS, ELBOWS, WRISTS, HANDS = (11, 12), (13, 14), (15, 16), (19, 20)
HIPS, KNEES, ANKLES, FEET = (23, 24), (25, 26), (27, 28), (29, 30, 31, 32)
"""Rows of the landmarks; of a pair, the person's left comes first."""


@dataclass(frozen=True)
class Pose:
    """One person in a square crop of 256 x 256 pixels.

    ``landmarks`` has the 33 points of the body in pixels of the crop; ``visibility`` is the chance that each is
    visible; ``mask`` is the chance that each pixel shows the person; ``score`` is the chance that the crop shows a
    body. ``left``, ``top`` and ``scale`` lead back: a point of the crop times ``scale`` plus (left, top) is a point
    of the photo.
    """

    landmarks: Float32[np.ndarray, "33 2"]
    visibility: Float32[np.ndarray, "33"]
    mask: Float32[np.ndarray, "256 256"]
    crop: UInt8[np.ndarray, "256 256 3"]
    score: float
    left: float
    top: float
    scale: float


def pose_of(photo: Photo, box: tuple[float, float, float, float]) -> Pose:
    """The pose of the person in a box, also of somebody whom the photo cuts at the hip or the knee.

    The network takes every crop for a whole body and would press the legs into what is seen. So somebody whose box
    ends at the photo's lower edge is first posed in a higher box, where the landmarks below the edge are invisible;
    and somebody of whom the upper edge leaves only the legs in one that reaches above the photo.
    """
    found = _cut_below(photo, box)
    if found.score >= MIN_SCORE or box[1] > CUT * photo.shape[0]:
        return found
    for times in FROM:
        higher = above(photo, box, times)
        if higher.score >= MIN_SCORE:
            return higher
    return found


def above(photo: Photo, box: tuple[float, float, float, float], times: float) -> Pose:
    """The pose in a box that is made so many times as high, upwards."""
    left, top, right, bottom = box
    return pose(photo, (left, bottom - times * (bottom - top), right, bottom))


def _cut_below(photo: Photo, box: tuple[float, float, float, float]) -> Pose:
    """The pose of somebody whom the photo may cut at its lower edge."""
    left, top, right, bottom = box
    squat = right - left > SQUAT * (bottom - top)
    if bottom < (1 - (NEAR_CUT if squat else CUT)) * photo.shape[0]:
        return pose(photo, box)
    higher = pose(photo, (left, top, right, top + TO_HIP * (bottom - top)))
    knees, ankles = (float(higher.visibility[list(pair)].mean()) for pair in (KNEES, ANKLES))
    if higher.score >= MIN_SCORE and knees < NO_KNEES:
        return higher
    if higher.score >= MIN_SCORE and knees < FEW_KNEES and ankles < NO_ANKLES:
        return pose(photo, (left, top, right, top + TO_KNEE * (bottom - top)))
    return pose(photo, box)


def pose(photo: Photo, box: tuple[float, float, float, float]) -> Pose:
    """The pose of the person in a box; what the square has outside the photo is black.

    The mask is set to 0 outside the photo; landmarks may lie there.
    """
    left, top, right, bottom = box
    side = ENLARGED * max(right - left, bottom - top)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    crop, inside = square(photo, x, y, side)
    values, score, logits = session("pose_landmark.onnx").run(
        ["landmarks", "score", "mask"], {"image": crop[None].astype(np.float32) / 255}
    )
    rows = values.reshape(-1, 5)[:33]
    return Pose(
        landmarks=rows[:, :2].copy(),
        visibility=sigmoid(np.minimum(rows[:, 3], rows[:, 4])),
        mask=sigmoid(logits.reshape(SIDE, SIDE)) * inside,
        crop=crop,
        score=float(score.reshape(())),
        left=x,
        top=y,
        scale=side / SIDE,
    )


def square(
    photo: Photo, left: float, top: float, side: float
) -> tuple[UInt8[np.ndarray, "256 256 3"], Float32[np.ndarray, "256 256"]]:
    """A square of the photo, resized to 256 x 256 pixels, and where it lies inside the photo (1) or outside (0)."""
    height, width, _ = photo.shape
    reduced = max(1, int(side / SIDE / 1.5))
    picture = Image.fromarray(photo)
    # Cut first: the square may be a small part of the photo.
    corner = int(max(0, left)), int(max(0, top))
    cut = (*corner, int(min(width, left + side + 1)), int(min(height, top + side + 1)))
    picture = picture.crop(cut).reduce(reduced) if reduced > 1 else picture.crop(cut)
    scale = side / SIDE
    matrix = (scale / reduced, 0, (left - cut[0]) / reduced, 0, scale / reduced, (top - cut[1]) / reduced)
    crop = np.asarray(picture.transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))
    at = (np.arange(SIDE) + 0.5) * scale
    across = (at + left >= 0) & (at + left < width)
    down = (at + top >= 0) & (at + top < height)
    return crop.copy(), (down[:, None] & across[None]).astype(np.float32)


def sigmoid(logits: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """1 / (1 + exp(-x)), without overflow.

    >>> sigmoid(np.array([-1e4, 0, 1e4], np.float32)).tolist()
    [0.0, 0.5, 1.0]
    """
    return (0.5 + 0.5 * np.tanh(logits / 2)).astype(np.float32)
