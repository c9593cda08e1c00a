"""Vectors and kinds in one run, for crops whose kind their pixels have to say: by the encoder's own maps, or by the
network of kinds joined to it."""

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, UInt8

from osoroi.encoder.joining import joined
from osoroi.errors import BadEncoder
from osoroi.garments import picture
from osoroi.garments.part import Prediction
from osoroi.garments.runtime import read
from osoroi.inference import REMEDY, faults, open_session
from osoroi.records import Clues

OWN: Final = "kinds"
"""The output of an encoder file that says kinds itself; ``tools/make_kind_head.py`` adds it."""

PREFIX: Final = "kind/"
"""Begins the names of the network of kinds inside the joined model."""


class VectorsAndPredictions(NamedTuple):
    """Vectors without the part ``kind``, and what the pixels of each crop say of it."""

    vectors: Float32[np.ndarray, "b d"]
    predictions: Sequence[Prediction]


class OwnKinds:
    """An encoder whose file says kinds from its own maps, in the same run; threads may share it."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    @staticmethod
    def says(session: ort.InferenceSession) -> bool:
        """Whether a model has the output and takes any batch. Raises BadEncoder for one that says something else."""
        shapes = [output.shape for output in session.get_outputs() if output.name == OWN]
        if any(shape[1:] != [picture.SAID] for shape in shapes):
            raise BadEncoder(f"its output {OWN!r} has the shape {shapes[0]}, not [b, {picture.SAID}]", hint=REMEDY)
        return bool(shapes) and not isinstance(session.get_inputs()[0].shape[0], int)

    def run(self, crops: UInt8[np.ndarray, "b h w 3"]) -> VectorsAndPredictions:
        """Both for a batch."""
        with faults("could not run this encoder"):
            vectors, said = self._session.run(["vectors", OWN], {"crops": crops})
        return VectorsAndPredictions(vectors, picture.of_said(said))


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

    def run(self, crops: UInt8[np.ndarray, "b h w 3"]) -> VectorsAndPredictions | None:
        """Both for a batch; None for a model that shares nothing with the network, or takes other crops."""
        session = self._opened()
        if session is None:
            return None
        outputs = ["vectors", f"{PREFIX}probe", f"{PREFIX}imagenet"]
        with faults("could not run this encoder"):
            vectors, kinds, imagenet = session.run(outputs, {"crops": crops})
        return VectorsAndPredictions(vectors, picture.Logits(kinds, imagenet).rows)

    def _opened(self) -> ort.InferenceSession | None:
        with self._lock:
            if self._model:
                model, self._model = self._model, b""
                both = joined(model, read("kind.onnx"), PREFIX)
                self._session = None if both is None else open_session(both, *self._options)
            return self._session


class Runs(NamedTuple):
    """How an encoder judges crops whose kind their pixels have to say.

    Queries by its ``own`` maps, where its file has been taught to. Products by the network of kinds, so that what is
    stored does not depend on that; so does a query of another file.
    """

    own: OwnKinds | None
    joined: WithKinds | None

    @classmethod
    def of(
        cls,
        session: ort.InferenceSession,
        model: bytes,
        options: tuple[int, Sequence[str] | None],
        shape: tuple[int, ...],
    ) -> "Runs":
        """Those of a session of the file ``model``; ``options`` are threads and providers, ``shape`` that of a crop."""
        joins = WithKinds.takes(shape, session.get_inputs()[0].shape[0])
        own = OwnKinds(session) if OwnKinds.says(session) else None
        return cls(own, WithKinds(model, *options) if joins else None)

    def groups(self, clues: Sequence[Clues]) -> list[tuple[OwnKinds | WithKinds | None, list[int]]]:
        """The crops, by their places, that run together, and what runs them: None where kinds are known."""
        places: dict[int, list[int]] = {0: [], 1: [], 2: []}
        for place, clue in enumerate(clues):
            by_picture = 0 if self.own and clue.is_query else 1
            places[2 if clue.known is not None else by_picture].append(place)
        return [(run, places[number]) for number, run in enumerate((self.own, self.joined, None)) if places[number]]
