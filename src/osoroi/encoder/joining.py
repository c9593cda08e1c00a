"""Two ONNX models of one input become one model that computes once what both compute.

The network of kinds and most encoders begin with the same frozen blocks of one backbone, so a query that needs both
pays for them once. Written without the onnx package, which serving does not have.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from osoroi.encoder.metadata import fields, length, spans

GRAPH: Final = 7
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12
"""Fields of a graph."""

NODE_INPUT, NODE_OUTPUT, NODE_NAME, OPERATOR = 1, 2, 3, 4
"""Fields of a node; the others are its attributes and its domain."""

DIMENSIONS, TYPE, TENSOR_NAME, RAW, TENSOR_TEXT = 1, 2, 8, 9, 12
"""Fields of a tensor."""

FLOAT, HALF = 1, 10
"""Types of tensors."""

DOCUMENTATION: Final = {6, 9}
"""Fields of a node that say nothing of what is computed: its documentation and metadata."""


class Node(NamedTuple):
    """One operation, and the bytes of it that are no names."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    rest: bytes


class Graph(NamedTuple):
    """What a graph is made of: nodes in order, and the bytes of its tensors, inputs and outputs by their names."""

    nodes: list[Node]
    tensors: dict[str, bytes]
    inputs: list[str]
    outputs: dict[str, bytes]


def joined(model: bytes, other: bytes, prefix: str) -> bytes | None:
    """The model with the other's outputs besides its own, their names after ``prefix``; None where nothing is shared.

    What the other computes of the same input by the same operations and weights as the model is taken from there.
    Weights count as the same where they are equal in half precision, in which one of the two may be stored. The
    model's own outputs stay what they are, bit for bit. Raises BadEncoder for what is no ONNX file.
    """
    ours, theirs = _graph(model), _graph(other)
    known = {number: name for name, number in reversed(_numbers(ours).items())}
    numbers = _numbers(theirs)
    names = {name: known.get(number, prefix + name) for name, number in numbers.items()}
    needed, kept = set(theirs.outputs), []
    for node in reversed(theirs.nodes):
        if needed & set(node.outputs) and any(names[name].startswith(prefix) for name in node.outputs if name):
            kept.append(node)
            needed |= set(node.inputs)
    if sum(node.operator == "Conv" for node in kept) == sum(node.operator == "Conv" for node in theirs.nodes):
        return None
    added = [_field(NODE, _renamed_node(node, names)) for node in reversed(kept)]
    for name in theirs.outputs:
        if not names[name].startswith(prefix):  # computed by the model as a whole
            copied = Node("Identity", [name], [name], b"")
            added.append(_field(NODE, _renamed_node(copied, names, output=prefix + name)))
    used = {name for node in kept for name in node.inputs}
    for name in sorted(used & set(theirs.tensors)):
        if names[name].startswith(prefix):
            added.append(_field(INITIALIZER, _renamed(theirs.tensors[name], TENSOR_NAME, names[name])))
    added += [_field(OUTPUT, _renamed(info, 1, prefix + name)) for name, info in theirs.outputs.items()]
    return model + _field(GRAPH, b"".join(added))  # protocol buffers join the fields of a message that comes twice


def _graph(model: bytes) -> Graph:
    content = next(inside for number, inside in fields(memoryview(model)) if number == GRAPH and inside is not None)
    nodes, tensors, inputs, outputs = [], {}, [], {}
    for number, inside in fields(content):
        if inside is None:
            continue
        if number == NODE:
            nodes.append(_node(inside))
        elif number == INITIALIZER:
            tensors[_text(inside, TENSOR_NAME)] = bytes(inside)
        elif number == INPUT:
            inputs.append(_text(inside, 1))
        elif number == OUTPUT:
            outputs[_text(inside, 1)] = bytes(inside)
    return Graph(nodes, tensors, inputs, outputs)


def _node(content: memoryview) -> Node:
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_NAME: [], OPERATOR: []}
    rest = []
    for number, inside, whole in spans(content):
        if number in texts and inside is not None:
            texts[number].append(bytes(inside).decode())
        elif number not in DOCUMENTATION:
            rest.append(bytes(whole))
    return Node(texts[OPERATOR][0], texts[NODE_INPUT], texts[NODE_OUTPUT], b"".join(sorted(rest)))


def _text(content: memoryview, field: int) -> str:
    return next(bytes(inside).decode() for number, inside in fields(content) if number == field and inside is not None)


def _numbers(graph: Graph) -> dict[str, bytes]:
    """For the name of each value a digest of what it is: equal for what is computed alike of equal weights."""
    numbers = {"": b"none"} | {name: name.encode() for name in graph.inputs}
    half = {name for name, content in graph.tensors.items() if _type(memoryview(content)) == HALF}
    numbers |= {name: _digest([b"tensor", _content(content)]) for name, content in graph.tensors.items()}
    for node in graph.nodes:
        if node.operator == "Cast" and node.inputs[0] in half:
            numbers[node.outputs[0]] = numbers[node.inputs[0]]
            continue
        one = _digest([node.operator.encode(), node.rest, *(numbers[name] for name in node.inputs)])
        numbers |= {name: one + str(at).encode() for at, name in enumerate(node.outputs) if name}
    return numbers


def _type(content: memoryview) -> int:
    return next(_number(whole) for number, _, whole in spans(content) if number == TYPE)


def _content(content: bytes) -> bytes:
    """Shape and numbers of a tensor, in half precision where they are fractions; without its name."""
    view = memoryview(content)
    raw = next((bytes(inside) for number, inside in fields(view) if number == RAW and inside is not None), None)
    if raw is None or _type(view) not in (FLOAT, HALF):
        return b"".join(bytes(whole) for number, _, whole in spans(view) if number not in (TENSOR_NAME, TENSOR_TEXT))
    shape = [_number(whole) for number, inside, whole in spans(view) if number == DIMENSIONS and inside is None]
    if _type(view) == FLOAT:
        with np.errstate(over="ignore"):
            raw = np.frombuffer(raw, "<f4").astype("<f2").tobytes()
    return repr(shape if math.prod(shape) != 1 else [1]).encode() + raw


def _number(whole: memoryview) -> int:
    """The value of a field that is a number below 2^63; its key is one byte."""
    value = 0
    for place, byte in enumerate(whole[1:]):
        value |= (byte & 0x7F) << 7 * place
    return value


def _digest(pieces: list[bytes]) -> bytes:
    return hashlib.sha256(b"".join(len(piece).to_bytes(8, "big") + piece for piece in pieces)).digest()


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + length(content) + content


def _renamed_node(node: Node, names: Mapping[str, str], output: str | None = None) -> bytes:
    """The bytes of a node under these names; ``output`` is that of a node that copies one of them."""
    outputs = [names[name] for name in node.outputs] if output is None else [output]
    pieces = [_field(NODE_INPUT, (names[name] if name else "").encode()) for name in node.inputs]
    pieces += [_field(NODE_OUTPUT, name.encode()) for name in outputs]
    pieces += [_field(NODE_NAME, outputs[0].encode()), _field(OPERATOR, node.operator.encode())]
    return b"".join([*pieces, node.rest])


def _renamed(content: bytes, field: int, name: str) -> bytes:
    kept = [bytes(whole) for number, _, whole in spans(memoryview(content)) if number != field]
    return b"".join([*kept, _field(field, name.encode())])
