"""Metrics and weights from the ranks of held-out products, on rows whose ranks are plain to see."""

import numpy as np
import pytest

from osoroi.records import Part
from osoroi.training.validation import Embeddings, fit_weights, mean_metrics

PARTS = (Part("deep", 3, 0.2), Part("detail", 3, 0.8))
RIGHT, WRONG = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[1, 2, 0]]
"""Vectors of three products, and for each query that of another product."""


def rows(deep: np.ndarray, detail: np.ndarray) -> Embeddings:
    """Three queries with these parts, of three products that have the same vector in both parts."""
    number = np.arange(3)
    return Embeddings(np.concatenate([deep, detail], 1), number, np.concatenate([RIGHT, RIGHT], 1), number)


def test_of_weights_that_are_equally_good_the_one_nearest_to_a_half_is_taken():
    assert fit_weights([rows(RIGHT, RIGHT)], PARTS, "RR") == {"deep": 0.5, "detail": 0.5}


@pytest.mark.parametrize(("deep", "detail", "heavier"), [(RIGHT, WRONG, "deep"), (WRONG, RIGHT, "detail")])
def test_the_part_that_knows_the_product_outweighs_the_one_that_names_another(deep, detail, heavier):
    """Above a half the right product is first. The mean over neighbours is 1 from two steps of 1/40 above on."""
    weights = fit_weights([rows(deep, detail)], PARTS, "RR")
    assert weights[heavier] == pytest.approx(0.5 + 2 / 40)
    assert sum(weights.values()) == pytest.approx(1)


def test_weights_stay_where_nothing_is_held_out_or_there_is_one_part():
    assert fit_weights([], PARTS, "RR") == {"deep": 0.2, "detail": 0.8}
    assert fit_weights([rows(RIGHT, RIGHT)], PARTS[:1], "RR") == {"deep": 0.2}


def test_the_best_row_of_a_product_counts_and_ties_are_ranked_last():
    scores = np.array([[0.1, 0.9, 0.5, 0.2], [0.1, 0.4, 0.4, 0.2]], np.float32)
    held_out = Embeddings(
        np.empty((2, 0), np.float32), np.array([7, 9]), np.empty((4, 0), np.float32), np.array([7, 7, 9, 8])
    )
    assert mean_metrics(scores, held_out, ["RR"]) == {"RR": (1 + 1 / 2) / 2}
