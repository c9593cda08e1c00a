"""Heads: the last, linear step from the features of a part to its unit vector, and their closed form."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from osoroi.errors import extra

STILL = 1e-6
"""Added to deviations, so that a feature that never changes divides by something."""

RIDGE = 1e-3
"""Of a regression, as a share of the mean variance of what it knows."""

HIDDEN = 4096
"""Between two layers."""


class Head(nn.Module):
    r"""Standardise, one linear layer, unit length: :math:`y = W (x - c) / s + b`, then :math:`y / |y|`."""

    centre: Tensor
    spread: Tensor

    def __init__(self, entering: int, size: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.register_buffer("centre", torch.zeros(entering))
        self.register_buffer("spread", torch.ones(entering))
        self.linear = nn.Linear(entering, size)

    def forward(self, raw: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        standard = F.dropout((raw - self.centre) / self.spread, self.dropout, self.training)
        return F.normalize(self.linear(standard), dim=1)

    def begin(self, head: "Head") -> None:
        """Start as a head of the first features; those behind them count nothing until something was learned."""
        known = len(head.centre)
        self.centre[:known], self.spread[:known] = head.centre, head.spread
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.weight[:, :known] = head.linear.weight
            self.linear.bias.copy_(head.linear.bias)


class TwoLayers(Head):
    r"""As was published, of standardised features: :math:`h = \max(0, U z + a)`, then :math:`y = W h / |h| + b` and
    :math:`y / |y|`."""

    def __init__(self, entering: int, size: int, *, dropout: float = 0.0) -> None:
        super().__init__(HIDDEN, size, dropout=dropout)
        self.centre, self.spread = torch.zeros(entering), torch.ones(entering)
        self.hidden = nn.Linear(entering, HIDDEN)

    def forward(self, raw: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        hidden = F.normalize(F.relu(self.hidden((raw - self.centre) / self.spread)))
        return F.normalize(self.linear(F.dropout(hidden, self.dropout, self.training)), dim=1)

    def begin(self, head: Head) -> None:
        """Take the standardisation of a head of the first features, and nothing else: layers start at random."""
        known = len(head.centre)
        self.centre[:known], self.spread[:known] = head.centre, head.spread


class Source(NamedTuple):
    """A run of features that are measured alike: how far they share one spread, and how much they count."""

    name: str
    size: int
    shared: float = 0.0
    counts: float = 1.0


def spreads(raw: Float64[np.ndarray, "b n"], sources: Sequence[Source]) -> Float64[np.ndarray, "n"]:
    r"""What each feature is divided by.

    .. math:: s_i^2 = \big((1 - r)\,\sigma_i^2 + r\,\overline{\sigma^2}\big) / c^2

    with the mean over the features of one source, its share r and its count c. With r = 0 every feature then has
    variance c²; with r = 1 a source keeps the proportions it was measured in, so that a colour that hardly ever
    occurred does not shout where it does.

    >>> raw = np.array([[1.0, 5.0], [-1.0, -5.0]])
    >>> spreads(raw, [Source("own", 2)]).round(3).tolist()
    [1.0, 5.0]
    >>> spreads(raw, [Source("one", 2, shared=1.0)]).round(3).tolist()  # the root of (1 + 25) / 2
    [3.606, 3.606]
    """
    ends = np.cumsum([source.size for source in sources])
    runs = np.split(raw.var(0), ends[:-1])
    return np.concatenate(
        [
            np.sqrt((1 - source.shared) * own + source.shared * own.mean()) / source.counts + STILL
            for source, own in zip(sources, runs, strict=True)
        ]
    )


class Noise(NamedTuple):
    """What is known of the same photos and should not be told by a head, row by row of both sides; and how many times
    what it tells counts as scatter within pairs."""

    street: Float64[np.ndarray, "n c"]
    shop: Float64[np.ndarray, "n c"]
    times: float


def discriminant(
    street: Float64[np.ndarray, "n m"],
    shop: Float64[np.ndarray, "n m"],
    size: int,
    *,
    sources: Sequence[Source],
    shrink: float,
    noise: Noise | None = None,
) -> Head:
    r"""A head that keeps the directions along which products differ and the two photos of one product do not.

    .. math:: B v = l \, \big((1 - r) W + r \, \overline{\operatorname{diag} W} \, I + t N\big) v, \quad
              y = v^\top z \, \sqrt{l / (1 + l)}

    Row i of both sides shows the same product. z are the centred features over their spreads, W is the scatter of the
    two photos around their mean, B that of these means, r is ``shrink``, v has unit length under the matrix in
    brackets, and the ``size`` largest l are kept. Linear discriminant analysis with products as classes: Fukunaga 1990,
    chapter 10; the factor is the root of the share of a direction's variance that lies between products. N is the
    scatter of what a linear regression on the ``noise`` tells of z, t is how many times it counts; as t grows, nothing
    linear is left of it (concept erasure: Belrose et al. 2023). Takes seconds and no seed. There must be at least
    ``size`` features.
    """
    assert size <= street.shape[1], f"no {size} directions in features of shape {street.shape}"
    every = np.concatenate([street, shop])
    centre, spread = every.mean(0), spreads(every, sources)
    one, other = (street - centre) / spread, (shop - centre) / spread
    half, middle = (one - other) / 2, (one + other) / 2
    within = half.T @ half / len(half)
    within = (1 - shrink) * within + (shrink * within.diagonal().mean() + STILL) * np.eye(len(within))
    if noise is not None:
        within += noise.times * _explained(np.concatenate([one, other]), np.concatenate([noise.street, noise.shop]))
    between = middle.T @ middle / len(middle)
    last = len(within) - 1
    linalg = extra("scipy.linalg", "train")
    values, vectors = linalg.eigh(between, within, subset_by_index=(last - size + 1, last))
    values, leading = values[::-1].clip(min=0), vectors[:, ::-1]
    return _head(centre, spread, leading * np.sqrt(values / (1 + values)))


def _explained(standard: Float64[np.ndarray, "n m"], known: Float64[np.ndarray, "n c"]) -> Float64[np.ndarray, "m m"]:
    """The scatter of what ridge regression on what is known tells of centred features."""
    known = known - known.mean(0)
    own, cross = known.T @ known / len(known), standard.T @ known / len(known)
    own += (RIDGE * own.diagonal().mean() + STILL) * np.eye(len(own))
    explained: Float64[np.ndarray, "m m"] = cross @ np.linalg.solve(own, cross.T)
    return explained


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
