"""Brought backbones give the vectors of their own library, whatever the layout of their folder."""

import functools
import hashlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import brought
from brought import CLIP_MEAN, CLIP_STD, SIDE, Tokens, save, siglip_config, write_json
from osoroi import image
from osoroi.cli import main
from osoroi.encoder import Encoder
from osoroi.errors import BadEncoder, BadRequest, Mismatch, MissingExtra
from osoroi.pretrained import check, integers, model
from osoroi.pretrained.graph import Projection
from osoroi.pretrained.make import Made, Options, make
from osoroi.pretrained.reduction import SHRINKAGE, whitening


@functools.cache
def shipped() -> Encoder:
    """The encoder that ships, opened once, and only by a worker that needs it."""
    return Encoder.open()


def deep(made: Made) -> np.ndarray:
    """`deep` of the drawn photos, by the path that every photo takes."""
    encoder = made.encoder
    return encoder.encode_product(check.drawn_photos())[:, encoder.columns["deep"]]


def whole(encoder: Encoder) -> np.ndarray:
    crops = [image.crop(photo, None, encoder.preprocessing["street"]) for photo in check.drawn_photos()]
    return encoder.encode(crops)


def expected(model: Tokens, mean, std, vector=None, **more) -> np.ndarray:
    """Vectors of the drawn photos squashed, by plain numpy."""
    size = (model.side, model.side)
    return np.stack(
        [(vector or model.vector)(brought.values(photo, size, mean, std, **more)) for photo in check.drawn_photos()]
    )


def squashed(folder: Path, **changes) -> None:
    write_json(folder / "preprocessor_config.json", siglip_config(**changes))


def agrees(made: Made, vectors: np.ndarray) -> bool:
    ours = whole(made.encoder)[:, made.encoder.columns["deep"]]
    return bool(brought.cosines(ours, vectors).min() >= 0.9999)


