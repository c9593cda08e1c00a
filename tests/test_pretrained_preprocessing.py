"""Pixels are those of the library that a configuration was written for, on photos that are not square."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brought import CLIP_MEAN, CLIP_STD, clip_config, siglip_config
from osoroi.errors import BadRequest
from osoroi.image import fitting
from osoroi.pretrained import preprocessing
from osoroi.pretrained.check import drawn_photos, pixels_of
from osoroi.pretrained.folder import ModelFolder
from osoroi.pretrained.model import normalised
from osoroi.pretrained.processors import PROCESSORS
from osoroi.records import Fit

BIT = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 73}, "crop_size": 64, "resample": 3}
VIT = {"image_processor_type": "ViTImageProcessor", "image_mean": 0.5, "image_std": 0.25, "size": 64}
CONVNEXT = {"image_processor_type": "ConvNextImageProcessor", "image_mean": CLIP_MEAN, "image_std": CLIP_STD}
MOBILEVIT = {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 70}, "resample": 2}

TRANSFORMERS = {
    "CLIP": clip_config(),
    "a centre larger than the photo": clip_config(size={"shortest_edge": 40}),
    "an odd rest": clip_config(size={"shortest_edge": 71}, crop_size={"height": 64, "width": 48}),
    "SigLIP": siglip_config(),
    "null is absent": siglip_config(crop_size=None, do_center_crop=None, rescale_factor=None, resample=None),
    "DINOv2": BIT,
    "one number for each": VIT,
    "a list": VIT | {"size": [48, 96]},
    "ConvNeXT below 384": CONVNEXT | {"size": {"shortest_edge": 64}, "crop_pct": 0.875},
    "ConvNeXT from 384 on": CONVNEXT | {"size": {"shortest_edge": 384}},
    "MobileViT, blue first": MOBILEVIT | {"crop_size": {"height": 64, "width": 64}},
    "no rescaling": clip_config(do_rescale=False, image_mean=[120.0] * 3, image_std=[60.0] * 3),
    "no normalising": clip_config(do_normalize=False),
    "shortest and longest": clip_config(size={"shortest_edge": 64, "longest_edge": 100}),
    "longest and padding": siglip_config(
        size={"max_height": 64, "max_width": 64}, do_pad=True, pad_size={"height": 64, "width": 64}
    ),
    **{f"filter {number}": siglip_config(resample=number) for number in range(6)},
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_pixels_are_those_of_transformers(name):
    transformers = pytest.importorskip("transformers")
    stated = TRANSFORMERS[name]
    given = {key: value for key, value in stated.items() if key != "image_processor_type" and value is not None}
    processor = getattr(transformers, f"{stated['image_processor_type']}Pil")(**given)
    settings = preprocessing.transformers(stated, "", "")
    for photo in drawn_photos():
        ours = normalised(pixels_of([photo], settings.fit)[0], settings.colors)
        theirs = np.asarray(processor(Image.fromarray(photo), return_tensors="np")["pixel_values"][0])
        assert ours.shape == theirs.shape
        if name == "longest and padding":  # transformers pads with 0 after it normalised, so the padding is grey there
            inside = theirs != 0
            ours, theirs = ours[inside], theirs[inside]
        step = settings.colors.scale / min(settings.colors.std)
        assert np.abs(ours - theirs).max() <= 1.01 * step  # one of 255, by the order of two roundings
        assert (np.abs(ours - theirs) > 1e-4).mean() < 0.01


@pytest.mark.parametrize("name", [name for name in PROCESSORS if name.endswith("Processor")])
def test_what_a_file_does_not_state_is_the_default_of_its_class(name):
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, f"{name}Pil", None)
    if kind is None:
        pytest.skip(f"transformers has no {name} for Pillow")
    settings = preprocessing.transformers({"image_processor_type": name}, "", "")
    photo = drawn_photos()[0]
    theirs = np.asarray(kind()(Image.fromarray(photo), return_tensors="np")["pixel_values"][0])
    ours = normalised(pixels_of([photo], settings.fit)[0], settings.colors)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 0.05


def slow_open_clip(photo: np.ndarray, mode: str, side: int, fill: int) -> np.ndarray:
    """What open_clip's transform does, from its source: torchvision's rounding, whole pictures, in plain steps."""
    height, width = photo.shape[:2]
    picture = Image.fromarray(photo)
    if mode == "squash":
        return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))
    if mode == "shortest":
        short, long = min(height, width), max(height, width)
        other = int(side * long / short)
        size = (side, other) if width <= height else (other, side)
    else:
        ratio = max(height / side, width / side)
        size = (round(width / ratio), round(height / ratio))
    pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    output = np.full((side, side, 3), fill, np.uint8)
    for row in range(side):
        for column in range(side):
            place = []
            for at, length in ((row, pixels.shape[0]), (column, pixels.shape[1])):
                before = (side - length) // 2 if length < side else -round((length - side) / 2)
                place.append(at - before)
            if 0 <= place[0] < pixels.shape[0] and 0 <= place[1] < pixels.shape[1]:
                output[row, column] = pixels[place[0], place[1]]
    return output


@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
def test_pixels_are_those_of_open_clip(mode):
    stated = {"size": [64, 64], "mode": "RGB", "mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic"}
    settings = preprocessing.open_clip(stated | {"resize_mode": mode, "fill_color": 114}, {}, "")
    for photo in drawn_photos():
        (ours,) = pixels_of([photo], settings.fit)
        assert np.abs(ours.astype(int) - slow_open_clip(photo, mode, 64, 114)).max() <= 1


def test_open_clip_defaults_are_shortest_and_the_size_of_the_model():
    settings = preprocessing.open_clip({"mean": None}, {"vision_cfg": {"image_size": 96}}, "")
    assert settings.fit == Fit(96, 96, "shortest", (96, 0), "bicubic", placement="round")
    assert settings.colors.mean == tuple(CLIP_MEAN)


def test_timm_cuts_by_its_share_and_pads_with_its_mean():
    stated = {"input_size": [3, 96, 96], "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.5] * 3}
    fit = preprocessing.timm(stated | {"crop_mode": "center", "interpolation": "bilinear"}, "").fit
    assert fit == Fit(96, 96, "shortest", (106, 0), "bilinear", placement="round")
    assert preprocessing.timm(stated | {"crop_mode": "squash"}, "").fit.to == (106, 106)
    border = preprocessing.timm(stated | {"crop_mode": "border"}, "").fit
    assert (border.resize, border.fill) == ("longest", (128, 128, 128))


@pytest.mark.parametrize(
    ("stated", "word"),
    [
        (clip_config(do_thumbnail=True), "do_thumbnail"),
        (clip_config(do_crop_margin=True), "do_crop_margin"),
        (clip_config(do_image_splitting=True), "do_image_splitting"),
        (clip_config(image_grid_pinpoints=[[1, 2]]), "tiles"),
        ({"image_processor_type": "Siglip2ImageProcessor", "max_num_patches": 256, "patch_size": 16}, "NaFlex"),
        ({"image_processor_type": "OwnProcessor", "auto_map": {"AutoImageProcessor": "own.Own"}}, "own.Own"),
        (clip_config(do_center_crop=False), "no fixed size"),
        (clip_config(size={"edge": 3}), "size"),
        (clip_config(image_mean=[0.1, 0.2]), "image_mean"),
        (clip_config(resample="fancy"), "fancy"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_its_name(stated, word):
    with pytest.raises(BadRequest, match=word):
        preprocessing.transformers(stated, "", "preprocessor_config.json")


def test_code_of_a_known_family_is_not_needed():
    jina = {
        "auto_map": {"AutoImageProcessor": "processing_clip.JinaCLIPImageProcessor"}, "fill_color": 0,
        "image_processor_type": "JinaCLIPImageProcessor", "interpolation": "bicubic", "mean": CLIP_MEAN,
        "resize_mode": "shortest", "size": 224, "std": CLIP_STD,
    }  # fmt: skip
    fit = preprocessing.transformers(jina, "jina_clip", "").fit
    assert (fit.height, fit.resize, fit.placement) == (224, "shortest", "round")
    siglip = siglip_config(image_processor_type="", auto_map={"AutoProcessor": "marqo_fashionSigLIP.Processor"})
    assert preprocessing.transformers(siglip, "siglip", "").fit.resize == "squash"


def test_a_long_photo_costs_no_more_than_its_window():
    long = Image.fromarray(np.zeros((20, 40_000, 3), np.uint8))
    fit = Fit(64, 64, "shortest", (64, 0))
    assert fitting.resized(40_000, 20, fit) == (128_000, 64)
    assert fitting.fit(long, (0, 0, 40_000, 20), fit).shape == (64, 64, 3)


def test_the_cut_of_a_very_long_photo_is_the_middle_of_the_whole():
    columns = np.linspace(0, 255, 8_000).astype(np.uint8)
    long = Image.fromarray(np.repeat(np.tile(columns, (20, 1))[..., None], 3, axis=2))
    cut = fitting.fit(long, (0, 0, 8_000, 20), Fit(128, 128, "shortest", (128, 0)))
    assert fitting.resized(8_000, 20, Fit(128, 128, "shortest", (128, 0)))[0] * 128 > fitting.WHOLE_PX
    whole = np.asarray(long.resize((51_200, 128), Image.Resampling.BICUBIC))[:, 25_536:25_664]
    assert np.abs(cut.astype(int) - whole).max() <= 1


def test_a_box_is_fitted_as_a_photo_of_its_own():
    photo = drawn_photos()[1]
    fit = Fit(64, 64, "squash", (64, 64), "nearest")
    part = Image.fromarray(photo[20:120, 30:90])
    boxed = fitting.fit(Image.fromarray(photo), (30, 20, 90, 120), fit)
    assert np.array_equal(boxed, np.asarray(part.resize((64, 64), Image.Resampling.NEAREST)))


def test_own_settings_go_before_all_others(tmp_path: Path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(clip_config()))
    (tmp_path / "osoroi.toml").write_text('height=32\nwidth=16\nresize="squash"\nto=[32,16]\nmean=0.5\nbgr=true\n')
    settings = preprocessing.read(ModelFolder(tmp_path, tmp_path / "model.onnx"))
    assert settings is not None
    assert (settings.fit.width, settings.colors.mean, settings.colors.bgr) == (16, (0.5,) * 3, True)
    (tmp_path / "osoroi.toml").write_text("height=32\nwidth=16\nwide=3\n")
    with pytest.raises(BadRequest, match="'wide'"):
        preprocessing.read(ModelFolder(tmp_path, tmp_path / "model.onnx"))
