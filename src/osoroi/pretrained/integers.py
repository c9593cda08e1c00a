"""A graph with its convolutions in 8-bit integers, but for those that would move the vectors most."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi import files
from osoroi.encoder import Encoder, open_session
from osoroi.encoder.metadata import columns_of
from osoroi.errors import extra

OPERATOR: Final = "Conv"
"""The operators that are quantised; the colours and the heads around the backbone stay as they are."""

SENSITIVE: Final = 0.001
"""A convolution stays in single precision where it alone, in integers, moves a part by more than this: the mean of
1 - cosine. In EfficientNet-Lite0 these are four of the first five, which move it by .115, .074, .004 and .003."""

TRIED: Final = 16
"""Crops on which each convolution is tried."""

Crops = Sequence[UInt8[np.ndarray, "h w 3"]]


def in_integers(encoder: Encoder, source: Path, crops: Crops, *, sensitive: float = SENSITIVE) -> Any:
    """The ONNX model of an encoder with static ranges from the crops, and weights per channel.

    A convolution stays as it is where it alone moves the vectors by more than ``sensitive``.
    """
    onnx: ModuleType = extra("onnx", "backbone")
    names = [node.name for node in onnx.load(source).graph.node if node.op_type == OPERATOR]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        draft, few = Path(folder) / "integers.onnx", crops[:TRIED]
        single = encoder.embedder.vectors(np.stack(few))
        steady = [
            name
            for name in names
            if moved(encoder, single, _vectors(_quantized(source, draft, few, [name]), few)) <= sensitive
        ]
        model = onnx.load(_quantized(source, draft, crops, steady)) if steady else onnx.load(source)
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "osoroi", "", ""
    return model


def moved(encoder: Encoder, before: Float32[np.ndarray, "b d"], after: Float32[np.ndarray, "b d"]) -> float:
    """The mean of 1 - cosine over crops, of the part that moved most."""
    columns = columns_of(encoder.metadata.graph_parts).values()
    return max(1 - float((before[:, part] * after[:, part]).sum(1).mean()) for part in columns)


def _vectors(path: Path, crops: Crops) -> Float32[np.ndarray, "b d"]:
    vectors: np.ndarray = open_session(files.content(path), threads=1).run(["vectors"], {"crops": np.stack(crops)})[0]
    return vectors


def _quantized(source: Path, target: Path, crops: Crops, names: Sequence[str]) -> Path:
    """The file of the model with the operators of these names in integers."""
    quantization: ModuleType = extra("onnxruntime.quantization", "backbone")
    quantization.quantize_static(
        source,
        target,
        _Ranges(crops),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=[OPERATOR],
        nodes_to_quantize=list(names),
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )
    return target


class _Ranges:
    """Crops one by one, as ONNX Runtime's quantiser asks for them."""

    def __init__(self, crops: Crops) -> None:
        self._left = iter(crops)

    def get_next(self) -> dict[str, np.ndarray] | None:
        crop = next(self._left, None)
        return None if crop is None else {"crops": crop[None]}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice to run a step that changes nothing here, once for each convolution."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
