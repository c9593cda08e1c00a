"""Encoders on nodes of their own, which take the crops of all servers together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_encoder
from osoroi.cluster.searchers import cause_of
from osoroi.encoder import Encoder
from osoroi.errors import OtherEncoder
from osoroi.records import Clues, Input

TOGETHER = 32
"""Batches of servers, of up to eight crops each, that are encoded in one run."""

WAIT_S = 0.002
"""Seconds that a batch waits for others."""


class EncoderReplica:
    """The deployment: the encoder that the catalog has now."""

    def __init__(self, place: Place, threads: int) -> None:
        self._place = place
        self._threads = threads
        self._encoder = open_encoder(place, None, threads=threads)

    async def vectors(self, requests: list[tuple[str, Sequence[Input]]]) -> list[Any]:
        """The vectors of each request: of its inputs, by the encoder of its fingerprint; or an error in their place.

        ``batched`` collects the requests.
        """
        for fingerprint in {fingerprint for fingerprint, _ in requests}:
            if fingerprint != self._encoder.fingerprint:
                self._encoder = open_encoder(self._place, None, threads=self._threads)
        fitting = [inputs if name == self._encoder.fingerprint else [] for name, inputs in requests]
        rows = self._encoder.encode_inputs([one for inputs in fitting for one in inputs])
        ends = np.cumsum([len(inputs) for inputs in fitting])
        return [
            rows[end - len(inputs) : end] if name == self._encoder.fingerprint else self._refusal(name)
            for (name, inputs), end in zip(requests, ends, strict=True)
        ]

    def _refusal(self, fingerprint: str) -> OtherEncoder:
        return OtherEncoder(
            f"the catalog's encoder is {self._encoder.fingerprint[:12]} and no longer {fingerprint[:12]}",
            hint="open the catalog again",
        )

    async def foreground(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Any:
        """See ``Embedder.foreground``."""
        return self._encoder.embedder.foreground(crops)


def batched() -> type[EncoderReplica]:
    """The deployment whose requests are collected by Ray Serve."""
    from ray import serve

    collect = serve.batch(max_batch_size=TOGETHER, batch_wait_timeout_s=WAIT_S)
    return type("Batched", (EncoderReplica,), {"vectors": collect(EncoderReplica.vectors)})


class RemoteEmbedder:
    """What a ``RemoteEncoder`` computes with: the foreground alone, since vectors go by inputs."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def vectors(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        raise NotImplementedError("a remote encoder encodes inputs")

    def foreground(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b y x"] | None:
        return self._handle.foreground.remote(crops).result()


class RemoteEncoder(Encoder):
    """An encoder of which only what is known about it is in this process."""

    def __init__(self, local: Encoder, handle: Any) -> None:
        super().__init__(RemoteEmbedder(handle), local.metadata)
        self._handle = handle

    def encode(
        self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], clues: Sequence[Clues] | None = None
    ) -> Float32[np.ndarray, "b d"]:
        """See ``Encoder.encode``."""
        known = [Clues()] * len(crops) if clues is None else clues
        return self.encode_inputs([Input(crop, clue) for crop, clue in zip(crops, known, strict=True)])

    def encode_inputs(self, inputs: Sequence[Input]) -> Float32[np.ndarray, "b d"]:
        """See ``Encoder.encode_inputs``; raises OtherEncoder where the catalog has been moved to another one."""
        from ray import exceptions

        try:
            answer = self._handle.vectors.remote((self.fingerprint, list(inputs))).result()
        except exceptions.RayTaskError as error:
            raise cause_of(error) from None
        if isinstance(answer, OtherEncoder):
            raise answer
        return answer
