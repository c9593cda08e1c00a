"""Integers are accepted only where searches find what they found before."""

import json
from pathlib import Path

import numpy as np
import pytest

from osoroi.encoder import Encoder
from osoroi.encoder.metadata import Metadata, computation, fingerprint, with_entry
from osoroi.errors import Mismatch
from osoroi.pretrained import quantize
from osoroi.records import Part, Preprocessing

onnx = pytest.importorskip("onnx", reason="quantising needs the package onnx")

SIDE = 16


def write_encoder(path: Path) -> Path:
    """One convolution of 4 x 4 pixels to 6 channels, averaged and brought to unit length."""
    helper, kernel = onnx.helper, np.random.default_rng(1).standard_normal((6, 3, 4, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["crops"], ["numbers"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["images"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["images", "white"], ["colours"]),
        helper.make_node("Conv", ["colours", "kernel"], ["maps"], strides=[4, 4]),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["rows"]),
        helper.make_node("LpNormalization", ["rows"], ["vectors"], axis=1, p=2),
    ]
    tensors = {"white": np.float32(255), "kernel": kernel}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("crops", onnx.TensorProto.UINT8, ["b", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["b", 6])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    parts, views = (Part("deep", 6, 1.0),), dict.fromkeys(("street", "shop"), Preprocessing(SIDE, SIDE))
    metadata = Metadata(parts, views, "test", "nothing", "CC0-1.0", fingerprint(computation(data), parts, views))
    path.write_bytes(with_entry(data, metadata.to_json()))
    return path


def test_the_loss_is_stated_and_the_file_is_an_encoder_of_its_own(tmp_path: Path) -> None:
    source, out = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "int8.onnx"
    made = quantize.quantize(source, out, "drawn:6", photos=8, force=True)
    before, after = Encoder.open(source), Encoder.open(out)
    assert after.fingerprint != before.fingerprint
    loss = f"{100 * made.loss.mean:.2f} [{100 * made.loss.low:.2f}, {100 * made.loss.high:.2f}]"
    assert after.metadata.quantization == f"int8: hit@5 loses {loss} points over {made.queries} queries"
    operators = [node.op_type for node in onnx.load(out).graph.node]
    assert "QuantizeLinear" in operators
    crop = np.random.default_rng(0).integers(0, 256, before.preprocessing["street"].shape, np.uint8)
    cosine = float((before.encode([crop]) * after.encode([crop])).sum() / len(before.parts))
    assert 0.8 < cosine < 1.0, "integers, and still the same network"


def test_what_loses_too_much_is_refused_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "int8.onnx"
    monkeypatch.setattr(quantize, "MOST", -1.0)  # any loss is too much
    with pytest.raises(Mismatch, match=r"hit@5 loses .* points over 8 queries"):
        quantize.quantize(source, out, "drawn:6", photos=8)
    assert not out.exists()


def test_metadata_without_integers_stay_what_they_were() -> None:
    text = Encoder.open().metadata.to_json()
    assert "quantization" not in json.loads(text)
    assert Metadata.from_json(text).quantization == ""
