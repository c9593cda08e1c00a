"""Do weights of the parts per category pay? Both fitted on other products than they are judged on.

    python -m benchmarks.category_weights EVALUATION.json [EVALUATION.json ...] [--metric nDCG@5] [--folds 5]

An evaluation samples the detail weight (``sample_detail = true``), so it holds the rank of every query at each weight.
Products are split into folds; for each fold the best weight is searched on the others: once for all queries, and once
for each category. What the fold's own queries gain by the second over the first is printed with a 95% interval over
products. Several evaluations are seeds of one training; the mean of the metric joins them.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from osoroi.evaluation import bootstrap, compare, results
from osoroi.evaluation.results import Evaluation


class Fitted(NamedTuple):
    """For each query the metric with the weights fitted for all, and with those fitted for its category."""

    constant: Float64[np.ndarray, "q"]
    by_category: Float64[np.ndarray, "q"]
    steps: dict[str, list[float]]
    """The steps chosen in each fold: for all (``""``) and for each category."""


def along(evaluations: list[Evaluation], metric: str) -> tuple[list[float], Float64[np.ndarray, "q s"]]:
    """The steps of the detail weight, and for each query the metric at each, the mean over seeds."""
    steps = [arm for arm in evaluations[0].arms if arm.detail is not None]
    if not steps:
        raise SystemExit("these evaluations do not sample the detail weight: set sample_detail = true")
    columns = [
        np.mean([results.values(each.arm(arm.name), [metric])[:, 0] for each in evaluations], axis=0) for arm in steps
    ]
    return [float(arm.detail or 0.0) for arm in steps], np.stack(columns, axis=1)


def fit(
    values: Float64[np.ndarray, "q s"],
    categories: np.ndarray,
    cluster: Int64[np.ndarray, "q"],
    grid: list[float],
    folds: int,
) -> Fitted:
    """Weights out of fold, whole clusters of queries in one fold."""
    fold = np.random.default_rng(0).permutation(int(cluster.max()) + 1)[cluster] % folds
    constant, own = np.empty(len(values)), np.empty(len(values))
    steps: dict[str, list[float]] = {name: [] for name in ["", *np.unique(categories)]}
    for number in range(folds):
        here, others = fold == number, fold != number
        best = _best(values[others])
        steps[""].append(grid[best])
        constant[here] = values[here, best]
        for name in np.unique(categories):
            mine = categories == name
            step = _best(values[others & mine])
            steps[str(name)].append(grid[step])
            own[here & mine] = values[here & mine, step]
    return Fitted(constant, own, steps)


def _best(values: Float64[np.ndarray, "q s"]) -> int:
    """The step with the best mean, smoothed over its neighbours."""
    means = np.pad(values.mean(axis=0), 1, mode="edge")
    return int(np.convolve(means, np.ones(3) / 3, mode="valid").argmax())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("evaluations", nargs="+", type=Path)
    parser.add_argument("--metric", default="nDCG@5")
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()
    evaluations = [results.read(path) for path in arguments.evaluations]
    for each in evaluations:
        compare.check_comparable(evaluations[0], each)
    grid, values = along(evaluations, arguments.metric)
    categories = np.array([str(query.category) for query in evaluations[0].queries])
    cluster = results.clusters(evaluations)
    found = fit(values, categories, cluster, grid, arguments.folds)
    print(f"| category | queries | {arguments.metric}, one weight | one a category | gain | weights of detail |")
    print("|---|---|---|---|---|---|")
    for name in ["", *np.unique(categories)]:
        mine = np.ones(len(values), bool) if not name else categories == name
        gain = (found.by_category - found.constant)[mine]
        bounds = bootstrap.bootstrap_means(gain[:, None], cluster[mine], span=(-1.0, 1.0))[0]
        low, high = 100 * bounds.low, 100 * bounds.high
        print(
            f"| {name or 'all'} | {int(mine.sum())} | {found.constant[mine].mean():.3f} | "
            f"{found.by_category[mine].mean():.3f} | {100 * bounds.mean:+.1f} [{low:+.1f}, {high:+.1f}] | "
            f"{', '.join(f'{step:.1f}' for step in found.steps[str(name)])} |"
        )


if __name__ == "__main__":
    main()
