"""Photos of legs alone: how the box of a person tells them, and what the colour of an unseen chest says."""

import numpy as np
import pytest

from osoroi.data.synthetic.outfits import Outfits, outfits
from osoroi.garments import legs
from osoroi.garments.edges import ROWS
from osoroi.garments.people import detect
from osoroi.garments.posterior import of_colours
from osoroi.garments.profile import PLACES, Profile
from osoroi.garments.rule import across_waist


@pytest.fixture(scope="module")
def standing() -> Outfits:
    """Somebody in a blouse and a skirt."""
    return outfits(0, 6)


def seen_from(made: Outfits, row: float) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """A drawn photo from a row on, and the box of the person in it."""
    photo = np.ascontiguousarray(made.photo[round(row) :])
    return photo, next(found.box for found in detect(photo) if found.label == "person")


def test_a_box_of_legs_is_too_wide_for_a_body_without_its_head(standing: Outfits) -> None:
    hip, knee = (float(standing.joints[0][at].mean(axis=0)[1]) for at in (1, 2))
    assert legs.alone(*seen_from(standing, hip + (knee - hip) / 4))
    assert not legs.alone(*seen_from(standing, 0))
    photo, (left, top, right, bottom) = seen_from(standing, hip + (knee - hip) / 4)
    assert not legs.alone(photo, (left, 0.1 * photo.shape[0], right, bottom)), "the upper edge cuts nobody"
    assert not legs.alone(photo, (left, top, right, float(photo.shape[0]))), "the lower edge may cut a body, too"
    assert not legs.alone(photo, (left, top, left + (bottom - top) / 2, bottom)), "as slender as a body"


def test_legs_are_posed_with_the_torso_above_the_photo(standing: Outfits) -> None:
    hip, knee = (float(standing.joints[0][at].mean(axis=0)[1]) for at in (1, 2))
    posed = legs.body_pose(*seen_from(standing, hip + (knee - hip) / 4))
    assert posed is not None
    assert legs.beginning(posed) > 0.7


def test_a_chest_that_is_not_seen_says_nothing_of_a_dress() -> None:
    grey = np.full((len(PLACES), 3), 40.0)
    colours = (grey, grey, np.zeros(len(PLACES)), np.zeros(len(ROWS)))
    whole, below = Profile(*colours, start=0.0), Profile(*colours, start=1.0)
    assert across_waist(whole) == pytest.approx(1 - 2 / (1 + np.exp(2)))  # one colour: a distance of 0 against 10
    assert across_waist(below) == 0
    assert of_colours(whole)["dress"] > 0 == of_colours(below)["dress"]
