r"""The kind of a box: from its place on a body, the colours along the body, and its picture.

.. math:: P(k) \propto \exp\Big(\tfrac{1}{1.8} \log p(\text{place} \mid k) + c_k + r_k
          + .4 \log(q_k + .001) + .3 (\log m_k - u_k)\Big), \quad q = \operatorname{softmax}(z / 2.4)

``z`` are the probe's logits of the picture; a kind that the probe does not know has q = 1/8. ``m`` is the mass of the
kind's classes of ImageNet, ``u`` its usual logarithm; ``c`` says what bare legs and the waist speak for, ``r`` how
often people draw a box around the kind. Each p(place | k) is a Gaussian of independent numbers.
``tools/derive_garment_rule.py`` derives places and usual masses from drawn people.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi.garments import rule
from osoroi.garments.body import Body
from osoroi.garments.kinds import NAMES
from osoroi.garments.picture import (
    IMAGENET,
    LEAST_MASS,
    PROBED,
    USUAL,
    CropLogits,
    Said,
    masses,
    softmax,
    softmax_of,
)
from osoroi.garments.profile import Profile


class BodyPlace(NamedTuple):
    """Where a box lies on a body.

    ``top`` and ``bottom`` are along the body (shoulder 0, hip 1, knee 2, ankle 3); ``width`` is the logarithm of the
    width in torsos; ``offset`` is the distance of its middle from the body's, in torsos.
    """

    top: float
    bottom: float
    width: float
    offset: float


class Gaussian(NamedTuple):
    """Means and deviations of a kind's places."""

    mean: BodyPlace
    deviation: BodyPlace


FLOOR: Final = BodyPlace(0.35, 0.4, 0.55, 0.08)
"""The least deviations. Drawn people vary less than people do, whose garments also hide one another."""

WIDTH: Final = -0.28
"""Log width of skirts, dresses and jumpsuits, that of drawn trousers: drawn skirts flare more than worn ones."""


def _gaussian(top: float, bottom: float, width: float, offset: float, *deviations: float) -> Gaussian:
    wide = (max(pair) for pair in zip(deviations or FLOOR, FLOOR, strict=True))
    return Gaussian(BodyPlace(top, bottom, width, offset), BodyPlace(*wide))


PLACES: Final = {
    "top": _gaussian(-0.22, 0.94, 0.12, 0.02, 0.04, 0.19, 0.14, 0.02),
    "outerwear": _gaussian(-0.23, 1.57, 0.18, 0.03, 0.02, 0.65, 0.08, 0.03),
    "dress": _gaussian(-0.17, 2.03, WIDTH, 0.01, 0.03, 0.44, 0.33, 0.01),
    "skirt": _gaussian(0.71, 1.96, WIDTH, 0.02, 0.26, 0.47, 0.43, 0.02),
    "trousers": _gaussian(0.79, 3.16, -0.28, 0.02, 0.17, 0.22, 0.11, 0.02),
    "shorts": _gaussian(0.75, 1.42, -0.37, 0.02, 0.19, 0.07, 0.06, 0.02),
    "shoes": _gaussian(3.19, 3.47, -0.29, 0.01, 0.07, 0.08, 0.11, 0.01),
    "bag": _gaussian(0.84, 1.79, -0.35, 0.23, 0.66, 0.62, 0.29, 0.13),
    "jumpsuit": _gaussian(-0.17, 3.00, WIDTH, 0.01),
    "hat": _gaussian(-1.00, -0.60, -0.60, 0.05),
    "scarf": _gaussian(-0.35, 0.40, -0.35, 0.05),
    "legwear": _gaussian(2.00, 3.20, -0.50, 0.05),
    "belt": _gaussian(0.75, 0.95, -0.40, 0.05),
    "tie": _gaussian(-0.15, 0.70, -1.60, 0.05),
    "gloves": _gaussian(0.85, 1.20, -0.50, 0.45),
    "eyewear": _gaussian(-0.70, -0.58, -0.90, 0.05),
}
"""Kind -> where it lies on a body. From top to bag: what the tool above printed of drawn people. From jumpsuit on,
which drawn people do not wear: set by hand from where the body's parts are."""

