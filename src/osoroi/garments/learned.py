r"""Kinds that a catalog teaches: linear discriminant analysis of features, labelled by the shop's own categories.

Pictures of single garments are hard to tell apart by a network that knows no shop. The looks of products whose kind the
shop says tell its other photos, and queries, apart far better (docs/decisions/0017-wishes.md).

.. math:: \ell_k(x) = x^\top \Sigma^{-1} \mu_k - \tfrac12 \mu_k^\top \Sigma^{-1} \mu_k, \qquad
          \Sigma = (1 - s)\, S_\text{within} + s\, \tfrac{\operatorname{tr} S_\text{within}}{d} I, \quad
          s = \frac{d}{n + d}
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from osoroi.garments.kinds import NAMES

TEMPERATURE: Final = 4.0
"""Likelihoods are divided by this, because classes of garments are no Gaussians and looks are not independent."""

PICTURE: Final = 0.5
"""What the log probability by picture counts besides many products: it is as sure of itself as looks would be without
``TEMPERATURE``. With few products the shrinkage s is added, up to 1."""

SHARE: Final = 0.5
"""What the log of a kind's share of the learned products counts: of a rare kind there is less to be found."""

FLOOR: Final = 1e-4
"""Least probability of a kind before its likelihood is known: a picture may have overlooked it."""

MIN_LABELLED: Final = 100
"""Fewer products of a known kind teach nothing."""

MIN_PER_KIND: Final = 4
"""Kinds with fewer products are not learned."""

ENOUGH: Final = 4096
"""Vectors that a classifier is learned from, at most."""

CERTAIN: Final = 1 - 1e-3
"""A stored kind whose number is at least this is what the shop says; pictures are never so sure."""


MIN_OF_WORD: Final = 5
"""A category that no dictionary knows is learned from at least so many products."""

MIN_CHANCE: Final = 0.4
"""A category is of a kind where the mean probability over its products is at least this."""

UNLIKELY: Final = 0.01
LIKELY: Final = 0.8
"""A photo contradicts its category where that kind is less probable than the first and another more than the second."""


