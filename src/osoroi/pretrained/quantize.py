"""An encoder in 8-bit integers, accepted only where its searches find what they found before."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from osoroi import files
from osoroi.data.readers import dataset_name, open_dataset
from osoroi.encoder import Encoder, loader
from osoroi.encoder.metadata import ENTRY, Metadata, computation, fingerprint
from osoroi.errors import BadDataset, BadPhoto, Mismatch, extra
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import compare
from osoroi.evaluation.evaluate import evaluate

METRIC: Final = "hit@5"

MOST: Final = 0.005
"""The greatest loss of the metric that is accepted: half a point."""

PHOTOS: Final = 128
"""Crops whose activations set the ranges."""

INTEGER_OPERATORS: Final = ("Conv",)
"""Operators that are quantised; the colours and the heads around the backbone stay as they are."""


@dataclass(frozen=True)
class Quantized:
    """The new encoder, and the old minus the new one's mean of the metric with its paired 95% interval."""

    encoder: Encoder
    loss: Interval
    queries: int


def quantize(
    source: Path,
    out: Path,
    dataset: str,
    *,
    split: str | None = None,
    distractors: Sequence[str] = (),
    force: bool = False,
    photos: int = PHOTOS,
) -> Quantized:
    """Write the encoder in integers: static ranges from the photos of a data set, weights per channel.

    The data set's pairs then judge: each query is searched by both encoders. Raises Mismatch, and writes nothing, where
    the mean loss of hit@5 is above half a point, unless ``force``. The loss stands in the file's metadata either way.
    """
    encoder = Encoder.open(source)
    crops = list(islice(_crops(dataset, encoder, split), photos))
    if not crops:
        raise BadDataset(f"{dataset} has no photo that can be read", hint="give the photos that searches will be of")
    graph = _in_integers(source, crops)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        draft.write_bytes(_with_metadata(graph, encoder.metadata, ""))
        before, after = (
            evaluate(dataset, encoder=path, split=split, distractors=tuple(distractors)) for path in (source, draft)
        )
    (difference,) = [row for row in compare(before, after, metrics=[METRIC]).differences if row.category is None]
    loss, queries = difference.interval, difference.queries
    if loss.mean > MOST and not force:
        raise Mismatch(
            f"in integers {METRIC} loses {_points(loss)} points over {queries} queries; {100 * MOST:.1f} are allowed",
            hint="calibrate on photos more like the queries, keep the encoder as it is, or give --force",
        )
    told = f"int8: {METRIC} loses {_points(loss)} points over {queries} queries"
    files.write_atomically(out, _with_metadata(graph, encoder.metadata, told))
    return Quantized(Encoder.open(out), loss, queries)


def _points(loss: Interval) -> str:
    return f"{100 * loss.mean:.2f} [{100 * loss.low:.2f}, {100 * loss.high:.2f}]"


def _crops(dataset: str, encoder: Encoder, split: str | None) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The pixels of every crop of the split that can be read."""
    for row in open_dataset(dataset_name(dataset)).rows():
        if split is None or row.crop.split == split:
            try:
                yield loader.crop_pixels(row.crop, encoder.preprocessing)
            except BadPhoto:
                continue  # the evaluation names it


class _Ranges:
    """Crops one by one, as ONNX Runtime's quantiser asks for them."""

    def __init__(self, crops: Sequence[UInt8[np.ndarray, "h w 3"]]) -> None:
        self._left = iter(crops)

    def get_next(self) -> dict[str, np.ndarray] | None:
        crop = next(self._left, None)
        return None if crop is None else {"crops": crop[None]}


def _in_integers(source: Path, crops: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Any:
    onnx: ModuleType = extra("onnx", "train")
    quantization: ModuleType = extra("onnxruntime.quantization", "train")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "integers.onnx"
        quantization.quantize_static(
            source,
            path,
            _Ranges(crops),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(INTEGER_OPERATORS),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        model = onnx.load(path)
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "osoroi", "", ""
    return model


def _with_metadata(model: Any, metadata: Metadata, told: str) -> bytes:
    """The bytes of a model with the metadata of the encoder it was made of, and what became of it."""
    del model.metadata_props[:]
    decisive = computation(model.SerializeToString(deterministic=True))
    digest = fingerprint(decisive, metadata.parts, metadata.preprocessing, metadata.kinds)
    changed = replace(metadata, fingerprint=digest, quantization=told)
    model.metadata_props.add(key=ENTRY, value=changed.to_json())
    data: bytes = model.SerializeToString(deterministic=True)
    return data
