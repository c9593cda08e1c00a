"""Do weights of the parts per category pay? Both fitted on other products than they are judged on.

    python -m benchmarks.experiment.weights ANSWER.json [ANSWER.json ...] [--metric nDCG@5] [--folds 5]

An answer is of a question with ``dial = true``, so it holds the rank of every query at each step of the dial. Products
are dealt into folds; for each fold the best step is looked for on the others: once for all queries, and once for each
category. What the fold's own queries gain by the second over the first is printed with a 95% interval over products.
Several answers are seeds of one training; their ranks are joined by the mean of the metric.
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


def along(answers: list[Evaluation], metric: str) -> tuple[list[float], Float64[np.ndarray, "q s"]]:
    """The steps of the dial, and for each query the metric at each, the mean over seeds."""
    steps = [arm for arm in answers[0].arms if arm.detail is not None]
    if not steps:
        raise SystemExit("these answers do not sample the dial: ask with dial = true")
    columns = [
        np.mean([results.values(each.arm(arm.name), [metric])[:, 0] for each in answers], axis=0) for arm in steps
    ]
    return [float(arm.detail or 0.0) for arm in steps], np.stack(columns, axis=1)


def fit(
    values: Float64[np.ndarray, "q s"],
    categories: np.ndarray,
    cluster: Int64[np.ndarray, "q"],
    dial: list[float],
    folds: int,
) -> Fitted:
    """Weights out of fold, whole clusters of queries in one fold."""
    fold = np.random.default_rng(0).permutation(int(cluster.max()) + 1)[cluster] % folds
    constant, own = np.empty(len(values)), np.empty(len(values))
    steps: dict[str, list[float]] = {name: [] for name in ["", *np.unique(categories)]}
    for number in range(folds):
        here, others = fold == number, fold != number
        best = _best(values[others])
        steps[""].append(dial[best])
        constant[here] = values[here, best]
        for name in np.unique(categories):
            mine = categories == name
            step = _best(values[others & mine])
            steps[str(name)].append(dial[step])
            own[here & mine] = values[here & mine, step]
    return Fitted(constant, own, steps)


def _best(values: Float64[np.ndarray, "q s"]) -> int:
    """The step with the best mean, smoothed over its neighbours."""
    means = np.pad(values.mean(axis=0), 1, mode="edge")
    return int(np.convolve(means, np.ones(3) / 3, mode="valid").argmax())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("answers", nargs="+", type=Path)
    parser.add_argument("--metric", default="nDCG@5")
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()
    answers = [results.read(path) for path in arguments.answers]
    for each in answers:
        compare.check_comparable(answers[0], each)
    dial, values = along(answers, arguments.metric)
    categories = np.array([str(query.category) for query in answers[0].queries])
    cluster = answers[0].clusters()
    found = fit(values, categories, cluster, dial, arguments.folds)
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
