"""Augmentation: every change happens as often and goes as far as its setting says, on street and on shop photos."""

import io
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from osoroi.recipe import Recipe
from osoroi.records import Box, Crop
from osoroi.training import augmentation
from osoroi.training.augmentation import SHOP, STREET, Augmentation, augment, jitter_box
from osoroi.training.view_loader import View, ViewLoader

NONE = Augmentation(**{one.name: 0.0 for one in fields(Augmentation)})
DRAWS = 200


def crop_of(left, right, size=48):
    """A crop of two colours, so that left and right differ."""
    crop = np.empty((size, size, 3), np.uint8)
    crop[:, : size // 2], crop[:, size // 2 :] = left, right
    return crop


def draws(crop, config):
    return [augment(crop, config, np.random.default_rng(seed)) for seed in range(DRAWS)]


def test_without_any_change_the_crop_stays_as_it_is():
    crop = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    assert all(np.array_equal(each, crop) for each in draws(crop, NONE))


def test_half_of_the_crops_are_flipped():
    crop = crop_of((200, 30, 30), (30, 30, 200))
    flipped = [np.array_equal(each, crop[:, ::-1]) for each in draws(crop, replace(NONE, flip=0.5))]
    assert 0.35 < np.mean(flipped) < 0.65
    assert STREET.flip == SHOP.flip == 0.5


def test_a_jpeg_leaves_its_traces_as_often_as_its_probability_says():
    crop = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)  # noise is what JPEG changes most
    changed = [not np.array_equal(each, crop) for each in draws(crop, replace(NONE, jpeg=0.6))]
    assert 0.45 < np.mean(changed) < 0.75
    grey = crop[..., :1].repeat(3, 2) // 4 + 96  # brightness is kept at high quality, colour never is
    error = [np.abs(each.astype(int) - grey).mean() for each in draws(grey, replace(NONE, jpeg=1.0))]
    assert min(error) > 0.5
    assert max(error) > 1.5 * min(error), "qualities from 25 to 90"


def test_the_corners_of_a_rotated_crop_have_the_colour_of_its_first_and_last_row():
    crop = np.full((40, 40, 3), 100, np.uint8)
    crop[[0, -1]] = 200
    corners = [each[0, 0] for each in draws(crop, replace(NONE, rotation=30.0))]
    assert np.median(corners) == 200


def test_white_balance_changes_the_channels_apart_and_nothing_else_does():
    grey = np.full((16, 16, 3), 120, np.uint8)
    ratios = [each[0, 0].max() / each[0, 0].min() for each in draws(grey, replace(NONE, white_balance=0.15))]
    assert max(ratios) > 1.15
    assert max(ratios) <= 1.15 / 0.85 + 0.02
    others = replace(STREET, white_balance=0.0, jpeg=0.0, occlusion=0.0, rotation=0.0)
    assert max(np.ptp(each[0, 0].astype(int)) for each in draws(grey, others)) <= 1, "grey stays grey in other light"


@pytest.mark.parametrize(
    ("change", "measure"),
    [("exposure", lambda crop: crop.mean()), ("contrast", lambda crop: crop.std())],
)
def test_light_and_contrast_go_as_far_as_their_settings(change, measure):
    crop = crop_of((100, 100, 100), (140, 140, 140))
    shares = [measure(each) / measure(crop) for each in draws(crop, replace(NONE, **{change: 0.3}))]
    assert 0.69 < min(shares) < 0.75
    assert 1.25 < max(shares) < 1.31


def test_saturation_moves_colours_towards_grey_and_away():
    crop = crop_of((150, 100, 100), (150, 100, 100))
    spread = [np.ptp(each[0, 0].astype(int)) / 50 for each in draws(crop, replace(NONE, saturation=0.3))]
    assert 0.66 < min(spread) < 0.8
    assert 1.2 < max(spread) < 1.34


def test_saturation_leaves_the_brightness_of_bt_601():
    colour = np.array([150, 100, 60])
    shares = np.array([0.299, 0.587, 0.114])
    drawn = draws(np.tile(colour, (16, 16, 1)).astype(np.uint8), replace(NONE, saturation=0.9))
    for each in drawn:
        assert each[0, 0] @ shares == pytest.approx(colour @ shares, abs=0.51)  # each channel is rounded
    assert np.ptp([each[0, 0, 0] for each in drawn]) > 50


