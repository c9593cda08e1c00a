"""Heads: the last, linear step from the features of a part to its unit vector, and how to start one without pairs."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

STILL = 1e-6
"""Added to deviations, so that a feature that never changes divides by something."""


class Head(nn.Module):
    r"""Standardise, one linear layer, unit length: :math:`y = W (x - c) / s + b`, then :math:`y / |y|`."""

    centre: Tensor
    spread: Tensor

    def __init__(self, entering: int, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(entering))
        self.register_buffer("spread", torch.ones(entering))
        self.linear = nn.Linear(entering, size)

    def forward(self, raw: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        return F.normalize(self.linear((raw - self.centre) / self.spread), dim=1)


def principal(raw: Float64[np.ndarray, "b n"], size: int, *, power: float) -> Head:
    r"""A head that keeps the ``size`` directions along which standardised features differ most.

    .. math:: W = \Lambda^{-p/2} V^\top, \quad \tfrac1b Z^\top Z = V \Lambda V^\top

    where Z are the standardised features and p is ``power``: 0 turns only, 1 whitens fully. The sign of each direction
    makes its largest component positive, so that the same features always give the same head. There must be at least
    ``size`` directions, that is more crops than that and as many features.
    """
    assert size <= min(raw.shape[1], len(raw) - 1), f"no {size} directions in features of shape {raw.shape}"
    centre, spread = raw.mean(0), raw.std(0) + STILL
    standard = (raw - centre) / spread
    values, vectors = np.linalg.eigh(standard.T @ standard / len(raw))
    leading, values = vectors[:, ::-1][:, :size], values[::-1][:size]
    signs = np.sign(leading[np.abs(leading).argmax(0), np.arange(size)])
    weight = (leading * signs / values ** (power / 2)).T
    head = Head(raw.shape[1], size)
    head.centre.copy_(torch.from_numpy(centre))
    head.spread.copy_(torch.from_numpy(spread))
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(weight))
        head.linear.bias.zero_()
    return head