RARE: Final = ("jumpsuit", "scarf", "legwear", "belt", "tie", "gloves", "eyewear")
RARELY: Final = -3.0
"""Kinds that people seldom draw a box around, and the log of how much more seldom than the others. Set by hand."""

PRIOR: Final = {"outerwear": 0.3, "dress": 0.5, "skirt": 0.3, "shorts": 0.8}
"""Log of how often each kind is asked for, where it is not 0. Chosen on half of the street photos (decision 0007)."""

SOFTER_PLACE: Final = 1.8
"""The four numbers of a place depend on each other, so their log-likelihood is divided by this."""

WRONG_POSE: Final = 8.0
"""No place makes a kind less likely than e to the minus this against the likeliest one, as a pose may be wrong."""

PICTURE: Final = 0.4
LEAST: Final = 0.001
TEMPERATURE: Final = 2.4
"""The weight of the picture; its least probability; and what its logits are divided by."""

CLASSES: Final = 0.3
"""The weight of ImageNet's classes."""

SKIN, WAIST = 0.6, 0.4
"""Weights of what bare legs, and one colour across the waist, say for the kinds of the lower half."""


def place(body: Body, box: tuple[float, float, float, float]) -> BodyPlace:
    """Where a box, in pixels of the pose's crop, lies on a body."""
    left, top, right, bottom = box
    start, end = body.place(top), body.place(bottom)
    width = float(np.log(max(right - left, 1.0) / body.torso))
    middle = body.centre((start + end) / 2)
    return BodyPlace(start, end, width, abs((left + right) / 2 - middle) / body.torso)


def log_likelihood(where: BodyPlace) -> dict[str, float]:
    """log p(place | kind) of every kind that has a place, up to one constant."""
    at = np.array(where)
    values = {}
    for kind, (mean, deviation) in PLACES.items():
        z = (at - np.array(mean)) / np.array(deviation)
        values[kind] = float(-0.5 * (z**2).sum() - np.log(np.array(deviation)).sum())
    return values


def posterior(where: BodyPlace | None, logits: CropLogits, colours: Profile | None = None) -> dict[str, float]:
    """Probability of each kind, from a place (None where nobody wears it), the picture, and the wearer's colours.

    Without a place it is that of a product photo.
    """
    if where is None:
        return product_posterior(*logits)
    return combined(evidence(where, colours), logits)


def evidence(where: BodyPlace, colours: Profile | None = None) -> dict[str, float]:
    """Log of how much a place, and the colours of the body it lies on, speak for each kind, up to one constant."""
    places = {kind: value / SOFTER_PLACE for kind, value in log_likelihood(where).items()}
    least = max(places.values()) - WRONG_POSE
    values = {
        kind: float(np.logaddexp(value, least)) + RARELY * (kind in RARE) + PRIOR.get(kind, 0.0)
        for kind, value in places.items()
    }
    for kind, value in ({} if colours is None else of_colours(colours)).items():
        values[kind] += value
    return values


def of_colours(colours: Profile) -> dict[str, float]:
    """What bare knees, bare shins and one colour across the waist add to the log of each kind of the lower half."""
    knees, shins = colours.skin_on_legs(*rule.KNEES), colours.skin_on_legs(*rule.SHINS)
    alike = rule.across_waist(colours)
    covered = 1 - max(knees, shins)
    return {
        "trousers": -SKIN * (rule.SHINS_AGAINST_TROUSERS * shins + rule.KNEES_AGAINST_TROUSERS * knees),
        "shorts": SKIN * (rule.KNEES_FOR_SHORTS * knees - rule.KNEES_AGAINST_SHORTS * covered),
        "dress": WAIST * rule.ALIKE_FOR_DRESS * alike,
        "skirt": -WAIST * rule.ALIKE_AGAINST_SKIRT * alike,
    }


