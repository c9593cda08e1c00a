"""Distances of color and outline between results, on pictures whose answer can be worked out."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from osoroi.experiment import appearance


def shop(color, size=(40, 60), canvas=(120, 120)):
    """A rectangle of a color in the middle of white."""
    picture = Image.new("RGB", canvas, "white")
    left, top = (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2
    ImageDraw.Draw(picture).rectangle((left, top, left + size[0] - 1, top + size[1] - 1), fill=color)
    return np.asarray(picture)


def test_the_color_is_that_of_the_garment_and_not_of_the_paper():
    red = appearance.of_shop(shop((255, 0, 0)))
    assert red.color == pytest.approx([53.2, 80.1, 67.2], abs=3)  # CIE L*a*b* of sRGB red, edges of a resize apart


def test_the_size_of_a_garment_in_its_photo_does_not_change_its_outline():
    small, large = (appearance.of_shop(shop("navy", size)) for size in ((30, 60), (50, 100)))
    assert appearance.outline_distance(small, large) < 0.05
    wide = appearance.of_shop(shop("navy", (100, 50)))
    # upright and wide bars of 16 x 32 share a square of 16 x 16: 256 / (512 + 512 - 256)
    assert appearance.outline_distance(large, wide) == pytest.approx(1 - 256 / 768, abs=0.03)


def test_a_photo_that_its_garment_fills_counts_whole():
    filled = appearance.of_shop(np.full((50, 50, 3), (10, 200, 30), np.uint8))
    assert filled.outline is not None
    assert filled.outline.all()
    assert appearance.color_distance(filled, appearance.of_street(np.full((50, 50, 3), (10, 200, 30), np.uint8))) < 0.01


def test_the_middle_of_a_street_photo_counts_most():
    photo = np.full((90, 90, 3), (0, 0, 255), np.uint8)
    photo[30:60, 30:60] = (255, 0, 0)
    color = appearance.of_street(photo).color
    red, blue = (appearance.of_street(np.full((9, 9, 3), each, np.uint8)).color for each in ((255, 0, 0), (0, 0, 255)))
    share = (color - blue)[1] / (red - blue)[1]
    # the normal distribution of deviation .2 has .595 of its mass in [-1/6, 1/6], of .988 in [-1/2, 1/2]
    assert share == pytest.approx((0.595 / 0.988) ** 2, abs=0.03)


def test_distances_are_means_over_results_and_over_their_pairs():
    colors = [(0.0, 0.0, 0.0), (3.0, 4.0, 0.0), (0.0, 0.0, 12.0)]
    square = np.zeros((32, 32), bool)
    square[8:24, 8:24] = True
    shown = [appearance.Appearance(np.array(color), square) for color in colors]
    query = appearance.Appearance(np.array([0.0, 0.0, 5.0]), None)
    measured = appearance.distances(query, shown)
    assert measured.query_color == pytest.approx((5 + 50**0.5 + 7) / 3)
    assert measured.result_color == pytest.approx((5 + 12 + 13) / 3)
    assert measured.result_outline == 0
    assert np.isnan(appearance.distances(None, shown[:1])).all()
