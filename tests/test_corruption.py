"""Corrupted queries: how far each thing moves, and that nothing leaves the photo."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from osoroi.evaluation.corruption import corrupt
from osoroi.records import Box

SMOOTH = np.clip(np.add.outer(np.arange(90), np.arange(60))[..., None] + [60, 40, 20], 0, 255).astype(np.uint8)


def corrupted(photo, box, count=300) -> list[tuple[np.ndarray, Box]]:
    found = []
    for i in range(count):
        data, moved = corrupt(photo, box, seed=0, crop_id=str(i))
        with Image.open(io.BytesIO(data)) as picture:
            found.append((np.asarray(picture), moved))
    return found


def test_each_side_of_the_box_moves_by_up_to_a_tenth_of_its_width_or_height():
    moved = np.array([box for _, box in corrupted(SMOOTH, Box(20, 20, 40, 70))]) - (20, 20, 40, 70)
    assert abs(moved[:, [0, 2]]).max() == 2  # a tenth of 20
    assert abs(moved[:, [1, 3]]).max() == 5  # a tenth of 50
    assert abs(moved.mean(axis=0)).max() < 0.5
    assert abs(np.corrcoef(moved.T) - np.eye(4)).max() < 0.25  # each side by itself


def test_the_box_never_leaves_the_photo_nor_loses_all_its_area():
    for whole in (None, Box(0, 0, 60, 90), Box(0, 0, 1, 1), Box(59, 89, 60, 90)):
        for _, (left, top, right, bottom) in corrupted(SMOOTH, whole, count=50):
            assert 0 <= left < right <= 60
            assert 0 <= top < bottom <= 90


def test_light_contrast_and_balance_stay_within_their_shares():
    plain = np.full((32, 32, 3), 100, np.uint8)  # has no contrast: mean times gain times balance
    means = np.array([photo.mean(axis=(0, 1)) for photo, _ in corrupted(plain, None)]) / 100
    assert means.min() > 0.65 * 0.85 - 0.02
    assert means.max() < 1.35 * 1.15 + 0.02
    assert means.min() < 0.62
    assert means.max() > 1.46
    balance = means[:, 0] / means[:, 2]
    assert balance.min() > 0.85 / 1.15 - 0.03
    assert balance.max() < 1.15 / 0.85 + 0.03
    assert np.std(balance) > 0.05
    contrast = [photo[..., 1].std() / photo[..., 1].mean() for photo, _ in corrupted(SMOOTH, None)]
    before = SMOOTH[..., 1].std() / SMOOTH.mean()
    assert min(contrast) / before < 0.8
    assert max(contrast) / before > 1.2


def test_the_photo_is_a_jpeg_of_quality_40():
    data, _ = corrupt(SMOOTH, None, seed=0, crop_id="a")
    with Image.open(io.BytesIO(data)) as picture:
        assert isinstance(picture, JpegImageFile)
        table = picture.quantization[0]
    reference = io.BytesIO()
    Image.fromarray(SMOOTH).save(reference, format="JPEG", quality=40)
    with Image.open(reference) as picture:
        assert isinstance(picture, JpegImageFile)
        assert picture.quantization[0] == table


@pytest.mark.parametrize("other", [{"seed": 1, "crop_id": "a"}, {"seed": 0, "crop_id": "b"}])
def test_the_draw_depends_on_seed_and_crop(other):
    once, again = (corrupt(SMOOTH, None, seed=0, crop_id="a") for _ in range(2))
    assert once == again
    assert corrupt(SMOOTH, None, **other) != once
