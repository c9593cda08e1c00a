"""The benchmark of the slider, on five products whose neighbours can be told by eye."""

import sys
from pathlib import Path

import numpy as np
import pytest

from osoroi.records import Product
from tiny import TinyEncoder

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import slider


def test_what_asks_is_left_out_and_equal_scores_stand_in_order():
    scores = np.array([[9, 1, 3, 2], [1, 9, 1, 1], [0, 5, 9, 6], [1, 2, 3, 9]], np.float32)
    assert slider.first(scores)[:, :3].tolist() == [[2, 3, 1], [0, 2, 3], [3, 1, 0], [2, 1, 0]]


def test_the_share_counts_products_called_as_what_asked():
    names = np.array(["red", "red", "blue", "red"])
    assert slider.share(names, np.array([[1, 2], [0, 3], [0, 1], [2, 2]])).tolist() == [0.5, 1.0, 0.0, 0.0]


def test_colour_grows_and_type_falls_along_the_slider(monkeypatch):
    """Deep knows the type alone and detail the colour alone: so each end of the slider is all of one."""
    kinds, colours = np.repeat([0, 1], 12), np.tile(np.arange(2), 12)
    vectors = np.concatenate([np.eye(2)[kinds], np.eye(2)[colours]], axis=1).astype(np.float32)
    products = [
        Product(f"p{number}", attributes={"kind": f"k{kind}", "colour_master": f"c{colour}"})
        for number, (kind, colour) in enumerate(zip(kinds, colours, strict=True))
    ]
    monkeypatch.setattr(slider, "tops", lambda encoder, composed, recipe: slider.Tops(products, vectors, vectors))

    def weigh(vectors: np.ndarray, detail: float | None) -> np.ndarray:
        detail = 0.5 if detail is None else detail
        return vectors * np.array([1 - detail] * 2 + [detail] * 2, np.float32)

    encoder = TinyEncoder()
    monkeypatch.setattr(encoder, "weigh", weigh)
    monkeypatch.setattr(encoder, "columns", {"detail": slice(2, 4)})
    points, gain, asked = slider.measure(encoder, False)
    assert asked == 24
    assert [points[0].kind.mean, points[10].colour.mean] == [1.0, 1.0]
    assert points[0].colour.mean < 0.75
    assert points[10].kind.mean < 0.75
    assert [points[5].kind.mean, points[5].colour.mean] == [1.0, 1.0], "five others have both"
    assert gain.mean == pytest.approx(points[10].colour.mean - points[0].colour.mean)
