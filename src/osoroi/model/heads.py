"""Heads: the last, linear step from the features of a part to its unit vector; and LDA, which fits them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from osoroi.errors import extra

EPSILON = 1e-6
"""Added to deviations, so that a constant feature is not divided by 0."""

NEGLIGIBLE = 1e-20
"""Smaller weights count as 0. LDA gives features that never vary weights below 1e-38, and processors multiply by those
slowly."""

RIDGE = 1e-3
"""Ridge of the regression on nuisances, as a share of their mean variance."""

HIDDEN = 4096
"""Dimensions between two layers."""


def unit(rows: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """Rows of length 1; rows of zeros stay. ``F.normalize`` writes the lengths out for every column when exported.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    if torch.onnx.is_in_onnx_export():  # one operation instead of three
        return torch.onnx.ops.symbolic(
            "LpNormalization", (rows,), {"axis": 1, "p": 2}, dtype=rows.dtype, shape=rows.shape
        )
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)


class Head(nn.Module):
    r"""Standardise, one linear layer, unit length: :math:`y = W (x - c) / s + b`, then :math:`y / |y|`."""

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int, dim: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.linear = nn.Linear(features, dim)

    def forward(self, raw: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        weight = self.linear.weight / self.spread
        if self.training:  # centred first, which half precision needs; and small weights have a gradient
            return unit(F.linear(F.dropout(raw - self.centre, self.dropout), weight, self.linear.bias))
        weight = torch.where(weight.abs() > NEGLIGIBLE, weight, 0.0)
        return unit(F.linear(raw, weight, self.linear.bias - weight @ self.centre))  # both are constants once exported

    def init_from(self, head: "Head") -> None:
        """Take the weights of a head of the first features; the features behind them start with weights of 0."""
        known = len(head.centre)
        self.centre[:known], self.spread[:known] = head.centre, head.spread
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.weight[:, :known] = head.linear.weight
            self.linear.bias.copy_(head.linear.bias)


class TwoLayers(Head):
    r"""As was published, of standardised features: :math:`h = \max(0, U z + a)`, then :math:`y = W h / |h| + b` and
    :math:`y / |y|`."""

    def __init__(self, features: int, dim: int, *, dropout: float = 0.0) -> None:
        super().__init__(HIDDEN, dim, dropout=dropout)
        self.centre, self.spread = torch.zeros(features), torch.ones(features)
        self.hidden = nn.Linear(features, HIDDEN)

    def forward(self, raw: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        hidden = F.normalize(F.relu(self.hidden((raw - self.centre) / self.spread)))
        return unit(self.linear(F.dropout(hidden, self.dropout, self.training)))

    def init_from(self, head: Head) -> None:
        """Take the standardisation of a head of the first features, and nothing else: the layers start at random."""
        known = len(head.centre)
        self.centre[:known], self.spread[:known] = head.centre, head.spread


class FeatureSource(NamedTuple):
    """A run of features that are measured alike; ``shared`` is how far they share one variance, ``counts`` a factor."""

    name: str
    size: int
    shared: float = 0.0
    counts: float = 1.0


def spreads(raw: Float64[np.ndarray, "b n"], sources: Sequence[FeatureSource]) -> Float64[np.ndarray, "n"]:
    r"""What each feature is divided by.

    .. math:: s_i^2 = \big((1 - r)\,\sigma_i^2 + r\,\overline{\sigma^2}\big) / c^2

    with the mean over the features of one source, its share r and its count c. With r = 0 every feature then has
    variance c²; with r = 1 a source keeps the proportions it was measured in, so that a colour that is rare in
    the training pairs does not dominate where it occurs.

    >>> raw = np.array([[1.0, 5.0], [-1.0, -5.0]])
    >>> spreads(raw, [FeatureSource("own", 2)]).round(3).tolist()
    [1.0, 5.0]
    >>> spreads(raw, [FeatureSource("one", 2, shared=1.0)]).round(3).tolist()  # the root of (1 + 25) / 2
    [3.606, 3.606]
    """
    ends = np.cumsum([source.size for source in sources])
    runs = np.split(raw.var(0), ends[:-1])
    return np.concatenate(
        [
            np.sqrt((1 - source.shared) * own + source.shared * own.mean()) / source.counts + EPSILON
            for source, own in zip(sources, runs, strict=True)
        ]
    )


class Nuisance(NamedTuple):
    """Features of the same photos that a head should not depend on, row by row of both domains; what they predict is
    added to the scatter within pairs ``weight`` times."""

    street: Float64[np.ndarray, "n c"]
    shop: Float64[np.ndarray, "n c"]
    weight: float


def fit_lda(
    street: Float64[np.ndarray, "n m"],
    shop: Float64[np.ndarray, "n m"],
    dim: int,
    *,
    sources: Sequence[FeatureSource],
    shrinkage: float,
    nuisance: Nuisance | None = None,
) -> Head:
    r"""A head that keeps the directions along which products differ and the two photos of one product do not.

    .. math:: B v = l \, \big((1 - r) W + r \, \overline{\operatorname{diag} W} \, I + t N\big) v, \quad
              y = v^\top z \, \sqrt{l / (1 + l)}

    Row i of both sides shows the same product. z are the centred features over their spreads, W is the scatter of the
    two photos around their mean, B that of these means, r is ``shrinkage``, v has unit length under the matrix in
    brackets, and the ``dim`` largest l are kept. Linear fit_lda analysis with products as classes: Fukunaga 1990,
    chapter 10; the factor is the root of the share of a direction's variance that lies between products. N is the
    scatter of what a linear regression on the ``nuisance`` predicts of z, t is its weight; as t grows, nothing
    linear is left of it (concept erasure: Belrose et al. 2023). Takes seconds and no seed. There must be at least
    ``dim`` features.
    """
    assert dim <= street.shape[1], f"no {dim} directions in features of shape {street.shape}"
    every = np.concatenate([street, shop])
    centre, spread = every.mean(0), spreads(every, sources)
    one, other = (street - centre) / spread, (shop - centre) / spread
    half, middle = (one - other) / 2, (one + other) / 2
    within = half.T @ half / len(half)
    within = (1 - shrinkage) * within + (shrinkage * within.diagonal().mean() + EPSILON) * np.eye(len(within))
    if nuisance is not None:
        within += nuisance.weight * _predicted_scatter(
            np.concatenate([one, other]), np.concatenate([nuisance.street, nuisance.shop])
        )
    between = middle.T @ middle / len(middle)
    last = len(within) - 1
    linalg = extra("scipy.linalg", "train")
    values, vectors = linalg.eigh(between, within, subset_by_index=(last - dim + 1, last))
    values, leading = values[::-1].clip(min=0), vectors[:, ::-1]
    return _head(centre, spread, leading * np.sqrt(values / (1 + values)))


def _predicted_scatter(
    standard: Float64[np.ndarray, "n m"], known: Float64[np.ndarray, "n c"]
) -> Float64[np.ndarray, "m m"]:
    """The scatter of what a ridge regression on known features predicts of centred features."""
    known = known - known.mean(0)
    own, cross = known.T @ known / len(known), standard.T @ known / len(known)
    own += (RIDGE * own.diagonal().mean() + EPSILON) * np.eye(len(own))
    scatter: Float64[np.ndarray, "m m"] = cross @ np.linalg.solve(own, cross.T)
    return scatter


def _head(
    centre: Float64[np.ndarray, "m"], spread: Float64[np.ndarray, "m"], leading: Float64[np.ndarray, "m d"]
) -> Head:
    """A head of directions, each turned so that its largest component is positive."""
    signs = np.sign(leading[np.abs(leading).argmax(0), np.arange(leading.shape[1])])
    head = Head(*leading.shape)
    head.centre.copy_(torch.from_numpy(centre))
    head.spread.copy_(torch.from_numpy(spread))
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy((leading * signs).T))
        head.linear.bias.zero_()
    return head
