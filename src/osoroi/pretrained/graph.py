"""Two ONNX graphs become one: the brought backbone gives `deep`, an encoder file of ours gives the other parts.

::

    crops [b h w 3] -> rows above -> our graph -> detail ... -> as it was
                    -> rows below -> colours  -> backbone -> pooled -> reduced -> unit length = deep
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import ModuleType
from typing import Any, Final

import numpy as np
from jaxtyping import Float32

from osoroi.errors import BadEncoder, Mismatch, extra
from osoroi.pretrained.settings import Colors
from osoroi.records import Preprocessing

OPSET: Final = 18
"""The operators of our own files, and the oldest that a joined file has."""

PREFIX: Final = "backbone/"
HALVED: Final = 1024
"""Least numbers of a tensor that is stored in half precision, where that is wanted."""


@dataclass(frozen=True)
class Projection:
    """A linear map behind the pooled vector of unit length: ``(vector - centre) @ matrix + bias``; of unit length after
    it. Without a ``bias`` nothing is added."""

    centre: Float32[np.ndarray, "n"]
    matrix: Float32[np.ndarray, "n d"]
    bias: Float32[np.ndarray, "d"] | None = None

    def __call__(self, vectors: Float32[np.ndarray, "b n"]) -> Float32[np.ndarray, "b d"]:
        """What the graph computes of vectors of unit length."""
        projected = (vectors - self.centre) @ self.matrix + (0 if self.bias is None else self.bias)
        shortened: Float32[np.ndarray, "b d"] = projected / np.linalg.norm(projected, axis=1, keepdims=True)
        return shortened


def onnx() -> ModuleType:
    """The onnx package; raises MissingExtra where it is not installed."""
    return extra("onnx", "backbone")


def inlined(model: Any) -> Any:
    """The model without functions of its own: their nodes stand where they are called."""
    return extra("onnx.inliner", "backbone").inline_local_functions(model) if model.functions else model


def opset_of(model: Any) -> int:
    """The version of ONNX's own operators that a model uses."""
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1)


def converted(model: Any, version: int, name: str) -> Any:
    """The model with operators of another version. Raises BadEncoder where one cannot be converted."""
    if opset_of(model) == version:
        return model
    converter = extra("onnx.version_converter", "backbone")
    try:
        return converter.convert_version(model, version)
    except Exception as error:  # the converter raises RuntimeError and its own, by operator
        reason = str(error).splitlines()[0][:200]
        raise BadEncoder(
            f"{name}: operators of version {opset_of(model)} cannot be brought to {version} ({reason})",
            hint=f"export the model again with opset {version}",
        ) from error


