"""The metadata of an encoder file: what it says about itself, and the proof that it says so of this very graph.

An encoder file is an ONNX model with one metadata entry, ``osoroi``, that holds JSON: ``format``, ``parts``, ``views``
(the preprocessing), ``recipe``, ``training``, ``licence`` and ``fingerprint``. The fingerprint is the SHA-256 of the
computation as it is stored (the graph, the functions it calls, the versions of the operators) and of everything else
that decides a vector. Weights of parts are not in it: they act on queries alone, so a catalog outlives a change of
them. A file that keeps tensors in other files is refused, because the fingerprint cannot cover those.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from osoroi.errors import BadEncoder
from osoroi.records import SIDE_PX, Domain, Part, Preprocessing

ENTRY: Final = "osoroi"
"""The name of the metadata entry."""

FORMAT: Final = 2
"""Files of a higher format are refused: they may mean something else by the same words. A file is written in the lowest
format that can express it: 2 has a pretrained backbone with an input of its own, 1 has not."""

GRAPH_FIELD, OPSET_FIELD, FUNCTION_FIELD = 7, 8, 25
MODEL_FIELDS: Final = frozenset((*range(1, 10), 14, 20, 25, 26))
"""Fields of ``ModelProto`` in onnx.proto; the first three decide vectors. A file with others is of a later ONNX."""

OPSETS: Final = (b"\x10\x12", b"\n\0\x10\x12")
"""The stored ``OperatorSetIdProto`` of every file that `osoroi export` writes: version 18 of ONNX's own operators."""

MESSAGES: Final = {
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 10: "tensor", 6: "graph", 11: "graph"},
        **{22: "sparse tensor", 23: "sparse tensor"},
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
"""Message of onnx.proto -> the fields in which tensors may lie, and what they hold."""

EXTERNAL_FIELDS: Final = (13, 14)
"""``TensorProto.external_data`` and ``data_location``."""

DEPTH: Final = 100
"""Messages inside messages beyond which a file is refused, as protocol buffers do."""

REMEDY: Final = "give a file that `osoroi export` wrote"


