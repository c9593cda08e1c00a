"""Bags, hats and the evidence for kinds, on a body made of rectangles."""

import numpy as np
import pytest

from osoroi.garments import accessories, picture, profile, rule
from osoroi.garments import pose as poses
from osoroi.garments.body import Body
from osoroi.garments.people import Detection
from osoroi.garments.picture import IMAGENET, PROBED, Row, log_mass
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


def pictured(kind: str | None = None, *, strong: float = 20.0, probe: dict[str, float] | None = None) -> Row:
    """Logits of a picture in which the classes of one kind stand out, and the probe's logits."""
    imagenet = np.zeros(1000, np.float32)
    if kind is not None:
        imagenet[list(IMAGENET[kind])] = strong
    return Row(np.array([(probe or {}).get(name, 0.0) for name in PROBED], np.float32), imagenet)


def bag(left: float, top: float, *, score: float = 0.5, label: str = "handbag", size: float = 30) -> Detection:
    return Detection((float(left), float(top), float(left + size), float(top + size)), label, score)


def near(*bags: Detection) -> list[Detection]:
    return accessories.bags_near(body(), [(one.box, one) for one in bags])


def test_a_bag_lies_on_the_person_and_below_the_shoulders() -> None:
    beside, above, far, person = bag(140, 130), bag(120, 10), bag(200, 130), bag(120, 100, label="person")
    assert near(far, above, beside, person) == [beside]


def test_one_bag_under_two_labels_is_one_and_the_best_come_first() -> None:
    first, again = bag(100, 130, score=0.6), bag(103, 131, score=0.9, label="backpack")
    others = [bag(110 + 10 * step, 60 + 40 * step, score=0.1 + 0.1 * step) for step in range(3)]
    assert near(first, again, *others) == [again, others[2], others[1]]


def test_the_detector_and_the_picture_decide_about_a_bag_together() -> None:
    sure, likely, doubtful = bag(100, 130, score=0.4), bag(120, 130, score=0.1), bag(120, 130, score=0.06)
    plain, shown = pictured(), pictured("bag")
    # 4 of 1000 classes: log .0041 = -5.50, a weight of .3, and log .4 = -.92: -2.57; log .1 = -2.30: -3.95
    assert log_mass(plain, "bag") == pytest.approx(np.log(0.0041), abs=1e-3)
    assert [one.box for one in accessories.carried([sure], [plain])] == [sure.box]
    assert accessories.carried([likely], [plain]) == []
    assert [one.box for one in accessories.carried([likely, sure], [shown, plain])] == [likely.box]
    assert [one.kind for one in accessories.carried([doubtful], [shown])] == ["bag"]
    assert accessories.carried([], []) == []


def test_a_hat_is_the_head_above_the_eyes_where_pictures_show_one() -> None:
    person = body()
    boxes = accessories.head_boxes(person)
    assert len(boxes) == 2
    assert boxes[0][1] < 20 < boxes[0][3] < boxes[1][3] == 60, "the crown, and the head down to the shoulders"
    (hat,) = accessories.hat(person, [pictured("hat"), pictured("hat")])
    assert hat.kind == "hat"
    assert hat.box == (114.0, 20.0, 142.0, pytest.approx(36 + 0.05 * T))
    assert 0.9 < hat.score <= 1
    assert accessories.hat(person, [pictured(), pictured()]) == []


def test_a_head_outside_the_photo_wears_no_hat() -> None:
    seen = body().pose
    mask = seen.mask.copy()
    mask[:60] = 0
    headless = Body(Pose(seen.landmarks, seen.visibility, mask, seen.crop, 1.0, 0.0, 0.0, 1.0))
    assert accessories.head_boxes(headless) == []
    assert accessories.hat(headless, []) == []


def outer(person: Body, upper: Row) -> float:
    return rule.outer_chance(person, profile.profile(person), rule.evidence(upper, pictured()))


def test_outerwear_is_told_by_its_picture_and_not_on_bare_forearms() -> None:
    covered, bare = body((50, 132, RED)), body((50, 85, RED))
    plain = outer(covered, pictured())
    assert outer(covered, pictured("outerwear")) > plain > outer(covered, pictured("top"))
    assert outer(covered, pictured(probe={"outerwear": 5.0})) > plain
    assert max(rule.bare_forearms(covered)) < 0.1
    assert min(rule.bare_forearms(bare)) > 0.8
    assert outer(bare, pictured()) < plain - 0.1


def test_an_open_front_speaks_for_outerwear() -> None:
    crop = body((50, 132, RED)).pose.crop.copy()
    closed = body((50, 132, RED)).pose
    crop[62:120, 118:138] = (240, 240, 240)
    opened = Body(Pose(closed.landmarks, closed.visibility, closed.mask, crop, 1.0, 0.0, 0.0, 1.0))
    assert outer(opened, pictured()) > outer(Body(closed), pictured()) + 0.2


def lower(person: Body, picture_of_legs: Row | None = None) -> dict[str, float]:
    pictures = rule.evidence(pictured(), picture_of_legs or pictured())
    return rule.lower_kinds(person, profile.profile(person), pictures)


def test_trousers_have_one_colour_from_thigh_to_calf() -> None:
    whole = lower(body((50, 118, RED), (118, 222, BLUE)))
    tights = lower(body((50, 118, RED), (118, 160, BLUE), (160, 222, GREEN)))
    assert whole["trousers"] > 2 * tights["trousers"] > 0


def test_cloth_between_the_thighs_speaks_against_shorts() -> None:
    skirt = body((50, 118, RED), (118, 150, BLUE))
    shorts = body((50, 118, RED), (118, 150, BLUE), gap=True)
    assert (rule.covered(skirt, 1.4, 1.8), rule.covered(shorts, 1.4, 1.8)) == (1.0, 0.0)
    odds = [np.log(kinds["shorts"] / kinds["skirt"]) for kinds in (lower(shorts), lower(skirt))]
    assert odds[0] - odds[1] == pytest.approx(rule.COVERED_AGAINST_SHORTS, abs=0.2)


def test_classes_of_imagenet_speak_for_a_kind_of_the_lower_half() -> None:
    person = body((50, 118, RED), (118, 150, BLUE))
    plain = lower(person)
    for kind in ("skirt", "dress", "trousers"):
        assert lower(person, pictured(kind))[kind] > plain[kind]
    assert rule.unusual(pictured(), "shorts") == 0.0, "ImageNet has no shorts"
    assert picture.USUAL["skirt"] < 0


# -------------------------------------------------------------------- boots

BLACK = (30, 28, 30)


def shoes_of(person: Body) -> tuple[float, float, float, float]:
    found = rule.shoe_box(person, profile.profile(person))
    assert found is not None
    return found


@pytest.mark.parametrize("top", [190, 200, 210])
def test_shoes_begin_where_boots_do_on_bare_legs(top: int) -> None:
    left, start, right, bottom = shoes_of(body((60, 140, RED), (top, 232, BLACK)))
    assert abs(start - top) <= 5
    assert (left, right, bottom) == (98, 158, 232)


def test_covered_legs_and_bare_feet_tell_no_boots() -> None:
    for stretches in ([(60, 200, BLUE), (200, 232, BLACK)], [(60, 140, RED)]):
        _, start, _, _ = shoes_of(body(*stretches))
        assert start == pytest.approx(226 - rule.SHOE_ABOVE * T, abs=1)