LAYOUTS = {
    "transformers.js": "onnx/vision_model.onnx",
    "onnx-community, half precision": "onnx/model_fp16.onnx",
    "fastembed, optimum": "model.onnx",
    "quantised": "onnx/vision_model_quantized.onnx",
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("external", [False, True])
def test_the_exporters_layouts_are_read(tmp_path, name, external):
    model = Tokens()
    squashed(tmp_path / "in")
    save(model.model(), tmp_path / "in" / LAYOUTS[name], external=external)
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    assert agrees(made, expected(model, 0.5, 0.5))
    assert made.encoder.metadata.backbone["file"] == LAYOUTS[name]


def test_detail_is_that_of_our_own_encoder_and_the_slider_works(tmp_path):
    squashed(tmp_path / "in")
    save(Tokens().model(), tmp_path / "in" / "model.onnx")
    encoder = make(tmp_path / "in", tmp_path / "out.onnx").encoder
    ours, theirs = whole(encoder), whole(shipped())
    assert np.abs(ours[:, encoder.columns["detail"]] - theirs[:, shipped().columns["detail"]]).max() <= 1e-5
    assert not encoder.weigh(ours, 1.0)[:, encoder.columns["deep"]].any()
    crop = image.crop(check.drawn_photos()[0], None, encoder.preprocessing["street"])
    own = image.crop(check.drawn_photos()[0], None, shipped().preprocessing["street"])
    assert np.abs(encoder.foreground(crop) - shipped().foreground(own)).max() <= 1e-5


def test_processor_config_of_transformers_5_is_read_nested(tmp_path):
    model = Tokens()
    write_json(tmp_path / "in" / "processor_config.json", {"image_processor": siglip_config(), "tokenizer": {}})
    save(model.model(), tmp_path / "in" / "model.onnx")
    assert agrees(make(tmp_path / "in", tmp_path / "out.onnx"), expected(model, 0.5, 0.5))


def test_the_layout_of_immich_is_read_with_its_batch_of_one(tmp_path):
    model, folder = Tokens(), tmp_path / "in"
    stated = {"size": [SIDE, SIDE], "mode": "RGB", "mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic"}
    write_json(folder / "visual" / "preprocess_cfg.json", stated | {"resize_mode": "squash", "fill_color": 0})
    write_json(folder / "config.json", {"embed_dim": brought.DIM, "vision_cfg": {"image_size": SIDE}, "text_cfg": {}})
    graph = model.model(
        ("image_embeds",), name="image", batch=1, sides=(SIDE, SIDE), names={"image_embeds": "embedding"}
    )
    save(graph, folder / "visual" / "model.onnx")
    save(Tokens().model(text=True), folder / "textual" / "model.onnx")
    made = make(folder, tmp_path / "out.onnx")
    assert made.encoder.metadata.backbone["output"] == "embedding"
    assert agrees(made, expected(model, CLIP_MEAN, CLIP_STD))
    crops = [image.crop(photo, None, made.encoder.preprocessing["shop"]) for photo in check.drawn_photos()]
    alone = np.concatenate([made.encoder.encode([crop]) for crop in crops])
    assert np.array_equal(made.encoder.encode(crops), alone)


def test_a_plain_file_is_refused_with_settings_to_edit(tmp_path):
    model = Tokens()
    save(model.model(names={"image_embeds": "features"}), tmp_path / "in" / "unicom.onnx")
    with pytest.raises(BadRequest, match=r"osoroi\.toml"):
        make(tmp_path / "in", tmp_path / "out.onnx")
    settings = tmp_path / "in" / "osoroi.toml"
    text = settings.read_text()
    assert "features, last_hidden_state" in text
    text = text.replace("height = 224", f"height = {SIDE}").replace("width = 224", f"width = {SIDE}")
    settings.write_text(text.replace("to = [224, 224]", f"to = [{SIDE}, {SIDE}]"))
    made = make(tmp_path / "in" / "unicom.onnx", tmp_path / "out.onnx")
    assert agrees(made, expected(model, CLIP_MEAN, CLIP_STD))
    assert made.checked == check.UNCHECKED


def test_options_are_enough_for_a_plain_file(tmp_path):
    model = Tokens()
    save(model.model(), tmp_path / "mobileclip.onnx")
    options = Options(
        stated={"height": SIDE, "width": SIDE, "resample": "bilinear", "source": "mine", "licence": "MIT"}
    )
    made = make(tmp_path / "mobileclip.onnx", tmp_path / "out.onnx", options)
    assert agrees(made, expected(model, 0.0, 1.0, resample=2))
    assert (made.encoder.metadata.backbone["source"], made.encoder.metadata.backbone["licence"]) == ("mine", "MIT")


@pytest.mark.parametrize(
    ("family", "registers", "vector"),
    [
        ("dinov2", 0, lambda model, values: model.tokens(values)[0]),
        ("vit_mae", 0, lambda model, values: model.tokens(values)[1:].mean(0)),
        ("vit_mae", 4, lambda model, values: model.tokens(values)[5:].mean(0)),
    ],
)
def test_tokens_are_pooled_as_the_family_does_and_registers_are_skipped(tmp_path, family, registers, vector):
    model = Tokens()
    squashed(tmp_path / "in")
    write_json(tmp_path / "in" / "config.json", {"model_type": family, "num_register_tokens": registers})
    save(model.model(("last_hidden_state",)), tmp_path / "in" / "model.onnx")
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    assert agrees(made, expected(model, 0.5, 0.5, lambda values: vector(model, values)))


def test_outputs_are_chosen_by_name_and_an_unknown_one_is_refused(tmp_path):
    model = Tokens()
    squashed(tmp_path / "in")
    save(model.model(("last_hidden_state", "image_embeds")), tmp_path / "in" / "model.onnx")
    assert agrees(make(tmp_path / "in", tmp_path / "out.onnx"), expected(model, 0.5, 0.5))
    save(model.model(("last_hidden_state", "image_embeds"), names={"image_embeds": "x", "last_hidden_state": "y"}),
         tmp_path / "in" / "model.onnx")  # fmt: skip
    with pytest.raises(BadRequest, match=r"\(y, x\)"):
        make(tmp_path / "in", tmp_path / "out.onnx")
    made = make(tmp_path / "in", tmp_path / "out.onnx", Options(stated={"output": "cls"}))  # a tensor inside the graph
    assert agrees(made, expected(model, 0.5, 0.5, lambda values: model.tokens(values)[0]))


def test_a_model_that_reads_text_too_is_refused_with_the_file_to_use(tmp_path):
    model = Tokens()
    squashed(tmp_path / "in")
    save(model.model(text=True), tmp_path / "in" / "onnx" / "model.onnx")
    with pytest.raises(BadEncoder, match=r"input_ids.*onnx/vision_model\.onnx"):
        make(tmp_path / "in", tmp_path / "out.onnx")
    half = make(tmp_path / "in", tmp_path / "out.onnx", Options(stated={"output": "image_embeds"}))
    assert agrees(half, expected(model, 0.5, 0.5))
    save(model.model(), tmp_path / "in" / "onnx" / "vision_model.onnx")
    assert make(tmp_path / "in", tmp_path / "out.onnx").encoder.metadata.backbone["file"] == "onnx/vision_model.onnx"


def test_a_fixed_side_that_does_not_fit_is_refused(tmp_path):
    squashed(tmp_path / "in", size={"height": 96, "width": 96})
    save(Tokens().model(sides=(SIDE, SIDE)), tmp_path / "in" / "model.onnx")
    with pytest.raises(BadRequest, match=r"height of 64 pixels.*96"):
        make(tmp_path / "in", tmp_path / "out.onnx")


@pytest.mark.parametrize("opset", [13, 17])
def test_older_operators_are_brought_to_ours(tmp_path, opset):
    model = Tokens()
    squashed(tmp_path / "in")
    save(model.model(opset=opset), tmp_path / "in" / "model.onnx")
    assert agrees(make(tmp_path / "in", tmp_path / "out.onnx"), expected(model, 0.5, 0.5))


def test_half_precision_makes_a_smaller_file_of_the_same_vectors(tmp_path):
    model = Tokens(dim=256)
    squashed(tmp_path / "in")
    save(model.model(), tmp_path / "in" / "model.onnx")
    make(tmp_path / "in", tmp_path / "whole.onnx")
    made = make(tmp_path / "in", tmp_path / "half.onnx", Options(half=True))
    assert agrees(made, expected(model, 0.5, 0.5))
    saved = (tmp_path / "whole.onnx").stat().st_size - (tmp_path / "half.onnx").stat().st_size
    assert saved > 0.45 * 4 * 256 * 3 * 256


def reference(folder: Path, vectors: np.ndarray) -> Path:
    names = [f"photo{number}.png" for number in range(len(vectors))]
    for name, photo in zip(names, check.drawn_photos(), strict=True):
        Image.fromarray(photo).save(folder / name)
    np.savez(folder / "reference.npz", vectors=vectors, photos=names)
    return folder / "reference.npz"


def test_reference_vectors_decide(tmp_path):
    model = Tokens()
    squashed(tmp_path / "in")
    save(model.model(), tmp_path / "in" / "model.onnx")
    given = reference(tmp_path, expected(model, 0.5, 0.5))
    made = make(tmp_path / "in", tmp_path / "out.onnx", Options(reference=given))
    assert made.encoder.metadata.backbone["check"].startswith("cosine 1.0000")


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"image_mean": CLIP_MEAN, "image_std": CLIP_STD}, r"mean and deviation: \.5"),
        ({"do_flip_channel_order": True}, "the order of colours"),
        ({"size": {"shortest_edge": SIDE}, "crop_size": SIDE, "do_center_crop": True}, "resized: squash"),
        ({"do_rescale": False}, "the scale"),
    ],
)
def test_what_differs_from_the_reference_is_refused_with_the_step(tmp_path, changes, step):
    model = Tokens()
    squashed(tmp_path / "in", **changes)
    save(model.model(), tmp_path / "in" / "model.onnx")
    given = reference(tmp_path, expected(model, 0.5, 0.5))
    with pytest.raises(Mismatch, match=step):
        make(tmp_path / "in", tmp_path / "out.onnx", Options(reference=given))
    assert not (tmp_path / "out.onnx").exists()


