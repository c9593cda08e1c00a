"""A network becomes an encoder file, refused unless the file gives what the network gives."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import jaxtyping
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from osoroi import files
from osoroi.encoder import KIND, Encoder, open_session
from osoroi.encoder.metadata import ENTRY, EncoderMetadata, computation, fingerprint
from osoroi.errors import BadRequest, Mismatch, extra
from osoroi.records import Domain, Part, Preprocessing

AGREEMENT: Final = 0.9999
"""The least cosine of any part of any crop between the network and the file."""

OUTPUT_NAMES: Final = ("vectors", "attention")
"""Outputs of an encoder file. The second is the foreground mask, where the network pools over it."""

OPSET: Final = 18
IR_VERSION: Final = 10
"""What ONNX Runtime 1.20, the oldest we serve with, reads."""


def export(
    network: nn.Module,
    path: Path,
    *,
    parts: Sequence[Part],
    preprocessing: Mapping[Domain, Preprocessing],
    crops: Sequence[UInt8[np.ndarray, "h w 3"]],
    recipe: str,
    training: str,
    licence: str,
) -> Encoder:
    """Write the encoder file of a network that maps uint8 crops [b h w 3] to vectors [b d]; the encoder it is.

    A last part ``kind`` is computed by ``garments.part``, not by the network. The file is the same, byte for byte, for
    the same network and metadata. It appears under its name only once it has agreed with the network on the given
    crops, of which there must be some; otherwise raises Mismatch.
    """
    if not crops:
        raise BadRequest("an export without crops to compare on", hint="give some crops the network is meant for")
    has_mask = getattr(getattr(network, "extractor", None), "foreground", None) is not None
    served, outputs = (WithMask(network), OUTPUT_NAMES) if has_mask else (network, OUTPUT_NAMES[:1])
    graph = to_onnx(served, preprocessing["street"], outputs)
    kinds = _version_of_kinds() if parts[-1].name == KIND else ""
    digest = fingerprint(computation(graph.SerializeToString(deterministic=True)), parts, preprocessing, kinds)
    metadata = EncoderMetadata(tuple(parts), preprocessing, recipe, training, licence, digest, kinds)
    return write(network, graph, metadata, path, crops)


def write(
    network: nn.Module, graph: Any, metadata: EncoderMetadata, path: Path, crops: Sequence[UInt8[np.ndarray, "h w 3"]]
) -> Encoder:
    """Write an ONNX model with its metadata, once it has agreed with the network; raises Mismatch."""
    graph.metadata_props.add(key=ENTRY, value=metadata.to_json())
    data = graph.SerializeToString(deterministic=True)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        draft.write_bytes(data)
        check(network, Encoder.open(draft), crops)
    files.write_atomically(path, data)
    return Encoder.open(path)


def _version_of_kinds() -> str:
    from osoroi.garments.part import VERSION

    return VERSION


def check(network: nn.Module, encoder: Encoder, crops: Sequence[UInt8[np.ndarray, "h w 3"]]) -> float:
    """The lowest cosine between a part of the network's and of the encoder's vectors; raises Mismatch below .9999."""
    with torch.inference_mode():
        ours = torch.cat([network(torch.from_numpy(np.ascontiguousarray(crop))[None]) for crop in crops]).numpy()
    products = ours * encoder.encode(crops)[:, : ours.shape[1]]
    parts = encoder.metadata.graph_parts
    cosines = [products[:, encoder.columns[part.name]].sum(axis=1) for part in parts]
    lowest = float(np.min(cosines))  # not a number, where any is none
    if not lowest >= AGREEMENT:
        raise Mismatch(
            f"the encoder file and the network differ: the lowest cosine of {len(crops)} crops is {lowest:.6f}, "
            f"and {AGREEMENT} is needed",
            hint="put the network into evaluation mode, and export in float32",
        )
    return lowest


class WithMask(nn.Module):
    """A network that also gives the foreground mask that it pooled over."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, Tensor]:
        return self.network.forward_with_mask(crops)  # type: ignore[operator]


def to_onnx(network: nn.Module, preprocessing: Preprocessing, outputs: Sequence[str] = OUTPUT_NAMES[:1]) -> Any:
    """The ONNX model of a network, with a free batch and without traces of the machine that made it."""
    onnx: ModuleType = extra("onnx", "train")
    extra("onnxscript", "train")
    example = torch.zeros(2, preprocessing.height, preprocessing.width, 3, dtype=torch.uint8)
    with quiet(), shapes_unchecked():
        program = torch.onnx.export(
            network.eval(),
            (example,),
            input_names=["crops"],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("b", min=1)},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "osoroi", "", ""
    _remove_origins(model)
    onnx.checker.check_model(model)
    return model


def runner(
    network: nn.Module, preprocessing: Preprocessing, outputs: int
) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
    """A function from uint8 crops [b h w 3] to the outputs of a network, run by ONNX Runtime on one thread."""
    model = to_onnx(network, preprocessing, [f"output{number}" for number in range(outputs)])
    session = open_session(model.SerializeToString(), threads=1)

    def run(crops: np.ndarray) -> Sequence[np.ndarray]:
        arrays: Sequence[np.ndarray] = session.run(None, {"crops": crops})
        return arrays

    return run


def _remove_origins(model: Any) -> None:
    """Remove names of files and lines, which differ from machine to machine."""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = "osoroi", ""
    del graph.value_info[:]
    for named in [*graph.node, *graph.input, *graph.output, *graph.initializer, graph]:
        named.doc_string = ""
        if hasattr(named, "metadata_props"):
            del named.metadata_props[:]


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter warns and logs about itself, and of packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


@contextmanager
def shapes_unchecked() -> Iterator[None]:
    """Checks of shapes would fix the free batch while the exporter traces."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
