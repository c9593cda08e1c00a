"""The wire format of protocol buffers, as far as reading an ONNX file without the onnx package takes it."""

from collections.abc import Iterator

from osoroi.errors import BadEncoder
from osoroi.inference import REMEDY


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Number and content of each field of a protocol buffer message, in order; numbers have no content."""
    return ((number, content) for number, content, _ in spans(message))


def spans(message: memoryview) -> Iterator[tuple[int, memoryview | None, memoryview]]:
    """Number, content and all bytes of each field of a protocol buffer message, in order."""
    at = 0
    while at < len(message):
        begin = at
        key, at = _varint(message, at)
        start, at = _field(message, at, key & 7)
        if at > len(message):
            break
        yield key >> 3, message[start:at] if key & 7 == 2 else None, message[begin:at]
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


def length(content: bytes) -> bytes:
    """The length of a message in groups of seven bits, lowest first."""
    left, groups = len(content), []
    while left > 0x7F:
        groups.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*groups, left])
