r"""How likely a hit is the very product that the query shows, estimated from the scores of the whole list.

A raw score does not tell: it depends on the photo, and the score of the best wrong product grows with the gallery. What
stands out from the products below it does. The model is a conditional logit over the first products of a list and the
outcome that none of them is the product:

.. math:: P_r = \frac{e^{z_r}}{e^{z_0} + \sum_j e^{z_j}}, \quad
          z_r = \text{slope} \cdot (s_r - b), \quad
          z_0 = \text{null} + \text{level} \cdot b + \text{spread} \cdot d

s are scores by looks, which are all parts but ``kind``; b is their mean at ranks 6 to 11, d the mean of ranks 2 to 6
minus that of ranks 11 to 16. Both move with the gallery, so its size is no feature of its own. ``fit`` maximises the
likelihood, which is concave. McFadden 1974, Conditional logit analysis of qualitative choice behavior.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

import numpy as np
from jaxtyping import Bool, Float64

from osoroi.records import Part

DEPTH: Final = 16
"""Products of a list that the model looks at."""

OPTIONS: Final = 12
"""Products of a list that may be the right one."""

FLOOR: Final = 0.2
"""Score of a product that has nothing in common with the query. It stands for those that a small gallery lacks."""

RIDGE: Final = 1e-9
STEPS: Final = 100

PARAMETERS: Final = ("slope", "null", "level", "spread")


@dataclass(frozen=True)
class Calibration:
    """The parameters of the model, and what they were fitted on: a data set and a number of lists.

    ``depth`` is how many products of a list it looks at: more change no chance.
    """

    depth: ClassVar[int] = DEPTH

    slope: float
    null: float
    level: float
    spread: float
    dataset: str = ""
    lists: int = 0

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Calibration":
        """The calibration that ``asdict`` wrote; raises ValueError, KeyError or TypeError for anything else."""
        values = {name: float(written[name]) for name in PARAMETERS}
        if not all(map(math.isfinite, values.values())) or values["slope"] <= 0:
            raise ValueError(f"a calibration has finite parameters and a slope above 0, not {values}")
        return cls(**values, dataset=str(written["dataset"]), lists=int(written["lists"]))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the metadata of an encoder file."""
        return asdict(self)

    def probabilities(
        self, scores: Float64[np.ndarray, "n"], agreement: Float64[np.ndarray, "n"] | None = None
    ) -> Float64[np.ndarray, "n"]:
        """The chance of each product of a list to be the one that the query shows; they sum to at most 1.

        ``scores`` are by looks, of the best products of a search: at least 16, unless the gallery has fewer. Their
        order is free. From the thirteenth score on the chance is 0. Of an empty list it is empty. ``agreement``, in
        [0, 1], multiplies the odds of a product; without it they are by looks alone.

        >>> model = Calibration(slope=30.0, null=10.0, level=-12.0, spread=16.0)
        >>> model.probabilities(np.array([0.9, 0.6, 0.6, 0.59, 0.58, 0.57, 0.57])).round(2).tolist()
        [0.99, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        >>> model.probabilities(np.full(20, 0.6)).round(2).max() < 0.1
        np.True_
        """
        agreeing = None if agreement is None else agreement.tolist()
        return np.array(self._probabilities(scores.tolist(), agreeing), np.float64)

    def _probabilities(self, given: list[float], agreement: list[float] | None) -> list[float]:
        """``probabilities`` of a short list. In Python alone: a query has one, for which calls of NumPy cost more."""
        if not given:
            return []
        every = [0.0] * len(given)
        order = sorted(range(len(given)), key=given.__getitem__, reverse=True)  # of equal ones the first stays first
        best = [given[place] for place in order[:DEPTH]]
        ranked = best + [min(FLOOR, best[-1])] * (DEPTH - len(best))
        below = sum(ranked[5:11]) / 6
        none = self.null + self.level * below + self.spread * (sum(ranked[1:6]) / 5 - sum(ranked[10:]) / 6)
        logits = [self.slope * (score - below) for score in best[:OPTIONS]]  # a short list has no others
        most = max(none, *logits)
        odds = [math.exp(logit - most) for logit in logits]
        if agreement is not None:
            odds = [one * agreement[place] for one, place in zip(odds, order, strict=False)]
        total = sum(odds) + math.exp(none - most) or 1.0  # no product agrees, and none at all is as unlikely
        for place, one in zip(order, odds, strict=False):
            every[place] = one / total
        return every

    def chances(self, parts: Sequence[Part], cosines: Sequence[Mapping[str, float]]) -> Float64[np.ndarray, "n"]:
        """The chance of each product of a search, best first, by the cosines of its parts; ``parts`` are those of its
        looks. Behind the first ``depth`` it is 0.

        >>> model = Calibration(slope=30.0, null=10.0, level=-12.0, spread=16.0)
        >>> model.chances([Part("deep", 8, 1.0)], [{"deep": 0.9}, *[{"deep": 0.6}] * 19]).round(2)[[0, 1, 19]]
        array([1., 0., 0.])
        """
        first = cosines[: self.depth]
        chances = self._probabilities(_appearance(parts, first), _agreement(first))
        return np.array(chances + [0.0] * (len(cosines) - len(first)), np.float64)


