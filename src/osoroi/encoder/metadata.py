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
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32

from osoroi.encoder import KIND
from osoroi.encoder.calibration import Calibration
from osoroi.errors import BadEncoder
from osoroi.inference import REMEDY, faults
from osoroi.records import SIDE_PX, Domain, Part, Preprocessing

ENTRY: Final = "osoroi"
"""The name of the metadata entry."""

FORMAT: Final = 2
"""Files of a higher format are refused: they may mean something else by the same words. A file is written in the lowest
format that can express it: 2 where there is the part ``kind``, or a pretrained backbone with an input of its own."""

GRAPH_FIELD, OPSET_FIELD, METADATA_FIELD, FUNCTION_FIELD = 7, 8, 14, 25
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


@dataclass(frozen=True)
class EncoderMetadata:
    """What an encoder file says about itself.

    ``kinds`` is the version of ``garments.part`` that computes the part ``kind``, which is then the last one; it is
    empty where the graph computes all parts. ``calibration`` turns scores into probabilities; None where nobody fitted
    one. Like the weights, it acts on queries alone and is not in the fingerprint. ``quantization`` says what integers
    cost; it is empty where the graph computes in single precision. ``stands_for`` is the fingerprint of the encoder
    whose place this one may take: its searches are as good with vectors of both.
    """

    parts: tuple[Part, ...]
    preprocessing: Mapping[Domain, Preprocessing]
    recipe: str
    training: str
    licence: str
    fingerprint: str
    kinds: str = ""
    calibration: Calibration | None = None
    backbone: Mapping[str, str] = field(default_factory=dict)
    quantization: str = ""
    stands_for: str = ""

    @property
    def graph_parts(self) -> tuple[Part, ...]:
        """The parts that the graph computes."""
        return self.parts[:-1] if self.kinds else self.parts

    @cached_property
    def scales(self) -> Float32[np.ndarray, "d"]:
        """The weight of each number of a vector."""
        return scales_of(self.parts, {part.name: part.weight for part in self.parts})

    def to_json(self) -> str:
        """One line of JSON with sorted keys, the same for the same metadata."""
        views = {domain: _stated(view) for domain, view in self.preprocessing.items()}
        later = bool(self.kinds) or any("fit" in view for view in views.values())
        written = {"format": FORMAT if later else 1} | asdict(self)
        for name in ("kinds", "calibration", "backbone", "quantization", "stands_for"):
            if not written[name]:
                del written[name]
        del written["preprocessing"]
        written["views"] = views
        return json.dumps(written, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "EncoderMetadata":
        """The metadata that ``to_json`` wrote; raises BadEncoder for anything else.

        >>> EncoderMetadata.from_json('{"format": 3}')
        Traceback (most recent call last):
        osoroi.errors.BadEncoder: the encoder file has format 3, and this one reads formats 1–2; install a newer osoroi
        """
        try:
            written = json.loads(text)
            written_format = written["format"]
            if written_format not in range(1, FORMAT + 1):
                raise BadEncoder(
                    f"the encoder file has format {written_format}, and this one reads formats 1–{FORMAT}",
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
                kinds=str(written.get("kinds", "")),
                backbone={str(name): str(value) for name, value in written.get("backbone", {}).items()},
                quantization=str(written.get("quantization", "")),
                stands_for=str(written.get("stands_for", "")),
                calibration=Calibration.from_dict(written["calibration"]) if "calibration" in written else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise BadEncoder(f"the encoder file's metadata cannot be read ({error!r})", hint=REMEDY) from error


def stand_in(path: Path) -> Path:
    """Where the file in integers lies that may take the place of an encoder file.

    >>> stand_in(Path("shop/encoder.onnx")).name
    'encoder.int8.onnx'
    """
    return path.with_name(f"{path.stem}.int8{path.suffix}")


def _part(written: Mapping[str, Any]) -> Part:
    part = Part(str(written["name"]), int(written["size"]), float(written["weight"]))
    if part.size < 1 or not 0 <= part.weight <= 1:
        raise ValueError(f"part {part.name!r} has size {part.size} and weight {part.weight}")
    return part


def _preprocessing(written: Mapping[str, Any]) -> Preprocessing:
    view = Preprocessing.of(written)
    lengths = [view.height, view.width]
    if view.fit is not None:
        lengths += [view.fit.height, view.fit.width]
    sides = all(isinstance(side, int) and 1 <= side <= SIDE_PX for side in lengths)
    if not sides or not 0 <= view.margin <= 10 or not isinstance(view.trim, bool):
        raise ValueError(f"sides are 1 to {SIDE_PX} pixels, a margin is 0 to 10, not {view}")
    return view


def _stated(view: Preprocessing) -> dict[str, Any]:
    """The fields of a preprocessing, without that of a backbone where there is none."""
    return {name: value for name, value in asdict(view).items() if value is not None}


def fingerprint(
    computation: bytes, parts: Sequence[Part], preprocessing: Mapping[Domain, Preprocessing], kinds: str = ""
) -> str:
    """SHA-256 of the stored computation, of the names and sizes of the parts and of the preprocessing, in hexadecimal.

    ``kinds`` is the version that computes the part ``kind``; without that part it leaves no trace.

    >>> one = fingerprint(b"graph", [Part("deep", 8, 0.5)], {"shop": Preprocessing(4, 4)})
    >>> one == fingerprint(b"graph", [Part("deep", 8, 0.9)], {"shop": Preprocessing(4, 4)})  # the weight is the query's
    True
    >>> one == fingerprint(b"graph", [Part("deep", 8, 0.5)], {"shop": Preprocessing(4, 4, trim=True)})
    False
    """
    around: dict[str, Any] = {
        "parts": [[part.name, part.size] for part in parts],
        "views": {domain: _stated(one) for domain, one in preprocessing.items()},
    }
    if kinds:
        around["kinds"] = kinds
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
    for number, value in fields(view):
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


def with_entry(model: bytes, text: str, name: str = ENTRY) -> bytes:
    """An ONNX file with this text as its metadata entry of this name, and nothing else changed. It may have had another
    before.

    >>> whole = bytes([0x42, 2, 0x10, 0x12, 0x3A, 2, 0x12, 0])
    >>> with_entry(with_entry(whole, "old"), "{}") == whole + bytes([0x72, 12, 0x0A, 6, *b"osoroi", 0x12, 2, *b"{}"])
    True
    """
    kept = [bytes(field) for number, content, field in spans(memoryview(model)) if not _is_entry(number, content, name)]
    pairs = ((b"\x0a", name.encode()), (b"\x12", text.encode()))
    entry = b"".join(key + length(value) + value for key, value in pairs)
    return b"".join([*kept, b"\x72", length(entry), entry])


def _is_entry(number: int, content: memoryview | None, name: str) -> bool:
    """Whether a field of a model is the metadata entry of this name."""
    if number != METADATA_FIELD or content is None:
        return False
    return (1, name.encode()) in [(key, bytes(value or b"")) for key, value in fields(content)]


def _message(value: memoryview | None, kind: str) -> bytes:
    """The bytes of a message, once no tensor inside it lies in another file."""
    if value is None:
        raise BadEncoder(f"not an ONNX file (a {kind} that is a number)", hint=REMEDY)
    pending = [(value, kind, 0)]
    while pending:
        message, kind, depth = pending.pop()
        if depth > DEPTH:
            raise BadEncoder(f"an ONNX file of more than {DEPTH} messages inside each other", hint=REMEDY)
        for number, inside in fields(message):
            if kind == "tensor" and number in EXTERNAL_FIELDS:
                raise BadEncoder(
                    "an ONNX file that keeps tensors in another file, which its fingerprint cannot cover",
                    hint="save it as one file (onnx.save with save_as_external_data=False)",
                )
            if inside is not None and number in MESSAGES.get(kind, {}):
                pending.append((inside, MESSAGES[kind][number], depth + 1))
    return bytes(value)


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Number and content of each field of a protocol buffer message, in order; numbers have no content."""
    return ((number, content) for number, content, _ in spans(message))


def spans(message: memoryview) -> Iterator[tuple[int, memoryview | None, memoryview]]:
    """Number, content and all bytes of each field of a protocol buffer message, in order."""
    at, end = 0, len(message)
    while at < end:
        begin, key = at, message[at]
        if key < 0x80 and key & 7 == 2 and at + 1 < end and (size := message[at + 1]) < 0x80:  # most: a short text
            start, at = at + 2, at + 2 + size
        else:
            key, at = _varint(message, at)
            start, at = _field(message, at, key & 7)
        if at > end:
            break
        yield key >> 3, message[start:at] if key & 7 == 2 else None, message[begin:at]
    if at != end:
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


def length(content: bytes) -> bytes:
    """The length of a message in groups of seven bits, lowest first."""
    left, groups = len(content), []
    while left > 0x7F:
        groups.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*groups, left])


def columns_of(parts: Sequence[Part]) -> dict[str, slice]:
    """The columns of each part in a vector.

    >>> columns_of([Part("deep", 8, 0.5), Part("detail", 4, 0.5)])
    {'deep': slice(0, 8, None), 'detail': slice(8, 12, None)}
    """
    ends = list(accumulate(part.size for part in parts))
    return {part.name: slice(end - part.size, end) for part, end in zip(parts, ends, strict=True)}


def scales_of(parts: Sequence[Part], weights: Mapping[str, float]) -> Float32[np.ndarray, "d"]:
    """The weight of each number of a vector: that of its part.

    >>> scales_of([Part("deep", 2, 0.5), Part("detail", 1, 0.5)], {"deep": 0.25, "detail": 0.75}).tolist()
    [0.25, 0.25, 0.75]
    """
    return np.repeat([np.float32(weights[part.name]) for part in parts], [part.size for part in parts])


def read_metadata(session: ort.InferenceSession) -> EncoderMetadata:
    """What the file says about itself; raises BadEncoder for an ONNX file that is no encoder."""
    with faults("cannot read the metadata of this file"):
        text = session.get_modelmeta().custom_metadata_map.get(ENTRY)
    if text is None:
        raise BadEncoder(f"an ONNX file, but no encoder: its metadata have no entry {ENTRY!r}", hint=REMEDY)
    return EncoderMetadata.from_json(text)


def verify(session: ort.InferenceSession, metadata: EncoderMetadata, decisive: bytes) -> None:
    """The metadata is of this computation, and the graph takes and gives what an encoder does."""
    computed = fingerprint(decisive, metadata.parts, metadata.preprocessing, metadata.kinds)
    if computed != metadata.fingerprint:
        stated = metadata.fingerprint[:12]
        raise BadEncoder(
            f"altered after it was written: fingerprint {computed[:12]}, and {stated} in its metadata",
            hint="fetch the file again, or export it again",
        )
    with faults("cannot read the inputs and outputs of this file"):  # a name may be no Unicode
        takes = {put.name: (put.type, put.shape[1:]) for put in session.get_inputs()}
        gives = {put.name: put.shape[1:] for put in session.get_outputs()}
    size = sum(part.size for part in metadata.graph_parts)
    fits = all(
        takes == {"crops": ("tensor(uint8)", list(preprocessing.shape))}
        for preprocessing in metadata.preprocessing.values()
    )
    if not fits or gives.get("vectors") != [size]:
        raise BadEncoder(f"an ONNX file, but no encoder: it takes {takes} and gives {gives}", hint=REMEDY)


def demand_kinds(metadata: EncoderMetadata) -> None:
    """Raise BadEncoder where the part ``kind`` is not the one that this version computes."""
    if not metadata.kinds:
        return
    from osoroi.garments import part

    last = metadata.parts[-1]
    if (metadata.kinds, last.name, last.size) != (part.VERSION, KIND, part.SIZE):
        raise BadEncoder(
            f"its part {last.name!r} of {last.size} numbers is of version {metadata.kinds[:40]!r} of the kinds, and "
            f"this osoroi has {part.VERSION!r}",
            hint="export the encoder again, or use the osoroi that wrote it",
        )