class LearnedKinds(NamedTuple):
    """A linear classifier: ``features @ weights + offsets`` are log likelihoods of the kinds at ``columns``, and
    ``prior`` what is added for the part of the products that each of them is. ``picture`` is the weight of log
    probabilities by picture."""

    columns: Int64[np.ndarray, "c"]
    weights: Float64[np.ndarray, "d c"]
    offsets: Float64[np.ndarray, "c"]
    prior: Float64[np.ndarray, "c"]
    picture: float

    def likelihoods(self, features: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n c"]:
        """Log likelihood of each learned kind, up to a constant in each row."""
        logs: Float64[np.ndarray, "n c"] = features @ self.weights + self.offsets
        return logs


def certain(rows: Float32[np.ndarray, "n k"]) -> Bool[np.ndarray, "n"]:
    """Which parts ``kind`` hold one kind that is known."""
    known: Bool[np.ndarray, "n"] = rows.max(axis=1, initial=0.0) >= CERTAIN
    return known


def learn(features: Float32[np.ndarray, "n d"], labels: Int64[np.ndarray, "n"]) -> LearnedKinds | None:
    """The classifier of products with these features, whose kinds stand at the columns ``labels`` of the part; -1 where
    the kind is not known. None where fewer than two kinds, or too few products, can be learned from.

    >>> features = np.repeat(np.eye(2, dtype=np.float32), 100, axis=0)
    >>> learned = learn(features, np.repeat([4, 7], 100))
    >>> learned.columns.tolist(), learned.likelihoods(features[[0, -1]]).argmax(1).tolist()
    ([4, 7], [0, 1])
    """
    columns, counts = np.unique(labels[labels >= 0], return_counts=True)
    columns, counts = columns[counts >= MIN_PER_KIND], counts[counts >= MIN_PER_KIND]
    used = np.isin(labels, columns)
    if len(columns) < 2 or used.sum() < MIN_LABELLED:
        return None
    rows, names = features[used].astype(np.float64), np.searchsorted(columns, labels[used])
    means = np.stack([rows[names == number].mean(axis=0) for number in range(len(columns))])
    apart = rows - means[names]
    within = apart.T @ apart / len(rows)
    dim = len(within)
    shrinkage = dim / (len(rows) + dim)  # few products say little of many columns
    within = (1 - shrinkage) * within + (shrinkage * np.trace(within) / dim + 1e-9) * np.eye(dim)
    weights = np.linalg.solve(within, means.T)
    offsets = -0.5 * (means.T * weights).sum(axis=0)
    prior = SHARE * np.log(counts / counts.sum())
    picture = min(1.0, PICTURE + shrinkage)
    return LearnedKinds(columns.astype(np.int64), weights / TEMPERATURE, offsets / TEMPERATURE, prior, picture)


def sharpened(
    learned: LearnedKinds, features: Float32[np.ndarray, "n d"], rows: Float32[np.ndarray, "n k"]
) -> Float32[np.ndarray, "n k"]:
    r"""Parts ``kind`` after the looks have been weighed in; one that is known stays as it is.

    .. math:: \log p_k = v \log p^\text{picture}_k + \ell_k(x) / 4 + .5 \log n_k + c

    where n is the number of products of the kind and v = ``learned.picture``. Kinds that were not learned keep their
    probability; those that were share theirs anew.

    >>> learned = learn(np.repeat(np.eye(2, dtype=np.float32), 100, axis=0), np.repeat([0, 1], 100))
    >>> unsure = np.sqrt(np.array([[0.4, 0.4, 0.2]], np.float32))
    >>> [round(float(share), 2) for share in sharpened(learned, np.array([[0, 1]], np.float32), unsure)[0] ** 2]
    [0.0, 0.8, 0.2]
    """
    chances = np.square(rows, dtype=np.float64)
    shared = chances[:, learned.columns]
    said = learned.picture * np.log(shared + FLOOR)
    logs = said + learned.likelihoods(features) + learned.prior
    posterior = np.exp(logs - logs.max(axis=1, keepdims=True))
    posterior *= shared.sum(axis=1, keepdims=True) / posterior.sum(axis=1, keepdims=True)
    chances[:, learned.columns] = posterior
    return np.where(certain(rows)[:, None], rows, np.sqrt(chances)).astype(np.float32)


def held_out(
    features: Float32[np.ndarray, "n d"], labels: Int64[np.ndarray, "n"], kinds: int
) -> Float64[np.ndarray, "n k"] | None:
    """Probability of each kind for each product by a classifier of the other half, every second one; None where a half
    is too small to learn from."""
    chances = np.zeros((len(labels), kinds))
    half = np.arange(len(labels)) % 2
    for number in (0, 1):
        classifier = learn(features[half != number], labels[half != number])
        if classifier is None:
            return None
        logs = classifier.likelihoods(features[half == number])
        posterior = np.exp(logs - logs.max(axis=1, keepdims=True))
        chances[np.ix_(half == number, classifier.columns)] = posterior / posterior.sum(axis=1, keepdims=True)
    return chances


def kind_of_word(rows: Float32[np.ndarray, "n k"]) -> str | None:
    """The kind that products of one category have together, by the mean of their probabilities; None where they are
    fewer than ``MIN_OF_WORD``, or of several kinds.

    >>> skirt = np.zeros((5, len(NAMES) + 1), np.float32)
    >>> skirt[:, NAMES.index("skirt")], skirt[:, NAMES.index("dress")] = np.sqrt(0.6), np.sqrt(0.4)
    >>> kind_of_word(skirt), kind_of_word(skirt[:4])
    ('skirt', None)
    """
    if len(rows) < MIN_OF_WORD:
        return None
    means = (rows[:, : len(NAMES)].astype(np.float64) ** 2).mean(axis=0)
    return NAMES[int(means.argmax())] if means.max() >= MIN_CHANCE else None
