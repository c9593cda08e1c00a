"""What an encoder file keeps beside its graph: nodes that say the kinds of queries from the maps of its backbone.

They act on queries alone, as weights and the calibration do, so they are in the metadata and not in the fingerprint: a
catalog's vectors stay what they are. ``tools/make_kind_head.py`` writes them.
"""

import base64
import binascii
from typing import Final

from osoroi.encoder.metadata import GRAPH_FIELD, METADATA_FIELD, computation, fields, length, with_entry
from osoroi.errors import BadEncoder
from osoroi.inference import REMEDY

NAME: Final = "osoroi.kinds"
"""The name of the metadata entry: nodes, tensors and an output as a graph of ONNX, in base 64."""


def taught(model: bytes) -> bytes:
    """The model with those nodes in its graph; the same where the file has none. Raises BadEncoder."""
    for number, content in fields(memoryview(model)):
        if number != METADATA_FIELD or content is None:
            continue
        pair = {key: bytes(value or b"") for key, value in fields(content)}
        if pair.get(1) == NAME.encode():
            try:
                nodes = base64.b64decode(pair.get(2, b""), validate=True)
            except binascii.Error as error:
                raise BadEncoder(f"its metadata entry {NAME!r} is no base 64", hint=REMEDY) from error
            graph = bytes([GRAPH_FIELD << 3 | 2]) + length(nodes) + nodes
            computation(graph)  # its tensors lie in this file
            return model + graph  # protocol buffers join the fields of a message that comes twice
    return model


def with_nodes(model: bytes, nodes: bytes) -> bytes:
    """The file with these nodes as its entry, in place of those that it had. Raises BadEncoder.

    >>> whole = bytes([0x42, 2, 0x10, 0x12, 0x3A, 2, 0x12, 0])
    >>> taught(with_nodes(whole, b"\\x12\\x00")) == with_nodes(whole, b"\\x12\\x00") + bytes([0x3A, 2, 0x12, 0])
    True
    >>> with_nodes(with_nodes(whole, b"\\x0a\\x00"), b"\\x12\\x00") == with_nodes(whole, b"\\x12\\x00")
    True
    """
    return with_entry(model, base64.b64encode(nodes).decode(), NAME)
