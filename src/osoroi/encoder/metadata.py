"""The metadata of an encoder file: what it says about itself, and the proof that it says so of this very graph.

An encoder file is an ONNX model with one metadata entry, ``osoroi``, that holds JSON: ``format``, ``parts``, ``views``
(the preprocessing), ``recipe``, ``training``, ``licence`` and ``fingerprint``. The fingerprint is the SHA-256 of the
graph as it is stored and of everything else that decides a vector. Weights of parts are not in it: they act on queries
alone, so a catalog outlives a change of them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from osoroi.errors import BadEncoder
from osoroi.records import Domain, Part, Preprocessing

ENTRY: Final = "osoroi"
"""The name of the metadata entry."""

FORMAT: Final = 1
"""Files of a higher format are refused: they may mean something else by the same words."""

GRAPH_FIELD: Final = 7
"""``ModelProto.graph`` in onnx.proto."""

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

    def to_json(self) -> str:
        """One line of JSON with sorted keys, the same for the same metadata."""
        written = {"format": FORMAT} | asdict(self)
        written["views"] = written.pop("preprocessing")
        return json.dumps(written, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Metadata":
        """The metadata that ``to_json`` wrote; raises BadEncoder for anything else.

        >>> Metadata.from_json('{"format": 2}')
        Traceback (most recent call last):
        osoroi.errors.BadEncoder: the encoder file has format 2, and this osoroi reads format 1; install a newer osoroi
        """
        try:
            written = json.loads(text)
            written_format = written["format"]
            if written_format != FORMAT:
                raise BadEncoder(
                    f"the encoder file has format {written_format}, and this osoroi reads format {FORMAT}",
                    hint="install a newer osoroi",
                )
            return cls(
                parts=tuple(_part(part) for part in written["parts"]),
                preprocessing={domain: Preprocessing(**written["views"][domain]) for domain in ("street", "shop")},
                recipe=str(written["recipe"]),
                training=str(written["training"]),
                licence=str(written["licence"]),
                fingerprint=str(written["fingerprint"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadEncoder(f"the encoder file's metadata cannot be read ({error!r})", hint=REMEDY) from error


def _part(written: Mapping[str, Any]) -> Part:
    part = Part(str(written["name"]), int(written["size"]), float(written["weight"]))
    if part.size < 1 or not 0 <= part.weight <= 1:
        raise ValueError(f"part {part.name!r} has size {part.size} and weight {part.weight}")
    return part


def fingerprint(graph: bytes, parts: Sequence[Part], preprocessing: Mapping[Domain, Preprocessing]) -> str:
    """SHA-256 of the stored graph, of the names and sizes of the parts and of the preprocessing, in hexadecimal.

    >>> one = fingerprint(b"graph", [Part("deep", 8, 0.5)], {"shop": Preprocessing(4, 4)})
    >>> one == fingerprint(b"graph", [Part("deep", 8, 0.9)], {"shop": Preprocessing(4, 4)})  # the weight is the query's
    True
    >>> one == fingerprint(b"graph", [Part("deep", 8, 0.5)], {"shop": Preprocessing(4, 4, trim=True)})
    False
    """
    around = {
        "parts": [[part.name, part.size] for part in parts],
        "views": {domain: asdict(one) for domain, one in preprocessing.items()},
    }
    canonical = json.dumps(around, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(graph + canonical).hexdigest()


def graph_of(model: bytes) -> bytes:
    """The bytes of the one graph inside an ONNX file, found without the onnx package.

    Walks the outermost fields of the protocol buffer and looks into none. Raises BadEncoder where they do not add up.

    >>> graph_of(bytes([0x08, 0x0A, 0x3A, 2]) + b"hi")  # field 1 = 10, field 7 = "hi"
    b'hi'
    """
    at, graphs = 0, []
    while at < len(model):
        key, at = _varint(model, at)
        start, at = _field(model, at, key & 7)
        if key >> 3 == GRAPH_FIELD:
            graphs.append(model[start:at])
    if at != len(model) or len(graphs) != 1:
        raise BadEncoder("not an ONNX file, or one cut short", hint=REMEDY)
    return graphs[0]


def _field(model: bytes, at: int, kind: int) -> tuple[int, int]:
    """Where the value of a field begins and ends, by its wire type."""
    if kind == 0:
        return at, _varint(model, at)[1]
    if kind == 2:
        size, start = _varint(model, at)
        return start, start + size
    if kind in (1, 5):
        return at, at + (8 if kind == 1 else 4)
    raise BadEncoder(f"not an ONNX file (wire type {kind} at byte {at})", hint=REMEDY)


def _varint(model: bytes, at: int) -> tuple[int, int]:
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
