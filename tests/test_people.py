"""The detector: letterbox, decoding and suppression against slow loops."""

import numpy as np
import pytest

from osoroi.garments import people


def test_decoding_agrees_with_a_loop_over_cells() -> None:
    dice = np.random.default_rng(1)
    output = dice.normal(0, 1, (3549, 85)).astype(np.float32)
    boxes, scores = people.decode(output)
    row = 0
    for stride in (8, 16, 32):
        for j in range(416 // stride):
            for i in range(416 // stride):
                if row % 97 == 0:
                    x, y, w, h, objectness, *classes = output[row].tolist()
                    middle, size = ((x + i) * stride, (y + j) * stride), (np.exp(w) * stride, np.exp(h) * stride)
                    expected = [middle[0] - size[0] / 2, middle[1] - size[1] / 2]
                    expected += [middle[0] + size[0] / 2, middle[1] + size[1] / 2]
                    assert boxes[row] == pytest.approx(expected, rel=1e-4, abs=1e-3)
                    assert scores[row] == pytest.approx(np.array(classes) * objectness, rel=1e-4, abs=1e-5)
                row += 1
    assert row == len(output)


def slow_overlap(a: list[float], b: list[float]) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0) * max(high, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union


@pytest.mark.parametrize("seed", range(5))
def test_suppression_agrees_with_a_loop(seed: int) -> None:
    dice = np.random.default_rng(seed)
    corner = dice.uniform(0, 30, (40, 2))
    boxes = np.concatenate([corner, corner + dice.uniform(5, 20, (40, 2))], axis=1)
    kept: list[int] = []
    for row in range(40):
        if all(slow_overlap(boxes[row].tolist(), boxes[other].tolist()) <= 0.3 for other in kept):
            kept.append(row)
    assert 3 < len(kept) < 40
    assert people.suppress(boxes, max_overlap=0.3).tolist() == kept


def test_a_box_without_area_overlaps_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 4, 4, 9.0]])
    assert people.overlap(boxes, boxes).tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_the_input_is_bgr_and_keeps_the_proportions() -> None:
    photo = np.zeros((400, 1000, 3), np.uint8)
    photo[..., 0] = 200
    pixels, scale = people.letterbox(photo)
    assert scale == pytest.approx(0.416)
    assert pixels[0, 2, 10, 10] == 200
    assert pixels[0, 0, 10, 10] == 0
    assert (pixels[0, :, 166:] == people.PADDING).all()
    assert not (pixels[0, :, :166] == people.PADDING).any()


def test_a_plain_photo_has_no_detections() -> None:
    assert people.detect(np.full((300, 200, 3), 128, np.uint8)) == []
