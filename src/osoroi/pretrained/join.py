"""The brought model and an encoder file of ours become one encoder file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from osoroi import files
from osoroi.encoder import Encoder
from osoroi.encoder.metadata import ENTRY, EncoderMetadata, computation, fingerprint
from osoroi.errors import BadEncoder, BadRequest, extra
from osoroi.inference import FILE_BYTES
from osoroi.pretrained import graph
from osoroi.pretrained.graph import PREFIX, Projection
from osoroi.pretrained.model import PretrainedModel
from osoroi.pretrained.settings import PretrainedSettings
from osoroi.records import Domain, Part, Preprocessing

DEEP: Final = "deep"


def join(
    model: PretrainedModel, settings: PretrainedSettings, base: Path, *, projection: Projection | None, half: bool
) -> tuple[Any, tuple[Part, ...], dict[Domain, Preprocessing]]:
    """The graph from crops to all parts, its parts, and how crops are made for it.

    `deep` comes from the model, everything else from the encoder file ``base``, whose `deep` is left away.
    """
    ours = Encoder.open(base)
    preprocessing: dict[Domain, Preprocessing] = {
        domain: replace(view, fit=settings.fit) for domain, view in ours.preprocessing.items()
    }
    names = [part.name for part in ours.metadata.graph_parts]
    if DEEP not in names or ours.metadata.backbone:
        raise BadRequest(f"{base} has no `deep` of ours to replace", hint="give an encoder file of a recipe of ours")
    theirs = model.proto
    if half:
        graph.halved(theirs)
    size = model.dim if projection is None else projection.matrix.shape[1]
    parts = tuple(replace(part, size=size) if part.name == DEEP else part for part in ours.parts)
    own = graph.onnx().load(str(base))
    version = max(graph.OPSET, graph.opset_of(theirs), graph.opset_of(own))
    own, theirs = graph.converted(own, version, str(base)), graph.converted(theirs, version, "the backbone")
    dim = sum(part.size for part in parts if part.name in names)
    joined = _joined(own, names, theirs, model, settings, preprocessing["street"], projection, dim)
    _require_small(joined)
    return joined, parts, preprocessing


def _joined(
    own: Any,
    names: Sequence[str],
    theirs: Any,
    model: PretrainedModel,
    settings: PretrainedSettings,
    preprocessing: Preprocessing,
    projection: Projection | None,
    dim: int,
) -> Any:
    helper, tensor = graph.onnx().helper, graph.onnx().TensorProto
    ends = graph.part_ends(own, names)
    masks = [each for each in own.graph.output if each.name == "attention"]
    graph.pruned(own.graph, [*(ends[name] for name in names if name != DEEP), *(each.name for each in masks)])
    _rename(own.graph, "crops", "ours")
    theirs = extra("onnx.compose", "backbone").add_prefix(theirs, PREFIX)
    nodes, tensors = graph.rows_nodes(preprocessing)
    colored = graph.color_nodes("theirs", settings.colors, model.picture.element)
    colored[0][-1].output[0] = PREFIX + model.picture.name
    vector = model.vector
    pooled = graph.pool_nodes(PREFIX + vector.name, vector.rank, vector.pool, vector.skip)
    unit = graph.unit_nodes(pooled[2], projection)
    inputs = [unit[2] if name == DEEP else ends[name] for name in names]
    last = helper.make_node("Concat", inputs, ["vectors"], axis=1)
    batch = model.batch or "b"
    joined = helper.make_graph(
        [*nodes, *own.graph.node, *colored[0], *theirs.graph.node, *pooled[0], *unit[0], last],
        "osoroi",
        [helper.make_tensor_value_info("crops", tensor.UINT8, [batch, *preprocessing.shape])],
        [
            helper.make_tensor_value_info("vectors", tensor.FLOAT, [batch, dim]),
            *(_batched(mask, batch) for mask in masks),
        ],
        [*tensors, *own.graph.initializer, *colored[1], *theirs.graph.initializer, *pooled[1], *unit[1]],
    )
    opsets = {each.domain: each for each in (*own.opset_import, *theirs.opset_import)}
    made = helper.make_model(joined, opset_imports=list(opsets.values()), producer_name="osoroi")
    made.ir_version = max(own.ir_version, min(theirs.ir_version, own.ir_version))
    return made


def _batched(output: Any, batch: int | str) -> Any:
    """The description of an output with another batch."""
    shape = [batch, *(dim.dim_value for dim in output.type.tensor_type.shape.dim[1:])]
    return graph.onnx().helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, shape)


def _rename(graph_of_ours: Any, old: str, new: str) -> None:
    for node in graph_of_ours.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new


def _require_small(made: Any) -> None:
    """Raise BadEncoder where the file would be larger than one ONNX file can be."""
    size = sum(len(each.raw_data) or each.ByteSize() for each in made.graph.initializer)
    if size > FILE_BYTES - 2**20:
        raise BadEncoder(
            f"the file would have {size / 1e9:.1f} GB, and one ONNX file has at most {FILE_BYTES / 1e9:.1f}",
            hint="store the weights in half precision with `half`, or use a smaller model",
        )


def write(made: Any, path: Path, metadata: EncoderMetadata) -> Encoder:
    """Write a joined graph with its metadata, whose fingerprint is computed here; the encoder it is."""
    del made.metadata_props[:]
    stored = made.SerializeToString(deterministic=True)
    digest = fingerprint(computation(stored), metadata.parts, metadata.preprocessing, metadata.kinds)
    made.metadata_props.add(key=ENTRY, value=replace(metadata, fingerprint=digest).to_json())
    files.write_atomically(path, made.SerializeToString(deterministic=True))
    return Encoder.open(path)
