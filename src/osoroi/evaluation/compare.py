"""Two systems on the same queries: how much better one is, how sure that is, and in which categories."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

from osoroi.errors import Mismatch
from osoroi.evaluation import bootstrap, results
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.results import Evaluation, Query

ALPHA = 0.05

Verdict = Literal["better", "worse", "not shown"]


@dataclass(frozen=True, eq=False)
class System:
    """An arm of one evaluation, or of several that differ in the seed of the training alone."""

    name: str
    arm: str
    evaluations: tuple[Evaluation, ...]

    def values(self, names: Sequence[str]) -> Float64[np.ndarray, "q m"]:
        """Each metric for each query, the mean over seeds."""
        return np.mean([results.values(each.arm(self.arm), names) for each in self.evaluations], axis=0)

    def means(self, names: Sequence[str], category: str | None = None) -> list[Interval]:
        """Each metric's mean over the queries of a category, with its interval over products."""
        first = self.evaluations[0]
        chosen = first.of(category)
        return bootstrap.bootstrap(self.values(names)[chosen], first.clusters()[chosen])


class Spread(NamedTuple):
    """Mean over seeds, their standard deviation (nan for one seed), lowest and highest."""

    mean: float
    deviation: float
    low: float
    high: float


class Difference(NamedTuple):
    """The first system minus the second, over the queries of a category (all where it is None).

    ``p`` is that of no difference; over categories it is corrected by Holm.
    """

    metric: str
    category: str | None
    queries: int
    interval: Interval
    p: float

    @property
    def verdict(self) -> Verdict:
        """What is shown at 5%: the first is better or worse; or neither."""
        if self.p >= ALPHA:
            return "not shown"
        return "better" if self.interval.mean > 0 else "worse"


class Named(NamedTuple):
    """Evaluations of the seeds of one training, what they are called, and whether somebody chose that name."""

    name: str
    chosen: bool
    evaluations: tuple[Evaluation, ...]


def open_named(text: str) -> Named:
    """``[NAME=]FILE[,FILE…]``; without a name, they are called as the first file. Raises Mismatch as ``same`` does."""
    name, equals, files = text.partition("=")
    if not equals or "/" in name:
        name, files = "", text
    paths = [Path(file) for file in files.split(",")]
    evaluations = tuple(results.read(path) for path in paths)
    for each in evaluations:
        same(evaluations[0], each)
    return Named(name or paths[0].stem, bool(name), evaluations)


def open_system(text: str) -> System:
    """``[NAME=]FILE[,FILE…][:ARM]``: evaluations of several seeds, and the arm meant; without one, their main arm."""
    files, colon, arm = text.rpartition(":")
    if not colon or "/" in arm or arm.endswith(".json"):
        files, arm = text, ""
    named = open_named(files)
    arm = arm or named.evaluations[0].main
    return system(named.name if named.chosen else f"{named.name}:{arm}", arm, named.evaluations)


def systems(named: Sequence[Named], *, dial: bool = False) -> list[System]:
    """Every arm of all of them; with ``dial`` instead those that sample the dial.

    They are called as their arm where only one training is there, and as the training where it has only one arm.
    """
    found = []
    for each in named:
        arms = [arm.name for arm in each.evaluations[0].arms if (arm.detail is not None) == dial]
        for arm in arms:
            name = arm if len(named) == 1 else each.name if len(arms) == 1 else f"{each.name} {arm}"
            found.append(system(name, arm, each.evaluations))
    return found


def system(name: str, arm: str, evaluations: Sequence[Evaluation]) -> System:
    """A system of evaluations that asked the same; raises Mismatch, and BadRequest for an arm that is not there."""
    for each in evaluations:
        each.arm(arm)
        same(evaluations[0], each)
    return System(name, arm, tuple(evaluations))


def same(one: Evaluation, other: Evaluation) -> None:
    """Raises Mismatch unless both asked the same of the same. Where the dial stood is a system's own affair."""
    for what, first, second in (
        ("protocol", replace(one.task.protocol, detail=None), replace(other.task.protocol, detail=None)),
        ("data (a hash of ids, categories and boxes)", one.data.fingerprint[:12], other.data.fingerprint[:12]),
        ("how many queries count", len(one.queries), len(other.queries)),
        ("which queries count", *_first_other(one.queries, other.queries)),
    ):
        if first != second:
            raise Mismatch(
                f"these evaluations differ in {what}: {first} and {second}",
                hint="evaluate both on the same data, in the same way",
            )


def _first_other(queries: Sequence[Query], others: Sequence[Query]) -> tuple[str, str]:
    """The first two that differ, as text; two empty ones where none do."""
    pairs = zip(queries, others, strict=False)
    return next(((str(tuple(one)), str(tuple(other))) for one, other in pairs if one != other), ("", ""))


def spread(chosen: System, metric: str, category: str | None = None) -> Spread:
    """How a system's mean over the queries of a category differs between seeds."""
    means = [
        float(results.values(each.arm(chosen.arm), [metric])[each.of(category)].mean()) for each in chosen.evaluations
    ]
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
    return Spread(float(np.mean(means)), deviation, min(means), max(means))


def compare(ours: System, theirs: System, names: Sequence[str], *, seed: int = 0) -> list[Difference]:
    """Ours minus theirs in each metric, over all queries and over those of each category, paired by query.

    Intervals and p draw whole clusters of queries that share a product. Over categories p is Holm's; over metrics it
    is not corrected: choose one beforehand.
    """
    same(ours.evaluations[0], theirs.evaluations[0])
    evaluation = ours.evaluations[0]
    gaps, cluster = ours.values(names) - theirs.values(names), evaluation.clusters()
    found = []
    for category in [None, *_several(evaluation.categories)]:
        chosen = evaluation.of(category)
        bounds = bootstrap.bootstrap(gaps[chosen], cluster[chosen], span=(-1.0, 1.0), seed=seed)
        for column, (name, interval) in enumerate(zip(names, bounds, strict=True)):
            p = bootstrap.flips(gaps[chosen, column], cluster[chosen], seed=seed)
            found.append(Difference(name, category, int(chosen.sum()), interval, p))
    return [each for name in names for each in _corrected([one for one in found if one.metric == name])]


def _several(categories: Sequence[str]) -> Sequence[str]:
    return categories if len(categories) > 1 else []


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    """The differences of one metric, the first over all queries, p of the others corrected for their number."""
    whole, *parts = found
    ps = bootstrap.holm([each.p for each in parts])
    return [whole, *(each._replace(p=p) for each, p in zip(parts, ps, strict=True))]
