"""Graphs that compute what a known encoder file computes, by fewer and cheaper operations.

A file's graph is in its fingerprint, so it stays as it was exported. For some files the package has other nodes over
the same weights. ``Encoder.open`` runs those instead, where they give the file's own vectors, so catalogs and their
copies of the file gain without a new fingerprint. ``tools/make_faster_graph.py`` writes them.
"""

from pathlib import Path
from typing import Final

from osoroi import files
from osoroi.encoder.metadata import GRAPH_FIELD, fields, length, spans

GRAPHS: Final = Path(__file__).parent / "graphs"

NODE, TENSOR, NODE_INPUT, TENSOR_NAME = 1, 5, 1, 8
"""Fields of a graph, of a node and of a tensor."""


def path_of(fingerprint: str, graphs: Path = GRAPHS) -> Path:
    """The file of the nodes for an encoder of this fingerprint, whether or not there is one."""
    return graphs / f"{fingerprint[:16]}.graph"


def faster(model: bytes, fingerprint: str, graphs: Path = GRAPHS) -> bytes | None:
    """The model with the package's nodes in place of its own, over its own weights; None where there are none for it.

    ``fingerprint`` is the model's own, verified: the nodes fit that graph alone. Raises OSError where they cannot be
    read, and BadEncoder where they are cut short.
    """
    path = path_of(fingerprint, graphs)
    if not path.is_file():
        return None
    nodes, kept, weights = files.content(path), [], []
    names = {
        bytes(name)
        for field, node in fields(memoryview(nodes))
        if field == NODE and node is not None
        for at, name in fields(node)
        if at == NODE_INPUT and name is not None
    }
    for number, content, whole in spans(memoryview(model)):
        if number != GRAPH_FIELD:
            kept.append(bytes(whole))
        elif content is not None:
            tensors = [(one, whole) for field, one, whole in spans(content) if field == TENSOR and one is not None]
            weights += [bytes(whole) for one, whole in tensors if _name(one) in names]
    graph = b"".join([nodes, *weights])
    return b"".join([*kept, bytes([GRAPH_FIELD << 3 | 2]), length(graph), graph])


def _name(tensor: memoryview) -> bytes:
    return next((bytes(name) for field, name in fields(tensor) if field == TENSOR_NAME and name is not None), b"")
