"""YOLOX-Nano: boxes of people, bags, ties and umbrellas in a photo. Runs with ONNX Runtime, no torch.

Ge et al. 2021, arXiv:2107.08430; the network was trained on COCO. ``NOTICE`` at the root of the repository names the
source, the licence and the checksum of the weights.
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from PIL import Image

from osoroi.garments.runtime import session
from osoroi.image import Photo

SIDE: Final = 416
"""Width and height of the network's input, in pixels."""

STRIDES: Final = (8, 16, 32)
"""Pixels between neighbouring cells of the three grids."""

PADDING: Final = 114
"""Grey level of the border that makes the input square."""

LABELS: Final = {0: "person", 24: "backpack", 25: "umbrella", 26: "handbag", 27: "tie", 28: "suitcase"}
"""Class of COCO -> label. The other 74 classes are not read."""

MIN_SCORE: Final = 0.05
"""Detections that score less are dropped. Of small bags the network is seldom surer than this."""

MAX_OVERLAP: Final = 0.45
"""Of two detections of one label whose boxes overlap more (IoU), the one of the lower score is dropped."""

CANDIDATES: Final = 400
"""Non-maximum suppression reads at most this many detections, the best ones."""


class Detection(NamedTuple):
    """One object: its box in pixels of the photo (fractions allowed), its label and its score in [0, 1]."""

    box: tuple[float, float, float, float]
    label: str
    score: float


def detect(photo: Photo, *, min_score: float = MIN_SCORE) -> list[Detection]:
    """Objects of the six labels, best first; boxes are cut at the photo's edges. A photo without any gives []."""
    pixels, scale = letterbox(photo)
    (output,) = session("yolox_nano.onnx").run(None, {"images": pixels})
    boxes, scores = decode(output[0])
    columns = list(LABELS)
    boxes, scores = boxes / scale, scores[:, columns]
    height, width, _ = photo.shape
    detections = []
    for column, label in enumerate(LABELS.values()):
        rows = np.flatnonzero(scores[:, column] >= min_score)
        rows = rows[np.argsort(-scores[rows, column], kind="stable")[:CANDIDATES]]
        for row in rows[suppress(boxes[rows], max_overlap=MAX_OVERLAP)]:
            left, top, right, bottom = np.clip(boxes[row], 0, (width, height, width, height)).tolist()
            if right - left >= 1 and bottom - top >= 1:
                detections.append(Detection((left, top, right, bottom), label, float(scores[row, column])))
    return sorted(detections, key=lambda detection: -detection.score)


def letterbox(photo: Photo) -> tuple[Float32[np.ndarray, "1 3 416 416"], float]:
    """The network's input, BGR from 0 to 255, and the factor from pixels of the photo to pixels of the input.

    The photo keeps its proportions and lies at the top left; the rest is grey.

    >>> pixels, scale = letterbox(np.zeros((208, 104, 3), np.uint8))
    >>> scale, float(pixels[0, 0, 415, 207]), float(pixels[0, 0, 415, 208])
    (2.0, 0.0, 114.0)
    """
    height, width, _ = photo.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.full((SIDE, SIDE, 3), PADDING, np.float32)
    gap = 2.0 if scale < 0.5 else None
    square[: size[1], : size[0]] = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR, None, gap))
    return np.ascontiguousarray(square[..., ::-1].transpose(2, 0, 1)[None]), scale


def decode(output: Float32[np.ndarray, "n c"]) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, "n classes"]]:
    r"""Boxes (left, top, right, bottom) in pixels of the input, and scores of all classes.

    A row is (x, y, w, h, objectness, classes); for the cell in column i and row j of a grid with stride s:

    .. math:: c_x = (x + i) s, \quad c_y = (y + j) s, \quad \text{size} = (e^w s, e^h s)

    The score of a class is objectness times the class's own number.
    """
    cells, strides = grid()
    centres = (output[:, :2] + cells) * strides
    halves = np.exp(output[:, 2:4]) * strides / 2
    return np.concatenate([centres - halves, centres + halves], axis=1), output[:, 4:5] * output[:, 5:]


def grid() -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n 1"]]:
    """Column and row of each cell, and its stride, in the order of the network's output."""
    cells, strides = [], []
    for stride in STRIDES:
        count = SIDE // stride
        y, x = np.mgrid[:count, :count]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def suppress(boxes: Float[np.ndarray, "n 4"], *, max_overlap: float) -> Int64[np.ndarray, "m"]:
    """Rows to keep of boxes sorted best first: none overlaps a better row that is kept by more than ``max_overlap``.

    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10.0]])
    >>> suppress(boxes, max_overlap=0.5).tolist()
    [0, 2]
    """
    near = overlap(boxes, boxes) > max_overlap
    kept: Bool[np.ndarray, "n"] = np.ones(len(boxes), bool)
    for row in range(len(boxes)):
        if kept[row]:
            kept[row + 1 :] &= ~near[row, row + 1 :]
    return np.flatnonzero(kept)


def overlap(one: Float[np.ndarray, "n 4"], other: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Intersection over union of every pair of boxes; boxes without area overlap nothing.

    >>> overlap(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0]])).round(3).tolist()
    [[0.333]]
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
