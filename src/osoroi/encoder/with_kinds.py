"""An encoder and the network of kinds in one run, for crops whose kind their pixels have to say."""

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, UInt8

from osoroi.encoder.joining import joined
from osoroi.garments import picture
from osoroi.garments.runtime import read
from osoroi.inference import faults, open_session

PREFIX: Final = "kind/"
"""Begins the names of the network of kinds inside the joined model."""


class VectorsAndLogits(NamedTuple):
    """Vectors without the part ``kind``, and what the pixels say of it."""

    vectors: Float32[np.ndarray, "b d"]
    logits: picture.Logits


class WithKinds:
    """The model of an encoder, joined to the network of kinds when the first crop needs both; threads may share it."""

    def __init__(self, model: bytes, threads: int, providers: Sequence[str] | None) -> None:
        self._model = model
        self._options = threads, providers
        self._lock = threading.Lock()
        self._session: ort.InferenceSession | None = None

    @property
    def opened(self) -> bool:
        """Whether a crop needed both before."""
        return not self._model

    @staticmethod
    def takes(shape: tuple[int, ...], batch: object) -> bool:
        """Whether a model with crops of this shape and this batch can be joined: the network takes no others."""
        return shape == picture.INPUT.shape and not isinstance(batch, int)

    def run(self, crops: UInt8[np.ndarray, "b h w 3"]) -> VectorsAndLogits | None:
        """Both for a batch; None for a model that shares nothing with the network, or takes other crops."""
        session = self._opened()
        if session is None:
            return None
        outputs = ["vectors", f"{PREFIX}probe", f"{PREFIX}imagenet"]
        with faults("could not run this encoder"):
            vectors, kinds, imagenet = session.run(outputs, {"crops": crops})
        return VectorsAndLogits(vectors, picture.Logits(kinds, imagenet))

    def _opened(self) -> ort.InferenceSession | None:
        with self._lock:
            if self._model:
                model, self._model = self._model, b""
                both = joined(model, read("kind.onnx"), PREFIX)
                self._session = None if both is None else open_session(both, *self._options)
            return self._session
