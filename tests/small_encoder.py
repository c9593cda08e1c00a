"""A small encoder file: one convolution, averaged."""

from pathlib import Path

import numpy as np
import pytest

from osoroi.encoder.metadata import EncoderMetadata, computation, fingerprint, with_entry
from osoroi.records import Domain, Part, Preprocessing

onnx = pytest.importorskip("onnx", reason="the file is made by the package onnx")

SIDE = 16


def write_encoder(path: Path, seed: int = 1) -> Path:
    """One convolution of 4 x 4 pixels to 6 channels, averaged and brought to unit length."""
    helper, kernel = onnx.helper, np.random.default_rng(seed).standard_normal((6, 3, 4, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["crops"], ["numbers"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["images"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["images", "white"], ["colours"]),
        helper.make_node("Conv", ["colours", "kernel"], ["maps"], "first", strides=[4, 4]),
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
    parts, view = (Part("deep", 6, 1.0),), Preprocessing(SIDE, SIDE)
    views: dict[Domain, Preprocessing] = {"street": view, "shop": view}
    metadata = EncoderMetadata(parts, views, "test", "nothing", "CC0-1.0", fingerprint(computation(data), parts, views))
    path.write_bytes(with_entry(data, metadata.to_json()))
    return path
