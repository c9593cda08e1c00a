"""An encoder in 8-bit integers, accepted only where its searches find what they found before."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi import files
from osoroi.data.readers import dataset_name, open_dataset
from osoroi.encoder import Encoder, loader
from osoroi.encoder.metadata import ENTRY, EncoderMetadata, computation, fingerprint
from osoroi.errors import BadDataset, BadPhoto, Mismatch
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import compare
from osoroi.evaluation.evaluate import CropEncoder, Progress, evaluate_readers
from osoroi.evaluation.queries import build_evaluation_set
from osoroi.evaluation.results import Evaluation, Protocol, Task
from osoroi.pretrained.integers import in_integers
from osoroi.records import Row

METRIC: Final = "hit@5"

MOST: Final = 0.005
"""The greatest loss of the metric that is accepted: half a point."""

BOUND: Final = 0.02
"""The upper end of the loss's interval that is accepted: two points. Few pairs leave it far above."""

PHOTOS: Final = 128
"""Crops whose activations set the ranges."""


class PairSource(NamedTuple):
    """Pairs of street and shop photos: a data set, its split, and data sets with more products of the gallery."""

    dataset: str
    split: str | None = None
    distractors: tuple[str, ...] = ()


class Losses(NamedTuple):
    """The old minus the new mean of the metric with its paired 95% interval: where all vectors are of the new encoder,
    or those of the queries alone, or those of the products alone."""

    both: Interval
    queries: Interval
    products: Interval

    @property
    def worst(self) -> float:
        """The greatest of the three means."""
        return max(loss.mean for loss in self)

    @property
    def is_accepted(self) -> bool:
        """Whether they are small, and certainly so."""
        return self.worst <= MOST and all(loss.high <= BOUND for loss in self)  # nan is not

    def __str__(self) -> str:
        return f"{_points(self.both)} points, {_points(self.queries)} as queries, {_points(self.products)} as products"


@dataclass(frozen=True)
class Quantized:
    """The new encoder, and what it loses over so many queries."""

    encoder: Encoder
    losses: Losses
    queries: int
    same_photos: bool = False
    """Whether the calibration photos are among those that judged."""


def quantize(
    source: Path,
    out: Path,
    calibrate: PairSource,
    *,
    pairs: PairSource | None = None,
    force: bool = False,
    photos: int = PHOTOS,
    on_progress: Progress = lambda done: None,
) -> Quantized:
    """Write the encoder in integers: ranges from the photos of ``calibrate``, judged by searches of ``pairs``.

    Without ``pairs``, those of ``calibrate`` judge. Each query is searched by both encoders, and by each among products
    of the other. Raises Mismatch, and writes nothing, where a mean loss of hit@5 is above half a point or the upper end
    of its interval above two, unless ``force``. The losses stand in the file's metadata either way. A file that was not
    forced may take the place of the encoder it was made of.
    """
    encoder, pairs = Encoder.open(source), pairs or calibrate
    _demand_pairs(pairs)
    crops = list(islice(_crops(calibrate, encoder), photos))
    if not crops:
        raise BadDataset(
            f"{calibrate.dataset} has no photo that can be read", hint="give the photos that searches will be of"
        )
    graph = in_integers(encoder, source, crops)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        draft.write_bytes(_with_metadata(graph, encoder.metadata, "", ""))
        losses, queries = judged(encoder, Encoder.open(draft), pairs, on_progress)
    is_accepted = losses.is_accepted
    if not (is_accepted or force):
        advice = "judge by more pairs" if losses.worst <= MOST else "calibrate on photos more like the queries"
        raise Mismatch(
            f"in integers {METRIC} loses {losses}, over {queries} queries; {100 * MOST:.1f} are allowed, and "
            f"{100 * BOUND:.1f} at the upper end of the interval",
            hint=f"{advice}, keep the encoder as it is, or give `force`",
        )
    told = f"int8: {METRIC} loses {losses}, over {queries} queries of {pairs.dataset}"
    told += ", the calibration photos" if _same(calibrate, pairs) else ""
    files.write_atomically(
        out, _with_metadata(graph, encoder.metadata, told, encoder.fingerprint if is_accepted else "")
    )
    return Quantized(Encoder.open(out), losses, queries, _same(calibrate, pairs))


