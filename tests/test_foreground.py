"""The foreground head learns the garment's mask, the same one every time."""

import numpy as np
import pytest
import torch
from PIL import Image

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.data.readers.composed import Street
from osoroi.model import build as building
from osoroi.model.backbones import build
from osoroi.model.foreground import BLOCKS
from osoroi.model.network import FeatureExtractor, to_images
from osoroi.training import foreground
from pairs import TINY, tiny_network


def test_a_foreground_head_learns_what_tells_cloth_from_wall():
    random = np.random.default_rng(1)
    masks = np.zeros((300, 12, 12), np.float32)
    for mask in masks:
        top, left = random.integers(0, 6, 2)
        mask[top : top + 6, left : left + 5] = 1
    network = tiny_network(foreground=(0, 1))
    maps = random.normal(size=(300, 14, 12, 12)).astype(np.float32)
    maps[:, 3] += 3 * masks  # one map of fourteen tells cloth from wall
    chance = 1 - masks[270:].mean()  # .79 of the positions are right if nothing is called cloth
    foreground.fit_foreground_head(network.extractor, maps, masks)
    with torch.inference_mode():
        mask = network.extractor.foreground.predict(torch.from_numpy(maps[270:])).numpy()
    assert 0.75 < chance < 0.85
    assert np.mean((mask > 0.5) == (masks[270:] == 1)) > 0.92
    assert not any(one.requires_grad for one in network.extractor.foreground.parameters())


def test_the_same_maps_give_the_same_foreground_head():
    random = np.random.default_rng(4)
    maps = random.normal(size=(40, 14, 6, 6)).astype(np.float32)
    masks = (maps[:, 2] > 0).astype(np.float32)
    extractors = [tiny_network(foreground=(0, 1)).extractor for _ in range(2)]
    errors = [foreground.fit_foreground_head(each, maps, masks) for each in extractors]
    assert errors[0] == errors[1]
    assert torch.equal(extractors[0].foreground.first.weight, extractors[1].foreground.first.weight)


def test_every_crop_has_its_maps_and_its_mask(tmp_path):
    _, masks = composed_photos(tmp_path, products=3)
    rows = open_dataset(f"composed:{tmp_path}/shop.csv?views=3&cache={tmp_path}/cache").rows()
    crops = [crop for _, crop in rows if crop.domain == "street"]
    assert len(crops) == len(masks)
    progress: list[tuple[int, int]] = []
    maps, covered = foreground.compute_maps(
        tiny_network(foreground=(1, 2)).extractor, crops, TINY, on_progress=lambda *done: progress.append(done)
    )
    assert len(maps) == len(covered) == len(crops)
    assert progress[-1] == (len(crops), len(crops))


@pytest.mark.slow
def test_a_foreground_head_on_the_real_backbone_finds_cloth_in_composed_photos_of_new_garments(
    tmp_path,
):
    """About half of a composed photo is cloth, so that the best constant is off by nearly one half."""
    crops, masks = composed_photos(tmp_path)
    extractor = FeatureExtractor(
        build("efficientnet_lite0", building.packaged("efficientnet_lite0")), foreground=BLOCKS
    ).eval()
    assert extractor.foreground is not None
    with torch.inference_mode():
        maps = [
            extractor.foreground.inputs(extractor.backbone(to_images(torch.from_numpy(some))).blocks)
            for some in np.array_split(crops, 8)
        ]
    error = foreground.fit_foreground_head(extractor, torch.cat(maps).numpy(), masks)
    held_out = masks[-max(1, len(masks) // 10) :]
    chance = min(np.abs(held_out - guess).mean() for guess in np.linspace(0, 1, 21))
    assert chance > 0.35
    assert error < 0.6 * chance
    with torch.inference_mode():
        found = extractor.forward_with_mask(torch.from_numpy(crops[-len(held_out) :]))[1]
    assert found is not None
    mask = found.numpy()
    cloth = held_out > 0.5
    assert np.mean((mask > 0.5) == cloth) > 0.8
    assert mask[cloth].mean() > 2 * mask[~cloth].mean()


def composed_photos(folder, products=60):
    """Street photos composed of drawn garments, in the order of garments, and where in them cloth is, 12 x 12."""
    lines = ["photo,product_id,category"]
    for product, crop in open_dataset(f"drawn:{products}:2").rows():
        if crop.domain == "shop":
            name = crop.crop_id.replace("/", "-")
            (folder / f"{name}.jpg").write_bytes(image.load(crop.photo))
            lines.append(f"{name}.jpg,{name},{product.category}")
    (folder / "shop.csv").write_text("\n".join(lines))
    crops, masks = [], []
    for _, crop in open_dataset(f"composed:{folder}/shop.csv?views=3&cache={folder}/cache").rows():
        if crop.domain == "street":
            assert isinstance(crop.photo, Street)
            view = crop.photo.composed()
            crops.append(np.asarray(view.picture.resize((192, 192))))
            masks.append(np.asarray(view.mask.resize((12, 12), Image.Resampling.BOX)) / np.float32(255))
    return np.stack(crops), np.stack(masks)
