"""Convert the networks that find garments into the files that ship in src/osoroi/garments/weights.

    python tools/convert_garment_networks.py pose_landmark_full.onnx yolox_nano_coco_416.onnx

``pose_landmark_full.onnx`` is MediaPipe's pose_landmark_full.tflite (in the wheel mediapipe 0.10, Apache-2.0),
converted by

    python -m tf2onnx.convert --tflite pose_landmark_full.tflite --output pose_landmark_full.onnx --opset 17

Its weights are half-precision numbers stored in single precision. This script stores them as half-precision numbers
again, which halves the file and changes no output; it names the outputs and drops those that nobody reads.
``yolox_nano_coco_416.onnx`` is YOLOX-Nano of the release 0.1.1rc0 (Apache-2.0); it is copied unchanged.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

WEIGHTS = Path(__file__).parents[1] / "src" / "osoroi" / "garments" / "weights"
OUTPUTS = {"Identity": "landmarks", "Identity_1": "score", "Identity_2": "mask"}
SMALLEST = 64
"""Tensors with fewer numbers stay in single precision."""


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with its large tensors in half precision, cast when it is loaded."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST:
            continue
        half = values.astype(np.float16)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def convert_pose(source: Path) -> bytes:
    """The pose network with the input ``image`` and the outputs ``landmarks``, ``score`` and ``mask``."""
    model = onnx.load(source)
    inexact = [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and not np.array_equal(values := numpy_helper.to_array(tensor), values.astype(np.float16).astype(np.float32))
    ]
    assert not inexact, f"half precision would change {inexact}"
    renamed = OUTPUTS | {model.graph.input[0].name: "image"}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    model.graph.input[0].name = "image"
    kept = [output for output in model.graph.output if output.name in OUTPUTS]
    del model.graph.output[:]
    for output in kept:
        output.name = OUTPUTS[output.name]
        model.graph.output.append(output)
    prune(model.graph)
    halved(model)
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def prune(graph: onnx.GraphProto) -> None:
    """Drop the nodes and tensors that no output depends on."""
    needed = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    del graph.value_info[:]


def main(pose: Path, yolox: Path) -> None:
    """Write both files and print their checksums."""
    WEIGHTS.mkdir(exist_ok=True)
    for name, data in (("pose_landmark.onnx", convert_pose(pose)), ("yolox_nano.onnx", yolox.read_bytes())):
        (WEIGHTS / name).write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {name}  {len(data):,} bytes")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:3]))
