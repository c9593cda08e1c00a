"""Features of crops that hold two inputs: ours gives ``detail``, and that of a brought backbone gives ``deep``."""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from osoroi.model.network import FeatureExtractor, Features
from osoroi.records import Preprocessing


class BroughtExtractor(nn.Module):
    """Our own extractor, which is not trained, beside a backbone that maps uint8 pixels [b h w 3] to unit vectors.

    ``backbone`` has ``width``, the numbers of its vector, and ``widths``, which is one block: it is trained as a whole
    or not at all.
    """

    def __init__(self, own: FeatureExtractor, backbone: nn.Module, view: Preprocessing) -> None:
        super().__init__()
        assert view.fit is not None
        self.own = own
        self.backbone: Any = backbone
        self.view = view
        self.fit = view.fit

    @property
    def foreground(self) -> nn.Module | None:
        """The foreground head, which ``detail`` is pooled with."""
        return self.own.foreground

    @property
    def sizes(self) -> dict[str, list[tuple[str, int]]]:
        """As that of ``FeatureExtractor``."""
        return {"deep": [("last", self.backbone.width)], "detail": self.own.sizes["detail"]}

    def sources(self, part: str) -> list[tuple[str, int]]:
        """The sources of one part."""
        return self.sizes[part]

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Features:
        return self.forward_with_mask(crops)[0]

    def forward_with_mask(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Features, Float[Tensor, "b y x"] | None]:
        """Features, and the foreground mask of our own input."""
        height, width = self.view.height, self.view.width
        with torch.no_grad():
            features, mask = self.own.forward_with_mask(crops[:, :height, :width])
        theirs = crops[:, height : height + self.fit.height, : self.fit.width]
        return Features(self.backbone(theirs), features.detail), mask