def test_a_bar_of_one_colour_hides_up_to_a_fifth_of_a_quarter_of_the_street_crops():
    crop = np.full((60, 60, 3), 90, np.uint8)
    hidden = [np.mean((each != 90).any(2)) for each in draws(crop, replace(NONE, occlusion=STREET.occlusion))]
    assert 0.15 < np.mean(np.array(hidden) > 0) < 0.35
    assert 0.1 < max(hidden) <= 0.21
    assert not any(np.any(each != 90) for each in draws(crop, replace(NONE, occlusion=SHOP.occlusion)))


def test_the_bar_covers_between_a_twentieth_and_a_fifth_of_the_crop_before_it_is_cut_at_the_edge():
    crop = np.full((100, 100, 3), 255, np.uint8)
    shares = []
    for seed in range(DRAWS):
        covered = (augmentation.occlude(crop, np.random.default_rng(seed)) != 255).any(2)
        inside = covered.any(0)
        if not (inside[0] or inside[-1]):  # the whole bar is in the crop
            shares.append(covered.mean())
    assert len(shares) > DRAWS / 4
    assert 0.03 < min(shares) < 0.09  # bars are cut to whole pixels
    assert 0.15 < max(shares) <= 0.2


def test_few_pixels_blur_an_edge():
    crop = np.kron(np.indices((24, 24)).sum(0) % 2, np.ones((2, 2)))[..., None].repeat(3, 2).astype(np.uint8) * 255
    contrast = [each.std() for each in draws(crop, replace(NONE, low_resolution=1.0))]
    assert min(contrast) < 0.4 * crop.std()
    assert np.mean(np.array(contrast) < 0.95 * crop.std()) > 0.95


def test_crops_are_turned_both_ways_by_up_to_the_angle():
    crop = np.zeros((64, 64, 3), np.uint8)
    crop[:, 31:33] = 255

    def lean(each):
        top, bottom = (np.average(np.arange(64), weights=each[row, :, 0] + 1e-9) for row in (8, 55))
        return np.degrees(np.arctan2(bottom - top, 47))

    angles = [lean(each) for each in draws(crop, replace(NONE, rotation=8.0))]
    assert -9 < min(angles) < -6
    assert 6 < max(angles) < 9


def test_every_side_of_a_box_moves_by_up_to_its_share_and_stays_inside():
    box = Box(100, 200, 300, 600)  # 200 x 400
    moved = np.array([jitter_box(box, 1000, 1000, STREET, np.random.default_rng(seed)) for seed in range(DRAWS)])
    shift = np.abs(moved - np.array(box)).max(0)
    assert (shift > [17, 36, 17, 36]).all(), "a tenth of the sides is 20 and 40"
    assert (shift <= [20, 40, 20, 40]).all()
    edge = [jitter_box(Box(0, 0, 10, 10), 10, 10, STREET, np.random.default_rng(seed)) for seed in range(DRAWS)]
    assert all(0 <= b.left < b.right <= 10 and 0 <= b.top < b.bottom <= 10 for b in edge)


@pytest.mark.parametrize("name", [one.name for one in fields(Augmentation) if one.name != "flip"])
def test_shop_photos_are_changed_less_than_street_photos_in_every_respect(name):
    assert getattr(SHOP, name) < getattr(STREET, name)


def change_of(domain, box=None):
    """Mean change of 60 augmented views of a photo that no flip changes."""
    photo = np.tile(np.linspace(40, 200, 96)[:, None, None], (1, 96, 3))
    path = Image.fromarray(photo.astype(np.uint8))
    file = io.BytesIO()
    path.save(file, "PNG")
    crop = Crop("c", "p", domain, file.getvalue(), box)
    loader = ViewLoader([View(crop, 0, 0), View(crop, 0, 1)], Recipe(image_size=96))
    plain = loader.load(0, 0).astype(int)
    return np.mean([np.abs(loader.load(1, epoch).astype(int) - plain).mean() for epoch in range(60)])


def test_the_view_loader_augments_street_photos_as_street_and_shop_photos_as_shop():
    assert change_of("street") > 2 * change_of("shop") > 0


def test_the_view_loader_moves_the_box_of_an_augmented_view():
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, 50:] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    crop = Crop("c", "p", "street", file.getvalue(), Box(20, 20, 80, 80))
    still = replace(NONE, box_jitter=STREET.box_jitter)
    loader = ViewLoader([View(crop, 0, 1)], Recipe(image_size=96), augmentations={"street": still, "shop": SHOP})
    edges = [int(np.argmax(loader.load(0, epoch)[48, :, 0] > 127)) for epoch in range(40)]
    assert min(edges) < 46, "the edge lies in the middle of the box, at 48"
    assert max(edges) > 50


def test_one_generator_gives_one_view():
    crop = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    one, two, other = (augmentation.augment(crop, STREET, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
