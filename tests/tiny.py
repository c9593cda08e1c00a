"""A tiny encoder without a file: mean colour of the whole and of the top half, in two parts. Milliseconds, exact."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi.encoder import Encoder
from osoroi.encoder.metadata import Metadata
from osoroi.records import Part, Preprocessing

SIDE = 16


class TinyEncoder(Encoder):
    """`deep` is the centred mean colour of the top half, `detail` that of the whole crop."""

    def __init__(self, name: str = "tiny", weight: float = 0.5) -> None:
        preprocessing = Preprocessing(SIDE, SIDE)
        parts = (Part("deep", 4, 1 - weight), Part("detail", 4, weight))
        preprocessing = {"street": preprocessing, "shop": preprocessing}
        self.metadata = Metadata(parts, preprocessing, "tiny", "nothing", "CC0-1.0", name.ljust(64, "0"))
        self.columns = {"deep": slice(0, 4), "detail": slice(4, 8)}

    def encode(self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, "b d"]:
        rows = [np.empty((0, 8), np.float32)]
        for crop in crops:
            row = np.ones((1, 8), np.float32)
            row[0, 1:4] = crop[: SIDE // 2].mean((0, 1)) / 64 - 2
            row[0, 5:8] = crop.mean((0, 1)) / 64 - 2
            row[0, :4] /= np.linalg.norm(row[0, :4])
            row[0, 4:] /= np.linalg.norm(row[0, 4:])
            rows.append(row)
        return np.concatenate(rows)