@dataclass(frozen=True)
class Metadata:
    """What an encoder file says about itself."""

    parts: tuple[Part, ...]
    preprocessing: Mapping[Domain, Preprocessing]
    recipe: str
    training: str
    licence: str
    fingerprint: str
    backbone: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON with sorted keys, the same for the same metadata."""
        views = {domain: _stated(view) for domain, view in self.preprocessing.items()}
        brought = {"backbone": dict(self.backbone)} if self.backbone else {}
        written = {
            "format": 2 if any("fit" in view for view in views.values()) else 1,
            "parts": [asdict(part) for part in self.parts],
            "views": views,
            "recipe": self.recipe,
            "training": self.training,
            "licence": self.licence,
            "fingerprint": self.fingerprint,
        } | brought
        return json.dumps(written, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Metadata":
        """The metadata that ``to_json`` wrote; raises BadEncoder for anything else.

        >>> Metadata.from_json('{"format": 3}')  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        osoroi.errors.BadEncoder: the encoder file has format 3, and this osoroi reads formats 1 to 2; install a new...
        """
        try:
            written = json.loads(text)
            written_format = written["format"]
            if written_format not in range(1, FORMAT + 1):
                raise BadEncoder(
                    f"the encoder file has format {written_format}, and this osoroi reads formats 1 to {FORMAT}",
                    hint="install a newer osoroi",
                )
            parts = tuple(_part(part) for part in written["parts"])
            total = sum(part.weight for part in parts)
            if len({part.name for part in parts}) < len(parts) or not math.isclose(total, 1, abs_tol=1e-3):
                raise ValueError(f"parts have one name each and weights of a sum of 1, not {total}")
            return cls(
                parts=parts,
                preprocessing={domain: _preprocessing(written["views"][domain]) for domain in ("street", "shop")},
                recipe=str(written["recipe"]),
                training=str(written["training"]),
                licence=str(written["licence"]),
                fingerprint=str(written["fingerprint"]),
                backbone={str(name): str(value) for name, value in written.get("backbone", {}).items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise BadEncoder(f"the encoder file's metadata cannot be read ({error!r})", hint=REMEDY) from error


def _part(written: Mapping[str, Any]) -> Part:
    part = Part(str(written["name"]), int(written["size"]), float(written["weight"]))
    if part.size < 1 or not 0 <= part.weight <= 1:
        raise ValueError(f"part {part.name!r} has size {part.size} and weight {part.weight}")
    return part


def _preprocessing(written: Mapping[str, Any]) -> Preprocessing:
    view = Preprocessing.of(written)
    inputs = [view] if view.fit is None else [view, view.fit]
    lengths = [length for each in inputs for length in (each.height, each.width)]
    sides = all(isinstance(side, int) and 1 <= side <= SIDE_PX for side in lengths)
    if not sides or not 0 <= view.margin <= 10 or not isinstance(view.trim, bool):
        raise ValueError(f"sides are 1 to {SIDE_PX} pixels, a margin is 0 to 10, not {view}")
    return view


def _stated(view: Preprocessing) -> dict[str, Any]:
    """The fields of a preprocessing, without that of a backbone where there is none."""
    return {name: value for name, value in asdict(view).items() if value is not None}


def fingerprint(computation: bytes, parts: Sequence[Part], preprocessing: Mapping[Domain, Preprocessing]) -> str:
    """SHA-256 of the stored computation, of the names and sizes of the parts and of the preprocessing, in hexadecimal.

    >>> one = fingerprint(b"graph", [Part("deep", 8, 0.5)], {"shop": Preprocessing(4, 4)})
    >>> one == fingerprint(b"graph", [Part("deep", 8, 0.9)], {"shop": Preprocessing(4, 4)})  # the weight is the query's
    True
    >>> one == fingerprint(b"graph", [Part("deep", 8, 0.5)], {"shop": Preprocessing(4, 4, trim=True)})
    False
    """
    around = {
        "parts": [[part.name, part.size] for part in parts],
        "views": {domain: _stated(one) for domain, one in preprocessing.items()},
    }
    canonical = json.dumps(around, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(computation + canonical).hexdigest()


def computation(model: bytes) -> bytes:
    """The bytes inside an ONNX file that decide what it computes, found without the onnx package.

    These are the graph and, where a file has any, the functions it defines and operator sets other than those that
    `osoroi export` writes. What follows the graph begins with a zero byte, which no field of a graph begins with.
    Raises BadEncoder where the file is no whole ONNX model with one graph, or keeps tensors in other files.

    >>> computation(bytes([0x42, 2, 0x10, 0x12, 0x3A, 2, 0x12, 0]))  # operators of version 18, a graph without a name
    b'\\x12\\x00'
    """
    view = memoryview(model)
    graphs, functions, opsets = [], [], []
    for number, value in _fields(view):
        if number not in MODEL_FIELDS:
            raise BadEncoder(f"not an ONNX file, or one of a later ONNX (field {number})", hint=REMEDY)
        if number == GRAPH_FIELD:
            graphs.append(_message(value, "graph"))
        elif number == FUNCTION_FIELD:
            functions.append(_message(value, "function"))
        elif number == OPSET_FIELD and value is not None:
            opsets.append(bytes(value))
    if len(graphs) != 1:
        raise BadEncoder("not an ONNX file, or one cut short", hint=REMEDY)
    more = [b"function" + len(one).to_bytes(8, "big") + one for one in functions]
    if len(opsets) != 1 or opsets[0] not in OPSETS:
        more += [b"operators" + len(one).to_bytes(8, "big") + one for one in sorted(opsets)]
    return b"\0".join([graphs[0], *more])


def _message(value: memoryview | None, kind: str) -> bytes:
    """The bytes of a message, once no tensor inside it lies in another file."""
    if value is None:
        raise BadEncoder(f"not an ONNX file (a {kind} that is a number)", hint=REMEDY)
    pending = [(value, kind, 0)]
    while pending:
        message, kind, depth = pending.pop()
        if depth > DEPTH:
            raise BadEncoder(f"an ONNX file of more than {DEPTH} messages inside each other", hint=REMEDY)
        for number, inside in _fields(message):
            if kind == "tensor" and number in EXTERNAL_FIELDS:
                raise BadEncoder(
                    "an ONNX file that keeps tensors in another file, which its fingerprint cannot cover",
                    hint="save it as one file (onnx.save with save_as_external_data=False)",
                )
            if inside is not None and number in MESSAGES.get(kind, {}):
                pending.append((inside, MESSAGES[kind][number], depth + 1))
    return bytes(value)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Number and content of each field of a protocol buffer message, in order; numbers have no content."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        start, at = _field(message, at, key & 7)
        if at > len(message):
            break
        yield key >> 3, message[start:at] if key & 7 == 2 else None
    if at != len(message):
        raise BadEncoder("not an ONNX file, or one cut short", hint=REMEDY)


def _field(model: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Where the value of a field begins and ends, by its wire type."""
    if kind == 0:
        return at, _varint(model, at)[1]
    if kind == 2:
        size, start = _varint(model, at)
        return start, start + size
    if kind in (1, 5):
        return at, at + (8 if kind == 1 else 4)
    raise BadEncoder(f"not an ONNX file (wire type {kind} at byte {at})", hint=REMEDY)


def _varint(model: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(model):
            break
        byte = model[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise BadEncoder("not an ONNX file, or one cut short", hint=REMEDY)
