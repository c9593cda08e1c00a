"""A tiny encoder without a file: mean colour of the whole and of the top half, in two parts. Milliseconds, exact."""

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi.encoder import Embedder, Encoder
from osoroi.encoder.metadata import EncoderMetadata
from osoroi.records import Domain, Part, Preprocessing

SIDE = 16


class TinyEmbedder:
    """`deep` is the centred mean colour of the top half, `detail` that of the whole crop."""

    def vectors(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        rows = np.ones((len(crops), 8), np.float32)
        rows[:, 1:4] = crops[:, : SIDE // 2].mean((1, 2)) / 64 - 2
        rows[:, 5:8] = crops.mean((1, 2)) / 64 - 2
        parts = rows.reshape(len(crops), 2, 4)
        return (parts / np.linalg.norm(parts, axis=2, keepdims=True)).reshape(len(crops), 8)

    def foreground(self, crops: UInt8[np.ndarray, "b h w 3"]) -> None:
        return None


class TinyEncoder(Encoder):
    """An encoder that computes as ``TinyEmbedder`` does, under a name of its own."""

    def __init__(self, name: str = "tiny", weight: float = 0.5, embedder: Embedder | None = None) -> None:
        preprocessing = Preprocessing(SIDE, SIDE)
        parts = (Part("deep", 4, 1 - weight), Part("detail", 4, weight))
        domains: dict[Domain, Preprocessing] = {"street": preprocessing, "shop": preprocessing}
        metadata = EncoderMetadata(parts, domains, "tiny", "nothing", "CC0-1.0", name.ljust(64, "0"))
        super().__init__(embedder or TinyEmbedder(), metadata)
