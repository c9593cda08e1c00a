"""Evaluation of many networks on the same crops: pixels, and the features of a frozen half, are cached on disk.

Queries, ranks and metrics are those of ``osoroi evaluate``; only what reads and encodes crops is another.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from osoroi import files, image
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.encoder.metadata import EncoderMetadata
from osoroi.errors import BadPhoto
from osoroi.evaluation.evaluate import CropEncoder, evaluate_readers
from osoroi.evaluation.results import Evaluation, Task
from osoroi.recipe import Recipe
from osoroi.records import Row
from osoroi.training import feature_cache
from osoroi.training.view_loader import preprocessing

BATCH = 64


class TorchEmbedder:
    """A network in torch as an ``Embedder``."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def vectors(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        """Vectors, as the encoder file would give them."""
        with torch.inference_mode():
            vectors: np.ndarray = self.network(torch.from_numpy(crops)).float().numpy()
        return vectors

    def foreground(self, crops: UInt8[np.ndarray, "b h w 3"]) -> None:
        """No masks: the experiment needs none."""


class NetworkEncoder(Encoder):
    """An encoder that computes in torch."""

    def __init__(self, network: Any, recipe: Recipe, dataset: str) -> None:
        digest = sha256(repr([(part.name, part.size) for part in network.parts]).encode())
        for name, one in network.state_dict().items():
            digest.update(name.encode() + one.cpu().contiguous().numpy().tobytes())
        views = preprocessing(recipe)
        metadata = EncoderMetadata(tuple(network.parts), views, recipe.name, dataset, "unknown", digest.hexdigest())
        super().__init__(TorchEmbedder(network), metadata)
        self.network = network.eval()
        self.settings = recipe

    def above(self, features: Sequence[np.ndarray]) -> Float32[np.ndarray, "b d"]:
        """Vectors of what the frozen half gave."""
        with torch.inference_mode():
            return self.network.above(*(torch.from_numpy(one) for one in features)).float().numpy()


class CachedCrops(CropEncoder):
    """Embeds crops with pixels and features from a folder, and caches there those that it lacks."""

    def __init__(
        self,
        cache: Path,
        encoder: Encoder,
        threads: int,
        corrupt: int | None,
        on_progress: Callable[[int], None],
    ) -> None:
        super().__init__(encoder, threads, corrupt, on_progress)
        self.cache = cache

    def encode(self, rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[list[int], Float32[np.ndarray, "n d"]]]:
        every = list(rows)
        encoder = self.encoder
        assert isinstance(encoder, NetworkEncoder)
        arrays, readable = self.features(encoder, [row for _, row in every])
        for place in np.flatnonzero(~readable).tolist():
            try:
                self.input_of(every[place][1])
            except BadPhoto as error:
                self.add_problem(every[place][1].crop, error)
        places = np.flatnonzero(readable)
        for some in np.array_split(places, max(1, -(-len(places) // BATCH))):
            if len(some):
                yield [every[place][0] for place in some], encoder.above([array[some] for array in arrays])
            self.done += len(some)
            self.on_progress(self.done)

    def features(self, encoder: NetworkEncoder, rows: Sequence[Row]) -> tuple[list[np.ndarray], Bool[np.ndarray, "n"]]:
        """What the frozen half of a network gives of some crops, all of one domain; the crops where it has none."""
        crops = [row.crop for row in rows]
        view = encoder.preprocessing[crops[0].domain]
        corrupt = self.corrupt if crops[0].domain == "street" else None
        key = [repr(view), corrupt, *([crop.crop_id, crop.box, image.name_of(crop.photo)] for crop in crops)]
        name = sha256(json.dumps(key).encode()).hexdigest()[:24]
        pixels, readable = self._cached(
            self.cache / f"{name}-pixels", len(crops), self._pixels_of(rows), lambda many: [many]
        )
        run = feature_cache.runner(encoder.network, encoder.settings, len(crops))
        if run is None:
            return pixels, readable
        half = feature_cache.frozen(encoder.network, encoder.settings)[:24]
        cached = lambda row: pixels[0][row] if readable[row] else None  # noqa: E731
        return self._cached(self.cache / f"{name}-{half}", len(crops), cached, run)

    def _pixels_of(self, rows: Sequence[Row]) -> Callable[[int], UInt8[np.ndarray, "h w 3"] | None]:
        def load(row: int) -> UInt8[np.ndarray, "h w 3"] | None:
            try:
                return self.input_of(rows[row]).pixels
            except BadPhoto:
                return None

        return load

    def _cached(
        self,
        folder: Path,
        count: int,
        load: Callable[[int], UInt8[np.ndarray, "h w 3"] | None],
        run: feature_cache.Runner,
    ) -> tuple[list[np.ndarray], Bool[np.ndarray, "n"]]:
        """The cache in a folder, computed now if it is missing: written beside it, then given its name."""
        with files.lock(folder.with_name(folder.name + ".lock"), wait_s=None):
            if not folder.exists():
                draft = folder.with_name(folder.name + ".draft")
                draft.mkdir(parents=True, exist_ok=True)
                groups = [[row] for row in range(count)]
                feature_cache.fill(
                    draft, groups, lambda rows: [load(row) for row in rows], run, lambda done, _: self.on_progress(done)
                )
                draft.rename(folder)
        return feature_cache.read(folder)


def evaluate(encoder: Encoder, task: Task, cache: Path) -> Evaluation:
    """The evaluation of a task by a network, or by an encoder file, which is run as it is."""
    readers = [open_dataset(name) for name in (task.dataset, *task.distractors)]
    if not isinstance(encoder, NetworkEncoder):
        return evaluate_readers(readers, encoder, task)
    return evaluate_readers(readers, encoder, task, make_crop_encoder=lambda *how: CachedCrops(cache, *how))
