"""Learning at the edges of its limits, and numbers that a run uses and shows nobody before it is done."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from osoroi.errors import BadDataset
from osoroi.records import Box, Crop
from osoroi.training import feature_cache, foreground, lda, loop, run, validation
from osoroi.training.augmentation import SHOP, STREET, Augmentation
from osoroi.training.foreground import ForegroundFit
from osoroi.training.view_loader import preprocessing
from pairs import TINY, TinyBackbone, tiny_network
from test_sampling import pairs_of


def test_cached_views_were_drawn_with_these_strengths() -> None:
    """A cache has no note of them: whoever changes one raises the format, else old and new views are mixed."""
    street = {"exposure": 0.35, "contrast": 0.35, "saturation": 0.3, "white_balance": 0.15, "box_jitter": 0.1}
    street |= {"rotation": 8.0, "flip": 0.5, "low_resolution": 0.4, "jpeg": 0.6, "occlusion": 0.25}
    shop = {"exposure": 0.08, "contrast": 0.08, "saturation": 0.06, "white_balance": 0.04, "box_jitter": 0.02}
    shop |= {"rotation": 2.0, "flip": 0.5, "low_resolution": 0.1, "jpeg": 0.15, "occlusion": 0.0}
    drawn_with = {3: (Augmentation(**street), Augmentation(**shop))}
    assert drawn_with[feature_cache.FORMAT] == (STREET, SHOP)


class EightBlocks(TinyBackbone):
    """As many blocks as the foreground head reads."""

    widths = (2,) * 8  # type: ignore[assignment]


@pytest.mark.parametrize("readable", [19, 20])
def test_twenty_masks_are_enough_for_a_foreground_head(readable: int, tmp_path: Path, monkeypatch) -> None:
    crops = [Crop(f"c{number}", "p", "street", b"") for number in range(23)]
    maps = np.zeros((readable, 6, 2, 2), np.float32), np.zeros((readable, 2, 2), np.float32)
    monkeypatch.setattr(foreground, "draw_crops", lambda readers, limits: crops)
    monkeypatch.setattr(foreground, "compute_maps", lambda *settings, on_progress: maps)
    monkeypatch.setattr(foreground, "fit_foreground_head", lambda *settings, seed: 0.25)
    path = tmp_path / "head.safetensors"
    if readable < 20:
        with pytest.raises(BadDataset, match="19 crops of the split 'train' have masks, and at least 20"):
            foreground.train_foreground([], TINY, EightBlocks(), path)
        assert not path.exists()
    else:
        fit = foreground.train_foreground([], TINY, EightBlocks(), path)
        assert fit == ForegroundFit(20, 3, 0.25)
        assert b"first.weight" in path.read_bytes()


class HalfMasked:
    """A photo of 200 x 100 pixels whose garment lies right of 80 and below 40."""

    name = "half.png"

    def read(self) -> bytes:
        data = io.BytesIO()
        Image.new("RGB", (200, 100), "red").save(data, "PNG")
        return data.getvalue()

    def mask(self) -> np.ndarray:
        mask = np.zeros((100, 200), np.uint8)
        mask[40:, 80:] = 255
        return mask


class Lost(HalfMasked):
    """The same without its bytes."""

    def read(self) -> bytes:
        return b""


@pytest.mark.parametrize("box", [Box(50, 20, 150, 80), Box(0, 0, 190, 95), None])
def test_a_mask_shows_the_area_that_its_crop_shows(box: Box | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        foreground, "runner", lambda *network: lambda pixels: [np.zeros((len(pixels), 1, 24, 24), np.float32)]
    )
    crops = [Crop("lost", "p", "street", Lost(), box), Crop("c", "p", "street", HalfMasked(), box)]
    said: list[tuple[int, int]] = []
    extractor = tiny_network(foreground=(0, 1)).extractor
    recipe = replace(TINY, box_margin=0.1)
    maps, masks = foreground.compute_maps(extractor, crops, recipe, on_progress=lambda *done: said.append(done))
    margin = preprocessing(recipe)["street"].margin
    wider, higher = (margin * (box.right - box.left), margin * (box.bottom - box.top)) if box else (0, 0)
    whole = box or Box(0, 0, 200, 100)
    left, top = max(0.0, whole.left - wider), max(0.0, whole.top - higher)
    right, bottom = min(200.0, whole.right + wider), min(100.0, whole.bottom + higher)
    shares = (right - 80) / (right - left), (bottom - 40) / (bottom - top)
    size = masks.shape[1]
    assert masks.shape[1:] == (24, 24), "as large as the maps"
    assert masks[0, -1].mean() == pytest.approx(shares[0], abs=1 / size)
    assert masks[0, :, -1].mean() == pytest.approx(shares[1], abs=1 / size)
    assert (masks[0, 0, 0], masks[0, -1, -1]) == (0, 1)
    assert (len(maps), said) == (1, [(2, 2)])


def test_features_are_computed_for_whole_crops_together_and_counted(tmp_path: Path) -> None:
    groups = [[row, row + 1, row + 2, row + 3] for row in range(0, 44, 4)]
    sizes: list[int] = []
    said: list[tuple[int, int]] = []

    def load(rows):
        return [None if row in (4, 41) else np.full((2, 2, 3), row, np.uint8) for row in rows]

    def below(crops):
        sizes.append(len(crops))
        return crops[:, 0, 0, :1].astype(np.float32), crops[:, 0, 0].astype(np.int16)

    feature_cache.fill(tmp_path, groups, load, below, lambda *done: said.append(done))
    (one, three), readable = feature_cache.read(tmp_path)
    assert said == [(32, 44), (44, 44)], "a batch ends with the crop that brings it to 32 views"
    assert sizes == [31, 11]
    assert np.flatnonzero(~readable).tolist() == [4, 41]
    assert one[readable, 0].tolist() == three[readable, 2].tolist() == [row for row in range(44) if readable[row]]
    assert (one.shape, three.shape, three.dtype) == ((44, 1), (44, 3), np.int16)


@pytest.mark.parametrize(
    ("unpaired", "settings", "products"),
    [((), {}, 9), ((2,), {}, 6), ((0, 1, 2), {}, 9), ((2,), {"lda_datasets": 1}, 3)],
    ids=["all", "pairs alone", "photos alone", "as the recipe says"],
)
def test_heads_are_fitted_on_pairs_where_there_are_any(unpaired, settings, products, tmp_path, monkeypatch) -> None:
    pairs = replace(pairs_of(9, dataset=np.repeat(np.arange(3), 3)), unpaired=frozenset(unpaired))
    fitted: list[tuple[int, float]] = []
    said: list[dict[str, float]] = []
    monkeypatch.setattr(lda, "fit", lambda _, some, how: fitted.append((len(some), how.nuisance_weight)))
    monkeypatch.setattr(validation, "metrics", lambda network, held_out, device: {"hit@5": 0.5})
    recipe = replace(TINY, init="lda", epochs=0, nuisance_weight=0.5, **settings)
    watch = loop.Watch(on_epoch=lambda line: said.append(dict(line)))
    run.fit(torch.nn.Linear(1, 1), pairs, pairs, recipe, tmp_path, watch=watch)
    assert fitted == [(products, 0.5)]
    assert said == [{"epoch": 0.0, "hit@5": 0.5}]
