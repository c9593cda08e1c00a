"""Moves the parts of a garment's picture with the joints of a pose: sleeves follow arms, trouser legs follow legs."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from osoroi.data.synthetic.shapes import Spot

CELL = 12
"""Side in pixels of the cells in which a picture is moved."""

NEAR, FALL = 0.07, 2.5
"""Distance from a bone, in heads, at which it still competes with others, and how fast its influence falls."""


class Bone(NamedTuple):
    """A line of the garment as it lies, and the same line on the pose; in heads."""

    source: tuple[Spot, Spot]
    target: tuple[Spot, Spot]


def fixed(*line: Spot) -> Bone:
    """A line that stays where it is."""
    first, last = line
    return Bone((first, last), (first, last))


def sources(points: Float[np.ndarray, "n 2"], bones: list[Bone]) -> Float[np.ndarray, "n 2"]:
    """Where on the garment as it lies each point of the pose comes from; with no bones, where it is.

    Each bone says where a point lies that keeps its place beside the bone: as far along it, and as far from it. The
    nearer bone counts more. Beier and Neely 1992, "Feature-based image metamorphosis", with lengths kept across.

    >>> turned = Bone(source=((0, 0), (2, 0)), target=((0, 0), (0, 1)))
    >>> sources(np.array([[0.0, 0.5], [0.25, 0.5]]), [turned]).tolist()
    [[1.0, 0.0], [1.0, -0.25]]
    """
    if not bones:
        return points
    total, weights = np.zeros_like(points), np.zeros((len(points), 1))
    for bone in bones:
        (start, end), (first, last) = np.array(bone.target, float), np.array(bone.source, float)
        axis = (end - start) / np.hypot(*(end - start))
        length = float(np.hypot(*(end - start)))
        along = ((points - start) @ axis) / length
        across = (points - start) @ np.array([-axis[1], axis[0]])
        own = (last - first) / max(float(np.hypot(*(last - first))), 1e-6)
        stretched = first + along[:, None] * (last - first) + across[:, None] * np.array([-own[1], own[0]])
        far = np.hypot(across, (along - np.clip(along, 0, 1)) * length)
        weight = (1 / (NEAR + far) ** FALL)[:, None]
        total, weights = total + weight * stretched, weights + weight
    return total / weights


def moved(
    picture: Image.Image, at: Float[np.ndarray, "r c 2"], size: tuple[int, int]
) -> tuple[Image.Image, tuple[int, int]]:
    """The part of a picture of ``size`` that another one covers when it is moved, and the part's left upper corner.

    ``at`` has one place, in pixels of the other picture, for each corner of a grid over the whole of ``size``. Raises
    ValueError where it covers nothing.
    """
    quads = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], axis=2)
    met = (quads.max(axis=2) > 0).all(axis=2) & (quads.min(axis=2) < picture.size).all(axis=2)
    rows, columns = np.flatnonzero(met.any(axis=1)), np.flatnonzero(met.any(axis=0))
    if not len(rows):
        raise ValueError(f"a picture of {picture.size} that is moved outside of {size}")
    across, down = (
        np.linspace(0, side, count + 1).round().astype(int).tolist()
        for side, count in zip(size, met.shape[::-1], strict=True)
    )
    left, top, right, bottom = across[columns[0]], down[rows[0]], across[columns[-1] + 1], down[rows[-1] + 1]
    mesh = [
        (
            (across[j] - left, down[i] - top, across[j + 1] - left, down[i + 1] - top),
            tuple(quads[i, j].ravel().tolist()),
        )
        for i, j in np.argwhere(met)
    ]
    part = picture.transform((right - left, bottom - top), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return part, (left, top)