def _same(calibrate: PairSource, pairs: PairSource) -> bool:
    """Whether the photos that set the ranges are among those that judge."""
    is_one_split = calibrate.split == pairs.split or None in (calibrate.split, pairs.split)
    return dataset_name(calibrate.dataset) == dataset_name(pairs.dataset) and is_one_split


def _demand_pairs(pairs: PairSource) -> None:
    """Raise BadDataset where there are no queries to judge by, or nothing that they could find."""
    reader, protocol = open_dataset(pairs.dataset), Protocol(split=pairs.split)
    wanted = {
        product for query in build_evaluation_set(reader, protocol).queries for product in query.query.product_ids
    }
    if not any(row.crop.domain == "shop" and row.product.product_id in wanted for row in reader.rows()):
        raise BadDataset(f"{pairs.dataset} has no product with a street and a shop photo", hint="give such `pairs`")


def judged(
    before: Encoder, after: Encoder, pairs: PairSource, on_progress: Progress = lambda done: None
) -> tuple[Losses, int]:
    """What the second encoder loses against the first, and the number of queries. Progress counts the crops of all four
    evaluations."""
    done = 0

    def evaluated(queries: Encoder, products: Encoder) -> Evaluation:
        nonlocal done
        begun = done

        def show(crops: int) -> None:
            nonlocal done
            done = begun + crops
            on_progress(done)

        return _evaluated(queries, products, pairs, show)

    first = evaluated(before, before)
    found = []
    for queries, products in ((after, after), (after, before), (before, after)):
        rows = compare(first, evaluated(queries, products), metrics=[METRIC]).differences
        found += [row for row in rows if row.category is None]
    return Losses(*(row.interval for row in found)), found[0].queries


def _evaluated(queries: Encoder, products: Encoder, pairs: PairSource, on_progress: Progress) -> Evaluation:
    """Searches with the queries of one encoder among the products of another."""
    task = Task(
        dataset_name(pairs.dataset), tuple(map(dataset_name, pairs.distractors)), protocol=Protocol(split=pairs.split)
    )

    def crop_encoder(encoder: Encoder, threads: int, corrupt: int | None, on_progress: Progress) -> "_TwoEncoders":
        return _TwoEncoders(encoder, threads, corrupt, on_progress, queries=queries, products=products)

    readers = [open_dataset(name) for name in (task.dataset, *task.distractors)]
    return evaluate_readers(readers, queries, task, on_progress=on_progress, make_crop_encoder=crop_encoder)


@dataclass
class _TwoEncoders(CropEncoder):
    """Encodes street crops by one encoder and shop crops by another; they come apart."""

    queries: Encoder | None = None
    products: Encoder | None = None

    def encode(self, rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[list[int], Float32[np.ndarray, "n d"]]]:
        """As ``CropEncoder`` does."""
        rows = iter(rows)
        for first in rows:
            self.encoder = (self.queries if first[1].crop.domain == "street" else self.products) or self.encoder
            yield from super().encode(chain([first], rows))


def _points(loss: Interval) -> str:
    return f"{100 * loss.mean:.2f} [{100 * loss.low:.2f}, {100 * loss.high:.2f}]"


def _crops(pairs: PairSource, encoder: Encoder) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The pixels of every crop of the split that can be read."""
    for row in open_dataset(pairs.dataset).rows():
        if pairs.split is None or row.crop.split == pairs.split:
            try:
                yield loader.crop_pixels(row.crop, encoder.preprocessing)
            except BadPhoto:
                continue  # the evaluation names it


def _with_metadata(model: Any, metadata: EncoderMetadata, told: str, stands_for: str) -> bytes:
    """The bytes of a model with the metadata of the encoder it was made of, and what became of it."""
    del model.metadata_props[:]
    decisive = computation(model.SerializeToString(deterministic=True))
    digest = fingerprint(decisive, metadata.parts, metadata.preprocessing, metadata.kinds)
    changed = replace(metadata, fingerprint=digest, quantization=told, stands_for=stands_for)
    model.metadata_props.add(key=ENTRY, value=changed.to_json())
    data: bytes = model.SerializeToString(deterministic=True)
    return data