def combined(evidence: Mapping[str, float], logits: CropLogits | Said) -> dict[str, float]:
    """Probability of each kind that the evidence names, with what the picture says."""
    picture = _picture(np.asarray(logits.kinds, np.float32))
    mass = logits.masses if isinstance(logits, Said) else masses(logits.imagenet)
    values = {}
    for kind, value in evidence.items():
        unusual = np.log(mass[kind] + LEAST_MASS) - USUAL[kind] if kind in IMAGENET else 0.0
        values[kind] = value + picture.get(kind, ELSE) + CLASSES * float(unusual)
    return _normalised(values)


ELSE: Final = PICTURE * float(np.log(1 / len(PROBED)))
"""What the picture adds for a kind that the probe does not know."""


def _picture(logits: Float32[np.ndarray, "8"]) -> dict[str, float]:
    shares = PICTURE * np.log(softmax(logits, TEMPERATURE) + LEAST)
    return dict(zip(PROBED, shares.tolist(), strict=True))


def _normalised(logs: dict[str, float]) -> dict[str, float]:
    values = np.exp(np.array(list(logs.values())) - max(logs.values()))
    return dict(zip(logs, (values / values.sum()).tolist(), strict=True))


def part(chances: dict[str, float]) -> Float32[np.ndarray, "k"]:
    r"""The part ``kind`` of a vector: the square roots of the probabilities, in the order of the table of kinds.

    Probabilities sum to at most 1; a last number makes the length 1, and is left out of every other vector's product
    where that sums to 1. The inner product of two such vectors is their Bhattacharyya coefficient, in [0, 1].

    >>> float(part({"top": 1.0}) @ part({"top": 0.25, "dress": 0.75}))
    0.5
    """
    shares = np.array([chances.get(name, 0.0) for name in (*NAMES, "")])  # "" is of no kind, and for the slack
    shares[-1] = max(1 - shares[:-1].sum(), 0.0)
    return np.sqrt(shares).astype(np.float32)


def product_posterior(kinds: Float32[np.ndarray, "8"], imagenet: Float32[np.ndarray, "1000"]) -> dict[str, float]:
    r"""Probability of each kind of a photo in which nobody wears it, from both outputs of the picture network.

    .. math:: a = \frac{.37 n}{.37 n + c + .02}

    is the share of the kinds that the probe does not know: n is the mass of their classes of ImageNet, c that of the
    kinds it knows. They divide it by their masses, the others divide 1 - a by the probe at temperature 2.
    """
    return _of_product(softmax(kinds, TEMPERATURE_ALONE).tolist(), masses(imagenet))


def said_posterior(said: Said) -> dict[str, float]:
    """``product_posterior`` of what an encoder file says itself."""
    return _of_product(softmax_of(said.kinds, TEMPERATURE_ALONE), said.masses)


def _of_product(probe: list[float], mass: Mapping[str, float]) -> dict[str, float]:
    n, c = sum([mass[kind] for kind in UNKNOWN]), sum([mass[kind] for kind in KNOWN])
    a = UNKNOWN_WEIGHT * n / (UNKNOWN_WEIGHT * n + c + 0.02)
    chances = {kind: a * mass[kind] / n for kind in UNKNOWN}
    chances.update(zip(PROBED, [(1 - a) * share for share in probe], strict=True))
    return chances


KNOWN: Final = tuple(kind for kind in IMAGENET if kind in PROBED)
UNKNOWN: Final = tuple(kind for kind in IMAGENET if kind not in PROBED)
"""Kinds that ImageNet and the probe know, and those that ImageNet alone knows."""

TEMPERATURE_ALONE: Final = 2.0
"""What the probe's logits are divided by where nobody wears the garment. Confidence would outrank looks."""

UNKNOWN_WEIGHT: Final = 0.37
"""What ImageNet's classes of kinds that the probe lacks count against those of kinds that it has."""
