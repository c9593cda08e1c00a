"""Edges across the body: hems and waists, and what is none although it is as colourful."""

from dataclasses import replace

import numpy as np
import pytest

from bodies import BLUE, GREEN, RED, T, body
from osoroi.garments import edges, profile, rule
from osoroi.garments.body import Body
from osoroi.garments.pose import Pose


def looped(values: np.ndarray, valid: np.ndarray) -> list[float]:
    """``edges.strengths`` by loops over places, scales and columns."""
    answer = []
    for at in range(len(values)):
        total = 0.0
        for width in edges.SCALES:
            if at < width or at + width > len(values):
                continue
            distances = []
            for column in range(values.shape[1]):
                above = [values[row, column] for row in range(at - width, at) if valid[row, column]]
                below = [values[row, column] for row in range(at, at + width) if valid[row, column]]
                if above and below:
                    distances.append(np.linalg.norm(np.mean(above, axis=0) - np.mean(below, axis=0)))
            total += float(np.median(distances)) if len(distances) >= edges.MIN_COLUMNS else 0.0
        answer.append(total / len(edges.SCALES))
    return answer


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 1.0])
def test_strengths_agree_with_loops(share: float) -> None:
    dice = np.random.default_rng(4)
    values, valid = dice.normal(size=(23, 5, 4)), dice.random((23, 5)) < share
    assert edges.strengths(values, valid) == pytest.approx(looped(values, valid))


def test_strengths_of_fewer_rows_than_the_smallest_scale_are_none() -> None:
    assert edges.strengths(np.ones((3, 4, 4)), np.ones((3, 4), bool)).tolist() == [0.0, 0.0, 0.0]


def carrying(person: Body, first: int, last: int, colour: tuple[int, int, int]) -> Body:
    """The same person with something 12 pixels wide before the middle, from one row to another."""
    crop = person.pose.crop.copy()
    crop[first:last, 122:134] = colour
    return Body(Pose(person.pose.landmarks, person.pose.visibility, person.pose.mask, crop, 1.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize("waist", [90, 100, 110])
def test_a_waist_is_where_colours_change_across_the_body_and_not_where_a_bag_begins(waist: int) -> None:
    person = body((50, waist, RED), (waist, 160, BLUE))
    for worn in (person, carrying(person, 118, 150, GREEN)):
        colours = profile.profile(worn)
        _, top, _, bottom = rule.box(worn, colours, "skirt")
        assert (top, bottom) == pytest.approx((waist, 160), abs=0.06 * T)
        assert rule.box(worn, colours, "top")[3] == pytest.approx(waist, abs=0.08 * T)


def test_trousers_begin_where_a_long_coat_ends() -> None:
    person = body((50, 140, RED), (140, 222, BLUE))
    assert rule.box(person, profile.profile(person), "trousers")[1] == pytest.approx(140, abs=0.06 * T)


@pytest.mark.parametrize("hem", [145, 165, 195, 215])
def test_hems_are_seen_from_the_thigh_to_the_ankle(hem: int) -> None:
    person = body((50, 100, RED), (100, hem, BLUE))
    colours = profile.profile(person)
    assert rule.box(person, colours, "skirt")[3] == pytest.approx(hem, abs=0.06 * T)
    assert rule.box(body((50, hem, BLUE)), profile.profile(body((50, hem, BLUE))), "dress")[3] == pytest.approx(
        hem, abs=0.06 * T
    )


def test_somebody_of_one_colour_has_garments_where_they_usually_end() -> None:
    plain = np.zeros(len(edges.ROWS))
    for prior in (edges.WAIST, edges.TROUSERS_START, edges.TOP_END, edges.HEM, edges.DRESS_HEM):
        assert edges.place(plain, prior) == prior.mean


def test_an_edge_outside_a_prior_is_left_to_the_next_garment() -> None:
    strong = np.where(np.isclose(edges.ROWS, 1.3), 50.0, np.where(np.isclose(edges.ROWS, 1.0), 5.0, 0.0))
    assert edges.place(strong, edges.WAIST) == pytest.approx(0.975)
    assert edges.place(strong, edges.TROUSERS_START) == pytest.approx(1.275)


def test_a_skirt_that_covers_the_calves_ends_below_them_and_not_where_its_colour_changes() -> None:
    """A border at the knee has the stronger edge, and lies where hems usually are."""
    person = body((50, 100, RED), (100, 214, BLUE), (160, 170, GREEN))
    colours = profile.profile(person)
    assert colours.long
    for kind in ("skirt", "dress"):
        assert rule.box(person, colours, kind)[3] == pytest.approx(214, abs=0.1 * T)
    assert rule.box(person, replace(colours, long=False), "skirt")[3] == pytest.approx(165, abs=0.15 * T)


BLACK, WHITE, GREY = (15, 15, 18), (240, 240, 240), (120, 120, 125)


@pytest.mark.parametrize(
    ("hem", "worn", "below"),
    [
        (165, BLUE, BLACK),
        (140, BLUE, BLACK),
        (160, WHITE, BLACK),
        (160, RED, GREY),
        (165, GREY, BLACK),
        (150, BLACK, RED),
    ],
)
def test_a_skirt_over_tights_leggings_or_boots_ends_where_the_colour_changes(
    hem: int, worn: tuple[int, int, int], below: tuple[int, int, int]
) -> None:
    """They cover the calves of somebody whose legs stand together just as a long skirt does."""
    person = body((50, 100, GREEN), (100, hem, worn), (hem, 232, below))
    colours = profile.profile(person)
    assert profile.covers_calves(person)
    assert not colours.long
    for kind in ("skirt", "dress"):
        assert rule.box(person, colours, kind)[3] == pytest.approx(hem, abs=0.1 * T)


def test_legs_apart_bare_calves_and_calves_close_together_are_no_long_skirt() -> None:
    assert not profile.profile(body((50, 100, RED), (100, 222, BLUE), gap=True)).long
    assert not profile.profile(body((50, 100, RED), (100, 160, BLUE))).long
    narrow = body((50, 100, RED), (100, 222, BLUE)).pose
    mask = narrow.mask.copy()
    mask[172:, :116] = mask[172:, 140:] = 0  # 24 of 60 pixels are left: .4 torsos
    assert not profile.profile(Body(replace(narrow, mask=mask))).long
