"""Garments found in photos: drawn people, whose boxes are known, and real ones where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi import image
from osoroi.cli import main
from osoroi.data.readers import open_dataset
from osoroi.data.synthetic.outfits import Outfits, outfits
from osoroi.errors import BadPhoto
from osoroi.garments import Garment
from osoroi.garments.find import find
from osoroi.garments.people import overlap
from osoroi.records import Box


def shared(one: Box, other: Box) -> float:
    return float(overlap(np.array([one], float), np.array([other], float))[0, 0])


def best(found: list[Garment], box: Box) -> Garment:
    return max(found, key=lambda garment: shared(garment.box, box))


@pytest.fixture(scope="module")
def alone() -> Outfits:
    """Somebody in a dotted blouse and dark red trousers."""
    return outfits(0, 0)


def test_top_trousers_and_shoes_of_a_drawn_person_are_found(alone: Outfits) -> None:
    found = find(alone.photo)
    assert {placed.kind for placed in alone.garments} == {"top", "trousers", "shoes"}
    for placed in alone.garments:
        garment = best(found, placed.box)
        assert (garment.kind, garment.person) == (placed.kind, 0)
        assert shared(garment.box, placed.box) > 0.5
        assert 0 < garment.score <= 1


def test_each_of_several_people_has_a_list_and_the_largest_comes_first() -> None:
    both = outfits(3, 1, people=2, size=(600, 600))
    small = np.asarray(Image.fromarray(both.photo).reduce(2))
    photo = np.full((600, 900, 3), 150, np.uint8)
    photo[:, :600] = both.photo
    photo[300:, 600:] = small
    found = find(photo)
    persons = [garment.person for garment in found]
    assert persons == sorted(persons, key=lambda person: (person is None, person))
    assert {0, 1} <= set(persons)
    for number in (0, 1):
        matches = [best(found, placed.box) for placed in both.garments if placed.person == number]
        assert len({garment.person for garment in matches}) == 1, "what one person wears stands in one list"
    areas = [
        [(g.box.right - g.box.left) * (g.box.bottom - g.box.top) for g in found if g.person == person]
        for person in set(persons)
    ]
    assert all(sizes == sorted(sizes, reverse=True) for sizes in areas)


def test_what_a_photo_cut_at_the_hip_does_not_show_is_left_out(alone: Outfits) -> None:
    hip = int(alone.joints[0][1].mean(axis=0)[1])
    photo = alone.photo[: hip + 10]
    found = find(photo)
    assert "top" in {garment.kind for garment in found}
    assert not {"trousers", "skirt", "shorts", "shoes"} & {garment.kind for garment in found}
    for garment in found:
        assert 0 <= garment.box.left < garment.box.right <= photo.shape[1]
        assert 0 <= garment.box.top < garment.box.bottom <= photo.shape[0]


def below_the_waist(made: Outfits) -> tuple[np.ndarray, dict[str, Box]]:
    """The lower half of a drawn photo, and the boxes of what lies in it."""
    start = int(made.joints[0][1].mean(axis=0)[1]) - 10
    boxes = {placed.kind: placed.box for placed in made.garments}
    return made.photo[start:], {
        kind: Box(box.left, max(box.top - start, 0), box.right, box.bottom - start)
        for kind, box in boxes.items()
        if box.bottom > start + 20
    }


@pytest.mark.parametrize("number", [17, 19])
def test_somebody_of_whom_a_photo_shows_the_legs_wears_what_is_seen_there(number: int) -> None:
    photo, boxes = below_the_waist(outfits(1, number))
    found = find(photo)
    assert set(boxes) == {"dress", "shoes"}
    for kind, box in boxes.items():
        garment = best(found, box)
        assert (garment.kind, garment.person) == (kind, 0)
        assert shared(garment.box, box) > 0.5


@pytest.mark.parametrize("number", [3, 6])
def test_somebody_whose_torso_lies_outside_the_photo_wears_nothing_there(number: int) -> None:
    made = outfits(0, number)
    hip, knee = (float(made.joints[0][at].mean(axis=0)[1]) for at in (1, 2))
    photo = made.photo[round(hip + (knee - hip) / 4) :]
    kinds = {garment.kind for garment in find(photo)}
    assert "shoes" in kinds
    assert len(kinds & {"skirt", "trousers", "shorts"}) == 1
    assert not kinds & {"top", "outerwear", "dress"}


def test_of_somebody_without_a_body_the_visible_part_is_the_garment() -> None:
    photo, boxes = below_the_waist(outfits(1, 20))
    (garment,) = find(photo)
    sides = list(zip(*boxes.values(), strict=True))
    worn = Box(min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3]))
    assert garment.person is None
    assert shared(garment.box, worn) > 0.5 > shared(Box(0, 0, *photo.shape[1::-1]), worn)


def test_a_torso_that_ends_a_little_above_the_edge_is_no_whole_body() -> None:
    crop = next(row.crop for row in open_dataset("drawn:4").rows() if row.crop.domain == "street")
    assert crop.box is not None
    found = find(crop.photo)
    assert [garment.kind for garment in found] == ["top"]  # a gingham shirt, from the neck to the hip
    assert shared(found[0].box, crop.box) > 0.7


def test_somebody_seen_from_behind_is_a_person() -> None:
    behind = outfits(0, 11, behind=True)
    found = find(behind.photo)
    shoes = next(placed.box for placed in behind.garments if placed.kind == "shoes")
    assert best(found, shoes).person == 0


def test_a_photo_without_a_person_is_one_garment_its_content() -> None:
    photo = np.full((300, 240, 3), 250, np.uint8)
    photo[60:200, 50:190] = (30, 60, 150)
    (garment,) = find(photo)
    assert garment.box == image.content(photo)
    assert garment.person is None


def test_a_box_of_the_user_wins_and_its_place_says_its_kind(alone: Outfits) -> None:
    for placed in alone.garments:
        (garment,) = find(alone.photo, box=placed.box)
        right = (placed.kind, "outerwear") if placed.kind == "top" else (placed.kind,)  # drawn cloth tells little
        assert (garment.box, garment.person, garment.kind in right) == (placed.box, 0, True)
        assert garment.score == max(garment.kinds.values()) == garment.kinds[garment.kind]


def test_a_box_beside_everybody_belongs_to_nobody(alone: Outfits) -> None:
    (garment,) = find(alone.photo, box=Box(0, 0, 40, 40))
    assert garment.person is None


@pytest.mark.parametrize("box", [Box(0, 0, 401, 10), Box(5, 5, 5, 9), Box(-1, 0, 5, 5)])
def test_a_box_outside_the_photo_is_refused(alone: Outfits, box: Box) -> None:
    with pytest.raises(BadPhoto, match="does not fit a photo of 400 x 600"):
        find(alone.photo, box=box)


def test_a_larger_photo_has_the_same_garments_at_its_own_scale(alone: Outfits) -> None:
    large = np.asarray(Image.fromarray(alone.photo).resize((1600, 2400), Image.Resampling.BICUBIC))
    found, again = find(alone.photo), find(large)
    assert [garment.kind for garment in again] == [garment.kind for garment in found]
    for one, other in zip(found, again, strict=True):
        assert shared(Box(*(4 * side for side in one.box)), other.box) > 0.8


def test_thin_and_tiny_photos_give_one_garment_inside_them() -> None:
    for shape in ((16, 16), (20, 900), (900, 20)):
        (garment,) = find(np.full((*shape, 3), 90, np.uint8))
        assert garment.box == Box(0, 0, shape[1], shape[0])


def test_the_command_prints_what_the_function_finds(alone: Outfits, tmp_path: Path) -> None:
    photo = tmp_path / "snap.png"
    Image.fromarray(alone.photo).save(photo)
    run = CliRunner().invoke(main, ["find", str(photo), "--json", "--grid", str(tmp_path / "grid.png")])
    assert run.exit_code == 0, run.output
    rows = json.loads(run.stdout)["garments"]
    assert [(row["kind"], tuple(row["box"])) for row in rows] == [(g.kind, tuple(g.box)) for g in find(alone.photo)]
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width > 160 * len(rows)
    lines = CliRunner().invoke(main, ["find", str(photo)]).stdout.splitlines()
    assert lines[0].split() == ["no", "kind", "score", "person", "box"]
    assert len(lines) == 1 + len(rows)


def test_real_people_wear_upper_and_lower_garments_and_shoes(data: Path) -> None:
    photos = sorted((data / "ccp" / "photos").glob("*.jpg"))[:12]
    if not photos:
        pytest.skip("needs the photos of ccp/")
    lists = [[garment.kind for garment in find(photo) if garment.person == 0] for photo in photos]
    assert all(2 <= len(kinds) <= 6 for kinds in lists)
    assert sum("shoes" in kinds for kinds in lists) >= 10