def appearance(parts: Sequence[Part], cosines: Sequence[Mapping[str, float]]) -> Float64[np.ndarray, "n"]:
    """The score of each product by its looks: the weighted mean over these parts, which are all but ``kind``.

    >>> parts = [Part("deep", 8, 0.18), Part("detail", 8, 0.42)]
    >>> appearance(parts, [{"deep": 1.0, "detail": 0.5, "kind": 0.0}]).round(2)
    array([0.65])
    """
    return np.array(_appearance(parts, cosines), np.float64)


def _appearance(parts: Sequence[Part], cosines: Sequence[Mapping[str, float]]) -> list[float]:
    sums = [0.0] * len(cosines)
    for part in parts:
        name, weight = part.name, part.weight
        sums = [so_far + weight * each[name] for so_far, each in zip(sums, cosines, strict=True)]
    total = sum([part.weight for part in parts]) or 1.0
    return [one / total for one in sums]


SURE: Final = (0.3, 0.7)
"""Cosines of the part ``kind`` between which the best of a list is what the others are compared with."""


def agreement(cosines: Sequence[Mapping[str, float]]) -> Float64[np.ndarray, "n"]:
    """How far each product's kind leaves it possible that it is the one in the photo, in [0, 1].

    A cosine of the part ``kind`` is the square root of the chance that both are of one kind where the shop's category
    is known. A photo may tell its kind badly, so the best of the list counts as certain, unless nothing in it agrees.
    All ones where vectors have no such part.

    >>> agreement([{"kind": 0.9}, {"kind": 0.35}, {"kind": 0.0}]).tolist()
    [1.0, 0.25, 0.0]
    >>> agreement([{"deep": 0.9}]).tolist()
    [1.0]
    """
    return np.array(_agreement(cosines), np.float64)


def _agreement(cosines: Sequence[Mapping[str, float]]) -> list[float]:
    kinds = [each.get("kind", 1.0) for each in cosines]
    least, most = SURE
    best = min(max(max(kinds, default=0.0), least), most)
    shares = [min(max(kind / best, 0.0), 1.0) for kind in kinds]
    return [share * share for share in shares]


def padded(ranked: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "16"]:
    """The first scores of a list, best first; what a short list lacks has the floor, or less where it ends below."""
    rest = np.full(max(0, DEPTH - len(ranked)), min(FLOOR, float(ranked[-1])))
    return np.concatenate([ranked, rest])[:DEPTH]


def background(ranked: Float64[np.ndarray, "q 16"]) -> Float64[np.ndarray, "q"]:
    """Mean score at ranks 6 to 11."""
    return ranked[:, 5:11].mean(1)


def features(ranked: Float64[np.ndarray, "q 16"]) -> Float64[np.ndarray, "q 13 4"]:
    """What multiplies (slope, null, level, spread) in the logit of each of twelve products, and of none of them."""
    below = background(ranked)
    made = np.zeros((len(ranked), OPTIONS + 1, len(PARAMETERS)))
    made[:, :OPTIONS, 0] = ranked[:, :OPTIONS] - below[:, None]
    made[:, OPTIONS, 1:] = np.stack([np.ones(len(ranked)), below, ranked[:, 1:6].mean(1) - ranked[:, 10:].mean(1)], 1)
    return made


def fit(ranked: Float64[np.ndarray, "q 16"], right: Bool[np.ndarray, "q 16"], *, dataset: str = "") -> Calibration:
    """The parameters of greatest likelihood, by Newton's method.

    ``ranked`` has the scores of each list, best first, and ``right`` says which product is the right one: at most one
    of each list. A list whose right product is not among the first twelve counts as one without it. Raises ValueError
    where no list has its product among them, or every list has.
    """
    answer = right[:, :OPTIONS]
    chosen = np.concatenate([answer, ~answer.any(1, keepdims=True)], 1).astype(float)
    if not 0 < chosen[:, OPTIONS].sum() < len(chosen):
        raise ValueError("lists with and without their product are needed")
    made = features(ranked)
    mean, parameters = np.einsum("qo,qop->p", chosen, made) / len(made), np.zeros(len(PARAMETERS))
    for _ in range(STEPS):
        logits = made @ parameters
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        expected = np.einsum("qo,qop->qp", chances, made)
        gradient = mean - expected.mean(0) - RIDGE * parameters
        spread = np.einsum("qo,qop,qor->pr", chances, made, made) - expected.T @ expected
        step = np.linalg.solve(spread / len(made) + RIDGE * np.eye(len(parameters)), gradient)
        parameters += step * min(1.0, 20.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-9:
            break
    slope, null, level, wide = map(float, parameters)
    return Calibration(slope, null, level, wide, dataset, len(made))