def pruned(graph: Any, outputs: Sequence[str]) -> None:
    """Remove from a graph what these tensors do not need, and give it them as outputs in place of its own."""
    producers = {name: node for node in graph.node for name in node.output}
    pending, needed, names = list(outputs), [], set()
    while pending:
        name = pending.pop()
        if name in names:
            continue
        names.add(name)
        node = producers.get(name)
        if node is not None:
            needed.append(id(node))
            pending += [*node.input, *chain.from_iterable(_outer(node))]
    retained = [node for node in graph.node if id(node) in set(needed)]
    tensors = [tensor for tensor in graph.initializer if tensor.name in names]
    inputs = [given for given in graph.input if given.name in names and given.name not in {t.name for t in tensors}]
    types = {info.name: info for info in chain(graph.value_info, graph.output)}
    for field, values in (("node", retained), ("initializer", tensors), ("input", inputs)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
    ends = [types.get(name) or onnx().helper.make_empty_tensor_value_info(name) for name in outputs]
    ends = [type(value).FromString(value.SerializeToString()) for value in ends]
    graph.ClearField("output")
    graph.output.extend(ends)
    graph.ClearField("value_info")


def _outer(node: Any) -> Iterable[list[str]]:
    """Names that the graphs inside a node take."""
    for attribute in node.attribute:
        for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            for each in inner.node:
                yield list(each.input)
                yield from _outer(each)
            yield [output.name for output in inner.output]


def color_nodes(below: str, colors: Colors, element: int) -> tuple[list[Any], list[Any], str]:
    """Nodes and tensors from uint8 [b h w 3] to what a model takes (channels first, normalised), and its name."""
    helper, numpy_helper = onnx().helper, onnx().numpy_helper
    mean, std = (np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (colors.mean, colors.std))
    tensors = [
        numpy_helper.from_array(value, f"colours/{name}")
        for name, value in (
            ("scale", np.array(colors.scale, np.float32)), ("mean", mean), ("std", std),
            ("order", np.array([2, 1, 0] if colors.bgr else [0, 1, 2], np.int64)),
        )
    ]  # fmt: skip
    steps: list[tuple[str, list[str], dict[str, Any]]] = [
        ("Cast", [], {"to": onnx().TensorProto.FLOAT}),
        ("Transpose", [], {"perm": [0, 3, 1, 2]}),
    ]
    if colors.bgr:
        steps.append(("Gather", ["colours/order"], {"axis": 1}))
    else:
        tensors.pop()
    steps += [("Mul", ["colours/scale"], {}), ("Sub", ["colours/mean"], {}), ("Div", ["colours/std"], {})]
    if element != onnx().TensorProto.FLOAT:
        steps.append(("Cast", [], {"to": element}))
    nodes, name = [], below
    for number, (operator, more, attributes) in enumerate(steps):
        after = f"colours/{number}"
        nodes.append(helper.make_node(operator, [name, *more], [after], **attributes))
        name = after
    return nodes, tensors, name


def pool_nodes(name: str, rank: int, pool: str, skip: int) -> tuple[list[Any], list[Any], str]:
    """Nodes from an output of a model to one float32 vector a photo."""
    helper, numpy_helper, tensor = onnx().helper, onnx().numpy_helper, onnx().TensorProto
    nodes = [helper.make_node("Cast", [name], ["pool/float"], to=tensor.FLOAT)]
    tensors: list[Any] = []
    if rank == 2:
        return nodes, tensors, "pool/float"

    def constant(label: str, value: Sequence[int]) -> str:
        tensors.append(numpy_helper.from_array(np.array(value, np.int64), f"pool/{label}"))
        return f"pool/{label}"

    if rank == 3 and pool == "cls":
        cut = [constant(label, [value]) for label, value in (("first", 0), ("end", 1), ("axis", 1))]
        nodes.append(helper.make_node("Slice", ["pool/float", *cut], ["pool/token"]))
        nodes.append(helper.make_node("Squeeze", ["pool/token", cut[2]], ["pool/vector"]))
        return nodes, tensors, "pool/vector"
    source, axes = "pool/float", [2, 3] if rank == 4 else [1]
    if rank == 3 and skip:
        cut = [constant(label, [value]) for label, value in (("first", skip), ("end", 2**31 - 1), ("axis", 1))]
        nodes.append(helper.make_node("Slice", [source, *cut], ["pool/patches"]))
        source = "pool/patches"
    nodes.append(helper.make_node("ReduceMean", [source, constant("axes", axes)], ["pool/vector"], keepdims=0))
    return nodes, tensors, "pool/vector"


def unit_nodes(name: str, projection: Projection | None) -> tuple[list[Any], list[Any], str]:
    """Nodes from a vector to the part: of unit length; with a projection, projected and of unit length again."""
    helper, numpy_helper = onnx().helper, onnx().numpy_helper
    tensors = [
        numpy_helper.from_array(np.array([1], np.int64), "deep/axes"),
        numpy_helper.from_array(np.array(1e-12, np.float32), "deep/least"),
    ]

    def unit(source: str, label: str) -> list[Any]:
        return [
            helper.make_node("ReduceL2", [source, "deep/axes"], [f"{label}/length"], keepdims=1),
            helper.make_node("Max", [f"{label}/length", "deep/least"], [f"{label}/divisor"]),
            helper.make_node("Div", [source, f"{label}/divisor"], [label]),
        ]

    nodes = unit(name, "deep/unit")
    if projection is None:
        return nodes, tensors, "deep/unit"
    tensors += [
        numpy_helper.from_array(projection.centre, "deep/centre"),
        numpy_helper.from_array(projection.matrix, "deep/matrix"),
    ]
    nodes += [
        helper.make_node("Sub", ["deep/unit", "deep/centre"], ["deep/centred"]),
        helper.make_node("MatMul", ["deep/centred", "deep/matrix"], ["deep/projected"]),
    ]
    end = "deep/projected"
    if projection.bias is not None:
        tensors.append(numpy_helper.from_array(projection.bias, "deep/bias"))
        nodes.append(helper.make_node("Add", [end, "deep/bias"], ["deep/shifted"]))
        end = "deep/shifted"
    nodes += unit(end, "deep/part")
    return nodes, tensors, "deep/part"


def rows_nodes(preprocessing: Preprocessing) -> tuple[list[Any], list[Any]]:
    """Nodes that cut our input and the backbone's out of one crop: ``ours`` and ``theirs``."""
    helper, numpy_helper = onnx().helper, onnx().numpy_helper
    assert preprocessing.fit is not None
    height, width = preprocessing.height, preprocessing.width
    areas = {
        "ours": (0, height, width),
        "theirs": (height, height + preprocessing.fit.height, preprocessing.fit.width),
    }
    nodes, tensors = [], [numpy_helper.from_array(np.array([1, 2], np.int64), "rows/axes")]
    for name, (first, end, columns) in areas.items():
        for label, value in (("first", [first, 0]), ("end", [end, columns])):
            tensors.append(numpy_helper.from_array(np.array(value, np.int64), f"rows/{name}/{label}"))
        nodes.append(
            helper.make_node("Slice", ["crops", f"rows/{name}/first", f"rows/{name}/end", "rows/axes"], [name])
        )
    return nodes, tensors


def part_ends(base: Any, names: Sequence[str]) -> Mapping[str, str]:
    """Part -> the tensor that holds it: what the last node of an encoder file of ours puts side by side."""
    last = next((node for node in base.graph.node if "vectors" in node.output), None)
    if last is None or last.op_type != "Concat" or len(last.input) != len(names):
        raise Mismatch(
            "the encoder file that is to give the other parts does not put its parts side by side at its end",
            hint="use one that `osoroi export` wrote, with the parts deep and detail",
        )
    return dict(zip(names, last.input, strict=True))


def halved(model: Any) -> None:
    """Store the large float32 tensors of a model in half precision; they are cast when the file is loaded."""
    numpy_helper, helper, tensor = onnx().numpy_helper, onnx().helper, onnx().TensorProto
    casts = []
    for stored in model.graph.initializer:
        if stored.data_type == tensor.FLOAT and np.prod(stored.dims, dtype=np.int64) >= HALVED:
            name = stored.name
            values = numpy_helper.to_array(stored).clip(-65504, 65504).astype(np.float16)
            stored.CopyFrom(numpy_helper.from_array(values, f"{name}/half"))
            casts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=tensor.FLOAT))
    nodes = [*casts, *model.graph.node]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    model.graph.ClearField("node")
    model.graph.node.extend(copies)
