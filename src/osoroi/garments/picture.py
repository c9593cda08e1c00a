"""What a crop's pixels say of its kind: a linear probe and ImageNet's classes on a frozen EfficientNet-Lite0.

The probe learned the kinds of CC0 photos of single garments; for kinds that those photos lack (bags, swimwear,
jewellery) ImageNet has classes of its own. ``tools/make_kind_network.py`` makes the network.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi.garments.runtime import session
from osoroi.records import Preprocessing

INPUT: Final = Preprocessing(192, 192)
"""The network takes crops resized to this many pixels, without keeping their proportions."""

PROBED: Final = ("top", "outerwear", "dress", "skirt", "trousers", "shorts", "shoes", "hat")
"""Kinds of the probe, in the order of its outputs."""


class Row(NamedTuple):
    """The logits of one crop."""

    kinds: Float32[np.ndarray, "8"]
    imagenet: Float32[np.ndarray, "1000"]


class Logits(NamedTuple):
    """Of each crop: the probe's logits, one for each kind of ``PROBED``, and those of ImageNet's 1,000 classes."""

    kinds: Float32[np.ndarray, "b 8"]
    imagenet: Float32[np.ndarray, "b 1000"]

    @property
    def rows(self) -> list[Row]:
        """Those of each crop alone."""
        return [Row(*row) for row in zip(self.kinds, self.imagenet, strict=True)]


def logits(crops: Sequence[UInt8[np.ndarray, "192 192 3"]]) -> Logits:
    """Run the network on crops; no crops give no rows."""
    if not crops:
        return Logits(np.empty((0, len(PROBED)), np.float32), np.empty((0, 1000), np.float32))
    kinds, imagenet = session("kind.onnx").run(["probe", "imagenet"], {"crops": np.stack(crops)})
    return Logits(kinds, imagenet)
