"""Bags, hats and the evidence for kinds, on a body made of rectangles."""

import numpy as np
import pytest

from bodies import BLUE, GREEN, RED, T, body
from osoroi.garments import accessories, picture, profile, rule
from osoroi.garments.body import Body
from osoroi.garments.people import Detection
from osoroi.garments.picture import IMAGENET, PROBED, CropLogits, log_mass
from osoroi.garments.pose import Pose


def pictured(kind: str | None = None, *, strong: float = 20.0, probe: dict[str, float] | None = None) -> CropLogits:
    """Logits of a picture in which the classes of one kind stand out, and the probe's logits."""
    imagenet = np.zeros(1000, np.float32)
    if kind is not None:
        imagenet[list(IMAGENET[kind])] = strong
    return CropLogits(np.array([(probe or {}).get(name, 0.0) for name in PROBED], np.float32), imagenet)


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


def outer(person: Body, upper: CropLogits, knee: CropLogits | None = None) -> float:
    pictures = rule.evidence(upper, pictured(), knee or pictured())
    return rule.outer_chance(person, profile.profile(person), pictures)


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


def log_odds(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def test_outerwear_goes_on_below_the_hips() -> None:
    coat, top = (
        log_odds(outer(body((50, 150, RED)), pictured())),
        log_odds(outer(body((50, 118, RED), (118, 222, BLUE)), pictured())),
    )
    assert coat - top == pytest.approx(rule.ENDING_AGAINST_OUTER * rule.MOST_APART), "red and blue are farther apart"


def test_coats_down_to_the_knees_speak_for_outerwear_and_other_pictures_there_do_not() -> None:
    person = body((50, 150, RED))
    plain = log_odds(outer(person, pictured()))
    assert log_odds(outer(person, pictured(), pictured("outerwear"))) > plain + 1
    assert log_odds(outer(person, pictured(), pictured("dress"))) < plain


def lower(person: Body, picture_of_legs: CropLogits | None = None) -> dict[str, float]:
    pictures = rule.evidence(pictured(), picture_of_legs or pictured(), pictured())
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


# -------------------------------------------------------------------- outerwear over a dress


def test_outerwear_speaks_against_a_dress() -> None:
    person = body((50, 180, RED))
    colours, pictures = profile.profile(person), rule.evidence(pictured(), pictured("dress"), pictured())
    bare, coat = (rule.lower_kinds(person, colours, pictures, outer) for outer in (0.0, 1.0))
    odds = [np.log(kinds["dress"] / (1 - kinds["dress"])) for kinds in (bare, coat)]
    assert odds[0] - odds[1] == pytest.approx(rule.OUTER_AGAINST_DRESS)
    assert coat["skirt"] / coat["shorts"] == pytest.approx(bare["skirt"] / bare["shorts"])


def dress_and_coat(*, opened: bool) -> dict[str, tuple[float, float, float, float]]:
    """Boxes of somebody in a dress and a coat that is open, or closed down to the hips."""
    person = body((50, 180, RED))
    crop = person.pose.crop.copy()
    crop[56:150, :118] = crop[56:150, 138:] = BLUE
    if not opened:
        crop[56:120, 118:138] = BLUE
    pose = Pose(person.pose.landmarks, person.pose.visibility, person.pose.mask, crop, 1.0, 0.0, 0.0, 1.0)
    coat = pictured("outerwear", probe={"outerwear": 20.0})
    pictures = rule.evidence(coat, pictured("dress", probe={"dress": 20.0}), coat)
    found = rule.estimate(Body(pose), profile.profile(Body(pose)), pictures)
    return {one.kind: one.box for one in found}


def test_a_dress_in_an_open_coat_begins_below_the_chest() -> None:
    opened, closed = dress_and_coat(opened=True), dress_and_coat(opened=False)
    assert {"outerwear", "dress"} <= set(opened) & set(closed)
    assert opened["dress"][1] == pytest.approx(90)  # half-way from the shoulders to the hips
    assert closed["dress"][1] == pytest.approx(60 - 0.05 * T)
    assert opened["dress"][0::2] == closed["dress"][0::2]


def worn(person: Body, picture_of_legs: CropLogits) -> dict[str, float]:
    """Kinds and scores of what somebody without outerwear wears above the feet."""
    top = pictured("top", probe={"top": 20.0})
    pictures = rule.evidence(top, picture_of_legs, pictured())
    found = rule.estimate(person, profile.profile(person), pictures)
    return {one.kind: one.score for one in found if one.kind != "shoes"}


def test_beside_a_dress_that_is_not_sure_the_top_that_it_may_be_is_offered() -> None:
    person = body((50, 180, RED))
    sure = worn(person, pictured("dress", probe={"dress": 20.0}))
    unsure = worn(person, pictured("dress", strong=2.0, probe={"dress": 1.0}))
    assert set(sure) == {"dress"}
    assert sure["dress"] >= rule.SURE_DRESS > unsure["dress"] > 0.5
    assert unsure == {"top": pytest.approx(1 - unsure["dress"]), "dress": unsure["dress"]}