def test_other_weights_are_refused_as_such(tmp_path):
    squashed(tmp_path / "in")
    save(Tokens(seed=4).model(), tmp_path / "in" / "model.onnx")
    given = reference(tmp_path, expected(Tokens(), 0.5, 0.5))
    with pytest.raises(Mismatch, match="the weights or the graph differ"):
        make(tmp_path / "in", tmp_path / "out.onnx", Options(reference=given))


def test_licence_source_and_checksum_are_stored_and_a_research_licence_is_said(tmp_path):
    folder = tmp_path / "in"
    squashed(folder)
    save(Tokens().model(), folder / "model.onnx")
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: apple-amlr\n---\n# A model\n")
    write_json(folder / "config.json", {"model_type": "clip", "_name_or_path": "apple/mobileclip"})
    made = make(folder, tmp_path / "out.onnx")
    facts = Encoder.open(tmp_path / "out.onnx").metadata.backbone
    assert facts["sha256"] == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert (facts["licence"], facts["source"]) == ("apple-amlr", "apple/mobileclip")
    assert any("research only" in note for note in made.notes)


def test_a_projection_shortens_deep(tmp_path):
    model = Tokens()
    squashed(tmp_path / "in")
    save(model.model(), tmp_path / "in" / "model.onnx")
    random = np.random.default_rng(5)
    projection = Projection(
        random.normal(size=brought.DIM).astype(np.float32) / 9, random.normal(size=(brought.DIM, 7)).astype(np.float32)
    )
    made = make(tmp_path / "in", tmp_path / "out.onnx", projection=projection)
    vectors = expected(model, 0.5, 0.5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert agrees(made, (unit - projection.centre) @ projection.matrix)
    assert made.encoder.parts[0].size == 7


def test_a_matryoshka_model_is_cut_and_others_are_whitened_by_photos(tmp_path):
    model = Tokens()
    squashed(tmp_path / "in")
    save(model.model(), tmp_path / "in" / "model.onnx")
    vectors = expected(model, 0.5, 0.5)
    with pytest.raises(BadRequest, match="`photos`"):
        make(tmp_path / "in", tmp_path / "out.onnx", Options(dim=8))
    write_json(tmp_path / "in" / "config.json", {"model_type": "jina_clip", "matryoshka_dimensions": [8, 16]})
    made = make(tmp_path / "in", tmp_path / "out.onnx", Options(dim=8))
    assert agrees(made, vectors[:, :8])
    made = make(tmp_path / "in", tmp_path / "out.onnx", Options(dim=4, photos="drawn:8:3"))
    assert made.encoder.parts[0].size == 4


def test_whitened_vectors_have_one_variance_in_each_direction():
    random = np.random.default_rng(9)
    scales = np.array([9, 5, 3, 0.01, 0.01, 0.01])
    vectors = (random.normal(size=(4000, 6)) * scales + 7).astype(np.float32)
    projection = whitening(vectors, 3)
    projected = (vectors - projection.centre) @ projection.matrix
    covariance = np.cov(projected.T)
    mean = (scales**2).mean()
    wanted = np.array([81, 25, 9]) / (np.array([81, 25, 9]) + SHRINKAGE * mean)
    assert np.abs(covariance - np.diag(wanted)).max() < 0.05


def test_half_inputs_are_fed_in_half_precision(tmp_path):
    weight = np.ones((2, 3 * SIDE * SIDE), np.float16) * np.array([[1], [-1]], np.float16) / 4096
    weight[0, ::3] *= 2
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], ["image_embeds"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "half", [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT16, ["b", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT16, ["b", 2])],
        [numpy_helper.from_array(weight, "weight")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    squashed(tmp_path / "in")
    save(model, tmp_path / "in" / "model.onnx")
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    assert made.encoder.dim == 2 + shipped().dim - shipped().parts[0].size


@pytest.mark.parametrize("name", ["model.py", "photo.png", "weights"])
def test_a_file_of_another_kind_is_no_model(tmp_path, name):
    (tmp_path / name).write_bytes(b"import osoroi")
    make_it = ["encoder", "make", "--out", str(tmp_path / "made.onnx"), "--backbone"]
    for words in ([str(tmp_path / name)], [str(tmp_path), "--file", name]):
        done = CliRunner().invoke(main, [*make_it, *words])
        assert done.exit_code == 2
        assert f"{tmp_path / name} is no model; give the folder of a model" in done.stderr


def test_a_part_has_one_number_at_least(tmp_path):
    words = ["encoder", "make", "--backbone", str(tmp_path), "--out", str(tmp_path / "made.onnx"), "--dim", "0"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "0 is not in the range x>=1" in done.stderr


def test_the_whole_way_from_a_folder_to_a_search(tmp_path):
    pytest.importorskip("transformers")
    squashed(tmp_path / "in")
    save(Tokens().model(), tmp_path / "in" / "model.onnx")

    def osoroi(*arguments: str) -> str:
        done = CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    made = tmp_path / "made.onnx"
    said = osoroi("encoder", "make", "--backbone", tmp_path / "in", "--out", made)
    assert "deep 24, detail 128, kind" in said
    assert "cosine 1.0" in said
    assert "sha256" in osoroi("info", made)
    for number, photo in enumerate(check.drawn_photos()):
        Image.fromarray(photo).save(tmp_path / f"p{number}.png")
    rows = "".join(f"p{n},p{n}.png\n" for n in range(3))
    (tmp_path / "products.csv").write_text("product_id,photo\n" + rows)
    osoroi("add", tmp_path / "shop", f"table:{tmp_path / 'products.csv'}", "--encoder", made)
    for detail in ("0", "1"):
        best = osoroi(
            "search", tmp_path / "shop", tmp_path / "p1.png", "--encoder", made, "--detail", detail, "-k", "1"
        )
        assert "p1" in best


def test_a_missing_module_is_named_with_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for refused in (
        lambda: model.load(tmp_path / "model.onnx"),
        lambda: integers.in_integers(shipped(), tmp_path / "model.onnx", []),
    ):
        with pytest.raises(MissingExtra, match=re.escape("osoroi[backbone]")):
            refused()
