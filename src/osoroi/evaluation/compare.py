"""Two systems on the same queries: the difference, its confidence interval and test, overall and by category."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from osoroi.errors import BadRequest, Mismatch, extra
from osoroi.evaluation import bootstrap, results
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.results import Evaluation, Query

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

ALPHA = 0.05
"""Significance level."""

DEFAULT_METRICS = ("hit@5", "nDCG@5")
"""Metrics that are compared where no others are given."""

Verdict = Literal["better", "worse", "not shown"]


@dataclass(frozen=True, eq=False)
class System:
    """One arm of an evaluation, or of several evaluations that differ only in the seed of the training."""

    name: str
    arm: str
    evaluations: tuple[Evaluation, ...]

    def values(self, names: Sequence[str]) -> Float64[np.ndarray, "q m"]:
        """Each metric of each query, averaged over seeds."""
        return np.mean([results.values(evaluation.arm(self.arm), names) for evaluation in self.evaluations], axis=0)

    def means(self, names: Sequence[str], category: str | None = None) -> list[Interval]:
        """Each metric's mean over the queries of a category, with its interval from clusters of products and
        designs."""
        chosen = self.evaluations[0].in_category(category)
        return bootstrap.bootstrap_means(self.values(names)[chosen], self.clusters[chosen])

    @cached_property
    def clusters(self) -> Int64[np.ndarray, "q"]:
        """A number of a cluster for each query, the same where queries share a product or a design."""
        return results.clusters(self.evaluations)


class Spread(NamedTuple):
    """Mean over seeds, standard deviation (nan for one seed), lowest and highest."""

    mean: float
    deviation: float
    low: float
    high: float


class Difference(NamedTuple):
    """The first system minus the second, over the queries of a category (all where it is None).

    ``p`` belongs to the null hypothesis of no difference; over categories it is corrected by Holm.
    """

    metric: str
    category: str | None
    queries: int
    interval: Interval
    p: float

    @property
    def verdict(self) -> Verdict:
        """Whether the first system is significantly better or worse at 5%, or neither."""
        if self.p >= ALPHA:
            return "not shown"
        return "better" if self.interval.mean > 0 else "worse"


class SeedGroup(NamedTuple):
    """Evaluations of one training under several seeds, its name, and whether the user chose that name."""

    name: str
    named_by_user: bool
    evaluations: tuple[Evaluation, ...]


def read_seed_group(text: str) -> SeedGroup:
    """Read ``[NAME=]FILE[,FILE…]``; the default name is that of the first file.

    Raises Mismatch as ``check_comparable`` does.
    """
    name, equals, files = text.partition("=")
    if not equals or "/" in name:
        name, files = "", text
    paths = files.split(",")
    evaluations = tuple(map(results.read, paths))
    for each in evaluations:
        check_comparable(evaluations[0], each)
    return SeedGroup(name or Path(paths[0]).stem, bool(name), evaluations)


def read_system(text: str) -> System:
    """Read ``[NAME=]FILE[,FILE…][:ARM]``: evaluations of several seeds, and an arm (by default their main arm)."""
    files, colon, arm = text.rpartition(":")
    if not colon or "/" in arm or arm.endswith(".json"):
        files, arm = text, ""
    group = read_seed_group(files)
    arm = arm or group.evaluations[0].main
    return system(group.name if group.named_by_user else f"{group.name}:{arm}", arm, group.evaluations)


def systems(groups: Sequence[SeedGroup], *, sampled: bool = False) -> list[System]:
    """A system for every arm of every group; with ``sampled``, for the arms that sample the detail weight instead.

    The name is that of the arm where there is one group, and that of the group where it has one arm.
    """
    result = []
    for group in groups:
        arms = [arm.name for arm in group.evaluations[0].arms if (arm.detail is not None) == sampled]
        for arm in arms:
            name = arm if len(groups) == 1 else group.name if len(arms) == 1 else f"{group.name} {arm}"
            result.append(system(name, arm, group.evaluations))
    return result


def system(name: str, arm: str, evaluations: Sequence[Evaluation]) -> System:
    """A system of evaluations of the same task. Raises Mismatch, and BadRequest for an arm that does not exist."""
    for each in evaluations:
        each.arm(arm)
        check_comparable(evaluations[0], each)
    return System(name, arm, tuple(evaluations))


def check_comparable(one: Evaluation, other: Evaluation) -> None:
    """Raise Mismatch unless protocol, data and queries are the same. The detail weight may differ between systems."""
    for what, first, second in (
        ("protocol", replace(one.task.protocol, detail=None), replace(other.task.protocol, detail=None)),
        ("data (a hash of ids, categories and boxes)", one.data.fingerprint[:12], other.data.fingerprint[:12]),
        ("the number of queries", len(one.queries), len(other.queries)),
        ("the queries", *_first_difference(one.queries, other.queries)),
    ):
        if first != second:
            raise Mismatch(
                f"these evaluations differ in {what}: {first} and {second}",
                hint="evaluate both on the same data, with the same options",
            )


def _first_difference(queries: Sequence[Query], others: Sequence[Query]) -> tuple[str, str]:
    """The first two queries that differ, as text; two empty texts where none do."""
    pairs = zip(queries, others, strict=False)
    return next(((str(tuple(one)), str(tuple(other))) for one, other in pairs if one != other), ("", ""))


def seed_spread(chosen: System, metric: str, category: str | None = None) -> Spread:
    """Spread between seeds of a system's mean over the queries of a category."""
    means = [
        float(results.values(each.arm(chosen.arm), [metric])[each.in_category(category)].mean())
        for each in chosen.evaluations
    ]
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
    return Spread(float(np.mean(means)), deviation, min(means), max(means))


