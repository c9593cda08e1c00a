"""What a crop's pixels say of its kind: a linear probe and ImageNet's classes on a frozen EfficientNet-Lite0.

The probe learned the kinds of CC0 photos of single garments; for kinds that those photos lack (bags, swimwear,
jewellery) ImageNet has classes of its own. ``tools/make_kind_network.py`` makes the network.
"""

import math
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

from osoroi.garments.runtime import session
from osoroi.records import Preprocessing

INPUT: Final = Preprocessing(192, 192)
"""The network takes crops resized to this many pixels, without keeping their proportions."""

PROBED: Final = ("top", "outerwear", "dress", "skirt", "trousers", "shorts", "shoes", "hat")
"""Kinds of the probe, in the order of its outputs."""


CLASSES_TEMPERATURE: Final = 1.5
LEAST_MASS: Final = 0.0001
"""What the logits of ImageNet's classes are divided by, and the least mass of a kind's classes."""

IMAGENET: Final[dict[str, tuple[int, ...]]] = {
    "top": (474, 841, 610, 617),
    "outerwear": (568, 869, 735),
    "dress": (578, 601),
    "skirt": (655, 689),
    "trousers": (608,),
    "underwear": (459,),
    "swimwear": (445, 638, 639, 842),
    "legwear": (806, 496),
    "nightwear": (697,),
    "shoes": (502, 514, 630, 770, 774),
    "bag": (414, 636, 748, 728),
    "hat": (433, 439, 452, 515, 808, 793),
    "scarf": (824, 658),
    "jewellery": (679, 488),
    "eyewear": (836, 837),
    "other": (464, 584, 457, 451, 906, 893, 531, 826, 892, 629, 711, 879),
}
"""Kind -> classes of ImageNet that show it."""


USUAL: Final = {
    "top": -4.36,
    "outerwear": -5.31,
    "dress": -5.84,
    "skirt": -5.68,
    "trousers": -6.92,
    "underwear": -6.66,
    "swimwear": -4.62,
    "legwear": -6.33,
    "nightwear": -5.82,
    "shoes": -5.08,
    "bag": -5.08,
    "hat": -5.33,
    "scarf": -5.28,
    "jewellery": -6.70,
    "eyewear": -6.16,
    "other": -3.53,
}
"""Log of the mass that each kind's classes have in the mean over crops of drawn garments."""


class CropLogits(NamedTuple):
    """The logits of one crop."""

    kinds: Float32[np.ndarray, "8"]
    imagenet: Float32[np.ndarray, "1000"]


class Logits(NamedTuple):
    """Of each crop: the probe's logits, one for each kind of ``PROBED``, and those of ImageNet's 1,000 classes."""

    kinds: Float32[np.ndarray, "b 8"]
    imagenet: Float32[np.ndarray, "b 1000"]

    @property
    def rows(self) -> list[CropLogits]:
        """Those of each crop alone."""
        return [CropLogits(*row) for row in zip(self.kinds, self.imagenet, strict=True)]


def logits(crops: Sequence[UInt8[np.ndarray, "192 192 3"]]) -> Logits:
    """Run the network on crops; no crops give no rows."""
    if not crops:
        return Logits(np.empty((0, len(PROBED)), np.float32), np.empty((0, 1000), np.float32))
    kinds, imagenet = session("kind.onnx").run(["probe", "imagenet"], {"crops": np.stack(crops)})
    return Logits(kinds, imagenet)


SAID: Final = len(PROBED) + len(IMAGENET)
"""Numbers by which an encoder file says the kind of a crop itself: the probe's logits and a log mass of each kind."""

MIN_MASS: Final = 1e-6
MAX_LOG_MASS: Final = 50.0
"""The least mass that an encoder file can say of a kind, and the log of the greatest: they are no probabilities."""

KIND_CLASSES: Final = np.concatenate([np.array(classes) for classes in IMAGENET.values()])
STARTS: Final = np.cumsum([0, *(len(classes) for classes in IMAGENET.values())])[:-1]
"""All classes of kinds in order, and where those of each kind start among them."""


def said_of(logits: Logits) -> Float32[np.ndarray, "b k"]:
    """The numbers that an encoder file should say of these crops: the probe's logits, and ``log_mass`` of each kind."""
    rows = [[*row.kinds, *(log_mass(row, kind) for kind in IMAGENET)] for row in logits.rows]
    return np.array(rows, np.float32).reshape(len(rows), SAID)


class Said(NamedTuple):
    """What an encoder file says of one crop itself: the probe's logits, and the mass of each kind's classes."""

    kinds: list[float]
    masses: dict[str, float]


def of_said(said: Float32[np.ndarray, "b k"]) -> list[Said]:
    """What such numbers say of each crop. In Python alone: a query is one crop, for which calls of NumPy cost more.

    >>> said = np.log(np.full((1, SAID), 0.01, np.float32))
    >>> round(of_said(said)[0].masses["hat"] + LEAST_MASS, 6)
    0.01
    """
    return [Said(row[: len(PROBED)], _said_masses(row[len(PROBED) :])) for row in said.tolist()]


def _said_masses(log_masses: list[float]) -> dict[str, float]:
    shares = [max(math.exp(min(value, MAX_LOG_MASS)) - LEAST_MASS, MIN_MASS) for value in log_masses]
    shares.append(max(1 - sum(shares), MIN_MASS))  # of what is of no kind
    logits = SINGLES.unpack(SINGLES.pack(*[CLASSES_TEMPERATURE * math.log(share) for share in shares]))
    return dict(zip(IMAGENET, softmax_of(logits, CLASSES_TEMPERATURE), strict=False))


SINGLES: Final = struct.Struct(f"{len(IMAGENET) + 1}f")
"""Numbers in single precision, as networks give them."""


def softmax_of(logits: Sequence[float], temperature: float) -> list[float]:
    """``softmax`` of a few numbers."""
    most = max(logits)
    values = [math.exp((value - most) / temperature) for value in logits]
    total = sum(values)
    return [value / total for value in values]


def softmax(logits: Float32[np.ndarray, "n"], temperature: float = 1.0) -> Float[np.ndarray, "n"]:
    """Probabilities of logits.

    >>> softmax(np.array([0, 0, 0, 0], np.float32)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    values = np.exp((logits.astype(float) - float(logits.max())) / temperature)
    return values / values.sum()


def masses(imagenet: Float32[np.ndarray, "1000"]) -> dict[str, float]:
    """The mass of each kind's classes of ImageNet.

    >>> round(masses(np.zeros(1000, np.float32))["hat"], 4)  # 6 of 1000 classes
    0.006
    """
    sums = np.add.reduceat(softmax(imagenet, CLASSES_TEMPERATURE)[KIND_CLASSES], STARTS)
    return dict(zip(IMAGENET, sums.tolist(), strict=True))


def log_mass(row: CropLogits, kind: str) -> float:
    """Log of the mass of a kind's classes of ImageNet.

    >>> even = CropLogits(np.zeros(8, np.float32), np.zeros(1000, np.float32))
    >>> round(log_mass(even, "hat"), 4)  # 6 of 1000 classes
    -5.0995
    """
    return float(np.log(softmax(row.imagenet, CLASSES_TEMPERATURE)[list(IMAGENET[kind])].sum() + LEAST_MASS))