Comparable = System | Evaluation | str | os.PathLike[str]
"""What can be compared: a system, an evaluation (its main arm), or text or path as ``read_system`` reads it."""


def compare(
    first: Comparable, second: Comparable, *, metrics: Sequence[str] = DEFAULT_METRICS, seed: int = 0
) -> "Comparison":
    """First minus second in each metric, over all queries and over those of each category, paired by query.

    Intervals come from a bootstrap, and p-values from a sign-flip test, over clusters of queries that share a product
    or a design, which one of the evaluations must know. Over categories p is corrected by Holm; over metrics it is not:
    choose one beforehand. Raises Mismatch where the two were not evaluated on the same queries under the same protocol.
    """
    metrics = list(dict.fromkeys(metrics))
    if not metrics:
        raise BadRequest("no metric to compare", hint="name one, such as hit@5")
    ours, theirs = as_system(first), as_system(second)
    evaluation = ours.evaluations[0]
    check_comparable(evaluation, theirs.evaluations[0])
    gaps = ours.values(metrics) - theirs.values(metrics)
    cluster = results.clusters([*ours.evaluations, *theirs.evaluations])
    categories = evaluation.categories if len(evaluation.categories) > 1 else []
    differences: dict[str, list[Difference]] = {name: [] for name in metrics}  # in the order given, each once
    for category in [None, *categories]:
        chosen = evaluation.in_category(category)
        intervals = bootstrap.bootstrap_means(gaps[chosen], cluster[chosen], span=(-1.0, 1.0), seed=seed)
        for column, (name, interval) in enumerate(zip(metrics, intervals, strict=True)):
            p = bootstrap.sign_flip_test(gaps[chosen, column], cluster[chosen], seed=seed)
            differences[name].append(Difference(name, category, int(chosen.sum()), interval, p))
    return Comparison(ours, theirs, [row for rows in differences.values() for row in _corrected(rows)])


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two systems and their differences: by metric, first over all queries and then by category."""

    first: System
    second: System
    differences: list[Difference]

    def to_dataframe(self) -> DataFrame:
        """A pandas table, one row per metric and category (None: all queries).

        Columns: metric, category, queries, difference, low, high, p, verdict. Raises MissingExtra where pandas is not
        installed.
        """
        pandas = extra("pandas", "pandas")
        rows = [
            (each.metric, each.category, each.queries, *each.interval, each.p, each.verdict)
            for each in self.differences
        ]
        columns = ["metric", "category", "queries", "difference", "low", "high", "p", "verdict"]
        return pandas.DataFrame(rows, columns=columns)


def as_system(source: Comparable) -> System:
    """A system from what ``compare`` takes: an evaluation stands for its main arm."""
    if isinstance(source, System):
        return source
    if isinstance(source, Evaluation):
        return system(f"{source.recipe}:{source.main}", source.main, [source])
    return read_system(os.fspath(source))


def _corrected(differences: Sequence[Difference]) -> list[Difference]:
    """Differences of one metric, the first over all queries; p of the others is corrected for their number."""
    overall, *by_category = differences
    ps = bootstrap.holm([each.p for each in by_category])
    return [overall, *(each._replace(p=p) for each, p in zip(by_category, ps, strict=True))]
